"""Chat completion chunks as the events of a streamed Response.

The order is `response.created`, `response.in_progress`, the items one after the other (items.py), and one last event:
`response.completed`; `response.incomplete` if the answer was cut by its length or a filter; `response.failed` if the
gateway broke off. Nothing is held back but what must wait for its turn (adapter/blocks.py), the calls of custom tools,
and the last event, which waits for `close()` because usage may come after everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..adapter.blocks import Blocks, Step
from ..adapter.ids import new_id
from ..adapter.pieces import Reader
from .answer import error_object, response_object, usage_object
from .items import Items
from .tools import ToolNames

__all__ = ["Event", "ResponsesStream"]

Event = tuple[str, dict[str, Any]]


class ResponsesStream:
    """One answer. Events are (name, payload); the payload's `type` is the name.

    Args:
        request: the body of the Responses request; the Response repeats its settings.
        reasoning: how reasoning is told: as the reasoning's own text, as its summary, or ("auto") as a summary if the
            request asks for one with `reasoning.summary`.
    """

    def __init__(
        self, request: Mapping[str, Any], *, reasoning: Literal["auto", "text", "summary"] = "auto"
    ) -> None:
        self._request = request
        asked = request.get("reasoning")
        wanted = isinstance(asked, Mapping) and asked.get("summary") not in (None, "none")
        include = request.get("include")
        self._items = Items(
            ToolNames(request),
            summary=reasoning == "summary" or (reasoning == "auto" and wanted),
            packed=isinstance(include, list) and "reasoning.encrypted_content" in include,
        )
        self._reader = Reader()
        self._blocks = Blocks()
        self._number = -1
        self._id = new_id("resp")
        self._started = self._finished = self._closed = False
        self.response: dict[str, Any] = {}
        """The Response as it last was told; after `close()` the final one."""

    def start(self) -> list[Event]:
        """The first two events, if they were not given yet: before any chunk came, to answer at once."""
        if self._started:
            return []
        self._started = True
        model = self._request.get("model")
        named = model if isinstance(model, str) and model else self._reader.model
        self.response = response_object(self._request, self._id, named, self._reader.created)
        return [
            self._event("response.created", response=dict(self.response)),
            self._event("response.in_progress", response=dict(self.response)),
        ]

    def feed(self, chunk: Mapping[str, Any]) -> list[Event]:
        """The events of one chunk in the safe shape. After `close()` there are none."""
        if self._closed:
            return []
        pieces = list(self._reader.read(chunk))
        out = self.start()
        if not self._finished:
            for piece in pieces:
                self._tell(self._blocks.feed(piece), out)
            if self._reader.finish is not None:
                self._end(self._reader.finish in ("length", "content_filter"), out)
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
        finish = self._reader.finish
        self._end(True, out)  # there was no finish reason, or it is over already
        response = {**self.response, "output": self._items.output, "usage": usage_object(self._reader.usage)}
        if error is not None:
            response |= {"status": "failed", "error": error_object(error)}
        elif finish in ("length", "content_filter", None):
            reason = "content_filter" if finish == "content_filter" else "max_output_tokens"
            response |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
        else:
            response |= {"status": "completed"}
        self.response = response
        out.append(self._event(f"response.{response['status']}", response=response))
        return out

    def _end(self, cut: bool, out: list[Event]) -> None:
        if not self._finished:
            self._finished = True
            self._tell(self._blocks.end(cut), out)

    def _tell(self, steps: list[Step], out: list[Event]) -> None:
        for step in steps:
            out += [self._event(name, **payload) for name, payload in self._items.tell(step)]

    def _event(self, name: str, /, **payload: Any) -> Event:
        self._number += 1
        return name, {"type": name, "sequence_number": self._number, **payload}
