"""Reading JSON that is not quite JSON: the careful half of `JsonReader`.

Theory. The fast half (json_reader.py, json_nodes.py) passes well-formed text through. At the first character
that does not fit it goes back to the last place where everything had been given out, and this half reads on from
there, token by token: one small step function for each lexical state, in the order of the grammar. A step either
uses up text or changes the state, so that there is always progress; as soon as it is past the bad place and
holds nothing, the fast half takes over again. Both halves are functions of the text alone, never of its cutting.

What is given out is never taken back. So whatever could still be read in two ways is decided before: a step that
needs to see what follows looks at most `LOOK` characters ahead and leaves the text unread while they are not
there. Commas, keys, numbers and literals are read, but kept in `_hold` until the first character of the next
value (or the one behind a scalar) shows that they stay.

What several readings fit is decided in these places, and nowhere else:

- `_closes`: is a quote inside a string its end? Yes if structure follows that fits the open brackets: a closer,
  a comma with a key and colon (in an object) or with a value (in an array). Else it is a character of the
  text, and the string's later quotes are looked at more closely (state `D`).
- `_restarts`: or is it the opening quote of the next key, because the string's own closing quote is missing?
  Only if everything behind it is well-formed up to the end of the value.
- `_choose`: a bracket that does not match: was one left out before it, is it the wrong one, or one too many? The
  reading that lets the following closers and separators fit wins.
- `_stands_alone`: is text behind the call's arguments junk in its object, or was the object's end forgotten and the
  text is the answer's? The latter, if nothing follows that an object is made of.
- `_step_gap` and `_closes` again: does a value without quotes end here, or is the blank or comma part of it?
- `_comment`: is `#` or `//` the beginning of a comment, of a text without quotes, or junk? The line's end decides.
- `_step_first`: do two more quotes behind a string's first end it, or is it one in triple quotes?
- `_smart_string`, `_tuple`: does a string (an array) begin here, or a text without quotes that begins so? What
  stands behind its end decides, if that is in sight.
- `_lacks_brace`: are arguments a string, or the first key of an object whose brace is missing?

Forms that are one more spelling of a value (other literals, numbers, quotes, comments) go into `_scalar`, the
first lines of `_step_value` and `_blanks`; nothing else needs to know.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Protocol

from ..events import Diagnostic
from .json_nodes import CLOSERS, ERROR, MAX_TAIL, SMART, Node, Stack, past, tree
from .numbers import number

__all__ = ["LOOK", "Boundary", "Mender"]

LOOK = 64
"""How many characters a decision may look ahead."""

MORE = -1
"""What a step returns if it cannot decide before there is more text."""

OPENERS = {"}": "{", "]": "[", ")": "("}
_LISTS = ("[", "(")

_QUOTES = "\"'" + "".join(SMART)
_ENDS = {'"': '"', "'": "'", **SMART}
"""Quotes that strings begin with, and what may end them."""

_BLANKS = re.compile(r"\s*+")
_JSON_BLANKS = re.compile(r"[ \t\n\r]*+")
_KEY_WORD = re.compile(r'"[\w$.\- ]{0,40}+')
_OPEN_KEY = re.compile(r"""["'][\w$.\-]++[”’]?+\s*+:\s*+["'“‘{\[\-0-9tfnTFN]""")
_NO_COLON = re.compile(r"""["'][\w$.\-]{1,40}+["']\s{1,4}["'{\[\-0-9tfnTFN]""")
"""A key whose colon was left out, and the beginning of its value."""
_IDENT = re.compile(r"[\w$.\-]*+")
_ANY_KEY = re.compile(r"""(?:"[^"\n]{1,64}"|'[^'\n]{1,64}'|[\w$])\s{0,64}[:=]""")
_WORDS = re.compile(r"[\w$.\-]++(?: [\w$.\-]++){0,7}+ ?+")
"""A key of several words, without quotes."""
_WORD = re.compile(r"\w*+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+\Z")
_LONG_NUMBER = re.compile(r"-?[0-9]*+(\.[0-9]*+)?+\Z")
_DIGITS = re.compile(r"[0-9]*+(\.[0-9]*+)?+\Z")
_FRACTION = re.compile(r"[0-9]*+()\Z")
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_INNER_ESCAPE = re.compile(r'\\\\(?:\\["\\]|[/bfnrt]|u[0-9a-fA-F]{4})')
_PARTIAL_INNER = re.compile(r"\\\\(?:\\|u[0-9a-fA-F]{0,3})?+\Z")
_PARTIAL_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?+\Z")
_HIGH = re.compile(r"\\u[dD][89abAB]")
_EITHER_HIGH = re.compile(r"\\{1,2}(u[dD][89abAB][0-9a-fA-F]{2})")
"""The first half of a surrogate pair, escaped once or twice; `_EITHER_LOW` the second, and the beginning of one."""
_EITHER_LOW = re.compile(r"\\{1,2}(u[dD][c-fC-F][0-9a-fA-F]{2})")
_PARTIAL_LOW = re.compile(r"(?:\\{1,2}(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?\Z")
_PLAIN = {
    '"': re.compile(r'[^"\\\x00-\x1f]*+'),
    "'": re.compile(r"[^\"'\\\x00-\x1f]*+"),
    **{quote: re.compile(rf"[^\"\\\x00-\x1f{ends}]*+") for quote, ends in SMART.items()},
}
_STRUCTURE = re.compile(r"""["{}\[\]]|'[\w$.\-]{1,40}+'\s{0,4}:""")
_PLAIN_TAIL = re.compile(r'[^"\\\x00-\x1f,}\]]*+')
_CLOSING_RUN = re.compile(r"[}\]]*+")
_KEY_BEGINS = re.compile(r'"[\w$.\-][\w$.\- ]{0,40}"\s{0,4}:\s{0,4}(?:["{\[\-0-9]|true|false|null)')
_BODY = {
    '"': re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL),
    "'": re.compile(r"(?:[^'\\]|\\.)*+", re.DOTALL),
    **{quote: re.compile(rf"(?:[^\\{ends}]|\\.)*+", re.DOTALL) for quote, ends in SMART.items()},
}
_TO_QUOTE = {quote: re.compile(rf"[^\n{ends}]*+") for quote, ends in _ENDS.items()}
_FIRST_KEY = re.compile(r'"(?:[\w$\-]{0,40}+\Z|[\w$\-]{1,40}+"\s{0,8}+(?:\Z|(:)))')
"""A key where an object is due; group 1 if it is certain."""
_COMMENT = {"*": re.compile(r"/\*.*?(?:\*/|(?P<open>\Z))", re.DOTALL), "\n": re.compile(r".*+(?P<open>\Z)?")}
"""A comment in brackets, and one up to the end of its line; is its end in sight?"""
_TUPLE = re.compile(
    r"""\(\s*+(?:\)|[\[{(]|(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[\w.+\-]++)\s*+,)""", re.DOTALL
)
"""The beginning of a tuple, up to what shows that it is one."""
_PAREN = re.compile(r"""\((?:[^()"']|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')*+\)\s*+""", re.DOTALL)

_BLANK_ESCAPES = frozenset("nrt")
_ESCAPED_KEY = re.compile(r'(?:\\[nrt]|\s){0,16}\\"(?:[^"\\:\n]{0,40}\\"\s{0,8}(:)?)?')
"""Behind the brace of an object that was escaped as a whole; group 1 if it is certain."""

_SCALARS = {"true": "true", "false": "false", "null": "null", "none": "null", "undefined": "null"}
_NOT_FINITE = frozenset(("nan", "infinity", "inf"))
_LITERALS = frozenset(_SCALARS) | _NOT_FINITE
_PYTHON = frozenset(("True", "False", "None"))
_CONTROL = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}

_FAST = frozenset(("A", "k0", "v0"))
_STARTS = frozenset("{[-0123456789" + _QUOTES)


