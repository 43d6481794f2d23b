"""The calls of one choice, from the text and from the server, in the one order in which they are given out.

Theory. A call comes from the text (the engine read it) or from the server (`native`), as a start, arguments and an
end. Here it gets its index and is written as `tool_calls` entries in the safe shape of gateways.md: first the whole
name, an id that no other has, `type` and empty arguments; then arguments only.

Some servers do both: they parse a call and leave its text in the content. So a call whose name another call of the
*other* source has waits until its arguments are known: are they the same, it is a double and is not given out; each
call can swallow one. Nothing waits where the names differ, which is nearly always.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from ..arguments.equal import same_value
from .report import Report

__all__ = ["Call", "Calls", "Incomplete"]

Incomplete = Literal["cut", "mend", "drop"]
_NONE: Any = object()
_LOOK = 64  # calls of one name that may be doubles of one another


class Call:
    """One call, as far as it is known.

    Attributes:
        source: who read it.
        parser: the family that read it; "openai" for the server's own.
        extra, inner: unknown fields of the server's entry, and of the function in it, to be kept.
        index: its place in the answer given out; None until it is given out.
        ended: no more arguments will come.
        complete: ... and they are whole.
        single: it is known to have no double, or has swallowed it.
        dropped: it is not given out.
    """

    __slots__ = (
        "arguments", "closing", "complete", "dropped", "ended", "extra", "given", "id", "index", "inner", "name",
        "parser", "single", "source",
    )  # fmt: skip

    def __init__(self, source: Literal["text", "native"], parser: str) -> None:
        self.source: Literal["text", "native"] = source
        self.parser = parser
        self.id = ""
        self.name = ""
        self.extra: dict[str, Any] = {}
        self.inner: dict[str, Any] = {}
        self.index: int | None = None
        self.arguments: list[str] = []
        self.closing = ""
        self.given = 0  # how many pieces of the arguments were given out
        self.ended = False
        self.complete = False
        self.single = False
        self.dropped = False

    def value(self) -> Any:
        """The arguments as JSON; a value that equals nothing where they are none."""
        try:
            return json.loads("".join(self.arguments) or "{}")
        except (ValueError, RecursionError):
            return _NONE


class Calls:
    """All calls of one choice. What is to be given out is appended to `out`: entries for `delta.tool_calls`."""

    __slots__ = (
        "_all",
        "_ids",
        "_incomplete",
        "_named",
        "_new_id",
        "_report",
        "_waiting",
        "given",
        "lost",
        "out",
    )

    def __init__(self, incomplete: Incomplete, new_id: Any, report: Report) -> None:
        self.out: list[dict[str, Any]] = []
        self.given = 0  # calls given out
        self.lost = False  # arguments came that no call can be made of
        self._all: list[Call] = []
        self._named: dict[tuple[str, str], list[Call]] = {}
        self._waiting: list[Call] = []
        self._ids: set[str] = set()
        self._incomplete = incomplete
        self._new_id = new_id
        self._report = report

    @property
    def cut(self) -> bool:
        """Whether a call that was given out, or would have been, is not whole."""
        return self.lost or any(not call.complete for call in self._all if not (call.dropped and call.single))

    def start(self, call: Call) -> None:
        """A call's name is known."""
        self._all.append(call)
        self._named.setdefault((call.source, call.name), []).append(call)
        if self._incomplete == "drop" or (len(self._waiting) < _LOOK and self._rivals(call)):
            self._waiting.append(call)
        else:
            self._announce(call)

    def place(self, parser: str) -> int:
        """The place of a call that is passed on as it is."""
        self.given += 1
        self._report.calls.append((parser, "native"))
        return self.given - 1

    def add(self, call: Call, extra: dict[str, Any], inner: dict[str, Any]) -> None:
        """Unknown fields of a call's entry, and of the function in it: they come with its start, or by themselves."""
        if call.index is None:
            call.extra.update(extra)
            call.inner.update(inner)
        else:
            self.out.append({"index": call.index, "function": {"arguments": "", **inner}, **extra})

    def more(self, call: Call, text: str) -> None:
        """More of a started call's arguments."""
        call.arguments.append(text)
        if call.index is not None:
            self._give(call)

    def end(self, call: Call, complete: bool, closing: str = "") -> None:
        """No more arguments of a started call will come. `closing`: what would complete them."""
        if call.ended:
            return
        call.ended, call.complete, call.closing = True, complete, closing
        if call.index is not None and closing and self._incomplete == "mend":
            self.out.append({"index": call.index, "function": {"arguments": closing}})
        self._settle()

    def close(self) -> None:
        """The answer is over: what waits has no double, unless it is a piece of one that was cut."""
        self._settle(final=True)

    # -- doubles ---------------------------------------------------------------------------------------------

    def _rivals(self, call: Call) -> list[Call]:
        """Calls of the other source that `call` may be a double of."""
        others = self._named.get(("native" if call.source == "text" else "text", call.name))
        if not others:
            return []
        return [other for other in others[-_LOOK:] if not other.single and not other.dropped]

    def _settle(self, final: bool = False) -> None:
        for call in list(self._waiting):
            if not call.ended and not final:
                continue
            rivals = [other for other in self._rivals(call) if other not in self._waiting or other.ended]
            twin = next((other for other in rivals if self._is_double(call, other, final)), None)
            if twin is not None:
                self._waiting.remove(call)
                call.dropped = call.single = twin.single = True
                if call.complete and not twin.complete and twin.index is None:
                    twin.arguments, twin.complete, twin.closing = call.arguments, True, ""
                self._report.repairs["doubled"] += 1
            elif final or (call.complete and all(other.ended for other in self._rivals(call))):
                self._waiting.remove(call)
                if self._incomplete == "drop" and not call.complete:
                    call.dropped = True
                    continue
                self._announce(call)

    def _is_double(self, call: Call, other: Call, final: bool) -> bool:
        if call.complete and other.complete:
            return same_value(call.value(), other.value())
        if not final:
            return False
        one, two = (
            "".join("".join(c.arguments).split()) for c in (call, other)
        )  # blanks are a matter of style
        return one.startswith(two) or two.startswith(one)

    # -- giving out ------------------------------------------------------------------------------------------

    def _announce(self, call: Call) -> None:
        if not call.id or call.id in self._ids:
            if call.source == "native":
                self._report.repairs["id"] += 1
            call.id = self._new_id()
            while call.id in self._ids:
                call.id = self._new_id()
        self._ids.add(call.id)
        call.index = self.given
        self.given += 1
        self._report.calls.append((call.parser, call.source))
        if call.source == "text":
            self._report.leaks += 1
        entry = {
            "index": call.index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": "", **call.inner},
        }
        entry.update(call.extra)
        self.out.append(entry)
        self._give(call)
        if call.ended and call.closing and self._incomplete == "mend":
            self.out.append({"index": call.index, "function": {"arguments": call.closing}})

    def _give(self, call: Call) -> None:
        for text in call.arguments[call.given :]:
            if text:
                self.out.append({"index": call.index, "function": {"arguments": text}})
        call.given = len(call.arguments)
