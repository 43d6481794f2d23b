"""Blocks of a message as output items, and the events that tell each of them.

Every item is told by `response.output_item.added`, what it holds, and `response.output_item.done` with the whole of
it: clients such as Codex read only the last.

- Text: a `message` of one `output_text` part.
- Reasoning: a `reasoning` item; its text is `content` (`reasoning_text`), as vLLM and llama.cpp tell it, or, for a
  client that asked for a summary and shows nothing else, its `summary`.
  Clients that keep nothing else of it between turns, and ask for it, get it packed as its `encrypted_content`, too.
- A call: a `function_call`. One that was cut has the status `incomplete`, and arguments that are no JSON.
- A call of a custom tool: a `custom_tool_call`, told when it is whole, since its input is inside JSON. One that was
  cut is told as the `function_call` that it was: a custom call has no status, and half a patch must not be applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..adapter.blocks import Block, Step
from ..adapter.ids import new_id
from .packing import pack
from .tools import ToolNames, custom_input

__all__ = ["Items"]

Told = tuple[str, dict[str, Any]]


class Items:
    """Tells steps as events, without their sequence numbers; `output` is the list of items so far.

    Args:
        names: the request's tools.
        summary: whether reasoning is told as a summary.
        packed: whether reasoning has `encrypted_content`.
    """

    def __init__(self, names: ToolNames, summary: bool, packed: bool) -> None:
        self.output: list[dict[str, Any]] = []
        self._names = names
        self._summary = summary
        self._packed = packed
        self._id = ""

    def tell(self, step: Step) -> Iterator[Told]:
        """The events of a step."""
        kind = step.block.kind
        if kind == "text":
            yield from self._text(step)
        elif kind == "reasoning":
            yield from (self._summed(step) if self._summary else self._thought(step))
        elif self._names.is_custom(step.block.name):
            yield from self._custom(step)
        else:
            yield from self._call(step)

    # -- items ---------------------------------------------------------------------------------------------------

    def _add(self, prefix: str, item: dict[str, Any]) -> Told:
        self._id = new_id(prefix)
        item = {"id": self._id, **item}
        self.output.append(item)
        return "response.output_item.added", {"output_index": len(self.output) - 1, "item": item}

    def _done(self, block: Block, **fields: Any) -> Told:
        item = {**self.output[-1], **fields}
        if "status" in item:
            item["status"] = "completed" if block.complete else "incomplete"
        self.output[-1] = item
        return "response.output_item.done", {"output_index": len(self.output) - 1, "item": item}

    def _inside(self, event: str, **fields: Any) -> Told:
        return f"response.{event}", {"item_id": self._id, "output_index": len(self.output) - 1, **fields}

    # -- kinds ---------------------------------------------------------------------------------------------------

    def _text(self, step: Step) -> Iterator[Told]:
        block = step.block
        if step.kind == "open":
            yield self._add(
                "msg", {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
            )
            yield self._inside("content_part.added", content_index=0, part=_output_text("", []))
        elif step.kind == "more":
            logprobs = _logprobs(step.logprobs or [])
            yield self._inside("output_text.delta", content_index=0, delta=step.text, logprobs=logprobs)
        else:
            text, logprobs = block.text, _logprobs(block.logprobs)
            part = _output_text(text, logprobs)
            yield self._inside("output_text.done", content_index=0, text=text, logprobs=logprobs)
            yield self._inside("content_part.done", content_index=0, part=part)
            yield self._done(block, content=[part])

    def _thought(self, step: Step) -> Iterator[Told]:
        block = step.block
        if step.kind == "open":
            yield self._add(
                "rs", {"type": "reasoning", "summary": [], "content": [], "status": "in_progress"}
            )
            yield self._inside(
                "content_part.added", content_index=0, part={"type": "reasoning_text", "text": ""}
            )
        elif step.kind == "more":
            yield self._inside("reasoning_text.delta", content_index=0, delta=step.text)
        else:
            part = {"type": "reasoning_text", "text": block.text}
            yield self._inside("reasoning_text.done", content_index=0, text=block.text)
            yield self._inside("content_part.done", content_index=0, part=part)
            yield self._done(block, content=[part], **self._pack(block))

    def _summed(self, step: Step) -> Iterator[Told]:
        block = step.block
        if step.kind == "open":
            part = {"type": "summary_text", "text": ""}
            yield self._add("rs", {"type": "reasoning", "summary": [], "status": "in_progress"})
            yield self._inside("reasoning_summary_part.added", summary_index=0, part=part)
        elif step.kind == "more":
            yield self._inside("reasoning_summary_text.delta", summary_index=0, delta=step.text)
        else:
            part = {"type": "summary_text", "text": block.text}
            yield self._inside("reasoning_summary_text.done", summary_index=0, text=block.text)
            yield self._inside("reasoning_summary_part.done", summary_index=0, part=part)
            yield self._done(block, summary=[part], **self._pack(block))

    def _pack(self, block: Block) -> dict[str, str]:
        return {"encrypted_content": pack(block.text)} if self._packed else {}

    def _call(self, step: Step) -> Iterator[Told]:
        block = step.block
        if step.kind == "open":
            named = self._names.named(block.name)
            item = {
                "type": "function_call",
                "status": "in_progress",
                "call_id": block.id,
                "arguments": "",
                **named,
            }
            yield self._add("fc", item)
        elif step.kind == "more":
            yield self._inside("function_call_arguments.delta", delta=step.text)
        else:
            arguments = block.text
            name = self.output[-1]["name"]
            yield self._inside("function_call_arguments.done", name=name, arguments=arguments)
            yield self._done(block, arguments=arguments)

    def _custom(self, step: Step) -> Iterator[Told]:
        block = step.block
        if step.kind != "close":
            return
        arguments = block.arguments()
        if arguments is None:
            yield from self._call(Step("open", block))
            if block.parts:
                yield from self._call(Step("more", block, block.text))
            yield from self._call(step)
            return
        text = custom_input(arguments)
        named = self._names.named(block.name)
        yield self._add("ctc", {"type": "custom_tool_call", "call_id": block.id, "input": "", **named})
        if text:
            yield self._inside("custom_tool_call_input.delta", delta=text)
        yield self._inside("custom_tool_call_input.done", input=text)
        yield self._done(block, input=text)


def _output_text(text: str, logprobs: list[Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _logprobs(entries: list[Any]) -> list[dict[str, Any]]:
    """The chat API's logprobs; `bytes` and `top_logprobs` may not be missing here."""
    return [
        {**_logprob(entry), "top_logprobs": [_logprob(top) for top in entry.get("top_logprobs") or ()]}
        for entry in entries
        if isinstance(entry, dict)
    ]


def _logprob(entry: dict[str, Any]) -> dict[str, Any]:
    token = entry.get("token")
    text = token if isinstance(token, str) else ""
    given = entry.get("bytes")
    as_bytes = given if isinstance(given, list) else list(text.encode("utf-8", "replace"))
    return {"token": text, "bytes": as_bytes, "logprob": entry.get("logprob") or 0.0}
