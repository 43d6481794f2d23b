"""A whole answer: a chat completion in the safe shape, by the same rules as a streamed one.

The message of each choice goes through `Choice` as one delta, so that streamed and whole answers cannot differ; what
only a whole answer allows (arguments that are mended although their end is far behind the slip) is added here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .choice import REASONING_FIELDS, Choice, unknown_fields
from .errors import error_in
from .native import entries_of, whole_arguments
from .report import Report
from .request import Exchange

__all__ = ["normalize_completion"]


def normalize_completion(
    payload: Mapping[str, Any], exchange: Exchange | None = None
) -> tuple[dict[str, Any], Report]:
    """A chat completion in the safe shape, and what was done to it. The payload is not modified.

    Raises:
        UpstreamError: the payload is an error.
    """
    exchange = exchange if exchange is not None else Exchange()
    error = error_in(payload)
    if error is not None and not payload.get("choices"):
        raise error
    report = Report()
    out = dict(payload)
    choices = payload.get("choices")
    found = [one for one in choices if isinstance(one, Mapping)] if isinstance(choices, list) else []
    model = payload.get("model")
    told = model if isinstance(model, str) and model else None
    out["choices"] = [_choice(one, at, exchange, report, told) for at, one in enumerate(found)]
    out["object"] = "chat.completion"
    if not isinstance(out.get("id"), str) or not out["id"]:
        out["id"] = "chatcmpl-" + exchange.new_id().removeprefix("call_")
    if type(out.get("created")) is not int:
        out["created"] = int(time.time())
    if told is None:
        out["model"] = exchange.model() or ""
    if error is not None:
        raise error
    return out, report


def _choice(
    one: Mapping[str, Any], position: int, exchange: Exchange, report: Report, model: str | None
) -> dict[str, Any]:
    message = one.get("message")
    if not isinstance(message, Mapping):
        message = one.get("delta") if isinstance(one.get("delta"), Mapping) else {"content": one.get("text")}
    assert isinstance(message, Mapping)
    calls = [_mended(entry, exchange) for entry in entries_of(message.get("tool_calls"))]
    choice = Choice(exchange, report)
    choice.feed({**message, "tool_calls": calls}, model)
    finish = choice.close(_finish(one))
    content: list[str] = []
    thoughts: list[str] = []
    tool_calls: list[dict[str, Any]] = []
    function_call: dict[str, Any] | None = None
    field = exchange.reasoning_fields[0]
    for delta in choice.take():
        if delta.get("content"):
            content.append(delta["content"])
        if delta.get(field):
            thoughts.append(delta[field])
        for entry in delta.get("tool_calls", ()):
            if entry["index"] < len(tool_calls):
                tool_calls[entry["index"]]["function"]["arguments"] += entry["function"]["arguments"]
            else:
                tool_calls.append({k: v for k, v in entry.items() if k != "index"})
        if "function_call" in delta:
            if function_call is None:
                function_call = dict(delta["function_call"])
            else:
                function_call["arguments"] += delta["function_call"]["arguments"]
    text = "".join(content)
    made: dict[str, Any] = {"role": "assistant", "content": text or None}
    if not text and not tool_calls and function_call is None:
        made["content"] = message.get("content") if message.get("content") == "" else None
    if thoughts:
        made.update(dict.fromkeys(exchange.reasoning_fields, "".join(thoughts)))
    if tool_calls:
        made["tool_calls"] = tool_calls
    if function_call is not None:
        made["function_call"] = function_call
    for key, value in unknown_fields(message).items():
        made.setdefault(key, value)
    for key in ("tool_calls", "function_call", *REASONING_FIELDS):  # null where the server says null
        if key in message and message[key] is None:
            made.setdefault(key, None)
    index = one.get("index")
    rest = {k: v for k, v in one.items() if k not in ("index", "message", "delta", "text", "finish_reason")}
    return {
        "index": index if type(index) is int else position,
        "message": made,
        **rest,
        "finish_reason": finish,
    }


def _finish(one: Mapping[str, Any]) -> str | None:
    """The server's reason. A whole answer without one has ended, unless its calls say otherwise."""
    finish = one.get("finish_reason")
    return finish if isinstance(finish, str) and finish else "stop"


def _mended(entry: Mapping[str, Any], exchange: Exchange) -> Mapping[str, Any]:
    """An entry whose arguments are JSON if they can be: here all of them are known."""
    function = entry.get("function")
    if not isinstance(function, Mapping):
        return entry
    arguments, name = function.get("arguments"), function.get("name")
    if not isinstance(arguments, str):
        return entry
    text = whole_arguments(arguments, exchange.tools, name if isinstance(name, str) else "")
    if text is None or text == arguments or text == arguments.strip():
        return entry
    return {**entry, "function": {**function, "arguments": text}}
