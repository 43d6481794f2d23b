"""What one client gets, over ASGI: the head once, whole events, comments in long silences, the end.

Theory. `write` returns when the server took the bytes; uvicorn takes none while more than 64 KiB wait for the client.
So whoever reads the upstream and awaits `write` reads no faster than the client, and what is held for a client is one
piece. A timer of each stream looks after both of its silences: if nothing was written for `keep_alive` seconds, the
client gets a comment, and before the head that means the head, with status 200: a gateway that loads a model may hold
its own for minutes, which clients do not wait for. If a write has been stuck for `stalled` seconds, the client is gone
without saying so, and the stream is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .headers import Raw
from .settings import Timeouts

__all__ = ["Delivery"]

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SSE_HEADERS: Raw = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx and its kin would hold events back
]


class Delivery:
    """One response."""

    def __init__(self, send: Send, times: Timeouts) -> None:
        self._send = send
        self._times = times
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._comment = b""
        self._commenting: asyncio.Task[None] | None = None
        self._work: asyncio.Task[Any] | None = None
        self._last = self._loop.time()
        self._stuck: float | None = None
        self.status = 0
        self.finished = False

    @property
    def started(self) -> bool:
        """Whether the head was sent."""
        return self.status != 0

    async def start(self, status: int, headers: Raw) -> None:
        """Send the head, unless it was."""
        async with self._lock:  # the timer may be about to
            if not self.status:
                self.status = status  # first: nobody may take another way while it is being sent
                await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; returns when the server took it."""
        self._stuck = self._loop.time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._stuck = None
        self._last = self._loop.time()

    async def end(self, data: bytes = b"") -> None:
        """The rest of the body."""
        self.release()
        self.finished = True
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def respond(self, status: int, headers: Raw, body: bytes) -> None:
        """A whole response."""
        await self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body)

    # -- silence -----------------------------------------------------------------------------------------------

    def watch(self, comment: bytes = b"") -> None:
        """From now on keep the client of a stream awake with `comment`, and the current task's patience finite."""
        self._comment = comment
        self._work = asyncio.current_task()
        self._again()

    def release(self) -> None:
        """No more of that."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._work = None

    def _again(self) -> None:
        waits = [t for t in (self._times.keep_alive, self._times.stalled) if t > 0]
        if waits:
            self._timer = self._loop.call_later(min(waits) / 4, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        keep_alive, stalled = self._times.keep_alive, self._times.stalled
        if self._stuck is not None:
            if stalled > 0 and now - self._stuck >= stalled and self._work is not None:
                self._work.cancel("the client reads nothing")
                return
        elif self._comment and keep_alive > 0 and now - self._last >= keep_alive and self._commenting is None:
            self._commenting = self._loop.create_task(self._say())
        self._again()

    async def _say(self) -> None:
        try:
            await self.start(200, SSE_HEADERS)
            if not self.finished:
                await self.write(self._comment)
        finally:
            self._commenting = None
