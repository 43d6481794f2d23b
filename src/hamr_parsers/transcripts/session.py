"""Session logs of Hamr: one JSON object a line, an answer of a model in some of them.

The first line is `{"type": "session", "id": ...}`, the others are entries; an entry of type `message` whose message is
the assistant's has blocks of text, thinking and calls that the gateway had parsed (`toolCall`). What leaked stands in
the text or thinking: those are the pieces, each answer a transcript, labelled with session and entry. (Format: Hamr's
session logs, version 3.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .model import Transcript, TranscriptError

__all__ = ["is_session", "read_session"]

_FINISH = {
    "stop": "stop",
    "length": "length",
    "toolUse": "tool_calls",
    "error": "length",
    "aborted": "length",
}


def is_session(value: object) -> bool:
    """Whether a JSON value is the first line of a session log."""
    return isinstance(value, dict) and value.get("type") == "session" and "version" in value


def read_session(text: str, source: str) -> list[Transcript]:
    """The assistant's messages of a session log, in the order of the file.

    Raises:
        TranscriptError: it is no session log, or no model answered in it.
    """
    session: str | None = None
    found: list[Transcript] = []
    broken = 0
    for value in _lines(text):
        if value is None:
            broken += 1
        elif is_session(value):
            session = str(value.get("id"))
        elif session is None:
            raise TranscriptError(source, "no session log: its first line is no session")
        else:
            message = value.get("message")
            if (
                value.get("type") == "message"
                and isinstance(message, dict)
                and message.get("role") == "assistant"
            ):
                found.append(_transcript(source, session, value, message, len(found)))
    if not found:
        raise TranscriptError(source, "no answer of a model in this session log")
    found = [
        one for one in found if one.pieces or one.remarks
    ] or found  # most say nothing beside their calls
    if broken:
        found[-1].remarks.append(f"{broken} lines are no JSON objects (cut off?): skipped")
    return found


def _lines(text: str) -> Iterator[dict[str, Any] | None]:
    for line in text.split("\n"):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            yield value if isinstance(value, dict) else None


def _transcript(
    source: str, session: str, entry: Mapping[str, Any], message: Mapping[str, Any], number: int
) -> Transcript:
    out = Transcript(source, "session", answer=number)
    out.record_id = f"session {session}, entry {entry.get('id')}"
    model = message.get("model")
    out.model = model if isinstance(model, str) and model else None
    reason = message.get("stopReason")
    out.finish_reason = _FINISH.get(reason) if isinstance(reason, str) else None
    if reason in ("error", "aborted"):
        out.remarks.append(f"the answer ended in {reason!r}")
    content = message.get("content")
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else content or ():
        if not isinstance(block, Mapping):
            continue
        if block.get("type") == "toolCall":
            arguments = json.dumps(block.get("arguments", {}), ensure_ascii=False)
            function = {"name": block.get("name"), "arguments": arguments}
            out.native_tool_calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif isinstance(block.get("text"), str):
            out.add("content", block["text"])
        elif isinstance(block.get("thinking"), str):
            out.add("reasoning", block["thinking"])
    return out
