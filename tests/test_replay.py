"""The replay gateway, over real HTTP: each fault is really sent, each kind has its habits, and an agent's loop ends.

Each fault has a check of what came over the wire, which must hold with the fault and must not hold without it.
"""

from __future__ import annotations

import asyncio
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
from pathlib import Path
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.serve.replay import (
    FAULTS,
    KINDS,
    ReplayError,
    ReplayGateway,
    Scenario,
    UnknownFaultError,
    embedded_scenarios,
    read_scenarios,
)
from hamr_parsers.transcripts import TranscriptError

from .gateway import Answered, post, question, serving

SCENARIOS = {scenario.id: scenario for scenario in embedded_scenarios()}
PARALLEL = SCENARIOS["hermes-4-70b:parallel"]
REASONING = SCENARIOS["qwen3-8b:reasoning-call"]
UNICODE = SCENARIOS["mistral-small-3.2:unicode"]
ANSWER = SCENARIOS["llama-3.1-70b-instruct:answer"]
CUT = SCENARIOS["qwen3-coder-30b:cut"]


@pytest.fixture(scope="module")
def gateway() -> Iterator[ReplayGateway]:
    """One gateway for all tests that say in the request what they want."""
    with serving() as running:
        yield running


def stream(gateway: ReplayGateway, scenario: Scenario, words: str = "", **fields: Any) -> Answered:
    """A streamed answer; `words` go after the model's name."""
    model = scenario.id + "".join(f"+{word}" for word in words.split())
    return post(gateway, question(scenario, model=model, stream=True, **fields))


def whole(gateway: ReplayGateway, scenario: Scenario, words: str = "", **fields: Any) -> Answered:
    model = scenario.id + "".join(f"+{word}" for word in words.split())
    return post(gateway, question(scenario, model=model, **fields))


# --- what each fault sends ------------------------------------------------------------------------------------

Check = Callable[[Answered], bool]


def firsts(a: Answered) -> list[dict[str, Any]]:
    return [e for e in a.entries if e["function"].get("name")]


def laters(a: Answered) -> list[dict[str, Any]]:
    """The entries after the first."""
    return [e for e in a.entries if "id" not in e or not e["function"].get("name")]


def indexes(a: Answered) -> list[Any]:
    return [e["index"] for e in a.entries if "index" in e]


def arguments(a: Answered, index: int) -> list[Any]:
    return [e["function"].get("arguments") for e in a.entries if e["index"] == index]


def is_json(text: object) -> bool:
    try:
        return isinstance(json.loads(str(text)), dict)
    except ValueError:
        return False


def last_call_is_cut(a: Answered) -> bool:
    return not is_json("".join(filter(None, arguments(a, 2))))


def usage(a: Answered) -> list[int]:
    """The places of the chunks with usage."""
    return [place for place, chunk in enumerate(a.chunks) if chunk.get("usage")]


def finish(a: Answered) -> dict[str, Any]:
    choices = [choice for chunk in a.chunks for choice in chunk.get("choices") or ()]
    return next((choice for choice in choices if choice.get("finish_reason")), {})


