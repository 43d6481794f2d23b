"""What a parser says while it reads: the events, and the values that they carry.

Theory. A stream is told as a flat sequence of plain values. Text comes as deltas (`ContentDelta`,
`ReasoningDelta`); a call is one `ToolCallStart`, any number of `ToolCallDelta`, one `ToolCallEnd`, in that
order and with the same index; what was odd about the text comes as `Diagnostic` at its place. Joined, the
deltas are the message: no event repeats what an earlier one said, and none is empty.

The classes are slotted dataclasses and not frozen: on the hot path the engine fills them without running
`__init__`, which halves the cost of an event. Treat them as values all the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Union

__all__ = [
    "ContentDelta",
    "Diagnostic",
    "Event",
    "ReasoningDelta",
    "Reclassified",
    "Span",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallEnd",
    "ToolCallStart",
]


class _Event:
    """Shared by all events: `type` tells them apart, `to_dict()` is their JSON form."""

    __slots__ = ()
    type: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict: `type` first, then the fields."""
        out: dict[str, Any] = {"type": self.type}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            out[f.name] = value.to_dict() if isinstance(value, ToolCall) else value
        return out


@dataclass(slots=True)
class ContentDelta(_Event):
    """More of the answer's text."""

    type: ClassVar[Literal["content_delta"]] = "content_delta"
    text: str


@dataclass(slots=True)
class ReasoningDelta(_Event):
    """More of the reasoning's text."""

    type: ClassVar[Literal["reasoning_delta"]] = "reasoning_delta"
    text: str


@dataclass(slots=True)
class ToolCallStart(_Event):
    """A call is certain and its name complete. `index` counts the calls of the message from 0."""

    type: ClassVar[Literal["tool_call_start"]] = "tool_call_start"
    index: int
    id: str
    name: str


@dataclass(slots=True)
class ToolCallDelta(_Event):
    """More of the JSON text of a call's arguments; the deltas of a complete call join to all of it."""

    type: ClassVar[Literal["tool_call_delta"]] = "tool_call_delta"
    index: int
    arguments: str


@dataclass(slots=True)
class ToolCallEnd(_Event):
    """The call is over; `tool_call` is the whole of it, and says whether it is complete."""

    type: ClassVar[Literal["tool_call_end"]] = "tool_call_end"
    index: int
    tool_call: ToolCall


@dataclass(slots=True)
class Reclassified(_Event):
    """The last `length` characters of content given out so far were reasoning (`to`) after all.

    Comes at most once in a stream, when a reasoning closer turns up whose opener was in the prompt.
    """

    type: ClassVar[Literal["reclassified"]] = "reclassified"
    to: Literal["reasoning"]
    length: int


@dataclass(slots=True)
class Diagnostic(_Event):
    """Something about the text was odd. `start` and `end` are offsets in decoded characters of the input."""

    type: ClassVar[Literal["diagnostic"]] = "diagnostic"
    code: str
    message: str
    start: int
    end: int


@dataclass(slots=True)
class Span:
    """A stretch `[start, end)` of the input and what it was; the spans of a message tile its text.

    `kind` is one of content, reasoning, markup, name, id, key, arguments, value; `call_index` tells which
    call it belongs to, if any.
    """

    kind: str
    start: int
    end: int
    call_index: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"kind": self.kind, "start": self.start, "end": self.end, "call_index": self.call_index}


@dataclass(slots=True)
class ToolCall:
    """One call. `arguments` is always the text of a JSON object, also when the call was cut off.

    Of a cut call, `closing` is the end of `arguments` that the model did not write: the closing mend, which
    only makes JSON of what came. A parser that does not collect leaves `arguments` empty: the deltas, and
    `closing`, tell them.
    """

    id: str
    name: str
    arguments: str
    complete: bool = True
    recovered: bool = False
    source_id: str | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    closing: str = ""

    def arguments_dict(self, *, allow_incomplete: bool = False) -> dict[str, Any]:
        """The arguments as a dict.

        Raises:
            IncompleteToolCallError: the call was cut off and `allow_incomplete` is not set: half a call must
                not be run by accident.
        """
        if not self.complete and not allow_incomplete:
            from .errors import IncompleteToolCallError

            raise IncompleteToolCallError(self)
        value = json.loads(self.arguments)
        assert isinstance(value, dict)
        return value

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict of everything known about the call."""
        return {
            "id": self.id,
            "source_id": self.source_id,
            "name": self.name,
            "arguments": self.arguments,
            "complete": self.complete,
            "recovered": self.recovered,
            "diagnostics": [d.to_dict() for d in self.diagnostics],
        }


Event = Union[
    ContentDelta, ReasoningDelta, ToolCallStart, ToolCallDelta, ToolCallEnd, Reclassified, Diagnostic
]
