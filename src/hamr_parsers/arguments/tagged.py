"""Bare text to JSON: one value of a format that writes values as text between tags, typed by the tool's schema.

Theory. A value begins *open*: its type is not known, so its characters are held. It is decided as soon as the
characters allow it, one of three ways:

- **string**: the characters can no longer become a number, a word such as `true`, or a JSON value of a type that
  the schema allows (at once, where it allows nothing but strings). What was held comes out, and everything after
  it streams, escaped and otherwise untouched, blanks included.
- **object or array** that cannot be a string: at the first `{` or `[`. The text streams through the JSON reader,
  which mends it where it is broken or Python; there is no way back.
- at the end: a number, a word or a JSON value that may also be a string. These stay open to their last character.

Whether the held characters can still become something is asked of recognisers that see every character once: an
automaton for numbers, the list of words that still fit, and for JSON beside strings an automaton with a stack. A
number has at most 4,300 characters, more is a string; what else is held is bounded by `max_held`, after which it
is a string as well.

Blanks around a value that is no string do not count, so they are held too; a string keeps them.
"""

from __future__ import annotations

import copy
import json
import re
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

from ..events import Diagnostic
from .schema import ParamSchema

if TYPE_CHECKING:
    from .json_reader import JsonReader

__all__ = ["TextValue", "escape"]

_BLANKS = " \t\r\n"
LONG = 256  # characters; longer text is read by the readers' patterns and not character by character
_SURROGATES = re.compile("[\ud800-\udfff]")
_MAX_NUMBER = 4300  # characters; `int()` and `json.loads` refuse longer integers
_MAX_SHIFT = 400  # digits that an exponent may add to an integer

# Any JSON value if the text is one, for formats whose templates write non-strings as JSON.
_UNTYPED_JSON = ParamSchema(
    ("null", "integer", "number", "boolean", "object", "array", "string"), quoted=True, exact=True
)


def escape(text: str) -> str:
    """`text` as it stands inside a JSON string: only what must be escaped is, and lone surrogates are, so that
    the result can be encoded as UTF-8."""
    out = encode_basestring(text)[1:-1]
    if out.isascii() or not _SURROGATES.search(out):
        return out
    return _SURROGATES.sub(lambda m: f"\\u{ord(m[0]):04x}", out)


# -- numbers ----------------------------------------------------------------------------------------------------
# States of the automaton. Two grammars: JSON's own (beside strings, where `007` or `+49` is text), and a lenient
# one that also takes `+5`, `1_000`, `007`, `.5` and `5.`.

_START, _SIGN, _ZERO, _INT, _UNDER, _POINT, _DOT, _FRAC, _E, _ESIGN, _EXP, _TAIL, _ZFRAC, _ZDOT = range(14)
_ENDS = frozenset({_ZERO, _INT, _FRAC, _EXP, _TAIL, _ZFRAC})
_DIGITS = "0123456789"


def _automaton(lenient: bool, integer: bool) -> dict[tuple[int, str], int]:
    table: dict[tuple[int, str], int] = {}

    def to(state: int, characters: str, target: int) -> None:
        for ch in characters:
            table[state, ch] = target

    point = _ZDOT if integer else _DOT
    to(_START, "+-" if lenient else "-", _SIGN)
    for state in (_START, _SIGN):
        to(state, _DIGITS, _INT)
        if lenient:
            to(state, "" if integer else ".", _POINT)
        else:
            to(state, "0", _ZERO)
    to(_INT, _DIGITS, _INT)
    if lenient:
        to(_INT, "_", _UNDER)
        to(_UNDER, _DIGITS, _INT)
        to(_DOT, _BLANKS, _TAIL)
        to(_DOT, "eE", _E)
        to(_ZDOT, _BLANKS, _TAIL)
        to(_ZDOT, "eE", _E)
    for state in (_INT, _ZERO):
        to(state, ".", point)
        to(state, "eE", _E)
        to(state, _BLANKS, _TAIL)
    to(_POINT, _DIGITS, _FRAC)
    to(_DOT, _DIGITS, _FRAC)
    to(_FRAC, _DIGITS, _FRAC)
    to(_ZDOT, "0", _ZFRAC)
    to(_ZFRAC, "0", _ZFRAC)
    for state in (_FRAC, _ZFRAC):
        to(state, "eE", _E)
        to(state, _BLANKS, _TAIL)
    to(_E, _DIGITS, _EXP)
    to(_E, "+" if integer else "+-", _ESIGN)
    to(_ESIGN, _DIGITS, _EXP)
    to(_EXP, _DIGITS, _EXP)
    to(_EXP, _BLANKS, _TAIL)
    to(_TAIL, _BLANKS, _TAIL)
    return table


