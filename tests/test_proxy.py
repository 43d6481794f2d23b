"""The proxy over real HTTP on loopback, before the replay gateway and before servers that do worse things."""

from __future__ import annotations

import contextlib
import gzip
import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("httpx2")
pytest.importorskip("prometheus_client")

import httpx2

from hamr_parsers.cli.app import app
from hamr_parsers.serve.proxy import Limits, ProxySettings, ServeError, Target, Timeouts, bind, running
from hamr_parsers.serve.proxy.redact import Known, Redactor
from hamr_parsers.serve.replay import ReplayGateway
from hamr_parsers.wire import WireOptions
from tests.gateway import Answered, post, question, serving

ROOT = Path(__file__).resolve().parents[1]
CALL = "qwen3-coder-30b:one-call"
LONG = "glm-4.6:long-argument"
REASONED = "qwen3-8b:reasoning-call"


def settings(upstream: str, **options: Any) -> ProxySettings:
    return ProxySettings(target=Target.of(upstream), **options)


class At:
    """What `tests.gateway.post` needs to know of a server."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url


@contextlib.contextmanager
def proxied(options: dict[str, Any] | None = None, **gateway: Any) -> Iterator[tuple[Any, ReplayGateway]]:
    """A gateway and a proxy before it."""
    with serving(**gateway) as behind, running(settings(behind.base_url, **(options or {}))) as url:
        yield At(url), behind


@pytest.fixture(scope="module")
def plain() -> Iterator[tuple[Any, ReplayGateway]]:
    """A gateway and a proxy with nothing set, for all tests that ask for a fault in the request."""
    with proxied() as both:
        yield both


def until(holds: Callable[[], object], seconds: float = 10) -> None:
    """Wait for what another thread does; how long it takes is not the test's matter."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    assert holds()


def calls_of(answered: Answered) -> list[tuple[str, Any]]:
    """The calls of a streamed answer, by an agent's plain loop over the safe shape."""
    found: list[list[str]] = []
    for entry in answered.entries:
        if entry["index"] == len(found):
            assert entry["id"] and entry["type"] == "function"
            found.append([entry["function"]["name"], ""])
        found[entry["index"]][1] += entry["function"]["arguments"]
    return [(name, json.loads(arguments)) for name, arguments in found]


def truth(gateway: ReplayGateway, scenario: str) -> list[tuple[str, Any]]:
    return list(gateway.scenarios[scenario].truth.calls)


def metric(at: Any, name: str, **labels: str) -> float:
    text = httpx2.get(at.base_url.removesuffix("/v1") + "/metrics", trust_env=False).text
    total = 0.0
    for line in text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name:
            told = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
            if all(told.get(key) == value for key, value in labels.items()):
                total += float(found[3])
    return total


# -- a server of raw bytes, for what no gateway should do ------------------------------------------------------


class Raw:
    """Answers each connection as `answer` does; `requests` are what came, `gone` the connections that ended."""

    def __init__(self, answer: Callable[[socket.socket, bytes], object]) -> None:
        self.requests: list[bytes] = []
        self.sent = 0
        self.gone = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            while len(body) < (int(length[1]) if length else 0):
                body += connection.recv(65536)
            if re.search(rb"(?i)transfer-encoding: chunked", head):
                while not body.endswith(b"0\r\n\r\n"):
                    body += connection.recv(65536)
            self.requests.append(head + b"\r\n\r\n" + body)
            self._answer(connection, head)
        self.gone += 1

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def raw(answer: Callable[[socket.socket, bytes], object]) -> Iterator[Raw]:
    server = Raw(answer)
    try:
        yield server
    finally:
        server.close()


def reply(status: str, body: bytes, *headers: str) -> Callable[[socket.socket, bytes], object]:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "Connection: close"])
    return lambda connection, _: connection.sendall(head.encode() + b"\r\n\r\n" + body)


def chunk(**choice: Any) -> bytes:
    value = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, **choice}],
    }
    return b"data: %s\n\n" % json.dumps(value).encode()


SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": TOOLS}


# -- the cure ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scenario", [CALL, LONG, REASONED, "hermes-4-70b:parallel", "mistral-small-3.2:unicode"]
)
@pytest.mark.parametrize("stream", [True, False])
def test_text_calls_become_tool_calls(plain: Any, scenario: str, stream: bool) -> None:
    with contextlib.nullcontext(plain) as (proxy, gateway):
        told = gateway.scenarios[scenario]
        answered = post(proxy, question(told, stream=stream))
        assert answered.status == 200
        if stream:
            assert calls_of(answered) == list(told.truth.calls)
            assert answered.text().strip() == (told.truth.content or "").strip()
            assert answered.text("reasoning_content").strip() == (told.truth.reasoning or "").strip()
            assert answered.finishes == ["tool_calls"] and answered.data[-1] == "[DONE]"
        else:
            choice = answered.json()["choices"][0]
            got = [
                (c["function"]["name"], json.loads(c["function"]["arguments"]))
                for c in choice["message"]["tool_calls"]
            ]
            assert got == list(told.truth.calls) and choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "fault",
    ["no-index", "empty-id-later", "name-repeated", "cumulative-arguments", "object-arguments", "no-done", "crlf",
     "split-utf8", "small-pieces", "no-blanks", "ping-events", "loading-frames", "plain-type", "until-close",
     "doubled", "usage-null-choices"],
)  # fmt: skip
def test_what_gateways_do_to_streams_is_mended(plain: Any, fault: str) -> None:
    with contextlib.nullcontext(plain) as (proxy, gateway):
        asked = question(gateway.scenarios[CALL], stream=True)
        answered = post(proxy, asked, {"x-replay-fault": fault})
        assert calls_of(answered) == truth(gateway, CALL)
        assert answered.finishes == ["tool_calls"]


def test_a_stream_where_none_was_asked_for_and_the_other_way(plain: Any) -> None:
    with contextlib.nullcontext(plain) as (proxy, gateway):
        asked = question(gateway.scenarios[CALL], stream=False)
        message = post(proxy, asked, {"x-replay-fault": "always-streams"}).json()["choices"][0]["message"]
        assert [c["function"]["name"] for c in message["tool_calls"]] == [truth(gateway, CALL)[0][0]]
        asked = question(gateway.scenarios[CALL], stream=True)
        answered = post(proxy, asked, {"x-replay-fault": "ignores-stream"})
        assert answered.headers["content-type"].startswith("text/event-stream")
        assert calls_of(answered) == truth(gateway, CALL)


