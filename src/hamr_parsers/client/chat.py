"""`ChatClient`: `AsyncChatClient` for programs without an event loop.

Theory. Waiting with notices, time-outs that change while an answer comes, and cancelling from another thread are
what an event loop is for; written again over blocking sockets they would need threads all the same. So each client
has one daemon thread that runs a loop, and its methods hand their work to it. Callbacks (`on_notice`) run in the
caller's thread. Ctrl-C in a call cancels what it waited for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import os
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar

from ..message import ParsedMessage
from ..wire import Report
from .async_chat import AsyncChatClient, AsyncChatStream, ChatResponse, GatewayModel, StreamEvent
from .connection import Connection
from .errors import ClientError, without_frames
from .failure import closed
from .notices import Notice
from .request import Messages

__all__ = ["AsyncChatClient", "ChatClient", "ChatStream"]

T = TypeVar("T")


_END = 5.0  # seconds that work which was cancelled gets to end


class _Loop:
    """An event loop in a daemon thread, started when it is first needed, and anew in a forked process.

    Args:
        end: awaited in the loop when it ends.
    """

    def __init__(self, end: Callable[[], Awaitable[None]]) -> None:
        self._at_end = end
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._stopped = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine; interrupted, it is cancelled."""
        return self.result(self.start(work))

    def result(self, future: concurrent.futures.Future[T]) -> T:
        """The result of what was started; interrupted, it is cancelled.

        Raises:
            ClientError: the client was closed meanwhile.
        """
        try:
            with without_frames():
                return future.result()
        except concurrent.futures.CancelledError:  # by `stop`: nobody else holds the future
            raise closed() from None
        except BaseException:
            self.cancel(future)
            raise

    @staticmethod
    def cancel(future: concurrent.futures.Future[Any]) -> None:
        """End what was started, and wait for its end."""
        if not future.done():
            future.cancel()
            concurrent.futures.wait([future], timeout=_END)

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Hand a coroutine to the loop.

        Raises:
            ClientError: the client was closed.
        """
        try:
            with self._lock:  # what was handed over before `stop` is cancelled by it, nothing comes after it
                return asyncio.run_coroutine_threadsafe(work, self._running())
        except BaseException:
            work.close()
            raise

    @property
    def started(self) -> bool:
        """Whether there is a thread to end."""
        return self._loop is not None and self._pid == os.getpid()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._stopped:
            raise closed()
        if self._loop is None or self._pid != os.getpid():
            self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop, self._at_end), name="hamr-parsers client", daemon=True
            )
            self._thread.start()
        return self._loop

    def stop(self) -> None:
        """Cancel all work and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
            self._stopped = True
        if loop is not None and self._pid == os.getpid() and not loop.is_closed():
            loop.call_soon_threadsafe(loop.stop)

    def join(self) -> None:
        """Wait for the thread's end."""
        thread = self._thread
        if thread is not None and self._pid == os.getpid() and thread is not threading.current_thread():
            thread.join(2 * _END)


