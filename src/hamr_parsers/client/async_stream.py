"""An answer as it comes: `AsyncChatStream`.

Theory. One task does all the traffic and puts what comes of it into a short queue, from which the caller takes:
so notices reach a caller who waits, a slow caller slows down the gateway, and cancelling is cancelling one task. The
queue ends with None, or with the error that ended the answer, after all that came before it.

The task knows nothing of the `AsyncChatStream` that the caller holds: so one that was left in the middle (a `break`
without `with`) can be collected, and that ends the task, and with it what the gateway generates for nobody.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Union

from ..events import Event
from ..message import ParsedMessage
from ..wire import ChatNormalizer, Report, SSEDecoder, SSEEvent, UpstreamError
from ..wire.collect import Collector
from .answer import read_answer
from .errors import ClientError, GatewayError, UnknownModelError
from .failure import Asked, in_stream, no_models
from .notices import Notice
from .request import Prepared
from .transfer import Transfer, read_whole

if TYPE_CHECKING:
    import httpx2

    from .async_chat import AsyncChatClient

__all__ = ["AsyncChatStream", "StreamEvent"]

#: What a stream yields: the events of the parser, and notices.
StreamEvent = Union[Event, Notice]

_QUEUED = 64  # events that wait for the caller
_START = 4096
# Seconds that a gateway gets to end its response after `[DONE]`, so that the connection can be kept.
_DRAIN = 0.5


class AsyncChatStream:
    """An answer as it comes. Use it as `async with client.stream(...) as stream:` and iterate.

    One that is no longer held by anything is cancelled.

    Attributes:
        cancelled: whether it was cancelled.
    """

    def __init__(self, client: AsyncChatClient, make: Callable[[], Awaitable[Prepared]]) -> None:
        self._client = client
        self._traffic = _Traffic(client, make)
        weakref.finalize(self, self._traffic.leave).atexit = False
        self._over = False
        self.cancelled = False

    # -- for the caller ----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        if self._over:
            raise StopAsyncIteration
        self._traffic.start()
        item = await self._traffic.queue.get()
        if item is None or isinstance(item, BaseException):
            self._over = True
            if item is None:
                raise StopAsyncIteration
            raise item
        if isinstance(item, Notice):
            await self._client._tell(item)
        return item

    async def aclose(self) -> None:
        """End the answer: what still comes is not read. Does nothing once it is over."""
        task, queue, was_over = self._traffic.task, self._traffic.queue, self._over
        self._over = True
        if task is None or task.done():
            return
        if not was_over:
            self.cancelled = True
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)  # for whoever waits for the next event

    cancel = aclose

    @property
    def message(self) -> ParsedMessage:
        """What came so far; at the end, the whole message. After an error or a cancel: what had come, with
        `finish_reason` "length" and a call that was cut marked so."""
        return self._traffic.collector.message

    @property
    def finish_reason(self) -> str | None:
        """Why it ended; None while it runs."""
        return self._traffic.collector.finish_reason

    @property
    def usage(self) -> dict[str, Any] | None:
        """Tokens, as the gateway counted them, if it said."""
        return self._traffic.collector.usage

    @property
    def model(self) -> str | None:
        """The model's name, as the gateway has it."""
        return self._traffic.collector.model

    @property
    def report(self) -> Report:
        """What the wire layer mended."""
        normalizer = self._traffic.normalizer
        return normalizer.report if normalizer is not None else Report()


