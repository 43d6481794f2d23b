"""The request of a chat: what the caller gave, what the configuration adds, fitted to the gateway.

Theory. Pure: messages, tools and fields in; a `Prepared` request out, with the `Exchange` that will read its answer.
Both clients, sync and async, and `prewarm` send exactly what is made here, so that a prompt that was warmed up and
the one that follows are the same bytes up to the last message.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..message import ParsedMessage
from ..tools import ToolSet
from ..wire import Exchange, WireOptions
from .config.compat import apply_compat
from .config.provider import ModelSettings
from .connection import Connection, SecretHeaders
from .errors import ConfigurationError

__all__ = ["Messages", "Prepared", "check_session_id", "prepare"]

#: Messages of the chat API, answers of the library among them; a string is one message of the user.
Messages = str | Iterable[Any]

_OURS = ("model", "messages", "stream")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be sent."""

    model: str
    settings: ModelSettings
    body: bytes
    headers: SecretHeaders
    exchange: Exchange
    streams: bool


def prepare(
    connection: Connection,
    model: str,
    messages: Messages,
    tools: Any,
    fields: Mapping[str, Any],
    *,
    stream: bool,
    wire: WireOptions,
    thinking: str | bool | None = None,
    keep_reasoning: bool | None = None,
    session_id: str | None = None,
    warm: bool = False,
) -> Prepared:
    """Make the request.

    Raises:
        InvalidToolsError: `tools` holds something that is no tool.
        ConfigurationError: a message or field cannot be sent, or a header cannot be resolved.
        UnknownParserError: the parser does not exist.
    """
    for name in _OURS:
        if name in fields:
            raise ConfigurationError(f"{name!r} is an argument of its own, not a field of the request")
    settings = connection.model(model)
    request: dict[str, Any] = {"model": model, "messages": _messages(messages)}
    definitions = _definitions(tools)
    if definitions:
        request["tools"] = definitions
    request.update({name: value for name, value in fields.items() if value is not None})
    if "max_tokens" in settings.values and not {"max_tokens", "max_completion_tokens"} & request.keys():
        request["max_tokens"] = settings.max_tokens
    request["stream"] = stream
    if stream:
        request["stream_options"] = {"include_usage": True, **(request.get("stream_options") or {})}
    if warm:
        request.pop("max_completion_tokens", None)
        request["max_tokens"] = 1
    level = {True: "on", False: "off"}[thinking] if isinstance(thinking, bool) else thinking
    if level is None and "reasoning_effort" not in request and connection.thinking is not None:
        level = connection.thinking.value
    body = apply_compat(request, settings.compat, settings, thinking=level, keep_reasoning=keep_reasoning)
    known = settings.resolution.source != "auto"
    options = replace(
        wire,
        model=wire.model or _telling(settings),
        parser=wire.parser or (settings.parser if known else None),
    )
    exchange = Exchange(body, options)
    headers = SecretHeaders(connection.headers(settings))
    headers["content-type"] = "application/json"
    if stream:
        headers.setdefault("accept", "text/event-stream")
        headers.setdefault("accept-encoding", "identity")  # a compressor may hold what should flow
    if session_id:
        headers.setdefault("session-id", session_id)
    return Prepared(model, settings, _encoded(exchange.body), headers, exchange, stream)


def check_session_id(value: str) -> None:
    """Tell an id that no header can carry before anything is sent.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"session_id: a string is wanted, not {type(value).__name__}")
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise ConfigurationError(
            f"session_id {value[:80]!r}: a header carries printable ASCII without blanks at its edges; take"
            " letters and digits"
        )


def _telling(settings: ModelSettings) -> str:
    """The name that tells the family: the id, or the label where that decided."""
    return settings.name if f"{settings.name!r}" in settings.resolution.reason else settings.id


def _messages(messages: Messages) -> list[Any]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, Mapping):
        raise ConfigurationError("messages: a list of messages is wanted, not one message")
    if not isinstance(messages, Iterable):
        raise ConfigurationError(
            f"messages: a string or a list of messages is wanted, not {type(messages).__name__}"
        )
    return [_message(message, index) for index, message in enumerate(messages)]


def _message(message: Any, index: int) -> Any:
    if isinstance(message, Mapping):
        return message
    if isinstance(message, ParsedMessage):
        # Arguments in a history must be JSON, or the gateway refuses the request.
        return message.to_openai(incomplete="mend")
    inner = getattr(message, "message", None)
    if isinstance(inner, ParsedMessage):
        return inner.to_openai(incomplete="mend")
    dump = getattr(message, "model_dump", None)
    if callable(dump):
        return dump(exclude_none=True)
    raise ConfigurationError(f"messages[{index}]: a message is wanted, not {type(message).__name__}")


def _definitions(tools: Any) -> list[Any]:
    """OpenAI definitions. Those that are given as such stay as they are: ToolSet does not know `strict`."""
    if tools is None:
        return []
    known = ToolSet(tools)
    if isinstance(tools, Sequence) and all(
        isinstance(tool, Mapping)
        and tool.get("type") == "function"
        and isinstance(tool.get("function"), Mapping)
        for tool in tools
    ):
        return list(tools)
    return known.definitions()


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        try:
            return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:  # a lone surrogate: escaped, it is at least ASCII
            return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the request cannot be written as JSON: {error}") from None
