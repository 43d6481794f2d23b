"""A request of the Messages API as a chat completion request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..adapter.errors import BadRequestError, expect
from ..adapter.history import (
    ChatRequest,
    History,
    ReasoningField,
    argument_text,
    ask_thinking,
    read_object,
    words,
)
from ..adapter.ids import chat_call_id
from .tools import read_tool_choice, read_tools

__all__ = ["to_chat"]

_SAME = ("model", "temperature", "top_p", "top_k")
# Fields of the API which say something to Anthropic's servers only, or which are read by name below.
_OWN = words(
    "anthropic_beta anthropic_version betas cache_control container context_management diagnostics inference_geo "
    "max_tokens mcp_servers messages metadata output_config output_format service_tier speed stop_sequences stream "
    "system thinking tool_choice tools user_profile_id workspace_id"
)
_BILLING = "x-anthropic-billing-header:"
_SERVER_RESULT = "_tool_result"
_LARGE, _MEDIUM = 16_000, 4_000  # tokens of a thinking budget


def to_chat(request: Mapping[str, Any], *, reasoning: ReasoningField = "reasoning_content") -> ChatRequest:
    """The chat completion request for a request of the Messages API.

    Args:
        request: the JSON body.
        reasoning: the field in which the server reads the reasoning of earlier turns.

    Raises:
        BadRequestError: the request is wrong; the error names the field.
    """
    read_object(request, "the request")
    remarks: list[str] = []
    body: dict[str, Any] = {
        key: value
        for key, value in request.items()
        if value is not None and (key in _SAME or key not in _OWN)
    }
    body["messages"] = _messages(request, reasoning, remarks)
    limit = request.get("max_tokens")
    if limit is not None:
        body["max_tokens"] = expect(limit, int, "max_tokens", "a number of tokens")
    stops = request.get("stop_sequences")
    if stops:
        body["stop"] = expect(stops, list, "stop_sequences", "a list of strings")
    tools = read_tools(request.get("tools"), remarks)
    if tools:
        body["tools"] = tools
    choice = request.get("tool_choice")
    if choice is not None:
        body |= read_tool_choice(choice, tools)
    if request.get("mcp_servers"):
        remarks.append("mcp_servers: only Anthropic's servers connect to them; left out")
    _thinking(request, body)
    _format(request, body)
    if request.get("stream"):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return ChatRequest(body, tuple(remarks))


def _thinking(request: Mapping[str, Any], body: dict[str, Any]) -> None:
    off = False
    effort: str | None = None
    asked = request.get("thinking")
    if asked is not None:
        kind = read_object(asked, "thinking").get("type")
        if kind not in ("enabled", "disabled", "adaptive", "between_tools"):
            raise BadRequestError("thinking.type", f"must be enabled, disabled or adaptive, not {kind!r}")
        off = kind == "disabled"
        budget = asked.get("budget_tokens") if kind == "enabled" else None
        if budget is not None:
            budget = expect(budget, int, "thinking.budget_tokens", "a number of tokens")
            effort = "high" if budget >= _LARGE else "medium" if budget >= _MEDIUM else "low"
    config = request.get("output_config")
    if config is not None:
        told = read_object(config, "output_config").get("effort")
        if told is not None:
            effort = expect(told, str, "output_config.effort", "a word")
    ask_thinking(body, off, effort, "output_config.effort")


def _format(request: Mapping[str, Any], body: dict[str, Any]) -> None:
    config = request.get("output_config")
    wanted = config.get("format") if isinstance(config, Mapping) else None
    field = "output_config.format"
    if wanted is None:
        wanted, field = request.get("output_format"), "output_format"  # as it was named in the beta
    if wanted is None:
        return
    if read_object(wanted, field).get("type") != "json_schema":
        raise BadRequestError(f"{field}.type", f"must be json_schema, not {wanted.get('type')!r}")
    schema = read_object(wanted.get("schema"), f"{field}.schema")
    body["response_format"] = {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}


def _messages(
    request: Mapping[str, Any], reasoning: ReasoningField, remarks: list[str]
) -> list[dict[str, Any]]:
    history = History(reasoning)
    system = request.get("system")
    if system is not None:
        _system(system, "system", history)
    messages = expect(request.get("messages"), list, "messages", "a list of messages")
    if not messages:
        raise BadRequestError("messages", "is empty: there is nothing to answer")
    for index, entry in enumerate(messages):
        field = f"messages[{index}]"
        message = read_object(entry, field)
        role, content = message.get("role"), message.get("content")
        if role == "system":
            _system(content, f"{field}.content", history)
        elif role == "user":
            _user(_blocks(content, f"{field}.content"), f"{field}.content", history)
        elif role == "assistant":
            for at, block in enumerate(_blocks(content, f"{field}.content")):
                _said(block, f"{field}.content[{at}]", history, remarks)
        else:
            raise BadRequestError(f"{field}.role", f"must be user, assistant or system, not {role!r}")
    return history.finish()


def _system(content: object, field: str, history: History) -> None:
    """Instructions. The billing line of a coding agent is left out: it differs in each request, and would spoil the
    server's prefix cache, which local models live by."""
    texts = [
        expect(block.get("text"), str, f"{field}[{index}].text", "a string")
        for index, block in enumerate(_blocks(content, field))
    ]
    history.system("\n".join(text for text in texts if not text.startswith(_BILLING)))


