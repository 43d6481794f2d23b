"""The proxy as a process: its socket, its signals, its end.

Theory. The socket is bound before anything else is loaded, so that a busy port is told in one sentence. The first
signal (Ctrl-C, SIGTERM) closes the socket and lets running answers go on for a few seconds; then they are cut, each
with an error that says so. A second Ctrl-C ends at once.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from .app import Proxy
from .settings import ProxySettings, ServeError

__all__ = ["bind", "is_local", "running", "serve"]


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
        self.alone = False  # the process is the proxy's
        self.greets = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.alone:
            gc.collect()
            gc.freeze()  # what is loaded stays: collections while streams run look at what is young only
        if self.greets:
            self._look = asyncio.create_task(self._proxy.look())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        timer = asyncio.get_running_loop().call_later(self._proxy.settings.timeouts.drain, self._proxy.cut)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()
            self._proxy.closing = True  # what still runs after a second signal was ended by us, too


def _config(proxy: Proxy) -> uvicorn.Config:
    return uvicorn.Config(
        proxy,
        interface="asgi3",
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


def serve(proxy: Proxy, sockets: Sequence[socket.socket], *, greet: bool = False) -> None:
    """Serve until a signal ends it. Returns normally after Ctrl-C.

    Args:
        proxy: the proxy.
        sockets: where it listens.
        greet: look at the upstream at once, and tell in the log what is there.
    """
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would tell every URL, with its query
    server = _Server(_config(proxy), proxy)
    server.alone, server.greets = True, greet
    try:
        server.run(list(sockets))
    except KeyboardInterrupt:  # uvicorn gives the signal back after a clean end
        pass


@contextmanager
def running(settings: ProxySettings, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """A proxy in a thread of its own; gives its base URL, which ends in `/v1`.

    Raises:
        ServeError: as `bind` and `Proxy`.
    """
    sock = bind(host, port)
    server = _Server(_config(proxy := Proxy(settings)), proxy)
    thread = threading.Thread(target=server.run, args=([sock],), name="proxy", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield f"http://{host}:{sock.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join()
