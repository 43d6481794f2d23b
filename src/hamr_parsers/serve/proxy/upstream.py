"""The upstream, over `httpx2`: requests out, responses in, and its failures in words.

Theory. One client with one pool of connections. A response is read piece by piece as it comes (`Answer.pieces`), and
only when the piece before it was handed on: so a client that reads slowly slows the upstream, through the buffers of
TCP, and nothing grows here. Nothing is tried twice: a request that reached a model may have cost minutes, and a
refused connection is told at once, which a person can mend and a loop cannot. To keep idle connections from dying
under a request, they are given up before servers do so (uvicorn's five seconds are the shortest known).

What a piece costs, measured in the load run (bench/load.py, 20 chunks a second in each of 200 streams): 80 us through
httpx2 and uvicorn, with or without its read time-out; aiohttp's client would bring that to 33, which the target does
not need, and httpx2 is what the rest of the client runs on.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator

import httpx2

from .failure import Failure, Kind
from .headers import Raw
from .settings import ProxySettings

__all__ = ["Answer", "Upstream"]

_IDLE = 3.0  # seconds that an unused connection is kept
_KEPT = 32  # unused connections


class Answer:
    """A response of the upstream, whose body has not been read."""

    def __init__(self, response: httpx2.Response, upstream: Upstream) -> None:
        self._response = response
        self._upstream = upstream
        self.status = response.status_code
        self.headers: Raw = list(response.headers.raw)
        self.content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()

    def pieces(self, *, raw: bool = False) -> AsyncIterator[bytes]:
        """The body as it comes; `raw`: as it is on the wire, even if it is compressed.

        Raises:
            Failure: it broke off, or nothing came for too long.
        """
        plain = raw or "content-encoding" not in self._response.headers
        source = self._response.aiter_raw() if plain else self._response.aiter_bytes()
        return self._guarded(source)

    async def _guarded(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in source:
                yield piece
        except (httpx2.HTTPError, httpx2.StreamError, ssl.SSLError) as error:
            raise self._upstream.failure(error, began=True) from error

    async def read(self, limit: int) -> bytes:
        """The whole body, if it has no more than `limit` bytes."""
        parts: list[bytes] = []
        size = 0
        async for piece in self.pieces():
            size += len(piece)
            if size > limit:
                raise Failure(
                    "broken",
                    502,
                    f"the answer of {self._upstream.shown} is larger than {limit} bytes (--max-response)",
                )
            parts.append(piece)
        return b"".join(parts)

    async def close(self) -> None:
        """Give the connection back, or end it if the answer is not over: the server sees that at once."""
        await self._response.aclose()


class Upstream:
    """Sends requests to the one upstream of the settings."""

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        self.shown = settings.target.shown
        times = settings.timeouts
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(times.silence, connect=times.connect, pool=None),
            limits=httpx2.Limits(
                max_connections=None, max_keepalive_connections=_KEPT, keepalive_expiry=_IDLE
            ),
            follow_redirects=False,
            trust_env=not settings.target.is_loopback,  # proxies of the environment do not lead to this machine
        )
        self._client.headers.clear()  # the client's own are passed on, and no others

    async def send(
        self, method: str, url: str, headers: Raw, content: bytes | AsyncIterable[bytes] | None
    ) -> Answer:
        """Send a request; return when the response's headers are here.

        Raises:
            Failure: no connection, no answer, or no HTTP.
        """
        try:
            request = self._client.build_request(method, url, headers=headers, content=content)
            return Answer(await self._client.send(request, stream=True), self)
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as error:
            raise self.failure(error) from error

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()

    def failure(self, error: Exception, *, began: bool = False) -> Failure:
        """An error of httpx2 in words for the client's side."""
        times = self._settings.timeouts
        kind: Kind = "broken"
        status = 502
        if isinstance(error, httpx2.ConnectTimeout):
            kind, status = "connect_timeout", 504
            said = f"did not accept a connection within {times.connect:g} s; is the host right, and awake?"
        elif isinstance(error, httpx2.TimeoutException):
            kind, status = "timeout", 504
            what = "went silent" if began else "did not answer"
            said = f"{what} for {times.silence:g} s; a larger --timeout waits longer"
        elif isinstance(error, httpx2.ConnectError):
            kind = "connect"
            said = (
                f"cannot be reached ({_reason(error)}); is the server running, and are host and port right?"
            )
        elif began:
            said = f"broke off its answer ({_reason(error)})"
        elif isinstance(error, httpx2.RemoteProtocolError):
            said = f"does not answer in HTTP as it should ({_reason(error)}); is that the server's port?"
        else:
            said = f"failed ({_reason(error)})"
        return Failure(kind, status, f"the upstream {self.shown} {said}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
