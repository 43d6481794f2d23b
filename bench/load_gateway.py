"""The gateway of the load run: as cheap as can be, one timer and one write a chunk.

Theory. What is measured is the proxy, and all three processes share two cores; so this is no web framework but
a bare asyncio protocol. Each chunk is `{"...", "sent": NANOSECONDS}` of the system's monotonic clock, taken right
before the write; a proxy must keep fields that it does not know, so the client can tell how long each chunk was
under way. The request says which stream it is (`stream`), how long (`words`), how fast (`rate`) and
which fault it has (`fault`); every word of the answer names its stream, so that nothing can be mixed up unseen.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any, cast

MODEL = "Qwen/Qwen2.5-7B-Instruct"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "write_file",
            "description": "Write a file",
            "parameters": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
                "required": ["path", "text"],
            },
        },
    }
]
FAULTS = (
    "text-call",
    "no-index",
    "no-id",
    "name-repeated",
    "cumulative-arguments",
    "no-finish",
    "no-done",
    "crlf",
    "split",
    "comments",
    "null-delta",
    "usage-with-choices",
    "drop",
)

Piece = dict[str, Any] | str | bytes | None  # a choice, a comment, raw bytes; None: the connection is cut


def said(stream: str, words: int) -> str:
    """The content of a stream's answer."""
    return "".join(f"{stream}.{n}é " for n in range(words))


def written(stream: str, words: int) -> str:
    """The arguments of its call."""
    text = "".join(f"{stream}:{n} " for n in range(words))
    return json.dumps({"path": f"/tmp/{stream}", "text": text})


def cut_after(words: int) -> int:
    """How many words of the content a stream with the fault `drop` gives."""
    return words * 2 // 3


def choice(delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
    """One choice of a chunk."""
    return {"index": 0, "delta": delta, "finish_reason": finish}


def call(entry: dict[str, Any]) -> dict[str, Any]:
    """A choice with one tool call delta."""
    return choice({"tool_calls": [entry]})


def answer(stream: str, words: int, fault: str | None) -> Iterator[Piece]:
    """What a stream sends, one item a tick."""
    yield choice({"role": "assistant", "content": None})
    for n in range(words):
        if fault == "drop" and n == cut_after(words):
            yield None
            return
        if fault == "comments" and n % 10 == 5:
            yield ": still here\n\n"
        yield choice({"content": f"{stream}.{n}é "})
    arguments = written(stream, words)
    size = max(1, len(arguments) // words)
    pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    if fault == "text-call":
        yield choice({"content": "\n<tool_"})
        yield choice({"content": 'call>\n{"name": "write_file", "arguments": '})
        for piece in pieces:
            yield choice({"content": piece})
        yield choice({"content": "}\n</tool"})
        yield choice({"content": "_call>"})
        yield choice({}, "stop")
    else:
        index = {} if fault == "no-index" else {"index": 0}
        ident = {} if fault == "no-id" else {"id": f"call_{stream.replace('-', '_')}"}
        function = {"name": "write_file"}
        yield call({**index, **ident, "type": "function", "function": {**function, "arguments": ""}})
        sofar = ""
        for n, piece in enumerate(pieces):
            sofar += piece
            later = {"arguments": sofar if fault == "cumulative-arguments" else piece}
            if fault == "name-repeated":
                yield call({**index, **ident, "function": {**function, **later}})
            elif fault == "no-finish" and n == len(pieces) - 1:
                yield {**call({**index, "function": later}), "last": True}
            else:
                yield call({**index, "function": later})
        if fault == "null-delta":
            yield choice(None, "tool_calls")
        elif fault != "no-finish":
            yield choice({}, "tool_calls")
    if fault == "usage-with-choices":
        yield {
            **choice({}),
            "usage": {"prompt_tokens": 1, "completion_tokens": words, "total_tokens": 1 + words},
        }
    if fault != "no-done":
        yield b"data: [DONE]\n\n"


class Gateway(asyncio.Protocol):
    """One connection: requests one after another, each answered by a stream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self.buffer = b""
        self.rest = b""
        self.loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        self.start(json.loads(rest[:length])["load"])

    def start(self, request: dict[str, Any]) -> None:
        self.stream = request["stream"]
        self.fault = request.get("fault")
        self.pieces = answer(self.stream, request["words"], self.fault)
        self.pause = 1 / request["rate"]
        self.end = "\r\n\r\n" if self.fault == "crlf" else "\n\n"
        head = (
            '{"id": "chatcmpl-%s", "object": "chat.completion.chunk", "created": 1, "model": "%s", "sent": '
        )
        self.head = head % (self.stream, MODEL)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        self.due = self.loop.time() + self.pause * random.random()
        self.timer = self.loop.call_at(self.due, self.tick)

    def tick(self) -> None:
        """The next piece; what ends the answer comes all at once, as servers send it."""
        piece = next(self.pieces, b"")
        self.send(piece)
        if isinstance(piece, dict) and (piece["finish_reason"] or piece.get("last")):
            for rest in self.pieces:
                self.send(rest)
            self.send(b"")
            piece = b""
        if piece is None or piece == b"":
            self.timer = None
            return
        self.due += self.pause
        self.timer = self.loop.call_at(self.due, self.tick)

    def send(self, piece: Piece) -> None:
        self.flush()
        if piece is None:
            self.transport.abort()
            return
        if piece == b"":
            self.transport.write(b"0\r\n\r\n")
            return
        if isinstance(piece, dict):
            usage = piece.get("usage")
            rest = json.dumps(
                {k: v for k, v in piece.items() if k not in ("usage", "last")}, ensure_ascii=False
            )
            more = f', "usage": {json.dumps(usage)}' if usage else ""
            text = f'data: {self.head}{time.monotonic_ns()}, "choices": [{rest}]{more}}}{self.end}'
            data = text.encode()
        else:
            data = piece.encode() if isinstance(piece, str) else piece
        if self.fault == "split" and "é".encode() in data:
            at = data.index("é".encode()) + 1
            self.write(data[:at])
            self.rest = data[at:]
            self.loop.call_soon(self.flush)
        else:
            self.write(data)

    def flush(self) -> None:
        """The second half of a piece that was split; a late tick may come before its turn."""
        if self.rest:
            rest, self.rest = self.rest, b""
            self.write(rest)

    def write(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))


async def serve() -> None:
    """Until standard input ends; the port is the first line of standard output."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Gateway, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())