class _Traffic:
    """What one stream sends and reads.

    Attributes:
        task: what does it, once it was started.
        queue: what comes of it; its last item is None, or an error.
    """

    def __init__(self, client: AsyncChatClient, make: Callable[[], Awaitable[Prepared]]) -> None:
        self._client = client
        self._make = make
        self.queue: asyncio.Queue[StreamEvent | BaseException | None] = asyncio.Queue(_QUEUED)
        self.task: asyncio.Task[None] | None = None
        self.collector = Collector()
        self.normalizer: ChatNormalizer | None = None

    def start(self) -> None:
        """Send the request, if it was not sent yet."""
        if self.task is None:
            self.task = asyncio.ensure_future(self._pump())

    def leave(self) -> None:
        """Nobody holds the stream any more: end it. Called in any thread, at any time."""
        if self.task is not None and not self.task.done():
            self._client._left(self.task, self)

    async def _pump(self) -> None:
        """Everything that happens, into the queue; its last item is None, or an error."""
        end: BaseException | None = None
        try:
            await self._exchange()
        except asyncio.CancelledError:
            self._finish(died=True)
            raise
        except Exception as error:
            end = error
        await self.queue.put(end)

    async def _exchange(self) -> None:
        client = self._client
        for notice in client._warnings():
            await self.queue.put(notice)
        prepared = await self._make()
        await client._settled()
        with client._uses(prepared.model, self):
            asked = client._asked(client._chat_url, prepared)
            self.normalizer = prepared.exchange.normalizer()
            self.collector = Collector(self.normalizer.report)
            transfer = client._transfer(
                "POST", asked, prepared.headers, prepared.body, client.timeout, self.queue.put
            )
            try:
                response = await transfer.open()
                kind = response.headers.get("content-type", "").lower()
                if "text/event-stream" in kind or not ("json" in kind or "html" in kind):
                    await self._events(asked, transfer, response)
                else:
                    await self._whole(asked, transfer, response, prepared)
            except UnknownModelError as error:
                raise await client._with_nearest(error) from None

    async def _events(self, asked: Asked, transfer: Transfer, response: httpx2.Response) -> None:
        decoder = SSEDecoder()
        reading = _Reading(asked, transfer)
        try:
            async with aclosing(transfer.pieces(response)) as pieces:
                async for piece in pieces:
                    reading.note(piece)
                    await self._take(decoder.feed(piece), reading)
                    if reading.error is not None or reading.done:
                        break
                if reading.done:
                    await _drain(pieces)
            if not reading.done and reading.error is None:
                await self._take(decoder.close(), reading)
        except UpstreamError as error:  # an event too large to be read
            reading.error = error
        except ClientError:
            await self._put(self._finish(died=True))
            raise
        if reading.error is not None:
            await self._put(self._finish(died=True))
            raise in_stream(asked, reading.error, begun=transfer.begun)
        if not reading.seen:
            raise no_models(asked, response.headers, reading.start)
        await self._put(self._finish())
        if not reading.finished:
            await self.queue.put(
                Notice(
                    "cut",
                    f"{asked.base_url} ended the answer without saying why: it may be cut, and is treated so",
                    transfer.seconds,
                )
            )

    async def _take(self, events: list[SSEEvent], reading: _Reading) -> None:
        assert self.normalizer is not None
        for event in events:
            if event.done:
                reading.done = True
                reading.seen = True
                return
            if event.comment is not None:
                continue
            value = event.value
            if not isinstance(value, dict):
                if event.event == "error":
                    reading.error = UpstreamError(event.data or "")
                    return
                continue
            reading.seen = True
            notice = reading.loading(value)
            if notice is not None:
                await self.queue.put(notice)
            reading.finished = reading.finished or _says_finish(value)
            made = self.collector.feed(self.normalizer.feed(value, event.event))
            if made:
                reading.transfer.begun = True
                await self._put(made)
            elif _says_anything(value):
                reading.transfer.begun = True  # held back by the parser, but the gateway speaks
            if self.normalizer.error is not None:
                reading.error = self.normalizer.error
                return

    async def _whole(
        self, asked: Asked, transfer: Transfer, response: httpx2.Response, prepared: Prepared
    ) -> None:
        """A gateway that does not stream, although it was asked to: its answer comes as one chunk."""
        body = await read_whole(transfer, response, asked)
        found = read_answer(asked, prepared, response.headers, body)
        choices = [
            {
                "index": 0,
                "delta": {**choice.get("message", {}), "tool_calls": _indexed(choice.get("message", {}))},
                "finish_reason": choice.get("finish_reason"),
            }
            for choice in found.completion["choices"][:1]
        ]
        self.collector = Collector(found.report)
        chunk = {**found.completion, "choices": choices}
        await self._put(self.collector.feed([chunk]) + self.collector.close())

    def _finish(self, died: bool = False) -> list[Event]:
        if self.normalizer is None:
            return []
        events = self.collector.feed(self.normalizer.close(died))
        return events + self.collector.close()

    async def _put(self, events: list[Event]) -> None:
        for event in events:
            await self.queue.put(event)


class _Reading:
    """What one stream has shown so far."""

    def __init__(self, asked: Asked, transfer: Transfer) -> None:
        self.asked = asked
        self.transfer = transfer
        self.seen = False  # anything that a gateway would send
        self.done = False
        self.finished = False
        self.error: UpstreamError | None = None
        self.start = b""

    def note(self, piece: bytes) -> None:
        """Keep the start of what may not come from a gateway, to say what it is."""
        if not self.seen and len(self.start) < _START:
            self.start += piece[:_START]

    def loading(self, chunk: Mapping[str, Any]) -> Notice | None:
        """The notice that a Relay frame is."""
        relay = chunk.get("relay")
        if not isinstance(relay, Mapping):
            return None
        kind = str(relay.get("type", ""))
        model = self.asked.model or relay.get("model") or "the model"
        seconds = self.transfer.seconds
        if kind.endswith(".loading"):
            return Notice("loading", f"{self.asked.base_url} is loading {model!r} ({seconds:.0f} s)", seconds)
        if kind.endswith(".loaded"):
            return Notice(
                "loading", f"{self.asked.base_url} has loaded {model!r}; it is reading the prompt", seconds
            )
        return None


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read a response's end behind `[DONE]`, if it comes at once, so that its connection can be used again."""
    with suppress(GatewayError, TimeoutError):
        async with asyncio.timeout(_DRAIN):
            async for _ in pieces:
                pass


def _indexed(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())]


def _says_finish(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(
        isinstance(one, Mapping) and one.get("finish_reason") for one in choices
    )


def _says_anything(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    if not isinstance(choices, list) or "relay" in chunk:
        return False
    deltas = [one.get("delta") for one in choices if isinstance(one, Mapping)]
    return any(isinstance(d, Mapping) and any(v for k, v in d.items() if k != "role") for d in deltas)