CHECKS: dict[str, Check] = {
    "no-index": lambda a: bool(a.entries) and not indexes(a),
    "null-index": lambda a: set(indexes(a)) == {None},
    "string-index": lambda a: set(indexes(a)) == {"0", "1", "2"},
    "index-from-1": lambda a: set(indexes(a)) == {1, 2, 3},
    "same-index": lambda a: set(indexes(a)) == {0},
    "restart-index": lambda a: [e["index"] for e in firsts(a)] == [0, 1, 0],
    "no-id": lambda a: bool(firsts(a)) and not any("id" in e for e in a.entries),
    "null-id": lambda a: [e.get("id", 0) for e in firsts(a)] == [None] * 3,
    "empty-id": lambda a: [e.get("id") for e in firsts(a)] == [""] * 3,
    "same-id": lambda a: len(firsts(a)) == 3 and len({e.get("id") for e in firsts(a)}) == 1,
    "empty-id-later": lambda a: {e.get("id") for e in laters(a)} == {""},
    "empty-name-later": lambda a: {e["function"].get("name") for e in laters(a)} == {""},
    "null-later": lambda a: (
        all(e["function"].get("name", 0) is e.get("id", 0) is e.get("type", 0) is None for e in laters(a))
        and any("role" in d and d["role"] is None for d in a.deltas)
    ),
    "id-repeated": lambda a: all(e.get("id") for e in a.entries) and len({e["id"] for e in a.entries}) == 3,
    "id-per-chunk": lambda a: len({e.get("id") for e in a.entries}) == len(a.entries) > 3,
    "name-repeated": lambda a: {e["function"].get("name") for e in a.entries} == {"get_weather"},
    "name-split": lambda a: [e["function"]["name"] for e in firsts(a)] == ["get_w", "eather"] * 3,
    "no-type": lambda a: bool(firsts(a)) and not any("type" in e for e in a.entries),
    "null-type": lambda a: [e.get("type", 0) for e in firsts(a)] == [None] * 3,
    "empty-type": lambda a: {e.get("type") for e in laters(a)} == {""},
    "type-repeated": lambda a: {e.get("type") for e in a.entries} == {"function"},
    "no-arguments": lambda a: bool(firsts(a)) and not any("arguments" in e["function"] for e in firsts(a)),
    "null-arguments": lambda a: [e["function"].get("arguments", 0) for e in firsts(a)] == [None] * 3,
    "open-brace-first": lambda a: [e["function"].get("arguments") for e in firsts(a)] == ["{"] * 3,
    "empty-object-first": lambda a: (
        [e["function"].get("arguments") for e in firsts(a)] == ["{}"] * 3 and set(indexes(a)) == {1, 2, 3}
    ),
    "cumulative-arguments": lambda a: arguments(a, 2)[0] == "{" and is_json(arguments(a, 2)[-1]),
    "whole-call": lambda a: (
        len(a.entries) == 3 and all(is_json(e["function"]["arguments"]) for e in a.entries)
    ),
    "one-chunk": lambda a: any(len(d.get("tool_calls") or ()) == 3 for d in a.deltas),
    "object-arguments": lambda a: (
        [e["function"]["arguments"] for e in a.entries]
        == [arguments for _, arguments in PARALLEL.truth.calls]
    ),
    "concatenated-arguments": lambda a: len(firsts(a)) == 1 and "}{" in "".join(arguments(a, 0)),
    "interleaved-calls": lambda a: indexes(a)[:6] == [0, 1, 2, 0, 1, 2],
    "empty-tool-calls": lambda a: any(d.get("tool_calls") == [] for d in a.deltas),
    "null-tool-calls": lambda a: any("tool_calls" in d and d["tool_calls"] is None for d in a.deltas),
    "legacy-function-call": lambda a: (
        not a.entries
        and a.finishes == ["function_call"]
        and [d["function_call"]["name"] for d in a.deltas if "name" in d.get("function_call", {})]
        == ["get_weather"] * 3
    ),
    "thought-signature": lambda a: all(
        e.get("extra_content", {}).get("google", {}).get("thought_signature") for e in firsts(a)
    ),
    "cut-call": lambda a: last_call_is_cut(a) and a.finishes == ["length"],
    "truncated-as-tool-calls": lambda a: last_call_is_cut(a) and a.finishes == ["tool_calls"],
    "length-on-delta": lambda a: (
        finish(a).get("finish_reason") == "length" and bool(finish(a)["delta"].get("tool_calls"))
    ),
    "stop-invented": lambda a: last_call_is_cut(a) and a.finishes == ["stop"],
    "no-role": lambda a: not any("role" in d for d in a.deltas),
    "null-role": lambda a: "role" in a.deltas[0] and a.deltas[0]["role"] is None,
    "role-repeated": lambda a: all(d.get("role") == "assistant" for d in a.deltas),
    "cumulative-content": lambda a: a.deltas[-1].get("content") == PARALLEL.text,
    "parts-content": lambda a: any(d.get("content") == [{"type": "text", "text": "Three"}] for d in a.deltas),
    "empty-deltas": lambda a: sum(d == {"content": ""} for d in a.deltas) > 9,
    "split-surrogates": lambda a: (
        re.search(rb'"content":"[^"]*\\ud83d"', a.body) is not None
        and re.search(rb'"content":"\\udcdd"', a.body) is not None
    ),
    "other-reasoning-field": lambda a: bool(a.text("reasoning")) and not a.text("reasoning_content"),
    "both-reasoning-fields": lambda a: a.text("reasoning") == a.text("reasoning_content") != "",
    "calls-in-reasoning": lambda a: "<tool_call>" in a.text("reasoning_content") and not a.text(),
    "finish-stop": lambda a: a.finishes == ["stop"] and len(firsts(a)) == 3,
    "unknown-finish": lambda a: a.finishes == ["eos_token"],
    "no-finish": lambda a: not a.finishes and a.text() == PARALLEL.text,
    "finish-on-delta": lambda a: bool(finish(a)["delta"].get("content")),
    "stop-every-chunk": lambda a: a.finishes.count("stop") > 9,
    "done-without-finish": lambda a: not a.finishes and a.data[-1] == "[DONE]" and a.text() != PARALLEL.text,
    "null-delta": lambda a: finish(a).get("delta", 0) is None,
    "no-delta": lambda a: "delta" not in finish(a),
    "usage-null-choices": lambda a: "choices" in a.chunks[-1] and a.chunks[-1]["choices"] is None,
    "usage-no-choices": lambda a: "usage" in a.chunks[-1] and "choices" not in a.chunks[-1],
    "usage-after-finish": lambda a: a.chunks[-1]["choices"] == [{"index": 0, "delta": {}}] and bool(usage(a)),
    "usage-in-finish": lambda a: "usage" in a.chunks[-1] and bool(a.chunks[-1]["choices"]),
    "usage-first": lambda a: usage(a) == [0],
    "usage-everywhere": lambda a: len(usage(a)) == len(a.chunks),
    "no-usage": lambda a: not usage(a),
    "empty-choices-first": lambda a: a.chunks[0]["choices"] == [],
    "ids-differ": lambda a: len({chunk["id"] for chunk in a.chunks}) == 3,
    "bare-chunks": lambda a: (
        not any({"id", "object", "created", "model"} & chunk.keys() for chunk in a.chunks)
    ),
    "no-choice-index": lambda a: not any("index" in choice for c in a.chunks for choice in c["choices"]),
    "logprobs": lambda a: any(choice.get("logprobs") for c in a.chunks for choice in c["choices"]),
    "unknown-fields": lambda a: all("x_provider" in chunk for chunk in a.chunks),
    "doubled": lambda a: PARALLEL.text == a.text() and len(firsts(a)) == 3,
    "destroyed-call": lambda a: (
        a.text() == PARALLEL.truth.content and not a.entries and a.finishes == ["stop"]
    ),
    "none-drops-tools": lambda a: a.text() == "I have no tools for that.",
    "calls-unasked": lambda a: len(firsts(a)) == 3,
    "no-done": lambda a: a.data[-1] != "[DONE]",
    "no-last-blank": lambda a: a.body.endswith(b"[DONE]"),
    "comments": lambda a: a.body.startswith(b": OPENROUTER PROCESSING\ndata: "),
    "pings": lambda a: a.body.startswith(b":\n\ndata: ") and b"\n\n:\n\ndata: " in a.body,
    "ping-events": lambda a: b"\n\nevent: ping\ndata: {}\n\n" in a.body,
    "loading-frames": lambda a: (
        a.body.startswith(b": loading model\nevent: relay.loading\ndata: ")
        and a.chunks[0]["id"] != a.chunks[-1]["id"]
        and a.chunks[2]["relay"]["type"] == "relay.loaded"
    ),
    "relay-error": lambda a: (
        a.chunks[-1].get("relay", {}).get("type") == "relay.error" and a.data[-1] == "[DONE]"
    ),
    "error-in-stream": lambda a: (
        a.chunks[-1].get("error", {}).get("code") == 500 and bool(a.text()) and a.data[-1] != "[DONE]"
    ),
    "error-event": lambda a: b'\n\nevent: error\ndata: {"error":' in a.body,
    "crlf": lambda a: a.body.count(b"\r\n") == a.body.count(b"\n") > 9,
    "cr": lambda a: a.body.count(b"\r") > 9 and b"\n" not in a.body,
    "no-space": lambda a: b"\n\ndata:{" in a.body and b"data: " not in a.body,
    "no-blanks": lambda a: b"\n\n" not in a.body,
    "bom": lambda a: a.body.startswith(b"\xef\xbb\xbfdata: "),
    "event-fields": lambda a: a.body.startswith(b"id: 0\nretry: 3000\nevent: message\ndata: "),
    "split-utf8": lambda a: any(piece[-1] >= 0xC0 for piece in a.pieces),
    "small-pieces": lambda a: max(map(len, a.pieces)) == 7,
    "one-piece": lambda a: len(a.pieces) < 9,
    "torn-events": lambda a: not any(piece.endswith(b"\n\n") for piece in a.pieces[:-1]),
    "drop": lambda a: a.broken == "IncompleteRead" and bool(a.text()),
    "reset": lambda a: a.broken == "ConnectionResetError",
    "until-close": lambda a: "transfer-encoding" not in a.headers and a.headers["connection"] == "close",
    "plain-type": lambda a: a.headers["content-type"].startswith("text/plain"),
    "ignores-stream": lambda a: (
        a.headers["content-type"] == "application/json" and "message" in a.body.decode()
    ),
    "unauthorized": lambda a: a.status == 401,
    "access": lambda a: a.status == 403 and "cloudflare" in a.headers["server"],
    "ai-gateway": lambda a: a.status == 401,
    "rate-limit": lambda a: a.status == 429 and a.headers["retry-after"] == "1",
    "switching": lambda a: a.status == 503 and a.json()["error"]["code"] == "model_switching",
    "bad-gateway": lambda a: a.status == 502 and a.headers["x-relay-upstream-status"] == "500",
    "server-error": lambda a: a.status == 500,
    "too-large": lambda a: a.status == 413,
    "html": lambda a: a.status == 200 and a.body.startswith(b"<!DOCTYPE html>"),
    "bad-json": lambda a: a.status == 200 and a.body.startswith(b"{") and not is_json(a.body.decode()),
    "empty-body": lambda a: a.status == 200 and a.body == b"",
}
# What a fault is checked with, where it is not the three parallel calls.
SCENARIO_OF = {
    "split-surrogates": UNICODE,
    "split-utf8": UNICODE,
    "other-reasoning-field": REASONING,
    "both-reasoning-fields": REASONING,
}
FIELDS_OF: dict[str, dict[str, Any]] = {
    "no-usage": {"stream_options": {"include_usage": True}},
    "none-drops-tools": {"tool_choice": "none"},
    "calls-unasked": {"tool_choice": "none"},
}
KIND_OF = {"open-brace-first": "lmstudio"}  # llama.cpp does so anyway
# Those whose effect is on time, on several requests, or elsewhere, have tests of their own.
ELSEWHERE = {
    "always-streams",
    "held-headers",
    "many-models",
    "no-models",
    "serialised",
    "silence",
    "slow",
    "stall",
    "switch-kills",
    "text-lost",
}


