"""Arguments as one JSON object, whatever the model wrote in their place.

Theory. The arguments of a call are an object. If an object is what stands there, `ObjectReader` is a `JsonReader` and
nothing else. If not, the reader gives out JSON text of that other value, and a `Shape` makes an object of it on
the way: null, an empty string and nothing at all are `{}`; a string that holds the text of an object is decoded
piece by piece and read by a reader of its own; any other value becomes the one member of an object.

Held back is, beside what the reader holds, the beginning of a string while it is blank or a part of `null`.
"""

from __future__ import annotations

import json
import re

from ..events import Diagnostic
from .json_ahead import BLANKS
from .json_mend import Boundary
from .json_nodes import Node, past, uncut
from .json_reader import JsonReader

__all__ = ["LONE_HALF", "ObjectReader"]

Out = list[str | Diagnostic]

LONE_HALF = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair, from an escape that stood alone: cannot be encoded."""
_STRING = re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL)
_FIRST_KEY = re.compile(r'"(?:[\w$\-]{0,40}+\Z|[\w$\-]{1,40}+"\s{0,8}+(?:\Z|(:)))')
"""A key where an object is due; group 1 if it is certain."""


class Shape:
    """Turns the JSON text of a value that is no object into that of an object.

    Args:
        wrap_key: the key of a value that must be wrapped.
        max_depth: for an object that is read from a string.
        start: where the value begins (offset in the input); what is odd inside a string is reported there.
    """

    def __init__(self, wrap_key: str, max_depth: int, start: int) -> None:
        self._wrap_key = wrap_key
        self._max_depth = max_depth
        self.start = start
        self.recovered = False
        self._form = ""
        """"" undecided, `null`, `wrap`, `pass` an object behind junk, `"` a string of which nothing is known yet,
        `object` read from a string."""
        self._inner: JsonReader | None = None
        self._waits: list[str] = []
        self._seen = ""
        self._rest = ""
        self._junk = False

    def take(self, items: Out, out: Out) -> None:
        """More of the value's JSON text; what can be given out is appended to `out`."""
        for item in items:
            if not isinstance(item, str):
                out.append(item)
                continue
            if not self._form:
                item = item.lstrip()
                if not item:
                    continue
                forms = {'"': '"', "{": "pass", "n": "null"}
                self._form = forms.get(item[0], "wrap")
                if self._form == '"':
                    item = item[1:]
                elif self._form == "wrap":
                    self._wrap("", out)
            if self._form in ('"', "object"):
                self._string(item, out)
            elif item and self._form != "null":
                out.append(item)

    def _tell(self, code: str, message: str, out: Out) -> None:
        self.recovered = True
        out.append(Diagnostic(code, message, self.start, self.start))

    def _wrap(self, text: str, out: Out) -> None:
        """The value, which begins with `text`, becomes a member."""
        self._form = "wrap"
        key = json.dumps(self._wrap_key)
        self._tell("non-object-arguments", f"the arguments are no object: taken as {key}", out)
        out.append(f"{{{json.dumps(self._wrap_key, ensure_ascii=False)}: {text}")

    def _string(self, item: str, out: Out) -> None:
        """More of the inside of a string, perhaps with its closing quote."""
        end = past(_STRING, item, 0)
        text = item[:end]
        if not text:
            return
        if self._form == '"':
            self._waits.append(text)
        if "\\" in text:
            text = LONE_HALF.sub(lambda m: f"\\u{ord(m[0]):04x}", json.loads(f'"{text}"'))
        if self._form == "object":
            self._decoded(text, False, out)
            return
        self._seen += text.lstrip() if not self._seen else text
        seen = self._seen
        if seen[:1] == "{":
            self._form = "object"
            self._inner = JsonReader(None, self._max_depth)
            self._decoded(seen, False, out)
        elif seen.strip() == "null":
            self._seen = "null "
        elif seen and not (len(seen) < 5 and "null".startswith(seen.rstrip())):
            self._wrap('"' + "".join(self._waits) + item[end:], out)

    def _decoded(self, text: str, final: bool, out: Out) -> None:
        """More of the text of the object that a string holds."""
        inner = self._inner
        assert inner is not None
        given = inner.fast(text) if not self._rest and not final else None
        if given is not None:
            inner.base += len(text)
            if given:
                out.append(given)
            return
        over = inner.done
        if not over:
            text = self._rest + text
            pos = inner.feed(text, 0, final)
            inner.base += pos
            for item in inner.out:
                if isinstance(item, str):
                    out.append(item)
                else:
                    self._tell(item.code, item.message, out)
            inner.out.clear()
            text, self._rest = text[pos:], "" if inner.done else text[pos:]
        if inner.done and text.strip() and not self._junk:
            self._junk = True
            self._tell("junk", "text behind the object was dropped", out)

    def end(self, out: Out) -> None:
        """The value is whole: complete the object."""
        form = self._form
        if form == "wrap":
            out.append("}")
        elif form == "object":
            closing = self.cut("", out)
            if closing:
                self._tell("missing-closer", "the object was left open", out)
                out.append(closing)
        elif form == '"' and self._seen and self._seen.strip() != "null":
            self._wrap('"' + "".join(self._waits) + '"}', out)
        elif form != "pass":
            out.append("{}")

    def cut(self, closing: str, out: Out) -> str:
        """The text ended inside the value, whose own closing text is `closing`: the closing text of the object."""
        if self._form in ("wrap", "pass"):
            return closing + "}" * (self._form == "wrap")
        inner = self._inner
        if inner is None:
            return "{}"
        if not inner.done:
            self._decoded("", True, out)
        return inner.closing if inner.cut else ""


