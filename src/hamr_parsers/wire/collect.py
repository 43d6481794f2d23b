"""An answer in the safe shape as the library's own values: events while it comes, the message when it is whole.

Theory. The safe shape says a call once, then its arguments. A call is over when the answer ends, or sooner: when
another begins and what it has is a whole object (calls of a server may be interleaved). Whether it is complete only
its text and the finish reason tell together: a cut call stays cut on the wire (its arguments are no JSON), and here as
everywhere `ToolCall.arguments` is JSON all the same, with `closing` saying what the model did not write.

One answer is read: the first choice. Gateways of local models have no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..arguments.json_reader import JsonReader
from ..events import (
    ContentDelta,
    Diagnostic,
    Event,
    ReasoningDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from ..message import ParsedMessage
from .json_text import is_object
from .report import Report

__all__ = ["Collector", "message_of"]

_MAX_DEPTH = 200


class _Open:
    """A call whose arguments still come."""

    __slots__ = ("id", "index", "name", "pieces")

    def __init__(self, index: int, id: str, name: str) -> None:
        self.index = index
        self.id = id
        self.name = name
        self.pieces: list[str] = []


class Collector:
    """Reads chunks in the safe shape.

    Args:
        report: the report of what made them; its diagnostics become events and the message's.

    Attributes:
        usage: what the gateway said of tokens, as it came; None: nothing.
        model: the model's name as the answer has it.
        id: the answer's id.
        finish_reason: as the wire gave it; None: not yet.
    """

    def __init__(self, report: Report | None = None) -> None:
        self.usage: dict[str, Any] | None = None
        self.model: str | None = None
        self.id: str | None = None
        self.finish_reason: str | None = None
        self._report = report
        self._told = 0  # diagnostics that were given out
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, ToolCall] = {}  # those that ended
        self._open: dict[int, _Open] = {}

    def feed(self, chunks: Iterable[Mapping[str, Any]]) -> list[Event]:
        """The events that some chunks bring."""
        out: list[Event] = []
        for chunk in chunks:
            self._chunk(chunk, out)
        self._diagnostics(out)
        return out

    def close(self) -> list[Event]:
        """The answer is over: what is still open ends. Calling it again does nothing."""
        out: list[Event] = []
        if self.finish_reason is None:
            self.finish_reason = "length"
        self._end_calls(out)
        self._diagnostics(out)
        return out

    @property
    def message(self) -> ParsedMessage:
        """What came; before the end a snapshot, with a call that is still open marked incomplete."""
        found = {**self._calls, **{index: _call(call, cut=True) for index, call in self._open.items()}}
        calls = [found[index] for index in sorted(found)]
        cut = any(not call.complete for call in calls)
        reason = self.finish_reason or ("length" if cut else "tool_calls" if calls else "stop")
        return ParsedMessage(
            content="".join(self._content) or None,
            reasoning="".join(self._reasoning) or None,
            tool_calls=calls,
            diagnostics=list(self._report.diagnostics) if self._report is not None else [],
            finish_reason=reason,
        )

    def _chunk(self, chunk: Mapping[str, Any], out: list[Event]) -> None:
        if chunk.get("usage"):
            self.usage = dict(chunk["usage"])
        self.model = chunk.get("model") or self.model
        self.id = self.id or chunk.get("id")
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            self._delta(choice.get("delta") or {}, out)
            reason = choice.get("finish_reason")
            if reason:
                self.finish_reason = reason
                self._end_calls(out)

    def _delta(self, delta: Mapping[str, Any], out: list[Event]) -> None:
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning:
            self._reasoning.append(reasoning)
            out.append(ReasoningDelta(reasoning))
        content = delta.get("content")
        if content:
            self._content.append(content)
            out.append(ContentDelta(content))
        for entry in delta.get("tool_calls") or ():
            function = entry.get("function") or {}
            index = entry["index"]
            now = self._open.get(index)
            if now is None:
                if index in self._calls:  # the wire gives nothing after a call's end
                    continue
                self._end_calls(out, whole=True)
                now = self._open[index] = _Open(index, entry.get("id") or "", function.get("name") or "")
                out.append(ToolCallStart(now.index, now.id, now.name))
            arguments = function.get("arguments")
            if arguments:
                now.pieces.append(arguments)
                out.append(ToolCallDelta(now.index, arguments))

    def _end_calls(self, out: list[Event], whole: bool = False) -> None:
        """End the calls that are open, or with `whole` only those that can get nothing more."""
        for index, now in list(self._open.items()):
            if whole and not is_object("".join(now.pieces)):
                continue
            del self._open[index]
            call = self._calls[index] = _call(now, cut=self.finish_reason == "length")
            out.append(ToolCallEnd(index, call))

    def _diagnostics(self, out: list[Event]) -> None:
        if self._report is not None and len(self._report.diagnostics) > self._told:
            new: list[Diagnostic] = self._report.diagnostics[self._told :]
            self._told += len(new)
            out.extend(new)


def message_of(completion: Mapping[str, Any], report: Report | None = None) -> ParsedMessage:
    """The first choice of a whole chat completion in the safe shape."""
    choices = completion.get("choices") or [{}]
    message = choices[0].get("message") or {}
    reason = choices[0].get("finish_reason") or "stop"
    calls = []
    for index, entry in enumerate(message.get("tool_calls") or ()):
        function = entry.get("function") or {}
        now = _Open(index, entry.get("id") or "", function.get("name") or "")
        now.pieces.append(function.get("arguments") or "")
        calls.append(_call(now, cut=reason == "length"))
    return ParsedMessage(
        content=message.get("content") or None,
        reasoning=message.get("reasoning_content") or message.get("reasoning") or None,
        tool_calls=calls,
        diagnostics=list(report.diagnostics) if report is not None else [],
        finish_reason=reason,
    )


def _call(now: _Open, cut: bool) -> ToolCall:
    """The call as a value. `cut`: the answer was, so that nothing written is no empty object but a missing one."""
    text = "".join(now.pieces)
    if not text.strip():
        return ToolCall(now.id, now.name, "{}", complete=not cut, closing="{}" if cut else "")
    if is_object(text):
        return ToolCall(now.id, now.name, text)
    reader = JsonReader(None, _MAX_DEPTH)
    reader.feed(text, 0, True)
    closing = reader.closing
    mended = "".join(piece for piece in reader.out if isinstance(piece, str)) + closing
    if not is_object(mended):
        mended = closing = "{}"
    return ToolCall(now.id, now.name, mended, complete=False, closing=closing)
