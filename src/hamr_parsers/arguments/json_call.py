"""One call as one JSON object, its keys in any order.

Theory. `JsonCallReader` is an `ObjectReader` that pauses at each member of the outermost object (and of a nested
`"function": {...}`). The name is read here, since it must not be streamed and has rules of its own; the value of the
arguments passes through as the JSON text that is given out; everything else is skipped. So mending, nesting
and holding are those of `JsonReader`, with the whole object in view.

Nothing is given out before the call is certain: `feed` returns with `status` "announce" once the name is
complete and the arguments begin (or were read before it, or the object ends). The caller then looks at `name` and
either feeds on or drops the reader; nothing behind that place was read. Arguments that stand before the name
are kept in mended form, up to `max_held` characters of input.
"""

from __future__ import annotations

import json
import re
from typing import Final

from ..events import Diagnostic
from .json_ahead import BLANKS
from .json_mend import Boundary
from .json_nodes import past
from .object_reader import LONE_HALF, ObjectReader

__all__ = ["BARE_CALL", "JsonCallReader"]

NAMES: Final = frozenset(("name", "tool_name", "tool", "function", "function_name", "action"))
ARGUMENTS: Final = frozenset(("arguments", "parameters", "args", "input", "action_input", "kwargs"))
IDS: Final = frozenset(("id", "call_id", "tool_call_id"))
IGNORED: Final = frozenset(("type",))

_MAX_NAME = 256
_NAME_RUN = re.compile(r"""[^\s\x00-\x1f"'\\,\[\](){}<>]*+""")
_NULL = re.compile(r"(?:null(?:\Z|\s{0,8}(?:\Z|(,)))|nul?\Z|n\Z)")
_BARE_NAME = re.compile(r"[\w.\-:/]*+")
_NO_NAME = re.compile(r"[\s()\[\]{}]")
"""An escaped quote may stand in a name: other projects' records have such tools."""
_NO_NAMES = frozenset(("null", "none", "true", "false", "undefined", "nan"))
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_PARTIAL_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?+\Z")
_MARKDOWN = "_.*-"
_MARKDOWN_ESCAPE = re.compile(rf"\\[{_MARKDOWN}]")


def _prefixes(word: str) -> str:
    """A pattern for `word` or, at the end of the text, the beginning of it."""
    pattern = ""
    for c in reversed(word):
        pattern = f"{c}(?:{pattern}|\\Z)" if pattern else c
    return pattern


BARE_CALL: Final = re.compile(
    r"\{\s{0,32}+(?:\Z|[\"']?+(?:\Z|(?:"
    + "|".join(_prefixes(w) for w in sorted(NAMES | ARGUMENTS | IDS | IGNORED, key=len, reverse=True))
    + r")(?:\Z|[\"']?+\s{0,8}+(?:\Z|([:=])))))"
)
"""May an object that begins here be a call? A match that ends with the text (without group 1) may still become one."""


