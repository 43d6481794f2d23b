"""The shapes of `/chat/completions`: chunks (SSE or JSON lines) and whole responses, down to pieces of text.

Text is taken out of them here: content, and reasoning under any of the names that servers give it. Calls that the
server parsed itself come in parts, in many shapes: the wire layer makes them whole. What a gateway adds (comments,
pings, loading frames, usage, errors inside a stream) is skipped or becomes a remark; a line that is cut off or no JSON
becomes a remark too, since the rest of the capture is still worth reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .model import InputKind, Transcript, TranscriptError

__all__ = ["is_chat_object", "read_json_lines", "read_response", "read_sse"]

_LINE_END = re.compile(r"\r\n|\n|\r")  # not splitlines(): JSON strings may hold U+2028 and its kin
_DONE = "[DONE]"


def is_chat_object(value: object) -> bool:
    """Whether a JSON value has the shape of a chunk or a chat completion (and is not just some JSON answer)."""
    if not isinstance(value, dict):
        return False
    kind = value.get("object")
    if isinstance(kind, str) and kind.startswith(("chat.completion", "text_completion")):
        return True
    choices = value.get("choices")
    return (
        isinstance(choices, list)
        and all(isinstance(c, dict) for c in choices)
        and (
            any({"delta", "message", "text"} & c.keys() for c in choices) or "id" in value or "usage" in value
        )
    )


def read_sse(text: str, source: str) -> list[Transcript]:
    """An SSE capture: `data:` lines; comments, `event:` lines and `[DONE]` are optional; any line ends.

    Raises:
        TranscriptError: no `data:` line holds a chunk.
    """
    return _gather(_sse_payloads(text), source, "sse")


def read_json_lines(text: str, source: str) -> list[Transcript]:
    """Chunks or whole responses, one JSON object a line, or all in one JSON array.

    Raises:
        TranscriptError: no line holds a chunk.
    """
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, list):
        items: Iterable[tuple[int, Any]] = enumerate(whole, 1)
    else:
        items = _line_payloads(text)
    return _gather(items, source, "jsonl")


def read_response(text: str, source: str) -> list[Transcript]:
    """One chat completion response as a JSON object.

    Raises:
        TranscriptError: it is not JSON, or not a chat completion.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise TranscriptError(source, f"not a chat completion: no JSON ({error})") from None
    if not is_chat_object(value):
        told = _error(value)
        reason = (
            f"not a chat completion but an error: {told}" if told else "not a chat completion: no choices"
        )
        raise TranscriptError(source, reason)
    return _gather([(1, value)], source, "response")


# -- payloads: (line number, JSON value | str for what is no JSON | _DONE) ------------------------------------