def test_every_fault_is_checked_over_the_wire() -> None:
    assert set(CHECKS) | ELSEWHERE == set(FAULTS)
    assert not set(CHECKS) & ELSEWHERE


@pytest.mark.parametrize("name", CHECKS)
def test_a_fault_is_sent_and_only_then(gateway: ReplayGateway, name: str) -> None:
    scenario, fields = SCENARIO_OF.get(name, PARALLEL), FIELDS_OF.get(name, {})
    needs = FAULTS[name].needs
    words = f"{needs if needs in ('native', 'both') else 'text'} {KIND_OF.get(name, 'llamacpp')}"
    faulty = stream(gateway, scenario, f"{words} {name}", **fields)
    assert CHECKS[name](faulty)
    if name == "doubled":
        words = "native"
    assert not CHECKS[name](stream(gateway, scenario, words, **fields))


@pytest.mark.parametrize("name", [f.name for f in FAULTS.values() if "response" in f.stages])
def test_a_fault_of_answers_that_are_not_streamed_changes_them(gateway: ReplayGateway, name: str) -> None:
    fault = FAULTS[name]
    scenario = REASONING if fault.needs == "reasoning" else PARALLEL
    mode = "native" if fault.needs == "native" else "text"
    faulty, plain = (whole(gateway, scenario, f"{mode} {extra}") for extra in (name, "tokens"))
    if not faulty.json().get("choices"):
        assert faulty.status in (500, 502) and faulty.json()["error"]["message"]
        return
    one, other = faulty.json(), plain.json()
    number = (one.pop("id"), other.pop("id"))
    assert number[0] != number[1]
    assert re.sub("call_[0-9a-f]{8}", "", json.dumps(one)) != re.sub(
        "call_[0-9a-f]{8}", "", json.dumps(other)
    )


