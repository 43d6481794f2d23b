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
from .json_mend import Boundary
from .json_nodes import Node, past
from .json_reader import JsonReader

__all__ = ["LONE_HALF", "ObjectReader", "Shape"]

Out = list[str | Diagnostic]

_BLANKS = re.compile(r"\s*+")
LONE_HALF = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair, from an escape that stood alone: cannot be encoded."""
_STRING = re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL)


class Shape:
    """Turns the JSON text of a value that is no object into that of an object.

    Args:
        wrap_key: the key of a value that must be wrapped.
        max_depth: for an object that is read from a string.
        start: where the value begins (offset in the input); what is odd inside a string is reported there.
    """

    __slots__ = (
        "_form",
        "_inner",
        "_junk",
        "_max_depth",
        "_rest",
        "_seen",
        "_waits",
        "_wrap_key",
        "recovered",
        "start",
    )

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
            form = self._form
            if not form:
                item = item.lstrip()
                if not item:
                    continue
                if item[0] == '"':
                    form = self._form = '"'
                    item = item[1:]
                elif item.startswith("null"):
                    form = self._form = "null"
                elif item[0] == "{":
                    form = self._form = "pass"
                else:
                    self._wrap(out)
                    form = "wrap"
            if form in ("wrap", "pass"):
                if item:
                    out.append(item)
            elif form != "null":
                self._string(item, out)

    def _wrap(self, out: Out) -> None:
        self._form = "wrap"
        self.recovered = True
        message = f"the arguments are no object: taken as {json.dumps(self._wrap_key)}"
        out.append(Diagnostic("non-object-arguments", message, self.start, self.start))
        out.append(f"{{{json.dumps(self._wrap_key, ensure_ascii=False)}: ")

    def _string(self, item: str, out: Out) -> None:
        end = past(_STRING, item, 0)
        body = item[:end]
        if not body:
            return
        text: str = body
        if "\\" in body:
            text = LONE_HALF.sub(lambda m: f"\\u{ord(m[0]):04x}", json.loads(f'"{body}"'))
        if self._form == '"':
            self._waits.append(body)
            self._seen += text.lstrip() if not self._seen else text
            seen = self._seen
            if not seen or len(seen) < 5 and "null".startswith(seen.rstrip()):
                return
            if seen[0] == "{":
                self._form = "object"
                self._inner = JsonReader(None, self._max_depth)
                text = seen
            elif seen.strip() == "null":
                self._seen = "null "
                return
            else:
                self._wrap(out)
                out.append('"' + "".join(self._waits) + item[end:])
                return
        self._decoded(text, False, out)

    def _decoded(self, text: str, final: bool, out: Out) -> None:
        inner = self._inner
        assert inner is not None
        if not self._rest and not final:
            given = inner.fast(text)
            if given is not None:
                inner.base += len(text)
                if given:
                    out.append(given)
                return
        done = inner.done
        if not done:
            text = self._rest + text
            pos = inner.feed(text, 0, final)
            inner.base += pos
            self._rest = text[pos:]
            self._move(inner, out)
            if not inner.done:
                return
            text, self._rest = self._rest, ""
        if text.strip() and not self._junk:
            self._junk = self.recovered = True
            out.append(Diagnostic("junk", "text behind the object was dropped", self.start, self.start))

    def _move(self, inner: JsonReader, out: Out) -> None:
        for item in inner.out:
            if not isinstance(item, str):
                item = Diagnostic(item.code, item.message, self.start, self.start)
            out.append(item)
        inner.out.clear()
        self.recovered = self.recovered or inner.recovered

    def end(self, out: Out) -> None:
        """The value is whole: complete the object."""
        form = self._form
        if form == "wrap":
            out.append("}")
        elif form == "object":
            inner = self._inner
            assert inner is not None
            if not inner.done:
                self._decoded("", True, out)
            if inner.cut:
                self.recovered = True
                out.append(Diagnostic("missing-closer", "the object was left open", self.start, self.start))
                out.append(inner.closing)
        elif form == "pass":
            pass
        elif form == '"' and self._seen and self._seen.strip() != "null":
            self._wrap(out)
            out.append('"' + "".join(self._waits) + '"}')
        else:
            out.append("{}")

    def cut(self, closing: str, out: Out) -> str:
        """The text ended inside the value, whose own closing text is `closing`: the closing text of the object."""
        if self._form == "wrap":
            return closing + "}"
        if self._form == "pass":
            return closing
        inner = self._inner
        if inner is None:
            return "{}"
        if not inner.done:
            self._decoded("", True, out)
        return inner.closing if inner.cut else ""


class ObjectReader(JsonReader):
    """Reads the arguments of a call: the result is always the text of a JSON object.

    Args:
        boundary, max_depth: as for `JsonReader`.
        wrap_key: the key under which a value that is no object is given; may be set before the first `feed`.
    """

    __slots__ = ("_begun", "_parked", "_shape")

    def __init__(
        self, boundary: Boundary | None = None, max_depth: int = 200, wrap_key: str = "input"
    ) -> None:
        super().__init__(boundary, max_depth)
        self.wrap_key = wrap_key
        self._begun = False
        self._shape: Shape | None = None
        self._parked: Node | None = None
        """The fast half while its text must pass through the shape: hidden from `fast`."""

    def feed(self, text: str, pos: int, final: bool) -> int:
        if not self._begun:
            if self.done:
                return pos
            pos = past(_BLANKS, text, pos)
            if pos == len(text):
                if final:
                    self.done = self.cut = True
                    self.closing = "{}"
                return pos
            at = self._marker_at(text, pos, final)
            if at is None:
                return pos
            if at:
                if self.boundary is not None and self.boundary.ends_turn(text, pos):
                    self.cut, self.closing = True, "{}"
                else:
                    self.out.append("{}")
                self.done = True
                return pos
            lacks = self._lacks_brace(text, pos, final)
            if lacks is None:
                return pos
            self._begun = True
            if lacks:
                self._abs = self.base
                self._put_brace(pos)
            elif text[pos] != "{":
                self._shape = Shape(self.wrap_key, self.max_depth, self.base + pos)
                if text[pos] == "[":
                    # the object around it counts
                    self._set_depth(self.max_depth - 1)
        shape = self._shape
        if shape is None:
            return super().feed(text, pos, final)
        if self._parked is not None:
            self.node, self._parked = self._parked, None
        pos = super().feed(text, pos, final)
        self.node, self._parked = None, self.node
        items = self.out[:]
        self.out.clear()
        shape.take(items, self.out)
        if self.done:
            if self.cut:
                self.closing = shape.cut(self.closing, self.out)
            else:
                shape.end(self.out)
        self.recovered = self.recovered or shape.recovered
        return pos