def _line_payloads(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _load(line)


def _sse_payloads(text: str) -> Iterator[tuple[int, Any]]:
    """The data of each event. Captures often lack the blank lines between events, so each `data:` line is
    tried alone first, and the lines of one event are joined only if that fails."""
    held: list[str] = []
    first = 0
    number = 0
    for number, line in enumerate(_LINE_END.split(text), 1):
        if not line:
            if held:
                yield first, _load("\n".join(held))
                held = []
            continue
        name, _, value = line.partition(":")
        if name != "data":
            continue  # a comment (no name), event, id, retry
        value = value.removeprefix(" ")
        loaded = _load(value)
        if isinstance(loaded, str) and loaded is not _DONE:
            first = first if held else number
            held.append(value)
            continue
        if held:
            yield first, _load("\n".join(held))
            held = []
        yield number, loaded
    if held:
        yield first, _load("\n".join(held))


def _load(line: str) -> Any:
    if line.strip() == _DONE:
        return _DONE
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


# -- gathering ----------------------------------------------------------------------------------------------


def _gather(payloads: Iterable[tuple[int, Any]], source: str, kind: InputKind) -> list[Transcript]:
    """One transcript for each choice of each answer, in the order of their first appearance.

    Ids do not tell answers apart (gateways change them within one stream); `[DONE]` does, and so does a whole
    response, which begins and ends its own answer.
    """
    found: dict[tuple[int, int], Transcript] = {}
    parts: dict[tuple[int, int], list[dict[str, Any]]] = {}  # of the server's calls, as they came
    loose: list[str] = []  # remarks about the capture as a whole
    answer = 0
    open_answer = False
    readable = False
    for number, value in payloads:
        if value is _DONE:
            if open_answer:
                answer, open_answer = answer + 1, False
            continue
        if not isinstance(value, dict):
            loose.append(f"line {number} is no JSON object (cut off?): skipped")
            continue
        told = _error(value)
        if told:
            loose.append(f"line {number}: the server reported an error: {told}")
        if not is_chat_object(value):
            continue
        readable = True
        whole = any("message" in choice for choice in _choices(value))
        if whole and open_answer:
            answer += 1
        for position, choice in enumerate(_choices(value)):
            index = choice.get("index")
            index = index if isinstance(index, int) else position
            into = found.get((answer, index))
            if into is None:
                into = found[answer, index] = Transcript(source, kind, answer=answer, choice=index)
            _take(into, value, choice)
            parts.setdefault((answer, index), []).extend(_call_parts(choice))
            open_answer = True
        if whole:
            answer, open_answer = answer + 1, False
    if not readable:
        raise TranscriptError(source, "; ".join(["no chat completion chunk in it", *loose[:1]]))
    transcripts = list(found.values()) or [Transcript(source, kind)]
    for key, transcript in found.items():
        transcript.native_tool_calls = _whole_calls(parts[key], transcript.finish_reason)
    for transcript in transcripts:
        if transcript.native_tool_calls:
            count = len(transcript.native_tool_calls)
            transcript.remarks.append(
                f"the server had already parsed tool calls here ({count}): they are kept as the server's own, only"
                " text is parsed"
            )
        if transcript.finish_reason is None:
            transcript.remarks.append("no finish_reason in it: the answer may be cut off")
    transcripts[-1].remarks.extend(loose)
    return transcripts


def _choices(value: dict[str, Any]) -> list[dict[str, Any]]:
    choices = value.get("choices")
    return [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []


def _error(value: object) -> str:
    """What an error object, or what stands for one, says; else ""."""
    from ..wire.errors import error_in  # the wire layer is loaded with the first answer

    error = error_in(value)
    return "" if error is None else error.message


def _take(into: Transcript, value: dict[str, Any], choice: dict[str, Any]) -> None:
    from ..wire.choice import split_parts
    from ..wire.fields import REASONING_FIELDS

    model = value.get("model")
    if isinstance(model, str) and model:
        into.model = into.model or model
    finish = choice.get("finish_reason")
    if isinstance(finish, str) and finish:
        into.finish_reason = finish
    for body in (choice.get("delta"), choice.get("message")):
        if not isinstance(body, dict):
            continue
        content, thought = split_parts(body.get("content"))
        into.add("reasoning", thought)
        for key in REASONING_FIELDS:  # some servers send the same text under two names
            reasoning = split_parts(body.get(key))[0]
            if reasoning:
                into.add("reasoning", reasoning)
                break
        into.add("content", content)
    into.add("content", split_parts(choice.get("text"))[0])  # the older /completions


def _call_parts(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a choice brings of calls: a delta's parts as they came, a whole message's calls with their places."""
    for key in ("delta", "message"):
        body = choice.get(key)
        if not isinstance(body, dict):
            continue
        entries = body.get("tool_calls")
        calls = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        if calls:
            if key == "message":
                calls = [{**entry, "index": place} for place, entry in enumerate(calls)]
            yield {"tool_calls": calls}
        elif isinstance(body.get("function_call"), dict):  # the form before tool_calls
            yield {"function_call": body["function_call"]}


def _whole_calls(deltas: list[dict[str, Any]], finish: str | None) -> list[dict[str, Any]]:
    """The server's calls, each whole: `{"id", "type", "function": {"name", "arguments"}}`; the arguments of one that
    was cut end where they ended."""
    if not deltas:
        return []
    from ..wire import ChatNormalizer, Exchange, gather

    normalizer = ChatNormalizer(Exchange(None))
    made: list[dict[str, Any]] = []
    for delta in deltas:
        made += normalizer.feed({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    made += normalizer.feed({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    made += normalizer.close()
    choices = gather(made)["choices"]
    message = choices[0]["message"] if choices else {}
    return list(message.get("tool_calls") or ())
