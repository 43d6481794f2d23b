"""The upstream, over `httpx2`: requests out, responses in, and its failures in words.

Theory. One client with one pool of connections. A response is read piece by piece as it comes (`Answer.pieces`), and
only when the piece before it was handed on: so a client that reads slowly slows the upstream, through the buffers of
TCP, and nothing grows here. Nothing is tried twice: a request that reached a model may have cost minutes, and a
refused connection is told at once, which a person can mend and a loop cannot. To keep idle connections from dying
under a request, they are given up before servers do so (uvicorn's five seconds are the shortest known).

What a piece costs, as bench/load.py measured it (200 streams of 20 pieces a second, two cores shared with other work):
76 to 97 us through httpx2 and uvicorn and nothing else, with or without a read time-out; 33 with aiohttp's client.
plain.py takes 30 of the difference and keeps the client on one HTTP library; mending and counting cost 30 more.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from urllib.request import getproxies

import httpcore2
import httpx2

from ...client.errors import GatewayError
from ...client.failure import Asked, broken, failure, no_models
from .failure import ENDED, Failure, Kind
from .headers import Raw
from .plain import PlainTransport
from .redact import Known
from .settings import ProxySettings

__all__ = ["Answer", "Upstream"]

#: The transports raise the errors of either package; the names and kinds are the same.
_ERRORS = (
    httpx2.HTTPError,
    httpx2.StreamError,
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    ssl.SSLError,
)
_TIMEOUTS = (httpx2.TimeoutException, httpcore2.TimeoutException)
_CONNECT_TIMEOUTS = (httpx2.ConnectTimeout, httpcore2.ConnectTimeout)
_CONNECT_ERRORS = (httpx2.ConnectError, httpcore2.ConnectError)
_IDLE = 3.0  # seconds that an unused connection is kept
_KEPT = 32  # unused connections


class Answer:
    """A response of the upstream, whose body has not been read."""

    def __init__(self, response: httpx2.Response, upstream: Upstream) -> None:
        self._response = response
        self._upstream = upstream
        self.status = response.status_code
        self.headers: Raw = list(response.headers.raw)
        self._pieces: AsyncGenerator[bytes, None] | None = None
        self.content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()

    def pieces(self, *, raw: bool = False) -> AsyncIterator[bytes]:
        """The body as it comes; `raw`: as it is on the wire, even if it is compressed. What was read is not repeated.

        Raises:
            Failure: it broke off, or nothing came for too long.
        """
        if self._pieces is None:
            plain = raw or "content-encoding" not in self._response.headers
            source = self._response.aiter_raw() if plain else self._response.aiter_bytes()
            self._pieces = self._guarded(source)
        return self._pieces

    async def first(self) -> bytes:
        """The first piece of the body; empty if there is none."""
        return await anext(self.pieces(), b"")

    async def _guarded(self, source: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(source):
                async for piece in source:
                    yield piece
        except _ERRORS as error:
            raise self._upstream.failure(error, began=True) from error

    async def read(self, limit: int, first: bytes = b"") -> bytes:
        """The whole body, if it has no more than `limit` bytes; `first` is what was read of it."""
        parts = [first]
        size = len(first)
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
        if self._pieces is not None:
            await self._pieces.aclose()
        await self._response.aclose()


class Upstream:
    """Sends requests to the one upstream of the settings.

    Args:
        settings: the proxy's.
        known: its own secrets, which no error may tell.
    """

    def __init__(self, settings: ProxySettings, known: Known) -> None:
        self._settings = settings
        self.shown = settings.target.base
        self._known = known
        self._closed = False
        self._asked = Asked(
            self.shown, self.shown, sent_key=settings.authorization is not None, blank=known.clean_text
        )
        times = settings.timeouts
        plain = settings.target.base.startswith("http:") and (settings.target.is_loopback or not getproxies())
        self._client = httpx2.AsyncClient(
            transport=PlainTransport(_KEPT, _IDLE) if plain else None,
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
        except (*_ERRORS, httpx2.InvalidURL) as error:
            raise self.failure(error) from error

    async def close(self) -> None:
        """End all connections; whatever still waits for an answer fails."""
        self._closed = True
        await self._client.aclose()

    def failure(self, error: Exception, *, began: bool = False) -> Failure:
        """An error of httpx2 in words for the client's side."""
        if self._closed:  # not the upstream hung up: the proxy did
            return Failure("cut", 503, ENDED)
        times = self._settings.timeouts
        kind: Kind = "broken"
        status = 502
        if isinstance(error, _TIMEOUTS) and not isinstance(error, _CONNECT_TIMEOUTS):
            what = "stopped in the middle of its answer" if began else "did not answer"
            said = f"the upstream {self.shown} {what}: nothing came for {times.silence:g} s (--timeout)"
            return Failure("timeout", 504, said)
        if isinstance(error, _CONNECT_TIMEOUTS):
            kind, status = "connect_timeout", 504
        elif isinstance(error, _CONNECT_ERRORS):
            kind = "connect"
        return Failure(kind, status, self._failed(broken(self._asked, error, begun=began)))

    def refused(self, got: Answer, body: bytes) -> str:
        """What an answer means that is not the JSON of a gateway, in words for the client's side."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in got.headers}
        if got.status == 200:
            return self._failed(no_models(self._asked, headers, body))
        return self._failed(failure(self._asked, got.status, headers, body))

    def _failed(self, error: GatewayError) -> str:
        return self._known.clean_text(f"the upstream failed: {error}")
