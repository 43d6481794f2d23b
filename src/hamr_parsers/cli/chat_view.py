"""What `hamr-parse chat` shows of an answer, while it comes.

Theory. On a terminal the kinds of an answer differ by colour (reasoning dim, calls cyan) and stand one below the
other in the order in which they come. In a pipe, standard output has the answer and its calls, one line a call, and
nothing else; reasoning and remarks go to standard error. Whatever a model or a gateway wrote is made visible first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .console import complain, out, visible

if TYPE_CHECKING:
    from rich.console import Console

    from ..client import Notice

__all__ = ["View"]

STYLES = {"reasoning": "dim italic", "call": "cyan", "remark": "dim", "problem": "yellow"}


class View:
    """Writes the events of answers."""

    def __init__(self) -> None:
        self.console: Console = out()
        self.rich = self.console.is_terminal
        self._kind = ""
        self._blank = True  # nothing but line ends so far
        self._line = True  # at the beginning of a line
        self._error_line = True

    # -- an answer -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A new answer."""
        self._kind = ""
        self._blank = True

    def event(self, event: Any) -> None:
        """One event of the stream."""
        match event.type:
            case "content_delta":
                self._text("content", event.text)
            case "reasoning_delta":
                self._text("reasoning", event.text)
            case "tool_call_start":
                self._new("call")
                self._write("call", f"{event.name}(" if not self.rich else f"▸ {event.name}(")
            case "tool_call_delta":
                self._write("call", event.arguments)
            case "tool_call_end":
                self._write("call", ")" if event.tool_call.complete else " ... cut off")
                self.end_line()
                self._kind = ""
            case "notice":
                self.notice(event)

    def end(self) -> None:
        """The answer is over."""
        self.end_line()

    def _text(self, kind: str, text: str) -> None:
        if kind != self._kind:
            if not text.strip():
                return  # blanks before a kind are no beginning of it
            text = text.lstrip("\n")
            self._new(kind)
        self._write(kind, text)

    def _new(self, kind: str) -> None:
        """Begin a stretch of another kind on a line of its own."""
        self.end_line()
        if self.rich and not self._blank and self._kind:
            self.console.print()
        self._kind = kind

    def _write(self, kind: str, text: str) -> None:
        if not text:
            return
        text = visible(text)
        self._blank = False
        if self.rich:
            from rich.text import Text

            self.console.print(Text(text, STYLES.get(kind, "")), end="", soft_wrap=True)
            self._line = text.endswith("\n")
        elif kind == "reasoning":
            sys.stderr.write(text)
            sys.stderr.flush()
            self._error_line = text.endswith("\n")
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._line = text.endswith("\n")

    def end_line(self) -> None:
        """Both outputs at the beginning of a line."""
        if not self._line:
            if self.rich:
                self.console.print()
            else:
                sys.stdout.write("\n")
                sys.stdout.flush()
        if not self._error_line:
            sys.stderr.write("\n")
            sys.stderr.flush()
        self._line = self._error_line = True

    # -- about it ----------------------------------------------------------------------------------------------------

    def notice(self, notice: Notice) -> None:
        """What the client tells while it waits."""
        self.end_line()
        complain(f"warning: {notice.message}" if notice.kind == "warning" else notice.message)

    def remark(self, text: str, kind: str = "remark") -> None:
        """A sentence of ours: for a person, never a part of the answer."""
        self.end_line()
        if self.rich:
            from rich.text import Text

            self.console.print(Text(visible(text), STYLES[kind]))
        else:
            complain(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A list."""
        from .console import print_table

        self.end_line()
        print_table(self.console, columns, [[visible(cell) for cell in row] for row in rows])
