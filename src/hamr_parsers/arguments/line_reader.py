"""Arguments written as lines, `key: value`, as a JSON object, append-only.

Theory. Two separators make the format: one between a key and its value, one between members (a colon and a line
break, as a rule). A value is bare text up to the next line or to a marker that ends the call, typed by the schema as
`TextValue` decides; blanks around keys and values do not count. So a value streams as soon as its type is known. A
line without the first separator is no member: it is passed over, with a diagnostic.

What is held back: a key, until its value begins; a value while its type is open; blanks behind it; half a separator.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from .reader import MEMBER, VALUE, ArgumentsReader, Level, More
from .schema import ToolSchema
from .tagged import TextValue, escape

if TYPE_CHECKING:
    from .json_mend import Boundary

__all__ = ["LineArgumentsReader"]


class _Patterns(NamedTuple):
    """What depends on the separators, and on the characters that markers may begin with."""

    key: re.Pattern[str]  # the run of a key that needs no look
    text: re.Pattern[str]  # the same of a value, not ending in a blank
    blanks: re.Pattern[str]


@lru_cache(maxsize=64)
def _patterns(colon: str, newline: str, first: str) -> _Patterns:
    key, stops = re.escape(colon[0] + newline[0] + first), re.escape(newline[0] + first)
    word, blanks = f"[^{stops}\\s]++", f"[^\\S{stops}]++"
    return _Patterns(re.compile(f"[^{key}]+"), re.compile(f"{word}(?:{blanks}{word})*+"), re.compile(blanks))


class LineArgumentsReader(ArgumentsReader):
    """Reads one call's arguments, from the first key up to the marker that ends the call.

    Args:
        colon: what stands between a key and its value.
        newline: what stands between two members.
        boundary, max_depth, schema, max_held: see `ArgumentsReader`.
        untyped: what a value without schema is, see `TextValue`.
    """

    __slots__ = ("_colon", "_newline", "_patterns", "_untyped")

    def __init__(
        self,
        colon: str,
        newline: str,
        boundary: Boundary | None = None,
        untyped: str = "string",
        max_depth: int = 200,
        schema: ToolSchema | None = None,
        max_held: int = 1 << 20,
    ) -> None:
        super().__init__(boundary, max_depth, schema, max_held)
        self._colon = colon
        self._newline = newline
        self._patterns = _patterns(colon, newline, self._first)
        self._untyped = untyped
        self._levels.append(Level("", "}"))

    def fast(self, chunk: str) -> str | None:
        """What to give out for `chunk` if it lies within a string; None if `feed` must take it."""
        value = self._typed
        if value is None or not value.streaming or self._item:
            return None
        match = self._patterns.blanks.match(chunk)
        whole = self._patterns.text.fullmatch(chunk, match.end() if match is not None else 0)
        return escape(chunk) if whole is not None else None

    def _at(self, separator: str, text: str, pos: int, final: bool) -> bool:
        """Whether a separator stands at `pos`."""
        if not final and len(text) - pos < len(separator) and separator.startswith(text[pos:]):
            raise More
        return text.startswith(separator, pos)

    def _in_key(self, text: str, pos: int, final: bool) -> int:
        match = self._patterns.key.match(text, pos)
        if match is not None:
            return self._hold(match[0], pos, match.end() - pos)
        colon = self._at(self._colon, text, pos, final)
        newline = self._at(self._newline, text, pos, final)
        marker = self._marker(text, pos, final)
        if not (colon or newline or marker):
            return self._hold(text[pos], pos, 1)
        key = self._release().strip()
        if colon:
            self._key = f'"{escape(key)}"'
            schema = self._schema.at((key,)) if self._schema is not None else None
            self._typed = TextValue(
                schema, self._untyped, max_depth=self._max_depth - 1, max_held=self._max_held
            )
            self._begun = False
            self._state = VALUE
            return pos + len(self._colon)
        if key:
            self._tell("junk", f"a line without {self._colon!r}", pos)
        if marker:
            self.done = True
            self.out.append("}" if self._given else "{}")
            return pos
        return pos + len(self._newline)

    def _in_value(self, text: str, pos: int, final: bool) -> int:
        value = self._typed
        assert value is not None
        newline = self._at(self._newline, text, pos, final)
        marker = False if newline else self._marker(text, pos, final)
        if marker and self._boundary is not None and self._boundary.ends_turn(text, pos):
            self._stop()  # which closes nothing
            return pos
        if newline or marker:
            self._release()  # blanks behind it
            value.base = self.base + pos
            self._finish_typed()
            self._state = MEMBER
            return pos + (len(self._newline) if newline else 0)
        match = self._patterns.blanks.match(text, pos)
        if match is not None:
            if self._begun or value.held:
                return self._hold(match[0], pos, match.end() - pos)
            return match.end()  # blanks before it
        match = self._patterns.text.match(text, pos)
        piece = match[0] if match is not None else text[pos]
        blanks = self._release()
        value.base = self.base + pos - len(blanks)
        value.feed(blanks + piece)
        self._drain()
        if value.failed:
            self._stop()
        return pos + len(piece)

    _READ: ClassVar = {MEMBER: _in_key, VALUE: _in_value}
