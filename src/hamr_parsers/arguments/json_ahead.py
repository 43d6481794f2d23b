"""What the mender of JSON (json_mend.py) decides by looking ahead.

Theory. What is given out is never taken back. So whatever could be read in two ways is decided before, by a look at
what follows, `LOOK` characters at most. While they are not there, the question raises `More`, and the step that asked
is taken again when more text has come: no step changes anything before its questions are answered. `_look` says where
a look begins; at its edge each question has an answer of last resort (`_edge`). So every answer is a function of the
text alone, never of its cutting.

A pattern for `_sees` also matches what may still become such a text at the edge (`\\Z`); what it says in a group is
certain.

What several readings fit is decided in these places, and nowhere else:

- `_closes`: is a quote inside a string its end? Yes if structure follows that fits the open brackets: a closer,
  a comma with a key and colon (in an object) or with a value (in an array). Else it is a character of the
  text, and the string's later quotes are looked at more closely (state `D`). It also says whether a comma ends a
  text without quotes.
- `_restarts`: or is it the opening quote of the next key, because the string's own closing quote is missing?
  Only if everything behind it is well-formed up to the end of the value.
- `_choose`: a bracket that does not match: was one left out before it, is it the wrong one, or one too many? The
  reading that lets the following closers and separators fit wins.
- `_stands_alone`: is text behind the call's arguments junk in its object, or was the object's end forgotten and the
  text is the answer's? The latter, if nothing follows that an object is made of.
- `_comment`: is `#` or `//` the beginning of a comment, of a text without quotes, or junk? The line's end decides.
- `_smart_string`, `_is_tuple`: does a string (an array) begin here, or a text without quotes that begins so? What
  stands behind its end decides, if that is in sight.
"""

from __future__ import annotations

import re
from typing import Protocol

from .json_nodes import CLOSERS, ERROR, SMART, Stack, past, tree

__all__ = [
    "BLANKS",
    "ENDS",
    "LISTS",
    "LOOK",
    "QUOTES",
    "SOME_KEY",
    "STARTS",
    "Ahead",
    "Boundary",
    "More",
    "quoted",
]

LOOK = 64
"""How many characters a decision may look ahead."""

LISTS = ("[", "(")
ENDS = {'"': '"', "'": "'", **SMART}
"""Quotes that strings begin with, and what may end them."""
QUOTES = "".join(ENDS)
STARTS = "{[-0123456789" + QUOTES
"""What values begin with, but for literals."""
LITERALS = frozenset(("true", "false", "null", "none", "undefined", "nan", "infinity", "inf"))

_OPENERS = {"}": "{", "]": "[", ")": "("}


def quoted(then: str) -> str:
    """A pattern for a string in any quotes with what follows it, or all that is left of it at the edge."""
    kinds = {ends: "".join(c for c in ENDS if ENDS[c] == ends) for ends in ENDS.values()}
    each = (rf"[{begins}](?:[^\\{ends}]|\\.)*+(?:\\?\Z|[{ends}]{then})" for ends, begins in kinds.items())
    return f"(?s:{'|'.join(each)})"


_IDENT_KEY_TEXT = rf"[\w$.\-]++[{QUOTES}]?+\s*+(?:\Z|([:=]))"
_KEY_TEXT = quoted(r"\s*+(?:\Z|([:={\[]))")

BLANKS = re.compile(r"\s*+")
KEY = re.compile(_KEY_TEXT)
"""A quoted key with its colon, or with what stands in the colon's place."""
KEY_COLON = re.compile(quoted(r"\s*+(?:\Z|(:))"))
IDENT_KEY = re.compile(_IDENT_KEY_TEXT)
MEMBER = re.compile(rf"\s*+(?:\Z|{_KEY_TEXT}|{_IDENT_KEY_TEXT})")
OBJECT = re.compile(rf"\{{\s*+(?:\Z|{_KEY_TEXT})")
OPEN_KEY = re.compile(r"""["'][\w$.\-]++[”’]?+\s*+:\s*+["'“‘{\[\-0-9tfnTFN]""")
"""A key whose closing quote was left out, and the beginning of its value."""
SOME_KEY = re.compile(r"""(?:"[^"\n]{1,64}"|'[^'\n]{1,64}'|[\w$])\s{0,64}[:=]""")
_NO_COLON = re.compile(r"""["'][\w$.\-]{1,40}+["']\s{1,4}["'{\[\-0-9tfnTFN]""")
_KEY_WORD = re.compile(r'"[\w$.\- ]{0,40}+')
_KEY_BEGINS = re.compile(r'"[\w$.\-][\w$.\- ]{0,40}"\s{0,4}:\s{0,4}(?:["{\[\-0-9]|true|false|null)')
_STRING = re.compile(quoted("()"))
_TO_QUOTE = {quote: re.compile(rf"[^\n{ends}]*+") for quote, ends in ENDS.items()}
_WORD = re.compile(r"\w*+")
_SIGNED = re.compile(r"[+.](?:\Z|([0-9]))")
_STRUCTURE = re.compile(r"""["{}\[\]]|'[\w$.\-]{1,40}+'\s{0,4}:""")
_COMMENT = re.compile(r"/\*(?s:.*?)(?:\*/|\Z)|.*+")
_TUPLE = re.compile(
    r"""(?s)\(\s*+(?:\)|[\[{(]|(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[\w.+\-]++)\s*+,"""
    r"""|(?:"(?:[^"\\]|\\.)*+|'(?:[^'\\]|\\.)*+)\Z)"""
)
"""The beginning of a tuple, up to what shows that it is one, or a string whose end is not in sight."""
_PAREN = re.compile(r"""(?s)\((?:[^()"']|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')*+\)\s*+""")


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


