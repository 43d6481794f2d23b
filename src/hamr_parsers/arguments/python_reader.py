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
from typing import TYPE_CHECKING, ClassVar

from ..events import Diagnostic
from .json_nodes import SMART, past, uncut
from .numbers import FLOAT, MAX_NUMBER, number
from .reader import AFTER, BLANKS, COLON, MEMBER, PAIRS, VALUE, WINDOW, ArgumentsReader, Level, More
from .schema import ParamSchema, ToolSchema
from .tagged import escape

if TYPE_CHECKING:
    from .json_mend import Boundary

__all__ = ["PythonArgumentsReader"]


_BLANK_RUN = re.compile(r"[ \t\r\n\f]+")
_GAP = re.compile(r"(?:[ \t\r\n\f]|\\\r?\n)+")
"""Blanks and line continuations."""
_CONTINUED = re.compile(r"\\\r?\n")
_NAME_RUN = re.compile(r"[^\W\d][\w.\-]*")
_GLUED = re.compile(r"([+-]?[0-9][0-9.]{0,63})([A-Za-z_]\w{0,63})")
"""A number and the name of the next argument, without the comma."""
_VALUE_BEGINS = re.compile(r"""[ \t]{0,8}(?:["'\[{(0-9\-]|[Tt]rue|[Ff]alse|None|null)""")
_MORE_CLOSERS = re.compile(r"\)[)\]}]{0,3}")
_PREFIX = re.compile(r"[rRbBfFuU]{1,2}(?=[\"'])")
_QUOTES = "\"'" + "".join(SMART)
_CLOSERS = ")]}"
_ATOM = re.compile(r"[\w.\-+]*")

_ADJACENT, _BARE, _STRING, _COMMENT = range(4, 8)  # more states
_IS_VALUE, _IS_KEY, _IS_ITEM, _IS_JUNK = range(4)  # what a string or bare text is going to be
_NO, _CLOSES, _JOINS = range(3)  # what a quote does: it is content, ends the string, or another one is joined
_UNDECIDED = "?"  # what closes a level in JSON of which that is not known
_OPENS = {"}": "{", "]": "[", "": ""}


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
    if first and not lines:  # a parenthesis behind which no marker may stand
        parts.append(r"\)(?=[)\]},]{0,2}[^)\]},\r\n" + re.escape(first) + "])")
    if lines:
        parts.append(f"{quote}{{1,2}}(?=[^{quote}])")
    return re.compile("(?:" + "|".join(parts) + ")++")


@lru_cache(maxsize=64)
def _comment_run(first: str) -> re.Pattern[str]:
    return re.compile(r"[^\n" + re.escape(first) + "]+")


_SIMPLE_ESCAPES = {
    "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip
_SIMPLE_ESCAPE = re.compile(r"\\(.)")
_HEX = "[0-9a-fA-F]"
_FIRST_HALF, _SECOND_HALF = rf"u[dD][89abAB]{_HEX}{{2}}", rf"u[dD][c-fC-F]{_HEX}{{2}}"  # of a surrogate pair
_ESCAPE = re.compile(
    r"\\(?:([\\'\"abfnrtv])"
    rf"|({_FIRST_HALF}\\{_SECOND_HALF}|x{_HEX}{{2}}|u{_HEX}{{4}}|U(?:000{_HEX}|0010){_HEX}{{4}})"
    r"|([0-7]{1,3})|\r?\n|\r)"
)
_MAX_ESCAPE = 12  # characters
_HALF_ESCAPE = re.compile(
    rf"\\(?:\r|x{_HEX}?|u{_HEX}{{0,3}}|U{_HEX}{{0,7}}|[0-7]{{1,2}}"
    rf"|{_FIRST_HALF}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?)?"
)


def _decoded(text: str) -> str:
    return _SIMPLE_ESCAPE.sub(lambda match: _SIMPLE_ESCAPES[match[1]], text)


_WORDS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})


