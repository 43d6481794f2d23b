"""Asking a gateway and keeping what it sends, raw.

Theory. A probe must see the wire as it is, so this is HTTP and nothing else: no normalizing, no retries, and every
failure is kept beside what had come. What one answer may cost is bounded: in pieces by several times the tokens that
were asked for (a gateway may ignore `max_tokens` and never end), in bytes, and in seconds. The first byte may
take minutes (a model is loaded, a long prompt is read): the time-out is long, and whoever watches is told after a
few seconds what may be going on.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from ...wire import Exchange, SSEDecoder, UpstreamError, WireOptions
from ..config.compat import apply_compat
from ..config.load import is_loopback
from ..config.provider import ModelSettings
from ..connection import Connection
from ..errors import GatewayError
from ..failure import Asked, broken, failure, in_stream, no_models, timed_out
from .answer import Answer, read_stream, read_whole
from .shape import Oddity

__all__ = ["Gateway", "Notice"]

Notice = Callable[[str], None]

_MAX_BYTES = 8 << 20
_MAX_EVENTS = 50_000
_PIECES = 8  # of a stream for each token that was asked for, at most; some servers send letter by letter
_FEW = 64  # pieces that are no token: the role, the end, usage
_WAITS = 2.0  # times the time-out that an answer may take in all, loading and all
_LOOK = 5.0  # seconds for a look at a path that may not exist
_PATIENCE = 8.0  # seconds of silence before somebody is told


@dataclass
class _Bound:
    """What one answer may cost.

    Attributes:
        tokens: that were asked for at most.
        started: when it was asked for.
        seconds: that it may take in all.
        size, pieces: what has come: bytes, and chunks with choices.
    """

    asked: Asked
    tokens: int
    started: float
    seconds: float
    size: int = 0
    pieces: int = 0

    def check(self, events: int) -> None:
        """Stop reading where it is too much.

        Raises:
            GatewayError: its code is "endless"; it says what came, and that it is we who stopped.
        """
        where = self.asked.base_url
        asked = f"max_tokens {self.tokens}"
        if self.pieces > _PIECES * self.tokens + _FEW:
            said = f"{where} ignores max_tokens: {self.pieces} pieces came for {asked}, and no end"
        elif self.size > _MAX_BYTES:
            said = f"{where} sends more than {_MAX_BYTES >> 20} MiB for {asked}"
        elif events > _MAX_EVENTS:
            said = f"{where} sends more than {_MAX_EVENTS} events for {asked}"
        elif time.monotonic() - self.started > self.seconds:
            said = (
                f"{where} did not end its answer within {self.seconds:g} s ({self.pieces} pieces for {asked})"
            )
        else:
            return
        raise GatewayError(f"{said}; reading was stopped here", url=self.asked.url, code="endless")


@dataclass
class Gateway:
    """A gateway under examination.

    Attributes:
        connection: where and with which key.
        timeout: seconds of silence that end an answer.
        notice: is told what is waited for.
        requests, tokens: what the examination has cost so far.
    """

    connection: Connection
    timeout: float = 600.0
    notice: Notice = field(default=lambda text: None)
    requests: int = 0
    tokens: int = 0
    known: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = httpx2.Timeout(self.timeout, connect=min(10.0, self.timeout))
        # A gateway of this machine is not behind a proxy of the environment; and reading certificates takes longer
        # than asking one.
        url = self.connection.base_url
        local = is_loopback(url)
        verify = not (local and url.startswith("http:"))
        self._http = httpx2.Client(timeout=limits, follow_redirects=False, trust_env=not local, verify=verify)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # -- small looks ------------------------------------------------------------------------------------------------

    def models(self) -> tuple[Mapping[str, str], Any]:
        """Headers and JSON of `/models`.

        Raises:
            GatewayError: there is none, or no JSON.
        """
        asked = self._asked("/models", None, 0)
        try:
            with self._waiting("its list of models"):
                response = self._http.get(asked.url, headers=self.connection.headers())
        except httpx2.TimeoutException as problem:
            raise self._silent(asked, problem) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
            raise broken(asked, problem) from None
        self.requests += 1
        headers = _lower(response.headers)
        if response.status_code != 200:
            raise failure(asked, response.status_code, headers, response.content)
        try:
            return headers, json.loads(response.content)
        except ValueError:
            raise no_models(asked, headers, response.content) from None

    def no_models(self, headers: Mapping[str, str], payload: Any) -> GatewayError:
        """The error that JSON of another kind is."""
        return no_models(self._asked("/models", None, 0), headers, json.dumps(payload).encode())

    def look(self, path: str) -> tuple[int, Mapping[str, str], Any]:
        """Status, headers and JSON of a path at the server's root; (0, {}, None) if nothing answers in time."""
        parts = urlsplit(self.connection.base_url)
        root = parts.path.removesuffix("/").removesuffix("/v1")
        url = urlunsplit((parts.scheme, parts.netloc, root + path, "", ""))
        try:
            response = self._http.get(url, headers=self.connection.headers(), timeout=_LOOK)
        except httpx2.HTTPError:
            return 0, {}, None
        self.requests += 1
        try:
            value = json.loads(response.content) if len(response.content) < _MAX_BYTES else None
        except ValueError:
            value = None
        return response.status_code, _lower(response.headers), value

    # -- answers ------------------------------------------------------------------------------------------------------

    def ask(
        self, settings: ModelSettings, request: Mapping[str, Any], what: str, *, read_calls: bool = False
    ) -> Answer:
        """The answer to a `/chat/completions` request, read; whatever went wrong is in it.

        Args:
            read_calls: text is read for calls although the request says that there are none.
        """
        stream = bool(request.get("stream"))
        full = {"model": settings.id, **request}
        if stream:
            full["stream_options"] = {"include_usage": True}
        body = apply_compat(full, settings.compat, settings, thinking=self._thinking())
        content = json.dumps(body, ensure_ascii=False).encode()
        asked = self._asked("/chat/completions", settings.id, len(content), stream)
        headers = {**self.connection.headers(settings), "content-type": "application/json"}
        answer = Answer()
        started = time.monotonic()
        self.requests += 1
        try:
            with (
                self._waiting(what) as heard,
                self._http.stream("POST", asked.url, headers=headers, content=content) as response,
            ):
                tokens = request.get("max_tokens")
                bound = _Bound(asked, tokens if type(tokens) is int else 1024, started, self.timeout * _WAITS)
                self._receive(answer, response, bound, heard, asked)
        except httpx2.TimeoutException as problem:
            answer.error, answer.died = self._silent(asked, problem, begun=bool(answer.first)), True
        except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
            answer.error, answer.died = broken(asked, problem, begun=bool(answer.first)), True
        except (UpstreamError, GatewayError) as error:
            answer.error, answer.died = error, True
        answer.seconds = time.monotonic() - started
        choice = "auto" if read_calls else None
        exchange = Exchange(full, WireOptions(parser=settings.parser, model=settings.id, tool_choice=choice))
        if answer.payload is not None:
            read_whole(answer, exchange)
        elif answer.events:
            read_stream(answer, exchange)
        if answer.error is None and (stream if answer.payload is not None else not stream and answer.events):
            answer.oddities.append(Oddity("no-stream" if stream else "unasked-stream", cured=True))
        if answer.doubled:
            answer.oddities.append(Oddity("doubled", cured=True))
        if isinstance(answer.error, UpstreamError):
            answer.error = in_stream(asked, answer.error)
        count = answer.usage.get("total_tokens")
        self.tokens += count if type(count) is int else 0
        return answer

    def _receive(
        self,
        answer: Answer,
        response: httpx2.Response,
        bound: _Bound,
        heard: Callable[[], None],
        asked: Asked,
    ) -> None:
        answer.status, answer.headers = response.status_code, _lower(response.headers)
        streams = "text/event-stream" in answer.headers.get("content-type", "")
        decoder = SSEDecoder(_MAX_BYTES)
        body: list[bytes] = []
        for piece in response.iter_bytes():
            if not answer.first:
                answer.first = time.monotonic() - bound.started
                if not streams and response.status_code == 200:
                    streams = piece.lstrip().startswith((b"data:", b"event:", b":"))
            bound.size += len(piece)
            bound.check(len(answer.events))
            if streams and response.status_code == 200:
                events = decoder.feed(piece)
                answer.events += events
                for event in events:
                    if isinstance(event.value, Mapping) and "relay" in event.value:
                        self._relay(event.value["relay"])
                    elif event.data is not None:
                        heard()
                        if event.done:
                            return
                        bound.pieces += isinstance(event.value, Mapping) and bool(event.value.get("choices"))
            else:
                body.append(piece)
        answer.events += decoder.close()
        if not answer.events:
            self._whole(answer, b"".join(body), asked)

    def _whole(self, answer: Answer, body: bytes, asked: Asked) -> None:
        if answer.status != 200:
            answer.error = failure(asked, answer.status, answer.headers, body)
            return
        try:
            payload = json.loads(body)
        except ValueError:
            payload = None
        if isinstance(payload, Mapping):
            answer.payload = payload
        else:
            answer.error = no_models(asked, answer.headers, body)

    def _relay(self, told: Any) -> None:
        if isinstance(told, Mapping) and told.get("type") == "relay.loading":
            self.notice("the gateway is loading the model")

    def _thinking(self) -> str | None:
        level = self.connection.thinking
        return level.value if level is not None else None

    def _asked(self, path: str, model: str | None, size: int, streams: bool = False) -> Asked:
        connection = self.connection
        return Asked(
            url=connection.base_url + path,
            base_url=connection.base_url,
            provider=connection.provider.name if connection.provider.source.kind == "file" else "",
            model=model,
            sent_key=connection.sends_key(),
            streams=streams,
            size=size,
            known=self.known,
            blank=connection.blank,
        )

    def _silent(self, asked: Asked, problem: httpx2.TimeoutException, begun: bool = False) -> GatewayError:
        if isinstance(problem, httpx2.ConnectTimeout):
            return broken(asked, problem)
        return timed_out(asked, self.timeout, begun=begun)

    @contextmanager
    def _waiting(self, what: str) -> Iterator[Callable[[], None]]:
        """Tell whoever watches if nothing comes for a while."""
        text = f"waiting for {what}; a gateway that loads a model first may take minutes"
        timer = threading.Timer(_PATIENCE, self.notice, (text,))
        timer.daemon = True
        timer.start()
        try:
            yield timer.cancel
        finally:
            timer.cancel()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
