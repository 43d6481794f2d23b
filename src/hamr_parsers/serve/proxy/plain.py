"""Unencrypted connections to the upstream, with less work for each piece than httpx2's own.

Theory. httpx2 leaves HTTP to httpcore2, and httpcore2 takes its sockets from a replaceable backend. Its own one (anyio)
pauses and resumes reading and opens a cancel scope for every read: two system calls and some 30 us, a fifth of what a
piece costs in the proxy. This one reads ahead, up to `HIGH` bytes, and pauses only then; a read's time-out is one
timer of the connection, moved when it fires. All of HTTP, the pool of connections and their reuse stay httpcore2's.

Only for `http://` without a proxy of the environment: what is encrypted or far is not that fast, and goes the usual
way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast

import httpcore2
import httpx2

__all__ = ["PlainTransport"]

HIGH = 64 * 1024  # bytes read ahead; a response that is not read stops the reading there


class PlainTransport(httpx2.AsyncBaseTransport):
    """httpcore2's pool over such connections. Its errors are httpcore2's, which have the names of httpx2's."""

    def __init__(self, kept: int, expiry: float) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            max_connections=None,
            max_keepalive_connections=kept,
            keepalive_expiry=expiry,
            network_backend=_Backend(),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; return when the response's headers are here."""
        url = request.url
        got = await self._pool.handle_async_request(
            httpcore2.Request(
                request.method,
                httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        stream = _Body(cast("AsyncIterable[bytes]", got.stream))
        return httpx2.Response(got.status, headers=got.headers, stream=stream, extensions=got.extensions)

    async def aclose(self) -> None:
        """End all connections."""
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = source

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._source)

    async def aclose(self) -> None:
        await self._source.aclose()  # type: ignore[attr-defined]


class _Backend(httpcore2.AsyncNetworkBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(_Connection, host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return _Stream(connection)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Connection(asyncio.Protocol):
    """What came and was not read yet, and who waits for more."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._broken: Exception | None = None
        self.over = False

    @property
    def is_readable(self) -> bool:
        """Whether something is here to be read, an end too: on an idle connection the sign that it is dead."""
        return self.over or bool(self._pieces)

    # -- from the loop -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake(self._reader)

    def eof_received(self) -> bool:
        self.over = True
        self._wake(self._reader)
        return True  # the writing side stays open, as HTTP wants it

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        self._broken = exc
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake(self._reader)
        self._wake(self._writable)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        self._wake(self._writable)
        self._writable = None

    @staticmethod
    def _wake(waiting: asyncio.Future[None] | None) -> None:
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _late(self) -> None:
        """The timer fired: it is time, or somebody reads since then and has more."""
        self._timer = None
        if self._reader is None or self._reader.done():
            return
        if self._loop.time() >= self._deadline:
            self._reader.set_exception(httpcore2.ReadTimeout())
        else:
            self._timer = self._loop.call_at(self._deadline, self._late)

    # -- from httpcore2 ----------------------------------------------------------------------------------------

    async def read(self, timeout: float | None) -> bytes:
        """What comes next; empty at the end."""
        while not self._pieces:
            if self._broken is not None:
                raise httpcore2.ReadError(str(self._broken)) from self._broken
            if self.over:
                return b""
            if timeout is not None:
                self._deadline = self._loop.time() + timeout
                if self._timer is None or self._timer.when() > self._deadline:
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = self._loop.call_at(self._deadline, self._late)
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._pieces.popleft()
        self._size -= len(data)
        if self._paused and self._size <= HIGH // 2:
            self._paused = False
            self.transport.resume_reading()
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Send; waits while too much is waiting to be sent."""
        if self._broken is not None or self.transport.is_closing():
            raise httpcore2.WriteError(str(self._broken or "the connection is closed"))
        self.transport.write(data)
        if self._writable is not None:
            try:
                async with asyncio.timeout(timeout):
                    await self._writable
            except TimeoutError as error:
                raise httpcore2.WriteTimeout from error
            if self._broken is not None:
                raise httpcore2.WriteError(str(self._broken)) from self._broken


class _Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._connection.read(timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            await self._connection.write(buffer, timeout)

    async def aclose(self) -> None:
        transport = self._connection.transport
        if transport.get_write_buffer_size():
            transport.abort()  # nobody reads the rest
        else:
            transport.close()

    def get_extra_info(self, info: str) -> Any:
        return self._connection.is_readable if info == "is_readable" else None