_SINGLE: dict[str, tuple[str, str]] = {}
_SINGLE_RUN = re.compile(r"""(?:[^'\\\x00-\x1f]|\\["'\\/bfnrt])*+""")
"""What passes in single quotes, but for its own quotes."""
_SINGLE_ODD = re.compile(r"""\\.|\"""")
_SINGLE_ODDS = {"\\'": "'", '"': '\\"'}


class ObjectReader(JsonReader):
    """Reads the arguments of a call: the result is always the text of a JSON object.

    Args:
        boundary, max_depth, watch: as for `JsonReader`.
        wrap_key: the key under which a value that is no object is given; may be set before the first `feed`.
    """

    __slots__ = ("_begun", "_parked", "_shape", "_streams")

    def __init__(
        self, boundary: Boundary | None = None, max_depth: int = 200, wrap_key: str = "input", watch: int = 0
    ) -> None:
        super().__init__(boundary, max_depth, watch)
        self.wrap_key = wrap_key
        self._streams = False  # what is read is given out as it is
        self._begun = False
        self._shape: Shape | None = None
        self._parked: Node | None = None
        """The fast half while it must not be asked: its text is not yet what is given out."""

    _feed_json = JsonReader.feed

    def feed(self, text: str, pos: int, final: bool) -> int:
        if not self._begun:
            if self.done:
                return pos
            pos = past(BLANKS, text, pos)
            if pos == len(text):
                if final:
                    self.done = self.cut = True
                    self.closing = "{}"
                return pos
            at = self._marker_at(text, pos, final)
            if at:
                if self.boundary is not None and self.boundary.ends_turn(text, pos):
                    self.cut, self.closing = True, "{}"
                else:
                    self.out.append("{}")
                self.done = True
                return pos
            if at is None or not self._begin_object(text, pos, final):
                return pos
            self._begun = True
        self._unpark()
        pos = self._feed_object(text, pos, final)
        self._park(self._shape is None)
        return pos

    @property
    def memo(self) -> dict[str, tuple[str, str]] | None:
        """For the engine to remember what became of a chunk inside single quotes, which the careful half reads; None
        elsewhere."""
        single = self.node is None and self._streams and self._lex == "S" and self._quote == "'"
        return _SINGLE if single and not (self.done or self._hold or self._pend) else None

    def whole(self, chunk: str) -> int:
        """How much of a chunk inside single quotes can be read without what comes next."""
        return uncut(chunk)

    def fast(self, chunk: str) -> str | None:
        """As `JsonReader.fast`; where `memo` is one, what stands inside single quotes."""
        if self.node is not None:
            return super().fast(chunk)
        if self.memo is None or not _SINGLE_RUN.fullmatch(chunk):
            return None
        return _SINGLE_ODD.sub(lambda match: _SINGLE_ODDS.get(match[0], match[0]), chunk)

    def _park(self, streams: bool) -> None:
        """Hide the fast half, unless what it reads `streams` as it is."""
        self._streams = streams
        if self.node is not None and not streams:
            self.node, self._parked = None, self.node

    def _unpark(self) -> None:
        if self._parked is not None:
            self.node, self._parked = self._parked, None

    def _begin_object(self, text: str, pos: int, final: bool) -> bool:
        """The arguments begin at `pos`: as what? False if more text must tell."""
        first = _FIRST_KEY.match(text, pos)
        if first is not None and first[1]:
            self._abs = self.base
            self._mend("missing-opener", "an opening brace was left out", pos, pos)
            self.out.append("{")
            self._hold.clear()
            self._stack = self._stack.push("{")
            self._lex = "k0"
        elif first is not None and not final:
            return False
        elif text[pos] != "{":
            self._shape = Shape(self.wrap_key, self._limit, self.base + pos)
            if text[pos] == "[":
                # the object around it counts
                self._set_depth(self.max_depth - 1)
        return True

    def _feed_object(self, text: str, pos: int, final: bool) -> int:
        """Read on in the arguments, through their shape."""
        old = len(self.out)
        pos = self._feed_json(text, pos, final)
        shape = self._shape
        if shape is not None:
            items = self.out[old:]
            del self.out[old:]
            shape.take(items, self.out)
            if self.pause is not None or self.done and not self.cut:
                shape.end(self.out)
            elif self.done:
                self.closing = shape.cut(self.closing, self.out)
            self.recovered = self.recovered or shape.recovered
        return pos
