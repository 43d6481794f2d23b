"""The proxy as a process: its socket, its signals, its end.

Theory. The socket is bound before anything else is loaded, so that a busy port is told in one sentence. The first
signal (Ctrl-C, SIGTERM) closes the socket and lets running answers go on for a few seconds; then they are cut, each with
an error that says so. A second Ctrl-C ends at once.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence

import uvicorn

from .app import Proxy
from .settings import ServeError

__all__ = ["bind", "is_local", "serve"]


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Raises:
        ServeError: the port is taken, or the address is none of this machine's.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServeError(f"--host {host!r} is no address of this machine: {reason}") from None
    sock = socket.socket(family, kind, proto)
    try:
        if socket.has_dualstack_ipv6 and family == getattr(socket, "AF_INET6", None):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "SO_REUSEPORT"):  # not on Windows, where SO_REUSEADDR would share a busy port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise ServeError(_why(host, port, error)) from None
    sock.setblocking(False)
    return sock


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken; choose another with --port (0 takes any free one)"
    if error.errno == errno.EACCES:
        return f"port {port} may not be used by this user; choose one above 1023 with --port"
    return f"cannot listen at {host}:{port}: {error.strerror or error}"


class _Server(uvicorn.Server):
    """Cuts what runs when its time is over."""

    def __init__(self, config: uvicorn.Config, proxy: Proxy) -> None:
        super().__init__(config)
        self._proxy = proxy

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        timer = asyncio.get_running_loop().call_later(self._proxy.settings.timeouts.drain, self._proxy.cut)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()


def serve(proxy: Proxy, sockets: Sequence[socket.socket]) -> None:
    """Serve until a signal ends it. Returns normally after Ctrl-C."""
    config = uvicorn.Config(
        proxy.app,
        lifespan="on",
        ws="none",
        log_config=None,
        log_level="critical",  # the proxy tells itself what it does
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(proxy.settings.timeouts.drain) + 3),
    )
    try:
        _Server(config, proxy).run(list(sockets))
    except KeyboardInterrupt:  # uvicorn gives the signal back after a clean end
        pass