def _user(blocks: list[Mapping[str, Any]], field: str, history: History) -> None:
    parts: list[dict[str, Any]] = []
    results = False
    for index, block in enumerate(blocks):
        at = f"{field}[{index}]"
        if block.get("type") == "tool_result":
            results = True
            call_id = expect(block.get("tool_use_id"), str, f"{at}.tool_use_id", "the id of a tool_use")
            content = block.get("content")
            given = [] if content is None else _parts(_blocks(content, f"{at}.content"), f"{at}.content")
            history.result(chat_call_id(call_id), given, failed=block.get("is_error") is True)
        else:
            parts += _part(block, at)
    if results:
        history.beside(parts)
    else:
        history.user(parts)


def _said(block: Mapping[str, Any], field: str, history: History, remarks: list[str]) -> None:
    kind = block.get("type")
    if kind == "text":
        history.text(expect(block.get("text"), str, f"{field}.text", "a string"))
    elif kind == "thinking":
        history.reasoning(expect(block.get("thinking"), str, f"{field}.thinking", "a string"))
    elif kind == "tool_use":
        call_id = expect(block.get("id"), str, f"{field}.id", "the call's id")
        name = expect(block.get("name"), str, f"{field}.name", "the tool's name")
        given = read_object(block.get("input"), f"{field}.input")
        history.call(chat_call_id(call_id), name, argument_text(given))
    elif kind == "redacted_thinking":
        remarks.append(f"{field}: redacted_thinking can be read by Anthropic's servers only; left out")
    elif isinstance(kind, str) and (kind == "server_tool_use" or kind.endswith(_SERVER_RESULT)):
        remarks.append(f"{field}: {kind} belongs to a tool of Anthropic's servers; left out")
    elif isinstance(kind, str) and kind:
        remarks.append(f"{field}: {kind} is unknown here; left out")
    else:
        raise BadRequestError(f"{field}.type", "is missing: text, thinking, tool_use")


def _blocks(content: object, field: str) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    given = expect(content, list, field, "a string or a list of blocks")
    return [read_object(block, f"{field}[{index}]") for index, block in enumerate(given)]


def _parts(blocks: list[Mapping[str, Any]], field: str) -> list[dict[str, Any]]:
    return [part for index, block in enumerate(blocks) for part in _part(block, f"{field}[{index}]")]


def _part(block: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """A block of the user's as parts of the chat API."""
    kind = block.get("type")
    if kind == "text":
        return [_text(expect(block.get("text"), str, f"{field}.text", "a string"))]
    if kind == "image":
        return [{"type": "image_url", "image_url": {"url": _image(block, f"{field}.source")}}]
    if kind == "document":
        return _document(block, f"{field}.source")
    if kind == "search_result":
        head = "\n".join(str(block[key]) for key in ("title", "source") if block.get(key))
        return [
            _text(head),
            *_parts(_blocks(block.get("content") or [], f"{field}.content"), f"{field}.content"),
        ]
    if kind == "tool_reference":
        return [_text(f"tool: {block.get('tool_name')}")]
    raise BadRequestError(f"{field}.type", f"{kind!r} is no block that a chat message can hold")


def _image(block: Mapping[str, Any], field: str) -> str:
    source = read_object(block.get("source"), field)
    if source.get("type") == "url":
        return str(expect(source.get("url"), str, f"{field}.url", "a URL"))
    return _data_url(source, field)


def _document(block: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    source = read_object(block.get("source"), field)
    kind = source.get("type")
    title = block.get("title")
    name = title if isinstance(title, str) and title else "document"
    if kind == "text":
        told = expect(source.get("data"), str, f"{field}.data", "a string")
        return [_text(f"{title}\n{told}" if name == title else told)]
    if kind == "content":
        return _parts(_blocks(source.get("content"), f"{field}.content"), f"{field}.content")
    return [{"type": "file", "file": {"filename": name, "file_data": _data_url(source, field)}}]


def _data_url(source: Mapping[str, Any], field: str) -> str:
    if source.get("type") != "base64":
        raise BadRequestError(
            f"{field}.type", f"{source.get('type')!r} cannot be read here; send it as base64"
        )
    media = expect(source.get("media_type"), str, f"{field}.media_type", "a media type")
    return f"data:{media};base64,{expect(source.get('data'), str, f'{field}.data', 'base64 text')}"


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
