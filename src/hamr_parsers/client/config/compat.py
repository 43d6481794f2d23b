"""`compat`: what a provider's endpoint does not do as OpenAI's does, and the request changed to fit.

Theory. `Compat` holds what the files say, None where they say nothing; then the request is left as the caller made
it. `apply_compat` is a pure function over the request's JSON: it copies what it changes and nothing else, so that
the caller's messages stay theirs. The steps are small functions, one a key, in one list; a new key is one more.

Sources: the keys are those of Hamr's models.json; what each thinking format sends is what the named services
document: Qwen's `enable_thinking` (top level at DashScope, in `chat_template_kwargs` for vLLM, SGLang and llama.cpp),
`thinking: {type}` of DeepSeek and Z.ai, `reasoning: {effort}` of OpenRouter, `reasoning: {enabled}` of Together,
`reasoning_effort` of OpenAI.

Reasoning is left out of the prompt's history unless the provider needs it: models are trained without old reasoning,
and it costs context. Relay drops it in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LEVELS", "THINKING_FORMATS", "Compat", "ModelTraits", "apply_compat", "odd_level"]

#: Thinking levels from none to most; `on` is thinking without a level.
LEVELS = ("off", "minimal", "low", "medium", "high", "xhigh", "max")
#: `openai` is another name of `reasoning_effort`.
THINKING_FORMATS = (
    "reasoning_effort",
    "openai",
    "qwen",
    "qwen-chat-template",
    "chat-template",
    "deepseek",
    "zai",
    "together",
    "openrouter",
    "string-thinking",
)
_OFF = ("off", "none", "false")
_THINKING_TEXT = "<thinking>\n{}\n</thinking>"
_BETWEEN = "I have the results."  # what stands where an endpoint wants an answer after tool results

Request = dict[str, Any]


def odd_level(level: str, named: Iterable[str] = ()) -> str | None:
    """What to say of a thinking level that is not known, as one sentence; None for one that is.

    Args:
        level: what an option or a file says.
        named: more levels: those of `thinkingLevelMap`.
    """
    known = dict.fromkeys((*LEVELS, "on", *named))
    if level in known or level.lower() in _OFF:
        return None
    return f"thinking level {level!r} is not known here and is sent as it stands; known: {', '.join(known)}"


class Compat(BaseModel):
    """The known keys of `compat`; others are kept in `model_extra` and do nothing."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, strict=True)

    supports_developer_role: bool | None = Field(default=None, alias="supportsDeveloperRole")
    supports_reasoning_effort: bool | None = Field(default=None, alias="supportsReasoningEffort")
    supports_usage_in_streaming: bool | None = Field(default=None, alias="supportsUsageInStreaming")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        default=None, alias="maxTokensField"
    )
    requires_tool_result_name: bool | None = Field(default=None, alias="requiresToolResultName")
    requires_assistant_after_tool_result: bool | None = Field(
        default=None, alias="requiresAssistantAfterToolResult"
    )
    requires_thinking_as_text: bool | None = Field(default=None, alias="requiresThinkingAsText")
    requires_reasoning_content_on_assistant_messages: bool | None = Field(
        default=None, alias="requiresReasoningContentOnAssistantMessages"
    )
    thinking_format: str | None = Field(default=None, alias="thinkingFormat")
    supports_strict_mode: bool | None = Field(default=None, alias="supportsStrictMode")
    chat_template_kwargs: dict[str, Any] | None = Field(default=None, alias="chatTemplateKwargs")

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return list(self.said().items())

    def over(self, below: Compat) -> Compat:
        """These keys over those of `below`."""
        return Compat.model_validate({**below.said(), **self.said()})

    def said(self) -> dict[str, Any]:
        """What the files say, by their own keys."""
        return {k: v for k, v in self.model_dump(by_alias=True, exclude_unset=True).items() if v is not None}


class ModelTraits(Protocol):
    """What `apply_compat` asks of a model's settings."""

    @property
    def reasoning(self) -> bool | None:
        """Whether the model can think; None: not known."""

    @property
    def thinking_levels(self) -> Mapping[str, str | None]:
        """`thinkingLevelMap`: what the provider calls a level; None where it has no such level."""


