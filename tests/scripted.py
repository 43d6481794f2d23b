"""For tests of clients: a gateway on loopback whose every answer is a function, and the answers that it is given.

    with Scripted(lambda exchange: exchange.json({"data": [{"id": "m"}]})) as gateway:
        ChatClient(gateway.base_url).models()

`tests/gateway.py` has the gateway that behaves as real ones do; this one is for what no model says: status codes,
headers, silence, web pages.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = ["Exchange", "Scripted", "chunk", "finish", "listing"]


@dataclass(frozen=True)
class Received:
    """What came in; `body` is None for a GET."""

    path: str
    headers: Message
    body: Any


class Exchange(BaseHTTPRequestHandler):
    """One request, and the ways to answer it."""

    protocol_version = "HTTP/1.1"
    server: Scripted
    body: Any = None

    def do_GET(self) -> None:
        self.body = None  # one object answers all requests of a connection
        self._answer()

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        self._answer()

    def _answer(self) -> None:
        server = self.server
        with server.lock:
            server.requests.append(Received(self.path, self.headers, self.body))
            server.peers.add(self.client_address)
        server.answer(self)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            pass  # the client went away

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def send(self, status: int, data: bytes | str, kind: str, headers: dict[str, str] | None = None) -> None:
        raw = data.encode() if isinstance(data, str) else data
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def json(self, value: Any, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.send(status, json.dumps(value), "application/json", named)

    def error(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        self.json({"error": {"message": message, "type": "error", "code": code}}, status, **headers)

    def stream(self, items: Iterable[Any], done: bool = True) -> None:
        """Chunks (dicts), raw bytes, or functions that are called in between."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for item in [*items, *([b"data: [DONE]\n\n"] if done else [])]:
            if callable(item):
                item()
                continue
            raw = item if isinstance(item, bytes) else b"data: " + json.dumps(item).encode() + b"\n\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def drop(self) -> None:
        """Close the connection without another word."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Scripted(ThreadingHTTPServer):
    """A gateway that answers as a function says.

    Attributes:
        requests: what came in.
        peers: the connections that it came over.
        stop: an event for answers that wait until the test is over.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[Exchange], None]) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.answer = answer
        self.requests: list[Received] = []
        self.peers: set[Any] = set()
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the chat requests."""
        return [request.body for request in self.requests if request.body is not None]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def listing(*ids: str) -> dict[str, Any]:
    """An answer of `/models`."""
    return {"object": "list", "data": [{"id": id_, "object": "model"} for id_ in ids]}


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk with some content."""
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        **more,
    }


def finish(reason: str = "stop") -> dict[str, Any]:
    """The last chunk."""
    made = chunk()
    made["choices"][0] |= {"delta": {}, "finish_reason": reason}
    return made