@pytest.mark.parametrize(
    "name", ["no-id", "object-arguments", "no-type", "finish-stop", "legacy-function-call"]
)
def test_whole_answers_have_the_malformation_too(gateway: ReplayGateway, name: str) -> None:
    choice = whole(gateway, PARALLEL, name).json()["choices"][0]
    message = choice["message"]
    assert {
        "no-id": lambda: not any("id" in call for call in message["tool_calls"]),
        "object-arguments": lambda: message["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"},
        "no-type": lambda: not any("type" in call for call in message["tool_calls"]),
        "finish-stop": lambda: choice["finish_reason"] == "stop",
        "legacy-function-call": lambda: (
            message["function_call"]["name"] == "get_weather" and "tool_calls" not in message
        ),
    }[name]()


def test_faults_go_together_in_any_number(gateway: ReplayGateway) -> None:
    answered = stream(
        gateway, PARALLEL, "no-index name-repeated null-role comments crlf no-done small-pieces=5"
    )
    assert answered.body.count(b"\r\n") == answered.body.count(b"\n")
    assert max(map(len, answered.pieces)) == 5
    answered.pieces = [answered.body.replace(b"\r\n", b"\n")]
    for name in ("no-index", "name-repeated", "null-role", "comments", "no-done"):
        assert CHECKS[name](answered), name


def test_a_fault_of_parsed_calls_is_sent_by_a_gateway_that_parses_them(gateway: ReplayGateway) -> None:
    assert firsts(stream(gateway, PARALLEL, "no-type")) and not stream(gateway, PARALLEL).entries
    assert not stream(gateway, PARALLEL, "text no-type").entries


def test_an_unknown_fault_names_the_nearest(gateway: ReplayGateway) -> None:
    with pytest.raises(UnknownFaultError, match=r"'no-indx'; did you mean 'no-index'.*--list-faults"):
        ReplayGateway(faults=["no-indx"])
    with pytest.raises(UnknownFaultError, match="'slow' takes a number"):
        ReplayGateway(faults="slow=fast")
    with pytest.raises(UnknownFaultError, match="'no-id' takes no number"):
        ReplayGateway(faults="no-id=3")
    answered = stream(gateway, PARALLEL, "no-indx")
    assert answered.status == 400 and "did you mean 'no-index'" in answered.json()["error"]["message"]


# --- connections ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "broken"), [("drop", "IncompleteRead"), ("reset", "ConnectionResetError")])
def test_a_connection_dies_in_the_middle(gateway: ReplayGateway, name: str, broken: str) -> None:
    answered = stream(gateway, PARALLEL, f"{name}=3")
    assert answered.broken == broken
    assert gateway.requests[-1].ended == name and gateway.requests[-1].sent == 3
    assert whole(gateway, PARALLEL, name).broken == broken


def test_a_stalled_stream_says_nothing_more_and_stays_open(gateway: ReplayGateway) -> None:
    with pytest.raises(TimeoutError):
        post(gateway, question(PARALLEL, model=PARALLEL.id + "+stall=2", stream=True), timeout=0.2)
    assert (gateway.requests[-1].sent, gateway.requests[-1].ended) == (2, "stall")


@pytest.mark.parametrize("words", ["slow=0.03", "held-headers=0.2", "silence=0.2"])
def test_an_answer_takes_its_time(gateway: ReplayGateway, words: str) -> None:
    start = time.monotonic()
    answered = stream(gateway, SCENARIOS["kimi-k2-instruct:no-arguments"], f"native {words}")
    assert time.monotonic() - start >= 0.08  # it cannot be quicker than what it was told to wait
    assert answered.finishes == ["tool_calls"]


def test_held_headers_are_held_and_a_silent_stream_has_them_at_once(gateway: ReplayGateway) -> None:
    def wait_for_headers(words: str) -> float:
        """How long the status line took; it fails if it takes longer than the socket waits."""
        body = json.dumps(question(ANSWER, model=f"{ANSWER.id}+{words}", stream=True)).encode()
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as sock:
            sock.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            assert sock.recv(9) == b"HTTP/1.1 "
        return time.monotonic() - start

    assert wait_for_headers("held-headers=0.4") >= 0.4
    wait_for_headers("silence=600")


