"""The proxy as an ASGI application.

POST /v1/chat/completions   mended (normalized.py)
POST /v1/responses          the same, in the Responses protocol
POST /v1/messages           the same, in Anthropic's
GET  /healthz               its own health; with ?upstream the upstream's too
GET  /metrics               for Prometheus (metrics.py)
everything else             passed on untouched (passing.py)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..._version import __version__
from ...parser import StreamParser
from .capture import Captures
from .client import Receive, Scope, header
from .delivery import Delivery, Send
from .failure import Failure
from .headers import Raw, to_upstream
from .metrics import CONTENT_TYPE, Metrics
from .normalized import answer, log, refuse
from .passing import pass_on
from .redact import Known
from .settings import ProxySettings
from .surface import Chat, surface_of
from .upstream import Upstream

__all__ = ["Proxy"]

_PROBE = 5.0  # seconds that the upstream's health may take
_SHOWN = 8


class Proxy:
    """The proxy of one upstream.

    Raises:
        ServeError: the directory for captures cannot be used.

    Attributes:
        running: the answers that are being given.
        closing: the end was asked for, and running answers are being cut.
        known: the proxy's own secrets, which no error may tell.
    """

    upstream: Upstream

    def __init__(self, settings: ProxySettings) -> None:
        self.settings = settings
        self.known = Known(settings.secrets())
        self.metrics = Metrics()
        self.captures = Captures(settings.capture, settings.limits) if settings.capture is not None else None
        self.running: set[asyncio.Task[None]] = set()
        self.closing = False
        routes = [Route("/healthz", self._health), Route("/metrics", self._metrics)]
        self._own = Starlette(routes=routes, lifespan=self._lifespan)
        self._own_paths = frozenset(route.path for route in routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "http":
            host = header(scope["headers"], b"host")
            if not self._is_called(host):
                named = _name(host or b"").decode("latin-1")
                said = f"this proxy is not called {named!r} here; `hamr-parse serve --allow-host {named}` lets it be"
                await refuse(Delivery(send, self.settings.timeouts), Chat, Failure("request", 403, said))
                return
            if scope["path"] not in self._own_paths:
                await self._dispatch(scope, receive, send)
                return
        await self._own(scope, receive, send)

    def _is_called(self, host: bytes | None) -> bool:
        hosts = self.settings.hosts
        if hosts is None or host is None:  # HTTP/1.0 names none, and no browser speaks it
            return True
        name = _name(host).decode("latin-1").lower().rstrip(".")
        return name in hosts or name.endswith(".localhost") or name.startswith("127.")

    def cut(self) -> None:
        """End what still runs: each client gets what came and an error."""
        self.closing = True
        for task in list(self.running):
            task.cancel("the proxy ends")

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.upstream = Upstream(self.settings, self.known)
        wire = self.settings.wire
        for parser in {wire.parser or "auto", *(name for _, name in self.settings.parsers)}:
            StreamParser(parser=parser).feed("<")  # loaded now, and not while the first answer waits
        try:
            yield
        finally:
            await self.upstream.close()

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        surface = surface_of(path) if scope["method"] == "POST" and path not in self.settings.passed else None
        try:
            if surface is None:
                await pass_on(self, scope, receive, send)
            else:
                await answer(self, surface, scope, receive, send)
        except Exception:
            log.exception("the proxy failed at %s %s; please report this", scope["method"], path[:200])
            self.metrics.requests.labels("failed", "5xx").inc()
            failure = Failure("broken", 500, "the proxy failed; its log says where")
            await refuse(Delivery(send, self.settings.timeouts), surface or Chat, failure)

    async def _health(self, request: Request) -> Response:
        told: dict[str, object] = {
            "status": "ok",
            "version": __version__,
            "upstream": self.upstream.shown,
            "active": len(self.running),
        }
        if request.query_params.get("upstream") in (None, "0", "false", "no"):
            return JSONResponse(told)
        try:
            told["upstream_models"] = len(await self._models(request.headers.raw))
        except Failure as failure:
            told |= {"status": "upstream unhealthy", "upstream_error": failure.message}
        return JSONResponse(told, 200 if told["status"] == "ok" else 503)

    async def look(self) -> None:
        """Tell in the log whether the upstream is there, and what it has."""
        try:
            models = await self._models([])
        except Failure as failure:
            if failure.kind == "cut":
                log.info("the proxy was ended before the upstream %s listed its models", self.upstream.shown)
                return
            log.warning("%s; requests are sent there all the same", failure.message)
        else:
            more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
            count = "1 model" if len(models) == 1 else f"{len(models)} models"
            named = self.known.clean_text(", ".join(models[:_SHOWN]))
            log.info("the upstream has %s%s%s", count, f": {named}" if named else "", more)

    async def _models(self, headers: Raw) -> list[str]:
        """The models of the upstream, by which a gateway's health is judged.

        Raises:
            Failure: it gives none.
        """
        settings = self.settings
        sent = to_upstream(headers, settings.headers, settings.authorization, read_here=True)
        try:
            async with asyncio.timeout(_PROBE):
                got = await self.upstream.send("GET", settings.target.url("/v1/models"), sent, None)
                try:
                    data = await got.read(settings.limits.response)
                finally:
                    await got.close()
        except TimeoutError:
            said = f"the upstream {self.upstream.shown} did not list its models within {_PROBE:g} s"
            raise Failure("timeout", 504, said) from None
        try:
            if got.status == 200:
                return [str(model["id"]) for model in json.loads(data)["data"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
        raise Failure("not_json", 502, self.upstream.refused(got, data))

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)


def _name(host: bytes) -> bytes:
    """The name in a `Host` header, without the port."""
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() else host
