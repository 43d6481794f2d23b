"""Arguments as text: where a value ends, and what becomes of it.

Theory. A value is any text, so its closer may stand in it: in code, or in talk about markup. A closer ends
the value if what may follow a closer follows it, blanks aside (decided within `WINDOW` characters), and if
its opener did not stand in the value as well; openers in the value are counted for that. Where a closer is
missing, the markers that the grammar lists for it (`until_value`) end the value in its place. Typing the text
is not done here but by `TextValue`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..arguments.schema import ParamSchema
from ..arguments.tagged import TextValue
from ..events import Diagnostic
from .automaton import MAX_MARKER, MORE
from .boundary import WINDOW
from .claims import Claims
from .state import JUNK, TIGHT, VALUE
from .table import TURN_ENDS, Node, Scan

__all__ = ["Values", "is_cut"]

_KEY: Final = re.compile(r"[\w.:-]{0,64}")
# one parameter that holds all of them, as models write that were taught another way
_WRAPPERS: Final = ("arguments", "input", "parameters", "properties")
_FIRST_KEY: Final = re.compile(r'\s{0,32}(?:\{\s{0,32}(?:"([^"\\]{0,64})(?:(")|\Z)|\Z)|\Z)')
_OBJECT: Final = ParamSchema(("object",))
_LINE_END: Final = re.compile(r"(?:\r?\n?)\Z")


class Values(Claims):
    """The phases VALUE and CHOICE."""

    __slots__ = ()

    def _begin_value(self) -> None:
        call = self._call
        assert call is not None
        tool = self._tool(call.name)
        if call.key is None:  # the text is all of the arguments
            call.key = (tool.only_required if tool else None) or "input"
        settings = self._settings
        kind = self._node.value if self._node is not None else "VALUE"
        schema = None
        if kind in ("VALUE", "XML_VALUE", "ONLY_VALUE") and tool is not None:
            schema = tool.at(tuple(call.path)) if call.path else tool.param(call.key)
        call.value = TextValue(
            schema,
            {"STRING_VALUE": "string", "JSON_VALUE": "json"}.get(kind or "", self._dialect.untyped),
            max_depth=settings.max_depth - 1,  # the arguments' own object is the first level
            max_held=settings.max_held,
        )
        call.value_text = False
        self._nest.clear()
        call.unwraps = False
        if call.key in _WRAPPERS and not call.keys and not call.path and tool is not None:
            names = tool.parameter_names
            call.unwraps = None if names and call.key not in names else False

    def _unwraps(self, buf: str, pos: int, final: bool) -> bool | None:
        """Whether the value is an object whose first key is a parameter of the tool; None if more text must tell."""
        call = self._call
        assert call is not None
        match = _FIRST_KEY.match(buf, pos)
        if match is None:
            return False
        if match[2] is None:
            return None if match.end() == len(buf) and not final else False
        return match[1] in self._tool(call.name).parameter_names

    def _value_phase(self, buf: str, pos: int, final: bool) -> int:
        node, call = self._node, self._call
        assert node is not None and call is not None
        if call.unwraps is None:
            call.unwraps = self._unwraps(buf, pos, final)
            if call.unwraps is None:
                self._wait = True
                return pos
            if call.unwraps:
                settings = self._settings
                call.value = TextValue(_OBJECT, max_depth=settings.max_depth, max_held=settings.max_held)
                call.inside = False
                message = f"the parameter {call.key!r} holds the arguments"
                self._diagnose("wrapped-arguments", message, call.key_at, call.key_at)
        scan = node.value_scan
        at = pos
        if scan.trigger and not final and buf.find(scan.trigger, pos) < 0:
            # no marker is here: at most the line break before one stands at the end
            end = _LINE_END.search(buf, max(pos, len(buf) - 2)).start() if "\n" in scan.first else len(buf)  # type: ignore[union-attr]
            self._value_text(buf[pos:end], pos)
            self._wait = True
            return end
        while True:
            found = scan.search.search(buf, at)
            if found is None:
                self._value_text(buf[pos:], pos)
                self._wait = True
                return len(buf)
            at = found.start()
            match = scan.automaton.match(buf, at, final)
            if match is None:
                if final and not node.open_ended and is_cut(scan, match, buf, at):
                    self._value_text(buf[pos:at], pos)
                    self._take(buf[at:], "markup")
                    self._wait = True
                    return len(buf)
                at += 1
                continue
            if isinstance(match, tuple) and match[0] == "ENTITY":
                self._value_text(buf[pos:at], pos)
                if self._phase != VALUE:
                    return at
                pos, at = at, match[1]
                self._value_text(buf[pos:at], pos, node.grammar.decode(buf[pos:at]))
                if self._phase != VALUE:
                    return at
                pos = at
                continue
            if isinstance(match, tuple):
                if (
                    at > pos and self._reads_json()
                ):  # whether the marker stands in a string is known at the marker
                    self._value_text(buf[pos:at], pos)
                    if self._phase != VALUE:
                        return at
                    pos = at
                first = at == pos and not self._begun_value()
                verdict = self._closes(match[0], buf, at, match[1], final, first)
                if verdict is False:
                    here, at = at, match[1]
                    while at > here + 1 and buf[at - 1] in "\r\n":
                        at -= 1  # a line break at its end may frame the closer
                    continue
            else:
                verdict = None
            self._value_text(buf[pos:at], pos)
            if self._phase != VALUE:
                return at
            if verdict is None:
                self._wait = True
                return at
            assert isinstance(match, tuple)
            return self._end_text(match[0], buf, at, match[1], final)

    def _reads_json(self) -> bool:
        call = self._call
        return call is not None and call.value is not None and not call.value.streaming

    def _end_text(self, terminal: str, buf: str, at: int, end: int, final: bool) -> int:
        """A value ends at the marker `buf[at:end]`."""
        node, call = self._node, self._call
        assert node is not None and node.value is not None and call is not None and call.value is not None
        call.value.base = self._base + at
        if node.open_ended and terminal in TURN_ENDS:
            self._shift(node.value)
            self._enter()
            return at
        if terminal in TURN_ENDS:  # the turn ended in the middle of the value
            self._cut_value(self._base + at)
            self._node = node.unwound
            self._enter()
            return at
        self._shift(node.value)
        self._phase = TIGHT
        return self._marker(terminal, buf, at, end, final)

    def _cut_value(self, offset: int) -> None:
        """The text ended inside the open value, and so does the call."""
        call = self._call
        assert call is not None and call.value is not None
        value, call.value = call.value, None
        self._at = offset
        closing = value.cut() or ""
        self._drain_value(value)
        if call.unwraps:
            closing = closing.removesuffix("}")  # the call's own closes it
        self._end_call(False, closing)

    def _begun_value(self) -> bool:
        return self._call is not None and self._call.value_text

    def _closes(
        self, terminal: str, buf: str, at: int, end: int, final: bool, first: bool = False
    ) -> bool | None:
        """Whether the marker `buf[at:end]` in a value ends the value; None if only more text tells.

        It does not if its opener stood in the value, nor if what follows does not fit. In a string of an object or
        array a marker is data, unless it stands on a line of its own, which no JSON string can hold.
        """
        call, nest, node = self._call, self._nest, self._node
        assert call is not None and call.value is not None and node is not None
        if node.open_ended:
            return self._ends_open(terminal, buf, end, final)
        if call.value.in_string and buf[at] not in "\r\n":
            return False
        if not terminal.startswith("END_"):
            if terminal in TURN_ENDS:
                return True if end == len(buf) and final else None if end == len(buf) else False
            verdict: bool | None = False
            if not any(
                n for t, n in nest.items() if not t.endswith(" in a line")
            ) and terminal in node.grammar.until.get("VALUE", ()):
                verdict = self._next_member(terminal, buf, at, end, final)
            if verdict is False:
                # one in the middle of a line is closed on that line, or not at all
                on_line = buf[at] in "\r\n" or (first and call.framed)
                counted = terminal if on_line else f"{terminal} in a line"
                nest[counted] = nest.get(counted, 0) + 1
            return verdict
        opener = terminal[4:]
        if call.path and not nest.get(opener) and call.members_within(buf[at:end]) >= 0:
            return True  # it names a member that is open
        # where values are written without line breaks, openers on lines are not told apart
        if (buf[at] not in "\r\n" or not node.framed) and nest.get(f"{opener} in a line"):
            opener += " in a line"
        if nest.get(opener):
            nest[opener] -= 1
            return False
        value = node.shift(node.value or "VALUE")
        assert value is not None
        place = value.target
        for t in (*(place.path_to(terminal) or ()), terminal):
            edge = place.shift(t)
            if edge is None:
                return False
            place = edge.target
        limit = end + WINDOW
        here = end
        while here < min(limit, len(buf)) and buf[here].isspace():
            here += 1
        if here >= limit:
            return True
        if here == len(buf):
            # a text that was cut off may go on: a closer in place of another is then not believed
            trusted = self._final_reason != "length" or value.target.shift(terminal) is not None
            return trusted if final else None
        if terminal in TURN_ENDS:
            return False
        follow = place.follow_scan.automaton.match(buf, here, final)
        if follow is MORE:
            return None
        if follow is None and final and place.follow_scan.automaton.match(buf, here, False) is MORE:
            return value.target.shift(terminal) is not None  # the text ends within what may follow
        if (
            follow is None
            and buf[at] in "\r\n"
            and buf[end] in "\r\n"
            and value.target.shift(terminal) is not None
        ):
            return self._junk_follows(place, terminal, buf, end, final)
        own = follow is not None and value.target.shift(follow[0]) is not None
        # the closer of something around the value, and then the value's own: the first is data
        return follow is not None and not (own and value.target.shift(terminal) is None)

    def _ends_open(self, terminal: str, buf: str, end: int, final: bool) -> bool | None:
        """Whether the marker that ends at `end` ends a value that has no closer; None if only more text tells.

        It does if the grammar lists it for such values; if a name is due behind it, that of a tool must stand there.
        """
        node = self._node
        assert node is not None and node.value is not None
        if terminal not in node.grammar.until.get(node.value, ()):
            return False
        value = node.shift(node.value)
        edge = value.target.shift(terminal) if value is not None else None
        if edge is None or edge.target.capture not in ("NAME", "DECLARED_NAME", "KNOWN_NAME"):
            return True
        name = _KEY.match(buf, end)
        assert name is not None
        if name.end() == len(buf) and not final:
            return None
        named = edge.target.shift(edge.target.capture)
        assert named is not None
        follows = buf[name.end() : name.end() + 1]
        if not name[0] or (named.target.leading and follows not in ("\r", "\n")):
            return False
        tools = self._settings.tools
        return tools is None or tools.meant(name[0]) is not None

    def _junk_follows(self, place: Node, closer: str, buf: str, end: int, final: bool) -> bool | None:
        """Behind a closer on a line of its own: do a few words and then a marker follow that fits, before another such
        closer? Then the words are junk between two members."""
        assert self._node is not None
        limit = end + WINDOW
        found = self._node.value_scan.find(buf, end, limit - 1, min(len(buf), limit + MAX_MARKER), final)
        if found is None:
            return False if final or len(buf) >= limit else None
        match = found[1]
        return None if match is MORE else match[0] != closer and place.path_to(match[0]) == ()

    def _next_member(self, terminal: str, buf: str, at: int, end: int, final: bool) -> bool | None:
        """Whether an opener in a value begins the next member, the value's closer being left out.

        Values talk about markup and hold XML of their own. So the opener must stand at the beginning of a line (or the
        values be written without line breaks), a key must follow that is one, was not used and, if the tool is
        known, is one of its parameters.
        """
        call, node = self._call, self._node
        assert call is not None and node is not None
        if call.framed and buf[at] not in "\r\n" and call.value_text:
            return False
        key = _KEY.match(buf, end)
        assert key is not None
        if key.end() == len(buf) and not final and key.end() - end < WINDOW:
            return None
        name = key[0]
        if not name or name in call.keys or name == call.key:
            return False
        tool = self._tool(call.name)
        if tool is not None and tool.parameter_names and name not in tool.parameter_names:
            return False
        place = node
        for t in (node.value or "VALUE", *(self._closers_to(terminal)), terminal, "KEY"):
            edge = place.shift(t)
            if edge is None:
                return False
            place = edge.target
        match = place.tight_scan.automaton.match(buf, key.end(), final)
        return None if match is MORE else match is not None

    def _closers_to(self, terminal: str) -> tuple[str, ...]:
        assert self._node is not None
        edge = self._node.shift(self._node.value or "VALUE")
        assert edge is not None
        return edge.target.path_to(terminal) or ()

    def _choice_phase(self, buf: str, pos: int, final: bool) -> int:
        """A nested member, or text: the first character that is no blank tells."""
        node = self._node
        assert node is not None
        if node.value == "ONLY_VALUE":
            return self._whole_arguments(buf, pos, final)
        here = pos
        while here < len(buf) and here < pos + WINDOW and buf[here].isspace():
            here += 1
        match: Any = None
        if here < len(buf) and here < pos + WINDOW:
            if buf[here] in node.tight_scan.first:
                match = node.tight_scan.automaton.match(buf, here, final)
        elif here < pos + WINDOW and not final:
            match = MORE
        if match is MORE:
            self._wait = True
            return pos
        if match is not None and not match[0].startswith("END_") and node.shift(match[0]) is not None:
            self._take(buf[pos:here], "markup")
            return self._marker(match[0], buf, here, match[1], final)
        self._begin_value()
        self._phase = VALUE
        return pos

    def _whole_arguments(self, buf: str, pos: int, final: bool) -> int:
        """A text begins that is all of a call's arguments; or an object, where the grammar allows one as well."""
        node, call = self._node, self._call
        assert node is not None and call is not None
        here = pos
        while here < len(buf) and here < pos + WINDOW and buf[here].isspace():
            here += 1
        if here == len(buf) and here < pos + WINDOW and (pos == len(buf) or (node.readers and not final)):
            self._wait = True
            return pos
        if node.readers and buf[here : here + 1] in ("{", "[", '"'):
            self._take(buf[pos:here], "markup")
            return self._begin_arguments(node.readers[0], here)
        if call.index < 0 and not self._announce():
            self._fail(self._base + pos)
            return pos
        call.key_at = self._base + pos
        self._begin_value()
        self._phase = VALUE
        return pos

    def _value_text(self, text: str, pos: int, meant: str | None = None) -> None:
        """More of the value's text; `meant` is what it stands for, if that is something else."""
        if not text:
            return
        call = self._call
        assert call is not None and call.value is not None
        self._take(text, "value")
        call.value_text = True
        value = call.value
        value.base = self._base + pos
        value.feed(text if meant is None else meant)
        told = [item.end for item in value.out if isinstance(item, Diagnostic)]
        self._drain_value(value)
        if value.failed:  # nested too deeply, as it just told
            self._at = max(told, default=value.base)
            over = min(self._base + pos + len(text) - self._at, len(text))
            if over > 0 and self._spans is not None:
                self._spans[-1][1] -= over
                self._span("markup", over)
            closing = value.cut() or ""
            if call.unwraps:
                closing = closing.removesuffix("}")
            call.value = None
            self._end_call(False, closing)
            assert self._node is not None
            edge = self._node.shift(self._node.value or "VALUE")
            assert edge is not None
            self._node = edge.target
            self._phase = JUNK
            self._in_call = True

    def _drain_value(self, value: TextValue, ended: bool = False) -> None:
        """Give out what a value has become, its key before its first character."""
        call = self._call
        assert call is not None
        if call.unwraps:
            self._unwrap(value, ended)
        if call.key is not None and any(isinstance(item, str) and item for item in value.out):
            if call.key in call.keys and not call.path:
                self._diagnose("duplicate-key", f"the key {call.key!r} comes twice", call.key_at, call.key_at)
            call.keys.add(call.key)
            value.out.insert(0, call.opening())
        self._drain(value)

    def _unwrap(self, value: TextValue, ended: bool) -> None:
        """The arguments' own braces are written like those of any call; the value's are left out."""
        call = self._call
        assert call is not None
        out = value.out
        if value.whole or ended:
            last = next((i for i in reversed(range(len(out))) if isinstance(out[i], str) and out[i]), None)
            if last is not None:
                out[last] = str(out[last]).removesuffix("}")
        for i, item in enumerate(out):
            if isinstance(item, str) and item:
                text = item if call.inside else item[1:]
                call.inside = True
                if not call.members:
                    text = text.lstrip()
                    if text:
                        text, call.members, call.key = "{" + text, 1, None
                out[i] = text

    def _end_value(self) -> None:
        """The model wrote the value's end (or left out value and end)."""
        call = self._call
        assert call is not None
        value, call.value = call.value, None
        only = self._node is not None and self._node.value == "ONLY_VALUE"
        if value is None or (only and not call.value_text):
            call.key = None
            return
        value.finish()
        self._drain_value(value, True)


def is_cut(scan: Scan, match: Any, buf: str, pos: int) -> bool:
    """Whether the text ends within a marker that stands at `pos`: debris of a call, not text."""
    return (match is None or match[1] < len(buf)) and scan.automaton.match(buf, pos, False) is MORE
