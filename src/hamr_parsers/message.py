"""What a parser has read: the message, in our terms and in those of the chat API."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import DiagnosticsError
from .events import Diagnostic, Span, ToolCall

__all__ = ["ParsedMessage"]


@dataclass(slots=True)
class ParsedMessage:
    """One answer of a model.

    Attributes:
        content: the answer's text, or None if there is none.
        reasoning: the reasoning's text, or None.
        tool_calls: the calls, in order.
        diagnostics: everything odd about the text, offsets in decoded characters.
        finish_reason: "tool_calls" (there are calls, all complete), "length" (a call was cut, or the caller
            said so), or "stop".
        spans: with `trace=True`, what each stretch of the input was; they tile it.
    """

    content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    finish_reason: str = "stop"
    spans: list[Span] | None = None

    def to_openai(self, incomplete: Literal["cut", "mend", "drop"] = "cut") -> dict[str, Any]:
        """The assistant message of the chat completions API.

        Args:
            incomplete: what becomes of a call that was cut off. "cut": its arguments end where the model's
                text did, so that they are no JSON and nobody runs them by accident; "mend": they are closed;
                "drop": it is left out.

        Raises:
            ValueError: `incomplete` is none of these.
        """
        if incomplete not in ("cut", "mend", "drop"):
            raise ValueError(f"incomplete must be 'cut', 'mend' or 'drop', not {incomplete!r}")
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning is not None:
            message["reasoning_content"] = self.reasoning
        calls = []
        for call in self.tool_calls:
            arguments = call.arguments
            if not call.complete:
                if incomplete == "drop":
                    continue
                if incomplete == "cut":
                    arguments = arguments[: len(arguments) - len(call.closing)]
            calls.append(
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
            )
        if calls:
            message["tool_calls"] = calls
        return message

    def raise_for_diagnostics(self) -> None:
        """Raise `DiagnosticsError` if anything about the text was odd."""
        if self.diagnostics:
            raise DiagnosticsError(self.diagnostics)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict of everything."""
        out: dict[str, Any] = {
            "content": self.content,
            "reasoning": self.reasoning,
            "tool_calls": [c.to_dict() for c in self.tool_calls],
            "finish_reason": self.finish_reason,
            "diagnostics": [d.to_dict() for d in self.diagnostics],
        }
        if self.spans is not None:
            out["spans"] = [s.to_dict() for s in self.spans]
        return out

    def __str__(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)
