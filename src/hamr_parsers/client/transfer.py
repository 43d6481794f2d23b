"""One HTTP exchange: sending with retries, waiting with notices, reading with time-outs.

Theory. Waiting must not disturb what is waited for: a read that is cancelled kills its connection. So each step (the
request up to its header, the next piece of the body) is a task that is watched from outside, and a notice or a
time-out is decided by the watcher. What HTTP itself limits is only the time to connect.

Retries happen only while nothing was given to the caller: nothing listens (briefly), the connection broke before an
answer, 429 and 503 (as `Retry-After` says, within bounds), and 503 while the gateway loads or switches models, which
is waited for as long as for a first byte.

Proxies of the environment are honoured, but a gateway on this machine is never asked through one. Redirects are not
followed: they would carry keys to other hosts, and turn a POST into a GET.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import httpx2

from .config.load import is_loopback
from .errors import ClientError, GatewayError, GatewayStatusError, GatewayUnreachableError
from .failure import Asked, broken, closed, failure, timed_out, unsendable
from .notices import Notice, Timeout

__all__ = ["MAX_BODY", "Notify", "Transfer", "http_client", "read_whole"]

T = TypeVar("T")
#: What takes a notice; awaited, so that a slow reader slows down the sender.
Notify = Callable[[Notice], Awaitable[None]]

#: Bytes that an answer in one piece may have.
MAX_BODY = 64 << 20
_MAX_ERROR_BODY = 1 << 16
_LONGEST_RETRY_AFTER = 30.0
_SOON = 5.0  # a connection that broke within this may be tried again
_LOADING_PAUSE = 2.0
_LATER_NOTICES = 30.0  # after the first notice of a silence, one each


def http_client(base_url: str, timeout: Timeout) -> httpx2.AsyncClient:
    """The HTTP client for a gateway."""
    mounts: dict[str, httpx2.AsyncBaseTransport | None] = {}
    if is_loopback(base_url):
        host = urlsplit(base_url).hostname or ""
        mounts[f"all://[{host}]" if ":" in host else f"all://{host}"] = None
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=timeout.connect),
        follow_redirects=False,
        mounts=mounts,
    )


class Transfer:
    """One request, and the way its answer comes.

    Args:
        asked: what errors name.
        retries: how often a request that failed in passing is sent again.
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        method: str,
        asked: Asked,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: Timeout,
        retries: int,
        notify: Notify,
    ) -> None:
        self._http = http
        self._method = method
        self._asked = asked
        self._headers = headers
        self._body = body
        self._timeout = timeout
        self._retries = retries
        self._notify = notify
        self._started = time.monotonic()
        self.begun = False  # a piece of the answer was given to the caller: no retry, short silences

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    async def open(self) -> httpx2.Response:
        """Send the request; return the response when its header is there and its status good.

        Raises:
            GatewayError: it failed, also when tried again.
            ConfigurationError: a header cannot be sent.
            ClientError: the client was closed meanwhile.
        """
        tried = 0
        while True:
            sent = time.monotonic()
            try:
                response = await self._send()
                if response.status_code == 200:
                    return response
                error: ClientError = failure(
                    replace(self._asked, size=len(self._body or b"")),
                    response.status_code,
                    response.headers,
                    await self._error_body(response),  # no variable: it may echo a key into a traceback
                )
            except (httpx2.LocalProtocolError, UnicodeEncodeError):  # ours to mend: no other try is better
                error = unsendable()
            except (httpx2.HTTPError, RuntimeError) as problem:
                # The HTTP library's exception holds the request and its headers: it goes no further.
                if self._http.is_closed:
                    error = closed()
                elif isinstance(problem, RuntimeError):
                    raise
                else:
                    error = broken(self._asked, problem)
            if not isinstance(error, GatewayError):
                raise error
            pause = self._pause(error, tried, time.monotonic() - sent)
            if pause is None:
                raise error from None
            loading = self._is_loading(error)
            tried += not loading
            kind: Literal["loading", "retry"] = "loading" if loading else "retry"
            await self._notify(Notice(kind, f"{error}; trying again in {pause:.1f} s", self.seconds))
            await asyncio.sleep(pause)

    def _pause(self, error: GatewayError, tried: int, took: float) -> float | None:
        """Seconds until the next try; None: no more."""
        limit = self._timeout.first
        if self._is_loading(error):
            within = limit is None or self.seconds < limit
            pause = _LOADING_PAUSE if error.retry_after is None else error.retry_after
            return min(pause, _LONGEST_RETRY_AFTER) if within else None
        if tried >= self._retries:
            return None
        backoff: float = 0.25 * 2**tried * (1 + random.random() / 4)
        if isinstance(error, GatewayStatusError) and error.status in (429, 503):
            if error.retry_after is None:
                return backoff * 2
            return error.retry_after if error.retry_after <= _LONGEST_RETRY_AFTER else None
        plain = type(error) is GatewayUnreachableError
        return backoff if plain and error.status is None and took < _SOON else None

    @staticmethod
    def _is_loading(error: GatewayError) -> bool:
        said = f"{error.detail} {error.code}".lower()
        return error.status == 503 and any(word in said for word in ("loading", "switching", "being loaded"))

    async def _send(self) -> httpx2.Response:
        request = self._http.build_request(
            self._method, self._asked.url, headers=dict(self._headers), content=self._body
        )
        return await self._watched(self._http.send(request, stream=True))

    async def _error_body(self, response: httpx2.Response) -> bytes:
        out = bytearray()
        with suppress(httpx2.HTTPError, TimeoutError):
            async with asyncio.timeout(5):
                async for piece in response.aiter_bytes():
                    out += piece
                    if len(out) >= _MAX_ERROR_BODY:
                        break
        await response.aclose()
        return bytes(out)

    async def pieces(self, response: httpx2.Response) -> AsyncGenerator[bytes, None]:
        """The body as it comes.

        Raises:
            GatewayError: the connection broke, or was silent for too long.
        """
        body = response.aiter_bytes()
        try:
            while True:
                try:
                    piece = await self._watched(anext(body))
                except StopAsyncIteration:
                    return
                except (httpx2.HTTPError, RuntimeError) as problem:
                    if self._http.is_closed:
                        raise closed() from None
                    if isinstance(problem, RuntimeError):
                        raise
                    raise broken(self._asked, problem, begun=True) from None
                if piece:
                    yield piece
        finally:
            await response.aclose()

    async def _watched(self, step: Awaitable[T]) -> T:
        """The result of a step; notices while it takes long, an error when it takes too long."""
        task = asyncio.ensure_future(_kept(step))
        limit = self._timeout.between if self.begun else self._timeout.first
        since = time.monotonic()
        notice = self._timeout.notice
        try:
            while True:
                quiet = time.monotonic() - since
                if limit is not None and quiet >= limit:
                    raise timed_out(self._asked, limit, begun=self.begun)
                left = None if limit is None else limit - quiet
                if not self.begun:
                    left = notice - quiet if left is None else min(left, notice - quiet)
                done, _ = await asyncio.wait({task}, timeout=None if left is None else max(left, 0.0))
                if done:
                    result, problem = task.result()
                    if problem is not None:
                        raise problem
                    return result  # type: ignore[return-value]
                quiet = time.monotonic() - since
                if not self.begun and quiet >= notice:
                    notice = quiet + _LATER_NOTICES
                    await self._notify(self._waiting(quiet))
        finally:
            if not task.done():
                task.cancel()
                with suppress(BaseException):
                    await task
            if asyncio.iscoroutine(step):
                step.close()  # cancelled before it began, it would be told as never awaited

    def _waiting(self, quiet: float) -> Notice:
        what = (
            f"{self._asked.model!r} at {self._asked.base_url}" if self._asked.model else self._asked.base_url
        )
        return Notice(
            "waiting",
            f"nothing from {what} for {quiet:.0f} s; it may be loading the model or reading the prompt",
            self.seconds,
        )


async def _kept(step: Awaitable[T]) -> tuple[T | None, Exception | None]:
    """The outcome as a value: `StopAsyncIteration` cannot leave a task."""
    try:
        return await step, None
    except Exception as problem:
        return None, problem


async def read_whole(transfer: Transfer, response: httpx2.Response, asked: Asked) -> bytes:
    """All of a body that comes in one piece.

    Raises:
        GatewayError: as `Transfer.pieces`, or it is larger than any answer.
    """
    out = bytearray()
    async for piece in transfer.pieces(response):
        out += piece
        if len(out) > MAX_BODY:
            raise GatewayStatusError(
                f"the answer of {asked.base_url} is larger than {MAX_BODY >> 20} MiB", url=asked.url
            )
    return bytes(out)
