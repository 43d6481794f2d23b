"""A whole answer: a chat completion in the safe shape, by the same rules as a streamed one.

The message of each choice goes through `Choice` as one delta, so that streamed and whole answers cannot differ; what
only a whole answer allows (arguments that are mended although their end is far behind the slip) is added here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from .choice import Choice, unknown_fields
from .errors import error_in
from .fields import REASONING_FIELDS
from .json_text import JsonText
from .native import entries_of, whole_arguments
from .report import Report
from .request import Exchange

__all__ = ["gather", "normalize_completion"]


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
    entries = entries_of(message.get("tool_calls"))
    calls = [{**_mended(entry, exchange), "index": place} for place, entry in enumerate(entries)]
    choice = Choice(exchange, report)
    choice.feed({**message, "tool_calls": calls}, model)
    finish = choice.close(_finish(one))
    parts = _Parts(exchange.reasoning_fields[0])
    for delta in choice.take():
        parts.add(delta)
    made = parts.message(exchange.reasoning_fields)
    if made["content"] is None and len(made) == 2 and message.get("content") == "":
        made["content"] = ""
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


class _Parts:
    """The message that deltas in the safe shape add up to."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._content: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._arguments: list[list[str]] = []
        self._function: list[Mapping[str, Any]] = []

    def add(self, delta: Mapping[str, Any]) -> None:
        if delta.get("content"):
            self._content.append(delta["content"])
        if delta.get(self._field):
            self._thoughts.append(delta[self._field])
        for entry in delta.get("tool_calls") or ():
            if "function" not in entry:  # a custom call, passed on as it is
                self._custom(entry)
                continue
            if entry["index"] == len(self._calls):
                self._calls.append({k: v for k, v in entry.items() if k != "index"})
                self._arguments.append([])
            else:
                self._calls[entry["index"]].update(
                    {k: v for k, v in entry.items() if k not in ("index", "function")}
                )
            self._arguments[entry["index"]].append(entry["function"]["arguments"])
        if delta.get("function_call"):
            self._function.append(delta["function_call"])

    def _custom(self, entry: Mapping[str, Any]) -> None:
        if entry["index"] == len(self._calls):
            self._calls.append({k: v for k, v in entry.items() if k != "index"})
            self._arguments.append([])
            return
        custom, more = self._calls[entry["index"]].get("custom"), entry.get("custom")
        if isinstance(custom, Mapping) and isinstance(more, Mapping):
            text = f"{custom.get('input') or ''}{more.get('input') or ''}"
            self._calls[entry["index"]]["custom"] = {**custom, **more, "input": text}

    def message(self, fields: tuple[str, ...]) -> dict[str, Any]:
        made: dict[str, Any] = {"role": "assistant", "content": "".join(self._content) or None}
        if self._thoughts:
            made.update(dict.fromkeys(fields, "".join(self._thoughts)))
        if self._calls:
            made["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": "".join(arguments)}}
                if "function" in call
                else call
                for call, arguments in zip(self._calls, self._arguments, strict=True)
            ]
        if self._function:
            made["function_call"] = {
                "name": self._function[0].get("name"),
                "arguments": "".join(part.get("arguments") or "" for part in self._function),
            }
        return made


def gather(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole answer that chunks in the safe shape add up to, as a chat completion."""
    out: dict[str, Any] = {"id": "", "object": "chat.completion", "created": 0, "model": "", "choices": []}
    parts: dict[int, _Parts] = {}
    ends: dict[int, dict[str, Any]] = {}
    fields: dict[str, None] = {}
    for chunk in chunks:
        out.update({k: v for k, v in chunk.items() if k not in ("object", "choices") and v is not None})
        for one in chunk.get("choices") or ():
            index = one["index"]
            delta = one.get("delta") or {}
            fields.update(dict.fromkeys(key for key in REASONING_FIELDS if delta.get(key)))
            if index not in parts:
                parts[index] = _Parts("")
                ends[index] = {"finish_reason": None}
            if fields:
                parts[index]._field = next(iter(fields))
            parts[index].add(delta)
            ends[index].update(
                {k: v for k, v in one.items() if k not in ("index", "delta") and v is not None}
            )
    out["choices"] = [
        {"index": index, "message": part.message(tuple(fields)), **ends[index]}
        for index, part in sorted(parts.items())
    ]
    return out


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
    end = JsonText().feed(arguments)
    if arguments[end:].lstrip().startswith("{"):  # those of the next call, glued to these: Choice parts them
        return entry
    text = whole_arguments(arguments, exchange.tools, name if isinstance(name, str) else "")
    if text is None or text == arguments or text == arguments.strip():
        return entry
    return {**entry, "function": {**function, "arguments": text}}