class JsonCallReader(ObjectReader):
    """Reads one call object from its opening brace.

    Args:
        boundary: as for `JsonReader`.
        max_depth: brackets that may be open at once in the arguments.
        bare: no marker stands before the object: a key before the arguments that no call has means that it is none.
        max_held: how much of the input may be read before the call is certain, in characters.

    `wrap_key` may be set at the announcement.
    """

    __slots__ = (
        "_announced", "_buffer", "_capture", "_ended", "_flat", "_from", "_given", "_lead", "_null",
        "_open", "_phase", "_piece", "_quote_open", "_read", "arguments_done", "bare", "call_id",
        "has_arguments", "marks", "max_held", "name", "parameters", "reason", "source_id", "status",
        "unquoted",
    )  # fmt: skip

    def __init__(
        self,
        boundary: Boundary | None = None,
        max_depth: int = 200,
        bare: bool = False,
        max_held: int = 1 << 20,
    ) -> None:
        super().__init__(boundary, max_depth + 1, watch=1)
        self._limit = max_depth
        self.bare = bare
        self.max_held = max_held
        self.status = "more"
        """"more" (all was read that can be), "announce", "failed" (`reason` says why), "done", "key": a key that no
        call has; the caller sets `parameters` and feeds on."""
        self.reason = ""
        self.name: str | None = None
        self.call_id: str | None = None
        self.source_id: str | None = None
        """An id that came after the arguments."""
        self.unquoted = False
        """The name stood without quotes."""
        self.parameters: tuple[str, ...] | None = None
        """Those of the tool `name`: they may stand beside the name instead of in an object of their own."""
        self.has_arguments = False
        """A key for the arguments was read."""
        self.arguments_done = False
        """The arguments were read to their own end."""
        self.marks: list[tuple[str, int, int]] = []
        """Where the "name" and the "arguments" stand, as offsets of start and end in the whole input."""
        self._phase = "start"
        self._announced = False
        self._ended = False
        self._given = False
        self._null = False
        self._read = 0
        self._buffer: list[str | Diagnostic] = []
        # the name, an id, and where the name or the arguments begin
        self._piece: list[str] = []
        self._quote_open: str | None = None
        self._capture: list[str] | None = None
        self._from = 0
        # arguments beside the name: the key that waits for its value, and what closes a value that was cut
        self._flat = False
        self._lead = ""
        self._open = ""

    # -- the caller's side -----------------------------------------------------------------------------

    def feed(self, text: str, pos: int, final: bool) -> int:
        if self.done:
            return pos
        limit = pos + self.max_held - self._read
        if self._announced or len(text) <= limit:
            new = self._go_on(text, pos, final)
        else:
            new = self._go_on(text[:limit], pos, False)
            if self.status == "more":
                return self._fail("max-held", limit)
        self._read += new - pos
        return new

    def _fail(self, reason: str, pos: int) -> int:
        self.status = "failed"
        self.reason = reason
        self.done = True
        self._phase = "failed"
        return pos

    def _announce(self, pos: int) -> int:
        self._announced = True
        self.status = "announce"
        return pos

    def _go_on(self, text: str, pos: int, final: bool) -> int:
        self.status = "more"
        self._unpark()
        if self._announced and self._buffer:
            # nothing was given out before the announcement
            self.out[:0] = self._buffer
            self._buffer.clear()
        while True:
            old = self._phase
            pos = getattr(self, "_in_" + old)(text, pos, final)
            if self.status != "more" or self._phase == old:
                break
        if self.out and (not self._announced or self.status == "announce"):
            self._buffer += self.out
            self.out.clear()
        streams = self._phase == "arguments" or self._phase == "flat" and not self._lead
        self._park(streams and self._announced and self._shape is None)
        return pos

    # -- phases ----------------------------------------------------------------------------------------

    def _in_start(self, text: str, pos: int, final: bool) -> int:
        if pos >= len(text):
            return self._fail("nothing there", pos) if final else pos
        if text[pos] != "{":
            return self._fail("no object", pos)
        if self.bare:
            found = BARE_CALL.match(text, pos)
            if found is None or not found[1] and (final or found.end() < len(text)):
                return self._fail("not the beginning of a call", pos + 1)
            if not found[1]:
                return pos
        self._phase = "members"
        return pos

    def _in_members(self, text: str, pos: int, final: bool) -> int:
        """Between the members, at their keys."""
        while not self._ended:
            old = len(self.out)
            pos = self._feed_json(text, pos, final)
            self._sift(old)
            if self.done:
                pos = self._object_ended(pos)
                if self.status != "more":
                    return pos
                continue
            if self.pause is None:
                return pos
            if self._stack.depth < self.watch:
                self._watch(1)
            if self.pause == "key":
                return self._at_key(pos)
        return self._finish(pos)

    def _sift(self, old: int) -> None:
        """Drop the text of the object itself, keep the diagnostics."""
        self.out[old:] = [item for item in self.out[old:] if not isinstance(item, str)]

    def _watch(self, level: int) -> None:
        """Pause at the members of this level from now on."""
        self.watch = level
        self._set_depth(self._limit + level)

    def _at_key(self, pos: int) -> int:
        key = self.key
        self._hold.clear()
        self._capture = None
        self._phase = "value"
        if key in NAMES and self.name is None:
            self._phase = "function" if key == "function" and self.watch == 1 else "name"
        elif key in ARGUMENTS and (not self.has_arguments or self._null):
            self._null = False
            self.has_arguments = True
            self.keyless = ""
            self._phase = "before"
        elif key in IDS:
            self._capture = []
        elif key not in IGNORED:
            if self.bare and not self.has_arguments:
                return self._fail(f"a call has no {key!r}", pos)
            if self.name is not None and not self.has_arguments and self.parameters is None:
                self.status = "key"
                self._phase = "beside"
            else:
                self._at_other_key(pos)
        return pos

    def _at_other_key(self, pos: int) -> None:
        """At a key that no call has: an argument that stands beside the name, or nothing."""
        key = self.key
        begins = not self.has_arguments
        if (begins or self._flat) and key in (self.parameters or ()):
            self._phase = "flat"
            self._lead = f"{', ' if self._given else '{'}{json.dumps(key, ensure_ascii=False)}: "
            if begins:
                self._flat = self.has_arguments = True
                self.keyless = ""
                here = self._key_from - self.base
                self._note("non-object-arguments", "arguments beside the name", here, here)
            return
        self._phase = "value"
        self._note("extra-key", f"a call has no {key!r}", self._key_from - self.base, pos)

    def _in_beside(self, text: str, pos: int, final: bool) -> int:
        """The caller has set `parameters`."""
        self._at_other_key(pos)
        return self._announce(pos) if self._flat else pos

    def _in_flat(self, text: str, pos: int, final: bool) -> int:
        """In the value of an argument that stands beside the name; its key waits for the first of it."""
        old = len(self.out)
        pos = self._feed_json(text, pos, final)
        if self._lead:
            at = next((n for n in range(old, len(self.out)) if isinstance(self.out[n], str)), -1)
            if at >= 0:
                self.out.insert(at, self._lead)
                self._lead = ""
                self._given = True
        if self.done or self.pause is not None:
            self.marks.append(("arguments", self._key_from, self.base + pos))
            self._open = self.closing if self.cut and not self._lead else ""
        return self._behind_value(pos)

    def _behind_value(self, pos: int) -> int:
        """If the value is over, its object goes on, or ends with it."""
        if self.done or self.pause is not None:
            self._phase = "members"
        return self._object_ended(pos) if self.done else pos

    def _in_function(self, text: str, pos: int, final: bool) -> int:
        """`"function":` holds a name or the call itself."""
        pos = past(BLANKS, text, pos)
        if pos < len(text) and text[pos] == "{":
            self._watch(2)
            self._phase = "members"
        elif pos < len(text) or final:
            self._phase = "name"
        return pos

    def _in_name(self, text: str, pos: int, final: bool) -> int:
        n = len(text)
        if self._quote_open is None:
            pos = past(BLANKS, text, pos)
            if pos >= n or self._escaped and text[pos:] == "\\":
                return self._fail("no name", pos) if final else pos
            c = text[pos]
            if c == '"' or self._escaped and text.startswith('\\"', pos):
                pass
            elif c == "'":
                self._note("single-quotes", "a string in single quotes", pos, pos + 1)
            elif c.isalpha() or c == "_":
                self._note("unquoted-value", "a name without quotes", pos, pos)
                self.unquoted = True
                c = ""
            else:
                return self._fail("the name is no string", pos)
            self._quote_open = c
            pos += 2 if c == "\\" else len(c)
            self._from = self.base + pos
        while True:
            end = past(_BARE_NAME if self.unquoted else _NAME_RUN, text, pos)
            self._piece.append(text[pos:end])
            pos = end
            if sum(map(len, self._piece)) > _MAX_NAME * 6:
                return self._fail("the name is too long", pos)
            if pos >= n:
                return self._fail("the name is not complete", pos) if final else pos
            c = text[pos]
            if self.unquoted:
                if c not in ",}" and not c.isspace():
                    return self._fail("the name is not complete", pos)
                if "".join(self._piece).lower() in _NO_NAMES:
                    return self._fail("the name is no string", pos)
                return self._named(pos, pos)
            if c == "\\" == self._quote_open:
                if pos + 1 >= n and not final:
                    return pos
                if text[pos + 1 : pos + 2] != '"':
                    return self._fail("a backslash in the name", pos)
                return self._named(pos, pos + 2)
            if c == self._quote_open:
                return self._named(pos, pos + 1)
            if c in ",\n":
                self._note("missing-quote", "a closing quote was left out", pos, pos)
                return self._named(pos, pos)
            if c != "\\":
                return self._fail("no name has blanks, quotes or brackets", pos)
            escape = _ESCAPE.match(text, pos) or _MARKDOWN_ESCAPE.match(text, pos)
            if escape is None:
                wait = _PARTIAL_ESCAPE.match(text, pos) and not final
                return pos if wait else self._fail("a backslash in the name", pos)
            piece = escape[0]
            if piece[1] in _MARKDOWN:
                self._note("bad-escape", "a backslash in the name was dropped", pos, pos + 1)
                piece = piece[1]
            self._piece.append(piece)
            pos = escape.end()

    def _named(self, end: int, pos: int) -> int:
        """The name's text ended at `end`, its quote at `pos`."""
        self.marks.append(("name", self._from, self.base + end))
        name: str = json.loads('"' + "".join(self._piece) + '"')
        self._piece.clear()
        if not 0 < len(name) <= _MAX_NAME:
            return self._fail("the name is empty or too long", pos)
        if LONE_HALF.search(name):
            return self._fail("the name holds half a character", pos)
        if _NO_NAME.search(name):
            return self._fail("no name has blanks or brackets", pos)
        self.name = name
        self._lex = "A"
        self._floor = -1
        self._hold.clear()
        self._phase = "members"
        if self.has_arguments:
            # they came before it
            return self._announce(pos)
        self.keyless = "arguments"
        return pos

    def _note(self, code: str, message: str, start: int, end: int) -> None:
        self._abs = self.base
        self._mend(code, message, start, end)

    def _in_value(self, text: str, pos: int, final: bool) -> int:
        """In the value of an id, or of a key that does not matter."""
        old = len(self.out)
        pos = self._feed_json(text, pos, final)
        if self._capture is not None and sum(map(len, self._capture)) <= _MAX_NAME * 6:
            self._capture += [item for item in self.out[old:] if isinstance(item, str)]
        self._sift(old)
        if self._capture is not None and self.pause is not None:
            self._identify("".join(self._capture))
        return self._behind_value(pos)

    def _identify(self, json_text: str) -> None:
        try:
            ident = json.loads(json_text)
        except ValueError:
            return
        if isinstance(ident, int) and not isinstance(ident, bool):
            ident = str(ident)
        if isinstance(ident, str) and 0 < len(ident) <= _MAX_NAME and not LONE_HALF.search(ident):
            if self._announced:
                self.source_id = ident
            else:
                self.call_id = ident

    def _object_ended(self, pos: int) -> int:
        """The call's object is over: without a name it was no call, and its end may be what announces it."""
        self.done = False
        self._ended = True
        if self.name is None:
            return self._fail("no name", pos)
        return pos if self._announced else self._announce(pos)

    def _in_before(self, text: str, pos: int, final: bool) -> int:
        """Before the first character of the arguments."""
        pos = past(BLANKS, text, pos)
        if pos >= len(text):
            if not final:
                return pos
        elif self._marker_at(text, pos, final) is None:
            return pos
        null = _NULL.match(text, pos) if not self._given else None
        if null is not None and not null[1] and null.end() == len(text) and not final:
            return pos
        if null is not None and null[1]:
            # nothing yet: another key may bring the arguments
            self._null = True
            self._phase = "value"
            return pos
        if self.name is not None and not self._announced:
            return self._announce(pos)
        if pos >= len(text):
            self.cut = self._ended = True
            self._phase = "members"
            return pos if self.name is not None else self._fail("no name", pos)
        if self._begin_object(text, pos, final):
            self._given = self._given or self._lex == "k0"  # a brace that was left out
            self._phase = "arguments"
            self._from = self.base + pos
        return pos

    def _in_arguments(self, text: str, pos: int, final: bool) -> int:
        old = len(self.out)
        pos = self._feed_object(text, pos, final)
        if any(isinstance(item, str) for item in self.out[old:]):
            self._given = True
        ended = self.pause is not None or self.done and not self.cut
        if ended or self.done:
            self.marks.append(("arguments", self._from, self.base + pos))
        if ended:
            self.arguments_done = self.pause is not None
            if self._shape is not None:
                self._set_depth(self._limit + self.watch)
            self._given = self.enough = True
            self._phase = "members"
            self._shape = None
        if self.done:
            if self.name is None:
                return self._fail("no name", pos)
            if ended:
                self._ended = True
                self.done = False
            else:
                self.status = "done"
        return pos

    def _finish(self, pos: int) -> int:
        """The object has ended, and the call was announced."""
        if self._flat and not self.cut:
            self.out.append("}" if self._given else "{}")
        elif self._flat:
            self.closing = f"{self._open}}}" if self._given else "{}"
        elif self._given:
            self.cut = False
            self.closing = ""
        elif self.cut:
            self.closing = "{}"
        else:
            self.out.append("{}")
        self.done = True
        self.status = "done"
        return pos