def apply_compat(
    request: Mapping[str, Any],
    compat: Compat,
    model: ModelTraits | None = None,
    *,
    thinking: str | None = None,
    keep_reasoning: bool | None = None,
) -> Request:
    """The request as the provider's endpoint takes it; `request` itself is not changed.

    Args:
        request: the body of a `/chat/completions` request.
        compat: what the endpoint needs, merged (provider, model, override).
        model: the model's settings.
        thinking: a level of `LEVELS`, or `on`; None: `request["reasoning_effort"]`, else nothing is asked for.
        keep_reasoning: whether the history keeps the reasoning of earlier answers; None: only if `compat` says
            that the provider needs it.
    """
    body = dict(request)
    body["messages"] = [dict(m) if isinstance(m, Mapping) else m for m in request.get("messages") or ()]
    for step in _STEPS:
        step(body, compat)
    _reasoning_of_history(body["messages"], compat, keep_reasoning)
    _thinking(body, compat, model, thinking)
    return body


# --- one step a key -----------------------------------------------------------------------------------------


def _max_tokens(body: Request, compat: Compat) -> None:
    wanted = compat.max_tokens_field
    if wanted is None:
        return
    other = "max_completion_tokens" if wanted == "max_tokens" else "max_tokens"
    if other in body:
        value = body.pop(other)
        body.setdefault(wanted, value)


def _developer(body: Request, compat: Compat) -> None:
    if compat.supports_developer_role is False:
        for message in _of_role(body, "developer"):
            message["role"] = "system"


def _usage(body: Request, compat: Compat) -> None:
    if compat.supports_usage_in_streaming is False and "stream_options" in body:
        options = {k: v for k, v in dict(body.pop("stream_options") or {}).items() if k != "include_usage"}
        if options:
            body["stream_options"] = options


def _strict(body: Request, compat: Compat) -> None:
    if compat.supports_strict_mode is not False or not body.get("tools"):
        return
    tools = []
    for tool in body["tools"]:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if isinstance(function, Mapping) and "strict" in function:
            tool = {**tool, "function": {k: v for k, v in function.items() if k != "strict"}}
        tools.append(tool)
    body["tools"] = tools


def _tool_result_name(body: Request, compat: Compat) -> None:
    if not compat.requires_tool_result_name:
        return
    names: dict[Any, str] = {}
    for message in body["messages"]:
        if not isinstance(message, dict):
            continue
        for call in message.get("tool_calls") or ():
            function = call.get("function") if isinstance(call, Mapping) else None
            if isinstance(function, Mapping):
                names[call.get("id")] = str(function.get("name") or "")
        if message.get("role") == "tool" and not message.get("name"):
            name = names.get(message.get("tool_call_id"))
            if name:
                message["name"] = name


def _answer_after_results(body: Request, compat: Compat) -> None:
    if not compat.requires_assistant_after_tool_result:
        return
    out: list[Any] = []
    for message in body["messages"]:
        role = message.get("role") if isinstance(message, dict) else None
        before = out[-1].get("role") if out and isinstance(out[-1], dict) else None
        if before == "tool" and role == "user":
            out.append({"role": "assistant", "content": _BETWEEN})
        out.append(message)
    body["messages"] = out


_STEPS: tuple[Callable[[Request, Compat], None], ...] = (
    _max_tokens,
    _developer,
    _usage,
    _strict,
    _tool_result_name,
    _answer_after_results,
)


def _of_role(body: Request, role: str) -> list[dict[str, Any]]:
    return [m for m in body["messages"] if isinstance(m, dict) and m.get("role") == role]


def _reasoning_of_history(messages: list[Any], compat: Compat, keep: bool | None) -> None:
    must = bool(compat.requires_reasoning_content_on_assistant_messages)
    as_text = bool(compat.requires_thinking_as_text)
    keeping = keep if keep is not None else must or as_text
    for message in messages:
        if not isinstance(message, dict) or message.get("role") != "assistant":
            continue
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        if not keeping or as_text:
            message.pop("reasoning_content", None)
            message.pop("reasoning", None)
        if keeping and as_text and isinstance(reasoning, str) and reasoning:
            text = _THINKING_TEXT.format(reasoning)
            content = message.get("content")
            if isinstance(content, list):
                message["content"] = [{"type": "text", "text": text}, *content]
            else:
                message["content"] = f"{text}\n\n{content}" if content else text
        if must and not isinstance(message.get("reasoning_content"), str):
            message["reasoning_content"] = reasoning if keeping and isinstance(reasoning, str) else ""