class Boundary(Protocol):
    """What a reader must know of the markers around it; given by the engine."""

    first: str
    """The characters that a marker may begin with."""

    def at(self, text: str, pos: int, final: bool) -> bool | None:
        """Does a marker that ends the value stand at `pos`? None: more text is needed."""

    def ends_turn(self, text: str, pos: int) -> bool:
        """Is the marker at `pos` the end of the turn, and no closer?"""

    def ends_string(self, text: str, pos: int, final: bool) -> bool | None:
        """Does the raw newline at `pos`, inside a string, stand before a closer that is really one?"""


@lru_cache(maxsize=64)
def _atom_pattern(first: str) -> re.Pattern[str]:
    return re.compile(rf'[^\s,;\]}}"{re.escape(first)}]*+')


@lru_cache(maxsize=64)
def _bare_pattern(first: str) -> re.Pattern[str]:
    """Characters of a text without quotes that mean nothing."""
    return re.compile(rf'[^\s,\[\]{{}}()"\\\x00-\x1f{re.escape(first)}]*+')


@lru_cache(maxsize=64)
def _comment_pattern(stop: str, first: str) -> re.Pattern[str]:
    return re.compile(rf"[^{re.escape(stop + first)}]*+")


@lru_cache(maxsize=64)
def _junk_pattern(first: str) -> re.Pattern[str]:
    return re.compile(rf"""[^"'{{}}\[\],{re.escape(first)}]*+""")


def _keylike(text: str, i: int, end: int, edge: bool | None) -> bool | None:
    """Does a quoted key with its colon stand at `i`? At the edge of what may be looked at: `edge`."""
    quote = text[i]
    k = past(_BODY[quote], text, i + 1, end)
    if k >= end or text[k] not in _ENDS[quote]:
        return edge
    k = past(_BLANKS, text, k + 1, end)
    return edge if k >= end else text[k] in ":={["


def _with_colon(text: str, i: int, end: int, edge: bool | None) -> bool | None:
    """Does a quoted key with its colon, in sight, stand at `i`?"""
    key = _keylike(text, i, end, None)
    if not key:
        return False if edge else key
    return text[past(_BLANKS, text, past(_BODY[text[i]], text, i + 1, end) + 1, end)] == ":"


def _identkey(text: str, i: int, end: int, edge: bool | None, also: str = "") -> bool | None:
    """Does an unquoted key with its colon stand at `i`?"""
    k = past(_IDENT, text, i, end)
    if k == i:
        return False
    if k < end and text[k] in _QUOTES:
        k += 1
        also = ""
    k = past(_BLANKS, text, k, end)
    return edge if k >= end else text[k] in ":=" or text[k] in also


def _any_key(text: str, i: int, end: int, edge: bool | None) -> bool | None:
    """Does a key with its colon stand at `i`, quoted or not?"""
    return (_keylike if text[i] in _QUOTES else _identkey)(text, i, end, edge)


def _objectlike(text: str, i: int, end: int, edge: bool | None) -> bool | None:
    """Does an object with a quoted key begin at the brace at `i`?"""
    k = past(_BLANKS, text, i + 1, end)
    if k >= end:
        return edge
    return text[k] in _QUOTES and _keylike(text, k, end, edge)


def _literal(text: str, i: int, end: int, edge: bool | None) -> bool | None:
    """Does a literal, in whatever spelling, stand at `i`?"""
    k = past(_WORD, text, i, end)
    word = text[i:k].lower()
    if k >= end and edge is None and any(literal.startswith(word) for literal in _LITERALS):
        return None
    return word in _LITERALS


