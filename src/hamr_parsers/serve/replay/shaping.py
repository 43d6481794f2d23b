"""What is said, in the shape of a kind of gateway: chunks of a stream, or a whole chat completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from .kinds import Kind
from .saying import REQUEST
from .scenario import Scenario
from .shape import CallDelta, Chunk, Part, Say, SayCall, Saying

__all__ = ["CREATED", "chunks_of", "error_body", "model_entry", "models_body", "response_of"]

CREATED = 1_764_000_000  # one time for all: a stream is the same whenever it is played


def _head(kind: Kind, model: str, what: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{REQUEST}",
        "object": what,
        "created": CREATED,
        "model": model,
        **kind.chunk,
    }


def _usage(sayings: Sequence[Saying], prompt: int) -> dict[str, int]:
    told = sum(saying.tokens for saying in sayings)
    return {"prompt_tokens": prompt, "completion_tokens": told, "total_tokens": prompt + told}


def chunks_of(sayings: Sequence[Saying], kind: Kind, model: str, usage: bool, prompt: int) -> list[Chunk]:
    """The chunks of a stream; those of several choices take turns."""
    head = _head(kind, model, "chat.completion.chunk")
    streams = [_Choice(kind, head, number).chunks(saying) for number, saying in enumerate(sayings)]
    chunks = [chunk for row in zip_longest(*streams) for chunk in row if chunk is not None]
    counts = _usage(sayings, prompt)
    if not (usage or kind.usage_always):
        return chunks
    if kind.usage == "in-finish":
        last = next(chunk for chunk in reversed(chunks) if chunk.part == "finish")
        last["usage"] = counts
    elif kind.usage == "after-finish":
        chunks.append(Chunk({**head, "choices": [{"index": 0, "delta": {}}], "usage": counts}, "usage"))
    else:
        chunks.append(Chunk({**head, "choices": [], "usage": counts}, "usage"))
    return chunks


class _Choice:
    """Makes the chunks of one choice."""

    def __init__(self, kind: Kind, head: Mapping[str, Any], number: int) -> None:
        self.kind = kind
        self.head = head
        self.number = number

    def chunk(self, delta: dict[str, Any], part: Part, finish: str | None = None) -> Chunk:
        choice = {"index": self.number, "delta": delta, **self.kind.choice, "finish_reason": finish}
        return Chunk({**self.head, "choices": [choice]}, part, self.number)

    def chunks(self, saying: Saying) -> list[Chunk]:
        kind = self.kind
        first: dict[str, Any] = {"role": "assistant"}
        if kind.first != "absent":
            first["content"] = None if kind.first == "null" else ""
        made = [self.chunk(first, "role")]
        made[0].update(kind.first_chunk)
        count = 0
        for piece in saying.pieces:
            if isinstance(piece, Say):
                field = kind.reasoning if piece.channel == "reasoning" else "content"
                part: Part = "reasoning" if piece.channel == "reasoning" else "content"
                made.append(self.chunk({**kind.every_delta, field: piece.text}, part))
            else:
                made += [
                    self.chunk({**kind.every_delta, "tool_calls": [entry]}, "call")
                    for entry in self.entries(piece, count)
                ]
                count += 1
        if saying.cut and kind.length_on_delta and made[-1].part == "call":
            choice = made[-1].choice
            assert choice is not None
            choice["finish_reason"] = saying.finish
            made[-1].part = "finish"
            return made
        made.append(self.chunk({}, "finish", saying.finish))
        return made

    def entries(self, call: SayCall, number: int) -> list[CallDelta]:
        """The entries of one call, one a chunk."""
        kind = self.kind
        index = 0 if kind.index == "zero" else number
        pieces = list(call.arguments)
        function: dict[str, Any] = {"name": call.name}
        if kind.arguments == "whole":
            function["arguments"], pieces = "".join(pieces), []
        elif kind.arguments == "{":
            function["arguments"] = pieces[0][0] if pieces else ""
            pieces = [pieces[0][1:], *pieces[1:]] if pieces and pieces[0][1:] else pieces[1:]
        elif kind.arguments == "":
            function["arguments"] = ""
        made = [
            CallDelta({"index": index, "id": call.id, "type": "function", "function": function}, number, True)
        ]
        for piece in pieces:
            later = {"index": index, **kind.later, "function": {**kind.later_function, "arguments": piece}}
            made.append(CallDelta(later, number, False))
        made[-1].last = True
        return made


def response_of(sayings: Sequence[Saying], kind: Kind, model: str, prompt: int) -> dict[str, Any]:
    """A whole chat completion."""
    choices = []
    for number, saying in enumerate(sayings):
        calls = [
            CallDelta(
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.arguments)},
                },
                index,
                True,
                True,
            )
            for index, call in enumerate(saying.calls)
        ]
        content = saying.text("content")
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content or (None if calls else ""),
            **kind.message,
        }
        reasoning = saying.text("reasoning")
        if reasoning:
            message[kind.reasoning] = reasoning
        if calls:
            message["tool_calls"] = calls
        choices.append(
            {"index": number, "message": message, "logprobs": None, "finish_reason": saying.finish}
        )
    return {
        **_head(kind, model, "chat.completion"),
        "choices": choices,
        "usage": _usage(sayings, prompt),
    }


def model_entry(scenario: Scenario, kind: Kind) -> dict[str, Any]:
    """An entry of `/v1/models`."""
    return {
        "id": scenario.id,
        "object": "model",
        "created": CREATED,
        "owned_by": kind.owned_by,
        **kind.model_entry,
    }


def models_body(scenarios: Sequence[Scenario], kind: Kind) -> dict[str, Any]:
    """The answer of `/v1/models`."""
    body: dict[str, Any] = {"object": "list", "data": [model_entry(scenario, kind) for scenario in scenarios]}
    if kind.models_key:
        body[kind.models_key] = [
            {"name": s.id, "model": s.id, "capabilities": ["completion"]} for s in scenarios
        ]
    return body


def error_body(kind: Kind, status: int, message: str, code: str) -> dict[str, Any]:
    """An error object, as the kind writes it."""
    if kind.error == "detail":
        return {"detail": message}
    if kind.error == "llamacpp":
        return {"error": {"code": status, "message": message, "type": code}}
    if kind.error == "vllm":
        words = "".join(word.title() for word in code.split("_"))
        return {"error": {"message": message, "type": words, "param": None, "code": status}}
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
