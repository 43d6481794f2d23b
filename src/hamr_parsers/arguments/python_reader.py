r"""Python keyword arguments, `city="Paris", days=2, opts={'a': [1, None]})`, as a JSON object, append-only.

Theory. The reader stands behind a call's opening parenthesis and ends behind the closing one. It is an automaton
with a stack of the brackets that are open; every character is looked at once, but for a look of at most 64
characters ahead where two readings are possible: whether a quote ends its string, and whether a comma ends a value
without quotes. Where the arguments are Python literals, Python's own reading wins; only where they are not are
quotes taken for content, commas and closers inserted, and bare words taken for strings, each with a diagnostic.

What is held back: a key, until its value begins; numbers and words, until they end; a string, never, but for half
an escape. Two openers do not say what they open: `(` may be a tuple or mere parentheses, `{` a dict or a set. Their
first member is held until `,`, `:` or the closer tells. Anything held when the text stops is dropped.

Python says more than JSON can: tuples and sets become arrays, keys become strings, what is no literal (a name, a
call, an expression) becomes the string of its text, and so do numbers that are not finite.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ..events import Diagnostic
from .json_nodes import SMART
from .numbers import FLOAT, MAX_NUMBER, number
from .reader import ArgumentsReader
from .schema import ParamSchema, ToolSchema
from .tagged import TextValue, escape

if TYPE_CHECKING:
    from .json_mend import Boundary

__all__ = ["PythonArgumentsReader"]


_WINDOW = 64
_BLANKS = " \t\r\n\f"
_BLANK_RUN = re.compile(r"[ \t\r\n\f]+")
_GAP = re.compile(r"(?:[ \t\r\n\f]|\\\r?\n)+")
"""Blanks and line continuations."""
_CONTINUED = re.compile(r"\\\r?\n")
_NAME_RUN = re.compile(r"[^\W\d][\w.\-]*")
_GLUED = re.compile(r"([+-]?[0-9][0-9.]{0,63})([A-Za-z_]\w{0,63})")
"""A number and the name of the next argument, without the comma."""
_VALUE_BEGINS = re.compile(r"""[ \t]{0,8}(?:["'\[{(0-9\-]|[Tt]rue|[Ff]alse|None|null)""")
_PREFIX = re.compile(r"[rRbBfFuU]{1,2}(?=[\"'])")
_QUOTES = "\"'" + "".join(SMART)
_CLOSERS = ")]}"

# States
_ITEM, _COLON, _VALUE, _AFTER, _BARE, _STRING, _COMMENT, _ADJACENT = range(8)
# What a string or bare text is going to be
_IS_VALUE, _IS_KEY, _IS_ITEM, _IS_JUNK = range(4)
# Levels of the stack: arguments, list, tuple, dict, set, and the undecided: parenthesis and brace; a dict whose
# entries are the arguments.
_ARGS, _LIST, _TUPLE, _DICT, _SET, _PAREN, _BRACE, _MERGED = range(8)
_ENDS_WITH = {_LIST: "]", _TUPLE: ")", _DICT: "}", _SET: "}", _PAREN: ")", _BRACE: "}", _MERGED: "}"}
_JSON_CLOSER = {_ARGS: "}", _LIST: "]", _TUPLE: "]", _DICT: "}", _SET: "]", _MERGED: ""}

_NO, _CLOSES, _JOINS = range(
    3
)  # what a quote does: it is content, it ends the string, another string is joined


class _Level:
    __slots__ = ("empty", "kind", "mark")

    def __init__(self, kind: int, mark: int = -1) -> None:
        self.kind = kind
        self.empty = True
        self.mark = mark  # where in `pending` the opener of an undecided level goes


@lru_cache(maxsize=64)
def _bare_run(first: str) -> re.Pattern[str]:
    """What needs no look in text without quotes; `first` are the possible first characters of markers."""
    return re.compile(r"""[^ \t\r\n\f,:=()\[\]{}"'\\""" + re.escape(first) + "]+")


@lru_cache(maxsize=64)
def _string_run(quote: str, lines: bool, first: str, raw: bool) -> re.Pattern[str]:
    """What needs no look inside a string: text, the common escapes, and in triple quotes (`lines`) newlines and
    quotes that are fewer than three. One piece a match, and the same text whatever the cutting. `quote`: what may
    end the string."""
    stops = "" if lines else r"\r\n"
    if first and not lines:
        stops += ")"
    parts = ["[^" + quote + "\\\\" + stops + "]++"]
    if not raw:
        parts.append("\\\\[\\\\'\"abfnrtv]")
    if lines:
        parts.append(f"{quote}{{1,2}}(?=[^{quote}])")
    return re.compile("(?:" + "|".join(parts) + ")++")


@lru_cache(maxsize=64)
def _comment_run(first: str) -> re.Pattern[str]:
    return re.compile(r"[^\n" + re.escape(first) + "]+")


_SIMPLE_ESCAPES = {
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_SIMPLE_ESCAPE = re.compile(r"\\(.)")


def _unescaped(match: re.Match[str]) -> str:
    return _SIMPLE_ESCAPES[match[1]]


_HEX_LENGTH = {"x": 2, "u": 4, "U": 8}
_HEX = re.compile(r"[0-9a-fA-F]*")
_OCTAL = re.compile(r"[0-7]{1,3}")

_WORDS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})


