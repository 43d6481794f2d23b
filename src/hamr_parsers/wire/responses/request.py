"""A Responses request as a chat completion request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..adapter.errors import BadRequestError, expect
from ..adapter.history import ChatRequest, History, ReasoningField, ask_thinking, read_object, words
from .packing import unpack
from .tools import chat_name, custom_arguments, read_tool_choice, read_tools, tool_lists

__all__ = ["to_chat"]

_STATE = {
    "previous_response_id": "no responses are kept here; send the whole conversation in `input` (`store: false`)",
    "conversation": "no conversations are kept here; send the whole conversation in `input`",
    "prompt": "no prompts are kept here; send the text in `instructions` and `input`",
    "background": "an answer cannot go on without its client here; leave the field out",
}
_SAME = ("model", "temperature", "top_p", "parallel_tool_calls", "user")
# Fields of the API which say something to OpenAI's servers only, or which are read by name below.
_OWN = words(
    "access_programs background_options context_management image include input instructions max_output_tokens "
    "max_tool_calls metadata moderation prompt_cache_key prompt_cache_options prompt_cache_retention reasoning "
    "safety_identifier service_tier store stream stream_options text tool_choice tools top_logprobs truncation "
    "client_metadata"
)
# Items that a server-side tool leaves in the history.
_SERVER_ITEMS = words(
    "web_search_call file_search_call code_interpreter_call image_generation_call computer_call "
    "computer_call_output local_shell_call local_shell_call_output shell_call shell_call_output apply_patch_call "
    "apply_patch_call_output mcp_list_tools mcp_approval_request mcp_approval_response mcp_call tool_search_call "
    "tool_search_output compaction compaction_summary compaction_trigger context_compaction "
    "ghost_snapshot program program_output"
)


def to_chat(request: Mapping[str, Any], *, reasoning: ReasoningField = "reasoning_content") -> ChatRequest:
    """The chat completion request for a Responses request.

    Args:
        request: the JSON body.
        reasoning: the field in which the server reads the reasoning of earlier turns.

    Raises:
        BadRequestError: the request is wrong, or needs state that nobody keeps; the error names the field.
    """
    read_object(request, "the request")
    for field, reason in _STATE.items():
        if request.get(field):
            raise BadRequestError(field, reason)
    remarks: list[str] = []
    body: dict[str, Any] = {
        key: value
        for key, value in request.items()
        if value is not None and (key in _SAME or (key not in _OWN and key not in _STATE))
    }
    body["messages"] = _messages(request, reasoning, remarks)
    limit = request.get("max_output_tokens")
    if limit is not None:
        body["max_tokens"] = expect(limit, int, "max_output_tokens", "a number of tokens")
    _tools(request, body, remarks)
    _reasoning(request, body)
    _format(request, body)
    logprobs = request.get("top_logprobs")
    include = request.get("include")
    if logprobs or (isinstance(include, list) and "message.output_text.logprobs" in include):
        body["logprobs"] = True
        if logprobs:
            body["top_logprobs"] = logprobs
    if request.get("stream"):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return ChatRequest(body, tuple(remarks))


def _tools(request: Mapping[str, Any], body: dict[str, Any], remarks: list[str]) -> None:
    tools = [tool for field, given in tool_lists(request) for tool in read_tools(given, field, remarks)]
    choice = request.get("tool_choice")
    if choice is not None:
        choice, tools = read_tool_choice(choice, tools)
    if tools:
        body["tools"] = tools
        if choice is not None:
            body["tool_choice"] = choice
    else:
        body.pop("parallel_tool_calls", None)


def _reasoning(request: Mapping[str, Any], body: dict[str, Any]) -> None:
    asked = request.get("reasoning")
    if asked is None:
        return
    effort = read_object(asked, "reasoning").get("effort")
    if effort is not None:
        expect(effort, str, "reasoning.effort", "a word")
        ask_thinking(body, False, effort, "reasoning.effort")


def _format(request: Mapping[str, Any], body: dict[str, Any]) -> None:
    text = request.get("text")
    if text is None:
        return
    asked = read_object(text, "text").get("format")
    if asked is None:
        return
    wanted = dict(read_object(asked, "text.format"))
    kind = wanted.pop("type", None)
    if kind == "json_schema":
        expect(wanted.get("name"), str, "text.format.name", "the schema's name")
        read_object(wanted.get("schema"), "text.format.schema")
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif kind == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif kind != "text":
        raise BadRequestError("text.format.type", f"must be text, json_object or json_schema, not {kind!r}")


def _messages(
    request: Mapping[str, Any], reasoning: ReasoningField, remarks: list[str]
) -> list[dict[str, Any]]:
    history = History(reasoning)
    instructions = request.get("instructions")
    if instructions is not None:
        history.system(expect(instructions, str, "instructions", "a string"))
    given = request.get("input")
    if isinstance(given, str):
        history.user([{"type": "text", "text": given}])
    elif given is not None:
        for index, entry in enumerate(expect(given, list, "input", "a string or a list of items")):
            _item(read_object(entry, f"input[{index}]"), f"input[{index}]", history, remarks)
    elif instructions is None:
        raise BadRequestError("input", "is missing: the text, or the list of items, to answer")
    return history.finish()


def _item(item: Mapping[str, Any], field: str, history: History, remarks: list[str]) -> None:
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind == "message":
        _message(item, field, history)
    elif kind == "reasoning":
        _thought(item, history)
    elif kind in ("function_call", "custom_tool_call"):
        call_id = expect(item.get("call_id"), str, f"{field}.call_id", "the call's id")
        name = expect(item.get("name"), str, f"{field}.name", "the tool's name")
        key = "arguments" if kind == "function_call" else "input"
        text = expect(item.get(key), str, f"{field}.{key}", "a string")
        arguments = text if kind == "function_call" else custom_arguments(text)
        history.call(call_id, chat_name(name, item.get("namespace")), arguments)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        call_id = expect(item.get("call_id"), str, f"{field}.call_id", "the call's id")
        history.result(call_id, _parts(item.get("output"), f"{field}.output"))
    elif kind == "additional_tools":
        pass  # they are among the tools
    elif kind == "item_reference":
        raise BadRequestError(
            field, "no items are kept here; have the client send them whole (`store: false`)"
        )
    elif isinstance(kind, str) and kind:
        known = "belongs to a tool of OpenAI's servers" if kind in _SERVER_ITEMS else "is unknown here"
        remarks.append(f"{field}: {kind} {known}; left out")
    else:
        raise BadRequestError(
            f"{field}.type", "is missing: message, function_call, function_call_output, ..."
        )


def _message(item: Mapping[str, Any], field: str, history: History) -> None:
    role = item.get("role")
    parts = _parts(item.get("content"), f"{field}.content")
    if role == "user":
        history.user(parts)
    elif role in ("system", "developer", "assistant"):
        other = next((part["type"] for part in parts if part["type"] != "text"), None)
        if other is not None:
            raise BadRequestError(f"{field}.content", f"a message of the {role} holds text only, not {other}")
        texts = [part["text"] for part in parts]
        if role == "assistant":
            history.text("".join(texts))
        else:
            history.system("\n".join(texts))
    else:
        raise BadRequestError(f"{field}.role", f"must be user, assistant, system or developer, not {role!r}")


def _thought(item: Mapping[str, Any], history: History) -> None:
    """The reasoning's text, or else its summary, or what was packed; what OpenAI encrypted nobody else can read."""
    for key in ("content", "summary"):
        parts = item.get(key)
        texts = [
            part["text"]
            for part in (parts if isinstance(parts, list) else ())
            if isinstance(part, Mapping) and isinstance(part.get("text"), str)
        ]
        if any(texts):
            history.reasoning("\n".join(texts))
            return
    history.reasoning(unpack(item.get("encrypted_content")))


