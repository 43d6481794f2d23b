"""Bare text to JSON: one value of a format that writes values as text between tags, typed by the tool's schema.

Theory. A value begins *open*: its type is not known, so its characters are held. It is decided as soon as the
characters allow it, one of three ways:

- **string**: the characters can no longer become a number, a word such as `true`, or a JSON value of a type that
  the schema allows (at once, where it allows nothing but strings). What was held comes out, and everything after
  it streams, escaped and otherwise untouched, blanks included.
- **object or array** that cannot be a string: at the first `{` or `[`. The text streams through the JSON reader,
  which mends it where it is broken or Python; there is no way back.
- at the end: a number, a word or a JSON value that may also be a string. These stay open to their last character.

Whether the held characters can still become something is asked of recognisers: patterns for numbers, the list of
words that still fit, and for JSON beside strings an automaton with a stack, which sees every character once. A
number has at most 4,300 characters, more is a string; what else is held is bounded by `max_held`, after which it
is a string as well.

Blanks around a value that is no string do not count, so they are held too; a string keeps them.
"""

from __future__ import annotations

import copy
import json
import re
from json.encoder import encode_basestring

from ..events import Diagnostic
from .json_nodes import past
from .json_reader import JsonReader
from .numbers import MAX_NUMBER, NUMBERS, integer, number
from .schema import ParamSchema

__all__ = ["TextValue", "escape"]

_BLANKS = " \t\r\n"
_DIGITS = "0123456789"
LONG = 256  # characters; longer text is read by the readers' patterns and not character by character
_SURROGATES = re.compile("[\ud800-\udfff]")

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


# -- JSON beside strings --------------------------------------------------------------------------------

# What a character does, where it does not just lead to another state
_OPENS, _CLOSES, _QUOTE = "opens", "closes", "quote"
_AFTER = {"{": "behind a member", "[": "behind an item"}
_RUNS = {'"': re.compile(r'[^"\\\x00-\x1f]*'), "'": re.compile(r"[^'\\\x00-\x1f]*")}
_BLANK_RUN = re.compile(r"[ \t\r\n]*")
_WORDS = ("true", "false", "null", "True", "False", "None")
_HEX = "0123456789abcdefABCDEF"

# For each state, where characters lead. A state within a word is what was read of the word.
_BEGINS: dict[str, str] = {
    "{[": _OPENS, "\"'": _QUOTE, "-": "sign", "0": "zero", "123456789": "digits", **{w[0]: w[0] for w in _WORDS},
}  # fmt: skip
_LEADS: dict[str, dict[str, str]] = {
    "value": _BEGINS,
    "first item": {**_BEGINS, "]": _CLOSES},
    "key": {"\"'": _QUOTE},
    "first key": {"\"'": _QUOTE, "}": _CLOSES},
    "colon": {":": "value"},
    _AFTER["{"]: {",": "key", "}": _CLOSES},
    _AFTER["["]: {",": "value", "]": _CLOSES},
    "done": {},
    "escape": {'"\\/bfnrt': "string", "u": "hex 4"},
    "hex 4": {_HEX: "hex 3"},
    "hex 3": {_HEX: "hex 2"},
    "hex 2": {_HEX: "hex 1"},
    "hex 1": {_HEX: "string"},
    "sign": {"0": "zero", "123456789": "digits"},
    "zero": {".": "point", "eE": "power"},
    "digits": {_DIGITS: "digits", ".": "point", "eE": "power"},
    "point": {_DIGITS: "fraction"},
    "fraction": {_DIGITS: "fraction", "eE": "power"},
    "power": {_DIGITS: "exponent", "+-": "power sign"},
    "power sign": {_DIGITS: "exponent"},
    "exponent": {_DIGITS: "exponent"},
    **{word[:i]: {word[i]: word[: i + 1]} for word in _WORDS for i in range(1, len(word))},
    **{word: {} for word in _WORDS},
}
_STEPS = {
    state: {ch: target for characters, target in leads.items() for ch in characters}
    for state, leads in _LEADS.items()
}
_WHOLE = {*_WORDS, "zero", "digits", "fraction", "exponent"}
_BETWEEN = {"value", "first item", "key", "first key", "colon", *_AFTER.values(), "done"}