class PythonArgumentsReader(ArgumentsReader):
    """Reads the arguments of one Python call up to and including its closer.

    Args:
        boundary, max_depth, schema, max_held: see `ArgumentsReader`.
        closer: the character that ends the arguments.
        coerce: strings whose parameter is not a string are typed by the schema, as bare text is
            (`days="2"`).
        unions: that goes also for parameters that may be a string beside another type, as in dialects that quote
            every value.
    """

    __slots__ = (
        "_at",
        "_at_start",
        "_bare",
        "_bare_length",
        "_bare_multi",
        "_blanks",
        "_cap",
        "_closer",
        "_coerce",
        "_colons",
        "_ends",
        "_given",
        "_high",
        "_inner_quote",
        "_item",
        "_item_length",
        "_key",
        "_line_told",
        "_nest",
        "_nest_quote",
        "_param",
        "_pending",
        "_positional",
        "_quote",
        "_quoted_keys",
        "_raw",
        "_role",
        "_run",
        "_since",
        "_stack",
        "_stars",
        "_start",
        "_state",
        "_text_value",
        "_triple",
        "_undecided",
        "_unions",
    )

    def __init__(
        self,
        boundary: Boundary | None = None,
        max_depth: int = 200,
        schema: ToolSchema | None = None,
        closer: str = ")",
        *,
        coerce: bool = False,
        unions: bool = True,
        max_held: int = 1 << 20,
    ) -> None:
        super().__init__(boundary, max_depth, schema, max_held)
        self._closer = closer
        self._coerce = coerce
        self._unions = unions
        self._since = -1  # where what is held begins
        self._at = 0
        self._cap = 0  # index where the text may not be held any further
        self._state = _ITEM
        self._stack = [_Level(_ARGS)]
        self._key = ""  # JSON text of the key whose value comes next
        self._param: ParamSchema | None = None  # of that key
        self._at_start = False  # the comment stands before a member
        self._colons = False  # an argument's name was followed by a colon
        self._quoted_keys = False  # an argument's name was in quotes
        self._stars = False  # `**` stands before the item
        self._positional = 0
        self._start = 0  # absolute offset of the string or bare text that is being read
        self._given = False  # the `{` of the arguments was given out
        # Bare text: pieces, blanks that may belong to it, brackets open within it
        self._role = _IS_VALUE
        self._bare: list[str] = []
        self._bare_length = 0
        self._bare_multi = False  # cannot be a scalar any more
        self._blanks: list[str] = []
        self._nest: list[str] = []
        self._nest_quote = ""
        # Strings
        self._quote = '"'  # nothing for the quotes of word processors
        self._ends = '"'  # the quotes that may end it
        self._triple = False
        self._raw = False
        self._run = _string_run('"', False, "", False)
        self._high = ""  # half of a surrogate pair
        self._line_told = False
        self._inner_quote = False  # a quote of it was content
        self._item: list[str] = []  # content of a string that may be a key
        self._item_length = 0
        self._text_value: TextValue | None = None
        # Output that waits for an undecided level
        self._undecided = 0
        self._pending: list[str] = []

    # -- the protocol -----------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Characters consumed since what is held began, 0 if nothing is."""
        return 0 if self._since < 0 else self._at - self._since

    def fast(self, chunk: str) -> str | None:
        """What to give out for `chunk` if it lies within a plain string; None if `feed` must take it."""
        if (
            self._state != _STRING
            or self._role != _IS_VALUE
            or self._undecided
            or self._text_value is not None
            or self._high
            or self._quote in chunk
        ):
            return None
        if not self._triple and ((")" in chunk and self._first) or "\n" in chunk or "\r" in chunk):
            return None
        if "\\" in chunk:
            match = None if self._raw else self._run.fullmatch(chunk)
            if match is None:
                return None
            return escape(_SIMPLE_ESCAPE.sub(_unescaped, chunk))
        if chunk.isprintable() and '"' not in chunk:
            return chunk
        return escape(chunk)

    def feed(self, text: str, pos: int, final: bool) -> int:
        """Take text from `pos` on; returns the position up to which it was consumed."""
        end = len(text)
        base = self.base
        while not self.done and pos < end:
            since = self._since
            self._cap = (pos if since < 0 else since - base) + self._max_held
            if pos >= self._cap:
                self._tell(
                    "max-held", f"more than {self._max_held} characters that cannot be given out", pos, pos
                )
                self._stop()
                break
            state = self._state
            if state == _STRING:
                new = self._in_string(text, pos, final)
            elif state == _BARE:
                new = self._in_bare(text, pos, final)
            else:
                new = self._between(text, pos, final)
            if new < 0:
                break
            if not (self._undecided or self._key or self._bare or self._blanks or self._item):
                self._since = -1
            elif since < 0:
                self._since = base + pos
            pos = new
        if final and not self.done:
            self._stop()
            pos = end
        self._at = base + pos
        return pos

    # -- giving out -----------------------------------------------------------------------------------------

    def _emit(self, piece: str) -> None:
        if self._undecided:
            self._pending.append(piece)
        elif piece:
            self.out.append(piece)

    def _lead(self) -> str:
        """What stands before the value that begins now: opener, comma, key."""
        level = self._stack[-1]
        target = self._stack[0] if level.kind == _MERGED else level
        lead = "" if target.empty else ", "
        if target.kind == _ARGS and not self._given:
            self._given = True
            self.out.append("{")  # also if what follows is held: nothing undecided is open here
        target.empty = level.empty = False
        if level.kind in (_ARGS, _DICT, _MERGED):
            lead += self._key + ": "
            self._key = ""
        return lead

    def _emit_value(self, value: str) -> None:
        self._emit(self._lead() + value)

    def _decide(self, level: _Level, kind: int, opener: str) -> None:
        """An undecided level turns out to be `kind`; what waited for it comes out, if nothing else is undecided."""
        level.kind = kind
        if level.mark >= 0:
            self._pending[level.mark] += opener
            level.mark = -1
            self._undecided -= 1
            if not self._undecided:
                self.out.extend(piece for piece in self._pending if piece)
                self._pending.clear()

    # -- levels ---------------------------------------------------------------------------------------------

    def _push(self, kind: int, pos: int) -> bool:
        """Open a bracket; False if it is too deep, then the reader is done."""
        if len(self._stack) >= self._max_depth:
            self._tell("too-deep", f"nested deeper than {self._max_depth} levels", pos, pos + 1)
            self._stop()
            return False
        if kind == _MERGED:
            self._stack.append(_Level(kind))
        elif kind in (_PAREN, _BRACE):
            lead = self._lead()
            self._undecided += 1
            self._emit(lead)
            self._stack.append(_Level(kind, len(self._pending) - 1))
        else:
            self._emit_value("[")
            self._stack.append(_Level(kind))
        self._state = _ITEM
        return True

    def _pop(self) -> None:
        """Close the innermost level."""
        level = self._stack.pop()
        kind = level.kind
        self._state = _AFTER
        self._key = ""
        if kind == _ARGS:
            self._emit("}" if self._given else "{}")
            self._given = self.done = True
            return
        if kind == _PAREN:
            if level.empty:
                self._decide(level, _TUPLE, "[")
                self._emit("]")
            else:
                self._decide(level, _PAREN, "")  # mere parentheses
            return
        if kind == _BRACE:
            if level.empty:
                self._decide(level, _DICT, "{")
            else:
                self._decide(level, _SET, "[")
            kind = level.kind
        self._emit(_JSON_CLOSER[kind])

    def _close(self, ch: str, pos: int) -> int:
        """A closer stands at `pos`; returns the position behind it, or `pos` if it belongs to somebody else."""
        stack = self._stack
        index = len(stack) - 1
        while index >= 0 and (self._closer if not index else _ENDS_WITH[stack[index].kind]) != ch:
            index -= 1
        if index >= 0:
            while len(stack) - 1 > index:
                self._tell(
                    "missing-closer", f"{_opened(stack[-1].kind)} is not closed before {ch!r}", pos, pos
                )
                self._pop()
            self._pop()
            return pos + 1
        if len(stack) > 1:
            self._tell("wrong-closer", f"{ch!r} closes {_opened(stack[-1].kind)}", pos, pos + 1)
            self._pop()
            return pos + 1
        if ch == "]":  # of the list that the call stands in
            self._end_here(pos)
            return pos
        self._tell("extra-closer", f"{ch!r} closes nothing", pos, pos + 1)
        return pos + 1

    def _end_here(self, pos: int) -> None:
        """The call ends without its closer: a marker stands at `pos`."""
        while not self.done:
            level = self._stack[-1]
            closer = self._closer if level.kind == _ARGS else _ENDS_WITH[level.kind]
            self._tell("missing-closer", f"{closer!r} is missing", pos, pos)
            self._pop()

    def _stop(self) -> None:
        """The text ends, or the reader gives up, inside the arguments."""
        self.done = self.cut = True
        closing: list[str] = []
        levels = self._stack
        undecided = next((n for n, level in enumerate(levels) if level.mark >= 0), -1)
        if undecided >= 0:
            levels = levels[:undecided]  # all that is in it was held
        elif self._state in (_STRING, _ADJACENT) and self._role == _IS_VALUE:
            value = self._text_value
            if value is None:
                closing.append('"')
            else:
                closing.append(value.cut() or "")
                self._take_typed(value)
        for level in reversed(levels):
            closing.append(_JSON_CLOSER[level.kind])
        if not self._given:
            closing.append("{}")
            del closing[:-1]
        self.closing = "".join(closing)
        self._key = ""
        self._text_value = None
        for pieces in (self._bare, self._blanks, self._item, self._pending):
            pieces.clear()
        self._bare_length = self._item_length = 0

    # -- between values -----------------------------------------------------------------------------------------

    def _between(self, text: str, pos: int, final: bool) -> int:
        state = self._state
        ch = text[pos]
        if state == _COMMENT:
            return self._in_comment(text, pos, final)
        if ch in _BLANKS:
            match = _BLANK_RUN.match(text, pos, self._cap)
            assert match is not None
            return match.end()
        if ch == "\\":
            new = _continued(text, pos, final)
            if new != pos:
                return new
        if state == _ADJACENT:
            return pos + 1 if ch == "+" else self._open_string(text, pos, final)
        marker = self._marker(text, pos, final)
        if marker is None:
            return -1
        if state == _COLON:
            return self._at_colon(ch, pos, bool(marker))
        if marker:
            if state == _VALUE:
                self._no_value(pos)
            self._end_here(pos)
            return pos
        if ch in _CLOSERS or ch == self._closer:
            if state == _VALUE:
                self._no_value(pos)
            return self._close(ch, pos)
        if state == _ITEM:
            return self._at_item(text, pos, ch, final)
        if state == _VALUE:
            if ch == ",":
                self._no_value(pos)
                return pos
            return self._at_value(text, pos, ch, final)
        return self._at_after(text, pos, ch, final)

    def _in_comment(self, text: str, pos: int, final: bool) -> int:
        match = _comment_run(self._first).match(text, pos)
        if match is not None:
            return match.end()
        marker = self._marker(text, pos, final)
        if marker is None:
            return -1
        if marker or text[pos] == "\n":
            self._state = _ITEM if self._at_start else _AFTER
            return pos
        return pos + 1

    def _no_value(self, pos: int) -> None:
        self._tell("missing-value", f"no value for {self._key}; the key is dropped", pos, pos)
        self._key = ""
        self._state = _AFTER

    def _at_item(self, text: str, pos: int, ch: str, final: bool) -> int:
        """Where a member begins: an argument, an entry, an element."""
        level = self._stack[-1]
        if ch == ",":
            self._tell("double-comma", "a comma without a member before it", pos, pos + 1)
            return pos + 1
        if ch == "*":
            self._stars = True
            return pos + 1
        if ch == "#":
            self._state = _COMMENT
            self._at_start = True
            return pos + 1
        if level.kind in (_DICT, _MERGED):
            self._role = _IS_KEY
            return self._begin_scalar(text, pos, final)
        if level.kind != _ARGS:
            if level.kind == _BRACE and ch in "{[":  # no key of a dict
                self._decide(level, _SET, "[")
            return self._at_value(text, pos, ch, final)
        if ch == "{":
            if self._stars or (level.empty and self._takes_dict()):
                if not self._stars:
                    self._tell("non-object-arguments", "a dict in place of keyword arguments", pos, pos + 1)
                self._stars = False
                self._push(_MERGED, pos)
                return pos + 1
        if ch in "{[(":
            self._name_positional(pos)
            return self._at_value(text, pos, ch, final)
        self._role = _IS_ITEM
        return self._begin_scalar(text, pos, final)

    def _takes_dict(self) -> bool:
        """Whether a dict in first position is the arguments themselves, and not the first argument."""
        if self._schema is None or not self._schema.parameter_names:
            return True
        first = self._schema.param(self._schema.parameter_names[0])
        return first is not None and not first.object

    def _name_positional(self, pos: int) -> None:
        names = () if self._schema is None else self._schema.parameter_names
        index = self._positional
        self._positional += 1
        name = names[index] if index < len(names) else f"arg{index}" if index else "input"
        self._tell("non-object-arguments", f"an argument without name; taken for {name!r}", pos, pos)
        self._set_key(name)

    def _set_key(self, name: str) -> None:
        self._key = f'"{escape(name)}"'
        named = self._stack[-1].kind in (_ARGS, _MERGED)
        self._param = self._schema.param(name) if named and self._schema is not None else None

    def _begin_scalar(self, text: str, pos: int, final: bool) -> int:
        """A string or bare text begins, in the role that was set."""
        new = self._open_string(text, pos, final)
        if new == -2:
            self._state = _BARE
            self._bare_multi = False
            self._start = self.base + pos
            return pos
        return new

    def _at_value(self, text: str, pos: int, ch: str, final: bool) -> int:
        if self._stack[-1].kind not in (_ARGS, _DICT, _MERGED):
            self._param = None
        if ch in "[({":
            kind = _LIST if ch == "[" else _PAREN if ch == "(" else _BRACE
            self._push(kind, pos)
            return pos + 1
        self._role = _IS_VALUE
        return self._begin_scalar(text, pos, final)

    def _at_colon(self, ch: str, pos: int, marker: bool) -> int:
        """Behind a quoted key, or behind a string that may have been one."""
        if self._role == _IS_ITEM and (marker or ch not in ":="):
            self._positional_string(pos)
            self._end_string(pos)
            return pos
        if self._role == _IS_ITEM:
            self._role = _IS_KEY
            self._quoted_keys = True
            self._end_string(pos)
        if marker or ch == "," or ch in _CLOSERS:
            self._no_value(pos)
            return pos
        self._state = _VALUE
        named = self._stack[-1].kind == _ARGS
        if ch == ":" or ch == "=":
            if (ch == "=") != named:
                self._colons = self._colons or named
                self._tell("missing-colon", f"{ch!r} behind a key", pos, pos + 1)
            return pos + 1
        self._tell("missing-colon", "no colon behind a key", pos, pos)
        return pos

    def _at_after(self, text: str, pos: int, ch: str, final: bool) -> int:
        """Behind a value."""
        level = self._stack[-1]
        kind = level.kind
        if ch == ",":
            self._decide_by_comma(level)
            self._state = _ITEM
            self._stars = False
            return pos + 1
        if ch == "#":
            self._state = _COMMENT
            self._at_start = False
            return pos + 1
        if kind == _BRACE and ch == ":":
            self._take_key(level)
            return pos + 1
        follows: bool | None
        if kind == _ARGS:
            limit, full = _window(text, pos, final)
            follows = _names_argument(text, pos, limit, full, self._colons)
            if follows is None:
                return -1
        else:
            follows = (
                ch in "\"'-" or ch.isalnum() or ch == "_" or (ch in "[{" and kind not in (_DICT, _MERGED))
            )
        if follows:
            self._tell("missing-comma", "no comma between two members", pos, pos)
            self._decide_by_comma(level)
            self._state = _ITEM
            return pos
        self._role = _IS_JUNK
        self._state = _BARE
        self._bare_multi = True
        self._start = self.base + pos
        return pos

    def _decide_by_comma(self, level: _Level) -> None:
        if level.kind == _PAREN:
            self._decide(level, _TUPLE, "[")
        elif level.kind == _BRACE:
            self._decide(level, _SET, "[")

    def _take_key(self, level: _Level) -> None:
        """A colon behind the first member of a brace: it is a dict, and the member was a key."""
        mark = level.mark
        key = "".join(self._pending[mark + 1 :])
        del self._pending[mark + 1 :]
        level.empty = True
        self._decide(level, _DICT, "{")
        self._key = key if key.startswith('"') else f'"{escape(key)}"'
        self._param = None
        self._state = _VALUE

    # -- bare text: numbers, words, and what is neither -------------------------------------------------------------

    def _in_bare(self, text: str, pos: int, final: bool) -> int:
        match = _bare_run(self._first).match(text, pos, self._cap)
        if match is not None and not self._blanks:
            self._add_bare(match[0])
            return match.end()
        ch = text[pos]
        if ch in _BLANKS:
            match = _BLANK_RUN.match(text, pos, self._cap)
            assert match is not None
            self._blanks.append(match[0])
            self._bare_length += len(match[0])
            return match.end()
        if ch == "\\" and not self._nest:
            new = _continued(text, pos, final)
            if new > pos:
                self._blanks.append(text[pos:new])
                self._bare_length += new - pos
            if new != pos:
                return new
        marker = self._marker(text, pos, final)
        if marker is None:
            return -1
        if marker:
            self._end_bare(pos)
            if self._state == _VALUE:
                self._no_value(pos)
            self._end_here(pos)
            return pos
        if self._nest:
            return self._in_nest(text, pos, ch, final)
        if ch in _CLOSERS or ch == self._closer:
            return self._end_bare(pos)
        role = self._role
        kind = self._stack[-1].kind
        if ch == ",":
            if role == _IS_VALUE and kind == _ARGS and not self._is_scalar():
                limit, full = _window(text, pos + 1, final)
                follows = self._argument_follows(text, pos + 1, limit, full, final)
                if follows is None:
                    return -1
                if not follows:  # city=Paris, France, days=2
                    return self._add_one(ch, pos)
            return self._end_bare(pos)
        if ch == ":" or ch == "=":
            ends = False
            if role == _IS_KEY:
                ends = True
            elif role == _IS_ITEM:
                ends = not self._bare_multi and _NAME_RUN.fullmatch("".join(self._bare)) is not None
            elif role == _IS_VALUE and kind == _BRACE:
                ends = ch == ":"
            if ends and ch == "=":
                if pos + 1 == len(text) and not final:
                    return -1
                ends = not text.startswith("==", pos)
            if ch == "=" and role == _IS_VALUE and kind == _ARGS and not self._bare_multi:
                if pos + 1 == len(text) and not final:
                    return -1
                if self._unglue(text, pos):
                    return pos + 1
            if ch == "=" and kind in (_LIST, _TUPLE, _DICT) and len(self._stack) == 2:
                if pos + 1 == len(text) and not final:
                    return -1
                if self._closes_before(text, pos, kind):
                    return pos + 1
            if ends:
                if role == _IS_ITEM:
                    self._role = _IS_KEY
                    if ch == ":":
                        self._colons = True
                        self._tell("missing-colon", "':' behind an argument's name", pos, pos + 1)
                self._end_bare(pos, key=True)
                if kind == _BRACE:
                    return pos
                self._state = _VALUE
                return pos + 1
            return self._add_one(ch, pos)
        if self._blanks:  # two words: one text, or two members without a comma
            apart: bool | None = False
            if ch == "#" and self._is_scalar():
                apart = True
            elif kind == _ARGS:
                limit, full = _window(text, pos, final)
                apart = _names_argument(text, pos, limit, full, self._colons)
            elif role == _IS_VALUE:
                apart = self._is_scalar() or (kind in (_DICT, _MERGED) and ch in "\"'")
            if apart is None:
                return -1
            if apart:
                return self._end_bare(pos)
            self._bare_multi = True
            self._join_blanks()
            return pos
        if ch in "([{":
            if len(self._nest) < self._max_depth:
                self._nest.append(")" if ch == "(" else "]" if ch == "[" else "}")
                self._bare_multi = True
            return self._add_one(ch, pos)
        return self._add_one(ch, pos)

    def _unglue(self, text: str, pos: int) -> bool:
        """At `=` behind bare text: is that a value and, without a comma, the next argument's name?"""
        if text.startswith("==", pos) or self._bare_length > 2 * _WINDOW or self._is_scalar():
            return False
        token = "".join(self._bare)
        names = () if self._schema is None else self._schema.parameter_names
        glued = _GLUED.fullmatch(token)
        found = [name for name in names if token.endswith(name) and _is_scalar(token[: -len(name)])]
        if found:
            name = max(found, key=len)
        elif names or glued is None or not _is_scalar(glued[1]):
            return False
        else:
            name = glued[2]
        self._bare[:] = [token[: -len(name)]]
        self._end_bare(pos - len(name))
        self._tell("missing-comma", "no comma between two arguments", pos - len(name), pos - len(name))
        self._role = _IS_KEY
        self._set_key(name)
        self._state = _VALUE
        return True

    def _closes_before(self, text: str, pos: int, kind: int) -> bool:
        """At `=` behind a name in a list or dict: is that the next argument, because the closer was left out?"""
        names = () if self._schema is None else self._schema.parameter_names
        token = "".join(self._bare)
        if token not in names or self._stack[-1].empty or text.startswith("==", pos):
            return False
        self._bare.clear()
        self._blanks.clear()
        self._bare_length = 0
        start = pos - len(token)
        self._tell("missing-closer", f"{_opened(kind)} is not closed before {token}=", start, start)
        self._pop()
        self._role = _IS_KEY
        self._set_key(token)
        self._state = _VALUE
        return True

    def _add_bare(self, piece: str) -> None:
        self._bare.append(piece)
        self._bare_length += len(piece)

    def _add_one(self, ch: str, pos: int) -> int:
        self._join_blanks()
        self._add_bare(ch)
        if ch in ",:=":
            self._bare_multi = True
        return pos + 1

    def _join_blanks(self) -> None:
        if self._blanks:
            self._bare += self._blanks
            self._blanks.clear()

    def _in_nest(self, text: str, pos: int, ch: str, final: bool) -> int:
        """Brackets within bare text: `open("a, b")`."""
        self._join_blanks()
        if self._nest_quote:
            if ch == "\\":
                if pos + 1 == len(text) and not final:
                    return -1
                self._add_bare(text[pos : pos + 2])
                return min(pos + 2, len(text))
            if ch == self._nest_quote:
                self._nest_quote = ""
        elif ch in "\"'":
            self._nest_quote = ch
        elif ch in "([{":
            if len(self._nest) < self._max_depth:
                self._nest.append(")" if ch == "(" else "]" if ch == "[" else "}")
        elif ch == self._nest[-1]:
            self._nest.pop()
        self._add_bare(ch)
        return pos + 1

    def _is_scalar(self) -> bool:
        if self._bare_multi or self._bare_length > MAX_NUMBER:
            return False
        return _is_scalar("".join(self._bare))

    def _end_bare(self, pos: int, key: bool = False) -> int:
        token = "".join(self._bare)
        self._bare.clear()
        self._blanks.clear()
        self._nest.clear()
        self._nest_quote = ""
        self._bare_length = 0
        end = self.base + pos
        if self._role == _IS_JUNK:
            self._state = _AFTER
            self._report("junk", f"{_shown(token)} behind a value", end)
        elif self._role == _IS_KEY:
            name = token
            if self._stack[-1].kind != _ARGS:
                found = number(token)
                name = _WORDS.get(token) or found or token
                if name == token and token not in _WORDS and found is None:
                    self._report("unquoted-key", f"the key {_shown(token)} has no quotes", end)
            self._set_key(name)
            self._state = _COLON
        else:
            if self._role == _IS_ITEM:
                self._role = _IS_VALUE
                self._name_positional(pos)
            self._emit_value(self._bare_json(token, end, key))
            self._state = _AFTER
        return pos

    def _report(self, code: str, message: str, end: int) -> None:
        self.recovered = True
        self.out.append(Diagnostic(code, message, self._start, end))

    def _bare_json(self, token: str, end: int, key: bool) -> str:
        """The JSON text of a value without quotes, or of the first key of a brace."""
        param = self._param
        wants_string = param is not None and param.only_string
        word = _WORDS.get(token)
        if word is not None:
            return word
        found = number(token)
        if found is not None:
            return f'"{escape(token)}"' if wants_string else found
        lowered = token.lower()
        if not (param is not None and param.may_be_string):
            if lowered in ("true", "false", "none", "null"):
                self._report("literal-case", f"{token} is written {lowered.capitalize()}", end)
                return "null" if lowered == "none" else lowered
        if lowered.lstrip("+-") in _NOT_FINITE or (len(token) < 400 and FLOAT.fullmatch(token)):
            self._report("not-finite", f"{token} is no JSON number; it is kept as a string", end)
        else:
            code = "unquoted-key" if key else "unquoted-value"
            self._report(code, f"{_shown(token)} has no quotes; it is taken for a string", end)
        return f'"{escape(token)}"'

    # -- strings ----------------------------------------------------------------------------------------------------

    def _open_string(self, text: str, pos: int, final: bool) -> int:
        """A string begins at `pos`, if -2 is not returned; its prefix and quotes are consumed."""
        end = len(text)
        raw = False
        quote_at = pos
        smart = SMART.get(text[pos])
        if smart is not None:
            string = self._smart_string(text, pos, smart, final)
            if not string:
                return -1 if string is None else -2
            self._tell("smart-quotes", "a string in the quotes of a word processor", pos, pos + 1)
        elif text[pos] not in "\"'":
            match = _PREFIX.match(text, pos)
            if match is None:
                short = text[pos : pos + 3]
                if not final and len(short) < 3 and not short.strip("rRbBfFuU"):
                    return -1
                return -2
            raw = "r" in match[0].lower()
            quote_at = match.end()
        quote = text[quote_at]
        triple = smart is None and text.startswith(quote * 3, quote_at)
        if (
            smart is None
            and not triple
            and not final
            and end - quote_at < 3
            and text[quote_at:] == quote * (end - quote_at)
        ):
            return -1
        joined = self._state == _ADJACENT
        self._quote, self._triple, self._raw = "" if smart else quote, triple, raw
        self._ends = smart or quote
        self._run = _string_run(self._ends, triple, self._first, raw)
        self._line_told = self._inner_quote = False
        self._state = _STRING
        if not joined:
            self._start = self.base + pos
            self._text_value = None
            if self._role == _IS_VALUE:
                self._begin_string_value()
        return quote_at + (3 if triple else 1)

    def _smart_string(self, text: str, pos: int, ends: str, final: bool) -> bool | None:
        """Does a string begin with the smart quote at `pos`, and not a text without quotes? None: more is needed.

        Yes if one of the quotes that can be seen ends it, or none can be seen.
        """
        limit, full = _window(text, pos, final)
        seen = False
        window = text[pos:limit]
        for at in range(1, len(window)):
            if window[at] in ends[:-1]:
                seen = True
                verdict = self._verdict(window, at + 1, full)
                if verdict is None:
                    return None
                if verdict == _CLOSES:
                    return True
        return not seen if full else None

    def _begin_string_value(self) -> None:
        param = self._param
        if (
            self._coerce
            and param is not None
            and not (param.only_string if self._unions else param.may_be_string)
            and self._stack[-1].kind in (_ARGS, _MERGED)
        ):
            self._text_value = TextValue(param, max_depth=self._max_depth, max_held=self._max_held)
        else:
            self._emit_value('"')

    def _in_string(self, text: str, pos: int, final: bool) -> int:
        match = self._run.match(text, pos, self._cap)
        if match is not None:
            piece = match[0]
            if "\\" in piece and not self._raw:
                piece = _SIMPLE_ESCAPE.sub(_unescaped, piece)
            self._content(piece)
            return match.end()
        ch = text[pos]
        if ch == "\\":
            return self._escape(text, pos, final)
        if ch in self._ends:
            return self._at_triple(text, pos, final) if self._triple else self._at_quote(text, pos, final)
        boundary = self._boundary
        if ch == ")":
            # A missing quote at the end of the call: its closer, then a marker and what may follow that.
            at = pos + 1
            while at < len(text) and at < pos + 4 and text[at] in _CLOSERS:
                at += 1
            if at == len(text) and not final and at < pos + 4:
                return -1
            ends: bool | None = False
            if boundary is not None and at < len(text) and (text[at] in self._first or text[at] in "\r\n"):
                ends = boundary.ends_string(text, at, final)
        else:
            ends = False if boundary is None else boundary.ends_string(text, pos, final)
            if ends is False and not self._line_told:
                self._line_told = True
                self._tell("raw-newline", "a raw newline inside a string", pos, pos + 1)
        if ends is None and not final:
            return -1
        if ends:
            self._tell("missing-quote", "the string has no closing quote", pos, pos)
            self._end_string(pos)
            return pos
        self._content(ch)
        return pos + 1

    def _content(self, piece: str) -> None:
        """More of the string's decoded content."""
        if self._high:
            piece = self._high + piece
            self._high = ""
        if self._role != _IS_VALUE:
            self._item.append(piece)
            self._item_length += len(piece)
            if self._role == _IS_ITEM and self._item_length > _WINDOW:  # no key
                self._positional_string(-1)
            return
        value = self._text_value
        if value is None:
            self._emit(escape(piece))
        else:
            value.feed(piece)
            self._take_typed(value)

    def _take_typed(self, value: TextValue) -> None:
        """What the schema made of a string; its key waits until there is any."""
        for item in value.out:
            if isinstance(item, Diagnostic):  # its offsets are those of the content, not of the text
                self._report(item.code, item.message, self._start)
            else:
                self._emit(self._lead() + item if self._key else item)
        value.out.clear()

    def _positional_string(self, pos: int) -> None:
        """The string that was held because it might have been a key is a value."""
        self._role = _IS_VALUE
        self._name_positional(self._start - self.base if pos < 0 else pos)
        held = "".join(self._item)
        self._item.clear()
        self._item_length = 0
        high, self._high = self._high, ""
        self._begin_string_value()
        self._content(held)
        self._high = high

    def _end_string(self, pos: int) -> None:
        if self._high:
            self._content("")
        if self._role == _IS_VALUE:
            value = self._text_value
            if value is None:
                self._emit('"')
            else:
                value.finish()
                self._take_typed(value)
                self._text_value = None
            self._state = _AFTER
            return
        self._state = _COLON
        if self._role == _IS_KEY:
            self._set_key("".join(self._item))
            self._item.clear()
            self._item_length = 0

    def _escape(self, text: str, pos: int, final: bool) -> int:
        end = len(text)
        if pos + 1 == end:
            return end if final else -1  # half an escape at the end is dropped
        ch = text[pos + 1]
        if self._raw:
            self._content("\\" + ch)
            return pos + 2
        simple = _SIMPLE_ESCAPES.get(ch)
        if simple is not None:
            self._content(simple)
            return pos + 2
        if ch in "\r\n":  # the line goes on
            if ch == "\r":
                if pos + 2 == end and not final:
                    return -1
                if text.startswith("\n", pos + 2):
                    return pos + 3
            return pos + 2
        length = _HEX_LENGTH.get(ch)
        if length is not None:
            match = _HEX.match(text, pos + 2, pos + 2 + length)
            assert match is not None
            digits = match[0]
            if len(digits) == length and int(digits, 16) <= 0x10FFFF:
                self._character(chr(int(digits, 16)))
                return match.end()
            if match.end() == end and len(digits) < length:
                return end if final else -1
            self._tell("bad-escape", f"\\{ch} without its {length} hexadecimal digits", pos, pos + 2)
        elif ch in "01234567":
            match = _OCTAL.match(text, pos + 1)
            assert match is not None
            if match.end() == end and len(match[0]) < 3 and not final:
                return -1
            self._content(chr(int(match[0], 8)))
            return match.end()
        self._content("\\" + ch)  # Python leaves unknown escapes as they are
        return pos + 2

    def _character(self, ch: str) -> None:
        """A character from its number; the halves of a surrogate pair come one by one."""
        if "\ud800" <= ch <= "\udbff":
            if self._high:
                self._content("")
            self._high = ch
        elif self._high and "\udc00" <= ch <= "\udfff":
            pair = 0x10000 + ((ord(self._high) - 0xD800) << 10) + (ord(ch) - 0xDC00)
            self._high = ""
            self._content(chr(pair))
        else:
            self._content(ch)

    def _at_triple(self, text: str, pos: int, final: bool) -> int:
        quote = self._quote
        run = 1
        while run < 6 and text.startswith(quote, pos + run):
            run += 1
        if run < 6 and pos + run == len(text) and not final:
            return -1
        if run < 3:
            self._content(quote * run)
            return pos + run
        if 3 < run < 6:  # """He said "hi""""
            self._tell("inner-quote", "a quote right before the closing quotes", pos, pos + run - 3)
            self._content(quote * (run - 3))
            return pos + run - 3
        verdict = self._verdict(text, pos + 3, final)
        if verdict is None:
            return -1
        if verdict == _JOINS:
            self._state = _ADJACENT
        else:
            self._end_string(pos + 3)
        return pos + 3

    def _at_quote(self, text: str, pos: int, final: bool) -> int:
        verdict = self._verdict(text, pos + 1, final)
        if verdict is None:
            return -1
        if verdict == _NO:
            if self._quote:
                self._inner_quote = True
                self._tell("inner-quote", "a quote inside the string is not escaped", pos, pos + 1)
            self._content(text[pos])
        elif verdict == _JOINS:
            self._state = _ADJACENT
        else:
            self._end_string(pos + 1)
        return pos + 1

    def _verdict(self, text: str, start: int, final: bool) -> int | None:
        """What the quote before `start` does, judged by what follows it; None: more text is needed."""
        limit, full = _window(text, start, final)
        at = _skip(text, start, limit)
        if at >= limit:
            return _CLOSES if full else None
        ch = text[at]
        role = self._role
        kind = self._stack[-1].kind
        marker = self._marker(text, at, final)
        if marker is None:
            return None
        if marker:
            return _CLOSES
        if ch == ":":
            return _CLOSES if role != _IS_VALUE or kind == _BRACE else _NO
        if ch == "=" and role != _IS_VALUE:
            return _CLOSES
        if role == _IS_KEY:
            if ch == "}":
                return _CLOSES
        elif ch in _CLOSERS or ch == self._closer:
            # a string that has had inner quotes: "print("x")"
            while self._inner_quote and at < limit and (text[at] in _CLOSERS or text[at] == self._closer):
                at += 1
            if at >= limit:
                return _CLOSES if full else None
            return _NO if text[at] == self._quote else _CLOSES
        if ch == ",":
            return self._verdict_comma(text, at + 1, limit, full, final)
        if ch in "\"'":
            if at == start and ch == self._quote and not self._triple:
                # Two quotes: an inner one and the closing one, or the end of a string and the start of the next?
                after = _skip(text, at + 1, limit)
                if after >= limit:
                    return _NO if full else None
                return _NO if text[after] in ",:)]}" or self._inner_quote else _JOINS
            return _NO if self._inner_quote and ch == self._quote else _JOINS
        if ch == "+":
            after = _skip(text, at + 1, limit)
            if after >= limit:
                return _NO if full else None
            if text[after] in "\"'":
                return _JOINS
            if text[after] in "rRbBfFuU":
                if after + 3 > limit and not full:
                    return None
                return _JOINS if _PREFIX.match(text, after, limit) else _NO
            return _NO
        if at > start:
            if ch in "rRbBfFuU":
                if at + 3 > limit and not full:
                    return None
                if _PREFIX.match(text, at, limit):
                    return _JOINS
        if kind == _ARGS and (at > start or ch.isalpha() or ch == "_"):
            follows = self._next_argument(text, at, limit, full, at == start)
            return None if follows is None else _CLOSES if follows else _NO
        return _NO

    def _next_argument(self, text: str, at: int, limit: int, full: bool, glued: bool) -> bool | None:
        """Whether behind a quote the next argument begins, although there is no comma: it must be a parameter of the
        tool; where none is known, and no blank stands between (`glued`), a value must be seen behind the name."""
        follows = _names_argument(text, at, limit, full, self._colons)
        if not follows:
            return follows
        match = _NAME_RUN.match(text, at, limit)
        assert match is not None
        if self._schema is not None and self._schema.parameter_names:
            return match[0] in self._schema.parameter_names
        if not glued:
            return True
        at = text.index("=", match.end()) + 1 if text[match.end()] != ":" else match.end() + 1
        if _VALUE_BEGINS.match(text, at, limit):
            return True
        return False if full or limit - at > 12 else None

    def _verdict_comma(self, text: str, start: int, limit: int, full: bool, final: bool) -> int | None:
        """The same if a comma follows the quote."""
        kind = self._stack[-1].kind
        if kind == _ARGS:
            if self._role == _IS_ITEM or self._positional:
                return _CLOSES
            follows = self._argument_follows(text, start, limit, full, final)
            return None if follows is None else _CLOSES if follows else _NO
        if kind not in (_DICT, _MERGED):
            return _CLOSES
        at = _skip(text, start, limit)
        if at >= limit:
            return _CLOSES if full else None
        if text[at] in "}*#" or text[at] in _QUOTES:
            return _CLOSES
        # an unquoted key, or a number
        while at < limit and (text[at].isalnum() or text[at] in "_.-+"):
            at += 1
        at = _skip(text, at, limit)
        if at >= limit:
            return _NO if full else None
        return _CLOSES if text[at] in ":\"'" else _NO

    def _argument_follows(self, text: str, start: int, limit: int, full: bool, final: bool) -> bool | None:
        """Whether behind a comma the next argument begins, or the arguments end."""
        at = _skip(text, start, limit)
        if at >= limit:
            return True if full else None
        ch = text[at]
        if ch in ")]}*#" or ch == self._closer or (self._quoted_keys and ch in "\"'"):
            return True
        marker = self._marker(text, at, final)
        if marker is None or marker:
            return marker
        name = _NAME_RUN.match(text, at, limit) if final and limit == len(text) else None
        if name is not None and _skip(text, name.end(), limit) >= limit:
            return True  # the text ends within a name
        return _names_argument(text, at, limit, full, self._colons)


