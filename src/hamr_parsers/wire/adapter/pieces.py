"""Chat completion chunks taken apart: text, reasoning, calls, and what is known of the whole answer.

Chunks are in the safe shape, as `Exchange.normalizer()` gives them; anything else in them is passed over. Of several
choices only the first is read, since the other two APIs know one answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .usage import Usage

__all__ = ["Piece", "Reader", "chunks_of"]


@dataclass(slots=True)
class Piece:
    """A bit of the message. `text` is more text, more reasoning or more of a call's arguments.

    Attributes:
        call: the call's index in the chat API; None for text and reasoning.
        id: the call's id, where a call begins.
        name: the function's name, where a call begins.
        logprobs: of text, as the chat API tells them.
    """

    kind: Literal["text", "reasoning", "call"]
    text: str
    call: int | None = None
    id: str | None = None
    name: str | None = None
    logprobs: list[Any] | None = None


class Reader:
    """Reads the chunks of one answer.

    Attributes:
        finish: the finish reason, once it came.
        stop: the stop sequence that ended the answer, where the server tells it (vLLM's `stop_reason`).
        usage: the counts, once they came.
        model: the model that the chunks name.
        created: their time, in seconds.
    """

    def __init__(self) -> None:
        self.finish: str | None = None
        self.stop: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.created: int | None = None

    def read(self, chunk: Mapping[str, Any]) -> Iterator[Piece]:
        """The pieces of a chunk, in their order."""
        model, created = chunk.get("model"), chunk.get("created")
        if self.model is None and isinstance(model, str) and model:
            self.model = model
        if self.created is None and isinstance(created, (int, float)) and not isinstance(created, bool):
            self.created = int(created)
        self.usage = Usage.read(chunk.get("usage")) or self.usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and (choice.get("index") or 0) == 0:
                yield from self._choice(choice)

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Piece]:
        delta = choice.get("delta")
        if isinstance(delta, Mapping):
            reasoning = delta.get("reasoning_content") or delta.get(
                "reasoning"
            )  # with "both", each says it all
            if isinstance(reasoning, str) and reasoning:
                yield Piece("reasoning", reasoning)
            for text in (delta.get("content"), delta.get("refusal")):
                if isinstance(text, str) and text:
                    yield Piece("text", text, logprobs=_logprobs(choice))
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                if isinstance(call, Mapping) and type(call.get("index")) is int:
                    yield _call(call)
        finish, stop = choice.get("finish_reason"), choice.get("stop_reason")
        if isinstance(finish, str) and finish:
            self.finish = finish
        if isinstance(stop, str) and stop:
            self.stop = stop


def _call(call: Mapping[str, Any]) -> Piece:
    function = call.get("function")
    values = function if isinstance(function, Mapping) else {}
    id, name, arguments = (
        value if isinstance(value, str) and value else None
        for value in (call.get("id"), values.get("name"), values.get("arguments"))
    )
    return Piece("call", arguments or "", call["index"], id, name)


def _logprobs(choice: Mapping[str, Any]) -> list[Any] | None:
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    return content if isinstance(content, list) and content else None


def chunks_of(completion: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A whole chat completion as the chunks that it could have come in, so that both have one way to go."""
    head = {key: completion.get(key) for key in ("id", "created", "model")}
    choices = completion.get("choices")
    for choice in choices[:1] if isinstance(choices, list) else ():
        message = choice.get("message") or {}
        said = ("reasoning_content", "reasoning", "content", "refusal")
        delta = {key: message[key] for key in said if message.get(key)}
        calls = [{**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())]
        if calls:
            delta["tool_calls"] = calls
        first = {"index": 0, "delta": delta, "logprobs": choice.get("logprobs")}
        yield {**head, "choices": [first]}
        last = {"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason")}
        yield {**head, "choices": [{**last, "stop_reason": choice.get("stop_reason")}]}
    yield {**head, "choices": [], "usage": completion.get("usage")}