_NUMBERS = {
    (lenient, integer): _automaton(lenient, integer) for lenient in (False, True) for integer in (False, True)
}
_LENIENT_ENDS = _ENDS | {_DOT, _ZDOT}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PARTS = re.compile(r"([+-]?)([0-9_]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")


def number_json(text: str, integer: bool) -> str | None:
    """The JSON text of a number, its spelling kept where it is JSON; None where that would not be finite, not be
    readable, or not be an integer though it must.

    Args:
        text: what the number automaton accepted, without blanks.
        integer: whether only integers are allowed.
    """
    if len(text) > _MAX_NUMBER:
        return None
    match = _PARTS.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups()
    sign = "-" if sign == "-" else ""
    whole = whole.replace("_", "").lstrip("0") or "0"
    if integer:
        if (fraction or "").strip("0"):
            return None
        shift = int(exponent[:9]) if exponent else 0
        if whole == "0":
            return "0" if fraction or exponent else f"{sign}0"
        if not 0 <= shift <= _MAX_SHIFT:
            return None
        return f"{sign}{whole}{'0' * shift}"
    if exponent is not None or fraction is not None:
        try:
            if abs(float(text.replace("_", ""))) == float("inf"):
                return None
        except ValueError:
            return None
    if _JSON_NUMBER.fullmatch(text):
        return text
    out = sign + whole
    if fraction is not None:
        out += f".{fraction or '0'}"
    return out if exponent is None else f"{out}e{exponent}"


# -- JSON beside strings --------------------------------------------------------------------------------

_VALUE, _FIRST_ITEM, _FIRST_KEY, _KEY, _COLON, _AFTER, _STRING, _ESCAPE, _HEX, _WORD, _NUMBER, _DONE = range(
    12
)
_RUNS = {'"': re.compile(r'[^"\\\x00-\x1f]*'), "'": re.compile(r"[^'\\\x00-\x1f]*")}
_BLANK_RUN = re.compile(r"[ \t\r\n]*")
_WORDS = ("true", "false", "null", "True", "False", "None")
_STRICT = _NUMBERS[False, False]


