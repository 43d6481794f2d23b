"""Reading JSON that is not quite JSON: the careful half of `JsonReader`.

Theory. The fast half (json_reader.py, json_nodes.py) passes well-formed text through. At the first character
that does not fit it goes back to the last place where everything had been given out, and this half reads on from
there, token by token: one small step function for each lexical state, in the order of the grammar. A step either
uses up text or changes the state, so that there is always progress; as soon as it is past the bad place and
holds nothing, the fast half takes over again. Both halves are functions of the text alone, never of its cutting.

A step whose next move depends on what follows asks (json_ahead.py), and leaves the text unread while that cannot be
told. Commas, keys, numbers and literals are read, but kept in `_hold` until the first character of the next
value (or the one behind a scalar) shows that they stay.

Forms that are one more spelling of a value (other literals, numbers, quotes, comments) go into `_scalar`, the
first lines of `_step_value` and `_token`; nothing else needs to know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache

from ..events import Diagnostic
from . import json_ahead as ahead
from .json_ahead import BLANKS, ENDS, LISTS, LOOK, QUOTES, STARTS, Ahead, Boundary, More
from .json_nodes import CLOSERS, MAX_TAIL, SMART, Node, past, tree
from .numbers import number

__all__ = ["Boundary", "Mender"]

_JSON_BLANKS = re.compile(r"[ \t\n\r]*+")
_IDENT = re.compile(r"[\w$.\-]*+")
_IDENT_MEMBER = re.compile(rf"[\w$.\-]++(?:[{QUOTES}]\s*+(?:\Z|([:=]))|\s*+(?:\Z|([:=,}}])))")
"""A key without quotes, or a word that is all of the member."""
_WORDS_KEY = re.compile(r"[\w$.\-]++(?: [\w$.\-]++){0,7}+ ?+(?:\Z|(:))")
"""A key of several words, without quotes."""
_DOUBLED = re.compile(rf"\{{\s*+(?:\Z|([{{{QUOTES}\w$.\-]))")
_ESCAPED_KEY = re.compile(r'(?:\\[nrt]|\s){0,16}(?:\\?\Z|\\"[^"\\:\n]{0,40}(?:\\?\Z|\\"\s{0,8}(?:\Z|(:))))')
"""Behind the brace of an object that was escaped as a whole."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+\Z")
_LONG_NUMBER = re.compile(r"[-0-9.]*+\Z")
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_PARTIAL_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?+\Z")
_INNER_ESCAPE = re.compile(r'\\\\(?:\\["\\]|[/bfnrt]|u[0-9a-fA-F]{4})')
_PARTIAL_INNER = re.compile(r"\\\\(?:\\|u[0-9a-fA-F]{0,3})?+\Z")
_PAIR = r"{0}(u[dD][89abAB][0-9a-fA-F]{{2}})(?:{0}(u[dD][c-fC-F][0-9a-fA-F]{{2}}))?+"
_PAIRS = {False: re.compile(_PAIR.format(r"\\")), True: re.compile(_PAIR.format(r"\\{1,2}"))}
"""A surrogate pair, or its first half; in escaped quotes each half may be escaped once or twice."""
_PARTIAL_LOW = re.compile(r"(?:\\{1,2}(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?\Z")
_PLAIN = {quote: re.compile(rf"[^\"\\\x00-\x1f{ends}]*+") for quote, ends in [*ENDS.items(), ("\\", "")]}
_PLAIN_TAIL = re.compile(r'[^"\\\x00-\x1f,}\]]*+')
_CLOSING_RUN = re.compile(r"[}\]]*+")
_COMMA_QUOTE = re.compile(r', ?(?:\Z|[\n\r]\s*+(?:\Z|("))|("))')
"""A comma inside a string, and a quote behind it that may begin the next key."""

_BLANK_ESCAPES = ("\\n", "\\r", "\\t")
_SCALARS = {"true": "true", "false": "false", "null": "null", "none": "null", "undefined": "null"}
_NOT_FINITE = frozenset(("nan", "infinity", "inf"))
_PYTHON = frozenset(("True", "False", "None"))

# what ends a run of text, by where it stands
_ATOM = r'\s,;\]}"'
_BARE = r'\s,\[\]{}()"\\\x00-\x1f'
_JUNK = r""""'{}\[\],"""