def test_a_server_that_destroys_calls_is_asked_for_text() -> None:
    with proxied({"wire": WireOptions(upstream="text")}, kind="vllm", faults=["destroyed-call"]) as (
        proxy,
        gateway,
    ):
        answered = post(proxy, question(gateway.scenarios[CALL], stream=True))
        assert calls_of(answered) == truth(gateway, CALL)
        assert gateway.requests[-1].body["tool_choice"] == "none" and gateway.requests[-1].body["tools"]


def test_the_parser_may_be_named_by_model() -> None:
    text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    with raw(
        lambda c, _: c.sendall(
            SSE_HEAD + chunk(delta={"content": text}) + chunk(delta={}, finish_reason="stop")
        )
    ) as server:
        for parsers, expected in (([("m*", "hermes")], 1), ([("m", "openai")], 0)):
            with running(settings(server.base_url, parsers=parsers)) as url:
                assert len(calls_of(post(At(url), {**ASK, "stream": True}))) == expected


def test_a_request_that_needs_no_change_goes_upstream_byte_for_byte() -> None:
    body = json.dumps({**ASK, "stream": True, "top_k": 3, "x": "é"}, indent=3).encode()
    with raw(lambda c, _: c.sendall(SSE_HEAD + chunk(delta={}, finish_reason="stop"))) as server:
        with running(settings(server.base_url)) as url:
            httpx2.post(url + "/chat/completions", content=body, trust_env=False)
        assert server.requests[0].partition(b"\r\n\r\n")[2] == body


