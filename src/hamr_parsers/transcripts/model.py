"""What a captured file holds: `Transcript`, one answer of one model; and the error for files that hold none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ..errors import HamrParsersError

__all__ = ["INPUT_KINDS", "Channel", "InputKind", "Transcript", "TranscriptError"]

Channel = Literal["content", "reasoning"]
InputKind = Literal["text", "sse", "jsonl", "response", "cases", "session"]
INPUT_KINDS: tuple[str, ...] = get_args(InputKind)


class TranscriptError(HamrParsersError, ValueError):
    """A file cannot be read as a transcript. `source` names it, `reason` says why, in one line."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.source, self.reason))


@dataclass(slots=True)
class Transcript:
    """One answer (one choice of one response), as it arrived.

    `pieces` are (channel, text) pairs in the order of arrival, never empty texts. `finish_reason` is the
    server's, None where it gave none. `native_tool_calls` are the calls that the server had already parsed,
    each whole. `remarks` are one-line notes about the capture for a person. `record_id` names a case record, or
    the session and entry of a session log; the fields after it are filled from case records only.
    """

    source: str
    kind: InputKind
    pieces: list[tuple[Channel, str]] = field(default_factory=list)
    answer: int = 0
    choice: int = 0
    model: str | None = None
    finish_reason: str | None = None
    native_tool_calls: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    record_id: str | None = None
    parser: str | None = None
    tools: list[dict[str, Any]] | None = None
    starts_in_reasoning: bool | None = None

    @property
    def label(self) -> str:
        """The source, and which answer in it if there may be several."""
        if self.record_id is not None:
            return f"{self.source} [{self.record_id}]"
        parts = []
        if self.answer:
            parts.append(f"answer {self.answer}")
        if self.choice:
            parts.append(f"choice {self.choice}")
        return f"{self.source} [{', '.join(parts)}]" if parts else self.source

    @property
    def origin(self) -> dict[str, Any]:
        """Which answer it is, and of which model: how every JSON result of the command begins."""
        return {
            "source": self.source,
            "input": self.kind,
            "answer": self.answer,
            "choice": self.choice,
            "record": self.record_id,
            "model": self.model,
        }

    @property
    def size(self) -> int:
        """Number of characters in all pieces."""
        return sum(len(text) for _, text in self.pieces)

    def add(self, channel: Channel, text: str) -> None:
        """Append a piece; an empty one is no piece."""
        if text:
            self.pieces.append((channel, text))
