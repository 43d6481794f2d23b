"""`python -m bench.load`: many streams through the proxy at once, and what the proxy adds to each chunk.

Theory. Three processes on one machine: a gateway (`bench.load_gateway`), the proxy as users start it, and this
client, which reads raw sockets and keeps what came; all work on it waits until the run is over. Each chunk
carries the moment of its sending; its latency is the moment at which its bytes were read minus that. Some streams
go to the gateway directly at the same time: they meet the same busy machine, so the proxy's share is the difference
between the two distributions. Every word names its stream and its place: what is lost, doubled or mixed up shows.

    python -m bench.load [--streams 200] [--seconds 20] [--rate 20] [--direct 20] [--faults 0.5]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from .load_gateway import FAULTS, MODEL, TOOLS, cut_after, said, written

ROOT = Path(__file__).resolve().parents[1]
_SENT = re.compile(rb'"sent":\s*(\d+)')


@dataclass
class Stream:
    """One answer: what was asked for, and what came."""

    name: str
    words: int
    fault: str | None
    proxied: bool
    data: list[bytes] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)
    whole: bool = False


class Client(asyncio.Protocol):
    """One connection, one stream: reads and notes the time."""

    def __init__(self, stream: Stream, rate: float, done: asyncio.Future[None]) -> None:
        self.stream = stream
        self.rate = rate
        self.done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        body = json.dumps(
            {
                "model": MODEL,
                "stream": True,
                "messages": [{"role": "user", "content": "write"}],
                "tools": TOOLS,
                "load": {
                    "stream": self.stream.name,
                    "words": self.stream.words,
                    "fault": self.stream.fault,
                    "rate": self.rate,
                },
            }
        ).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        stream = self.stream
        stream.data.append(data)
        for found in _SENT.finditer(data):
            stream.latencies.append(now - int(found[1]))
        if data.endswith(b"0\r\n\r\n") and (data == b"0\r\n\r\n" or data.endswith(b"\n0\r\n\r\n")):
            stream.whole = True
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def keep_streaming(
    port: int, proxied: bool, options: argparse.Namespace, until: float, into: list[Stream], names: Any
) -> None:
    """One stream after another, until the time is over; the last is read to its end."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(random.random())
    while time.monotonic() < until:
        number = next(names)
        faulty = random.random() < options.faults
        stream = Stream(
            f"s{number}-{random.getrandbits(20):x}",
            random.randint(options.words // 2, options.words),
            FAULTS[number % len(FAULTS)] if faulty and proxied else None,
            proxied,
        )
        into.append(stream)
        done: asyncio.Future[None] = loop.create_future()
        try:
            await loop.create_connection(
                lambda s=stream, d=done: Client(s, options.rate, d), "127.0.0.1", port
            )
        except OSError:
            continue
        await done


@dataclass
class Usage:
    """What a process takes, from /proc."""

    rss: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        ticks = int(stat[11]) + int(stat[12])
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))


# -- afterwards: what came -------------------------------------------------------------------------------------


def body(data: bytes) -> bytes:
    """The body of a chunked response, as far as it came."""
    rest = data.partition(b"\r\n\r\n")[2]
    out = []
    while rest:
        size, found, rest = rest.partition(b"\r\n")
        if not found or size == b"0":
            break
        length = int(size, 16)
        out.append(rest[:length])
        rest = rest[length + 2 :]
    return b"".join(out)


@dataclass
class Answer:
    """An answer as an agent's loop would read it from the safe shape."""

    content: str = ""
    name: str = ""
    arguments: str = ""
    finish: str | None = None
    error: bool = False


def read(stream: Stream) -> Answer:
    """The answer in a proxied stream; anything out of the safe shape raises."""
    answer = Answer()
    for line in body(b"".join(stream.data)).decode().split("\n"):
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        chunk = json.loads(line[6:])
        if "error" in chunk:
            answer.error = True
        for choice in chunk.get("choices") or ():
            delta = choice["delta"]
            answer.content += delta.get("content") or ""
            for call in delta.get("tool_calls") or ():
                assert call["index"] == 0
                answer.name += call["function"].get("name") or ""
                answer.arguments += call["function"]["arguments"]
            answer.finish = choice.get("finish_reason") or answer.finish
    return answer


@dataclass
class Tally:
    """What was wrong, in words of the answers."""

    streams: int = 0
    words: int = 0
    lost: int = 0
    strange: int = 0
    unfinished: int = 0
    wrong: list[str] = field(default_factory=list)

    def take(self, stream: Stream) -> None:
        """Count one proxied stream."""
        self.streams += 1
        dropped = stream.fault == "drop"
        words = cut_after(stream.words) if dropped else stream.words
        content, arguments = said(stream.name, words), "" if dropped else written(stream.name, stream.words)
        finish = "length" if dropped or stream.fault == "no-finish" else "tool_calls"
        try:
            got = read(stream)
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            self.wrong.append(f"{stream.name} ({stream.fault}): {type(error).__name__}: {error}")
            self.lost += 1
            return
        expected_words = content.split() + arguments.split()
        got_words = got.content.split() + got.arguments.split()
        self.words += len(expected_words)
        self.lost += len(set(expected_words) - set(got_words))
        self.strange += len(set(got_words) - set(expected_words))
        right = (got.content.rstrip(), got.arguments) == (
            content.rstrip(),
            arguments,
        ) and got.finish == finish
        if not right or (got.name != ("" if dropped else "write_file")) or got.error != dropped:
            self.wrong.append(
                f"{stream.name} ({stream.fault}): finish {got.finish}, error {got.error}, name {got.name!r}, "
                f"{len(got.content)}/{len(content)} content, {len(got.arguments)}/{len(arguments)} arguments"
            )


