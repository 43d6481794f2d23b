"""Which shape a file has, and the reader for it.

The shape is decided by structure, not by the first character: a llama answer that *is* a JSON object begins with
`{` like a chat completion does, and prose may begin with `data:`. A file is a chat capture only if a JSON
object in it has the keys of one (`choices`, `object`); everything else is the model's raw text.
"""

from __future__ import annotations

import json
import re

from .chat import is_chat_object, read_json_lines, read_response, read_sse
from .model import InputKind, Transcript
from .session import is_session, read_session
from .text import decode_text

__all__ = ["detect", "read_transcripts"]

_SSE_START = re.compile(r"\s*(?::|(?:data|event|id|retry)\s*:)")
_SSE_DATA = re.compile(r"^data:[ ]?(.*?)\r?$", re.MULTILINE)
_LOOK = 50  # `data:` lines looked at before a file is taken for prose


def read_transcripts(data: bytes, source: str, kind: InputKind | None = None) -> list[Transcript]:
    """All answers in a file.

    Args:
        data: the file's bytes.
        source: its name, for labels and errors; "-" for standard input.
        kind: how to read it; None tells by content.

    Raises:
        TranscriptError: the file is empty, binary, wrongly encoded, or not of the given kind.
    """
    text = decode_text(data, source)
    kind = kind or detect(text)
    if kind == "sse":
        return read_sse(text, source)
    if kind == "jsonl":
        return read_json_lines(text, source)
    if kind == "response":
        return read_response(text, source)
    if kind == "session":
        return read_session(text, source)
    if kind == "cases":
        from .cases import read_records  # pydantic is loaded only when records are read

        return [record.transcript(source) for record in read_records(text, source)]
    return [Transcript(source, "text", [("content", text)])]


def detect(text: str) -> InputKind:
    """The shape of a decoded file, by its content. Never fails: what is nothing else is raw text."""
    if _SSE_START.match(text) and _is_sse(text):
        return "sse"
    head = text.lstrip()[:1]
    if head == "{":
        line = text.lstrip().partition("\n")[0]
        first = _json(line)
        if first is None:  # an object over several lines, or no JSON at all
            whole = _json(text)
            return "response" if is_chat_object(whole) else "cases" if _is_record(whole) else "text"
        if is_session(first):
            return "session"
        if _is_record(first):
            return "cases"
        if is_chat_object(first):
            alone = not text.lstrip()[len(line) :].strip()
            whole_answer = isinstance(first, dict) and first.get("object") == "chat.completion"
            return "response" if alone and (whole_answer or _has_message(first)) else "jsonl"
    elif head == "[":
        value = _json(text)
        if isinstance(value, list) and value and all(is_chat_object(item) for item in value):
            return "jsonl"
    return "text"


def _is_sse(text: str) -> bool:
    for number, match in enumerate(_SSE_DATA.finditer(text)):
        payload = match[1].strip()
        if payload == "[DONE]" or is_chat_object(_json(payload)):
            return True
        if number >= _LOOK:
            break
    return False


def _is_record(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("text"), str)
        and isinstance(value.get("expect"), dict)
    )


def _has_message(value: object) -> bool:
    choices = value.get("choices") if isinstance(value, dict) else None
    return isinstance(choices, list) and any(
        isinstance(c, dict) and ("message" in c or "text" in c) for c in choices
    )


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