def test_encrypted_upstreams_go_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual transport of httpx2, which `https://` has, without certificates."""
    monkeypatch.setattr("hamr_parsers.serve.proxy.upstream.PlainTransport", lambda *_: None)
    with proxied(rate=500) as (proxy, gateway):
        asked = question(gateway.scenarios[CALL], stream=True)
        assert calls_of(post(proxy, asked)) == truth(gateway, CALL)
        for fault in ("drop=0.5", "reset=0.5"):
            assert "error" in post(proxy, asked, {"x-replay-fault": fault}).chunks[-1]
        with httpx2.stream(
            "POST", proxy.base_url + "/chat/completions", json=asked, trust_env=False
        ) as response:
            next(response.iter_raw())
        until(lambda: gateway.requests[-1].ended == "disconnected")


def test_many_streams_at_once_are_not_mixed_up() -> None:
    faults = ["no-index", "cumulative-arguments", "split-utf8", "small-pieces", "drop=0.5"]
    names = [CALL, LONG, REASONED, "kimi-k2-instruct:no-arguments", "mistral-small-3.2:unicode"]

    def one(number: int) -> tuple[int, Answered]:
        scenario = gateway.scenarios[names[number % len(names)]]
        headers = {"x-replay-fault": faults[number // 2 % len(faults)]} if number % 2 else {}
        return number, post(proxy, question(scenario, stream=True), headers)

    with proxied(cut="random") as (proxy, gateway), ThreadPoolExecutor(40) as pool:
        for number, answered in pool.map(one, range(120)):
            told = gateway.scenarios[names[number % len(names)]].truth
            if number % 2 and faults[number // 2 % len(faults)] == "drop=0.5":
                assert "error" in answered.chunks[-1] and answered.finishes == ["length"]
                assert (told.content or "").startswith(answered.text())
            else:
                assert calls_of(answered) == list(told.calls)


# -- trouble ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop=0.5", "reset=0.5", "error-in-stream"])
def test_a_stream_that_dies_ends_in_an_error_after_what_came(plain: Any, fault: str) -> None:
    with contextlib.nullcontext(plain) as (proxy, gateway):
        answered = post(proxy, question(gateway.scenarios[LONG], stream=True), {"x-replay-fault": fault})
        assert answered.status == 200 and answered.broken is None
        assert answered.finishes == ["length"]
        assert answered.chunks[-1]["error"]["message"] and answered.data[-1] != "[DONE]"
        assert answered.text() or answered.entries


def test_a_dead_upstream_is_a_502_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with running(settings(dead)) as url:
        for path, body in (
            ("/chat/completions", ASK),
            ("/chat/completions", {**ASK, "stream": True}),
            ("/embeddings", {}),
        ):
            answered = post(At(url), body, path=path)
            assert answered.status == 502
            assert dead in answered.json()["error"]["message"]
        answered = post(
            At(url), {"model": "m", "max_tokens": 9, "messages": ASK["messages"]}, path="/messages"
        )
        assert answered.status == 502 and answered.json()["type"] == "error"
        assert dead in answered.json()["error"]["message"]
        assert (
            dead in post(At(url), {"model": "m", "input": "x"}, path="/responses").json()["error"]["message"]
        )


def test_a_silent_upstream_is_a_504() -> None:
    silent = Timeouts(silence=0.2)
    with raw(lambda c, _: c.recv(1)) as server, running(settings(server.base_url, timeouts=silent)) as url:
        answered = post(At(url), ASK)
    assert answered.status == 504 and "0.2 s" in answered.json()["error"]["message"]


def test_silence_in_the_middle_of_a_stream_ends_it_with_an_error() -> None:
    def stall(connection: socket.socket, _: bytes) -> None:
        connection.sendall(SSE_HEAD + chunk(delta={"content": "Hi"}))
        connection.recv(1)

    with raw(stall) as server, running(settings(server.base_url, timeouts=Timeouts(silence=0.2))) as url:
        answered = post(At(url), {**ASK, "stream": True})
    assert answered.text() == "Hi" and "nothing came" in answered.chunks[-1]["error"]["message"]


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (
            reply("200 OK", b"<!doctype html><title>Log in</title>", "Content-Type: text/html"),
            502,
            "web page",
        ),
        (reply("200 OK", b"", "Content-Type: application/json"), 502, "nothing"),
        (reply("200 OK", b'{"choices": [', "Content-Type: application/json"), 502, "JSON"),
        (
            reply("403 Forbidden", b"<html>Cloudflare Access</html>", "Content-Type: text/html"),
            403,
            "CF-Access-Client-Id",
        ),
        (reply("302 Found", b"", "Location: http://elsewhere/login?token=abc"), 502, "redirects"),
        (reply("502 Bad Gateway", b"<html>nginx</html>", "Content-Type: text/html"), 502, "web page"),
        (lambda connection, _: connection.sendall(b"SSH-2.0-OpenSSH\r\n"), 502, "right port"),
        (lambda connection, _: None, 502, "without an answer"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_no_gateway_is_told_in_json(
    answer: Callable[[socket.socket, bytes], object], status: int, says: str, stream: bool
) -> None:
    with raw(answer) as server, running(settings(server.base_url)) as url:
        answered = post(At(url), {**ASK, "stream": stream})
    assert answered.status == status
    message = answered.json()["error"]["message"]
    assert says in message and server.base_url in message and "token=abc" not in message


def test_errors_of_the_upstream_pass_with_status_and_body() -> None:
    body = b'{"error":  {"message": "too many", "type": "rate", "code": 429}}'
    refusing = reply("429 Too Many", body, "Content-Type: application/json", "Retry-After: 7")
    with raw(refusing) as server, running(settings(server.base_url)) as url:
        answered = post(At(url), {**ASK, "stream": True})
        assert (answered.status, answered.body, answered.headers["retry-after"]) == (429, body, "7")
        answered = post(At(url), {**ASK, "max_tokens": 5}, path="/messages")
        assert answered.status == 429 and answered.json()["error"]["message"] == "too many"


def test_an_error_object_with_status_200_is_an_error() -> None:
    body = b'{"error": {"message": "no such model", "code": 404}}'
    with (
        raw(reply("200 OK", body, "Content-Type: application/json")) as server,
        running(settings(server.base_url)) as url,
    ):
        for stream in (True, False):
            answered = post(At(url), {**ASK, "stream": stream})
            assert answered.status == 404 and answered.json()["error"]["message"] == "no such model"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[1]", 400),
        (b'{"a":', 400),
        (b"[" * 100_000, 400),
        (b'{"a": "' + b"x" * 5000 + b'"}', 413),
    ],
)
def test_a_request_that_is_none_is_refused(content: bytes, status: int) -> None:
    with running(settings("http://127.0.0.1:9/v1", limits=Limits(request=4000))) as url:
        if content.startswith(b"[["):
            content = content[:3999]
        answered = httpx2.post(url + "/chat/completions", content=content, trust_env=False)
    assert answered.status_code == status
    assert answered.json()["error"]["type"] == "invalid_request_error"


def test_tools_that_are_none_are_the_servers_to_refuse(plain: Any) -> None:
    with contextlib.nullcontext(plain) as (proxy, gateway):
        post(proxy, {**ASK, "tools": [{"type": "function"}], "stream": True})
        assert gateway.requests[-1].body["tools"] == [{"type": "function"}]


# -- time ------------------------------------------------------------------------------------------------------


def test_a_client_that_leaves_cancels_the_upstream() -> None:
    with proxied(rate=50) as (proxy, gateway):
        body = question(gateway.scenarios[LONG], stream=True)
        with httpx2.stream(
            "POST", proxy.base_url + "/chat/completions", json=body, trust_env=False
        ) as response:
            next(response.iter_raw())
        until(lambda: gateway.requests[-1].ended == "disconnected")
        assert gateway.requests[-1].sent < gateway.requests[-1].pieces
        until(lambda: metric(proxy, "hamr_client_disconnects_total") == 1)
        assert metric(proxy, "hamr_active_streams") == 0


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
def test_a_client_that_leaves_before_the_head_cancels_the_upstream(path: str) -> None:
    with raw(lambda connection, _: connection.recv(1)) as server, running(settings(server.base_url)) as url:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(url + path, json=ASK, trust_env=False, timeout=0.3)
        until(lambda: server.gone == 1)


@pytest.mark.parametrize("path", ["/chat/completions", "/completions"])
def test_a_client_that_does_not_read_stops_the_reading_of_the_upstream(path: str) -> None:
    piece = chunk(delta={"content": "x" * 4000})
    total = 64 * 1024 * 1024

    def flood(connection: socket.socket, _: bytes) -> None:
        connection.sendall(SSE_HEAD)
        while server.sent < total:
            server.sent += connection.send(piece * 10)

    with raw(flood) as server, running(settings(server.base_url)) as url:
        port = int(url.rpartition(":")[2].removesuffix("/v1"))
        with socket.create_connection(("127.0.0.1", port)) as client:
            body = json.dumps({**ASK, "stream": True}).encode()
            client.sendall(
                f"POST /v1{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            client.recv(1)
            before = -1
            while before != server.sent:  # until nothing moves any more
                before = server.sent
                time.sleep(0.3)
            assert server.sent < total / 2
            read = 0
            while read < 2 * before:  # it goes on where it stopped
                read += len(client.recv(1 << 20))
            assert server.sent > before
        until(lambda: server.gone == 1)


def test_a_client_that_never_reads_is_given_up() -> None:
    def flood(connection: socket.socket, _: bytes) -> None:
        connection.sendall(SSE_HEAD)
        while True:
            connection.sendall(chunk(delta={"content": "x" * 4000}))

    with raw(flood) as server, running(settings(server.base_url, timeouts=Timeouts(stalled=0.4))) as url:
        port = int(url.rpartition(":")[2].removesuffix("/v1"))
        with socket.create_connection(("127.0.0.1", port)) as client:
            body = json.dumps({**ASK, "stream": True}).encode()
            client.sendall(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            until(lambda: server.gone == 1)


def test_comments_keep_a_client_awake_while_the_upstream_is_silent() -> None:
    said = threading.Event()

    def slow(connection: socket.socket, _: bytes) -> None:
        said.wait(10)
        connection.sendall(
            SSE_HEAD
            + chunk(delta={"content": "Hi"}, finish_reason=None)
            + chunk(delta={}, finish_reason="stop")
        )

    with raw(slow) as server, running(settings(server.base_url, timeouts=Timeouts(keep_alive=0.1))) as url:
        with httpx2.stream(
            "POST", url + "/chat/completions", json={**ASK, "stream": True}, trust_env=False
        ) as response:
            assert response.status_code == 200
            pieces = response.iter_raw()
            assert next(pieces).startswith(b": ")  # the head came without the upstream's
            said.set()
            rest = b"".join(pieces)
        assert b'"Hi"' in rest and rest.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "mark"),
    [
        ("/chat/completions", b'data: {"error"'),
        ("/messages", b"event: error"),
        ("/responses", b"event: response.failed"),
    ],
)
def test_an_error_after_the_first_comment_is_an_event_of_the_protocol(path: str, mark: bytes) -> None:
    said = threading.Event()

    def slow(connection: socket.socket, head: bytes) -> None:
        said.wait(10)
        reply("503 Busy", b'{"error": {"message": "still loading"}}', "Content-Type: application/json")(
            connection, head
        )

    with raw(slow) as server, running(settings(server.base_url, timeouts=Timeouts(keep_alive=0.1))) as url:
        body = {**ASK, "stream": True, "max_tokens": 10, "tools": []}
        if path == "/responses":
            body = {"model": "m", "input": "x", "stream": True}
        with httpx2.stream("POST", url + path, json=body, trust_env=False) as response:
            pieces = response.iter_raw()
            assert next(pieces).startswith(b": ")
            said.set()
            rest = b"".join(pieces)
    assert mark in rest and b"still loading" in rest and b"[DONE]" not in rest


@pytest.mark.parametrize("stream", [True, False])
def test_an_upstream_that_compresses_unasked_is_read(stream: bool) -> None:
    if stream:
        plain, kind = (
            chunk(delta={"content": "Hi"}) + chunk(delta={}, finish_reason="stop"),
            "text/event-stream",
        )
    else:
        plain, kind = (
            b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}',
            "application/json",
        )
    packed = gzip.compress(plain)
    answer = reply("200 OK", packed, f"Content-Type: {kind}", "Content-Encoding: gzip")
    with raw(answer) as server, running(settings(server.base_url)) as url:
        answered = post(At(url), {**ASK, "stream": stream})
    assert "content-encoding" not in answered.headers and b'"Hi"' in answered.body


def test_comments_of_the_upstream_are_passed_on(plain: Any) -> None:
    proxy, gateway = plain
    answered = post(proxy, question(gateway.scenarios[CALL], stream=True), {"x-replay-fault": "comments"})
    assert b"\n:" in answered.body


# -- the other protocols -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["", "+cumulative-arguments"])
def test_the_anthropic_sdk_works_with_a_local_model(plain: Any, stream: bool, fault: str) -> None:
    anthropic = pytest.importorskip("anthropic")
    with contextlib.nullcontext(plain) as (proxy, gateway):
        scenario = gateway.scenarios[REASONED]
        tools = [
            {"name": t["function"]["name"], "description": "", "input_schema": t["function"]["parameters"]}
            for t in scenario.tools or ()
        ]
        url = proxy.base_url.removesuffix("/v1")
        client = anthropic.Anthropic(base_url=url, api_key="client-key-123", max_retries=0)
        messages = [{"role": "user", "content": "do"}]
        asked = {"model": REASONED + fault, "max_tokens": 1000, "tools": tools, "messages": messages}
        if stream:
            with client.messages.stream(**asked) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**asked)
        used = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
        assert used == list(scenario.truth.calls) and message.stop_reason == "tool_use"
        sent = gateway.requests[-1]
        assert sent.path.endswith("/chat/completions")
        assert sent.headers["authorization"] == "Bearer client-key-123" and "x-api-key" not in sent.headers
        client.close()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["", "+cumulative-arguments"])
def test_the_openai_sdk_gets_responses_from_a_local_model(plain: Any, stream: bool, fault: str) -> None:
    openai = pytest.importorskip("openai")
    with contextlib.nullcontext(plain) as (proxy, gateway):
        scenario = gateway.scenarios[REASONED]
        tools = [{"type": "function", **t["function"], "strict": False} for t in scenario.tools or ()]
        with openai.OpenAI(base_url=proxy.base_url, api_key="k", max_retries=0) as client:
            asked = {"model": REASONED + fault, "tools": tools, "input": "do"}
            if stream:
                with client.responses.stream(**asked) as events:
                    response = events.get_final_response()
            else:
                response = client.responses.create(**asked)
        called = [
            (item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ]
        assert called == list(scenario.truth.calls) and response.status == "completed"


def test_a_protocol_that_the_upstream_serves_itself_may_pass() -> None:
    with raw(reply("200 OK", b'{"type": "message"}', "Content-Type: application/json")) as server:
        with running(settings(server.base_url, passed=frozenset({"/v1/messages"}))) as url:
            assert post(At(url), {"any": 1}, path="/messages").json() == {"type": "message"}
        assert server.requests[0].startswith(b"POST /v1/messages ")


def test_what_a_protocol_cannot_ask_is_refused_in_its_own_shape(plain: Any) -> None:
    with contextlib.nullcontext(plain) as (proxy, _):
        answered = post(proxy, {"model": "m", "messages": 5, "max_tokens": 5}, path="/messages")
        assert answered.status == 400 and answered.json()["type"] == "error"
        answered = post(proxy, {"model": "m", "input": 5}, path="/responses")
        assert answered.status == 400 and answered.json()["error"]["message"]


# -- the rest passes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_paths_pass_byte_for_byte(method: str) -> None:
    body = bytes(range(256)) * 300
    own = b"X-Own: 1\r\nContent-Encoding: x-own\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n"
    answer = b"HTTP/1.1 207 Odd\r\n" + own + b"Content-Length: %d\r\n\r\n%b"
    with (
        raw(lambda c, _: c.sendall(answer % (len(body), body))) as server,
        running(settings(server.base_url)) as url,
    ):
        request = httpx2.Request(
            method,
            url.removesuffix("/v1") + "/own/a%2Fb?x=1&y=%20",
            content=body if method not in ("GET", "OPTIONS") else None,
            headers={"X-Mine": "7", "Accept-Encoding": "x-own", "Keep-Alive": "5", "TE": "x"},
        )
        with httpx2.Client(trust_env=False) as client:
            got = client.send(request, stream=True)
            assert b"".join(got.iter_raw()) == body
    assert (
        got.status_code == 207 and got.headers["x-own"] == "1" and got.headers["content-encoding"] == "x-own"
    )
    assert "x-hop" not in got.headers
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(f"{method} /own/a%2Fb?x=1&y=%20 HTTP/1.1".encode())
    assert re.search(rb"(?i)\r\nx-mine: 7", head) and re.search(rb"(?i)\r\naccept-encoding: x-own", head)
    assert not re.search(rb"(?i)\r\n(keep-alive|te):", head)
    assert re.search(
        rb"(?i)\r\nhost: 127\.0\.0\.1:%d\r\n" % int(server.base_url.rpartition(":")[2][:-3]), head + b"\r\n"
    )
    assert sent == (body if method not in ("GET", "OPTIONS") else b"")


def test_models_and_paths_beside_v1_reach_the_upstream(plain: Any) -> None:
    with contextlib.nullcontext(plain) as (proxy, gateway):
        listed = httpx2.get(proxy.base_url + "/models", trust_env=False).json()
        assert {model["id"] for model in listed["data"]} == set(gateway.scenarios)
        direct = httpx2.get(gateway.base_url.removesuffix("/v1") + "/health", trust_env=False)
        through = httpx2.get(proxy.base_url.removesuffix("/v1") + "/health", trust_env=False)
        assert (direct.status_code, direct.content) == (through.status_code, through.content)
        assert httpx2.head(proxy.base_url + "/models", trust_env=False).content == b""


@pytest.mark.parametrize("usual", [False, True])
def test_a_head_answer_with_a_body_does_not_spoil_the_next(
    usual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if usual:
        monkeypatch.setattr("hamr_parsers.serve.proxy.upstream.PlainTransport", lambda *_: None)

    def broken(connection: socket.socket, _: bytes) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
            if not connection.recv(65536):
                return

    with (
        raw(broken) as server,
        running(settings(server.base_url)) as url,
        httpx2.Client(trust_env=False) as client,
    ):
        for _ in range(5):
            assert client.head(url + "/models").status_code == 200
            assert client.get(url + "/models").text == "body"


def test_a_body_of_unknown_length_passes_while_it_comes() -> None:
    def pieces() -> Iterator[bytes]:
        for number in range(5):
            yield b"%d" % number * 1000

    with raw(reply("200 OK", b"ok")) as server, running(settings(server.base_url)) as url:
        assert httpx2.post(url + "/audio/transcriptions", content=pieces(), trust_env=False).text == "ok"
    assert b"transfer-encoding: chunked" in server.requests[0].lower()


def test_a_passed_answer_that_breaks_off_does_not_look_whole() -> None:
    def half(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    with (
        raw(half) as server,
        running(settings(server.base_url)) as url,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        httpx2.get(url + "/files/1", trust_env=False)


def test_keys_and_headers_of_the_proxy_win_over_the_clients() -> None:
    own = {"api_key": "own-key", "headers": {"CF-Access-Client-Id": "id", "X-Title": "proxy"}}
    mine = {"Authorization": "Bearer mine", "X-Title": "mine", "X-Other": "o"}
    with proxied(own) as (proxy, gateway):
        for path in ("/chat/completions", "/embeddings"):
            post(proxy, question(CALL), mine, path=path)
            sent = gateway.requests[-1].headers
            assert sent["authorization"] == "Bearer own-key" and sent["cf-access-client-id"] == "id"
            assert sent["x-title"] == "proxy" and sent["x-other"] == "o"
    with proxied() as (proxy, gateway):
        post(proxy, question(CALL), mine)
        assert gateway.requests[-1].headers["authorization"] == "Bearer mine"
        assert gateway.requests[-1].headers["accept-encoding"] == "identity"


def test_a_name_that_is_not_this_machines_is_refused() -> None:
    with (
        serving() as gateway,
        command("--upstream", gateway.base_url, "--port", "0", "--allow-host", "own.example") as (_, url),
    ):
        for name, status in (
            ("evil.example", 403),
            ("evil.example:80", 403),
            ("own.example:1", 200),
            ("localhost", 200),
            ("x.localhost:9", 200),
            ("[::1]:8100", 200),
        ):
            for path in ("/models", "/../metrics"):
                got = httpx2.get(url + path, headers={"Host": name}, trust_env=False)
                assert got.status_code == status, name
        assert (
            "--allow-host evil.example"
            in httpx2.get(url + "/models", headers={"Host": "evil.example"}, trust_env=False).text
        )


# -- what is told about it -----------------------------------------------------------------------------------------


def test_health_is_its_own_and_the_upstreams_on_request() -> None:
    with proxied() as (proxy, _):
        root = proxy.base_url.removesuffix("/v1")
        assert httpx2.get(root + "/healthz", trust_env=False).json()["status"] == "ok"
        assert httpx2.get(root + "/healthz?upstream=1", trust_env=False).json()["upstream_models"] > 5
    with running(settings("http://user:pass-word@127.0.0.1:9/v1")) as url:
        root = url.removesuffix("/v1")
        assert httpx2.get(root + "/healthz", trust_env=False).status_code == 200
        told = httpx2.get(root + "/healthz?upstream=1", trust_env=False)
        assert told.status_code == 503 and "http://127.0.0.1:9/v1" in told.json()["upstream_error"]
        assert "pass-word" not in told.text


@pytest.mark.parametrize(
    ("number", "said"), [(0, "has 0 models"), (1, "has 1 model: m0"), (2, "has 2 models: m0, m1")]
)
def test_the_first_line_tells_what_the_upstream_has(number: int, said: str) -> None:
    body = json.dumps({"data": [{"id": f"m{n}"} for n in range(number)]}).encode()
    with (
        raw(reply("200 OK", body, "Content-Type: application/json")) as server,
        command("--upstream", server.base_url, "--port", "0") as (process, _),
    ):
        assert process.stderr is not None
        assert process.stderr.readline().strip().endswith(said)


def test_metrics_count_what_was_done() -> None:
    with proxied() as (proxy, gateway):
        post(proxy, question(gateway.scenarios["hermes-4-70b:parallel"], stream=True))
        post(proxy, question(gateway.scenarios[CALL], stream=True), {"x-replay-fault": "no-index"})
        post(proxy, question(gateway.scenarios[CALL]), {"x-replay-fault": "server-error"})
        post(proxy, question(gateway.scenarios[CALL], stream=True), {"x-replay-fault": "drop=0.5"})
        httpx2.get(proxy.base_url + "/models", trust_env=False)
        assert metric(proxy, "hamr_requests_total", endpoint="chat", status="2xx") == 3
        assert metric(proxy, "hamr_requests_total", endpoint="chat", status="5xx") == 1
        assert metric(proxy, "hamr_requests_total", endpoint="passed", status="2xx") == 1
        assert metric(proxy, "hamr_tool_calls_total", parser="hermes", source="text") == 3
        assert metric(proxy, "hamr_tool_calls_total", source="native") >= 1
        assert metric(proxy, "hamr_leaks_prevented_total") >= 3
        assert metric(proxy, "hamr_wire_repairs_total", code="index") >= 1
        assert metric(proxy, "hamr_upstream_errors_total", kind="status") == 1
        assert metric(proxy, "hamr_upstream_errors_total", kind="broken") == 1
        assert metric(proxy, "hamr_added_latency_seconds_count") > 10
        assert metric(proxy, "hamr_active_streams") == 0


def test_captures_are_read_by_parse(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    with proxied({"capture": tmp_path / "new" / "dir"}) as (proxy, gateway):
        post(proxy, question(gateway.scenarios[CALL], stream=True))
        post(proxy, question(gateway.scenarios[LONG], stream=False))
        until(lambda: len(list(tmp_path.rglob("*.*"))) == 4)
        expected = [truth(gateway, CALL), truth(gateway, LONG)]
    for pattern, calls in zip(("*.sse", "*.json"), expected, strict=True):
        path = next(p for p in tmp_path.rglob(pattern) if not p.name.endswith(".request.json"))
        request = path.with_suffix(".request.json")
        run = CliRunner().invoke(app, ["parse", str(path), "--tools", str(request), "--format", "openai"])
        assert run.exit_code == 0, run.output
        got = [
            (c["function"]["name"], json.loads(c["function"]["arguments"]))
            for c in json.loads(run.stdout)["tool_calls"]
        ]
        assert got == calls
        if os.name == "posix":
            assert path.stat().st_mode & 0o777 == request.stat().st_mode & 0o777 == 0o600
            assert path.parent.stat().st_mode & 0o777 == 0o700


def test_captures_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with proxied({"capture": tmp_path, "limits": Limits(captures=2, capture=500)}) as (proxy, gateway):
        for _ in range(5):
            post(proxy, question(gateway.scenarios[LONG], stream=True))
        until(lambda: metric(proxy, "hamr_captures_total", outcome="written") == 5)
    assert sorted(p.name.split("-")[1] for p in tmp_path.glob("*.sse")) == ["000004", "000005"]
    assert len(list(tmp_path.glob("*.request.json"))) == 2
    assert all(p.stat().st_size <= 500 for p in tmp_path.glob("*.sse"))
    assert (tmp_path / "mine.txt").read_text() == "mine"


SECRETS = (
    "client-secret-1",
    "cookie-secret-2",
    "own-secret-key-3",
    "access-secret-4",
    "url-secret-5",
    "sk-abcdefghijklmnopqrstuvwx",
)


def test_secrets_are_in_no_capture_log_or_metric(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = "You sent own-secret-key-3, cookie-secret-2, client-secret-1 and access-secret-4; url-secret-5"
    answer = SSE_HEAD + chunk(delta={"content": said}) + chunk(delta={}, finish_reason="stop")
    caplog.set_level("DEBUG")
    with raw(lambda connection, _: connection.sendall(answer)) as server:
        own = settings(
            server.base_url.replace("//", "//user:url-secret-5@"),
            capture=tmp_path,
            headers={"CF-Access-Client-Secret": "access-secret-4"},
            api_key="own-secret-key-3",
        )
        assert not any(secret in repr(own) for secret in SECRETS)
        with running(own) as url:
            body = {
                **ASK,
                "stream": True,
                "api_key": "body-secret-6",
                "messages": [
                    {
                        "role": "user",
                        "content": f"my key is {SECRETS[-1]} and http://u:url-pass-7@host/?api_key=query-8",
                    }
                ],
            }
            headers = {"Authorization": "Bearer client-secret-1", "Cookie": "a=b; session=cookie-secret-2"}
            answered = post(At(url), body, headers, path="/chat/completions?key=query-secret-9")
            assert answered.text() == said  # the client's own answer is not touched
            metrics = httpx2.get(url.removesuffix("/v1") + "/metrics", trust_env=False).text
            until(lambda: len(list(tmp_path.iterdir())) == 2)
    written = "".join(p.read_text() for p in tmp_path.iterdir()) + "".join(p.name for p in tmp_path.iterdir())
    assert written.count("[removed]") >= 8 and "You sent" in written
    logged = "".join(r.getMessage() for r in caplog.records if r.name.startswith("hamr_parsers"))
    for secret in (*SECRETS, "body-secret-6", "url-pass-7", "query-8", "query-secret-9"):
        assert secret not in written + metrics + logged, secret
    assert "url-secret-5" not in caplog.text and "own-secret-key-3" not in caplog.text


OWN = {
    "Authorization-X": "access-secret-4",
    "X-Gate": 'quo"ted/secret-5',
    "X-Basic": "Basic dTpiYXNlLXNlY3JldC02",
}
OWN_SECRETS = (
    "own-secret-key-3",
    "access-secret-4",
    "ted/secret-5",
    "dTpiYXNl",
    "base-secret-6",
    "url-secret-7",
)


def test_what_the_proxy_itself_sends_is_told_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Gateways quote the headers of what they refuse."""
    quoted = ", ".join(f"{name}: {value}" for name, value in OWN.items())
    said = (
        f"{quoted}; Bearer own-secret-key-3; Basic dXNlcjp1cmwtc2VjcmV0LTc=; client-secret-1; u:base-secret-6"
    )
    error = {"message": said, "type": said, "code": "own-secret-key-3", "more": [said]}
    slashed = json.dumps({"error": error}).replace("/", "\\/").encode()
    plain = json.dumps({"error": error}).encode()
    events = b"data: %s\n\n" % plain
    kind = "Content-Type: application/json"
    answers = (
        reply("401 Unauthorized", plain, kind, "X-Echo: own-secret-key-3"),
        reply("401 Unauthorized", slashed, kind),
        reply("400 Bad Request", gzip.compress(plain), kind, "Content-Encoding: gzip"),
        reply("500 Oops", said.encode(), "Content-Type: text/plain"),
        reply("200 OK", plain, kind),
        reply("200 OK", json.dumps({"error": "own-secret-key-3 " * 60}).encode(), kind),
        reply("200 OK", json.dumps({"detail": said}).encode(), kind),
        reply("200 OK", events, "Content-Type: text/event-stream"),
        reply("200 OK", chunk(delta={"content": "a"}) + events, "Content-Type: text/event-stream"),
        reply("302 Found", b"", "Location: http://x/own-secret-key-3/access-secret-4"),
        lambda c, _: c.sendall(f"HTTP/1.1 200 OK\r\n{said}\r\n\r\n".encode()),
    )
    caplog.set_level("INFO")
    told = []
    for answer in answers:
        with raw(answer) as server:
            upstream = server.base_url.replace("//", "//user:url-secret-7@")
            own = settings(upstream, capture=tmp_path, headers=OWN, api_key="own-secret-key-3")
            assert not any(secret in repr(own) for secret in OWN_SECRETS)
            with running(own) as url:
                key = {"Authorization": "Bearer client-secret-1"}
                for path, body in (
                    ("/chat/completions", {**ASK, "stream": True}),
                    ("/chat/completions", ASK),
                    ("/messages", {**ASK, "tools": [], "max_tokens": 5}),
                    ("/messages", {**ASK, "tools": [], "max_tokens": 5, "stream": True}),
                    ("/responses", {"model": "m", "input": "x", "stream": True}),
                ):
                    answered = post(At(url), body, key, path=path)
                    told.append(answered.body.decode() + str(dict(answered.headers)))
                got = httpx2.get(url.removesuffix("/v1") + "/healthz?upstream", trust_env=False)
                assert got.status_code == 503 and got.json()["upstream_error"]
                told.append(got.text)
                if answer in answers[:4]:
                    answered = post(At(url), {"model": "m"}, key, path="/embeddings")
                    told.append(answered.body.decode() + str(dict(answered.headers)))
                    assert answered.status >= 400 and "[removed]" in told[-1]
    logged = "".join(r.getMessage() for r in caplog.records if r.name.startswith("hamr_parsers"))
    kept = "".join(path.read_text() for path in tmp_path.iterdir())
    for text in (*told, logged, kept):
        for secret in OWN_SECRETS:
            assert secret not in text
    assert "[removed]" in logged and "[removed]" in kept
    assert any("client-secret-1" in text for text in told)  # which the client knows
    assert "client-secret-1" not in logged + kept