_LAST_CLOSERS = re.compile(r"\)[)\]},]*\Z")
_MEMOS: dict[re.Pattern[str], dict[str, tuple[str, str]]] = {}  # by what a string of a kind may hold


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
        "_at", "_bare_multi", "_blanks", "_cap", "_closer", "_coerce", "_colons", "_ends",
        "_inner_quote", "_line_told", "_nest", "_nest_quote", "_param", "_pending", "_positional", "_quote",
        "_quoted_keys", "_raw", "_resume", "_role", "_run", "_since", "_stars", "_start", "_triple",
        "_undecided", "_unions",
    )  # fmt: skip

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
        self._levels.append(Level(closer, "}"))
        self._param: ParamSchema | None = None  # of the key whose value comes next
        self._resume = MEMBER  # the state behind a comment
        self._colons = False  # an argument's name was followed by a colon
        self._quoted_keys = False  # an argument's name was in quotes
        self._stars = False  # `**` stands before the item
        self._positional = 0
        self._start = 0  # absolute offset of the string or bare text that is being read
        # Bare text: its pieces are held; blanks that may belong to it, brackets open within it
        self._role = _IS_VALUE
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
        self._line_told = False
        self._inner_quote = False  # a quote of it was content
        # Output that waits for an undecided level
        self._undecided = 0
        self._pending: list[str] = []

    # -- the protocol -----------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Characters consumed since what is held began, 0 if nothing is."""
        return 0 if self._since < 0 else self._at - self._since

    @property
    def memo(self) -> dict[str, tuple[str, str]] | None:
        """As of every reader: one for all strings of the same kind."""
        plain = (
            self._state == _STRING and self._role == _IS_VALUE and not self._undecided and self._typed is None
        )
        return _MEMOS.setdefault(self._run, {}) if plain else None

    def whole(self, chunk: str) -> int:
        """As of every reader: an escape may be cut."""
        end = uncut(chunk) if "\\" in chunk and not self._raw else len(chunk)
        last = (
            _LAST_CLOSERS.search(chunk, max(0, end - 3), end)
            if ")" in chunk[-3:] and not self._triple
            else None
        )
        return end if last is None else last.start()

    def fast(self, chunk: str) -> str | None:
        """What to give out for `chunk` if it lies within a plain string; None if `feed` must take it."""
        if self.memo is None or self._quote in chunk:
            return None
        if not self._triple and ("\n" in chunk or "\r" in chunk):
            return None
        if "\\" in chunk or (")" in chunk and not self._triple):
            if ("\\" in chunk and self._raw) or not self._run.fullmatch(chunk):
                return None
            chunk = _decoded(chunk)
        return chunk if chunk.isprintable() and '"' not in chunk and "\\" not in chunk else escape(chunk)

    def feed(self, text: str, pos: int, final: bool) -> int:
        base = self.base
        read = self._READ
        end = len(text)
        try:
            while not self.done and pos < end:
                since = self._since
                self._cap = (pos if since < 0 else since - base) + self._max_held
                if pos >= self._cap:
                    self._holds_too_much(pos)
                    break
                new = read[self._state](self, text, pos, final)
                if not (self._undecided or self._key or self._item or self._blanks):
                    self._since = -1
                elif since < 0:
                    self._since = base + pos
                pos = new
        except More:
            pass
        self._at = base + pos
        return super().feed(text, pos, True) if final else pos

    # -- giving out -----------------------------------------------------------------------------------------

    def _give(self, piece: str) -> None:
        if self._undecided:
            self._pending.append(piece)
        elif piece:
            self.out.append(piece)

    def _drain(self) -> None:
        # the offsets that a typed string tells are those of its content, not of the text
        assert self._typed is not None
        start = self._start
        for n, item in enumerate(self._typed.out):
            if isinstance(item, Diagnostic):
                self._typed.out[n] = Diagnostic(item.code, item.message, start, start)
        super()._drain()

    def _decide(self, level: Level, json: str) -> None:
        """An undecided level turns out to be closed by `json`; what waited for it comes out, if nothing else is
        undecided."""
        level.json = json
        self._pending[level.mark] += _OPENS[json]
        level.mark = -1
        self._undecided -= 1
        if not self._undecided:
            self.out.extend(piece for piece in self._pending if piece)
            self._pending.clear()

    # -- levels ---------------------------------------------------------------------------------------------

    def _push(self, opener: str, pos: int) -> int:
        """Open a bracket; returns the position behind it."""
        if self._too_deep(pos):
            return pos + 1
        if opener == "[":
            self._emit(opener)
            level = Level("]", "]")
        else:
            self._undecided += 1
            self._emit("")
            level = Level(PAIRS[opener], _UNDECIDED, len(self._pending) - 1)
        self._levels.append(level)
        self._state = MEMBER
        return pos + 1

    def _pop(self) -> None:
        level = self._levels.pop()
        self._state = AFTER
        self._key = ""
        if not self._levels:
            self._give("}" if self._given else "{}")
            self._given = self.done = True
            return
        if level.mark >= 0 and level.closer == ")":
            self._decide(level, "]" if level.empty else "")  # mere parentheses
        elif level.mark >= 0:
            self._decide(level, "}" if level.empty else "]")
        self._give(level.json)

    def _close(self, ch: str, pos: int) -> int:
        if len(self._levels) > 1 or ch == self._closer:
            return super()._close(ch, pos)
        if ch == "]":  # of the list that the call stands in
            return self._end_here(pos)
        self._tell("extra-closer", f"{ch!r} closes nothing", pos, pos + 1)
        return pos + 1

    def _stop(self) -> None:
        in_value = self._state in (_STRING, _ADJACENT) and self._role == _IS_VALUE
        self._cut_off('"' if in_value and self._typed is None and not self._undecided else "")
        self._blanks.clear()
        self._pending.clear()

    # -- between values -----------------------------------------------------------------------------------------

    def _between(self, text: str, pos: int, final: bool) -> int:
        state = self._state
        ch = text[pos]
        if ch in BLANKS:
            return past(_BLANK_RUN, text, pos, self._cap)
        if ch == "\\":
            new = _continued(text, pos, final)
            if new != pos:
                return new
        if state == _ADJACENT:
            return pos + 1 if ch == "+" else self._open_string(text, pos, final)
        marker = self._marker(text, pos, final)
        if state == COLON:
            return self._at_colon(ch, pos, marker)
        closes = ch in _CLOSERS or ch == self._closer
        if state == VALUE and (marker or closes or ch == ","):
            self._no_value(pos)
        if marker:
            return self._end_here(pos)
        if closes:
            return self._close(ch, pos)
        if state == MEMBER:
            return self._at_member(text, pos, ch, final)
        if state == VALUE:
            return pos if ch == "," else self._at_value(text, pos, ch, final)
        return self._at_after(text, pos, ch, final)

    def _in_comment(self, text: str, pos: int, final: bool) -> int:
        end = past(_comment_run(self._first), text, pos)
        if end > pos:
            return end
        if self._marker(text, pos, final) or text[pos] == "\n":
            self._state = self._resume
            return pos
        return pos + 1

    def _at_comment(self, pos: int) -> int:
        self._resume = self._state
        self._state = _COMMENT
        return pos + 1

    def _at_member(self, text: str, pos: int, ch: str, final: bool) -> int:
        """Where a member begins: an argument, an entry, an element."""
        level = self._levels[-1]
        if ch == ",":
            self._tell("double-comma", "a comma without a member before it", pos, pos + 1)
            return pos + 1
        if ch == "*":
            self._stars = True
            return pos + 1
        if ch == "#":
            return self._at_comment(pos)
        if len(self._levels) == 1:
            if ch == "{" and (self._stars or (level.empty and self._takes_dict())):
                return self._merge(pos)
            if ch in PAIRS:
                self._name_positional(pos)
                return self._at_value(text, pos, ch, final)
            self._role = _IS_ITEM
            return self._begin_scalar(text, pos, final)
        if level.keyed:
            self._role = _IS_KEY
            return self._begin_scalar(text, pos, final)
        if self._may_be_dict(level) and ch in "{[":  # no key of a dict
            self._decide(level, "]")
        return self._at_value(text, pos, ch, final)

    def _takes_dict(self) -> bool:
        """Whether a dict in first position is the arguments themselves, and not the first argument."""
        if self._schema is None or not self._names:
            return True
        first = self._schema.param(self._names[0])
        return first is not None and not first.object

    def _merge(self, pos: int) -> int:
        """A dict begins whose entries are the arguments."""
        if not self._stars:
            self._tell("non-object-arguments", "a dict in place of keyword arguments", pos, pos + 1)
        self._stars = False
        if not self._too_deep(pos):
            self._levels.append(Level("}", ""))
        return pos + 1

    def _may_be_dict(self, level: Level) -> bool:
        return level.mark >= 0 and level.closer == "}"

    def _name_positional(self, pos: int) -> None:
        names = self._names
        index = self._positional
        self._positional += 1
        name = names[index] if index < len(names) else f"arg{index}" if index else "input"
        self._tell("non-object-arguments", f"an argument without name; taken for {name!r}", pos)
        self._set_key(name)

    def _set_key(self, name: str) -> None:
        self._key = f'"{escape(name)}"'
        self._param = self._schema.param(name) if self._in_arguments() and self._schema is not None else None

    def _in_arguments(self) -> bool:
        """Whether the members here are arguments."""
        return len(self._levels) == 1 or not self._levels[-1].json

    def _begin_scalar(self, text: str, pos: int, final: bool) -> int:
        """A string or bare text begins, in the role that was set."""
        new = self._open_string(text, pos, final)
        return self._begin_bare(pos) if new == pos else new

    def _begin_bare(self, pos: int) -> int:
        self._state = _BARE
        self._bare_multi = self._role == _IS_JUNK
        self._start = self.base + pos
        return pos

    def _at_value(self, text: str, pos: int, ch: str, final: bool) -> int:
        if not self._levels[-1].keyed:
            self._param = None
        if ch in PAIRS:
            return self._push(ch, pos)
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
        self._state = VALUE
        if ch not in ":=":
            self._tell("missing-colon", "no colon behind a key", pos)
            return pos
        named = len(self._levels) == 1
        if (ch == "=") != named:
            self._colons = self._colons or named
            self._tell("missing-colon", f"{ch!r} behind a key", pos, pos + 1)
        return pos + 1

    def _at_after(self, text: str, pos: int, ch: str, final: bool) -> int:
        """Behind a value."""
        level = self._levels[-1]
        if ch == ",":
            self._stars = False
            return self._next_member(level, pos + 1)
        if ch == "#":
            return self._at_comment(pos)
        if ch == ":" and self._may_be_dict(level):
            return self._take_key(level, pos)
        if len(self._levels) == 1:
            limit, full = _window(text, pos, final)
            follows = _names_argument(text, pos, limit, full, self._colons)
        else:
            follows = ch in "\"'-_" or ch.isalnum() or (ch in "[{" and not level.keyed)
        if follows:
            self._tell("missing-comma", "no comma between two members", pos)
            return self._next_member(level, pos)
        self._role = _IS_JUNK
        return self._begin_bare(pos)

    def _next_member(self, level: Level, pos: int) -> int:
        """The next member begins at `pos`: it is no mere parenthesis, and no dict."""
        if level.mark >= 0:
            self._decide(level, "]")
        self._state = MEMBER
        return pos

    def _take_key(self, level: Level, pos: int) -> int:
        """A colon behind the first member of a brace: it is a dict, and the member was a key."""
        behind = level.mark + 1
        key = "".join(self._pending[behind:])
        del self._pending[behind:]
        level.empty = True
        self._decide(level, "}")
        self._key = key if key.startswith('"') else f'"{escape(key)}"'
        self._param = None
        self._state = VALUE
        return pos + 1

    # -- bare text: numbers, words, and what is neither -------------------------------------------------------------

    def _in_bare(self, text: str, pos: int, final: bool) -> int:
        match = _bare_run(self._first).match(text, pos, self._cap)
        if match is not None and not self._blanks:
            return self._add_bare(match[0], pos)
        ch = text[pos]
        if ch in BLANKS:
            return self._add_blanks(text, pos, past(_BLANK_RUN, text, pos, self._cap))
        if ch == "\\" and not self._nest:
            new = _continued(text, pos, final)
            if new != pos:
                return self._add_blanks(text, pos, new)
        if self._marker(text, pos, final):
            self._end_bare(pos)
            return self._end_here(pos)
        if self._nest:
            return self._in_nest(text, pos, ch, final)
        if ch in _CLOSERS or ch == self._closer:
            return self._end_bare(pos)
        if ch == ",":
            if self._role == _IS_VALUE and len(self._levels) == 1 and not self._is_scalar():
                limit, full = _window(text, pos + 1, final)
                if not self._argument_follows(
                    text, pos + 1, limit, full, final
                ):  # city=Paris, France, days=2
                    return self._add_bare(ch, pos)
            return self._end_bare(pos)
        if ch in ":=":
            return self._at_sign(text, pos, ch, final)
        if self._blanks:  # two words: one text, or two members without a comma
            apart = False
            if ch == "#" and self._is_scalar():
                apart = True
            elif len(self._levels) == 1:
                limit, full = _window(text, pos, final)
                apart = _names_argument(text, pos, limit, full, self._colons)
            elif self._role == _IS_VALUE:
                apart = self._is_scalar() or (self._levels[-1].keyed and ch in "\"'")
            if apart:
                return self._end_bare(pos)
            self._bare_multi = True
            self._join_blanks()
            return pos
        if ch in PAIRS:
            self._open_nest(ch)
        return self._add_bare(ch, pos)

    def _at_sign(self, text: str, pos: int, ch: str, final: bool) -> int:
        """A colon or `=` in bare text: what stands before it is a name, or it is part of the text."""
        role = self._role
        level = self._levels[-1]
        named = len(self._levels) == 1
        maybe_dict = self._may_be_dict(level)
        ends = role == _IS_KEY or (role == _IS_VALUE and maybe_dict and ch == ":")
        if role == _IS_ITEM and not self._bare_multi:
            ends = _NAME_RUN.fullmatch("".join(self._item)) is not None
        if ch == "=":
            glued = role == _IS_VALUE and named and not self._bare_multi
            unclosed = (
                len(self._levels) == 2
                and (level.closer == level.json or level.closer == ")")
                and level.mark < 0
            )
            if (ends or glued or unclosed) and pos + 1 == len(text) and not final:
                raise More
            if text.startswith("==", pos):
                ends = False
            elif (glued and self._unglue(pos)) or (unclosed and self._closes_before(pos)):
                return pos + 1
        if not ends:
            self._bare_multi = True
            return self._add_bare(ch, pos)
        if role == _IS_ITEM:
            self._role = _IS_KEY
            if ch == ":":
                self._colons = True
                self._tell("missing-colon", "':' behind an argument's name", pos, pos + 1)
        self._end_bare(pos, key=True)
        if maybe_dict:
            return pos
        self._state = VALUE
        return pos + 1

    def _unglue(self, pos: int) -> bool:
        """At `=` behind bare text: is that a value and, without a comma, the next argument's name?"""
        if self._length > 2 * WINDOW or self._is_scalar():
            return False
        token = "".join(self._item)
        glued = _GLUED.fullmatch(token)
        found = [name for name in self._names if token.endswith(name) and _is_scalar(token[: -len(name)])]
        if found:
            name = max(found, key=len)
        elif self._names or glued is None or not _is_scalar(glued[1]):
            return False
        else:
            name = glued[2]
        start = pos - len(name)
        self._item[:] = [token[: -len(name)]]
        self._end_bare(start)
        self._tell("missing-comma", "no comma between two arguments", start)
        self._begin_argument(name)
        return True

    def _closes_before(self, pos: int) -> bool:
        """At `=` behind a name in a list or dict: is that the next argument, because the closer was left out?"""
        token = "".join(self._item)
        if token not in self._names or self._levels[-1].empty:
            return False
        self._release()
        self._blanks.clear()
        self._pop_to(0, pos - len(token))
        self._begin_argument(token)
        return True

    def _begin_argument(self, name: str) -> None:
        self._role = _IS_KEY
        self._set_key(name)
        self._state = VALUE

    def _add_bare(self, piece: str, pos: int) -> int:
        if self._blanks:
            self._join_blanks()
        if piece == ",":
            self._bare_multi = True
        self._item.append(piece)
        self._length += len(piece)
        return pos + len(piece)

    def _add_blanks(self, text: str, pos: int, end: int) -> int:
        self._blanks.append(text[pos:end])
        self._length += end - pos
        return end

    def _join_blanks(self) -> None:
        self._item += self._blanks
        self._blanks.clear()

    def _open_nest(self, ch: str) -> None:
        if len(self._nest) < self._max_depth:
            self._nest.append(PAIRS[ch])
            self._bare_multi = True

    def _in_nest(self, text: str, pos: int, ch: str, final: bool) -> int:
        """Brackets within bare text: `open("a, b")`."""
        if self._nest_quote:
            if ch == "\\":
                if pos + 1 == len(text) and not final:
                    raise More
                return self._add_bare(text[pos : pos + 2], pos)
            if ch == self._nest_quote:
                self._nest_quote = ""
        elif ch in "\"'":
            self._nest_quote = ch
        elif ch in PAIRS:
            self._open_nest(ch)
        elif ch == self._nest[-1]:
            self._nest.pop()
        return self._add_bare(ch, pos)

    def _is_scalar(self) -> bool:
        if self._bare_multi or self._length > MAX_NUMBER:
            return False
        return _is_scalar("".join(self._item))

    def _end_bare(self, pos: int, key: bool = False) -> int:
        token = self._release()
        self._blanks.clear()
        self._nest.clear()
        self._nest_quote = ""
        if self._role == _IS_JUNK:
            self._state = AFTER
            self._report("junk", f"{_shown(token)} behind a value", pos)
        elif self._role == _IS_KEY:
            known: str | None = token
            if len(self._levels) > 1:
                known = _WORDS.get(token) or number(token)
                if known is None:
                    self._report("unquoted-key", f"the key {_shown(token)} has no quotes", pos)
            self._set_key(known or token)
            self._state = COLON
        else:
            if self._role == _IS_ITEM:
                self._role = _IS_VALUE
                self._name_positional(pos)
            self._emit(self._bare_json(token, pos, key))
            self._state = AFTER
        return pos

    def _report(self, code: str, message: str, pos: int) -> None:
        """Tell of the string or bare text that ends at `pos`."""
        self._tell(code, message, self._start - self.base, pos)

    def _bare_json(self, token: str, pos: int, key: bool) -> str:
        """The JSON text of a value without quotes, or of the first key of a brace."""
        param = self._param
        word = _WORDS.get(token)
        if word is not None:
            return word
        found = number(token)
        if found is not None:
            return f'"{escape(token)}"' if param is not None and param.only_string else found
        lowered = token.lower()
        if lowered in ("true", "false", "none", "null") and not (param is not None and param.may_be_string):
            self._report("literal-case", f"{token} is written {lowered.capitalize()}", pos)
            return "null" if lowered == "none" else lowered
        if lowered.lstrip("+-") in _NOT_FINITE or (len(token) < 400 and FLOAT.fullmatch(token)):
            self._report("not-finite", f"{token} is no JSON number; it is kept as a string", pos)
        else:
            code = "unquoted-key" if key else "unquoted-value"
            self._report(code, f"{_shown(token)} has no quotes; it is taken for a string", pos)
        return f'"{escape(token)}"'

    # -- strings ----------------------------------------------------------------------------------------------------

    def _open_string(self, text: str, pos: int, final: bool) -> int:
        """The position behind the prefix and quotes of the string that begins at `pos`; `pos` if none does."""
        raw = False
        quote_at = pos
        quote = text[pos]
        smart = SMART.get(quote, "")
        if smart:
            if not self._smart_string(text, pos, smart, final):
                return pos
            self._tell("smart-quotes", "a string in the quotes of a word processor", pos, pos + 1)
        elif quote not in "\"'":
            match = _PREFIX.match(text, pos)
            if match is None:
                short = text[pos : pos + 3]
                if not final and len(short) < 3 and not short.strip("rRbBfFuU"):
                    raise More
                return pos
            raw = "r" in match[0].lower()
            quote_at = match.end()
            quote = text[quote_at]
        triple = not smart and text.startswith(quote * 3, quote_at)
        if not (smart or triple or final) and len(text) - quote_at < 3 and text.endswith(quote):
            raise More
        joined = self._state == _ADJACENT
        self._quote, self._triple, self._raw = "" if smart else quote, triple, raw
        self._ends = smart or quote
        self._run = _string_run(self._ends, triple, self._first, raw)
        self._line_told = self._inner_quote = False
        self._state = _STRING
        if not joined:
            self._start = self.base + pos
            if self._role == _IS_VALUE:
                self._begin_string_value()
        return quote_at + (3 if triple else 1)

    def _smart_string(self, text: str, pos: int, ends: str, final: bool) -> bool:
        """Whether a string begins with the smart quote at `pos`, and not a text without quotes: one of the quotes that
        can be seen ends it, or none can be seen."""
        limit, full = _window(text, pos, final)
        window = text[pos:limit]
        ending = [at + 1 for at in range(1, len(window)) if window[at] in ends[:-1]]
        if any(self._verdict(window, behind, full) == _CLOSES for behind in ending):
            return True
        if not full:
            raise More
        return not ending

    def _begin_string_value(self) -> None:
        param = self._param
        if (
            self._coerce
            and param is not None
            and not (param.only_string if self._unions else param.may_be_string)
            and self._in_arguments()
        ):
            self._begin_typed(param)
        else:
            self._emit('"')

    def _in_string(self, text: str, pos: int, final: bool) -> int:
        match = self._run.match(text, pos, self._cap)
        if match is not None:
            piece = match[0]
            self._content(_decoded(piece) if "\\" in piece and not self._raw else piece)
            return match.end()
        ch = text[pos]
        if ch == "\\":
            return self._escape(text, pos, final)
        if ch in self._ends:
            return self._at_quote(text, pos, final)
        if ch == ")":
            # A missing quote at the end of the call: its closer, then a marker and what may follow that.
            at = past(_MORE_CLOSERS, text, pos)
            if at == len(text) and not final and at < pos + 4:
                raise More
            may_end = at < len(text) and (text[at] in self._first or text[at] in "\r\n")
            ends = may_end and self._lacks_quote(text, at, final)
        else:
            ends = self._lacks_quote(text, pos, final)
            if not ends and not self._line_told:
                self._line_told = True
                self._tell("raw-newline", "a raw newline inside a string", pos, pos + 1)
        if ends:
            self._tell("missing-quote", "the string has no closing quote", pos)
            self._end_string(pos)
            return pos
        self._content(ch)
        return pos + 1

    def _content(self, piece: str) -> None:
        """More of the string's decoded content."""
        if self._role != _IS_VALUE:
            self._item.append(piece)
            self._length += len(piece)
            if self._role == _IS_ITEM and self._length > WINDOW:  # no key
                self._positional_string(-1)
        elif self._typed is None:
            self._give(escape(piece))
        else:
            self._typed.feed(piece)
            self._drain()

    def _positional_string(self, pos: int) -> None:
        """The string that was held because it might have been a key is a value."""
        self._role = _IS_VALUE
        self._name_positional(self._start - self.base if pos < 0 else pos)
        held = self._release()
        self._begin_string_value()
        self._content(held)

    def _end_string(self, pos: int) -> None:
        if self._role != _IS_VALUE:
            self._state = COLON
            if self._role == _IS_KEY:
                self._set_key(self._release())
            return
        self._state = AFTER
        if self._typed is None:
            self._give('"')
        else:
            self._finish_typed()

    def _escape(self, text: str, pos: int, final: bool) -> int:
        if self._raw and pos + 1 < len(text):
            self._content(text[pos : pos + 2])
            return pos + 2
        if len(text) - pos < _MAX_ESCAPE and _HALF_ESCAPE.fullmatch(text, pos):
            if not final:
                raise More
            if text[pos + 1 : pos + 2] in "xuU":
                return len(text)  # half an escape at the end is dropped
        match = _ESCAPE.match(text, pos)
        if match is None:  # Python leaves unknown escapes as they are
            if text[pos + 1] in "xuU":
                self._tell("bad-escape", f"\\{text[pos + 1]} without its hexadecimal digits", pos, pos + 2)
            self._content(text[pos : pos + 2])
            return pos + 2
        simple, digits, octal = match.groups()
        if simple:
            self._content(_SIMPLE_ESCAPES[simple])
        elif digits:
            first, _, second = digits[1:].partition("\\u")
            code = int(first, 16)
            if second:
                code = 0x10000 + ((code - 0xD800) << 10) + (int(second, 16) - 0xDC00)
            self._content(chr(code))
        elif octal:
            self._content(chr(int(octal, 8)))
        return match.end()  # else the line goes on

    def _at_quote(self, text: str, pos: int, final: bool) -> int:
        quote = self._quote
        behind = pos + 1
        if self._triple:
            run = 1
            while run < 6 and text.startswith(quote, pos + run):
                run += 1
            if run < 6 and pos + run == len(text) and not final:
                raise More
            if 3 < run < 6:  # """He said "hi""""
                run -= 3
                self._tell("inner-quote", "a quote right before the closing quotes", pos, pos + run)
            if run < 3:
                self._content(quote * run)
                return pos + run
            behind = pos + 3
        verdict = self._verdict(text, behind, final)
        if verdict == _JOINS:
            self._state = _ADJACENT
        elif verdict == _CLOSES or self._triple:
            self._end_string(behind)
        else:
            if quote:
                self._inner_quote = True
                self._tell("inner-quote", "a quote inside the string is not escaped", pos, behind)
            self._content(text[pos])
        return behind

    def _verdict(self, text: str, start: int, final: bool) -> int:
        """What the quote before `start` does, judged by what follows it."""
        limit, full = _window(text, start, final)
        at = _skip(text, start, limit, full)
        if at >= limit:
            return _CLOSES
        ch = text[at]
        role = self._role
        level = self._levels[-1]
        if self._marker(text, at, final):
            return _CLOSES
        if ch == ":":
            return _CLOSES if role != _IS_VALUE or self._may_be_dict(level) else _NO
        if ch == "=" and role != _IS_VALUE:
            return _CLOSES
        if role == _IS_KEY:
            if ch == "}":
                return _CLOSES
        elif ch in _CLOSERS or ch == self._closer:
            # a string that has had inner quotes: "print("x")"
            while self._inner_quote and at < limit and (text[at] in _CLOSERS or text[at] == self._closer):
                at += 1
            return _NO if _seen(at, limit, full) and text[at] == self._quote else _CLOSES
        if ch == ",":
            return self._verdict_comma(text, at + 1, limit, full, final)
        if ch in "\"'":
            if at == start and ch == self._quote and not self._triple:
                # Two quotes: an inner one and the closing one, or the end of a string and the start of the next?
                after = _skip(text, at + 1, limit, full)
                return _NO if after >= limit or text[after] in ",:)]}" or self._inner_quote else _JOINS
            return _NO if self._inner_quote and ch == self._quote else _JOINS
        if ch == "+":
            after = _skip(text, at + 1, limit, full)
            return _JOINS if after < limit and _opens_string(text, after, limit, full) else _NO
        if at > start and _opens_string(text, at, limit, full):
            return _JOINS
        if len(self._levels) == 1 and (at > start or ch.isalpha() or ch == "_"):
            return self._next_argument(text, at, limit, full, at == start)
        return _NO

    def _next_argument(self, text: str, at: int, limit: int, full: bool, glued: bool) -> bool:
        """Whether behind a quote the next argument begins, although there is no comma: it must be a parameter of the
        tool; where none is known, and no blank stands between (`glued`), a value must be seen behind the name."""
        if not _names_argument(text, at, limit, full, self._colons):
            return False
        match = _NAME_RUN.match(text, at, limit)
        assert match is not None
        if self._names:
            return match[0] in self._names
        if not glued:
            return True
        sign = ":" if text[match.end()] == ":" else "="
        at = text.index(sign, match.end()) + 1
        if _VALUE_BEGINS.match(text, at, limit):
            return True
        if not full and limit - at <= 12:
            raise More
        return False

    def _verdict_comma(self, text: str, start: int, limit: int, full: bool, final: bool) -> int:
        """The same if a comma follows the quote."""
        if len(self._levels) == 1:
            if self._role == _IS_ITEM or self._positional:
                return _CLOSES
            return self._argument_follows(text, start, limit, full, final)
        if not self._levels[-1].keyed:
            return _CLOSES
        at = _skip(text, start, limit, full)
        if at >= limit or text[at] in "}*#" or text[at] in _QUOTES:
            return _CLOSES
        # an unquoted key, or a number
        at = _skip(text, past(_ATOM, text, at, limit), limit, full)
        return _CLOSES if at < limit and text[at] in ":\"'" else _NO

    def _argument_follows(self, text: str, start: int, limit: int, full: bool, final: bool) -> bool:
        """Whether behind a comma the next argument begins, or the arguments end."""
        at = _skip(text, start, limit, full)
        if at >= limit:
            return True
        ch = text[at]
        if ch in ")]}*#" or ch == self._closer or (self._quoted_keys and ch in "\"'"):
            return True
        if self._marker(text, at, final):
            return True
        if final and limit == len(text):
            name = _NAME_RUN.match(text, at, limit)
            if name is not None and _skip(text, name.end(), limit, full) >= limit:
                return True  # the text ends within a name
        return _names_argument(text, at, limit, full, self._colons)

    _READ: ClassVar = {
        **dict.fromkeys((MEMBER, COLON, VALUE, AFTER, _ADJACENT), _between),
        _BARE: _in_bare,
        _STRING: _in_string,
        _COMMENT: _in_comment,
    }