def quantiles(values: list[int]) -> tuple[float, float, float]:
    """Median, 99th percentile and greatest, in milliseconds."""
    if not values:
        return (0.0, 0.0, 0.0)
    values.sort()
    return tuple(v / 1e6 for v in (values[len(values) // 2], values[int(len(values) * 0.99)], values[-1]))  # type: ignore[return-value]


# -- the run ---------------------------------------------------------------------------------------------------


def start(args: list[str], **kwargs: Any) -> subprocess.Popen[str]:
    """A process of this Python, with the repository on its path."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, *args],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
        **kwargs,
    )


async def run(options: argparse.Namespace, gateway: int, proxy: int, pid: int) -> int:
    streams: list[Stream] = []
    names = itertools.count()
    started = time.monotonic()
    until = started + options.seconds
    tasks = [
        asyncio.ensure_future(keep_streaming(port, proxied, options, until, streams, names))
        for port, proxied, many in ((proxy, True, options.streams), (gateway, False, options.direct))
        for _ in range(many)
    ]
    await asyncio.sleep(min(3.0, options.seconds / 4))
    samples = [Usage.of(pid)]
    first = time.monotonic()
    chunks = sum(len(s.latencies) for s in streams if s.proxied)
    while (now := time.monotonic()) < until:
        await asyncio.sleep(min(options.seconds / 4, until - now))
        samples.append(Usage.of(pid))
    taken = time.monotonic() - first
    timed = sum(len(s.latencies) for s in streams if s.proxied) - chunks
    finished, pending = await asyncio.wait(tasks, timeout=60)
    for task in finished:
        task.result()
    after = Usage.of(pid)

    tally = Tally()
    for stream in streams:
        if stream.proxied:
            tally.take(stream)
            tally.unfinished += not stream.whole
    cpu = samples[-1].cpu - samples[0].cpu
    through = quantiles([n for s in streams if s.proxied for n in s.latencies])
    direct = quantiles([n for s in streams if not s.proxied for n in s.latencies])
    rows = [
        ("streams at once", f"{options.streams} proxied, {options.direct} direct"),
        ("streams, words in them", f"{tally.streams}, {tally.words}"),
        ("chunks/s through the proxy", f"{timed / taken:.0f}"),
        ("words lost", f"{tally.lost}"),
        ("words mixed up", f"{tally.strange}"),
        ("streams not as they should be", f"{len(tally.wrong)}"),
        ("streams without an end", f"{tally.unfinished + len(pending)}"),
        ("latency direct p50/p99/max", "{:.2f} / {:.2f} / {:.2f} ms".format(*direct)),
        ("latency proxied p50/p99/max", "{:.2f} / {:.2f} / {:.2f} ms".format(*through)),
        ("added p50/p99", f"{through[0] - direct[0]:.2f} / {through[1] - direct[1]:.2f} ms"),
        ("proxy CPU", f"{cpu / taken:.0%} of a core, {cpu / max(timed, 1) * 1e6:.0f} us a chunk"),
        ("proxy RSS", " ".join(f"{s.rss / 2**20:.1f}" for s in [*samples, after]) + " MiB"),
    ]
    for name, value in rows:
        print(f"{name:<31} {value}")
    for line in tally.wrong[:10]:
        print("  ", line)
    return 1 if tally.wrong or tally.unfinished or pending else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=200, help="streams through the proxy at once")
    parser.add_argument("--direct", type=int, default=20, help="streams past it, to compare")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=20, help="chunks a second in each stream")
    parser.add_argument("--words", type=int, default=60, help="of content, at most, and again in the call")
    parser.add_argument("--faults", type=float, default=0.5, help="share of streams with a fault")
    parser.add_argument(
        "--proxy", nargs="+", metavar="ARG", help="another proxy: arguments of Python, {port} and {upstream}"
    )
    options = parser.parse_args()
    import socket

    import uvloop

    gateway = start(["-m", "bench.load_gateway"], stdout=subprocess.PIPE)
    assert gateway.stdout is not None
    upstream = int(gateway.stdout.readline())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = options.proxy or [
        "-m",
        "hamr_parsers",
        "serve",
        "--upstream",
        "http://127.0.0.1:{upstream}/v1",
        "--port",
        "{port}",
        "-q",
    ]
    proxy = start([part.format(port=port, upstream=upstream) for part in command])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        gc.collect()
        gc.disable()
        return uvloop.run(run(options, upstream, port, proxy.pid))
    finally:
        proxy.terminate()
        proxy.wait(10)
        gateway.terminate()
        gateway.wait(10)


if __name__ == "__main__":
    raise SystemExit(main())