class _JsonPrefix:
    """Whether the characters so far begin one JSON value, or one as Python's `repr` writes it (single quotes,
    `True`, `None`). Sees each character once; holds nothing but its stack."""

    __slots__ = ("is_key", "max_depth", "python", "quote", "stack", "state")

    def __init__(self, max_depth: int) -> None:
        self.max_depth = max_depth
        self.state = "value"
        self.stack: list[str] = []
        self.quote = '"'
        self.is_key = False  # of the string that is being read
        self.python = False  # something that only Python writes was there

    @property
    def complete(self) -> bool:
        """Whether the characters so far are a whole value."""
        return self.state == "done"

    def feed(self, text: str) -> bool:
        """Take more text; False if no value begins like this."""
        pos = 0
        while pos < len(text):
            state = self.state
            if state == "string":
                pos = past(_RUNS[self.quote], text, pos)
                if pos < len(text):
                    ch = text[pos]
                    pos += 1
                    if ch == self.quote:
                        self.state = "colon" if self.is_key else self._after()
                    elif ch == "\\":
                        self.state = "escape"
                    else:
                        return False  # a raw control character
                continue
            if state in _BETWEEN:
                pos = past(_BLANK_RUN, text, pos)
                if pos == len(text):
                    break
            ch = text[pos]
            target = _STEPS[state].get(ch)
            if target is None:
                if state in _WHOLE:
                    self.state = self._after()
                    continue
                if state != "escape" or ch != "'" or self.quote != "'":
                    return False
                target = "string"
            pos += 1
            if target == _OPENS:
                self.stack.append(ch)
                target = "first key" if ch == "{" else "first item"
                if len(self.stack) > self.max_depth:
                    return False
            elif target == _CLOSES:
                self.stack.pop()
                target = self._after()
            elif target == _QUOTE:
                self.quote = ch
                self.is_key = state in ("key", "first key")
                target = "string"
            if state in _BETWEEN and ch in "TFN'":
                self.python = True
            self.state = target
        return True

    def _after(self) -> str:
        return _AFTER[self.stack[-1]] if self.stack else "done"


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
        "_at", "_core", "_end", "_ended", "_given", "_held", "_json", "_may_be_word", "_numbers", "_pieces", "_plain",
        "_reader", "_rest", "_schema", "_started", "_told_junk",
        "base", "max_depth", "max_held", "out", "streaming",
    )  # fmt: skip

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
        self._core = ""  # the text so far, while it may be a number or a word
        self._ended = False  # blanks stand behind it
        self._numbers: tuple[re.Pattern[str], re.Pattern[str]] | None = None  # None: it can be none any more
        self._may_be_word = False
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
        opens = (first == "{" and schema.object) or (first == "[" and schema.array)
        if opens and not schema.may_be_string:
            self._end = _End()
            self._reader = JsonReader(self._end, max_depth=self.max_depth)
            return True
        if opens or (schema.quoted and first in "\"'"):
            self._json = _JsonPrefix(self.max_depth)
        else:
            if schema.integer or schema.number:
                self._numbers = NUMBERS[not schema.may_be_string, not schema.number]
            self._may_be_word = bool(schema.words or schema.folded_words)
        return False

    def _recognise(self, text: str) -> bool:
        """Whether the value may still be something else than a string, now that `text` came."""
        if self._json is not None:
            return self._json.feed(text)
        core = text.rstrip(_BLANKS)
        if self._ended:
            return not core
        self._core += core
        self._ended = len(core) < len(text)
        if self._numbers is not None:
            whole, begun = self._numbers
            pattern = whole if self._ended else begun
            if len(self._core) > MAX_NUMBER or not pattern.fullmatch(self._core):
                self._numbers = None
        if self._may_be_word:
            assert self._schema is not None
            fits = self._schema.word if self._ended else self._schema.begins_word
            self._may_be_word = bool(fits(self._core))
        return self._numbers is not None or self._may_be_word

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
        word = schema.word(core) if self._may_be_word else None
        if word is not None:
            return [word]
        if text in schema.strings or core in schema.strings:
            return None
        if self._numbers is not None:
            read = number if schema.number else integer
            value_json = read(core) if self._numbers[0].fullmatch(core) else None
            return None if value_json is None else [value_json]
        if self._json is not None and self._json.complete:
            if self._json.python:
                return self._mended(core, text.index(core[0]))
            return [core]
        return None

    def _mended(self, core: str, offset: int) -> list[str | Diagnostic] | None:
        """A Python literal as JSON text, by the reader that mends them while they stream."""
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
        self._core = ""
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
