"""A client's side over ASGI: its body, and its leaving."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from .failure import Failure
from .headers import Raw

__all__ = ["Receive", "Scope", "attend", "body_pieces", "header", "read_json"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def header(headers: Raw, name: bytes) -> bytes | None:
    """A header's value; ASGI gives lower-case names."""
    return next((value for key, value in headers if key == name), None)


async def body_pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The request's body as it comes.

    Raises:
        ConnectionError: the client left in the middle of it.
    """
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionAbortedError
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def read_json(scope: Scope, receive: Receive, limit: int) -> tuple[bytes, dict[str, Any]]:
    """The request's body, and the JSON object that it is.

    Raises:
        Failure: it is larger than `limit`, or is no JSON object.
        ConnectionError: the client left.
    """
    coding = header(scope["headers"], b"content-encoding")
    if coding is not None and coding.lower() != b"identity":
        raise Failure(
            "request", 415, "the request's body is compressed; send it as it is, without Content-Encoding"
        )
    declared = header(scope["headers"], b"content-length") or b"0"
    parts: list[bytes] = []
    size = int(declared) if declared.isdigit() else 0
    if size <= limit:
        size = 0
        async for piece in body_pieces(receive):
            size += len(piece)
            if size > limit:
                break
            parts.append(piece)
    if size > limit:
        raise Failure(
            "too_large", 413, f"the request is larger than {limit} bytes; --max-request allows more"
        )
    raw = b"".join(parts)
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Failure("request", 400, f"the request's body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Failure("request", 400, f"the request's body must be a JSON object, not {type(value).__name__}")
    return raw, value


async def attend(
    receive: Receive,
    work: Coroutine[Any, Any, None],
    over: Callable[[], bool],
    running: set[asyncio.Task[None]],
) -> bool:
    """Do the work as long as the client is there; return whether it stayed.

    Args:
        receive: gives the client's messages; what still comes of its body is thrown away.
        work: is cancelled when the client leaves.
        over: whether the client has its whole answer, so that its leaving means nothing.
        running: holds the work's task meanwhile.
    """

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(left())
    running.add(task)
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        stayed = task.done() or over()
        if not stayed:
            task.cancel("the client left")
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return stayed
    finally:
        running.discard(task)
        watch.cancel()
        if not task.done():  # this very task was cancelled
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
