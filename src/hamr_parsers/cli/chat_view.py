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
    from rich.control import Control

    from ..client import Notice

__all__ = ["View"]

_EVERY = 30.0  # seconds between two lines that say the same
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
        self._answering = False
        self._passing = False  # a notice stands on the terminal's line, to be written over
        self._told: tuple[str, float] = ("", 0.0)

    # -- an answer -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A new answer."""
        self._kind = ""
        self._blank = True
        self._answering = True

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
        self._answering = False

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
        self._pass()
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
        self._pass()
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

    def notice_aside(self, notice: Notice) -> None:
        """A notice outside an answer; those of an answer are among its events."""
        if not self._answering:
            self.notice(notice)

    def notice(self, notice: Notice) -> None:
        """What the client tells while it waits: on a terminal one line that the next takes the place of, elsewhere a
        line now and then."""
        waits = notice.kind in ("loading", "waiting")
        if waits and self.rich:
            self.end_line()
            from rich.text import Text

            line = Text(visible(" ".join(notice.message.split())), STYLES["remark"])
            line.truncate(max(self.console.width - 1, 1))
            self.console.print(line, end="", soft_wrap=True)
            self._passing = True
            return
        kind, told = self._told
        if waits and kind == notice.message.partition(" (")[0] and notice.seconds - told < _EVERY:
            return
        self._told = (notice.message.partition(" (")[0], notice.seconds)
        self.end_line()
        complain(f"warning: {notice.message}" if notice.kind == "warning" else notice.message)

    def _pass(self) -> None:
        """Take a passing notice off the screen."""
        if self._passing:
            self._passing = False
            self.console.control(_to_line_start())

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


def _to_line_start() -> Control:
    from rich.control import Control
    from rich.segment import ControlType

    return Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
