"""Objects with bare keys, whose strings stand between two quote tokens, as a JSON object, append-only.

Theory. The format is JSON's, but that keys have no quotes and that a string stands between two equal tokens, with
nothing escaped in it: `{city:Q Paris Q,opts:{a:[1,Q x Q]}}`. So a string needs no look but for the token, and streams;
a marker in it is data, and so is all that follows if its closing token never comes. Where a value has no opening token,
it is *bare*: a scalar if it reads like one, else a string, as `TextValue` decides by the schema. Bare text is also what
is left where a gateway removed the tokens, or where the model forgot the opening one: then it ends at the closing
one, at a comma only if a key and its colon follow, and at the closer of a bracket that is open (brackets of that kind
opened within the text are counted).

What is held back: a key, until its value begins; a bare value, while it may be a scalar; blanks behind bare text;
half a token. Looked ahead over, never further than 64 characters: what follows a comma in bare text, and what follows
a quote that may be the end of a string.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ..events import Diagnostic
from .json_nodes import past
from .reader import AFTER, BLANKS, COLON, MEMBER, PAIRS, VALUE, WINDOW, ArgumentsReader, Level, More
from .schema import ParamSchema, ToolSchema
from .tagged import escape

if TYPE_CHECKING:
    from .json_mend import Boundary

__all__ = ["TokenArgumentsReader"]

_BLANK_RUN = re.compile(r"[ \t\r\n\f]+")
_OPENERS = {closer: opener for opener, closer in PAIRS.items()}
_ORDINARY = {'"': re.compile(r'[^"\\\r\n]+'), "'": re.compile(r"[^'\\\r\n]+")}
# An escape as JSON has them; halves of a surrogate pair go together.
_ESCAPE = re.compile(
    r'\\(?:["\\/bfnrt]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4})'
)
_HALF_ESCAPE = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?)?"
)

_START, _WRAP, _KEY, _BARE, _STRING, _QUOTED, _JUNK = range(4, 11)


class _Patterns(NamedTuple):
    """What depends on the quote token, and on the characters that markers may begin with."""

    key: re.Pattern[str]  # the run of a bare key
    bare: re.Pattern[str]  # the run of bare text that needs no look
    junk: re.Pattern[str]
    names_key: re.Pattern[str]  # a key and its colon
    may_name_key: re.Pattern[str]  # what may still become one


@lru_cache(maxsize=64)
def _patterns(quote: str, first: str) -> _Patterns:
    stops = re.escape(quote[0] + first)
    token, prefix = re.escape(quote), ""
    for ch in reversed(quote[:-1]):
        prefix = f"{re.escape(ch)}(?:{prefix})?" if prefix else re.escape(ch)
    blanks, word, mark = f"[{BLANKS}]*+", r"[^\W\d][\w.\-]*+", f"(?:{token}|[\"'])?+"
    return _Patterns(
        re.compile(rf"""[^:=,(){{}}\[\]"'{stops}]+"""),
        re.compile(rf"[^{BLANKS},(){{}}\[\]{stops}]+"),
        re.compile(rf"[^,){{}}\[\]{stops}]+"),
        re.compile(f"{blanks}{mark}{word}{mark}{blanks}[:=]"),
        re.compile(f"{blanks}(?:{prefix}|{mark}(?:{word}(?:{prefix}|{mark}{blanks})?)?)?"),
    )


_MEMOS: dict[str, dict[str, tuple[str, str]]] = {}  # by the token


