"""Sending an answer: whole, paced, or broken off where a fault says so; and what is remembered of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import http1
from .delivery import Delivery
from .shape import DONE, Frame
from .way import Way

__all__ = ["Answer", "Connection", "Received", "deliver", "line_of", "pause"]

_LOOK = 0.02  # seconds between two looks whether a client that is kept waiting is still there


@dataclass(slots=True)
class Received:
    """A request as it came, and what became of its answer.

    `body` is the JSON value, or the text if it is none. `ended` is "whole", "drop", "reset" or "stall" as a fault had
    it, "killed" by another model, "disconnected" if the client went away, "" while it is being sent; `sent` counts the
    pieces.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    scenario: str | None = None
    faults: tuple[str, ...] = ()
    status: int = 0
    stream: bool = False
    pieces: int = 0
    sent: int = 0
    killed: bool = False
    ended: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Answer:
    """What is sent: pieces of a stream, or a JSON body."""

    status: int
    pieces: list[bytes] = field(default_factory=list)
    body: bytes = b""
    stream: bool = False
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """Where an answer goes: `keep`: the client wants to go on; `chunked`: it can read a chunked body."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    keep: bool
    chunked: bool

    @property
    def gone(self) -> bool:
        """Whether the client has gone away."""
        return self.reader.at_eof() or self.writer.transport.is_closing()


async def pause(to: Connection, seconds: float) -> None:
    """Wait; raises ConnectionResetError as soon as the client has gone away."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        await asyncio.sleep(min(left, _LOOK))
        if to.gone:
            raise ConnectionResetError


async def deliver(to: Connection, answer: Answer, delivery: Delivery, way: Way, received: Received) -> bool:
    """Send an answer; whether the connection goes on after it.

    Raises:
        ConnectionError: the client went away.
    """
    writer = to.writer
    close = delivery.framing == "close" or (answer.stream and not to.chunked)
    keep = to.keep and not close
    headers = [("Content-Type", answer.content_type), *way.kind.headers, *answer.headers]
    if not keep:
        headers.append(("Connection", "close"))
    if answer.stream:
        headers.append(("Cache-Control", "no-cache"))
        pieces = answer.pieces if close else [http1.framed(piece) for piece in answer.pieces if piece]
        length = ("Transfer-Encoding", "chunked")
    else:
        pieces = _halves(answer.body) if delivery.end != "whole" else [answer.body]
        length = ("Content-Length", str(len(answer.body)))
    if not close:
        headers.append(length)
    breaks = delivery.end != "whole" and answer.status == 200
    stop = delivery.stop(len(pieces)) if breaks else len(pieces)
    received.pieces = len(pieces)
    writer.write(http1.head(answer.status, headers))
    if received.method == "HEAD":  # a body would be taken for the next answer
        received.ended = "whole"
        await writer.drain()
        return keep
    if delivery.silence:
        await writer.drain()
        await pause(to, delivery.silence)
    if not answer.stream and not breaks:
        received.ended = "whole"  # before the client can see it
    gap = delivery.gap if delivery.gap is not None else 1 / way.rate if way.rate else None
    if gap is not None and answer.stream:
        await _paced(to, pieces[:stop], gap, received)
    else:
        await _at_once(to, pieces[:stop], received)
    if breaks:
        await _break_off(to, delivery.end, received)
        return False
    received.ended = "killed" if received.killed else "whole"
    if received.killed and answer.stream:
        done = Frame(DONE).encoded()
        writer.write(done if close else http1.framed(done))
    if answer.stream and not close:
        writer.write(http1.LAST_CHUNK)
    await writer.drain()
    return keep


def _halves(body: bytes) -> list[bytes]:
    half = len(body) // 2
    return [body[:half], body[half:]]


async def _at_once(to: Connection, pieces: Sequence[bytes], received: Received) -> None:
    writer = to.writer
    for piece in pieces:
        if to.gone:
            raise ConnectionResetError
        if received.killed:
            break
        writer.write(piece)
        received.sent += 1
        if received.sent % 8 == 0:
            await writer.drain()
            await asyncio.sleep(0)
    await writer.drain()


async def _paced(to: Connection, pieces: Sequence[bytes], gap: float, received: Received) -> None:
    """One piece each `gap` seconds: a timer and a write, no task switch."""
    loop = asyncio.get_running_loop()
    transport = to.writer.transport
    done: asyncio.Future[bool] = loop.create_future()
    start = loop.time()
    timer: asyncio.TimerHandle | None = None

    def step() -> None:
        nonlocal timer
        if done.done():
            return
        if to.gone:
            done.set_result(False)
            return
        if received.sent < len(pieces) and not received.killed:
            transport.write(pieces[received.sent])
            received.sent += 1
        if received.sent >= len(pieces) or received.killed:
            done.set_result(True)
            return
        timer = loop.call_at(start + received.sent * gap, step)

    step()
    try:
        if not await done:
            raise ConnectionResetError
    finally:
        if timer is not None:
            timer.cancel()
    await to.writer.drain()


async def _break_off(to: Connection, end: str, received: Received) -> None:
    received.ended = end
    await to.writer.drain()
    if end == "stall":
        while await to.reader.read(4096):
            pass
    elif end == "reset":
        await asyncio.sleep(0.01)  # what was written is on its way before the reset overtakes it
        http1.reset(to.writer)


def line_of(received: Received) -> str:
    """A request in one line."""
    what = f"{received.status} {received.method} {received.path}"
    if received.scenario:
        what += f" {received.scenario}"
    if received.stream:
        what += f", {received.sent} of {received.pieces} pieces"
    if received.faults:
        what += f", {'+'.join(received.faults)}"
    if received.ended not in ("", "whole"):
        what += f", {received.ended}"
    return f"{what}, {received.seconds:.3f} s"
