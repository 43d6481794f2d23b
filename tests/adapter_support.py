"""For the tests of the adapters: messages of every kind as chunks in the safe shape, and a server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hypothesis import strategies as st

Part = tuple[str, ...]
"""("text", TEXT), ("reasoning", TEXT) or ("call", ID, NAME, ARGUMENTS); no two neighbours are both text."""


@dataclass
class Told:
    """A message: its parts in order, why it ended, and the chunks that tell it."""

    parts: list[Part]
    finish: str
    chunks: list[dict[str, Any]] = field(repr=False)
    usage: dict[str, Any] | None = None

    def joined(self, kind: str) -> str:
        return "".join(part[1] for part in self.parts if part[0] == kind)

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        return [part[1:] for part in self.parts if part[0] == "call"]  # type: ignore[misc]

    def completion(self) -> dict[str, Any]:
        """The same as a whole chat completion."""
        message: dict[str, Any] = {"role": "assistant", "content": self.joined("text") or None}
        if self.joined("reasoning"):
            message["reasoning_content"] = self.joined("reasoning")
        if self.calls:
            message["tool_calls"] = [
                {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
                for id, name, arguments in self.calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        usage = {"usage": self.usage} if self.usage else {}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 7,
            "model": "m",
            "choices": [choice],
        } | usage


def chunk(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "m",
        "choices": [choice],
    } | extra


def call_start(index: int, id: str, name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": ""}
    return chunk({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})


def call_more(index: int, arguments: str) -> dict[str, Any]:
    return chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})


USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 12,
    "total_tokens": 42,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 5},
}

_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | _texts | st.just("\U0001f600\\\"[{'"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_objects = st.dictionaries(_texts, _values, max_size=3)
_names = st.sampled_from(["get_weather", "edit", "Bash"])


@st.composite
def messages(draw: st.DrawFn) -> Told:
    """Any message in any chunks: calls cut or not, one after the other or with their deltas mixed."""
    parts: list[Part] = []
    for index in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["text", "reasoning", "call"]))
        if kind == "call":
            arguments = json.dumps(draw(_objects), ensure_ascii=draw(st.booleans()))
            parts.append(
                (
                    "call",
                    f"functions.f:{index}" if draw(st.booleans()) else f"call_{index}",
                    draw(_names),
                    arguments,
                )
            )
        elif parts and parts[-1][0] == kind:
            parts[-1] = (kind, parts[-1][1] + draw(_texts))
        else:
            parts.append((kind, draw(_texts)))
    calls = any(part[0] == "call" for part in parts)
    finish = "tool_calls" if calls else "stop"
    if draw(st.booleans()):
        finish = "length"
        if parts and parts[-1][0] == "call":
            whole = parts[-1][3]
            parts[-1] = (*parts[-1][:3], whole[: draw(st.integers(0, len(whole) - 1))])
    told = Told(parts, finish, [chunk({"role": "assistant", "content": None})])
    mixed = draw(st.booleans())
    waiting: list[list[dict[str, Any]]] = []
    index = 0
    for part in parts:
        pieces = []
        for text in _cut(draw, part[-1]):
            if part[0] == "call":
                pieces.append(call_more(index, text))
            else:
                pieces.append(chunk({"content" if part[0] == "text" else "reasoning_content": text}))
        if part[0] == "call":
            pieces.insert(0, call_start(index, part[1], part[2]))
            index += 1
        if part[0] == "call" and mixed:
            waiting.append(pieces)
            continue
        told.chunks += _mixed(draw, waiting) + pieces
        waiting = []
    told.chunks += _mixed(draw, waiting)
    told.chunks.append(chunk({}, finish))
    if draw(st.booleans()):
        told.usage = USAGE
        told.chunks.append(chunk({}, usage=USAGE) | {"choices": []})
    return told


def _cut(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if a < b]


def _mixed(draw: st.DrawFn, calls: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The chunks of several calls, mixed; each begins after the one before it began."""
    out: list[dict[str, Any]] = []
    begun = 0
    while any(calls):
        ready = [call for call in calls[: begun + 1] if call]
        chosen = draw(st.sampled_from(ready))
        if begun < len(calls) and chosen is calls[begun]:
            begun += 1
        out.append(chosen.pop(0))
    return out


Answer = Callable[[str, dict[str, Any]], tuple[int, str, bytes]]


class Loopback:
    """`answer(path, body)` gives status, content type and body; set it as you like."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer: Answer = lambda path, body: (500, "text/plain", b"no answer was set")


@contextmanager
def loopback() -> Iterator[Loopback]:
    """A real HTTP server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, kind, data = place.answer(self.path, body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    place = Loopback(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