class TokenArgumentsReader(ArgumentsReader):
    """Reads one call's arguments, from the opening brace (or parenthesis) up to and including its closer.

    Args:
        quote: the token that stands on either side of a string.
        boundary, max_depth, schema, max_held: see `ArgumentsReader`.
        coerce: what stands between quote tokens is typed by the schema, for dialects that quote every value.
    """

    __slots__ = (
        "_coerce", "_in_key", "_key_at", "_nest", "_path", "_patterns", "_quote", "_quoted", "_raw",
    )  # fmt: skip

    def __init__(
        self,
        quote: str,
        boundary: Boundary | None = None,
        max_depth: int = 200,
        schema: ToolSchema | None = None,
        max_held: int = 1 << 20,
        *,
        coerce: bool = False,
    ) -> None:
        super().__init__(boundary, max_depth, schema, max_held)
        self._quote = quote
        self._patterns = _patterns(quote, self._first)
        self._coerce = coerce
        self._state = _START
        self._path: list[str] = []  # a key for each level that has given something out
        self._key_at = 0
        self._in_key = False  # the string that is being read is a key
        self._quoted = ""  # the ordinary quote that ends it
        self._raw: list[str] = []  # its text, while its type is open
        self._nest: dict[str, int] = {}  # brackets open within it, by closer

    # -- the protocol ---------------------------------------------------------------------------------------------

    @property
    def memo(self) -> dict[str, tuple[str, str]] | None:
        """As of every reader: one for all strings between the same tokens."""
        plain = self._state == _STRING and not self._in_key and self._typed is None
        return _MEMOS.setdefault(self._quote, {}) if plain else None

    def fast(self, chunk: str) -> str | None:
        """What to give out for `chunk` if it lies within a string; None if `feed` must take it."""
        if self.memo is None or self._quote[0] in chunk:
            return None
        return chunk if chunk.isprintable() and '"' not in chunk and "\\" not in chunk else escape(chunk)

    # -- giving out -------------------------------------------------------------------------------------------

    def _push(self, opener: str, pos: int) -> None:
        if self._too_deep(pos):
            return
        self._emit(opener)
        self._levels.append(Level(PAIRS[opener], PAIRS[opener]))
        self._path.append("item")
        self._state = MEMBER if opener == "{" else VALUE

    def _pop(self) -> None:
        level = self._levels.pop()
        if level.json:
            self._path.pop()
            self.out.append(level.json)
        self._state = AFTER
        self.done = not self._levels

    def _close(self, ch: str, pos: int) -> int:
        if len(self._levels) == 1 and ch == "]":
            self._tell("extra-closer", f"{ch!r} closes nothing", pos, pos + 1)
            return pos + 1
        return super()._close(ch, pos)

    def _stop(self) -> None:
        in_value = self._state in (_STRING, _QUOTED) and not self._in_key
        self._cut_off('"' if in_value and self._typed is None else "")

    def _give_up(self) -> int:
        """A value is nested too deeply, as it just told: the end of what it told is the end of the arguments."""
        told = max(item.end for item in self.out if isinstance(item, Diagnostic))
        self._stop()
        return told - self.base

    # -- looking ahead --------------------------------------------------------------------------------------------

    def _token(self, text: str, pos: int, final: bool) -> bool:
        """Whether the quote token stands at `pos`."""
        if text[pos] != self._quote[0]:
            return False
        if not final and len(text) - pos < len(self._quote) and self._quote.startswith(text[pos:]):
            raise More
        return text.startswith(self._quote, pos)

    def _special(self, text: str, pos: int, final: bool) -> tuple[bool, bool]:
        """Whether the quote token, or a marker, stands at `pos`."""
        token = self._token(text, pos, final)
        return token, not token and self._marker(text, pos, final)

    def _is_closer(self, ch: str) -> bool:
        return ch in _OPENERS and any(level.closer == ch for level in self._levels)

    def _names_key(self, text: str, pos: int, final: bool, edge: bool) -> bool:
        """Whether a key and its colon stand at `pos`; `edge`: what holds if the text, or the window, ends before."""
        limit = min(len(text), pos + WINDOW)
        if self._patterns.names_key.match(text, pos, limit):
            return True
        if not self._patterns.may_name_key.fullmatch(text, pos, limit):
            return False
        if not final and limit - pos < WINDOW:
            raise More
        return edge

    def _splits(self, text: str, pos: int, final: bool) -> bool:
        """Whether the comma before `pos` ends a value without quote tokens."""
        if self._levels[-1].json == "]":
            return True
        scalar = self._typed is not None and not self._typed.streaming
        if self._names_key(text, pos, final, scalar or final):
            names = self._names
            match = self._patterns.names_key.match(text, pos, pos + WINDOW)
            if scalar or self._typed is None or len(self._path) > 1 or not names or match is None:
                return True
            return match[0][:-1].strip(BLANKS).replace(self._quote, "").strip("\"'") in names
        end = min(len(text), pos + WINDOW)
        at = past(_BLANK_RUN, text, pos, end)
        if at == end:
            return False
        return (scalar and text[at] == ",") or self._is_closer(text[at]) or self._marker(text, at, final)

    def _ends(self, text: str, pos: int, final: bool) -> bool:
        """Whether what follows the quote before `pos` may follow a value, or a key."""
        end = min(len(text), pos + WINDOW)
        at = past(_BLANK_RUN, text, pos, end)
        if at == end:
            if not final and end - pos < WINDOW:
                raise More
            return final
        ch = text[at]
        if ch == ",":
            return not self._in_key and self._splits(text, at + 1, final)
        if ch in ":=":
            return self._in_key
        return self._is_closer(ch) or self._marker(text, at, final)

    # -- keys -----------------------------------------------------------------------------------------------------

    def _at_start(self, text: str, pos: int, final: bool) -> int:
        ch = text[pos]
        if ch in BLANKS:
            return pos + 1
        opens = ch in "{("
        if not opens:
            self._tell("missing-opener", "'{' is missing", pos)
        self._levels.append(Level(")" if ch == "(" else "}", "}"))
        self._path.append("")
        self._state = _WRAP
        return pos + opens

    def _at_wrap(self, text: str, pos: int, final: bool) -> int:
        """Behind the opener: another brace, and the first one only wraps it."""
        if text[pos] in BLANKS:
            return pos + 1
        self._state = MEMBER
        self._given = True
        self.out.append("{")
        if text[pos] != "{":
            return pos
        self._levels[0].json = ""
        self._levels.append(Level("}", "}"))
        return pos + 1

    def _at_member(self, text: str, pos: int, final: bool) -> int:
        ch = text[pos]
        if ch in BLANKS:
            return pos + 1
        token, marker = self._special(text, pos, final)
        self._key_at = self.base + pos
        if token or ch in "\"'":
            return self._open(text, pos, bool(token), True)
        if marker:
            return self._end_here(pos)
        if ch in "}])":
            return self._close(ch, pos)
        if ch == ",":
            self._tell("double-comma", "a comma without a member before it", pos, pos + 1)
            return pos + 1
        if ch in "{[:=":
            self._tell(
                "non-object-arguments" if ch in "{[" else "missing-value", "a value without a key", pos, pos
            )
            self._set_key(f'"{escape(self._no_name())}"')
            self._state = COLON if ch in ":=" else VALUE
            return pos
        self._state = _KEY
        return pos

    def _no_name(self) -> str:
        only = self._schema.only_required if self._schema is not None and len(self._path) == 1 else None
        return only or "input"

    def _in_bare_key(self, text: str, pos: int, final: bool) -> int:
        match = self._patterns.key.match(text, pos)
        if match is not None:
            return self._hold(match[0], pos, len(match[0]))
        token, marker = self._special(text, pos, final)
        ch = text[pos]
        if not (token or marker) and ch not in ":=,{}[]\"'" and not self._is_closer(ch):
            return self._hold(ch, pos, 1)
        key = "".join(self._item).strip(BLANKS)
        if not (marker or ch == "," or self._is_closer(ch)) or not self._levels[-1].empty:
            self._release()
            self._set_key(f'"{escape(key)}"')
            self._state = COLON
            return pos
        self._unnamed(pos)  # text where the arguments should be
        self._release()
        self._begin_bare()
        self._bare_text(key, pos)
        self._finish_bare()
        return pos

    def _unnamed(self, pos: int) -> None:
        self._tell("non-object-arguments", "a value without a key", pos)
        self._set_key(f'"{escape(self._no_name())}"')

    def _set_key(self, key: str) -> None:
        self._key = key
        self._path[-1] = json.loads(key, strict=False)

    def _at_colon(self, text: str, pos: int, final: bool) -> int:
        ch = text[pos]
        if ch in BLANKS:
            return pos + 1
        marker = self._marker(text, pos, final)
        key = self._key
        if ch in ":=":
            self._state = VALUE
            level = self._levels[-1]
            if key in level.keys:
                at = self._key_at - self.base
                self._tell("duplicate-key", f"the key {key} comes twice", at, at)
            level.keys.add(key)
            if ch == "=":
                self._tell("missing-colon", "'=' behind a key", pos, pos + 1)
            return pos + 1
        if marker or ch == "," or self._is_closer(ch):
            if not self._levels[-1].empty:
                self._no_value(pos)
            else:
                self._unnamed(pos)
                self._emit(key)
                self._state = AFTER
            return pos
        self._tell("missing-colon", "no colon behind a key", pos)
        self._state = VALUE
        return pos

    # -- values ---------------------------------------------------------------------------------------------------

    def _param(self) -> ParamSchema | None:
        return None if self._schema is None else self._schema.at(tuple(self._path))

    def _at_value(self, text: str, pos: int, final: bool) -> int:
        ch = text[pos]
        if ch in BLANKS:
            return pos + 1
        token, marker = self._special(text, pos, final)
        if token or ch in "\"'":
            return self._open(text, pos, bool(token), False)
        if marker or ch == "," or self._is_closer(ch):
            if self._levels[-1].json == "]":
                if ch != "," or marker:
                    return self._end_here(pos) if marker else self._close(ch, pos)
                self._tell("double-comma", "a comma without a member before it", pos, pos + 1)
                return pos + 1
            param = self._param()
            if param is not None and param.only_string:
                self._emit('""')
                self._state = AFTER
            else:
                self._no_value(pos)
            return pos
        if ch in "{[":
            param = self._param()
            if param is None or not param.only_string:
                self._push(ch, pos)
                return pos + 1
        self._begin_bare()
        return pos

    def _open(self, text: str, pos: int, token: bool, key: bool) -> int:
        """A string begins at `pos`, with a quote token or an ordinary quote."""
        self._in_key = key
        self._quoted = text[pos]
        if not token and not key:
            self._tell("missing-quote", "an ordinary quote in place of the quote token", pos, pos + 1)
        if not key:
            param = self._param() if token and self._coerce else None
            if param is None or param.only_string:
                self._emit('"')
            else:
                self._begin_typed(param)
        self._state = _STRING if token else _QUOTED
        return pos + (len(self._quote) if token else 1)

    def _content(self, piece: str, pos: int, length: int) -> int:
        """`piece` is the JSON text of the next `length` characters of a string."""
        if self._in_key:
            return self._hold(piece, pos, length)
        self.out.append(piece)
        return pos + length

    def _end_string(self, pos: int) -> int:
        if self._in_key:
            self._set_key(f'"{self._release()}"')
            self._state = COLON
        elif self._typed is not None:
            self._finish_bare()
        else:
            self.out.append('"')
            self._state = AFTER
        return pos

    def _in_string(self, text: str, pos: int, final: bool) -> int:
        quote = self._quote
        at = text.find(quote, pos)
        if at < 0:  # half a token at the end waits, and is markup if no more comes
            half = range(min(len(quote) - 1, len(text) - pos), 0, -1)
            at = len(text) - next((n for n in half if text.endswith(quote[:n])), 0)
            if at == pos:
                raise More
        if at > pos:
            if self._typed is not None:
                self._typed.base = self.base + pos
                self._typed.feed(text[pos:at])
                self._drain()
                return self._give_up() if self._typed.failed else at
            return self._content(escape(text[pos:at]), pos, at - pos)
        return self._end_string(at + len(quote))

    def _in_quoted(self, text: str, pos: int, final: bool) -> int:
        """Between ordinary quotes: escapes as in JSON."""
        quote = self._quoted
        match = _ORDINARY[quote].match(text, pos)
        if match is not None:
            return self._content(escape(match[0]), pos, len(match[0]))
        ch = text[pos]
        if ch == "\\":
            if not final and _HALF_ESCAPE.fullmatch(text, pos, pos + 12) and pos + 12 > len(text):
                raise More
            match = _ESCAPE.match(text, pos)
            if match is not None:
                return self._content(match[0], pos, len(match[0]))
            if text.startswith("'", pos + 1):
                return self._content("'", pos, 2)
            return self._content("\\\\", pos, 1)
        dangling = False  # a quote token behind the quote closes the string as well
        if ch == quote:
            dangling = pos + 1 < len(text) and self._token(text, pos + 1, final)
            ends = dangling or self._ends(text, pos + 1, final)
        else:  # a raw newline
            ends = self._lacks_quote(text, pos, final)
        if not ends:
            if ch == quote:
                self._tell("inner-quote", "a quote inside the string is not escaped", pos, pos + 1)
            return self._content(escape(ch), pos, 1)
        if ch != quote:
            self._tell("missing-quote", "the string has no closing quote", pos)
        return self._end_string(pos + (ch == quote) + (len(self._quote) if dangling else 0))

    # -- bare text --------------------------------------------------------------------------------------------------

    def _begin_bare(self) -> None:
        self._begin_typed(self._param(), "json")
        self._raw.clear()
        self._nest.clear()
        self._state = _BARE

    def _bare_text(self, piece: str, pos: int) -> int:
        """More of a bare value, at `pos`; the blanks before it belong to it."""
        value = self._typed
        assert value is not None
        blanks = self._release()
        value.base = self.base + pos - len(blanks)
        if not value.streaming:
            self._raw.append(blanks + piece)
        value.feed(blanks + piece)
        self._drain()
        if value.streaming:
            self._raw.clear()
        return self._give_up() if value.failed else pos + len(piece)

    def _finish_bare(self) -> None:
        """The bare value is whole."""
        self._finish_typed()
        self._release()  # blanks behind it
        self._state = AFTER

    def _in_bare(self, text: str, pos: int, final: bool) -> int:
        match = self._patterns.bare.match(text, pos)
        if match is not None:
            return self._bare_text(match[0], pos)
        ch = text[pos]
        if ch in BLANKS:
            end = past(_BLANK_RUN, text, pos)
            return self._hold(text[pos:end], pos, end - pos)
        token, marker = self._special(text, pos, final)
        if token:
            return self._missing_token(text, pos, final)
        ends = marker
        nest = self._nest
        if marker or self._is_closer(ch):
            ends = marker or not nest.get(ch)
            if not ends:
                nest[ch] -= 1
        elif ch in PAIRS and self._is_closer(PAIRS[ch]):
            nest[PAIRS[ch]] = nest.get(PAIRS[ch], 0) + 1
        elif ch == "," and not any(nest.values()):
            ends = self._splits(text, pos + 1, final)
        if not ends:
            return self._bare_text(ch, pos)
        self._finish_bare()
        return pos

    def _missing_token(self, text: str, pos: int, final: bool) -> int:
        """A quote token in bare text, which is a string then: its end, if what follows may follow a value."""
        behind = pos + len(self._quote)
        self._in_key = False
        ends = self._ends(text, behind, final)
        value = self._typed
        assert value is not None
        self._tell("missing-quote", "a string has no opening quote token", pos)
        blanks = self._release()
        if value.streaming:
            self.out.append(escape(blanks))
        else:
            self._emit('"' + escape("".join(self._raw) + blanks))
        self._typed = None
        self._state = _STRING
        return self._end_string(behind) if ends else behind

    # -- behind a value ---------------------------------------------------------------------------------------------

    def _at_after(self, text: str, pos: int, final: bool) -> int:
        ch = text[pos]
        if ch in BLANKS:
            return pos + 1
        token, marker = self._special(text, pos, final)
        level = self._levels[-1]
        if marker or (not level.json and ch != level.closer):
            return self._end_here(pos)
        if ch == ",":
            self._state = VALUE if level.json == "]" else MEMBER
            return pos + 1
        if ch in "}])":
            return self._close(ch, pos)
        if level.json == "]":
            follows = token or ch in "\"'{[" or ch.isalnum()
        else:
            follows = self._names_key(text, pos, final, False)
        if follows:
            self._tell("missing-comma", "no comma between two members", pos)
            self._state = VALUE if level.json == "]" else MEMBER
            return pos
        self._tell("junk", "text behind a value", pos)
        self._state = _JUNK
        return pos

    def _in_junk(self, text: str, pos: int, final: bool) -> int:
        match = self._patterns.junk.match(text, pos)
        if match is not None:
            return match.end()
        marker = self._marker(text, pos, final)
        if marker or text[pos] in ",}])":
            self._state = AFTER
            return pos
        return pos + 1

    _READ: ClassVar = {
        MEMBER: _at_member,
        COLON: _at_colon,
        VALUE: _at_value,
        AFTER: _at_after,
        _START: _at_start,
        _WRAP: _at_wrap,
        _KEY: _in_bare_key,
        _BARE: _in_bare,
        _STRING: _in_string,
        _QUOTED: _in_quoted,
        _JUNK: _in_junk,
    }