def test_errors_that_pass_are_cleaned_across_pieces_and_nothing_else_is() -> None:
    def pieces(status: str, *parts: bytes) -> Callable[[socket.socket, bytes], object]:
        def answer(connection: socket.socket, _: bytes) -> None:
            connection.sendall(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for part in parts:
                connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
                time.sleep(0.02)
            connection.sendall(b"0\r\n\r\n")

        return answer

    for status, expected in (
        ("403 No", "x [removed] y own-secret"),
        ("200 OK", "x own-secret-key-3 y own-secret"),
    ):
        with (
            raw(pieces(status, b"x own-se", b"cret-k", b"ey-3 y own-secret")) as server,
            running(settings(server.base_url, api_key="own-secret-key-3")) as url,
        ):
            assert post(At(url), {}, path="/embeddings").body.decode() == expected
    with (
        raw(reply("403 No", b"\x00", "Content-Encoding: br")) as server,
        running(settings(server.base_url, api_key="own-secret-key-3")) as url,
    ):
        answered = post(At(url), {}, path="/embeddings")
        assert answered.status == 403 and "encoding" in answered.json()["error"]["message"]


def test_known_secrets_are_found_however_they_are_escaped() -> None:
    secret = "p/q\"r\\s+t&é😀<x='y"
    known = Known([secret, "plain-secret"])
    told = {"a": secret, "b": repr({"a": secret}), "c": json.dumps({"a": secret}), "d": html.escape(secret)}
    for text in (
        json.dumps(told),
        json.dumps(told, ensure_ascii=False),
        json.dumps(told).replace("/", "\\/").replace("+", "\\u002B"),
        json.dumps([json.dumps(told)]),
        str(told),
    ):
        assert known.clean_text(text).count("[removed]") == len(told), text
    assert known.clean(b"x plain-secret y") == b"x [removed] y"
    seconds = []
    for size in (20_000, 200_000):
        hostile = b"p" + b"\\" * size + b'p/q"r' + b"\\" * size
        before = time.process_time()
        Known([secret, "\\" * 3 + '"a\\"b\\c"d']).clean(hostile)
        seconds.append(time.process_time() - before)
    assert seconds[1] < 100 * seconds[0] + 1


def test_tools_with_secret_looking_parameters_stay_whole() -> None:
    tools = {
        "properties": {"api_key": {"type": "string"}, "token": {"type": "string"}},
        "required": ["api_key"],
    }
    assert json.loads(Redactor([]).clean_json({"tools": [tools], "max_tokens": 5})) == {
        "tools": [tools],
        "max_tokens": 5,
    }


def test_redaction_is_linear() -> None:
    redactor = Redactor([(b"authorization", b"Bearer abcdefgh")])
    seconds = []
    for size in (20_000, 200_000):
        hostile = b"eyJa-sk-://a:bearer ?key=" * (size // 25)
        before = time.process_time()
        redactor.clean(hostile)
        seconds.append(time.process_time() - before)
    assert seconds[1] < 100 * seconds[0] + 1


# -- the command ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def command(*args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`hamr-parse serve` in a process; its first line says where it listens."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "hamr_parsers", "serve", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split(" ")[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_lets_short_answers_end_and_cuts_long_ones() -> None:
    with (
        serving(rate=60) as gateway,
        command("--upstream", gateway.base_url, "--port", "0", "--drain", "1") as (process, url),
    ):
        answers: dict[str, Answered] = {}

        def ask(name: str, rate: str) -> None:
            body = question(gateway.scenarios[name], stream=True)
            answers[name] = post(At(url), body, {"x-replay-rate": rate})  # type: ignore[arg-type]

        threads = [threading.Thread(target=ask, args=pair) for pair in ((CALL, "100"), (LONG, "10"))]
        for thread in threads:
            thread.start()
        until(lambda: sum(r.stream and r.sent > 0 for r in gateway.requests) == 2)
        process.send_signal(signal.SIGINT)
        for thread in threads:
            thread.join()
        assert process.wait(20) == 0
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    assert answers[CALL].finishes == ["tool_calls"]
    assert answers[LONG].finishes == ["length"] and "ended" in answers[LONG].chunks[-1]["error"]["message"]
    assert answers[LONG].broken is None


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_while_the_upstream_hangs_blames_nobody() -> None:
    with (
        raw(lambda connection, _: connection.recv(1)) as server,
        command("--upstream", server.base_url, "--port", "0", "--drain", "0.2") as (process, url),
    ):
        until(lambda: server.requests)  # the look at its models
        with ThreadPoolExecutor() as pool:
            asked = [
                pool.submit(httpx2.get, url + "/models", trust_env=False),
                pool.submit(httpx2.post, url + "/chat/completions", json=ASK, trust_env=False),
            ]
            until(lambda: len(server.requests) == 3)
            process.send_signal(signal.SIGINT)
            for answered in asked:
                got = answered.result()
                assert got.status_code == 503 and "the proxy was ended" in got.json()["error"]["message"]
        assert process.wait(20) == 0
        assert process.stderr is not None
        told = process.stderr.read()
    assert "the proxy was ended before the upstream" in told
    assert "closed the connection" not in told and "Traceback" not in told


def test_a_busy_port_and_other_mistakes_are_one_sentence() -> None:
    from typer.testing import CliRunner

    def refused(*args: str) -> str:
        run = CliRunner().invoke(app, ["serve", *args])
        assert run.exit_code == 2 and run.stderr.count("\n") == 1
        return run.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} of 127.0.0.1 is taken" in refused(
            "--upstream", "http://127.0.0.1:1/v1", "--port", port
        )
    assert "ftp://x" in refused("--upstream", "ftp://x")
    assert "hermes" in refused("--upstream", "http://127.0.0.1:1", "--parser", "hermess")
    assert "hermes" in refused("--upstream", "http://127.0.0.1:1", "--model-parser", "a=hermess")
    assert "NO_SUCH_VARIABLE" in refused("--upstream", "http://127.0.0.1:1", "--api-key", "$NO_SUCH_VARIABLE")
    for name in ("Content-Length", "transfer-encoding", "Connection", "HOST"):
        told = refused("--upstream", "http://127.0.0.1:1", "--header", f"{name}: 5", "--port", "0")
        assert f"--header {name}" in told
    told = refused("--upstream", "http://127.0.0.1:1", "--header", "X-Own: a\nb", "--port", "0")
    assert "--header X-Own" in told and "control character" in told
    file = str(Path(__file__))
    assert file in refused("--upstream", "http://127.0.0.1:1", "--capture", file, "--port", "0")
    with pytest.raises(ServeError, match="no address"):
        bind("no.such.host.invalid", 0)


