"""A whole answer: a body in, a message in the library's terms out; and the error that it is if it is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..message import ParsedMessage
from ..wire import Report, SSEDecoder, UpstreamError, normalize_completion
from ..wire.collect import message_of
from ..wire.whole import gather
from .errors import NotAGatewayError
from .failure import Asked, in_stream, no_message, no_models
from .request import Prepared

__all__ = ["ChatResponse", "read_answer"]


@dataclass(slots=True)
class ChatResponse:
    """A whole answer.

    Attributes:
        message: content, reasoning and calls.
        usage: tokens, as the gateway counts them.
        model: the model's name as the gateway has it.
        finish_reason: "stop", "tool_calls", "length" or "content_filter".
        raw: the gateway's JSON as it came.
        completion: the chat completion in the safe shape.
        report: what the wire layer mended.
    """

    message: ParsedMessage
    usage: dict[str, Any] | None
    model: str
    finish_reason: str
    raw: dict[str, Any] = field(repr=False)
    completion: dict[str, Any] = field(repr=False)
    report: Report = field(repr=False)


def read_answer(asked: Asked, prepared: Prepared, headers: Mapping[str, str], body: bytes) -> ChatResponse:
    """The answer that a body is. Some gateways stream although nobody asked them to.

    Raises:
        GatewayError: it is an error, or no answer of a gateway.
    """
    try:
        if body.lstrip()[:5] in (b"data:", b"event") or body.startswith(b":"):
            raw, completion, report = _gathered(prepared, body)
        else:
            raw = _object(body)
            completion, report = normalize_completion(raw, prepared.exchange) if raw else ({}, Report())
            choices = raw.get("choices")
            if isinstance(choices, list) and choices and not any(map(_says, choices)):
                raise no_message(asked)
    except UpstreamError as error:
        raise in_stream(asked, error, begun=False) from None
    if not completion.get("choices"):
        if raw.get("choices") == []:
            raise NotAGatewayError(
                f"{asked.base_url} gave an answer without any choice", url=asked.url, status=200
            )
        raise no_models(asked, headers, body)
    message = message_of(completion, report)
    usage = completion.get("usage")
    return ChatResponse(
        message=message,
        usage=dict(usage) if isinstance(usage, Mapping) else None,
        model=str(completion.get("model") or prepared.model),
        finish_reason=message.finish_reason,
        raw=raw,
        completion=completion,
        report=report,
    )


def _says(choice: Any) -> bool:
    """Whether a choice holds a message, or the reason why it has none."""
    if not isinstance(choice, Mapping):
        return False
    held = choice.get("message") or choice.get("delta")
    return (
        (isinstance(held, Mapping) and bool(held))
        or isinstance(choice.get("text"), str)
        or choice.get("finish_reason") == "content_filter"
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _gathered(prepared: Prepared, body: bytes) -> tuple[dict[str, Any], dict[str, Any], Report]:
    decoder, normalizer = SSEDecoder(), prepared.exchange.normalizer()
    made: list[dict[str, Any]] = []
    for event in [*decoder.feed(body), *decoder.close()]:
        if event.done:
            break
        if isinstance(event.value, dict):
            made += normalizer.feed(event.value, event.event)
    if normalizer.error is not None:
        raise normalizer.error
    made += normalizer.close()
    completion = gather(made)
    return completion, completion, normalizer.report