def test_the_rate_is_kept_by_what_is_sent_not_by_who_reads(gateway: ReplayGateway) -> None:
    body = question(SCENARIOS["kimi-k2-instruct:no-arguments"], stream=True)
    start = time.monotonic()
    answered = post(gateway, body, {"x-replay-rate": "200"})
    assert time.monotonic() - start >= (gateway.requests[-1].pieces - 1) / 200
    assert answered.finishes == ["stop"]


@pytest.mark.parametrize("word", ["slow=0.01", "silence=600", "stall=1"])
def test_a_client_that_goes_away_is_noticed(gateway: ReplayGateway, word: str) -> None:
    body = json.dumps(question(PARALLEL, model=f"{PARALLEL.id}+{word}", stream=True)).encode()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        sock.recv(500)
    request = gateway.requests[-1]
    while not request.ended:
        time.sleep(0.005)
    assert request.ended == ("stall" if "stall" in word else "disconnected")
    assert request.sent < request.pieces


def test_serialised_answers_wait_for_each_other() -> None:
    with serving(faults=["serialised", "slow=0.005"]) as gateway:
        kimi = SCENARIOS["kimi-k2-instruct:no-arguments"]
        threads = [threading.Thread(target=stream, args=(gateway, kimi)) for _ in range(2)]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pieces = gateway.requests[0].pieces
        assert time.monotonic() - start >= 2 * (pieces - 1) * 0.005


def test_another_model_kills_a_running_stream_which_then_ends_in_a_clean_done() -> None:
    with serving(faults=["switch-kills", "slow=0.02"]) as gateway:
        answers: list[Answered] = []
        thread = threading.Thread(target=lambda: answers.append(stream(gateway, PARALLEL)))
        thread.start()
        while not (gateway.requests and gateway.requests[0].sent):
            time.sleep(0.005)
        stream(gateway, SCENARIOS["kimi-k2-instruct:no-arguments"])
        thread.join()
        assert answers[0].data[-1] == "[DONE]" and not answers[0].finishes and answers[0].broken is None
        assert gateway.requests[0].ended == "killed"


def test_a_stream_that_nobody_asked_for(gateway: ReplayGateway) -> None:
    answered = whole(gateway, PARALLEL, "always-streams")
    assert answered.headers["content-type"] == "text/event-stream" and answered.data[-1] == "[DONE]"


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("unauthorized", {"Authorization": "Bearer x"}),
        ("access", {"CF-Access-Client-Id": "a", "CF-Access-Client-Secret": "b"}),
        ("ai-gateway", {"cf-aig-authorization": "Bearer x"}),
    ],
)
def test_what_opens_a_closed_door(name: str, headers: dict[str, str]) -> None:
    with serving(faults=name) as gateway:
        for path, body in (("/models", None), ("/chat/completions", question(PARALLEL))):
            method = "GET" if body is None else "POST"
            assert post(gateway, body, path=path, method=method).status in (401, 403)
            assert post(gateway, body, headers, path=path, method=method).status == 200
        some = dict(list(headers.items())[1:])
        assert post(gateway, question(PARALLEL), some).status in (401, 403)


def test_a_refusal_can_be_for_the_first_requests_only() -> None:
    with serving(faults="switching=2") as gateway:
        assert [whole(gateway, ANSWER).status for _ in range(4)] == [503, 503, 200, 200]
        assert post(gateway, None, path="/models", method="GET").status == 200


def test_models_missing_or_too_many() -> None:
    with serving(faults="no-models") as gateway:
        assert post(gateway, None, path="/models", method="GET").status == 404
    with serving(faults="many-models") as gateway:
        assert len(post(gateway, None, path="/models", method="GET").json()["data"]) > 300


def test_a_lost_text_is_lost_only_when_not_streamed(gateway: ReplayGateway) -> None:
    assert whole(gateway, PARALLEL, "text-lost").status == 502
    assert stream(gateway, PARALLEL, "text-lost").finishes == ["length"]


