"""Chat completion chunks as the events of a streamed message.

The order is `message_start`, the content blocks one after the other (`content_block_start`, its deltas,
`content_block_stop`), `message_delta` with why it ended and the usage, `message_stop`; or, if the gateway broke off,
`error` at the end. Nothing is held back but what must wait for its turn (adapter/blocks.py), and the last two events,
which wait for `close()` because usage may come after everything else. Usage is not known at the start: the counts of
`message_delta` are the whole answer's, and SDKs let them overwrite the zeros of `message_start`.

A call that was cut is told as the API itself does it: the deltas of its input end where the model did, which is no
JSON, and the message stops for `max_tokens`. Before an `error` its block is not even closed, since agents run a call
when its block stops. `WireOptions(incomplete="drop")` gives out calls only when they are whole.

Thinking is signed, because clients send back only what is; the signature says nothing, and nobody checks it here. It
is left out where the request turned thinking off, since such a client does not look for it, and reads the first
block as the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..adapter.blocks import Block, Blocks, Step
from ..adapter.history import INVALID
from ..adapter.ids import new_id, tool_use_id
from ..adapter.pieces import Reader
from .answer import error_object, stop_of, usage_object

__all__ = ["Event", "MessagesStream"]

Event = tuple[str, dict[str, Any]]

_SIGNATURE = "aGFtci1wYXJzZXJz"  # base64, as Anthropic's are
_DELTAS = {
    "text": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
    "call": ("input_json_delta", "partial_json"),
}


class MessagesStream:
    """One answer. Events are (name, payload); the payload's `type` is the name.

    Args:
        request: the body of the request.
        thinking: whether reasoning is given out; None: unless the request's `thinking` is `disabled`.
    """

    def __init__(self, request: Mapping[str, Any], *, thinking: bool | None = None) -> None:
        self._request = request
        if thinking is None:
            asked = request.get("thinking")
            thinking = not (isinstance(asked, Mapping) and asked.get("type") == "disabled")
        self._thinking = thinking
        self._reader = Reader()
        self._blocks = Blocks()
        self._id = new_id("msg")
        self._index = -1
        self._started = self._finished = self._closed = False

    def start(self) -> list[Event]:
        """`message_start`, if it was not given yet: before any chunk came, to answer at once."""
        if self._started:
            return []
        self._started = True
        return [_event("message_start", message=self._message())]

    def feed(self, chunk: Mapping[str, Any]) -> list[Event]:
        """The events of one chunk in the safe shape. After `close()` there are none."""
        if self._closed:
            return []
        pieces = list(self._reader.read(chunk))
        out = self.start()
        if not self._finished:
            for piece in pieces:
                if self._thinking or piece.kind != "reasoning":
                    self._tell(self._blocks.feed(piece), out)
            if not self._cut():
                self._end(False, out)
        return out

    def close(self, error: BaseException | None = None) -> list[Event]:
        """The last events; a second call gives none.

        Args:
            error: what broke the answer off (`ChatNormalizer.error`), if anything did.
        """
        if self._closed:
            return []
        out = self.start()
        self._closed = True
        self._end(True, out)  # it was cut, or is over already
        if error is not None:
            last = self._blocks.all[-1] if self._blocks.all else None
            if last is not None and last.kind == "call" and not last.complete:
                out.pop()  # its `content_block_stop`
            out.append(("error", error_object(error)))
        else:
            out.append(_event("message_delta", delta=self._stop(), usage=usage_object(self._reader.usage)))
            out.append(_event("message_stop"))
        return out

    def message(self) -> dict[str, Any]:
        """The whole message, after `close()`.

        The input of a call is an object: a call that was cut has none, and is left out; what a call holds that is not
        an object, in an answer that was not cut, stands under `INVALID_JSON`.
        """
        content = [told for block in self._blocks.all for told in _whole(block, self._cut())]
        return {
            **self._message(),
            "content": content,
            **self._stop(),
            "usage": usage_object(self._reader.usage),
        }

    # -- parts ---------------------------------------------------------------------------------------------------

    def _message(self) -> dict[str, Any]:
        model = self._request.get("model")
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": model if isinstance(model, str) and model else self._reader.model or "",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(None),
        }

    def _stop(self) -> dict[str, Any]:
        return stop_of(self._reader, any(block.kind == "call" for block in self._blocks.all), self._request)

    def _cut(self) -> bool:
        return self._reader.finish in ("length", "content_filter", None)

    def _end(self, cut: bool, out: list[Event]) -> None:
        if not self._finished:
            self._finished = True
            self._tell(self._blocks.end(cut), out)

    def _tell(self, steps: list[Step], out: list[Event]) -> None:
        for step in steps:
            block = step.block
            if step.kind == "open":
                self._index += 1
                out.append(_event("content_block_start", index=self._index, content_block=_opened(block)))
            elif step.kind == "more":
                kind, key = _DELTAS[block.kind]
                out.append(self._delta({"type": kind, key: step.text}))
            else:
                if block.kind == "reasoning":
                    out.append(self._delta({"type": "signature_delta", "signature": _SIGNATURE}))
                out.append(_event("content_block_stop", index=self._index))

    def _delta(self, delta: dict[str, Any]) -> Event:
        return _event("content_block_delta", index=self._index, delta=delta)


def _event(name: str, /, **payload: Any) -> Event:
    return name, {"type": name, **payload}


def _opened(block: Block) -> dict[str, Any]:
    if block.kind == "text":
        return {"type": "text", "text": ""}
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "tool_use", "id": tool_use_id(block.id), "name": block.name, "input": {}}


def _whole(block: Block, cut: bool) -> list[dict[str, Any]]:
    told = _opened(block)
    if block.kind == "text":
        told["text"] = block.text
    elif block.kind == "reasoning":
        told |= {"thinking": block.text, "signature": _SIGNATURE}
    else:
        arguments = block.arguments()
        if arguments is None and cut:
            return []
        told["input"] = {INVALID: block.text} if arguments is None else arguments
    return [told]