class More(Exception):
    """A question cannot be answered before there is more text."""


class Ahead:
    """Where a reader stands in its value, and what it can see from there."""

    __slots__ = (
        "_end", "_final", "_first", "_floor", "_lex", "_quote", "_short", "_stack", "_text", "boundary",
        "enough", "max_depth", "watch",
    )  # fmt: skip

    def __init__(self, boundary: Boundary | None = None, max_depth: int = 200, watch: int = 0) -> None:
        self.boundary = boundary
        self.max_depth = max_depth
        self.watch = watch
        self.enough = False
        """The arguments were read: nothing more need come."""
        self._first = boundary.first if boundary is not None else ""
        self._lex = "t"
        self._stack: Stack = tree(max_depth, watch, "[" in self._first).root
        self._quote = '"'
        self._floor = -1
        # set while text is read: all of it, whether it is the last, and the look ahead
        self._text = ""
        self._final = False
        self._end = 0
        self._short = False

    # -- questions ---------------------------------------------------------------------------------------------

    def _look(self, i: int) -> None:
        """A look ahead begins at `i`."""
        end, size = i + LOOK, len(self._text)
        self._short = size < end and not self._final
        self._end = end if end < size else size

    def _edge(self, answer: bool = True) -> bool:
        """The answer at the edge of the look, if nothing more will be seen there."""
        if self._short:
            raise More
        return answer

    def _sees(self, pattern: re.Pattern[str], i: int, edge: bool = True) -> bool:
        """Does such a text stand at `i`?"""
        m = pattern.match(self._text, i, self._end)
        return m is not None and (m.lastindex is not None or self._edge(edge))

    def _peek(self, i: int) -> str:
        """The next character that is no blank; at the edge "", which is in every string."""
        k = past(BLANKS, self._text, i, self._end)
        if k >= self._end:
            self._edge()
            return ""
        return self._text[k]

    def _char(self, i: int) -> str:
        """The character at `i`; "" at the end of the whole text."""
        if i >= len(self._text) and not self._final:
            raise More
        return self._text[i : i + 1]

    def _at(self, i: int) -> bool:
        """Does a marker stand at `i`?"""
        if self._text[i] not in self._first:
            return False
        at = self._marker_at(self._text, i, self._final)
        if at is None:
            raise More
        return at

    def _marker_at(self, text: str, i: int, final: bool) -> bool | None:
        """As `_at`, of any text. None: more is needed."""
        if text[i] in self._first and self.boundary is not None:
            at = self.boundary.at(text, i, final)
            return bool(at) if final else at
        return False

    def _ends_string(self, i: int) -> bool:
        """Does a line break at `i`, inside a string, stand before a closer that is really one?"""
        line = i + 1 if self._text[i] == "\r" else i
        if self.boundary is None or self._text[i] not in "\r\n" or self._char(line) != "\n":
            return False
        ends = self.boundary.ends_string(self._text, line, self._final)
        if ends is None and not self._final:
            raise More
        return bool(ends)

    def _literal(self, i: int) -> bool:
        """Does a literal, in whatever spelling, stand at `i`?"""
        k = past(_WORD, self._text, i, self._end)
        word = self._text[i:k].lower()
        if k >= self._end and any(literal.startswith(word) for literal in LITERALS):
            self._edge()
        return word in LITERALS

    def _in_list(self) -> bool:
        """Is the object that is open an element, of which nobody waits for the end?"""
        outer = self._stack.pop()
        return outer.kind == "[" and outer.depth > self.watch

    def _skip(self, i: int, apart: bool) -> tuple[int, str]:
        """Past the blanks and comments at `i`: the place and the character there, "" for a marker or the edge.

        A comment stands apart from what is before it, unless that is a comma or bracket (`apart`).
        """
        while True:
            j = past(BLANKS, self._text, i, self._end)
            if j >= self._end:
                self._edge()
                return j, ""
            if self._text[j] not in "/#" or not (apart or j > i) or not self._comment(j):
                return j, "" if self._at(j) else self._text[j]
            i = past(_COMMENT, self._text, j, self._end)
            apart = True

    def _comment(self, i: int, value: bool = False) -> bool:
        """Does a comment begin at `i`? `value`: a text without quotes may stand there.

        A comment that ends with its line must not hold what follows if there is no line break: it is one if a
        member follows its line, or if nothing stands in it that an object is made of.
        """
        text, end = self._text, self._end
        kind = text[i : min(i + 2, end)]
        if kind == "/":
            return self._edge(False)
        if kind[0] != "#" and kind not in ("//", "/*"):
            return False
        if kind == "/*":
            if not value or text.find("*/", i, end) > 0:
                return True
            return self._edge(_STRUCTURE.search(text, i, end) is None)
        line = text.find("\n", i, end)
        k = past(BLANKS, text, line, end) if line >= 0 else end
        line = line if line >= 0 else end
        at = self._at(k) if k < end else self._edge()
        if value:
            # `#fff` and `//host` are texts: a separator follows their line, or another key
            if k < end:
                if at or text[k] in ",]}" or SOME_KEY.match(text, k, end):
                    return False
                return self._edge(True)  # it may become a key
            return text[i + 1 + (kind == "//") : line][:1].isspace()
        return not at or _STRUCTURE.search(text, i, line) is None

    def _smart_string(self, i: int) -> bool:
        """Does a string begin with the smart quote at `i`, and not a text without quotes?

        Yes if one of the quotes that can be seen ends it, or none can be seen.
        """
        self._look(i)
        seen = False
        for k in range(i + 1, self._end):
            if self._text[k] in SMART[self._text[i]][:-1]:
                seen = True
                if self._closes(k + 1, i, "S"):
                    return True
        return self._edge(not seen)

    def _is_tuple(self, i: int) -> bool:
        """Does a Python tuple begin at `i`, and not a text without quotes?"""
        self._look(i)
        text = self._text
        if not _TUPLE.match(text, i, self._end):
            return self._edge(False)
        k = past(_PAREN, text, i, self._end)
        if k == i or k == self._end:
            return self._edge()
        # a text that goes on behind its parentheses is none
        return self._at(k) or text[k] in ",;)]}/#" or text[k - 1] == "\n"

    def _stands_alone(self, i: int) -> bool:
        """Is the text at `i` no junk, but what stands behind an object whose end was forgotten?

        Yes if within the look nothing comes that an object or call is made of.
        """
        self._look(i)
        if _STRUCTURE.search(self._text, i, self._end) or any(self._at(k) for k in range(i, self._end)):
            return False
        return self._edge()

    # -- the end of a string -----------------------------------------------------------------------------------

    def _closes(self, i: int, seen: int | None = None, lex: str = "") -> bool:
        """Does a string (or a text without quotes) end before `i`?

        `seen`: where the look began. `lex`: the state, if it is another one.
        """
        self._look(i if seen is None else seen)
        text, stack = self._text, self._stack
        lex = lex or self._lex
        j, c = self._skip(i, False)
        if not c:
            return True
        if lex == "K":
            return self._key_closes(i, j)
        bad = closed = False
        while c in "}]" or c == ")" and stack.kind == "(":
            kind = "(" if stack.kind == "(" and c == "]" else _OPENERS[c]
            if stack.kind == kind:
                stack = stack.pop()
            else:
                bad = True
                if stack.pop().kind == kind:
                    stack = stack.pop().pop()
            closed = True
            if not stack.depth:
                if not bad and lex != "D":
                    return j >= self._floor
                c = self._peek(j + 1)
                return not c or c not in QUOTES and (bad or c != ",")
            j, c = self._skip(j + 1, True)
            if not c:
                return True
        if c == ",":
            j, c = self._skip(j + 1, True)
            if c in ",}]" or c == ")" and stack.kind == "(":
                return True
            if stack.kind != "{":
                return c in STARTS or c == "(" or self._sees(_SIGNED, j) or self._literal(j)
            if c == "{" and lex != "D" and not closed and self._in_list():
                return self._sees(OBJECT, j)
            if lex == "S" and any(p.match(text, j, self._end) for p in (OPEN_KEY, _NO_COLON)):
                return True
            return self._sees(MEMBER, j)
        if c in QUOTES:
            if stack.kind == "{":
                return self._sees(KEY, j, False)
            if closed:
                return False
            if not self._sees(_STRING, j, False):
                return False
            c = self._peek(past(_STRING, text, j, self._end))
            if c == ":":
                return stack.pop().kind == "{"
            return c in ",]" or c == ")" and stack.kind == "("
        if c == ":" and stack.kind in LISTS and not closed:
            return self._peek(j + 1) in STARTS
        if stack.kind == "{" and "\n" in text[i:j] and self._sees(IDENT_KEY, j):
            return True
        # closers that close the watched value are its own, whatever was forgotten of the object around it
        return closed and lex == "S" and not bad and 0 < stack.depth <= self.watch

    def _key_closes(self, i: int, j: int) -> bool:
        """Does a key end before `i`, if what follows stands at `j`?"""
        c = self._text[j]
        if c in ":,}=\"'{[" or j > i and (c in STARTS or self._literal(j)):
            return True
        # an inner quote, if the real one with its colon is in sight on this line
        k = past(_TO_QUOTE[self._quote], self._text, j, self._end)
        if k >= self._end:
            return self._edge()
        return self._text[k] == "\n" or self._peek(k + 1) != ":"

    def _restarts(self, i: int, comma: int | None = None) -> bool:
        """Is the quote at `i` the beginning of the next key?

        If it is, all is well-formed from there to the end. Behind a comma (at `comma`, where the look began)
        a key and the beginning of its value are enough, if what can be seen is well-formed.
        """
        self._look(i if comma is None else comma)
        text, end = self._text, self._end
        k = past(_KEY_WORD, text, i, end)
        if k < end and text[k] != '"':
            return False
        node = self._stack.node("k")
        j = i
        while not node.stop:
            if j >= end:
                return self._edge(comma is not None and _KEY_BEGINS.match(text, i, end) is not None)
            node = node[text[j]]
            if node is ERROR:
                return False
            j += 1
        stack = node.stack
        while True:
            j = past(BLANKS, text, j, end)
            if j >= end:
                # the whole rest was read: well-formed; the look alone: it cannot be told
                return self._edge(self._final and j >= len(text))
            if self._at(j):
                return True
            if not stack.depth or text[j] != CLOSERS[stack.kind]:
                return False
            stack = stack.pop()
            j += 1

    # -- brackets that do not match ----------------------------------------------------------------------------

    def _choose(self, i: int) -> str:
        """What to do with a closer that does not match: insert, replace or drop.

        All three are tried on the run of closers that follows; the one that then leaves the least that does not
        fit is taken.
        """
        self._look(i + 1)
        text, end = self._text, self._end
        run = ""
        j = past(BLANKS, text, i + 1, end)
        while j < end and text[j] in "}]":
            run += text[j]
            j = past(BLANKS, text, j + 1, end)
        follows = ""
        if j >= end:
            self._edge()
        elif self._at(j):
            follows = "!"
        elif text[j] == ",":
            key = MEMBER.match(text, j + 1, end)
            follows = "[" if key is None else "{" if key.lastindex else "?"
            if follows == "?":
                self._edge()
        outer = self._stack.pop()
        while outer.depth and CLOSERS[outer.kind] != text[i]:
            outer = outer.pop()
        readings = {"insert": outer.pop(), "replace": self._stack.pop(), "drop": self._stack}
        if not outer.depth:
            del readings["insert"]
        costs = {act: _cost(after, run, follows) for act, after in readings.items()}
        best = [act for act, cost in costs.items() if cost == min(costs.values())]
        if len(best) > 1:
            # the one after which more of what can be seen is well-formed
            self._edge()
            best.sort(key=lambda act: -self._survives(readings[act], i + 1))
        return best[0]

    def _survives(self, stack: Stack, i: int) -> int:
        """How far the text is well-formed, if a value has just ended in these brackets; furthest if all closes."""
        text, end = self._text, self._end
        whole = tree(self.max_depth, 0, False).root
        for kind in stack.path():
            whole = whole.push(kind)
        node = whole.node("A")
        for j in range(i, end):
            if node.stop:
                j = past(BLANKS, text, j, end)
                return j if j < end and not self._at(j) else end + 1
            node = node[text[j]]
            if node is ERROR:
                return j
        return end + node.stop


def _cost(stack: Stack, run: str, follows: str) -> int:
    """How much does not fit these brackets of the closers in `run` and of the separator behind them."""
    cost = 0
    goes_on = follows in ("{", "[", "?")
    for n, c in enumerate(run):
        if not stack.depth:
            return cost + len(run) - n + goes_on
        if CLOSERS[stack.kind] == c:
            stack = stack.pop()
        else:
            cost += 1
    if not stack.depth:
        return cost + goes_on * 2
    if not goes_on:
        return cost + stack.depth
    return cost + (follows != "?" and (follows == "{") != (stack.kind == "{"))