# -- looking ahead, never further than the window ---------------------------------------------------------------------


def _window(text: str, start: int, final: bool) -> tuple[int, bool]:
    """How far one may look from `start`, and whether that is all one will ever see."""
    limit = min(len(text), start + _WINDOW)
    return limit, final or limit - start == _WINDOW


def _skip(text: str, start: int, limit: int) -> int:
    """The end of the blanks at `start`; `limit` also if half a line continuation stands there."""
    match = _GAP.match(text, start, limit)
    at = start if match is None else match.end()
    return limit if text[at:limit] in ("\\", "\\\r") else at


def _continued(text: str, pos: int, final: bool) -> int:
    """Where the line goes on behind the backslash at `pos`; `pos` if it does not, -1: more text is needed."""
    match = _CONTINUED.match(text, pos)
    if match is not None:
        return match.end()
    return -1 if not final and text[pos + 1 :] in ("", "\r") else pos


def _is_scalar(token: str) -> bool:
    return token in _WORDS or number(token) is not None


def _names_argument(text: str, at: int, limit: int, full: bool, colons: bool) -> bool | None:
    """Whether `name =` stands at `at`, or, if this call writes `colons`, `name:`."""
    if at >= limit:
        return False if full else None
    match = _NAME_RUN.match(text, at, limit)
    if match is None:
        return False
    after = _skip(text, match.end(), limit)
    if after >= limit:
        return False if full else None
    if text[after] != "=":
        return colons and text[after] == ":"
    if after + 1 >= limit:
        return True if full else None
    return text[after + 1] != "="


def _opened(kind: int) -> str:
    return {"]": "a list", ")": "a parenthesis", "}": "a brace"}[_ENDS_WITH[kind]]


def _shown(token: str) -> str:
    return repr(token if len(token) <= 40 else token[:37] + "...")