def _serve(loop: asyncio.AbstractEventLoop, end: Callable[[], Awaitable[None]]) -> None:
    try:
        loop.run_forever()
        with suppress(TimeoutError):
            loop.run_until_complete(_wind_up(end))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _wind_up(end: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(_END):
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await end()


_OPTIONS = frozenset(inspect.signature(AsyncChatClient).parameters)


class ChatClient:
    """Talks to one gateway. Arguments and errors are those of `AsyncChatClient`.

    Use it in a `with` block, or `close()` it. It may be shared by threads.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        on_notice: Callable[[Notice], object] | None = None,
        **options: Any,
    ) -> None:
        unknown = next((name for name in options if name not in _OPTIONS), None)
        if unknown is not None:
            raise TypeError(f"ChatClient() got an unexpected keyword argument {unknown!r}")
        self._notices = _Notices(on_notice)
        self._client = AsyncChatClient(base_url, on_notice=self._notices.put, **options)
        self._loop = _Loop(self._client.aclose)
        self._end = weakref.finalize(self, self._loop.stop)

    def __repr__(self) -> str:
        return f"<ChatClient {self.connection.base_url}>"

    @property
    def connection(self) -> Connection:
        """The provider and the options over it."""
        return self._client.connection

    @property
    def session_id(self) -> str:
        """What the `session-id` header says."""
        return self._client.session_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread. What waits for an answer in another thread gets an error."""
        self._end()
        self._loop.join()

    def models(self) -> list[GatewayModel]:
        """The gateway's models, asked anew; see `AsyncChatClient.models`."""
        return self._notices.during(self._loop, self._client.models())

    def chat(
        self,
        messages: Messages,
        *,
        tools: Any = None,
        model: str | None = None,
        thinking: str | bool | None = None,
        **fields: Any,
    ) -> ChatResponse:
        """One answer, in one piece; see `AsyncChatClient.chat`."""
        work = self._client.chat(messages, tools=tools, model=model, thinking=thinking, **fields)
        return self._notices.during(self._loop, work)

    def stream(
        self,
        messages: Messages,
        *,
        tools: Any = None,
        model: str | None = None,
        thinking: str | bool | None = None,
        **fields: Any,
    ) -> ChatStream:
        """One answer, as it comes: a context manager, and an iterator of events and notices."""
        made = self._client.stream(messages, tools=tools, model=model, thinking=thinking, **fields)
        return ChatStream(self, made)

    def prewarm(
        self,
        messages: Messages,
        *,
        tools: Any = None,
        model: str | None = None,
        thinking: str | bool | None = None,
        **fields: Any,
    ) -> dict[str, Any] | None:
        """Let the gateway read a prompt ahead; see `AsyncChatClient.prewarm`."""
        work = self._client.prewarm(messages, tools=tools, model=model, thinking=thinking, **fields)
        return self._notices.during(self._loop, work)


class ChatStream:
    """An answer as it comes. Use it as `with client.stream(...) as stream:` and iterate.

    `cancel()` may be called from another thread. One that is no longer held by anything is cancelled.
    """

    def __init__(self, client: ChatClient, stream: AsyncChatStream) -> None:
        self._client = client  # held: a client that is collected ends its thread
        self._loop = client._loop
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        if self._stream._over:
            raise StopIteration
        event = self._client._notices.during(self._loop, _next(self._stream))
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """End the answer: what still comes is not read. Does nothing once it is over."""
        if self._loop.started:  # else nothing was asked yet, or the client is closed
            with suppress(ClientError):  # it was closed just now
                self._loop.run(self._stream.aclose())
        self._stream._over = True

    cancel = close

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._stream.cancelled

    @property
    def message(self) -> ParsedMessage:
        """What came so far; at the end, the whole message; see `AsyncChatStream.message`."""
        return self._stream.message

    @property
    def finish_reason(self) -> str | None:
        """Why it ended; None while it runs."""
        return self._stream.finish_reason

    @property
    def usage(self) -> dict[str, Any] | None:
        """Tokens, as the gateway counted them, if it said."""
        return self._stream.usage

    @property
    def model(self) -> str | None:
        """The model's name, as the gateway has it."""
        return self._stream.model

    @property
    def report(self) -> Report:
        """What the wire layer mended."""
        return self._stream.report


async def _next(stream: AsyncChatStream) -> StreamEvent | None:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return None


#: Where the notices of a call go. Work that is handed to a loop runs in the context of the one who hands it over.
_heard: ContextVar[queue.SimpleQueue[Notice | None] | None] = ContextVar("heard", default=None)


class _Notices:
    """Takes notices in the loop's thread and tells each in the thread of the call that it is about."""

    def __init__(self, tell: Callable[[Notice], object] | None) -> None:
        self._tell = tell

    def put(self, notice: Notice) -> None:
        heard = _heard.get()
        if heard is not None:
            heard.put(notice)

    def during(self, loop: _Loop, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine; notices are told while it is waited for."""
        if self._tell is None:
            return loop.run(work)
        heard: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        token = _heard.set(heard)
        try:
            future = loop.start(work)
        finally:
            _heard.reset(token)
        future.add_done_callback(lambda _: heard.put(None))
        try:
            while True:
                try:
                    notice = heard.get(timeout=1.0)  # a wait without end cannot be interrupted everywhere
                except queue.Empty:
                    continue
                if notice is None:  # the last item: all notices were put before the end
                    break
                self._tell(notice)
        except BaseException:
            loop.cancel(future)
            raise
        return loop.result(future)
