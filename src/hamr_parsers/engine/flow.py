"""Free text on its way out: content or reasoning, with the blanks that are held at its end.

Theory. Blanks at the end of free text may frame a call, so they wait until something else comes: more text
lets them out before it, the end of the flow drops them as framing. What was given out is kept in pieces
(joined from time to time, or thrown away where nothing is collected), and the Markdown state follows the
pieces lazily: `code()` moves it over what came since it was last asked for.
"""

from __future__ import annotations

from typing import Final

from ..events import ContentDelta, ReasoningDelta
from .markdown import CodeState

__all__ = ["MANY", "Flow"]

MANY: Final = 1024
"""Pieces that may pile up before they are joined."""


_TAIL: Final = 80


class Flow:
    """One channel of free text."""

    __slots__ = (
        "_code",
        "_counted",
        "_fed_blanks",
        "_gone",
        "_seen",
        "blanks",
        "collect",
        "event",
        "kind",
        "length",
        "pieces",
    )

    def __init__(self, kind: str, collect: bool) -> None:
        self.kind = kind
        self.event: type[ContentDelta] | type[ReasoningDelta] = (
            ContentDelta if kind == "content" else ReasoningDelta
        )
        self.collect = collect
        self.pieces: list[str] = []  # given out, in order
        self.blanks: list[str] = []  # held behind them
        self.length = 0  # characters given out, up to the pieces that the Markdown state has not seen
        self._code = CodeState()
        self._seen = 0  # pieces that the Markdown state has seen
        self._gone = ""  # the end of what was thrown away
        self._counted = 0  # pieces that `count` has counted
        self._fed_blanks = 0  # held blanks that it has seen

    @property
    def begun(self) -> bool:
        """Whether anything was given out."""
        return self.length > 0 or len(self.pieces) > self._seen

    def code(self) -> CodeState:
        """The Markdown state behind everything that came, held blanks included."""
        new = self.pieces[self._seen :]
        if new:
            text = "".join(new)
            self.length += len(text)
            self._code.feed(text[self._fed_blanks :])
            self._fed_blanks = 0
            self._seen = len(self.pieces)
        if self.blanks:
            held = "".join(self.blanks)
            if len(held) > self._fed_blanks:
                self._code.feed(held[self._fed_blanks :])
                self._fed_blanks = len(held)
        return self._code

    def count(self) -> int:
        """How many characters were given out since this was last asked."""
        characters = sum(map(len, self.pieces[self._counted :]))
        self._counted = len(self.pieces)
        return characters

    def compact(self) -> None:
        """Join the pieces, or drop them where nothing is collected."""
        self.code()
        joined = "".join(self.pieces)
        if not self.collect:
            self._gone = (self._gone + joined)[-_TAIL:]
        self.pieces = [joined] if self.collect else []
        self._seen = self._counted = len(self.pieces)

    def held_blanks(self) -> int:
        """How many blanks are held."""
        if len(self.blanks) > 64:
            self.blanks[:] = ["".join(self.blanks)]
        return sum(map(len, self.blanks))

    def tail(self, size: int) -> str:
        """The last `size` characters (at most `_TAIL`) of the text, held blanks included."""
        parts = [*reversed(self.blanks)]
        length = sum(map(len, parts))
        for piece in reversed(self.pieces):
            if length >= size:
                break
            parts.append(piece)
            length += len(piece)
        else:
            parts.append(self._gone)
        return "".join(reversed(parts))[-size:]

    def drop_blanks(self) -> None:
        """The held blanks were framing."""
        self.code()
        self.blanks.clear()
        self._fed_blanks = 0

    def take_blanks(self) -> str:
        """The held blanks, to be given out before what comes."""
        blanks = self.blanks
        text = blanks[0] if len(blanks) == 1 else "".join(blanks)
        blanks.clear()
        return text

    def restart(self) -> None:
        """The channel was entered anew: a line begins."""
        self.code()
        self._code = CodeState()
        self._fed_blanks = sum(map(len, self.blanks))

    def enter_object(self, blanks: str) -> None:
        """The text goes on with these blanks and a JSON value, all of it data."""
        code = self.code()
        code.feed(blanks)
        self._fed_blanks += len(blanks)
        code.enter_object()

    def enter_fence(self, length: int) -> None:
        """The text goes on inside a fence whose opening line was markup."""
        self.code()
        self._code.fence = length

    def text(self) -> str:
        """All that was given out (and collected)."""
        return "".join(self.pieces)

    def total(self) -> int:
        """How many characters were given out."""
        self.code()
        return self.length