def _parts(content: object, field: str) -> list[dict[str, Any]]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [
        _part(read_object(part, f"{field}[{index}]"), f"{field}[{index}]")
        for index, part in enumerate(expect(content, list, field, "a string or a list of parts"))
    ]


def _part(part: Mapping[str, Any], field: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text", "summary_text", "reasoning_text"):
        return {"type": "text", "text": expect(part.get("text"), str, f"{field}.text", "a string")}
    if kind == "refusal":
        return {"type": "text", "text": expect(part.get("refusal"), str, f"{field}.refusal", "a string")}
    if kind == "input_image":
        url = part.get("image_url")
        if not isinstance(url, str):
            raise BadRequestError(f"{field}.image_url", "must be a URL or a data URL; no files are kept here")
        image = {"url": url}
        if part.get("detail") in ("low", "high", "auto"):
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_audio":
        return {
            "type": "input_audio",
            "input_audio": read_object(part.get("input_audio"), f"{field}.input_audio"),
        }
    if kind == "input_file":
        data = part.get("file_data")
        if not isinstance(data, str):
            raise BadRequestError(
                f"{field}.file_data", "must hold the file; no files are kept or fetched here"
            )
        return {"type": "file", "file": {"file_data": data, "filename": part.get("filename") or "file"}}
    raise BadRequestError(f"{field}.type", f"{kind!r} is no part that a chat message can hold")
