"""Arguments as text: where a value ends, and what becomes of it.

Theory. A value is any text, so its closer may stand in it: in code, or in talk about markup. A closer ends
the value if what may follow a closer follows it, blanks aside (decided within `WINDOW` characters), and if
its opener did not stand in the value as well; openers in the value are counted for that. Where a closer is
missing, the markers that the grammar lists for it (`until_value`) end the value in its place. Typing the text
is not done here but by `TextValue`.
"""

from __future__ import annotations

from typing import Any

from ..arguments.tagged import TextValue
from ..events import Diagnostic
from .automaton import MORE
from .boundary import WINDOW
from .claims import Claims
from .state import JUNK, TIGHT, VALUE
from .table import Scan

__all__ = ["Values", "is_cut"]


class Values(Claims):
    """The phases VALUE and CHOICE."""

    __slots__ = ()

    def _begin_value(self) -> None:
        call = self._call
        assert call is not None and call.key is not None
        tools = self._settings.tools
        tool = tools.tool(call.name) if tools is not None else None
        settings = self._settings
        kind = self._node.value if self._node is not None else "VALUE"
        schema = None
        if kind == "VALUE" and tool is not None:
            schema = tool.at(tuple(call.path)) if call.path else tool.param(call.key)
        call.value = TextValue(
            schema,
            {"STRING_VALUE": "string", "JSON_VALUE": "json"}.get(kind or "", self._dialect.untyped),
            max_depth=settings.max_depth,
            max_held=settings.max_held,
        )
        self._nest.clear()

    def _value_phase(self, buf: str, pos: int, final: bool) -> int:
        node = self._node
        assert node is not None
        scan = node.value_scan
        at = pos
        if scan.trigger and not final and buf.find(scan.trigger, pos) < 0:
            # no marker is here: at most the newline before one stands at the end
            end = len(buf) - (buf.endswith("\n", pos) and "\n" in scan.first)
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
                if final and is_cut(scan, match, buf, at):
                    self._value_text(buf[pos:at], pos)
                    self._take(buf[at:], "markup")
                    self._wait = True
                    return len(buf)
                at += 1
                continue
            verdict = self._closes(match[0], buf, match[1], final) if isinstance(match, tuple) else None
            if verdict is False:
                at = match[1]  # type: ignore[index]
                continue
            self._value_text(buf[pos:at], pos)
            if self._phase != VALUE:
                return at
            if verdict is None:
                self._wait = True
                return at
            assert isinstance(match, tuple)
            assert node.value is not None and self._call is not None and self._call.value is not None
            self._call.value.base = self._base + at
            self._shift(node.value)
            self._phase = TIGHT
            return self._marker(match[0], buf, at, match[1], final)

    def _closes(self, terminal: str, buf: str, end: int, final: bool) -> bool | None:
        """Whether a marker in a value ends the value. It does not if its opener stood in the value, nor if
        what follows does not fit; None if only more text tells.
        """
        nest = self._nest
        if terminal.startswith("END_"):
            opener = terminal[4:]
            if nest.get(opener):
                nest[opener] -= 1
                return False
        elif terminal in nest or any(nest.values()) or terminal not in self._value_ends():
            nest[terminal] = nest.get(terminal, 0) + 1
            return False
        else:
            return True
        node = self._node
        assert node is not None
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
            return True if final else None
        if terminal == "END_TURN":
            return False
        follow = place.follow_scan.automaton.match(buf, here, final)
        return None if follow is MORE else follow is not None

    def _choice_phase(self, buf: str, pos: int, final: bool) -> int:
        """A nested member, or text: the first character that is no blank tells."""
        node = self._node
        assert node is not None
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

    def _value_ends(self) -> tuple[str, ...]:
        assert self._node is not None
        return self._node.grammar.until.get("VALUE", ())

    def _value_text(self, text: str, pos: int) -> None:
        if not text:
            return
        call = self._call
        assert call is not None and call.value is not None
        self._take(text, "value")
        value = call.value
        value.base = self._base + pos
        value.feed(text)
        told = [item.end for item in value.out if isinstance(item, Diagnostic)]
        self._drain_value(value)
        if value.failed:  # nested too deeply, as it just told
            self._at = max(told, default=value.base)
            closing = value.cut() or ""
            call.value = None
            self._end_call(False, closing)
            assert self._node is not None
            edge = self._node.shift(self._node.value or "VALUE")
            assert edge is not None
            self._node = edge.target
            self._phase = JUNK
            self._in_call = True

    def _drain_value(self, value: TextValue) -> None:
        """Give out what a value has become, its key before its first character."""
        call = self._call
        assert call is not None
        if call.key is not None and any(isinstance(item, str) and item for item in value.out):
            if call.key in call.keys and not call.path:
                self._diagnose("duplicate-key", f"the key {call.key!r} comes twice", call.key_at, call.key_at)
            call.keys.add(call.key)
            value.out.insert(0, call.opening())
        self._drain(value)

    def _end_value(self) -> None:
        """The model wrote the value's end (or left out value and end)."""
        call = self._call
        assert call is not None
        value, call.value = call.value, None
        if value is None:
            call.key = None
            return
        value.finish()
        self._drain_value(value)


def is_cut(scan: Scan, match: Any, buf: str, pos: int) -> bool:
    """Whether the text ends within a marker that stands at `pos`: debris of a call, not text."""
    return (match is None or match[1] < len(buf)) and scan.automaton.match(buf, pos, False) is MORE