def test_requests_that_are_none(gateway: ReplayGateway) -> None:
    def say(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as sock:
            sock.sendall(data)
            got = b""
            while piece := sock.recv(65536):
                got += piece
            return got

    assert say(b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert say(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert say(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: x\r\n\r\n").startswith(
        b"HTTP/1.1 400 "
    )
    chunked = b"POST /v1/chat/completions HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    assert b"no messages" in say(chunked)
    assert post(gateway, None, path="/chat/completions", method="GET").status == 405
    assert post(gateway, [1], path="/chat/completions").status == 400
    assert post(gateway, None, path="/nothing", method="GET").status == 404


def test_a_connection_is_used_again() -> None:
    with serving() as gateway, socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as sock:
        for _ in range(3):
            sock.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            got = b""
            while b'{"status":"ok"}' not in got:
                got += sock.recv(4096)
            assert got.startswith(b"HTTP/1.1 200 OK\r\n")


def test_head_has_no_body_and_the_connection_goes_on() -> None:
    with serving() as gateway, socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as sock:
        for path in (b"/health", b"/v1/models", b"/v1/nothing", b"/v1/chat/completions"):
            sock.sendall(b"HEAD %b HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\n\r\n" % path)
            got = b""
            while b'{"status":"ok"}' not in got:
                got += sock.recv(4096)
            head, _, after = got.partition(b"\r\n\r\n")
            assert int(head.lower().partition(b"content-length: ")[2].split()[0]) > 0
            assert after.startswith(b"HTTP/1.1 200 OK\r\n")


# --- kinds ----------------------------------------------------------------------------------------------------


def first_role(a: Answered) -> dict[str, Any]:
    return next(d for d in a.deltas if "role" in d)


ASKED = {"stream_options": {"include_usage": True}}
HABITS: dict[str, Check] = {
    "relay": lambda a: CHECKS["loading-frames"](a) and a.headers["x-relay-loading"] == "1",
    "lmstudio": lambda a: CHECKS["empty-name-later"](a) and CHECKS["empty-id-later"](a),
    "llamacpp": lambda a: (
        first_role(a) == {"role": "assistant", "content": None}
        and [e["function"]["arguments"] for e in firsts(a)] == ["{"] * 2
        and a.chunks[-1]["choices"] == []
        and bool(a.text("reasoning_content"))
        and a.headers.get("server") == "llama.cpp"
    ),
    "ollama": lambda a: set(indexes(a)) == {0} and len(a.entries) == 2 and bool(a.text("reasoning")),
    "vllm": lambda a: (
        CHECKS["no-arguments"](a)
        and "prompt_token_ids" in a.chunks[0]
        and first_role(a)["content"] == ""
        and bool(a.text("reasoning"))
    ),
    "litellm": lambda a: CHECKS["type-repeated"](a) and CHECKS["usage-after-finish"](a),
    "transformers": lambda a: len(a.entries) == 2 and CHECKS["no-done"](a) and CHECKS["usage-in-finish"](a),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_its_habits_and_no_other_kind_has_them_all(kind: str) -> None:
    for name in KINDS:
        with serving(kind=name, calls="native") as gateway:
            assert HABITS[kind](stream(gateway, REASONING, **ASKED)) is (name == kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_a_kind_without_faults_says_the_truth(gateway: ReplayGateway, kind: str, scenario: Scenario) -> None:
    field = KINDS[kind].reasoning
    for answered in (stream(gateway, scenario, f"{kind} native"), whole(gateway, scenario, f"{kind} native")):
        if answered.status == 502:
            assert kind == "relay" and scenario is CUT  # Relay loses such a call
            continue
        if answered.headers["content-type"] == "text/event-stream":
            content, reasoning = answered.text(), answered.text(field)
            calls: list[list[str]] = []
            for entry in answered.entries:
                if entry["function"].get("name"):
                    calls.append([entry["function"]["name"], ""])
                calls[-1][1] += entry["function"].get("arguments") or ""
            reason = answered.finishes[-1]
        else:
            choice = answered.json()["choices"][0]
            message = choice["message"]
            content, reasoning = message["content"] or "", message.get(field) or ""
            calls = [
                [c["function"]["name"], c["function"]["arguments"]] for c in message.get("tool_calls") or ()
            ]
            reason = choice["finish_reason"]
        truth = scenario.truth
        assert (content or None, reasoning or None) == (truth.content, truth.reasoning)
        told = [(name, json.loads(text) if is_json(text) else text) for name, text in calls]
        assert tuple(told) == truth.calls
        assert reason == truth.finish_reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_not_there(kind: str) -> None:
    with serving(kind=kind) as gateway:
        answered = post(gateway, question("no-such-model"))
        assert answered.status == {"relay": 503, "litellm": 400}.get(kind, 404)
        assert "no-such-model" in answered.body.decode()
        streamed = post(gateway, question("no-such-model", stream=True))
        if kind == "relay":
            assert streamed.status == 200 and streamed.data[-1] == "[DONE]"
            assert streamed.chunks[-1]["relay"]["error"]["code"] == "model_unknown"
        else:
            assert streamed.status == answered.status


def test_lists_of_models_differ_by_kind(gateway: ReplayGateway) -> None:
    def models(kind: str) -> Any:
        return post(gateway, None, {"x-replay-as": kind}, path="/models", method="GET").json()

    assert [entry["id"] for entry in models("transformers")["data"]] == list(SCENARIOS)
    assert models("vllm")["data"][0]["max_model_len"] and models("vllm")["data"][0]["permission"]
    assert models("llamacpp")["models"] and models("llamacpp")["data"][0]["meta"]
    one = post(gateway, None, path=f"/models/{PARALLEL.id}", method="GET")
    assert one.json()["id"] == PARALLEL.id
    assert post(gateway, None, path="/models/none", method="GET").status == 404


def test_relay_loads_a_model_once_and_again_for_another_session() -> None:
    with serving(kind="relay") as gateway:

        def loads(scenario: Scenario, session: str | None = None) -> bool:
            headers = {"session-id": session} if session else {}
            answered = post(gateway, question(scenario, stream=True), headers)
            return b"relay.loading" in answered.body

        assert [loads(PARALLEL), loads(PARALLEL), loads(ANSWER), loads(PARALLEL)] == [True, False, True, True]
        assert [loads(PARALLEL, "a"), loads(PARALLEL, "a"), loads(PARALLEL, "b")] == [True, False, True]
        assert gateway.loads == 5


def test_relay_refuses_bodies_over_its_limit() -> None:
    with serving(kind="relay") as gateway:
        body = question(PARALLEL)
        body["messages"][0]["content"] = "x" * 1_100_000
        assert post(gateway, body).status == 413


def test_vllm_tells_a_cut_on_the_last_delta_of_the_call(gateway: ReplayGateway) -> None:
    assert CHECKS["length-on-delta"](stream(gateway, CUT, "vllm native"))
    assert not CHECKS["length-on-delta"](stream(gateway, CUT, "llamacpp native"))


def test_a_wrong_parser_of_the_server_destroys_calls_only_while_streaming(gateway: ReplayGateway) -> None:
    words = "vllm destroyed-call"
    assert not stream(gateway, PARALLEL, words).entries
    assert whole(gateway, PARALLEL, words).json()["choices"][0]["message"]["content"] == PARALLEL.text
    assert stream(gateway, PARALLEL, words, tool_choice="none").text() == PARALLEL.text


# --- requests -------------------------------------------------------------------------------------------------


def test_without_tools_or_with_none_calls_are_text_except_where_they_are_always_parsed(
    gateway: ReplayGateway,
) -> None:
    for fields in ({"tools": None}, {"tool_choice": "none"}):
        assert stream(gateway, PARALLEL, "vllm native", **fields).text() == PARALLEL.text
        assert stream(gateway, PARALLEL, "transformers native", **fields).entries


def test_several_choices_take_turns_and_each_is_whole(gateway: ReplayGateway) -> None:
    answered = stream(gateway, PARALLEL, "random", n=3)
    texts = {0: "", 1: "", 2: ""}
    for chunk in answered.chunks:
        choice = chunk["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content") or ""
    assert set(texts.values()) == {PARALLEL.text}
    assert len(whole(gateway, PARALLEL, n=3).json()["choices"]) == 3


def test_usage_comes_only_if_it_was_asked_for(gateway: ReplayGateway) -> None:
    assert not usage(stream(gateway, PARALLEL))
    assert usage(stream(gateway, PARALLEL, **ASKED))
    assert whole(gateway, PARALLEL).json()["usage"]["total_tokens"] > 100


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_the_text_and_says_length(gateway: ReplayGateway, field: str) -> None:
    answered = stream(gateway, PARALLEL, **{field: 3})
    assert PARALLEL.text.startswith(answered.text()) and 0 < len(answered.text()) < 30
    assert answered.finishes == ["length"]
    native = stream(gateway, PARALLEL, "native", **{field: 30})
    assert native.finishes == ["length"]
    assert not is_json("".join(arguments(native, indexes(native)[-1])))


@pytest.mark.parametrize("cut", ["tokens", "characters", "random", "whole"])
def test_a_text_is_cut_as_asked_and_loses_nothing(gateway: ReplayGateway, cut: str) -> None:
    answered = stream(gateway, UNICODE, cut)
    pieces = [d["content"] for d in answered.deltas if d.get("content")]
    assert "".join(pieces) == UNICODE.text
    longest = max(map(len, pieces))
    assert {"characters": longest == 1, "whole": len(pieces) == 1}.get(cut, 1 < longest < len(UNICODE.text))


def test_reasoning_is_in_its_field_or_left_in_the_text(gateway: ReplayGateway) -> None:
    body = question(REASONING, stream=True)
    assert post(gateway, body).text("reasoning_content") == REASONING.truth.reasoning
    left = post(gateway, body, {"x-replay-reasoning": "text"})
    assert left.text() == REASONING.text and not left.text("reasoning_content")


def test_the_same_is_said_again_but_for_the_ids(gateway: ReplayGateway) -> None:
    one, two = (stream(gateway, PARALLEL, "random native") for _ in range(2))
    assert one.body != two.body
    ids = re.compile(rb"(chatcmpl-|call_)[0-9a-f]{8}")
    assert ids.sub(b"", one.body) == ids.sub(b"", two.body)
    with serving(seed=1) as other:
        assert ids.sub(b"", stream(other, PARALLEL, "random native").body) != ids.sub(b"", one.body)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_after_a_tools_result_comes_an_answer_that_quotes_it(
    gateway: ReplayGateway, scenario: Scenario
) -> None:
    body = question(scenario)
    body["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "a", "content": "14 degrees\nand rain"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "second <b>"}]},
    ]
    answered = post(gateway, body, {"x-replay-reasoning": "text"})
    answer = answered.json()["choices"][0]["message"]["content"]
    message = scenario.read(answer)
    assert message.content is not None and "14 degrees and rain; second <b>" in message.content
    assert message.tool_calls == []


def test_requests_are_remembered(gateway: ReplayGateway) -> None:
    body = question(PARALLEL, temperature=0.25)
    post(gateway, body, {"X-Own": "yes"})
    request = gateway.requests[-1]
    assert request.body == body and request.headers["x-own"] == "yes"
    assert (request.method, request.path, request.status) == ("POST", "/v1/chat/completions", 200)
    assert request.scenario == PARALLEL.id and request.ended == "whole"


def test_an_agents_loop_with_the_openai_package_ends(gateway: ReplayGateway) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=gateway.base_url, api_key="none", max_retries=0) as client:
        assert {model.id for model in client.models.list()} == set(SCENARIOS)
        messages: list[Any] = [{"role": "user", "content": "weather?"}]
        options = {"model": PARALLEL.id + "+native", "tools": list(PARALLEL.tools or ())}
        first = client.chat.completions.create(messages=messages, **options).choices[0].message
        assert [call.function.name for call in first.tool_calls] == ["get_weather"] * 3
        messages.append(first)
        messages += [{"role": "tool", "tool_call_id": c.id, "content": "rain"} for c in first.tool_calls]
        chunks = list(client.chat.completions.create(messages=messages, stream=True, **options))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == "Done. The tools answered: rain; rain; rain"


# --- scenarios ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_an_embedded_scenario_is_read_as_its_truth_by_its_name_alone(scenario: Scenario) -> None:
    assert hp.resolve_parser(model=scenario.id).parser == scenario.family.id
    message = hp.parse(
        scenario.text, model=scenario.id, tools=list(scenario.tools or ()), finish_reason=scenario.finish
    )
    assert (message.content or "").strip() == (scenario.truth.content or "")
    assert message.reasoning == scenario.truth.reasoning
    assert [call.name for call in message.tool_calls] == [name for name, _ in scenario.truth.calls]
    assert message.finish_reason == scenario.truth.finish_reason


def test_captures_and_records_are_played(tmp_path: Path) -> None:
    with serving(calls="native") as gateway:
        (tmp_path / "native.sse").write_bytes(stream(gateway, REASONING).body)
        (tmp_path / "text.sse").write_bytes(stream(gateway, PARALLEL, "text").body)
    (tmp_path / "raw.txt").write_text('<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>')
    found = {scenario.note: scenario for scenario in read_scenarios([tmp_path])}
    native = found["captured in native.sse"]
    assert native.truth.calls == REASONING.truth.calls and native.truth.reasoning == REASONING.truth.reasoning
    assert found["captured in text.sse"].truth.calls == PARALLEL.truth.calls
    raw = next(s for s in found.values() if s.note == "captured in raw.txt")
    assert raw.id == "raw" and native.id == REASONING.id
    assert raw.truth.calls == (("f", {"a": 1}),)
    records = read_scenarios([Path(__file__).parents[1] / "fixtures" / "kimi_k2"])
    assert len({scenario.id for scenario in records}) == len(records) > 5
    with serving(scenarios=records) as gateway:
        for scenario in records[:20]:
            assert stream(gateway, scenario).text() == "".join(
                t for c, t in scenario.fields(scenario.text) if c == "content"
            )


def test_a_captured_stream_is_played_byte_for_byte(tmp_path: Path) -> None:
    first = b': odd\r\ndata: {"choices":[{"delta":{"content":"a"}}],"model":"m"}\r\n\r\n'
    raw = first + b'data:{"choices":[]}\n\ndata: [DONE]'
    (tmp_path / "odd.sse").write_bytes(raw)
    with serving(scenarios=read_scenarios([tmp_path]), verbatim=True) as gateway:
        answered = post(gateway, question("m", stream=True))
        assert answered.body == raw
        assert post(gateway, question("m+crlf", stream=True)).body != raw


def test_files_that_are_no_answers_are_refused_with_their_name(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match=r"missing\.sse: No such file"):
        read_scenarios([tmp_path / "missing.sse"])
    with pytest.raises(TranscriptError, match=r"no \*\.jsonl"):
        read_scenarios([tmp_path])
    with pytest.raises(ReplayError, match="no scenario"):
        ReplayGateway([])


# --- the program ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "vlm"}, "as is one of .*vllm.*, not 'vlm'"),
        ({"calls": "some"}, "calls is one of text, native, both"),
        ({"cut": "words"}, "cut is one of"),
        ({"rate": -1}, "rate is a number"),
    ],
)
def test_options_that_there_are_not(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ReplayError, match=told):
        ReplayGateway(**options)


def test_a_port_that_is_taken_is_told_with_the_way_out(gateway: ReplayGateway) -> None:
    with pytest.raises(ReplayError, match=rf"port {gateway.port} .* is taken.*--port"):
        ReplayGateway().running(port=gateway.port).__enter__()
    with pytest.raises(ReplayError, match="--host must be an address of this machine"):
        ReplayGateway().running("192.0.2.1").__enter__()


def test_serve_listens_until_it_is_cancelled() -> None:
    async def main() -> None:
        gateway = ReplayGateway()
        task = asyncio.create_task(gateway.serve())
        while not gateway.port:
            await asyncio.sleep(0.001)
        assert (await asyncio.to_thread(stream, gateway, ANSWER)).finishes == ["stop"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", gateway.port), timeout=5)

    asyncio.run(main())


def test_the_command_serves_logs_and_ends_on_an_interrupt() -> None:
    command = [
        sys.executable,
        "-m",
        "hamr_parsers",
        "replay",
        "--port",
        "0",
        "--as",
        "vllm",
        "--fault",
        "no-id,crlf",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        gateway = ReplayGateway()
        gateway.base_url = url
        assert b"\r\n" in stream(gateway, PARALLEL).body
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert PARALLEL.id in out and "Ctrl-C ends it." in out
    assert re.match(rf"200 POST /v1/chat/completions {PARALLEL.id}, \d+ of \d+ pieces, no-id\+crlf, ", err)