class Mender:
    """The state of a JSON reader, and its careful half."""

    __slots__ = (
        "_abs",
        "_atom",
        "_back",
        "_bare",
        "_block",
        "_comma_at",
        "_deep",
        "_dotted",
        "_escaped",
        "_first",
        "_floor",
        "_gap",
        "_held",
        "_hold",
        "_junk",
        "_key_at",
        "_key_from",
        "_length",
        "_lex",
        "_limit",
        "_mark",
        "_pend",
        "_quote",
        "_safe",
        "_stack",
        "_word",
        "base",
        "boundary",
        "closing",
        "cut",
        "done",
        "enough",
        "key",
        "keyless",
        "max_depth",
        "node",
        "out",
        "pause",
        "recovered",
        "watch",
        "wrap_key",
    )

    def __init__(self, boundary: Boundary | None = None, max_depth: int = 200, watch: int = 0) -> None:
        self.boundary = boundary
        self.max_depth = max_depth
        self.watch = watch
        self.out: list[str | Diagnostic] = []
        self.done = False
        self.cut = False
        self.closing = ""
        self.base = 0
        self.recovered = False
        self.pause: str | None = None
        self.key = ""
        self.keyless = ""
        self.enough = False
        self.wrap_key = "input"
        self._limit = max_depth
        self._escaped = False
        self._first = boundary.first if boundary is not None else ""
        self._atom = _atom_pattern(self._first)
        self._bare = _bare_pattern(self._first)
        self._junk = _junk_pattern(self._first)
        # the fast half: where it is, what it holds, and the node at the last safe place
        self.node: Node | None = None
        self._held: list[str] = []
        self._safe: Node | None = None
        # the careful half
        self._lex = "t"
        self._stack: Stack = tree(max_depth, watch, "[" in self._first).root
        self._hold: list[str] = []
        self._pend = ""
        self._floor = -1
        self._abs = 0
        self._quote = '"'
        self._key_at = 0
        self._key_from = 0
        self._word: list[str] = []
        self._gap: list[str] = []
        self._deep = 0
        self._back = ""
        self._block = False
        self._comma_at = 0
        self._mark = 0
        self._length = 0
        self._dotted = False

    def _set_depth(self, max_depth: int) -> None:
        """Another limit, and the level that is watched, from here on; only the careful half may stand here."""
        self.max_depth = max_depth
        stack = tree(max_depth, self.watch, "[" in self._first).root
        for kind in self._stack.path():
            stack = stack.push(kind)
        self._stack = stack

    # -- helpers ---------------------------------------------------------------------------------------

    def _mend(self, code: str, message: str, start: int, end: int) -> None:
        self.recovered = True
        self.out.append(Diagnostic(code, message, self._abs + start, self._abs + end))

    def _flush(self) -> None:
        self.out.extend(self._hold)
        self._hold.clear()

    def _window(self, text: str, i: int, final: bool) -> tuple[int, bool | None]:
        """Where the lookahead from `i` ends, and what to say at that edge."""
        end = i + LOOK
        if len(text) >= end:
            return end, True
        return len(text), True if final else None

    def _at(self, text: str, i: int, final: bool) -> bool | None:
        """Does a marker stand here?"""
        if text[i] in self._first and self.boundary is not None:
            at = self.boundary.at(text, i, final)
            return at or False if final else at
        return False

    def _blanks(self, text: str, i: int, final: bool, value: bool = False) -> int:
        """The end of the blanks at `i`; those that JSON does not know are dropped, and so are comments.

        `MORE` if a comment may begin. `value`: so may a text without quotes.
        """
        j = past(_JSON_BLANKS, text, i)
        if j > i:
            if self._lex == "A" and not self._hold:
                self.out.append(text[i:j])
            elif self._lex != "t":
                self._hold.append(text[i:j])
        elif self._escaped and text[i] == "\\" and text[i + 1 : i + 2] in _BLANK_ESCAPES:
            j = i + 2
        elif text[i].isspace():
            j = i + 1
            self._mend("junk", "a blank that JSON does not know was dropped", i, j)
        elif text[i] in "/#":
            begins = self._comment(text, i, final, value)
            if begins is None:
                return MORE
            if begins:
                self._back = self._lex
                self._lex = "/"
                self._block = text[i + 1 : i + 2] == "*"
                self._mark = self._abs + i
                j = i + 1 + self._block
        return j

    def _comment(self, text: str, i: int, final: bool, value: bool = False) -> bool | None:
        """Does a comment begin at `i`? None: more text is needed. `value`: a text without quotes may stand there.

        A comment that ends with its line must not hold what follows if there is no line break: it is one if a
        member follows its line, or if nothing stands in it that an object is made of.
        """
        kind = text[i : i + 2]
        if kind == "/":
            return False if final else None
        if kind[0] != "#" and kind not in ("//", "/*"):
            return False
        end, edge = self._window(text, i, final)
        if kind == "/*":
            if not value or text.find("*/", i, end) > 0:
                return True
            return edge and _STRUCTURE.search(text, i, end) is None
        line = text.find("\n", i, end)
        at: bool | None = True
        k = end
        if line < 0:
            if edge is None:
                return None
            line = end
        else:
            k = past(_BLANKS, text, line, end)
            if k < end:
                at = self._at(text, k, final)
            elif edge is None:
                return None
            if at is None:
                return None
        if value:
            # `#fff` and `//host` are texts: a separator follows their line, or another key
            if k < end:
                return not at and text[k] not in ",]}" and not _ANY_KEY.match(text, k, end)
            return text[i + 1 + (kind == "//") : line][:1].isspace()
        return not at or _STRUCTURE.search(text, i, line) is None

    def _step_comment(self, text: str, i: int, final: bool) -> int:
        """`/`: in a comment. A marker ends it as well."""
        stop = "*" if self._block else "\n"
        j = past(_comment_pattern(stop, self._first), text, i)
        if j > i:
            return j
        over = i >= len(text) or text[i] == "\n" and not self._block
        if not over:
            at = self._at(text, i, final)
            if at is None or text[i] == "*" and i + 1 >= len(text) and not final:
                return MORE
            if self._block and text.startswith("*/", i):
                over = True
                i += 2
            over = over or at
        if not over:
            return i + 1
        self._lex = self._back
        self._mend("junk", "a comment was dropped", self._mark - self._abs, i)
        return i

    def _over(self, text: str, i: int, end: int, edge: bool | None, apart: bool) -> int:
        """The end of the blanks and comments at `i`, `end` at most; `MORE` if that cannot be told.

        A comment stands apart from what is before it, unless that is a comma or bracket (`apart`).
        """
        while True:
            j = past(_BLANKS, text, i, end)
            if j >= end or text[j] not in "/#" or j == i and not apart:
                return j
            rest = text[j:end]
            begins = self._comment(rest, 0, edge is not None)
            if begins is None:
                return MORE
            if not begins:
                return j
            m = _COMMENT["*" if rest[1:2] == "*" else "\n"].match(rest)
            assert m is not None
            i = j + m.end()
            apart = True

    def _token(self, text: str, i: int, final: bool, value: bool = False) -> int | None:
        """Read what may stand before a token: blanks, comments, a marker, the end of the text. None: it stands here."""
        if i >= len(text):
            return self._cut_off(i)
        j = self._blanks(text, i, final, value)
        if j != i:
            return j
        at = self._at(text, i, final)
        if at is None:
            return MORE
        return self._marker(text, i) if at else None

    def _begin_key(self, i: int, lex: str, quote: str = '"') -> None:
        """A key begins at `i`, in quotes (`K`) or without (`I`)."""
        self._key_at = len(self._hold)
        self._key_from = self._abs + i
        self._hold.append('"')
        self._lex = lex
        self._quote = quote

    def _value_done(self) -> None:
        self._lex = "A"
        depth = self._stack.depth
        if depth == 0:
            self.done = True
        elif depth <= self.watch:
            self.pause = "value"

    def _cut_off(self, i: int) -> int:
        """The text ended inside the value."""
        self.done = self.cut = True
        lex = self._lex
        floor = self.watch
        if self._stack.depth == 0 and lex in ("t", "W", "G"):
            self.closing = "null"
        else:
            quote = '"' if lex in ("S", "S0", "Q", "To", "D", "U") and self._stack.depth >= floor else ""
            self.closing = quote + self._stack.closers(floor)
        if lex == "J":
            self._end_junk(i)
        self._hold.clear()
        return i

    def _marker(self, text: str, i: int) -> int:
        """A marker stands at `i`: the value ends here, and what is open is closed.

        The end of the turn closes nothing but the outermost object: with a value open in it, the text was cut off.
        """
        lex = self._lex
        if self.boundary is not None and self.boundary.ends_turn(text, i):
            level = self.watch + 1
            if lex != "A" or self._stack.depth > level:
                return self._cut_off(i)
        if lex == "t":
            self._mend("missing-value", "there is no value", i, i)
            self.out.append("null")
        else:
            self._tidy(i)
            closers = self._stack.closers(self.watch)
            self._mend("missing-closer", "brackets were left open", i, i)
            self.out.append(closers)
        self._lex = "A"
        self.done = True
        return i

    def _tidy(self, i: int) -> None:
        """A closer comes: complete or drop what waits for something else."""
        lex = self._lex
        if lex in ("v", "k"):
            comma = self._comma_at - self._abs
            self._mend("trailing-comma", "a comma before the closing bracket was dropped", comma, comma + 1)
            self._hold.clear()
        elif lex in ("o", "c"):
            self._mend("missing-value", "a key has no value: null", i, i)
            self._hold.append("null" if lex == "o" else ": null")
        elif lex in ("K", "I"):
            self._mend("missing-value", "an unfinished key was dropped", self._key_from - self._abs, i)
            self._hold.clear()
        self._flush()

    def _too_deep(self, i: int) -> int:
        self._mend("too-deep", f"nested deeper than {self._limit}", i, i + 1)
        return self._cut_off(i)

    def _lacks_brace(self, text: str, i: int, final: bool) -> bool | None:
        """Where an object is due, does its first key stand at `i`? None: more text is needed."""
        m = _FIRST_KEY.match(text, i)
        if m is None:
            return False
        return True if m[1] else False if final else None

    def _put_brace(self, i: int) -> None:
        """The opening brace of an object was left out before `i`."""
        self._mend("missing-opener", "an opening brace was left out", i, i)
        self.out.append("{")
        self._hold.clear()
        self._stack = self._stack.push("{")
        self._lex = "k0"

    # -- the loop --------------------------------------------------------------------------------------

    def _careful(self, text: str, i: int, final: bool) -> int:
        """Read on from `i` until the fast half can take over, the value ends, or more text is needed."""
        n = len(text)
        steps = _STEPS
        while True:
            lex = self._lex
            if i > self._floor and not self._hold:
                if lex == "S" or lex == "D" or lex == "S0":
                    fast = self._quote == '"'
                else:
                    fast = lex in _FAST and self._stack.depth > self.watch
                if fast:
                    self.node = self._stack.node(lex)
                    return i
            if not final and (i >= n or self._escaped and i == n - 1 and text[i] == "\\"):
                return i
            j = steps[lex](self, text, i, final)
            if j < 0:
                return i
            i = j
            if self.done or self.pause is not None:
                return i

    # -- values ----------------------------------------------------------------------------------------

    def _step_value(self, text: str, i: int, final: bool) -> int:
        """`t` at the top, `v0` after `[`, `v` after a comma, `o` after a colon."""
        stands = self._token(text, i, final, True)
        if stands is not None:
            return stands
        c = text[i]
        lex = self._lex
        if c in _QUOTES:
            begins = self._open_string(text, i, final)
            if begins:
                return begins
        if c == "(":
            begins = self._tuple(text, i, final)
            if begins:
                return begins
        if c == "\\" and (self._escaped or lex != "t"):
            if i + 1 >= len(text) and not final:
                return MORE
            if text[i + 1 : i + 2] == '"':
                if not self._escaped:
                    self._mend("bad-escape", "the quote of a string was escaped", i, i + 1)
                self._hold.append('"')
                self._flush()
                self._lex = "S"
                self._quote = "\\"
                return i + 2
        if c == "{" or c == "[":
            if self._stack.depth >= self.max_depth:
                return self._too_deep(i)
            self._hold.append(c)
            self._flush()
            self._stack = self._stack.push(c)
            self._lex = "k0" if c == "{" else "v0"
            return i + 1
        if c == "}" or c == "]" or c == ")" and self._stack.kind == "(":
            return self._closer(text, i, final)
        if c == "," and lex != "t":
            if lex == "o":
                self._mend("missing-value", "a key has no value: null", i, i)
                self._hold.append("null")
                self._flush()
                self._value_done()
                return i
            self._mend("double-comma", "a comma without a value was dropped", i, i + 1)
            return i + 1
        if c == ":":
            self._mend("junk", "a colon was dropped", i, i + 1)
            return i + 1
        self._lex = "W"
        self._mark = self._abs + i
        self._word.clear()
        self._gap.clear()
        self._length = 0
        self._dotted = False
        return i

    def _open_string(self, text: str, i: int, final: bool) -> int:
        """A string begins at the quote at `i`; 0 if it is that of a text without quotes."""
        c = text[i]
        j = i + 1
        if c == "'":
            three = text[i : i + 3]
            if len(three) < 3 and not final and not three.strip("'"):
                return MORE
            if three == "'''":
                self._mend("triple-quotes", "a string in triple quotes", i, i + 3)
                j = i + 3
            else:
                self._mend("single-quotes", "a string in single quotes", i, i + 1)
        elif c != '"':
            string = self._smart_string(text, i, final)
            if not string:
                return MORE if string is None else 0
            self._mend("smart-quotes", "a string in the quotes of a word processor", i, i + 1)
        self._hold.append('"')
        self._flush()
        self._lex = "Q" if j == i + 3 else "S0" if c == '"' else "S"
        self._quote = c
        return j

    def _smart_string(self, text: str, i: int, final: bool) -> bool | None:
        """Does a string begin with the smart quote at `i`, and not a text without quotes? None: more is needed.

        Yes if one of the quotes that can be seen ends it, or none can be seen.
        """
        end, edge = self._window(text, i, final)
        ends = SMART[text[i]][:-1]
        lex, self._lex = self._lex, "S"
        string = edge
        for k in range(i + 1, end):
            if text[k] in ends:
                closes = self._closes(text, k + 1, final, i)
                string = closes or (None if closes is None or edge is None else False)
                if string or closes is None:
                    break
        self._lex = lex
        return string

    def _tuple(self, text: str, i: int, final: bool) -> int:
        """A Python tuple may begin at `i`: it is given out as an array. 0 if it is a text."""
        end, edge = self._window(text, i, final)
        m = _TUPLE.match(text, i, end)
        if m is None:
            if edge is None:
                return MORE
            k = past(_BLANKS, text, i + 1, end)
            if k >= end or text[k] not in "\"'" or past(_BODY[text[k]], text, k + 1, end) < end:
                return 0
        else:
            # a text that goes on behind its parentheses is none
            k = past(_PAREN, text, i, end)
            if k == i:
                if edge is None:
                    return MORE
            elif k < end:
                at = self._at(text, k, final)
                if at is None:
                    return MORE
                if not at and text[k] not in ",;)]}/#" and "\n" not in text[k - 1 : k]:
                    return 0
            elif edge is None:
                return MORE
        if self._stack.depth >= self.max_depth:
            return self._too_deep(i)
        if self._lex == "t" and text[past(_BLANKS, text, i + 1)] == "{":
            self._mend("junk", "a parenthesis was dropped", i, i + 1)
            return i + 1
        self._mend("python-literal", "a tuple", i, i + 1)
        self._hold.append("[")
        self._flush()
        self._stack = self._stack.push("(")
        self._lex = "v0"
        return i + 1

    def _scalar(self, word: str) -> tuple[str, str, str] | None:
        """The JSON of an unquoted value with the code and message of its mend, or None if it is a text."""
        if _NUMBER.match(word) or word in ("true", "false", "null"):
            return word, "", ""
        low = word.lower()
        json_text = _SCALARS.get(low)
        if json_text is not None:
            if word in _PYTHON:
                return json_text, "python-literal", f"Python's {word}"
            return json_text, "literal-case", f"{word} instead of {json_text}"
        if low.lstrip("+-") in _NOT_FINITE:
            return "null", "not-finite", f"JSON has no {word}: null"
        json_text = number(word)
        if json_text is not None:
            return json_text, "number-format", f"{word[:LOOK]} is no number of JSON"
        return None

    def _put_scalar(self, found: tuple[str, str, str], i: int) -> None:
        if found[1]:
            self._mend(found[1], found[2], self._mark - self._abs, i)
        self._hold.append(found[0])
        self._flush()
        self._word.clear()
        self._gap.clear()
        self._value_done()

    def _step_word(self, text: str, i: int, final: bool) -> int:
        """`W`: in a run of characters that begins with none of the brackets and quotes."""
        n = len(text)
        j = past(self._atom, text, i)
        tuple_ = self._stack.kind == "("
        if tuple_:
            k = text.find(")", i, j)
            j = j if k < 0 else k
        if j > i:
            self._word.append(text[i:j])
            self._length += j - i
            if self._length > LOOK:
                # only a number may be longer: look at the new digits alone if it was long before
                if self._length - (j - i) > LOOK:
                    digits = (_FRACTION if self._dotted else _DIGITS).match(text, i, j)
                else:
                    digits = _LONG_NUMBER.match("".join(self._word))
                if digits is None:
                    return self._start_bare(j)
                self._dotted = self._dotted or digits[1] is not None
            return j
        if i >= n:
            return self._cut_off(i)
        c = text[i]
        at = self._at(text, i, final)
        if at is None:
            return MORE
        if not at and c not in ',;]}"' and not c.isspace() and not (tuple_ and c == ")"):
            self._word.append(c)
            self._length += 1
            return self._start_bare(i + 1) if self._length > LOOK else i + 1
        found = self._scalar("".join(self._word))
        if found is None or c == '"':
            return self._start_bare(i)
        if c.isspace() and not at:
            self._lex = "G"
            return i
        self._put_scalar(found, i)
        return i

    def _step_gap(self, text: str, i: int, final: bool) -> int:
        """`G`: in the blanks after a number or literal: does it end there, or is it a text without quotes?"""
        n = len(text)
        j = past(_BLANKS, text, i)
        if j > i:
            self._gap.append(text[i:j])
            return j
        found = self._scalar("".join(self._word))
        assert found is not None
        if i >= n:
            return self._cut_off(i)
        at = self._at(text, i, final)
        if at is None:
            return MORE
        c = text[i]
        line = any("\n" in g for g in self._gap)
        kind = self._stack.kind
        ends: bool | None = at or line or c in ",]}{[\"'" or c == ")" and kind == "("
        if not ends and c in "/#":
            ends = self._comment(text, i, final)
        if ends is False:
            if kind in _LISTS:
                ends = c in _STARTS or _literal(text, i, *self._window(text, i, final))
            elif kind == "{":
                ends = _identkey(text, i, *self._window(text, i, final))
        if ends is None:
            return MORE
        if ends:
            gap = "".join(c for g in self._gap for c in g if c in " \t\n\r")
            self._put_scalar(found, i)
            if gap and not self.done:
                self.out.append(gap)
            return i
        return self._start_bare(i)

    # -- texts without quotes --------------------------------------------------------------------------

    def _start_bare(self, i: int) -> int:
        """What was held as a word turns out to be a text: give it out as a string, and go on so."""
        start = self._mark - self._abs
        self._mend("unquoted-value", "a text without quotes", start, start)
        self._hold.append('"')
        self._flush()
        word = "".join(self._word)
        self.out.append(json.dumps(word, ensure_ascii=False)[1:-1])
        self._deep = 0
        for c in word:
            if c in "[{(":
                self._deep += 1
            elif c == ")" and self._deep:
                self._deep -= 1
        self._word.clear()
        self._lex = "U"
        return i

    def _step_bare(self, text: str, i: int, final: bool) -> int:
        """`U`: in a text without quotes. Blanks wait in `_gap` until something follows."""
        n = len(text)
        j = past(self._bare, text, i)
        if j > i:
            if self._gap:
                ends = self._line_ends(text, i, final)
                if ends is None:
                    return MORE
                if ends:
                    return self._end_bare(i)
            self._give_gap()
            self.out.append(text[i:j])
            return j
        if i >= n:
            return self._cut_off(i)
        j = past(_BLANKS, text, i)
        if j > i:
            self._gap.append(text[i:j])
            return j
        at = self._at(text, i, final)
        if at is None:
            return MORE
        if at:
            return self._end_bare(i)
        c = text[i]
        nested = self._stack.depth > 0
        if nested:
            if c in _QUOTES and self._gap:
                ends = self._line_ends(text, i, final)
                if ends is None:
                    return MORE
                if ends:
                    return self._end_bare(i)
            if c == '"':
                ends = self._closes(text, i + 1, final)
                if ends is None:
                    return MORE
                if ends and not self._deep:
                    self._mend(
                        "missing-quote", "a closing quote without an opening one was dropped", i, i + 1
                    )
                    return self._end_bare(i + 1)
            elif c == "," and not self._deep:
                ends = self._stack.kind in _LISTS or self._closes(text, i, final)
                if ends is None:
                    return MORE
                if ends:
                    return self._end_bare(i)
            elif c in "]}":
                if not self._deep:
                    return self._end_bare(i)
                self._deep -= 1
            elif c == ")":
                if not self._deep and self._stack.kind == "(":
                    return self._end_bare(i)
                self._deep = max(0, self._deep - 1)
            elif c in "[{(":
                self._deep += 1
        self._give_gap()
        self.out.append(json.dumps(c)[1:-1] if c < " " or c in '"\\' else c)
        return i + 1

    def _line_ends(self, text: str, i: int, final: bool) -> bool | None:
        """A line break stood before `i`: does the next member stand here?"""
        if self._stack.kind != "{" or not any("\n" in g for g in self._gap):
            return False
        end, edge = self._window(text, i, final)
        return _any_key(text, i, end, edge)

    def _give_gap(self) -> None:
        if self._gap:
            self.out.append(json.dumps("".join(self._gap), ensure_ascii=False)[1:-1])
            self._gap.clear()

    def _end_bare(self, i: int) -> int:
        self._gap.clear()
        self.out.append('"')
        self._value_done()
        return i

    # -- after a value ---------------------------------------------------------------------------------

    def _step_after(self, text: str, i: int, final: bool) -> int:
        """`A`: a comma or a closer is due."""
        stands = self._token(text, i, final)
        if stands is not None:
            return stands
        c = text[i]
        in_object = self._stack.kind == "{"
        if c == ",":
            self._comma(i)
            return i + 1
        if c == "}" or c == "]" or c == ")" and self._stack.kind == "(":
            return self._closer(text, i, final)
        end, edge = self._window(text, i, final)
        missing: bool | None
        if c in _QUOTES:
            if in_object:
                missing = _keylike(text, i, end, edge)
            elif self._stack.pop().kind == "{" and (key := _with_colon(text, i, end, edge)) is not False:
                if key is None:
                    return MORE
                self._mend("missing-closer", "a ] was left out", i, i)
                self.out.append("]")
                self._stack = self._stack.pop()
                self._value_done()
                return i
            else:
                k = past(_BLANKS, text, i + 1, end)
                missing = (False if edge else None) if k >= end else text[k] not in ",]}"
        elif c == ";":
            k = past(_BLANKS, text, i + 1, end)
            if k >= end:
                missing = edge
            elif in_object:
                missing = _any_key(text, k, end, edge)
            else:
                missing = text[k] not in "]}"
            if missing:
                self._mend("missing-comma", "a semicolon instead of a comma", i, i + 1)
                self._comma(i)
                return i + 1
        elif in_object:
            # a word at the very end is no key, if none is waited for
            missing = _identkey(text, i, end, None if edge is None else not self.enough)
        elif c == ":":
            self._mend("missing-comma", "a colon where a comma is due", i, i + 1)
            self._comma(i)
            return i + 1
        else:
            missing = c in _STARTS or c.isalpha()
        if missing is None:
            return MORE
        if missing:
            self._mend("missing-comma", "a comma was left out", i, i)
            self._comma(i)
            return i
        if c == "{" and self._stack.depth == 1:
            # the next object begins: nothing of this one will come
            return self._marker(text, i)
        if self.enough and self._stack.depth <= self.watch:
            alone = self._stands_alone(text, i, final)
            if alone is None:
                return MORE
            if alone:
                return self._marker(text, i)
        return self._start_junk(i)

    def _stands_alone(self, text: str, i: int, final: bool) -> bool | None:
        """Is the text at `i` no junk, but what stands behind an object whose end was forgotten?

        Yes if within the lookahead nothing comes that an object or call is made of.
        """
        end, edge = self._window(text, i, final)
        if _STRUCTURE.search(text, i, end):
            return False
        for k in range(i, end):
            at = self._at(text, k, final)
            if at is not False:
                return None if at is None else False
        return edge

    def _comma(self, i: int) -> None:
        """A comma stands at `i`, or should: another member is due."""
        self._comma_at = self._abs + i
        self._hold.append(",")
        self._lex = "k" if self._stack.kind == "{" else "v"

    def _start_junk(self, i: int) -> int:
        self._back = self._lex
        self._lex = "J"
        self._deep = 0
        self._mark = self._abs + i
        return i

    def _end_junk(self, i: int) -> None:
        self._mend("junk", "text that fits nowhere was dropped", self._mark - self._abs, i)

    def _step_junk(self, text: str, i: int, final: bool) -> int:
        """`J`: skip what fits nowhere, brackets in pairs, up to the next separator, closer or key."""
        if i >= len(text):
            return self._cut_off(i)
        first = self._abs + i == self._mark
        c = text[i]
        at = self._at(text, i, final)
        if at is None:
            return MORE
        if at:
            ends: bool | None = True
        elif c in "{[":
            self._deep += 1
            ends = False
        elif c in "}]":
            ends = self._deep == 0 and not first
            self._deep = max(0, self._deep - 1)
        elif self._deep or first:
            ends = False
        elif c == ",":
            ends = True
        elif c in _QUOTES:
            end, edge = self._window(text, i, final)
            ends = _keylike(text, i, end, False if edge else None)
            if ends is None:
                return MORE
        else:
            ends = False
        if ends:
            self._end_junk(i)
            self._lex = self._back
            return i
        i += 1
        return past(self._junk, text, i)

    # -- closers ---------------------------------------------------------------------------------------

    def _closer(self, text: str, i: int, final: bool) -> int:
        c = text[i]
        stack = self._stack
        if stack.depth == 0:
            self._mend("extra-closer", "a closing bracket without an opening one was dropped", i, i + 1)
            return i + 1
        own = CLOSERS[stack.kind]
        if c != own and c != ")":
            act = self._choose(text, i, final)
            if act is None:
                return MORE
            if act == "drop":
                self._mend("extra-closer", f"a {c} that closes nothing was dropped", i, i + 1)
                return i + 1
            if act == "insert":
                self._mend("missing-closer", f"a {own} was left out", i, i)
                self._tidy(i)
                self.out.append(own)
                self._stack = stack.pop()
                self._value_done()
                return i
            self._mend("wrong-closer", f"{c} instead of {own}", i, i + 1)
        self._tidy(i)
        self.out.append(own)
        self._stack = stack.pop()
        self._value_done()
        return i + 1

    def _choose(self, text: str, i: int, final: bool) -> str | None:
        """What to do with a closer that does not match: insert, replace or drop; None: more text is needed.

        All three are tried on the run of closers that follows; the one that then leaves the least that does not
        fit is taken.
        """
        end, edge = self._window(text, i + 1, final)
        run = [text[i]]
        j = i + 1
        while True:
            j = past(_BLANKS, text, j, end)
            if j >= end or text[j] not in "}]":
                break
            run.append(text[j])
            j += 1
        if j >= end and edge is None:
            return None
        follows = ""
        if j < end:
            at = self._at(text, j, final)
            if at is None:
                return None
            if at:
                follows = "!"
            elif text[j] == ",":
                k = past(_BLANKS, text, j + 1, end)
                key = _any_key(text, k, end, None) if k < end else None
                if key is None and edge is None:
                    return None
                follows = "?" if key is None else "{" if key else "["
        c = text[i]
        stack = self._stack
        outer = stack.pop()
        while outer.depth and CLOSERS[outer.kind] != c:
            outer = outer.pop()
        readings = {"insert": outer.pop(), "replace": stack.pop(), "drop": stack}
        if not outer.depth:
            del readings["insert"]
        costs = {act: self._cost(after, run[1:], follows) for act, after in readings.items()}
        least = min(costs.values())
        best = [act for act, cost in costs.items() if cost == least]
        if len(best) > 1:
            # the one after which more of what can be seen is well-formed
            if edge is None:
                return None
            best.sort(key=lambda act: -self._survives(readings[act], text, i + 1, end))
        return best[0]

    def _survives(self, stack: Stack, text: str, i: int, end: int) -> int:
        """How far the text is well-formed, if a value has just ended in these brackets; furthest if all closes."""
        whole = tree(self.max_depth, 0, False).root
        for kind in stack.path():
            whole = whole.push(kind)
        node = whole.node("A")
        for j in range(i, end):
            if node.stop:
                j = past(_BLANKS, text, j, end)
                return j if j < end and self._at(text[j:end], 0, False) is False else end + 1
            node = node[text[j]]
            if node is ERROR:
                return j
        return end + node.stop

    @staticmethod
    def _cost(stack: Stack, run: list[str], follows: str) -> int:
        """How much does not fit these brackets of the closers in `run` and of the separator behind them."""
        cost = 0
        for n, c in enumerate(run):
            if not stack.depth:
                return cost + len(run) - n + (follows in ("{", "[", "?"))
            if CLOSERS[stack.kind] == c:
                stack = stack.pop()
            else:
                cost += 1
        if not stack.depth:
            return cost + (follows in ("{", "[", "?")) * 2
        if follows in ("", "!"):
            return cost + stack.depth
        return cost + (follows != "?" and (follows == "{") != (stack.kind == "{"))

    # -- keys ------------------------------------------------------------------------------------------

    def _in_list(self) -> bool:
        """Is the object that is open an element, of which nobody waits for the end?"""
        outer = self._stack.pop()
        return outer.kind == "[" and outer.depth > self.watch

    def _step_key(self, text: str, i: int, final: bool) -> int:
        """`k0` after `{`, `k` after a comma."""
        stands = self._token(text, i, final)
        if stands is not None:
            return stands
        c = text[i]
        lex = self._lex
        if c == "\\":
            if lex == "k0" and not self._escaped:
                end, edge = self._window(text, i, final)
                m = _ESCAPED_KEY.match(text, i, end)
                if (m is None or not m[1]) and edge is None:
                    return MORE
                if m is not None and m[1]:
                    self._mend("bad-escape", "an object was escaped as if it stood in a string", i, i + 1)
                    self._escaped = True
                    return i
            if self._escaped:
                if i + 1 >= len(text) and not final:
                    return MORE
                if text[i + 1 : i + 2] == '"':
                    self._begin_key(i, "K", "\\")
                    return i + 2
        if c in _QUOTES:
            end, edge = self._window(text, i, final)
            whole = _keylike(text, i, end, edge)
            if whole is None:
                return MORE
            smart = c in SMART
            if not whole and not smart and _OPEN_KEY.match(text, i, end):
                self._mend("missing-quote", "the closing quote of a key was left out", i, i + 1)
                self._begin_key(i, "I")
                return i + 1
            if c == "'":
                self._mend("single-quotes", "a key in single quotes", i, i + 1)
            if whole and smart:
                self._mend("smart-quotes", "a key in the quotes of a word processor", i, i + 1)
            if whole or not smart:
                self._begin_key(i, "K", c)
                return i + 1
        if c == "}" or c == "]":
            return self._closer(text, i, final)
        if c == ",":
            self._mend("double-comma", "a comma without a member was dropped", i, i + 1)
            return i + 1
        if c == ":":
            self._mend("unquoted-key", "a key was left out", i, i)
            self._key_at = len(self._hold)
            self._key_from = self._abs + i
            self._hold.append('""')
            self._lex = "c"
            return i
        end, edge = self._window(text, i, final)
        if c == "{" and lex == "k" and self._in_list():
            begins = _objectlike(text, i, end, edge)
            if begins is None:
                return MORE
            if begins:
                # the next object of a list
                self._mend("missing-closer", "a } was left out", self._comma_at - self._abs, i)
                self.out.append("}")
                self._stack = self._stack.pop()
                self._lex = "v"
                return i
        if c == "{" and lex == "k" and self.keyless and self._stack.depth == self.watch:
            self._mend("unquoted-key", f"an object without a key is taken as {self.keyless!r}", i, i)
            self._key_from = self._abs + i
            self.key = self.keyless
            self.pause = "key"
            self._hold.append(":")
            self._lex = "o"
            return i
        if c == "{" and lex == "k0":
            k = past(_BLANKS, text, i + 1, end)
            if k >= end and edge is None:
                return MORE
            if k < end and (text[k] == "{" or text[k] in _QUOTES or past(_IDENT, text, k) > k):
                self._mend("junk", "a doubled brace was dropped", i, i + 1)
                return i + 1
        key = _identkey(text, i, end, edge, ",}")
        if key is None:
            return MORE
        if not key:
            k = past(_WORDS, text, i, end)
            if k >= end and edge is None:
                return MORE
            if k > i and text[k : k + 1] == ":":
                self._mend("unquoted-key", "a key without quotes", i, i)
                self._key_at = len(self._hold)
                self._key_from = self._abs + i
                self._hold.append(f'"{text[i:k].rstrip()}"')
                self._lex = "c"
                return k
        if key:
            self._mend("unquoted-key", "a key without quotes", i, i)
            self._begin_key(i, "I")
            return i
        if lex == "k0" and self._stack.depth > self.watch and c != ":":
            # nothing of the object must be lost: without a key in sight, it is the text of one member
            k = text.find("}", i, end)
            if not _ANY_KEY.search(text, i, end if k < 0 else k):
                if k < 0 and edge is None:
                    return MORE
                name = json.dumps(self.wrap_key, ensure_ascii=False)
                self._mend("unquoted-key", f"a value without key is taken as {name}", i, i)
                self._hold.append(f"{name}: ")
                self._lex = "o"
                return i
        return self._start_junk(i)

    def _step_ident(self, text: str, i: int, final: bool) -> int:
        """`I`: in a key without quotes."""
        if i >= len(text):
            return self._cut_off(i)
        j = past(_IDENT, text, i)
        if j > i:
            self._hold.append(text[i:j])
            return j
        self._hold.append('"')
        self._lex = "c"
        return i + 1 if text[i] in _QUOTES else i

    def _step_colon(self, text: str, i: int, final: bool) -> int:
        """`c`: a colon is due."""
        key_end = len(self._hold)
        stands = self._token(text, i, final)
        if stands is not None:
            return stands
        c = text[i]
        j = i
        if c == ":":
            j = i + 1
        elif c == "=":
            if i + 1 >= len(text) and not final:
                return MORE
            j = i + 2 if text[i + 1 : i + 2] == ">" else i + 1
            self._mend("missing-colon", f"{text[i:j]} instead of a colon", i, j)
        elif c in "}]":
            return self._closer(text, i, final)
        elif c == ",":
            self._mend("missing-value", "a key has no value: null", i, i)
            self._hold.append(": null")
            self._flush()
            self._value_done()
            return i
        else:
            self._mend("missing-colon", "a colon was left out", i, i)
        if self._stack.depth <= self.watch:
            key = "".join(self._hold[self._key_at : key_end])
            self.key = json.loads(key, strict=False)
            self.pause = "key"
        self._hold.append(":")
        self._lex = "o"
        return j

    # -- strings ---------------------------------------------------------------------------------------

    def _step_first(self, text: str, i: int, final: bool) -> int:
        """`S0`: at the first character of a string. Two more quotes that do not end it make triple quotes."""
        self._lex = "S"
        if text[i : i + 1] != '"':
            return i
        triple: bool | None = False
        if i + 1 >= len(text):
            triple = None if not final else False
        elif text[i + 1] == '"':
            closes = self._closes(text, i + 2, final, i)
            triple = None if closes is None else not closes
        if triple is None:
            self._lex = "S0"
            return MORE
        if not triple:
            return i
        self._mend("triple-quotes", "a string in triple quotes", i - 1, i + 2)
        self._lex = "Q"
        return i + 2

    def _step_triple(self, text: str, i: int, final: bool) -> int:
        """`Q`: in a string in triple quotes, which line breaks and quotes are part of."""
        n = len(text)
        if i >= n:
            return self._cut_off(i)
        quote = self._quote
        j = past(_PLAIN[quote], text, i)
        if j > i:
            self.out.append(text[i:j])
            return j
        c = text[i]
        if c == quote:
            # the last three of at most five end it
            while j < n and j < i + 5 and text[j] == quote:
                j += 1
            if j == n and j < i + 5 and not final:
                return MORE
            count = j - i
            ends = count >= 3
            self.out.append(('\\"' if quote == '"' else quote) * (count - 3 * ends))
            if ends:
                self.out.append('"')
                self._value_done()
            return j
        if c == "\\":
            return self._escape(text, i, final, self.out)
        if c == "\n" and self.boundary is not None:
            at = self.boundary.ends_string(text, i, final)
            if at is None and not final:
                return MORE
            if at:
                return self._close_string(i)
        self.out.append('\\"' if c == '"' else _CONTROL.get(c) or f"\\u{ord(c):04x}")
        return i + 1

    def _step_string(self, text: str, i: int, final: bool) -> int:
        """`S` in a value, `D` in one that has had a quote which was not escaped, `K` in a key."""
        n = len(text)
        if i >= n:
            return self._cut_off(i)
        is_key = self._lex == "K"
        sink: list[str] | list[str | Diagnostic] = self._hold if is_key else self.out
        quote = self._quote
        if quote == "\\":
            return self._step_escaped(text, i, final)
        plain = _PLAIN[quote]
        if quote == '"' and not is_key and self._lex != "D":
            if self._lex == "To":
                # the rest of closers that are too many
                j = past(_CLOSING_RUN, text, i)
                if j > i:
                    sink.append(text[i:j])
                if j < n:
                    self._lex = "S"
                return j
            if text[i] in ",}]":
                return self._string_tail(text, i, final)
            plain = _PLAIN_TAIL
        j = past(plain, text, i)
        if j > i:
            sink.append(text[i:j])
            return j
        c = text[i]
        if c in _ENDS[quote]:
            ends = self._closes(text, i + 1, final)
            if ends is None:
                return MORE
            if ends:
                sink.append('"')
                if is_key:
                    self._lex = "c"
                else:
                    self._value_done()
                return i + 1
            if not is_key and self._stack.kind == "{" and quote == '"':
                restarts = self._restarts(text, i, final)
                if restarts is None:
                    return MORE
                if restarts:
                    return self._close_string(i)
            if quote in SMART:
                # such a text may well have some
                sink.append('\\"' if c == '"' else c)
                return i + 1
            self._mend("inner-quote", "a quote inside a string was not escaped", i, i + 1)
            sink.append('\\"' if c == '"' else c)
            if not is_key:
                self._lex = "D"
            return i + 1
        if c == '"':
            sink.append('\\"')
            return i + 1
        if c == "\\":
            return self._escape(text, i, final, sink)
        if c in "\n\r" and self.boundary is not None:
            line = i
            if c == "\r":
                if i + 1 >= n and not final:
                    return MORE
                line = i + 1
            at = self.boundary.ends_string(text, line, final) if text[line : line + 1] == "\n" else False
            if at is None and not final:
                return MORE
            if at:
                return self._close_string(i)
        if c in "\n\r":
            self._mend("raw-newline", "a line break inside a string was not escaped", i, i + 1)
        else:
            self._mend("control-character", "a control character inside a string was not escaped", i, i + 1)
        sink.append(_CONTROL.get(c) or f"\\u{ord(c):04x}")
        return i + 1

    def _close_string(self, i: int) -> int:
        """The closing quote was left out: the string ends at `i`. A key that nothing follows goes with it."""
        self._mend("missing-quote", "a closing quote was left out", i, i)
        if self._lex == "K":
            self._tidy(i)
            self._lex = "A"
        else:
            self.out.append('"')
            self._value_done()
        return i

    def _string_tail(self, text: str, i: int, final: bool) -> int:
        """At a comma or closer inside a string: does it stand behind a closing quote that was left out?"""
        n = len(text)
        stack = self._stack
        if text[i] == ",":
            j = i + 1
            if stack.kind == "{":
                if text[j : j + 1] == " ":
                    j += 1
                if j >= n and not final:
                    return MORE
                end, edge = self._window(text, i, final)
                if text[j : j + 1] in ("\n", "\r"):
                    j = past(_BLANKS, text, j, end)
                    if j >= end and edge is None:
                        return MORE
                if j < end and text[j] == '"':
                    closes = self._closes(text, j + 1, final, i)
                    restarts = self._restarts(text, j, final, i) if closes is False else False
                    if closes is None or restarts is None:
                        return MORE
                    if restarts:
                        return self._close_string(i)
            self.out.append(",")
            return i + 1
        j = past(_CLOSING_RUN, text, i)
        depth = stack.depth
        if depth <= MAX_TAIL and j - i <= depth:
            if j >= n and not final:
                return MORE
            if j - i == depth and text[i:j] == stack.closers() and self.boundary is not None:
                if j >= n:
                    return self._cut_off(i)
                ends: bool | None = False
                if text[j] in "\n\r":
                    ends = self.boundary.ends_string(text, j, final)
                if ends is None and not final:
                    return MORE
                if ends:
                    return self._close_string(i)
        self.out.append(text[i:j])
        if j >= n:
            self._lex = "To"
        return j

    def _step_escaped(self, text: str, i: int, final: bool) -> int:
        """In a string whose quotes are escaped, as in a string that holds JSON: one level of escapes is undone."""
        is_key = self._lex == "K"
        sink: list[str] | list[str | Diagnostic] = self._hold if is_key else self.out
        j = past(_PLAIN['"'], text, i)
        if j > i:
            sink.append(text[i:j])
            return j
        c = text[i]
        if c != "\\":
            if c in "\n\r" and self.boundary is not None:
                at = self.boundary.ends_string(text, i, final)
                if at is None and not final:
                    return MORE
                if at:
                    self._lex = "K" if is_key else "S"
                    return self._close_string(i)
            sink.append('\\"' if c == '"' else _CONTROL.get(c) or f"\\u{ord(c):04x}")
            return i + 1
        if i + 1 >= len(text):
            return self._cut_off(i) if final else MORE
        high = _EITHER_HIGH.match(text, i)
        if high is not None:
            # it goes out with its second half, whatever the level of either
            j = high.end()
            if j == len(text) or not final and _PARTIAL_LOW.match(text, j):
                return self._cut_off(j) if final else MORE
            low = _EITHER_LOW.match(text, j)
            sink.append(f"\\{high[1]}" if low is None else f"\\{high[1]}\\{low[1]}")
            return j if low is None else low.end()
        if text[i + 1] == '"':
            sink.append('"')
            if is_key:
                self._lex = "c"
            else:
                self._value_done()
            return i + 2
        if text[i + 1] != "\\":
            # an escape of the outer level: the character that it means, written as JSON
            return self._escape(text, i, final, sink)
        # an escape of the inner level: its backslash, then what it escapes
        m = _INNER_ESCAPE.match(text, i)
        if m is not None:
            sink.append("\\" + text[i + 2 : m.end()].replace("\\\\", "\\").replace('\\"', '"'))
            return m.end()
        if not final and _PARTIAL_INNER.match(text, i):
            return MORE
        sink.append("\\\\")
        return i + 2

    def _escape(self, text: str, i: int, final: bool, sink: list[str] | list[str | Diagnostic]) -> int:
        m = _ESCAPE.match(text, i)
        if m is None:
            if _PARTIAL_ESCAPE.match(text, i):
                if not final:
                    return MORE
                return self._cut_off(len(text))
            if text[i + 1] == "'":
                if self._quote == '"':
                    self._mend("bad-escape", "JSON does not escape single quotes", i, i + 2)
                sink.append("'")
                return i + 2
            self._mend("bad-escape", "a backslash that escapes nothing was doubled", i, i + 1)
            sink.append("\\\\")
            return i + 1
        j = m.end()
        if _HIGH.match(text, i):
            # the first half of a surrogate pair goes out with its second
            if not final and len(text) < j + 6 and _PARTIAL_ESCAPE.match(text, j) or len(text) == j:
                return self._cut_off(len(text)) if final else MORE
            second = _ESCAPE.match(text, j)
            if second is not None and text[j + 1] == "u" and not _HIGH.match(text, j):
                j = second.end()
        sink.append(text[i:j])
        return j

    def _closes(self, text: str, i: int, final: bool, seen: int | None = None) -> bool | None:
        """Does a string (or a text without quotes) end before `i`? None: more text is needed.

        `seen`: where the lookahead began.
        """
        end, edge = self._window(text, i if seen is None else seen, final)
        stack = self._stack
        j = self._over(text, i, end, edge, False)
        if j >= end:
            return edge
        at = None if j < 0 else self._at(text, j, final)
        if at is not False:
            return at
        c = text[j]
        if self._lex == "K":
            if c in ":,}=\"'{[" or j > i and c in _STARTS:
                return True
            value = _literal(text, j, end, edge) if j > i else False
            if value is not False:
                return value
            # an inner quote, if the real one with its colon is in sight on this line
            k = past(_TO_QUOTE[self._quote], text, j, end)
            if k >= end:
                return edge
            if text[k] == "\n":
                return True
            k = past(_BLANKS, text, k + 1, end)
            return edge if k >= end else text[k] != ":"
        bad = False
        closed = False
        while c in "}]" or c == ")" and stack.kind == "(":
            kind = OPENERS[c]
            if stack.kind == "(" and c == "]":
                kind = "("
            if stack.kind == kind:
                stack = stack.pop()
            else:
                bad = True
                if stack.pop().kind == kind:
                    stack = stack.pop().pop()
            closed = True
            if not stack.depth:
                if not bad and self._lex != "D":
                    return j >= self._floor
                j = past(_BLANKS, text, j + 1, end)
                return edge if j >= end else text[j] not in _QUOTES and (bad or text[j] != ",")
            j = self._over(text, j + 1, end, edge, True)
            if j >= end:
                return edge
            at = None if j < 0 else self._at(text, j, final)
            if at is not False:
                return at
            c = text[j]
        if c == ",":
            j = self._over(text, j + 1, end, edge, True)
            if j >= end:
                return edge
            at = None if j < 0 else self._at(text, j, final)
            if at is not False:
                return at
            c = text[j]
            if c in ",}]" or c == ")" and stack.kind == "(":
                return True
            if stack.kind == "{":
                if c == "{" and self._lex != "D" and not closed and self._in_list():
                    return _objectlike(text, j, end, edge)
                if c not in _QUOTES:
                    return _identkey(text, j, end, edge)
                whole = _keylike(text, j, end, edge)
                if not whole and self._lex == "S":
                    return bool(_OPEN_KEY.match(text, j, end) or _NO_COLON.match(text, j, end)) or whole
                return whole
            if c in _STARTS or c == "(":
                return True
            if c in "+.":
                return edge if j + 1 >= end else text[j + 1] in "0123456789"
            return _literal(text, j, end, edge)
        if c in _QUOTES:
            if stack.kind == "{":
                return _keylike(text, j, end, False if edge else None)
            if closed:
                return False
            k = past(_BODY[c], text, j + 1, end)
            if k >= end or text[k] not in _ENDS[c]:
                return False if edge else None
            k = past(_BLANKS, text, k + 1, end)
            if k >= end:
                return edge
            if text[k] == ":":
                return stack.pop().kind == "{"
            return text[k] in ",]" or text[k] == ")" and stack.kind == "("
        if c == ":" and stack.kind in _LISTS and not closed:
            k = past(_BLANKS, text, j + 1, end)
            return edge if k >= end else text[k] in _STARTS
        if stack.kind == "{" and "\n" in text[i:j]:
            key = _identkey(text, j, end, edge)
            if key is not False:
                return key
        # closers that close the watched value are its own, whatever was forgotten of the object around it
        return closed and self._lex == "S" and not bad and 0 < stack.depth <= self.watch

    def _restarts(self, text: str, i: int, final: bool, comma: int | None = None) -> bool | None:
        """Is the quote at `i` the beginning of the next key?

        If it is, all is well-formed from there to the end. Behind a comma (at `comma`, where the lookahead began)
        a key and the beginning of its value are enough, if what can be seen is well-formed.
        """
        end, edge = self._window(text, i if comma is None else comma, final)
        k = past(_KEY_WORD, text, i, end)
        if k < end and text[k] != '"':
            return False
        begins = comma is not None and _KEY_BEGINS.match(text, i, end) is not None
        node = self._stack.node("k")
        for j in range(i, end):
            node = node[text[j]]
            if node is ERROR:
                return False
            if node.stop:
                j += 1
                break
        else:
            return None if edge is None else begins
        stack = node.stack
        while True:
            j = past(_BLANKS, text, j, end)
            if j >= end:
                # the whole rest was read: well-formed; the window alone: it cannot be told
                return None if edge is None else final and j >= len(text)
            at = self._at(text, j, final)
            if at is not False:
                return at
            if not stack.depth or text[j] != CLOSERS[stack.kind]:
                return False
            stack = stack.pop()
            j += 1


_STEPS = {
    "t": Mender._step_value,
    "v0": Mender._step_value,
    "v": Mender._step_value,
    "o": Mender._step_value,
    "W": Mender._step_word,
    "G": Mender._step_gap,
    "U": Mender._step_bare,
    "A": Mender._step_after,
    "J": Mender._step_junk,
    "/": Mender._step_comment,
    "k0": Mender._step_key,
    "k": Mender._step_key,
    "I": Mender._step_ident,
    "c": Mender._step_colon,
    "K": Mender._step_string,
    "S": Mender._step_string,
    "S0": Mender._step_first,
    "Q": Mender._step_triple,
    "To": Mender._step_string,
    "D": Mender._step_string,
}
