"""The messages of a chat request, written from a history that is told as items or blocks.

Theory. Chat templates are stricter than either API. What is kept here for all of them:

- what the developer says before the conversation is one system message at its head; later it is a user's message,
  since many templates refuse a system message further down (Qwen's, Mistral's);
- an assistant's reasoning, text and calls, which the APIs tell as several items, are one message, up to the next
  thing that is not the assistant's;
- results follow at once as `tool` messages, in their order. What cannot stand in one (images), and what the user said
  beside them, is a user's message after the last of them;
- content of nothing but text is a string, since many templates know no parts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..fields import ReasoningField, reasoning_fields
from ..json_text import is_object
from .errors import BadRequestError, expect

__all__ = [
    "ChatRequest",
    "History",
    "ReasoningField",
    "argument_text",
    "ask_thinking",
    "read_object",
    "words",
]

INVALID = "INVALID_JSON"
"""The key for arguments that are no JSON object, as Anthropic's documentation has it."""

_EFFORTS = {"none": "none", "minimal": "low", "low": "low", "medium": "medium"} | dict.fromkeys(
    ("high", "xhigh", "max"), "high"
)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion request that was another API's.

    Attributes:
        body: the JSON body for `/chat/completions`, and for `Exchange`.
        remarks: what was left out of it and why, a sentence each, for a log.
    """

    body: dict[str, Any]
    remarks: tuple[str, ...] = ()


class History:
    """Collects messages; `finish()` gives them.

    Args:
        reasoning: the field for an assistant's earlier reasoning; servers differ in which they read.
    """

    def __init__(self, reasoning: ReasoningField = "reasoning_content") -> None:
        self._fields = reasoning_fields(reasoning)
        self._system: list[str] = []
        self._messages: list[dict[str, Any]] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._said = False  # the assistant, even if it was nothing
        self._after: list[dict[str, Any]] = []  # parts that wait for the last result

    def system(self, text: str) -> None:
        """Instructions."""
        if not text:
            return
        if self._messages or self._assistant_open():
            self.user([{"type": "text", "text": text}])
        else:
            self._system.append(text)

    def user(self, parts: list[dict[str, Any]]) -> None:
        """A user's message, as parts of the chat API."""
        self._flush()
        self._messages.append({"role": "user", "content": _content(parts)})

    def text(self, text: str) -> None:
        """The assistant said so."""
        self._results_over()
        self._said = True
        self._text.append(text)

    def reasoning(self, text: str) -> None:
        """The assistant thought so."""
        self._results_over()
        if text:
            self._reasoning.append(text)

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """The assistant called a function.

        Arguments that are no JSON object, as those of a call that was cut, stand under `INVALID_JSON`: servers and
        templates read them, and would refuse this request and each that follows it.
        """
        self._results_over()
        if not is_object(arguments):
            arguments = argument_text({INVALID: arguments}) if arguments.strip() else "{}"
        function = {"name": name, "arguments": arguments}
        self._calls.append({"id": call_id, "type": "function", "function": function})

    def result(self, call_id: str, parts: list[dict[str, Any]], failed: bool = False) -> None:
        """What a call gave. Of its parts only text can stand in a `tool` message; the others follow the results."""
        self._flush_assistant()
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        rest = [part for part in parts if part["type"] != "text"]
        if failed and not text.lstrip().lower().startswith(("error", "<tool_use_error>")):
            text = f"Error: {text}" if text else "Error"
        if rest and not text:
            text = "(the result is in the next user message)"
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": text})
        self._after += rest

    def beside(self, parts: list[dict[str, Any]]) -> None:
        """What the user said in the same breath as results: it follows the last of them."""
        self._flush_assistant()
        self._after += parts

    def finish(self) -> list[dict[str, Any]]:
        """All the messages. One of the user's is among them, since templates refuse a prompt without any."""
        self._flush()
        head = [{"role": "system", "content": "\n\n".join(self._system)}] if self._system else []
        if not self._messages:
            self._messages.append({"role": "user", "content": ""})
        return head + self._messages

    def _assistant_open(self) -> bool:
        return bool(self._said or self._reasoning or self._calls)

    def _flush(self) -> None:
        self._flush_assistant()
        self._results_over()

    def _results_over(self) -> None:
        if self._after:
            self._messages.append({"role": "user", "content": _content(self._after)})
            self._after = []

    def _flush_assistant(self) -> None:
        if not self._assistant_open():
            return
        text = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not self._calls else None}
        if self._reasoning:
            message |= dict.fromkeys(self._fields, "\n".join(self._reasoning))
        if self._calls:
            message["tool_calls"] = self._calls
        self._messages.append(message)
        self._text, self._reasoning, self._calls, self._said = [], [], [], False


def _content(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def ask_thinking(body: dict[str, Any], off: bool, effort: str | None, field: str) -> None:
    """Set the fields of a chat request that ask for thinking, or for none; the client's own switch counts.

    Local servers know two ways: `reasoning_effort` (Ollama, LM Studio, gpt-oss everywhere) and the template's own
    switch, `enable_thinking` or `thinking` (vLLM, SGLang, llama.cpp). Both turn it off; each passes over the other.
    On, the switch is left as the model has it: agents ask every model to think, and a model that cannot would be read
    as if all that it says were thought.

    Args:
        body: the chat request, which may have the switch already.
        off: whether the request turns thinking off.
        effort: how much; words that local models do not know become the nearest one that they do.
        field: the name of the request's field, for the error.

    Raises:
        BadRequestError: `effort` is no known word.
    """
    if effort is not None and effort not in _EFFORTS:
        raise BadRequestError(field, f"must be one of {', '.join(_EFFORTS)}, not {effort!r}")
    if off or effort == "none":
        body["reasoning_effort"] = "none"
        given = body.get("chat_template_kwargs")
        switch = {"enable_thinking": False, "thinking": False}
        body["chat_template_kwargs"] = {**switch, **given} if isinstance(given, Mapping) else switch
    elif effort is not None:
        body["reasoning_effort"] = _EFFORTS[effort]


def argument_text(value: object) -> str:
    """A call's arguments as JSON text."""
    return json.dumps(value, ensure_ascii=False)


def read_object(value: object, field: str) -> Mapping[str, Any]:
    """`value`, if it is a JSON object.

    Raises:
        BadRequestError: it is not.
    """
    found: Mapping[str, Any] = expect(value, Mapping, field, "an object")
    return found


def words(text: str) -> frozenset[str]:
    """The words of a text: a set of names that is pleasant to read."""
    return frozenset(text.split())
