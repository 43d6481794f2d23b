"""What the readers of one call's arguments share, but for that of raw JSON.

Theory. A reader is an automaton over the levels of brackets that are open (none, where a format has none): `feed` asks
the method of its state to read on from a place, until it is done, or until only more text can tell how to (`More` is
raised then, before anything has changed). What cannot be given out yet is held: `_item` are pieces of a key or of text
whose meaning is open, `_typed` is a value whose type is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar

from ..events import Diagnostic
from .tagged import TextValue

if TYPE_CHECKING:
    from .json_mend import Boundary
    from .schema import ParamSchema, ToolSchema

__all__ = [
    "AFTER",
    "BLANKS",
    "COLON",
    "MEMBER",
    "PAIRS",
    "VALUE",
    "WINDOW",
    "ArgumentsReader",
    "Level",
    "More",
]

WINDOW = 64
"""Characters that a reader looks ahead over where two readings are possible."""
BLANKS = " \t\r\n\f"
PAIRS = {"{": "}", "[": "]", "(": ")"}

MEMBER, COLON, VALUE, AFTER = range(4)
"""States: before a member, behind its key, before its value, behind it."""


class More(Exception):
    """Only more text can tell."""


class Level:
    """An open bracket.

    Attributes:
        closer: what closes it in the text.
        json: what closes it in JSON; "": nothing, its members are those of the arguments themselves.
        empty: no member was given out.
        mark: where in the output that waits its opener goes, while it is not known whether it is an object; else -1.
        keys: those that it has had.
    """

    __slots__ = ("closer", "empty", "json", "keys", "mark")

    def __init__(self, closer: str, json: str, mark: int = -1) -> None:
        self.closer = closer
        self.json = json
        self.mark = mark
        self.empty = True
        self.keys: set[str] = set()

    @property
    def keyed(self) -> bool:
        """Whether its members have keys, as far as is known."""
        return self.json != "]" and self.mark < 0


class ArgumentsReader:
    """Reads one call's arguments; what it gives out is the text of a JSON object.

    Args:
        boundary: knows the markers that may end the call although its closer is missing; None: there are none.
        max_depth: of nested brackets, the outer one included; beyond it the call ends, cut.
        schema: the tool: types, and names of arguments that have none.
        max_held: characters; if more cannot be given out, the call ends, cut.

    The attributes and methods are those of every reader: `feed`, `fast`, `out`, `done`, `cut`, `closing`, `base`,
    `recovered`, `held`.
    """

    _READ: ClassVar[Mapping[int, Callable[[Any, str, int, bool], int]]]  # what reads on, by state
    node = None  # no interned lexical nodes here: the engine asks `fast` about every chunk

    __slots__ = (
        "_begun", "_boundary", "_first", "_given", "_item", "_key", "_length", "_levels", "_max_depth", "_max_held",
        "_schema", "_state", "_typed",
        "base", "closing", "cut", "done", "out", "recovered",
    )  # fmt: skip

    def __init__(
        self, boundary: Boundary | None, max_depth: int, schema: ToolSchema | None, max_held: int
    ) -> None:
        self.out: list[str | Diagnostic] = []
        self.done = self.cut = self.recovered = False
        self.closing = ""
        self.base = 0
        self._boundary = boundary
        self._first = "" if boundary is None else boundary.first
        self._max_depth = max_depth
        self._max_held = max_held
        self._schema = schema
        self._state = MEMBER
        self._levels: list[Level] = []
        self._key = ""  # JSON text of the key whose value comes next
        self._item: list[str] = []  # what is held
        self._length = 0  # in characters
        self._typed: TextValue | None = (
            None  # the value that is being read, while its type is not that of its text
        )
        self._begun = False  # something of it was given out
        self._given = False  # the `{` of the arguments was given out

    @property
    def memo(self) -> dict[str, tuple[str, str]] | None:
        """For the engine to remember what became of a chunk in a string like the one that is open; None outside of a
        plain string, where `fast` takes nothing."""
        return None

    def whole(self, chunk: str) -> int:
        """How much of a chunk in a plain string can be read without what comes next."""
        return len(chunk)

    @property
    def held(self) -> int:
        """Characters consumed and not given out."""
        return self._length + (0 if self._typed is None else self._typed.held)

    def feed(self, text: str, pos: int, final: bool) -> int:
        """Take text from `pos` on; returns the position up to which it was consumed."""
        read = self._READ
        end = len(text)
        try:
            while not self.done and pos < end:
                pos = read[self._state](self, text, pos, final)
        except More:
            pass
        if final and not self.done:
            self._stop()
            pos = end
        return pos

    def _stop(self) -> None:
        """The text ends, or the reader gives up, inside the arguments."""
        self._cut_off("")

    def _cut_off(self, quote: str) -> None:
        self.done = self.cut = True
        closing = quote or self._cut_typed()
        known = takewhile(lambda level: level.mark < 0, self._levels)  # what is in others was held
        closing += "".join(level.json for level in reversed([*known]))
        self.closing = closing if self._given else "{}"
        self._key = ""
        self._release()

    def _tell(self, code: str, message: str, start: int, end: int | None = None) -> None:
        self.recovered = True
        end = start if end is None else end
        self.out.append(Diagnostic(code, message, self.base + start, self.base + end))

    def _marker(self, text: str, pos: int, final: bool) -> bool:
        """Whether a marker that ends the call stands at `pos`."""
        if self._boundary is None or text[pos] not in self._first:
            return False
        found = self._boundary.at(text, pos, final)
        if found is None and not final:
            raise More
        return bool(found)

    def _lacks_quote(self, text: str, pos: int, final: bool) -> bool:
        """Whether the call ends at `pos`, within a string, whose quote is missing then."""
        if self._boundary is None:
            return False
        found = self._boundary.ends_string(text, pos, final)
        if found is None and not final:
            raise More
        return bool(found)

    @property
    def _names(self) -> tuple[str, ...]:
        """The names of the tool's parameters, as far as they are known."""
        return () if self._schema is None else self._schema.parameter_names

    # -- holding --------------------------------------------------------------------------------------------------

    def _hold(self, piece: str, pos: int, length: int) -> int:
        """Hold `piece`, which stands for the next `length` characters; returns the position behind them."""
        room = self._max_held - self._length
        if length > room:
            self._holds_too_much(pos + room)
            return pos + room
        self._item.append(piece)
        self._length += length
        return pos + length

    def _holds_too_much(self, pos: int) -> None:
        self._tell("max-held", f"more than {self._max_held} characters that cannot be given out", pos)
        self._stop()

    def _release(self) -> str:
        """What was held."""
        text = "".join(self._item)
        self._item.clear()
        self._length = 0
        return text

    # -- values typed by the schema -------------------------------------------------------------------------------

    def _begin_typed(self, param: ParamSchema | None, untyped: str = "string") -> None:
        self._typed = TextValue(param, untyped, max_depth=self._max_depth, max_held=self._max_held)
        self._begun = False

    def _give(self, piece: str) -> None:
        self.out.append(piece)

    def _emit(self, value: str) -> None:
        """A value begins: give it out behind what stands before it, opener, comma and key."""
        if not self._given:
            self._given = True
            self.out.append("{")  # also if what follows is held: nothing undecided is open yet
        level = self._levels[-1]
        target = level if level.json else self._levels[0]
        lead = "" if target.empty else ", "
        target.empty = level.empty = False
        if self._key and level.keyed:
            lead += self._key + ": "
            self._key = ""
        self._give(lead + value)

    def _drain(self) -> None:
        """Give out what the value has become."""
        assert self._typed is not None
        for item in self._typed.out:
            if isinstance(item, Diagnostic):
                self.recovered = True
                self.out.append(item)
            elif self._begun:
                self.out.append(item)
            else:
                self._begun = True
                self._emit(item)
        self._typed.out.clear()

    def _finish_typed(self) -> None:
        """The value is whole."""
        assert self._typed is not None
        self._typed.finish()
        self._drain()
        self._typed = None

    def _cut_typed(self) -> str:
        """The text ends inside the value; returns what completes it."""
        if self._typed is None:
            return ""
        closing = self._typed.cut() or ""
        self._drain()
        self._typed = None
        return closing

    # -- brackets -------------------------------------------------------------------------------------------------

    def _too_deep(self, pos: int) -> bool:
        """Whether no bracket may be opened any more; then the reader is done."""
        if len(self._levels) < self._max_depth:
            return False
        self._tell("too-deep", f"nested deeper than {self._max_depth} levels", pos, pos + 1)
        self._stop()
        return True

    def _pop(self) -> None:
        """Close the innermost bracket."""
        raise NotImplementedError

    def _pop_to(self, depth: int, pos: int) -> None:
        while len(self._levels) > depth + 1:
            self._tell("missing-closer", f"{self._levels[-1].closer!r} is missing", pos)
            self._pop()

    def _end_here(self, pos: int) -> int:
        """The call ends without its closer: a marker stands at `pos`."""
        self._pop_to(-1, pos)
        return pos

    def _close(self, ch: str, pos: int) -> int:
        """A closer stands at `pos`: of the innermost bracket that it fits, else in place of another."""
        levels = self._levels
        depth = len(levels) - 1
        while depth >= 0 and levels[depth].closer != ch:
            depth -= 1
        if depth < 0:
            depth = len(levels) - 1
            self._tell("wrong-closer", f"{ch!r} in place of {levels[depth].closer!r}", pos, pos + 1)
        self._pop_to(depth, pos)
        self._pop()
        return pos + 1

    # -- members --------------------------------------------------------------------------------------------------

    def _no_value(self, pos: int) -> None:
        self._tell("missing-value", f"no value for {self._key}; the key is dropped", pos)
        self._key = ""
        self._state = AFTER