# --- thinking -----------------------------------------------------------------------------------------------


def _thinking(body: Request, compat: Compat, model: ModelTraits | None, level: str | None) -> None:
    asked = body.pop("reasoning_effort", None) if "reasoning_effort" in body else None
    level = level if level is not None else asked
    if level is None or (model is not None and model.reasoning is False):
        return
    level = "off" if str(level).lower() in _OFF else str(level)
    levels = model.thinking_levels if model is not None else {}
    on = level != "off"
    effort = None if level == "on" else _effort(level, levels)
    write = _FORMATS.get(compat.thinking_format or "reasoning_effort")
    if write is not None:
        write(body, compat, on, effort, level)


def _effort(level: str, levels: Mapping[str, str | None]) -> str | None:
    """What the provider calls the level; one that it has not is the next higher that it has, else the next lower."""
    if level not in levels:
        return None if level == "off" else level
    if levels[level] is not None or level == "off" or level not in LEVELS:
        return levels[level]
    at = LEVELS.index(level)
    for other in (*LEVELS[at + 1 :], *reversed(LEVELS[1:at])):
        name = levels.get(other, other if other not in ("xhigh", "max") else None)
        if name is not None:
            return name
    return None


def _put_effort(body: Request, compat: Compat, effort: str | None) -> None:
    if effort is not None and compat.supports_reasoning_effort is not False:
        body["reasoning_effort"] = effort


def _as_effort(body: Request, compat: Compat, on: bool, effort: str | None, level: str) -> None:
    # Off has no name that all know; only the map can give one.
    _put_effort(body, compat, effort)


def _as_qwen(body: Request, compat: Compat, on: bool, effort: str | None, level: str) -> None:
    body["enable_thinking"] = on


def _as_qwen_template(body: Request, compat: Compat, on: bool, effort: str | None, level: str) -> None:
    body["chat_template_kwargs"] = {**(body.get("chat_template_kwargs") or {}), "enable_thinking": on}


def _as_template(body: Request, compat: Compat, on: bool, effort: str | None, level: str) -> None:
    values: dict[str, Any] = dict(body.get("chat_template_kwargs") or {})
    for name, value in (compat.chat_template_kwargs or {}).items():
        if not isinstance(value, Mapping):
            values[name] = value
        elif on or not value.get("omitWhenOff"):
            found = on if value.get("$var") == "thinking.enabled" else effort
            if found is not None:
                values[name] = found
    if values:
        body["chat_template_kwargs"] = values


def _as_type(body: Request, compat: Compat, on: bool, effort: str | None, level: str) -> None:
    body["thinking"] = {"type": "enabled" if on else "disabled"}
    # DeepSeek and Z.ai take an effort beside it only where the file says so or the level's map gives one.
    if on and compat.supports_reasoning_effort:
        _put_effort(body, compat, effort)


def _as_together(body: Request, compat: Compat, on: bool, effort: str | None, level: str) -> None:
    body["reasoning"] = {"enabled": on}
    if on and compat.supports_reasoning_effort:
        _put_effort(body, compat, effort)


def _as_openrouter(body: Request, compat: Compat, on: bool, effort: str | None, level: str) -> None:
    if on and effort is None:
        body["reasoning"] = {"enabled": True}
    else:
        body["reasoning"] = {"effort": effort if effort is not None else "none"}


def _as_string(body: Request, compat: Compat, on: bool, effort: str | None, level: str) -> None:
    body["thinking"] = (effort or level) if on else effort or "none"


_FORMATS: dict[str, Callable[[Request, Compat, bool, str | None, str], None]] = {
    "reasoning_effort": _as_effort,
    "openai": _as_effort,
    "qwen": _as_qwen,
    "qwen-chat-template": _as_qwen_template,
    "chat-template": _as_template,
    "deepseek": _as_type,
    "zai": _as_type,
    "together": _as_together,
    "openrouter": _as_openrouter,
    "string-thinking": _as_string,
}
