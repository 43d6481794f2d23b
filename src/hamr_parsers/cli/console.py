"""Standard output and standard error: encoding, colours, one-line errors, and what ends a command.

Text of a model is data, not terminal control: whatever is shown to a person goes through `visible()`, so that
an escape sequence in a transcript is seen and not obeyed.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec

import typer

from ..errors import HamrParsersError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = [
    "command",
    "complain",
    "err_is_terminal",
    "extra",
    "out",
    "print_rows",
    "print_table",
    "setup_streams",
    "visible",
]

P = ParamSpec("P")
_CONTROL = re.compile("\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PIPE_WIDTH = 1_000_000  # nothing is folded or cut for a pipe or a file
#: What writing fails with, a closed pipe apart: a full disk or quota, a file too large, a broken disk, a closed file.
_UNWRITABLE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG, errno.EIO, errno.EBADF}
_NUMBERS = {"#", "records", "hold", "failed"}


def setup_streams() -> None:
    """UTF-8 on every platform and console; what cannot be encoded (lone surrogates) is written escaped. A stream that
    the caller closed (`>&-`) is None in Python: what would go there goes nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # to the end of the process
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


def command(function: Callable[P, int | None]) -> Callable[P, None]:
    """Make a function that returns an exit code (None is 0) into a command body: the caller's own mistakes
    become one line on standard error and the error's `exit_code` (2 if it has none), a reader that went away
    ends it in silence, and output that cannot be written (a full disk) is one line and 2."""

    @functools.wraps(function)
    def body(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs) or 0
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            _write_nowhere()
            code = 0
        except HamrParsersError as error:
            complain(str(error))
            code = getattr(error, "exit_code", 2)
        except OSError as error:
            # Errors with a file's name are another file's, which commands tell themselves.
            if error.filename is not None or error.errno not in _UNWRITABLE:
                raise
            _write_nowhere()
            complain(f"the output cannot be written: {error.strerror}")
            code = 2
        if code:
            raise typer.Exit(code)

    return body


def _write_nowhere() -> None:
    """The interpreter flushes standard output once more at its end; give it somewhere harmless to flush to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around imports of what an extra of the package brings: says which one is missing.

    Raises:
        MissingExtraError: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        from ..client.errors import MissingExtraError

        if error.name is None or error.name.startswith("hamr_parsers"):
            raise
        raise MissingExtraError(name, error.name.partition(".")[0]) from None


def complain(message: str) -> None:
    """One line on standard error: `hamr-parse: MESSAGE`."""
    typer.echo(f"hamr-parse: {visible(' '.join(message.split()))}", err=True)


def err_is_terminal() -> bool:
    """Whether a person watches standard error."""
    return sys.stderr.isatty()


def visible(text: str) -> str:
    """The text with control characters (line ends and tabs apart) written as escapes."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}", text).replace("\r\n", "\n")


def out() -> Console:
    """A console on standard output: plain and never folded when that is no terminal."""
    from rich.console import Console

    class Out(Console):
        def on_broken_pipe(self) -> None:
            raise  # called in rich's handler; `command` ends it, and not with rich's exit code 1

    console = Out(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Out(highlight=False, markup=False, emoji=False, width=_PIPE_WIDTH)
    return console


def print_rows(console: Console, rows: Sequence[tuple[str, Text]], *, label_style: str = "bold") -> None:
    """Labelled blocks of text: folded beside their label on a terminal, plain lines elsewhere."""
    width = max((len(label) for label, _ in rows), default=0)
    if console.is_terminal:
        from rich.table import Table

        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style=label_style, no_wrap=True, min_width=width)
        grid.add_column(overflow="fold")
        for label, text in rows:
            grid.add_row(f"  {label}", text)
        console.print(grid)
        return
    for label, text in rows:
        for number, line in enumerate(text.plain.split("\n")):
            head = label if number == 0 else ""
            console.out(f"  {head:<{width}}  {line}".rstrip(), highlight=False)


def print_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Text | str]]) -> None:
    """A table: drawn on a terminal, aligned columns of plain text (two blanks apart) elsewhere."""
    if console.is_terminal:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold", justify="right" if column in _NUMBERS else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    plain = [list(columns), *[[str(cell).replace("\n", " ") for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in plain) for i in range(len(columns))]
    for row in plain:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.out(line.rstrip(), highlight=False)