# -- looking ahead, never further than the window ---------------------------------------------------------------------


def _window(text: str, start: int, final: bool) -> tuple[int, bool]:
    """How far one may look from `start`, and whether that is all one will ever see."""
    limit = min(len(text), start + WINDOW)
    return limit, final or limit - start == WINDOW


def _seen(at: int, limit: int, full: bool) -> bool:
    """Whether what stands at `at` can be seen."""
    if at >= limit and not full:
        raise More
    return at < limit


def _skip(text: str, start: int, limit: int, full: bool) -> int:
    """The end of the blanks at `start`; `limit` also if half a line continuation stands there."""
    if start < limit and text[start] not in " \t\r\n\f\\":
        return start
    at = past(_GAP, text, start, limit)
    if text[at:limit] in ("\\", "\\\r"):
        at = limit
    _seen(at, limit, full)
    return at


def _continued(text: str, pos: int, final: bool) -> int:
    """Where the line goes on behind the backslash at `pos`; `pos` if it does not."""
    if not final and len(text) - pos < 3 and text[pos + 1 :] in ("", "\r"):
        raise More
    return past(_CONTINUED, text, pos)


def _opens_string(text: str, at: int, limit: int, full: bool) -> bool:
    """Whether a string begins at `at`, with or without a prefix."""
    if text[at] in "rRbBfFuU":
        _seen(at + 2, limit, full)
        return _PREFIX.match(text, at, limit) is not None
    return text[at] in "\"'"


def _is_scalar(token: str) -> bool:
    return token in _WORDS or number(token) is not None


def _names_argument(text: str, at: int, limit: int, full: bool, colons: bool) -> bool:
    """Whether `name =` stands at `at`, or, if this call writes `colons`, `name:`."""
    match = _NAME_RUN.match(text, at, limit) if _seen(at, limit, full) else None
    if match is None:
        return False
    after = _skip(text, match.end(), limit, full)
    if after >= limit:
        return False
    if text[after] != "=":
        return colons and text[after] == ":"
    return not _seen(after + 1, limit, full) or text[after + 1] != "="


def _shown(token: str) -> str:
    return repr(token if len(token) <= 40 else token[:37] + "...")