class _JsonPrefix:
    """Whether the characters so far begin one JSON value, or one as Python's `repr` writes it (single quotes,
    `True`, `None`). Sees each character once; holds nothing but its stack."""

    __slots__ = ("is_key", "max_depth", "number", "pending", "python", "quote", "rest", "stack", "state")

    def __init__(self, max_depth: int) -> None:
        self.max_depth = max_depth
        self.state = _VALUE
        self.stack: list[str] = []
        self.quote = '"'
        self.is_key = False  # of the string that is being read
        self.pending = 0  # hex digits still to come
        self.number = _START
        self.rest: tuple[str, ...] = ()  # what may follow of a word
        self.python = False  # something that only Python writes was there

    @property
    def complete(self) -> bool:
        """Whether the characters so far are a whole value."""
        return self.state == _DONE

    def feed(self, text: str) -> bool:
        """Take more text; False if no value begins like this."""
        pos = 0
        end = len(text)
        while pos < end:
            state = self.state
            if state == _STRING:
                match = _RUNS[self.quote].match(text, pos)
                assert match is not None
                pos = match.end()
                if pos < end:
                    ch = text[pos]
                    pos += 1
                    if ch == self.quote:
                        self.state = _COLON if self.is_key else self._after()
                    elif ch == "\\":
                        self.state = _ESCAPE
                    else:
                        return False  # a raw control character
                continue
            ch = text[pos]
            if state == _NUMBER:
                target = _STRICT.get((self.number, ch))
                if target is not None and target != _TAIL:
                    self.number = target
                    pos += 1
                elif self.number in _ENDS:
                    self.state = self._after()
                else:
                    return False
                continue
            if state == _WORD:
                rest = tuple(word[1:] for word in self.rest if word[:1] == ch)
                if rest:
                    self.rest = rest
                    pos += 1
                elif "" in self.rest:
                    self.state = self._after()
                else:
                    return False
                continue
            if ch in _BLANKS and state not in (_ESCAPE, _HEX):
                match = _BLANK_RUN.match(text, pos)
                assert match is not None
                pos = match.end()
                continue
            if not self._step(state, ch):
                return False
            pos += 1
        return True

    def _after(self) -> int:
        return _AFTER if self.stack else _DONE

    def _step(self, state: int, ch: str) -> bool:
        """One character outside of runs."""
        if state == _ESCAPE:
            self.state = _STRING
            if ch == "u":
                self.pending = 4
                self.state = _HEX
            return ch in '"\\/bfnrtu' or (ch == "'" and self.quote == "'")
        if state == _HEX:
            self.pending -= 1
            if not self.pending:
                self.state = _STRING
            return ch in "0123456789abcdefABCDEF"
        if state in (_VALUE, _FIRST_ITEM):
            if ch == "]" and state == _FIRST_ITEM:
                return self._close()
            return self._begin(ch)
        if state in (_KEY, _FIRST_KEY):
            if ch == "}" and state == _FIRST_KEY:
                return self._close()
            return self._begin_string(ch, True)
        if state == _COLON:
            self.state = _VALUE
            return ch == ":"
        if state == _AFTER:
            opener = self.stack[-1]
            if ch == ",":
                self.state = _KEY if opener == "{" else _VALUE
                return True
            return ch == ("}" if opener == "{" else "]") and self._close()
        return False  # something behind the value

    def _begin(self, ch: str) -> bool:
        """The first character of a value."""
        if ch in "{[":
            self.stack.append(ch)
            self.state = _FIRST_KEY if ch == "{" else _FIRST_ITEM
            return len(self.stack) <= self.max_depth
        number = _STRICT.get((_START, ch))
        if number is not None:
            self.number = number
            self.state = _NUMBER
            return True
        self.rest = tuple(word[1:] for word in _WORDS if word[0] == ch)
        if self.rest:
            self.python = self.python or ch in "TFN"
            self.state = _WORD
            return True
        return self._begin_string(ch, False)

    def _begin_string(self, ch: str, is_key: bool) -> bool:
        self.quote = ch
        self.is_key = is_key
        self.python = self.python or ch == "'"
        self.state = _STRING
        return ch in "\"'"

    def _close(self) -> bool:
        self.stack.pop()
        self.state = self._after()
        return True


# -- the value ----------------------------------------------------------------------------------------


class _End:
    """A boundary that the JSON reader meets only when the value's end was seen: the end then closes what is open,
    and a number before it is whole."""

    __slots__ = ("armed",)
    MARK = "\uffff"
    first = MARK

    def __init__(self) -> None:
        self.armed = False

    def at(self, text: str, pos: int, final: bool) -> bool | None:
        return self.armed and text.startswith(self.MARK, pos)

    def ends_turn(self, text: str, pos: int) -> bool:
        return False

    def ends_string(self, text: str, pos: int, final: bool) -> bool | None:
        return False