_VALUES = frozenset(("t", "v0", "v", "o"))
_BETWEEN = _VALUES | {"A", "k0", "k", "c"}
"""States between tokens, where blanks, comments and markers may stand."""
_STRINGS = frozenset(("S", "S0", "D"))
_FAST = _STRINGS | {"A", "k0", "v0"}
"""Those that the fast half knows too, if nothing is held."""


@lru_cache(maxsize=256)
def _until(stop: str, first: str) -> re.Pattern[str]:
    """What runs up to one of the characters `stop` or to the beginning of a marker."""
    return re.compile(rf"[^{stop}{re.escape(first)}]*+")


def _spell(text: str) -> str:
    """How JSON spells a text inside a string."""
    return _encode(text)[1:-1]


_encode = json.JSONEncoder(ensure_ascii=False).encode


class Mender(Ahead):
    """The state of a JSON reader, and its careful half."""

    __slots__ = (
        "_abs", "_back", "_comma_at", "_deep", "_escaped", "_gap", "_held", "_hold", "_key_at",
        "_key_from", "_length", "_limit", "_mark", "_pend", "_safe", "_word", "base", "closing", "cut",
        "done", "key", "keyless", "node", "out", "pause", "recovered", "wrap_key",
    )  # fmt: skip

    def __init__(self, boundary: Boundary | None = None, max_depth: int = 200, watch: int = 0) -> None:
        super().__init__(boundary, max_depth, watch)
        self.out: list[str | Diagnostic] = []
        self.done = False
        self.cut = False
        self.closing = ""
        self.base = 0
        self.recovered = False
        self.pause: str | None = None
        self.key = ""
        self.keyless = ""
        """The key that an object without one gets, at the watched level."""
        self.wrap_key = "input"
        self._limit = max_depth
        # the fast half: where it is, what it holds, and the node at the last safe place
        self.node: Node | None = None
        self._held: list[str] = []
        self._safe: Node | None = None
        # the careful half; offsets are those of the whole input
        self._hold: list[str] = []
        self._pend = ""
        self._abs = 0
        self._escaped = False
        """The quotes of the whole object are escaped."""
        self._key_at = 0
        self._key_from = 0
        self._comma_at = 0
        # a word, text without quotes, comment or junk: its text, blanks behind it, open brackets, its beginning
        self._word: list[str] = []
        self._gap: list[str] = []
        self._deep = 0
        self._mark = 0
        self._back = ""
        self._length = 0

    # -- helpers -----------------------------------------------------------------------------------------------

    def _set_depth(self, max_depth: int) -> None:
        """Another limit, and the level that is watched, from here on; only the careful half may stand here."""
        self.max_depth = max_depth
        stack = tree(max_depth, self.watch, "[" in self._first).root
        for kind in self._stack.path():
            stack = stack.push(kind)
        self._stack = stack

    def _mend(self, code: str, message: str, start: int, end: int) -> None:
        self.recovered = True
        self.out.append(Diagnostic(code, message, self._abs + start, self._abs + end))

    def _give(self, text: str) -> None:
        """What was held stays, and `text` behind it."""
        self.out += self._hold
        self.out.append(text)
        self._hold.clear()

    def _careful(self, text: str, i: int, final: bool) -> int:
        """Read on from `i` until the fast half can take over, the value ends, or more text is needed."""
        self._text, self._final = text, final
        n = len(text)
        try:
            while not self.done and self.pause is None:
                lex = self._lex
                if lex in _FAST and i > self._floor and not self._hold:
                    if self._quote == '"' if lex in _STRINGS else self._stack.depth > self.watch:
                        self.node = self._stack.node(lex)
                        break
                if not final and (i >= n or self._escaped and i == n - 1 and text[i] == "\\"):
                    break
                after = self._token(i) if lex in _BETWEEN else None
                i = _STEPS[lex](self, i) if after is None else after
        except More:
            pass
        self._text = ""
        return i

    def _token(self, i: int) -> int | None:
        """Read what may stand before a token: blanks, comments, a marker, the end of the text. None: it stands here.

        Blanks that JSON does not know are dropped, and so are comments.
        """
        text, lex = self._text, self._lex
        if i >= len(text):
            return self._cut_off(i)
        c = text[i]
        if c in " \t\n\r":
            j = past(_JSON_BLANKS, text, i)
            if lex == "A" and not self._hold:
                self.out.append(text[i:j])
            elif lex != "t":
                self._hold.append(text[i:j])
            return j
        if self._escaped and text.startswith(_BLANK_ESCAPES, i):
            return i + 2
        if c.isspace():
            self._mend("junk", "a blank that JSON does not know was dropped", i, i + 1)
            return i + 1
        if c in "/#":
            self._look(i)
            if self._comment(i, lex in _VALUES):
                self._start_aside(i, "/*" if text.startswith("/*", i) else "//")
                return i + len("/*" if self._lex == "/*" else "/")
        return self._end_at_marker(i) if self._at(i) else None

    def _start_aside(self, i: int, lex: str) -> None:
        """What begins at `i`, a comment or junk, is dropped; then the state is this one again."""
        self._back = self._lex
        self._lex = lex
        self._deep = 0
        self._mark = self._abs + i

    def _end_aside(self, i: int) -> int:
        message = "text that fits nowhere was dropped" if self._lex == "J" else "a comment was dropped"
        self._mend("junk", message, self._mark - self._abs, i)
        self._lex = self._back
        return i

    def _step_comment(self, i: int) -> int:
        """`/*` and `//`: in a comment. A marker ends it as well."""
        text, block = self._text, self._lex == "/*"
        j = past(_until("*" if block else "\n", self._first), text, i)
        if j > i:
            return j
        if i >= len(text) or not block and text[i] == "\n":
            return self._end_aside(i)
        over = self._at(i)
        if block and text[i] == "*" and self._char(i + 1) == "/":
            return self._end_aside(i + 2)
        return self._end_aside(i) if over else i + 1

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
        if self._stack.depth == 0 and lex in ("t", "W", "G"):
            self.closing = "null"
        else:
            in_string = lex in ("S", "S0", "Q", "To", "D", "U") and self._stack.depth >= self.watch
            self.closing = ('"' if in_string else "") + self._stack.closers(self.watch)
        if lex == "J":
            self._end_aside(i)
        self._hold.clear()
        return i

    def _end_at_marker(self, i: int) -> int:
        """A marker stands at `i`: the value ends here, and what is open is closed.

        The end of the turn closes nothing but the outermost object: with a value open in it, the text was cut off.
        """
        if self.boundary is not None and self.boundary.ends_turn(self._text, i):
            if self._lex != "A" or self._stack.depth > self.watch + 1:
                return self._cut_off(i)
        if self._lex == "t":
            self._mend("missing-value", "there is no value", i, i)
            self.out.append("null")
        else:
            self._tidy(i)
            self._mend("missing-closer", "brackets were left open", i, i)
            self.out.append(self._stack.closers(self.watch))
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
        self.out += self._hold
        self._hold.clear()

    # -- values ------------------------------------------------------------------------------------------------

    def _step_value(self, i: int) -> int:
        """`t` at the top, `v0` after `[`, `v` after a comma, `o` after a colon."""
        lex = self._lex
        c = self._text[i]
        begins = self._open_string(i) if c in QUOTES else self._open_tuple(i) if c == "(" else 0
        if begins:
            return begins
        if c == "\\" and (self._escaped or lex != "t") and self._char(i + 1) == '"':
            if not self._escaped:
                self._mend("bad-escape", "the quote of a string was escaped", i, i + 1)
            self._give('"')
            self._lex = "S"
            self._quote = "\\"
            return i + 2
        if c in "{[":
            return self._open_bracket(c, i)
        if self._is_closer(c):
            return self._closer(i)
        if c == "," and lex == "o":
            return self._no_value("null", i)
        if c == "," and lex != "t":
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
        return i

    def _no_value(self, null: str, i: int) -> int:
        self._mend("missing-value", "a key has no value: null", i, i)
        self._give(null)
        self._value_done()
        return i

    def _open_bracket(self, kind: str, i: int) -> int:
        """An object, array or tuple begins at `i`."""
        if self._stack.depth >= self.max_depth:
            self._mend("too-deep", f"nested deeper than {self._limit}", i, i + 1)
            return self._cut_off(i)
        if kind == "(":
            self._mend("python-literal", "a tuple", i, i + 1)
        self._give("{" if kind == "{" else "[")
        self._stack = self._stack.push(kind)
        self._lex = "k0" if kind == "{" else "v0"
        return i + 1

    def _open_tuple(self, i: int) -> int:
        """A Python tuple may begin at `i`: it is given out as an array. 0 if it is a text."""
        if not self._is_tuple(i):
            return 0
        if self._lex == "t" and self._peek(i + 1) == "{":
            self._mend("junk", "a parenthesis was dropped", i, i + 1)
            return i + 1
        return self._open_bracket("(", i)

    def _open_string(self, i: int) -> int:
        """A string begins at the quote at `i`; 0 if it is that of a text without quotes."""
        c = self._text[i]
        lex = "S0" if c == '"' else "S"
        j = i + 1
        if c == "'":
            if self._char(j) == "'" and self._char(j + 1) == "'":
                lex = "Q"
                j = i + 3
                self._mend("triple-quotes", "a string in triple quotes", i, j)
            else:
                self._mend("single-quotes", "a string in single quotes", i, j)
        elif c in SMART:
            if not self._smart_string(i):
                return 0
            self._mend("smart-quotes", "a string in the quotes of a word processor", i, j)
        self._give('"')
        self._lex = lex
        self._quote = c
        return j

    def _scalar(self) -> tuple[str, str, str] | None:
        """The JSON of an unquoted value with the code and message of its mend, or None if it is a text."""
        word = "".join(self._word)
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

    def _put_scalar(self, found: tuple[str, str, str], i: int) -> int:
        json_text, code, message = found
        if code:
            self._mend(code, message, self._mark - self._abs, i)
        self._give(json_text)
        self._word.clear()
        self._gap.clear()
        self._value_done()
        return i

    def _step_word(self, i: int) -> int:
        """`W`: in a run of characters that begins with none of the brackets and quotes."""
        text = self._text
        in_tuple = self._stack.kind == "("
        j = past(_until(_ATOM + ")" * in_tuple, self._first), text, i)
        if j > i:
            self._word.append(text[i:j])
            was_long = self._length > LOOK
            self._length += j - i
            # only a number may be longer: look at the new digits alone if it was long before
            if self._length > LOOK and not _LONG_NUMBER.match(text[i:j] if was_long else "".join(self._word)):
                return self._start_bare(j)
            return j
        if i >= len(text):
            return self._cut_off(i)
        c = text[i]
        at = self._at(i)
        if not at and c not in ',;]}"' and not c.isspace() and not (in_tuple and c == ")"):
            self._word.append(c)
            self._length += 1
            return self._start_bare(i + 1) if self._length > LOOK else i + 1
        found = self._scalar()
        if found is None or c == '"':
            return self._start_bare(i)
        if c.isspace() and not at:
            self._lex = "G"
            return i
        return self._put_scalar(found, i)

    def _step_gap(self, i: int) -> int:
        """`G`: in the blanks after a number or literal: does it end there, or is it a text without quotes?"""
        text = self._text
        j = past(BLANKS, text, i)
        if j > i:
            self._gap.append(text[i:j])
            return j
        if i >= len(text):
            return self._cut_off(i)
        self._look(i)
        c, kind = text[i], self._stack.kind
        ends = self._at(i) or any("\n" in g for g in self._gap) or c in ",{[\"'" or self._is_closer(c)
        if not ends and c in "/#":
            ends = self._comment(i)
        if not ends and kind in LISTS:
            ends = c in STARTS or self._literal(i)
        if not ends and kind == "{":
            ends = self._sees(ahead.IDENT_KEY, i)
        if not ends:
            return self._start_bare(i)
        found = self._scalar()
        assert found is not None
        gap = "".join(c for g in self._gap for c in g if c in " \t\n\r")
        self._put_scalar(found, i)
        if gap and not self.done:
            self.out.append(gap)
        return i

    # -- texts without quotes ----------------------------------------------------------------------------------

    def _start_bare(self, i: int) -> int:
        """What was held as a word turns out to be a text: give it out as a string, and go on so."""
        start = self._mark - self._abs
        self._mend("unquoted-value", "a text without quotes", start, start)
        word = "".join(self._word)
        self._give('"' + _spell(word))
        self._word.clear()
        self._deep = 0
        for c in word:
            if c in "[{(":
                self._deep += 1
            elif c == ")" and self._deep:
                self._deep -= 1
        self._lex = "U"
        return i

    def _step_bare(self, i: int) -> int:
        """`U`: in a text without quotes. Blanks wait in `_gap` until something follows."""
        text, stack = self._text, self._stack
        if i >= len(text):
            return self._cut_off(i)
        j = past(BLANKS, text, i)
        if j > i:
            self._gap.append(text[i:j])
            return j
        c = text[i]
        if self._at(i) or self._line_ends(i):
            return self._end_bare(i)
        j = past(_until(_BARE, self._first), text, i)
        if j == i and stack.depth:
            if c == '"' and self._closes(i + 1) and not self._deep:
                self._mend("missing-quote", "a closing quote without an opening one was dropped", i, i + 1)
                return self._end_bare(i + 1)
            if not self._deep and (
                c == ","
                and (stack.kind in LISTS or self._closes(i))
                or c in "]}"
                or c == ")"
                and stack.kind == "("
            ):
                return self._end_bare(i)
            if c in "[{(":
                self._deep += 1
            elif c in "]})" and self._deep:
                self._deep -= 1
        j = max(j, i + 1)
        self.out.append(_spell("".join(self._gap) + text[i:j]))
        self._gap.clear()
        return j

    def _line_ends(self, i: int) -> bool:
        """A line break stood before `i`: does the next member stand here?"""
        if self._stack.kind != "{" or not any("\n" in g for g in self._gap):
            return False
        self._look(i)
        return self._sees(ahead.MEMBER, i)

    def _end_bare(self, i: int) -> int:
        self._gap.clear()
        self.out.append('"')
        self._value_done()
        return i

    # -- after a value -----------------------------------------------------------------------------------------

    def _step_after(self, i: int) -> int:
        """`A`: a comma or a closer is due."""
        c = self._text[i]
        if c == ",":
            return self._comma(i, 1)
        if self._is_closer(c):
            return self._closer(i)
        in_object = self._stack.kind == "{"
        self._look(i)
        if c in QUOTES and in_object:
            missing = self._sees(ahead.KEY, i)
        elif c in QUOTES:
            if self._stack.pop().kind == "{" and self._sees(ahead.KEY_COLON, i, False):
                self._mend("missing-closer", "a ] was left out", i, i)
                return self._close(i)
            missing = self._peek(i + 1) not in ",]}"
        elif c == ";":
            if self._sees(ahead.MEMBER, i + 1) if in_object else self._peek(i + 1) not in ("]", "}"):
                self._mend("missing-comma", "a semicolon instead of a comma", i, i + 1)
                return self._comma(i, 1)
            missing = False
        elif in_object:
            # a word at the very end is no key, if none is waited for
            missing = self._sees(ahead.IDENT_KEY, i, not self.enough)
        elif c == ":":
            self._mend("missing-comma", "a colon where a comma is due", i, i + 1)
            return self._comma(i, 1)
        else:
            missing = c in STARTS or c.isalpha()
        if missing:
            self._mend("missing-comma", "a comma was left out", i, i)
            return self._comma(i, 0)
        if c == "{" and self._stack.depth == 1:
            # the next object begins: nothing of this one will come
            return self._end_at_marker(i)
        if self.enough and self._stack.depth <= self.watch and self._stands_alone(i):
            return self._end_at_marker(i)
        self._start_aside(i, "J")
        return i

    def _comma(self, i: int, size: int) -> int:
        """A comma stands at `i`, or should: another member is due."""
        self._comma_at = self._abs + i
        self._hold.append(",")
        self._lex = "k" if self._stack.kind == "{" else "v"
        return i + size

    def _step_junk(self, i: int) -> int:
        """`J`: skip what fits nowhere, brackets in pairs, up to the next separator, closer or key."""
        text = self._text
        if i >= len(text):
            return self._cut_off(i)
        c = text[i]
        inside = self._deep > 0 or self._abs + i == self._mark
        ends = self._at(i)
        if not ends and c in "{[":
            self._deep += 1
        elif not ends and c in "}]":
            ends = not inside
            self._deep = max(0, self._deep - 1)
        elif not ends and not inside and c in QUOTES:
            self._look(i)
            ends = self._sees(ahead.KEY, i, False)
        elif not inside and c == ",":
            ends = True
        if ends:
            return self._end_aside(i)
        return past(_until(_JUNK, self._first), text, i + 1)

    # -- closers -----------------------------------------------------------------------------------------------

    def _is_closer(self, c: str) -> bool:
        return c in "}]" or c == ")" and self._stack.kind == "("

    def _closer(self, i: int) -> int:
        c = self._text[i]
        if self._stack.depth == 0:
            self._mend("extra-closer", "a closing bracket without an opening one was dropped", i, i + 1)
            return i + 1
        own = CLOSERS[self._stack.kind]
        if c != own and c != ")":
            act = self._choose(i)
            if act == "drop":
                self._mend("extra-closer", f"a {c} that closes nothing was dropped", i, i + 1)
                return i + 1
            if act == "insert":
                self._mend("missing-closer", f"a {own} was left out", i, i)
                return self._close(i)
            self._mend("wrong-closer", f"{c} instead of {own}", i, i + 1)
        return self._close(i) + 1

    def _close(self, i: int) -> int:
        """The innermost bracket ends before `i`."""
        self._tidy(i)
        self.out.append(CLOSERS[self._stack.kind])
        self._stack = self._stack.pop()
        self._value_done()
        return i

    # -- keys --------------------------------------------------------------------------------------------------

    def _step_key(self, i: int) -> int:
        """`k0` after `{`, `k` after a comma."""
        text, lex = self._text, self._lex
        c = text[i]
        self._look(i)
        if c == "\\":
            if lex == "k0" and not self._escaped and self._sees(_ESCAPED_KEY, i, False):
                self._mend("bad-escape", "an object was escaped as if it stood in a string", i, i + 1)
                self._escaped = True
                return i
            if self._escaped and self._char(i + 1) == '"':
                return self._begin_key(i, i + 2, "K", "\\")
        if c in QUOTES:
            whole = self._sees(ahead.KEY, i)
            if not whole and c not in SMART and ahead.OPEN_KEY.match(text, i, self._end):
                self._mend("missing-quote", "the closing quote of a key was left out", i, i + 1)
                return self._begin_key(i, i + 1, "I")
            if c == "'":
                self._mend("single-quotes", "a key in single quotes", i, i + 1)
            if whole and c in SMART:
                self._mend("smart-quotes", "a key in the quotes of a word processor", i, i + 1)
            if whole or c not in SMART:
                return self._begin_key(i, i + 1, "K", c)
        if c in "}]":
            return self._closer(i)
        if c == ",":
            self._mend("double-comma", "a comma without a member was dropped", i, i + 1)
            return i + 1
        if c == ":":
            self._mend("unquoted-key", "a key was left out", i, i)
            return self._whole_key("", i, i)
        if c == "{" and lex == "k":
            if self._in_list() and self._sees(ahead.OBJECT, i):
                # the next object of a list
                self._mend("missing-closer", "a } was left out", self._comma_at - self._abs, i)
                self.out.append("}")
                self._stack = self._stack.pop()
                self._lex = "v"
                return i
            if self.keyless and self._stack.depth == self.watch:
                self._mend("unquoted-key", f"an object without a key is taken as {self.keyless!r}", i, i)
                self._key_from = self._abs + i
                self.key = self.keyless
                self.pause = "key"
                self._hold.append(":")
                self._lex = "o"
                return i
        if c == "{" and lex == "k0" and self._sees(_DOUBLED, i, False):
            self._mend("junk", "a doubled brace was dropped", i, i + 1)
            return i + 1
        if self._sees(_IDENT_MEMBER, i):
            self._mend("unquoted-key", "a key without quotes", i, i)
            return self._begin_key(i, i, "I")
        if self._sees(_WORDS_KEY, i, False):
            self._mend("unquoted-key", "a key without quotes", i, i)
            k = text.index(":", i)
            return self._whole_key(text[i:k].rstrip(), i, k)
        if lex == "k0" and self._stack.depth > self.watch:
            # nothing of the object must be lost: without a key in sight, it is the text of one member
            k = text.find("}", i, self._end)
            if not ahead.SOME_KEY.search(text, i, self._end if k < 0 else k) and (k >= 0 or self._edge()):
                name = json.dumps(self.wrap_key, ensure_ascii=False)
                self._mend("unquoted-key", f"a value without key is taken as {name}", i, i)
                self._hold.append(f"{name}: ")
                self._lex = "o"
                return i
        self._start_aside(i, "J")
        return i

    def _begin_key(self, i: int, j: int, lex: str, quote: str = '"') -> int:
        """A key begins at `i`, its text at `j`, in quotes (`K`) or without (`I`)."""
        self._key_at = len(self._hold)
        self._key_from = self._abs + i
        self._hold.append('"')
        self._lex = lex
        self._quote = quote
        return j

    def _whole_key(self, key: str, i: int, end: int) -> int:
        self._begin_key(i, i, "c")
        self._hold[-1] = f'"{key}"'
        return end

    def _step_ident(self, i: int) -> int:
        """`I`: in a key without quotes."""
        text = self._text
        if i >= len(text):
            return self._cut_off(i)
        j = past(_IDENT, text, i)
        if j > i:
            self._hold.append(text[i:j])
            return j
        self._hold.append('"')
        self._lex = "c"
        return i + 1 if text[i] in QUOTES else i

    def _step_colon(self, i: int) -> int:
        """`c`: a colon is due."""
        c = self._text[i]
        j = i
        if c == ":":
            j = i + 1
        elif c == "=":
            j = i + 2 if self._char(i + 1) == ">" else i + 1
            self._mend("missing-colon", f"{self._text[i:j]} instead of a colon", i, j)
        elif c in "}]":
            return self._closer(i)
        elif c == ",":
            return self._no_value(": null", i)
        else:
            self._mend("missing-colon", "a colon was left out", i, i)
        if self._stack.depth <= self.watch:
            self.key = json.loads("".join(self._hold[self._key_at :]), strict=False)
            self.pause = "key"
        self._hold.append(":")
        self._lex = "o"
        return j

    # -- strings -----------------------------------------------------------------------------------------------

    def _put(self, text: str) -> None:
        """Give out text of a string; that of a key waits."""
        if self._lex == "K":
            self._hold.append(text)
        else:
            self.out.append(text)

    def _end_string(self, i: int) -> int:
        self._put('"')
        if self._lex == "K":
            self._lex = "c"
        else:
            self._value_done()
        return i

    def _close_string(self, i: int) -> int:
        """The closing quote was left out: the string ends at `i`. A key that nothing follows goes with it."""
        self._mend("missing-quote", "a closing quote was left out", i, i)
        if self._lex == "K":
            self._tidy(i)
            self._lex = "A"
            return i
        return self._end_string(i)

    def _step_first(self, i: int) -> int:
        """`S0`: at the first character of a string. Two more quotes that do not end it make triple quotes."""
        two = self._text.startswith('"', i) and self._char(i + 1) == '"'
        if two and not self._closes(i + 2, i, "S"):
            self._mend("triple-quotes", "a string in triple quotes", i - 1, i + 2)
            self._lex = "Q"
            return i + 2
        self._lex = "S"
        return i

    def _step_string(self, i: int) -> int:
        """`S` in a value, `D` in one that has had a quote which was not escaped, `K` in a key, `Q` in triple quotes.

        Those in escaped quotes (`_quote` is a backslash) are like a string that holds JSON: one level of escapes is
        undone.
        """
        text, lex, quote = self._text, self._lex, self._quote
        if i >= len(text):
            return self._cut_off(i)
        plain = _PLAIN[quote]
        if quote == '"' and lex in ("S", "To"):
            # what stands here may belong behind a closing quote that was left out
            if lex == "To" or text[i] in ",}]":
                return self._string_tail(i)
            plain = _PLAIN_TAIL
        j = past(plain, text, i)
        if j > i:
            self._put(text[i:j])
            return j
        c = text[i]
        if c == "\\":
            return self._escape(i)
        if lex == "Q" and c == quote:
            return self._triple_quotes(i)
        if lex != "Q" and c in ENDS.get(quote, ""):
            return self._quote_inside(i)
        if self._ends_string(i):
            return self._close_string(i)
        if lex != "Q" and quote != "\\" and c in "\n\r":
            self._mend("raw-newline", "a line break inside a string was not escaped", i, i + 1)
        elif lex != "Q" and quote != "\\" and c < " ":
            self._mend("control-character", "a control character inside a string was not escaped", i, i + 1)
        self._put(_spell(c))
        return i + 1

    def _quote_inside(self, i: int) -> int:
        """At a quote that may end the string."""
        if self._closes(i + 1):
            return self._end_string(i + 1)
        c, is_key = self._text[i], self._lex == "K"
        if not is_key and self._stack.kind == "{" and self._quote == '"' and self._restarts(i):
            return self._close_string(i)
        if self._quote not in SMART:  # a text in those may well have some
            self._mend("inner-quote", "a quote inside a string was not escaped", i, i + 1)
            if not is_key:
                self._lex = "D"
        self._put(_spell(c))
        return i + 1

    def _triple_quotes(self, i: int) -> int:
        """At quotes in triple quotes: the last three of at most five end it."""
        j = i
        while j < i + 5 and self._char(j) == self._quote:
            j += 1
        ends = j - i >= 3
        self._put(_spell(self._quote) * (j - i - 3 * ends))
        return self._end_string(j) if ends else j

    def _string_tail(self, i: int) -> int:
        """At a comma or closer inside a string: does it stand behind a closing quote that was left out?"""
        text, stack = self._text, self._stack
        if self._lex == "To":
            # the rest of closers that are too many
            j = past(_CLOSING_RUN, text, i)
            if j < len(text):
                self._lex = "S"
            if j > i:
                self._put(text[i:j])
            return j
        if text[i] == ",":
            self._look(i)
            if stack.kind == "{" and self._sees(_COMMA_QUOTE, i, False):
                j = text.index('"', i)
                if not self._closes(j + 1, i) and self._restarts(j, i):
                    return self._close_string(i)
            self._put(",")
            return i + 1
        j = past(_CLOSING_RUN, text, i)
        if j - i <= stack.depth <= MAX_TAIL:
            after = self._char(j)
            if text[i:j] == stack.closers() and self.boundary is not None:
                if not after:
                    return self._cut_off(i)
                if self._ends_string(j):
                    return self._close_string(i)
        self._put(text[i:j])
        if j >= len(text):
            self._lex = "To"
        return j

    def _escape(self, i: int) -> int:
        """At a backslash in a string."""
        text = self._text
        escaped = self._quote == "\\"
        pair = _PAIRS[escaped].match(text, i)
        if pair is not None:
            # the first half goes out with its second
            j = pair.end()
            if pair[2] is None and _PARTIAL_LOW.match(text, j):
                self._char(len(text))
                if j == len(text):
                    return self._cut_off(j)
            self._put("".join(f"\\{half}" for half in pair.groups() if half))
            return j
        if escaped and self._char(i + 1) in '"\\':
            return self._inner_escape(i)
        # in escaped quotes, one of the outer level: the character that it means, written as JSON
        m = _ESCAPE.match(text, i)
        if m is not None:
            self._put(m[0])
            return m.end()
        if _PARTIAL_ESCAPE.match(text, i):
            self._char(len(text))
            return self._cut_off(len(text))
        if text[i + 1] == "'":
            if self._quote == '"':
                self._mend("bad-escape", "JSON does not escape single quotes", i, i + 2)
            self._put("'")
            return i + 2
        self._mend("bad-escape", "a backslash that escapes nothing was doubled", i, i + 1)
        self._put("\\\\")
        return i + 1

    def _inner_escape(self, i: int) -> int:
        """At an escaped quote or backslash in escaped quotes."""
        text = self._text
        if i + 1 == len(text):
            return self._cut_off(i)
        if text[i + 1] == '"':
            return self._end_string(i + 2)
        # an escape of the inner level: its backslash, then what it escapes
        m = _INNER_ESCAPE.match(text, i)
        if m is not None:
            self._put("\\" + text[i + 2 : m.end()].replace("\\\\", "\\").replace('\\"', '"'))
            return m.end()
        if _PARTIAL_INNER.match(text, i):
            self._char(len(text))
        self._put("\\\\")
        return i + 2


_STEPS: dict[str, Callable[[Mender, int], int]] = {
    **dict.fromkeys(_VALUES, Mender._step_value),
    "W": Mender._step_word,
    "G": Mender._step_gap,
    "U": Mender._step_bare,
    "A": Mender._step_after,
    "J": Mender._step_junk,
    "/*": Mender._step_comment,
    "//": Mender._step_comment,
    "k0": Mender._step_key,
    "k": Mender._step_key,
    "I": Mender._step_ident,
    "c": Mender._step_colon,
    "S0": Mender._step_first,
    **dict.fromkeys(("K", "S", "To", "D", "Q"), Mender._step_string),
}