def test_headers_are_written_as_in_the_other_commands_or_as_curl_has_them() -> None:
    with (
        serving() as gateway,
        command(
            "--upstream", gateway.base_url, "--port", "0", "--header", "X-A=b:=c", "--header", "X-B: a=b"
        ) as (_, url),
    ):
        httpx2.get(url + "/models", trust_env=False)
        sent = gateway.requests[-1].headers
        assert (sent["x-a"], sent["x-b"]) == ("b:=c", "a=b")


def test_listening_beyond_this_machine_is_warned_of() -> None:
    with command(
        "--upstream", "http://127.0.0.1:9/v1", "--host", "0.0.0.0", "--port", "0", "--api-key", "k" * 9
    ) as (process, _):
        process.terminate()
        told = process.communicate(timeout=20)[1]
    assert "with your key" in told and "kkkk" not in told


def test_a_provider_of_the_configuration_may_be_the_upstream(tmp_path: Path) -> None:
    with serving(faults=["unauthorized"]) as gateway:
        (tmp_path / ".hamr" / "agent").mkdir(parents=True)
        provider = {
            "baseUrl": gateway.base_url,
            "apiKey": "$GATEWAY_KEY",
            "headers": {"X-Own": "1"},
            "tool_call_parser": "openai",
        }
        (tmp_path / ".hamr" / "agent" / "models.json").write_text(
            json.dumps({"providers": {"mine": provider}})
        )
        home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "GATEWAY_KEY": "the-gateway-key"}
        before = {name: os.environ.get(name) for name in home}
        os.environ.update(home)
        try:
            with command("--upstream", "mine", "--port", "0") as (_, url):
                answered = post(At(url), question(gateway.scenarios[CALL], stream=True))  # type: ignore[arg-type]
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        assert answered.status == 200 and not answered.entries  # read as `openai`: text stays text
        assert gateway.requests[-1].headers["authorization"] == "Bearer the-gateway-key"
        assert gateway.requests[-1].headers["x-own"] == "1"


def test_where_paths_lead() -> None:
    for base, path, url in (
        ("http://h:1", "/v1/models", "http://h:1/v1/models"),
        ("http://h:1/", "/health", "http://h:1/health"),
        ("http://h:1/v1/", "/v1/chat/completions", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/chat/completions", "/v1/models", "http://h:1/v1/models"),
        ("https://h/api/v1", "/v1/models", "https://h/api/v1/models"),
        ("https://h/api/v1", "/health", "https://h/api/health"),
        ("https://h/v1beta/openai", "/v1/models", "https://h/v1beta/openai/models"),
        ("http://h:1/v1", "/chat/completions", "http://h:1/v1/chat/completions"),
    ):
        assert Target.of(base).url(path) == url
    assert "pass" not in repr(Target.of("http://u:pass@h/v1"))


def test_the_event_loop_of_the_load_client_agrees(tmp_path: Path) -> None:
    """A short load run: nothing lost, nothing mixed up."""
    pytest.importorskip("uvloop")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.load",
            "--streams",
            "30",
            "--direct",
            "2",
            "--seconds",
            "2",
            "--words",
            "20",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