class TextValue:
    """Turns the text of one value into JSON text, append-only.

    The caller has found the value's end and removed the newlines that frame it. It sets `base`, feeds the text in
    pieces, cut anywhere, and takes what `out` holds; then it calls `finish` if the model wrote the value's end,
    or `cut` if the text just stopped, and takes `out` again.

    Args:
        schema: the parameter's types; None if they are not known.
        untyped: what text without schema is: "string", or "json" (the JSON value or Python literal that it is, if
            it is one; else a string). "json_always" is the latter, and with a schema too a string may stand in quotes.
        max_depth: of nested objects and arrays.
        max_held: characters; a value whose type is open for longer is a string.

    Attributes:
        out: JSON text to append, and diagnostics at their places; the caller takes and clears it.
        base: offset of the next text to be fed, or of the value's end; set by the caller before each call.
        streaming: the value is a plain string whose opening quote was given out: from now on `feed(t)` appends
            `escape(t)` and nothing else.
    """

    __slots__ = (
        "_at",
        "_end",
        "_given",
        "_held",
        "_json",
        "_number",
        "_number_length",
        "_pieces",
        "_plain",
        "_reader",
        "_rest",
        "_schema",
        "_started",
        "_table",
        "_told_junk",
        "_word",
        "_word_ended",
        "base",
        "max_depth",
        "max_held",
        "out",
        "streaming",
    )

    def __init__(
        self,
        schema: ParamSchema | None,
        untyped: str = "string",
        *,
        max_depth: int = 200,
        max_held: int = 1 << 20,
    ) -> None:
        if schema is None and untyped != "string":
            schema = _UNTYPED_JSON
        elif schema is not None and untyped == "json_always":
            schema = schema.with_quotes()
        self.out: list[str | Diagnostic] = []
        self.base = 0
        self.streaming = False
        self.max_depth = max_depth
        self.max_held = max_held
        self._schema = schema
        self._plain = schema is None or (schema.only_string and not schema.quoted)
        self._pieces: list[str] = []  # held while the type is open
        self._held = 0
        self._at = -1  # where the value begins
        self._given = False  # any JSON text was given out
        self._started = False  # a character that is no blank was seen
        # Recognisers; None: can no longer be one.
        self._number: int | None = None
        self._number_length = 0
        self._table: dict[tuple[int, str], int] = {}
        self._word: str | None = None
        self._word_ended = False
        self._json: _JsonPrefix | None = None
        self._reader: JsonReader | None = None
        self._end: _End | None = None
        self._rest = ""  # what the reader has not consumed
        self._told_junk = False

    @property
    def held(self) -> int:
        """Characters taken but not given out."""
        return self._held if self._reader is None else self._reader.held + len(self._rest)

    def feed(self, text: str) -> None:
        """More of the value's text."""
        if self.streaming:
            if text:
                self.out.append(escape(text))
            return
        if not text:
            return
        if self._at < 0:
            self._at = self.base
        if self._plain:
            self.streaming = self._given = True
            self.out.append('"' + escape(text))
        elif self._reader is not None:
            self._read(text, self.base)
        elif len(text) <= self.max_held - self._held:
            self._open(text)
        else:
            room = self.max_held - self._held
            behind = self.base + room  # the reader may move `base` as well
            is_open = not room or self._open(text[:room])
            self.base = behind
            if is_open:
                self._diagnose("max-held", f"its type is open for more than {self.max_held} characters")
                self._become_string(mismatch=False)
            self.feed(text[room:])

    def fast(self, chunk: str) -> str | None:
        """The text to give out for a whole chunk in the middle of an object or array; None if `feed` must read it."""
        reader = self._reader
        if reader is None or self._rest or self.out:
            return None
        out = reader.fast(chunk)
        if out:
            self._given = True
        return out

    @property
    def in_string(self) -> bool:
        """Whether an object or array is read, and what comes next stands in one of its strings."""
        return self._reader is not None and not self._rest and self._reader.in_string

    @property
    def whole(self) -> bool:
        """Whether an object or array was read to its end."""
        return self._reader is not None and self._reader.done and not self._reader.cut

    @property
    def failed(self) -> bool:
        """Whether an object or array was nested too deeply, so that its rest cannot be read."""
        return self._reader is not None and self._reader.done and self._reader.cut

    def finish(self) -> None:
        """The model wrote the value's end."""
        if self.streaming:
            self.out.append('"')
        elif self._plain:
            self.out.append('""')
        elif self._reader is not None:
            self._finish_reader()
        else:
            value = self._scalar()
            if value is None:
                self._become_string()
                value = ['"']
            self.out += value
            self._pieces.clear()
            self._held = 0

    def cut(self) -> str | None:
        """The text stopped inside the value. Returns what completes the JSON text that was given out, or None if
        none was: a scalar that was held is dropped, and so must be its key."""
        if self.streaming:
            return '"'
        reader = self._reader
        if reader is None:
            return None
        if not reader.done:
            reader.base = self.base - len(self._rest)
            reader.feed(self._rest, 0, True)
            self._rest = ""
            self._take(reader)
        if not self._given:
            return None
        return reader.closing if reader.cut else ""

    # -- while the type is open ---------------------------------------------------------------------------

    def _open(self, text: str) -> bool:
        """Text of a value whose type is open; whether it still is."""
        self._pieces.append(text)
        self._held += len(text)
        if not self._started:
            blanks = len(text)
            text = text.lstrip(_BLANKS)
            if not text:
                return True
            self._started = True
            if self._begin(text[0]):
                self._pieces.clear()
                self._held = 0
                self._read(text, self.base + blanks - len(text))
                return False
        if self._recognise(text):
            return True
        self._become_string()
        return False

    def _begin(self, first: str) -> bool:
        """Set up the recognisers that the first character allows; True if it makes the value an object or array
        that the JSON reader takes."""
        schema = self._schema
        assert schema is not None
        if (first == "{" and schema.object) or (first == "[" and schema.array):
            if not schema.may_be_string:
                from .json_reader import JsonReader

                self._end = _End()
                self._reader = JsonReader(self._end, max_depth=self.max_depth)
                return True
            self._json = _JsonPrefix(self.max_depth)
        elif schema.quoted and first in "\"'":
            self._json = _JsonPrefix(self.max_depth)
        else:
            if schema.integer or schema.number:
                self._table = _NUMBERS[not schema.may_be_string, not schema.number]
                self._number = _START
            if schema.words or schema.folded_words:
                self._word = ""
        return False

    def _recognise(self, text: str) -> bool:
        """Whether the value may still be something else than a string, now that `text` came."""
        if self._json is not None:
            return self._json.feed(text)
        if self._number is not None:
            self._number = self._advance_number(self._number, text)
        if self._word is not None:
            self._word = self._advance_word(self._word, text)
        return self._number is not None or self._word is not None

    def _advance_number(self, state: int, text: str) -> int | None:
        if state == _TAIL:
            return None if text.strip(_BLANKS) else _TAIL
        core = text.rstrip(_BLANKS)
        self._number_length += len(core)
        if self._number_length > _MAX_NUMBER:
            return None
        table = self._table
        for ch in core:
            target = table.get((state, ch))
            if target is None:
                return None
            state = target
        return table.get((state, " ")) if len(core) < len(text) else state

    def _advance_word(self, word: str, text: str) -> str | None:
        schema = self._schema
        assert schema is not None
        core = text.rstrip(_BLANKS)
        if self._word_ended:
            return None if core else word
        word += core
        fits = [spelled for spelled, _ in schema.words if spelled.startswith(word)]
        if schema.folded_words and word.isascii():
            lowered = word.lower()
            fits += [spelled for spelled, _ in schema.folded_words if spelled.startswith(lowered)]
        if len(core) < len(text):
            self._word_ended = True
            fits = [spelled for spelled in fits if len(spelled) == len(word)]
        return word if fits else None

    def _scalar(self) -> list[str | Diagnostic] | None:
        """What the held text is, now that it is whole, if it is no string."""
        schema = self._schema
        assert schema is not None
        if not self._started:
            containers = schema.types if not schema.may_be_string else ()
            if containers and set(containers) <= {"object", "array", "null"}:
                return ["{}" if schema.object else "[]"]  # templates write empty ones as nothing
            return None
        text = "".join(self._pieces)
        core = text.strip(_BLANKS)
        if self._word is not None:
            for spelled, value in schema.words:
                if spelled == core:
                    return [value]
            lowered = core.lower()
            for spelled, value in schema.folded_words:
                if spelled == lowered:
                    return [value]
        if text in schema.strings or core in schema.strings:
            return None
        if self._number is not None:
            ends = _ENDS if schema.may_be_string else _LENIENT_ENDS
            number = number_json(core, not schema.number) if self._number in ends else None
            return None if number is None else [number]
        if self._json is not None and self._json.complete:
            if self._json.python:
                return self._mended(core, text.index(core[0]))
            return [core]
        return None

    def _mended(self, core: str, offset: int) -> list[str | Diagnostic] | None:
        """A Python literal as JSON text, by the reader that mends them while they stream."""
        from .json_reader import JsonReader

        reader = JsonReader(None, max_depth=self.max_depth)
        reader.base = self._at + offset
        reader.feed(core, 0, True)
        if reader.cut:
            return None
        try:
            json.loads("".join(item for item in reader.out if isinstance(item, str)))
        except (ValueError, RecursionError):
            return None
        return [*reader.out]

    def _become_string(self, mismatch: bool = True) -> None:
        schema = self._schema
        if mismatch and schema is not None and not schema.may_be_string:
            self._diagnose("type-mismatch", f"the schema wants {' or '.join(schema.types)}; this is a string")
        text = "".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        self._json = None
        self._number = self._word = None
        self.streaming = self._given = True
        self.out.append('"' + escape(text))

    def _diagnose(self, code: str, message: str) -> None:
        at = max(self._at, 0)
        self.out.append(Diagnostic(code, message, at, at))

    # -- objects and arrays that cannot be strings --------------------------------------------------------

    def _read(self, text: str, base: int) -> None:
        reader = self._reader
        assert reader is not None
        if reader.done:
            self._junk(text, base)
            return
        self.base = base + len(text)
        if not self._rest and len(text) <= LONG:
            out = reader.fast(text)
            if out is not None:
                if out:
                    self._given = True
                    self.out.append(out)
                return
        reader.base = base - len(self._rest)
        text = self._rest + text
        pos = reader.feed(text, 0, False)
        self._rest = text[pos:]
        if self._take(reader):
            self._junk(self._rest, reader.base + pos)
            self._rest = ""

    def _take(self, reader: JsonReader) -> bool:
        """Give out what the reader has; whether it is done."""
        if reader.out:
            self._given = self._given or any(isinstance(item, str) and item for item in reader.out)
            self.out += reader.out
            reader.out.clear()
        return reader.done

    def _junk(self, text: str, base: int) -> None:
        junk = text.lstrip(_BLANKS)
        if junk and not self._told_junk:
            self._told_junk = True
            at = base + len(text) - len(junk)
            self.out.append(Diagnostic("junk", "text behind the value, before its closer", at, at + 1))

    def _finish_reader(self) -> None:
        reader = self._reader
        assert reader is not None and self._end is not None
        if reader.done:
            return
        rest, self._rest = self._rest, ""
        # The value's end is a boundary, unless it stands in a string, where the reader would take its mark for
        # data. Which of the two shows when a copy has tried.
        trial, end = copy.deepcopy((reader, self._end))
        end.armed = True
        trial.base = reader.base = self.base - len(rest)
        trial.feed(rest + _End.MARK, 0, True)
        done = trial.done and not trial.cut
        if done and not any(isinstance(i, str) and _End.MARK in i for i in trial.out):
            self._reader = trial
            self._take(trial)
            return
        reader.feed(rest, 0, True)
        self._take(reader)
        if reader.cut:
            at = self.base
            self.out.append(Diagnostic("missing-closer", "the value ends inside a string", at, at))
            self.out.append(reader.closing)
