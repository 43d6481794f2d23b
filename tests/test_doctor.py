"""The doctor: each habit of a gateway is named with its cure, and nothing is claimed that was not seen."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx2")

from typer.testing import CliRunner

import hamr_parsers
from hamr_parsers.cli.app import app
from hamr_parsers.client.connection import connect
from hamr_parsers.client.doctor import Check, Doctor, Report
from hamr_parsers.client.doctor.answer import Answer
from hamr_parsers.client.doctor.identify import quantization
from hamr_parsers.client.doctor.prompts import LONG_LINES
from hamr_parsers.client.doctor.report import redacted
from hamr_parsers.client.doctor.shape import SHAPES, judge
from tests.gateway import serving

ROOT = Path(__file__).resolve().parents[1]
MODEL = "Qwen2.5-7B-Instruct-Q4_K_M.gguf"
ROME = {"name": "get_weather", "arguments": {"city": "Rome", "days": 3}}
LONG = {
    "name": "write_file",
    "arguments": {"path": "numbers.txt", "content": "\n".join(map(str, range(1, LONG_LINES + 1)))},
}

Chunks = list[dict[str, Any]]


def hermes(calls: list[dict[str, Any]]) -> str:
    return "".join(f"\n<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in calls)


def qwen3_coder(calls: list[dict[str, Any]]) -> str:
    out = ""
    for call in calls:
        parameters = "".join(
            f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in call["arguments"].items()
        )
        out += f"\n<tool_call>\n<function={call['name']}>\n{parameters}</function>\n</tool_call>"
    return out


@dataclass
class Habits:
    """How a gateway of these tests behaves; by default as well as can be."""

    model: str = MODEL
    write: Callable[[list[dict[str, Any]]], str] = hermes
    native: bool = True
    destroys: bool = False
    drops_tools: bool = False
    parses_always: bool = False
    calls: bool = True
    paris: dict[str, Any] = field(default_factory=lambda: {"city": "Paris", "days": 3})
    thoughts: str = "Let me see."
    think_in_text: bool = False
    refuses_history: bool = False
    refuses_null: bool = False
    fails: bool = False
    answer: str = "ready"
    chunks: Callable[[Chunks], Chunks] = field(default=lambda chunks: chunks)
    whole: Callable[[dict[str, Any]], dict[str, Any]] = field(default=lambda payload: payload)
    ends: tuple[str, ...] = ("data: [DONE]\n\n",)
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    paths: dict[str, Any] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    wants: dict[str, str] = field(default_factory=dict)


class Gateway(http.server.ThreadingHTTPServer):
    """A model server that does what the doctor's prompts ask for."""

    daemon_threads = True

    def __init__(self, habits: Habits) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.habits = habits
        self.asked: list[dict[str, Any]] = []

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no error here."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Gateway

    def log_message(self, *_: Any) -> None:
        pass

    def send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.server.habits.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refused(self) -> bool:
        habits = self.server.habits
        if any(self.headers.get(name) != value for name, value in habits.wants.items()):
            self.send(401, b'{"error": {"message": "bad key"}}')
            return True
        return False

    def do_GET(self) -> None:
        habits = self.server.habits
        if self.refused():
            return
        if self.path in habits.paths:
            self.send(200, json.dumps(habits.paths[self.path]).encode())
        elif self.path == "/v1/models":
            if habits.status != 200 or habits.body:
                self.send(habits.status, habits.body.encode(), "text/html")
            else:
                entry = {"id": habits.model, "object": "model", **habits.entry}
                self.send(200, json.dumps({"object": "list", "data": [entry]}).encode())
        else:
            self.send(404, b'{"error": {"message": "no such path"}}')

    def do_POST(self) -> None:
        habits = self.server.habits
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        if self.refused():
            return
        if habits.fails:
            self.send(500, b'{"error": {"message": "out of memory"}}')
            return
        messages = body["messages"]
        if habits.refuses_history and messages[-1]["role"] == "tool":
            self.send(400, b'{"error": {"message": "Conversation roles must alternate user/assistant"}}')
            return
        if habits.refuses_null and any(message["content"] is None for message in messages):
            self.send(500, b'{"error": {"message": "argument of type NoneType is not iterable"}}')
            return
        content, calls = self.answer(body)
        choice_none = body.get("tool_choice") == "none"
        reasoning = habits.thoughts
        if habits.think_in_text:
            content, reasoning = f"<think>\n{reasoning}\n</think>\n\n{content}", ""
        text = habits.write(calls) if calls else ""
        native = habits.native and (not choice_none or habits.parses_always)
        if habits.destroys and calls and body["stream"] and not choice_none:
            calls, text = [], ""
        if not native:
            content, calls = content + text, []
        dropped = choice_none and habits.drops_tools
        usage = {
            "prompt_tokens": 30 if dropped or not body.get("tools") else 300,
            "completion_tokens": 20,
            "total_tokens": 320,
        }
        if body["stream"]:
            self.stream(content, reasoning, calls, usage)
        else:
            message: dict[str, Any] = {"role": "assistant", "content": content or None}
            if reasoning:
                message["reasoning_content"] = reasoning
            if calls:
                message["tool_calls"] = [
                    {
                        "id": f"c{n}",
                        "type": "function",
                        "function": {**c, "arguments": json.dumps(c["arguments"])},
                    }
                    for n, c in enumerate(calls)
                ]
            finish = "tool_calls" if calls else "stop"
            choice = {"index": 0, "message": message, "finish_reason": finish}
            payload = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"]}
            whole = habits.whole({**payload, "choices": [choice], "usage": usage})
            self.send(200, json.dumps(whole).encode())

    def answer(self, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        habits = self.server.habits
        messages = body["messages"]
        paris = {"name": "get_weather", "arguments": habits.paris}
        if messages[-1]["role"] == "tool":
            return "It is sunny, 21 degrees.", []
        prompt = messages[0]["content"]
        if "ready" in prompt:
            return habits.answer, []
        dropped = body.get("tool_choice") == "none" and habits.drops_tools
        if not body.get("tools") or dropped or not habits.calls:
            return "He has 27 sheep: the nine that stayed, and eighteen new ones.", []
        if "Rome" in prompt:
            return "I look twice.", [paris, ROME]
        if "numbers.txt" in prompt:
            return "I write.", [LONG]
        return "I look it up.", [paris]

    def stream(
        self, content: str, reasoning: str, calls: list[dict[str, Any]], usage: dict[str, Any]
    ) -> None:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
        deltas += [{"reasoning_content": piece} for piece in pieces(reasoning)]
        deltas += [{"content": piece} for piece in pieces(content)]
        for index, call in enumerate(calls):
            first = {"index": index, "id": f"call_{index}", "type": "function"}
            deltas.append({"tool_calls": [{**first, "function": {"name": call["name"], "arguments": ""}}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in pieces(json.dumps(call["arguments"]))
            ]
        chunks = [self.chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
        finish = "tool_calls" if calls else "stop"
        chunks.append(self.chunk([{"index": 0, "delta": {}, "finish_reason": finish}]))
        chunks.append({**self.chunk([]), "usage": usage})
        habits = self.server.habits
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in habits.chunks(chunks)]
        self.send(200, "".join([*lines, *habits.ends]).encode(), "text/event-stream")

    def chunk(self, choices: list[Any]) -> dict[str, Any]:
        model = self.server.habits.model
        return {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": choices,
        }


def pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


@contextmanager
def gateway(**habits: Any) -> Iterator[Gateway]:
    server = Gateway(Habits(**habits))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def examine(server: Gateway, **options: Any) -> tuple[dict[str, Check], Report]:
    known = {key: options.pop(key) for key in ("api_key", "tool_call_parser", "headers") if key in options}
    visit = Doctor(None, connect(base_url=server.base_url, **known), full=True, timeout=10, **options)
    checks = {check.id: check for check in visit.run() if check.group == "gateway"}
    return checks, visit.report()


def cures(check: Check) -> str:
    return "\n".join(check.cures)


# -- a good gateway --------------------------------------------------------------------------------


def test_a_good_gateway_passes_everything_and_costs_a_dozen_requests() -> None:
    with gateway() as server:
        checks, report = examine(server)
        assert len(server.asked) == 9
    assert {id: check.mark for id, check in checks.items() if check.mark not in ("passed", "skipped")} == {}
    assert report.exit_code == 0
    assert (report.endpoint_compatibility, report.native_tool_calls) == ("pass", "pass")
    assert (report.text_tool_calls, report.reasoning_leakage) == ("pass", "none observed")
    assert (report.model, report.quantization) == (MODEL, "Q4_K_M")
    assert report.max_context_tested == 300
    assert report.diagnostics == []


def test_nothing_is_claimed_that_was_not_seen() -> None:
    with gateway(calls=False, thoughts="") as server:
        checks, report = examine(server)
    assert checks["call-streamed"].mark == "skipped"
    assert checks["reasoning"].mark == "skipped"
    assert (report.native_tool_calls, report.text_tool_calls) == ("not tested", "not tested")
    assert report.reasoning_leakage == "not tested"
    assert any("no answer held a call" in caveat for caveat in report.caveats)
    assert report.exit_code == 0


# -- calls -----------------------------------------------------------------------------------------


def test_a_call_destroyed_while_streaming_is_found_with_the_flag_and_upstream_text() -> None:
    model = "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8"
    with gateway(model=model, write=qwen3_coder, native=False, destroys=True, paths={"/version": {"version": "0.32.0"}},
                 entry={"owned_by": "vllm", "max_model_len": 32768}) as server:  # fmt: skip
        checks, report = examine(server)
    lost = checks["call-compared"]
    assert lost.mark == "failed" and lost.codes == ["lost-streaming"]
    assert "loses the call while streaming" in lost.summary
    assert "--tool-call-parser qwen3_coder" in cures(lost)
    assert 'upstream="text"' in cures(lost)
    assert "SGLang" not in cures(lost)
    assert (report.provider_gateway, report.provider_version, report.quantization) == (
        "vLLM",
        "0.32.0",
        "FP8",
    )
    assert report.exit_code == 1
    assert report.native_tool_calls == "fail"


def test_where_the_server_drops_the_tools_upstream_text_is_not_recommended() -> None:
    with gateway(native=False, destroys=True, drops_tools=True) as server:
        checks, _ = examine(server)
    assert checks["call-text"].codes == ["drops-tools"]
    assert "the prompt has 30 tokens instead of 300" in checks["call-text"].details
    lost = cures(checks["call-compared"])
    assert 'upstream="text" does not help' in lost
    assert "--tool-call-parser" in lost


def test_calls_left_as_text_are_read_and_told_with_the_flags_of_servers() -> None:
    with gateway(native=False) as server:
        checks, report = examine(server)
    for id_ in ("call-streamed", "call-whole"):
        assert checks[id_].mark == "warning" and "call-as-text" in checks[id_].codes
        assert "read as hermes" in checks[id_].summary
        assert "--tool-call-parser hermes" in cures(checks[id_])
    assert checks["call-compared"].mark == "passed"
    assert (report.native_tool_calls, report.text_tool_calls) == ("fail", "pass")
    assert report.exit_code == 0


def test_text_calls_that_the_set_parser_does_not_read_are_told_with_the_right_parser() -> None:
    with gateway(native=False, model="house-model") as server:
        checks, report = examine(server, tool_call_parser="openai")
    check = checks["call-streamed"]
    assert check.mark == "failed" and check.codes == ["call-left-in-text"]
    assert 'tool_call_parser = "hermes"' in cures(check)
    assert report.text_tool_calls == "fail"


def test_a_server_that_parses_calls_with_tool_choice_none_is_told() -> None:
    with gateway(parses_always=True) as server:
        checks, _ = examine(server)
    assert checks["call-text"].mark == "warning"
    assert checks["call-text"].codes == ["parses-always"]


def test_a_cut_call_is_no_pass() -> None:
    def cut(chunks: Chunks) -> Chunks:
        at = next(
            (n for n, c in enumerate(chunks) if c["choices"] and "tool_calls" in c["choices"][0]["delta"]),
            None,
        )
        return chunks if at is None else chunks[: at + 2]

    with gateway(chunks=cut) as server:
        checks, report = examine(server)
    assert checks["call-streamed"].mark == "failed"
    assert "cut-call" in checks["call-streamed"].codes
    assert "no-finish" in checks["call-streamed"].codes
    assert report.native_tool_calls == "partial"


def test_arguments_off_the_schema_are_a_warning() -> None:
    with gateway(paris={"city": "Paris", "days": "three"}) as server:
        checks, report = examine(server)
    assert checks["call-streamed"].mark == "warning"
    assert any(
        'days: expected an integer, got the string "three"' in d for d in checks["call-streamed"].details
    )
    assert report.native_tool_calls == "partial"


def test_a_history_with_calls_that_the_template_refuses_is_a_failure() -> None:
    with gateway(refuses_history=True) as server:
        checks, report = examine(server)
    assert checks["result"].mark == "failed"
    assert "must alternate" in checks["result"].summary
    assert report.exit_code == 6


def test_a_history_that_is_only_taken_without_null_is_told_with_the_option() -> None:
    with gateway(refuses_null=True) as server:
        checks, report = examine(server)
    assert (checks["result"].mark, checks["result"].codes) == ("warning", ["history-refused"])
    assert "null_content=False" in cures(checks["result"])
    assert report.exit_code == 0


# -- reasoning -------------------------------------------------------------------------------------


def test_reasoning_inside_the_content_is_told_and_sanitized() -> None:
    with gateway(think_in_text=True, model="Qwen/Qwen3-8B") as server:
        checks, report = examine(server)
    assert checks["reasoning"].mark == "warning"
    assert "--reasoning-parser qwen3" in cures(checks["reasoning"])
    assert report.reasoning_leakage == "sanitized"


def test_markup_that_nobody_took_out_is_a_leak() -> None:
    with gateway(think_in_text=True, model="house-model") as server:
        checks, report = examine(server, tool_call_parser="openai")
    assert checks["reasoning"].mark == "failed"
    assert report.reasoning_leakage == "leaked"


# -- shape -----------------------------------------------------------------------------------------


def entries(chunks: Chunks) -> Iterator[dict[str, Any]]:
    for chunk in chunks:
        for choice in chunk["choices"]:
            yield from choice["delta"].get("tool_calls", ())


def each(change: Callable[[dict[str, Any]], Any]) -> Callable[[Chunks], Chunks]:
    def habit(chunks: Chunks) -> Chunks:
        for entry in entries(chunks):
            change(entry)
        return chunks

    return habit


def cumulative_content(chunks: Chunks) -> Chunks:
    told = ""
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["delta"].get("content"):
                told += choice["delta"]["content"]
                choice["delta"]["content"] = told
    return chunks


def cumulative_arguments(chunks: Chunks) -> Chunks:
    told: dict[int, str] = {}
    for entry in entries(chunks):
        told[entry["index"]] = told.get(entry["index"], "") + entry["function"]["arguments"]
        entry["function"]["arguments"] = told[entry["index"]]
    return chunks


def whole_calls_at_index_0(chunks: Chunks) -> Chunks:
    out: Chunks = []
    for chunk in chunks:
        found = list(entries([chunk]))
        if found and "name" not in found[0]["function"]:
            next(entries([out[-1]]))["function"]["arguments"] += found[0]["function"]["arguments"]
            continue
        for entry in found:
            entry["index"] = 0
        out.append(chunk)
    return out


def empty_object_first(chunks: Chunks) -> Chunks:
    for entry in entries(chunks):
        if "name" in entry["function"]:
            entry["function"]["arguments"] = "{}"
    return chunks


def names_in_two(chunks: Chunks) -> Chunks:
    out: Chunks = []
    for chunk in chunks:
        out.append(chunk)
        for entry in entries([chunk]):
            name = entry["function"].get("name")
            if name:
                entry["function"]["name"] = name[:3]
                later = {"index": entry["index"], "function": {"name": name[3:], "arguments": ""}}
                choice = {"index": 0, "delta": {"tool_calls": [later]}, "finish_reason": None}
                out.append({**chunk, "choices": [choice]})
    return out


def name_every_time(chunks: Chunks) -> Chunks:
    last = ""
    for entry in entries(chunks):
        last = entry["function"].setdefault("name", last)
    return chunks


def finishes(change: Callable[[dict[str, Any]], Any]) -> Callable[[Chunks], Chunks]:
    def habit(chunks: Chunks) -> Chunks:
        for chunk in chunks:
            for choice in chunk["choices"]:
                if choice["finish_reason"]:
                    change(choice)
        return chunks

    return habit


def arguments_joined(chunks: Chunks) -> Chunks:
    """LM Studio: the second call's arguments are appended to the first's."""
    return [
        chunk
        for chunk in chunks
        if not any(
            entry["index"] == 1 and entry.update(index=0) is None and "id" in entry
            for entry in entries([chunk])
        )
    ]


def usage_without_choices(chunks: Chunks) -> Chunks:
    return [{key: value for key, value in c.items() if key != "choices" or "usage" not in c} for c in chunks]


def stop_every_time(chunks: Chunks) -> Chunks:
    stop = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    return [one for chunk in chunks for one in (chunk, {**chunk, "choices": stop}) if "usage" not in chunk]


def without_role(chunks: Chunks) -> Chunks:
    del chunks[0]["choices"][0]["delta"]["role"]
    return chunks


def first(**fields: Any) -> Callable[[Chunks], Chunks]:
    return each(lambda entry: entry.update(fields) if "id" in entry else None)


HABITS: list[tuple[str, Callable[[Chunks], Chunks], bool]] = [
    # what it does, and whether the wire layer mends it
    ("no-index", each(lambda entry: entry.pop("index")), True),
    ("index-no-integer", each(lambda entry: entry.update(index=str(entry["index"]))), True),
    ("index-from-1", each(lambda entry: entry.update(index=entry["index"] + 1)), True),
    ("shared-index", whole_calls_at_index_0, True),
    ("no-id", first(id=None), True),
    ("no-id", first(id=""), True),
    ("shared-id", first(id="call_x"), True),
    ("id-changes", each(lambda entry: entry.update(id=f"id{entry['function']['arguments']}")), True),
    ("name-repeated", name_every_time, True),
    ("name-split", names_in_two, True),
    ("no-arguments", each(lambda entry: entry["function"]["arguments"] or entry["function"].pop("arguments")), True),
    ("cumulative-arguments", cumulative_arguments, True),
    ("arguments-twice", empty_object_first, True),
    ("no-type", each(lambda entry: entry.pop("type", None)), True),
    ("empty-type", each(lambda entry: entry.setdefault("type", "")), True),
    ("no-role", without_role, True),
    ("unknown-finish", finishes(lambda choice: choice.update(finish_reason="eos_token")), True),
    ("no-delta", finishes(lambda choice: choice.update(delta=None)), True),
    ("finish-often", stop_every_time, True),
    ("usage-choices", usage_without_choices, True),
    ("cumulative-content", cumulative_content, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "habit", "cured"), HABITS, ids=[f"{h[0]}-{n}" for n, h in enumerate(HABITS)]
)
def test_each_deviation_of_the_wire_is_named_and_whether_it_is_mended(
    code: str, habit: Callable[[Chunks], Chunks], cured: bool
) -> None:
    with gateway(chunks=habit, thoughts="") as server:
        checks, report = examine(server)
    found = [check for check in checks.values() if code in check.codes]
    assert found, {id: check.codes for id, check in checks.items()}
    said = [line for check in found for line in check.details if line.startswith(SHAPES[code].says)]
    assert said and all(line.endswith("mended here" if cured else "not mended") for line in said)
    assert all("breaks" in line for line in said)
    assert report.endpoint_compatibility == "partial"
    assert any("hamr-parse serve" in cure for check in found for cure in check.cures)
    assert report.exit_code == 0


CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "%s", "days": 3}}\n</tool_call>'
SAYS = "<think>\nLet me see.\n</think>\n\nI look it up, please wait.\n"

#: What the doctor calls the faults of the replay gateway that the habits above do not have.
FAULTS = {
    "object-arguments": "object-arguments",
    "concatenated-arguments": "joined-arguments",
    "truncated-as-tool-calls": "hidden-cut",
    "stop-invented": "hidden-cut",
    "done-without-finish": "no-finish",
    "legacy-function-call": "legacy-call",
    "doubled": "doubled",
    "calls-in-reasoning": "call-in-reasoning",
    "parts-content": "content-parts",
    "no-choice-index": "no-choice-index",
    "finish-on-delta": "finish-on-delta",
    "usage-after-finish": "usage-late",
    "ids-differ": "several-ids",
    "ping-events": "no-chunk",
    "ignores-stream": "no-stream",
    "always-streams": "unasked-stream",
    "error-event": "error-in-stream",
    "destroyed-call": "lost-streaming",
    "calls-unasked": "parses-always",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_the_replay_gateway_has_its_name(fault: str) -> None:
    from hamr_parsers.client.doctor.prompts import TOOLS
    from hamr_parsers.serve.replay import Scenario

    scenario = Scenario("Qwen3-8B", SAYS + CALL % "Paris" + "\n" + CALL % "Rome", tools=TOOLS)
    with serving(scenarios=[scenario], faults=[fault]) as replay:
        visit = Doctor(None, connect(base_url=replay.base_url), full=True, timeout=10)
        found = {code for check in visit.run() for code in check.codes}
    assert FAULTS[fault] in found


@pytest.mark.parametrize("fault", ["interleaved-calls", "comments", "crlf", "split-utf8", "type-repeated"])
def test_what_the_protocol_allows_is_no_deviation(fault: str) -> None:
    from hamr_parsers.client.doctor.prompts import TOOLS
    from hamr_parsers.serve.replay import Scenario

    scenario = Scenario("Qwen3-8B", SAYS + CALL % "Paris" + "\n" + CALL % "Rome", tools=TOOLS)
    with serving(scenarios=[scenario], faults=[fault], calls="native") as replay:
        visit = Doctor(None, connect(base_url=replay.base_url), full=True, timeout=10)
        marks = {check.id: check.mark for check in visit.run()}
    assert [id for id, mark in marks.items() if mark in ("warning", "failed")] == []


def test_a_gateway_that_answers_nothing_is_not_asked_again_and_again() -> None:
    with gateway() as server:
        server.habits.wants = {}
        server.habits.fails = True
        checks, report = examine(server)
        assert len(server.asked) == 2
    assert checks["reasoning"].mark == "skipped"
    assert report.exit_code == 6


def test_arguments_of_two_calls_in_one_are_named() -> None:
    with gateway(chunks=arguments_joined) as server:
        checks, _ = examine(server)
    assert "joined-arguments" in checks["parallel"].codes


def test_harmless_deviations_are_told_without_a_warning() -> None:
    with gateway(ends=(), chunks=finishes(lambda choice: choice.update(finish_reason="stop"))) as server:
        checks, report = examine(server)
    assert {"no-done", "finish-stop"} <= set(checks["call-streamed"].codes)
    assert checks["call-streamed"].mark == "passed"
    assert report.endpoint_compatibility == "pass"


def test_an_error_inside_a_stream_is_named_with_the_servers_words() -> None:
    error = {"error": {"code": 500, "message": "Failed to parse the tool call", "type": "server_error"}}

    def fail(chunks: Chunks) -> Chunks:
        return [*chunks[:3], error] if any(True for _ in entries(chunks)) else chunks

    with gateway(chunks=fail) as server:
        checks, report = examine(server)
    check = checks["call-streamed"]
    assert check.mark == "failed" and "error-in-stream" in check.codes
    assert "Failed to parse the tool call" in check.summary
    assert 'upstream="text"' in cures(check)
    assert report.exit_code == 6


def test_a_llama_cpp_that_fails_whatever_is_asked_for_needs_a_flag() -> None:
    error = {
        "error": {
            "code": 500,
            "message": "The model produced output that does not match",
            "type": "server_error",
        }
    }

    def fail(chunks: Chunks) -> Chunks:
        return [*chunks[:3], error]

    habits: dict[str, Any] = {"chunks": fail, "write": qwen3_coder, "model": "toy"}
    with gateway(paths={"/props": {"build_info": "b6000", "total_slots": 1}}, **habits) as server:
        checks, _ = examine(server)
    assert "--skip-chat-parsing" in cures(checks["call-text"])
    with gateway(**habits) as server:
        checks, _ = examine(server)
    assert not checks["call-text"].cures


def test_a_server_that_fails_over_a_call_which_comes_whole_as_text_is_told_so() -> None:
    error = {"error": {"code": 500, "message": "Unexpected empty grammar stack", "type": "server_error"}}

    def fail(chunks: Chunks) -> Chunks:
        return [*chunks[:3], error] if any(True for _ in entries(chunks)) else chunks

    def fail_whole(payload: dict[str, Any]) -> dict[str, Any]:
        return error if payload["choices"][0]["message"].get("tool_calls") else payload

    with gateway(chunks=fail, whole=fail_whole, write=qwen3_coder, model="toy") as server:
        checks, report = examine(server)
    check = checks["call-compared"]
    assert (check.mark, check.codes) == ("failed", ["fails-on-calls"])
    assert 'use upstream="text"' in cures(check) and 'tool_call_parser = "qwen3_coder"' in cures(check)
    assert (report.native_tool_calls, report.text_tool_calls) == ("fail", "pass")


def test_the_judge_finds_nothing_in_the_safe_shape() -> None:
    chunks = [
        {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "function": {"arguments": "{}"}}]}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 1}},
    ]  # fmt: skip
    assert judge(chunks) == {}


def cut_off(chunks: Chunks) -> Chunks:
    return [one for one in chunks if not any(choice["finish_reason"] for choice in one["choices"])][:4]


def test_a_gateway_whose_streams_all_die_is_a_failure_and_not_mended() -> None:
    with gateway(chunks=cut_off, ends=()) as server:
        checks, report = examine(server)
    assert checks["answers"].mark == "failed" and checks["answers"].codes == ["all-cut"]
    assert "7 of 7 streams end without a finish_reason" in checks["answers"].details[0]
    said = [line for check in checks.values() for line in check.details if SHAPES["no-finish"].says in line]
    assert said and not any("mended here" in line for line in said)
    assert (report.exit_code, report.endpoint_compatibility) == (1, "partial")


def test_a_gateway_that_says_nothing_at_all_is_a_failure() -> None:
    def mute(payload: dict[str, Any]) -> dict[str, Any]:
        payload["choices"][0]["message"] = {"role": "assistant", "content": None}
        return payload

    with gateway(chunks=lambda chunks: [chunks[0], *chunks[-2:]], whole=mute) as server:
        checks, report = examine(server)
    assert (checks["answers"].mark, checks["answers"].codes) == ("failed", ["no-text"])
    assert (report.exit_code, report.endpoint_compatibility) == (1, "fail")


class Endless(Handler):
    """It ignores max_tokens, in a stream by small pieces, else (and with `bulk`) by one long text."""

    bulk = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if body["stream"] else "application/json")
        self.end_headers()
        choice = {"index": 0, "delta": {"role": "assistant", "content": "again "}, "finish_reason": None}
        piece = f"data: {json.dumps(self.chunk([choice]))}\n\n".encode() * 100
        if self.bulk or not body["stream"]:
            piece = b"x" * (1 << 20)
            self.wfile.write(b"data: " if body["stream"] else b'{"choices": "')
        try:
            while True:
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True


@pytest.mark.parametrize("bulk", [False, True])
def test_an_answer_that_does_not_end_is_bounded_and_told_as_what_it_is(bulk: bool) -> None:
    with gateway() as server:
        server.RequestHandlerClass = type("Endless", (Endless,), {"bulk": bulk})
        checks, report = examine(server, max_tokens=64)
        assert len(server.asked) == 2
    assert checks["completion"].codes == checks["stream"].codes == ["endless"]
    assert "sends more than 8 MiB for max_tokens 64; reading was stopped here" in checks["completion"].summary
    expected = "sends more than 8 MiB" if bulk else "ignores max_tokens: "
    assert expected in checks["stream"].summary
    assert not any("reported an error" in check.summary for check in checks.values())
    assert checks["reasoning"].codes == ["not-tried"]
    assert report.exit_code == 6


def test_an_answer_that_drips_for_ever_is_bounded_in_time() -> None:
    stop = threading.Event()

    class Dripping(Endless):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            while not stop.wait(0.02):
                try:
                    self.wfile.write(b": still there\n\n")
                except OSError:
                    return

    with gateway() as server:
        server.RequestHandlerClass = Dripping
        visit = Doctor(None, connect(base_url=server.base_url), full=True, timeout=0.2)
        checks = {check.id: check for check in visit.run()}
        stop.set()
    assert checks["stream"].codes == ["endless"]
    assert "did not end its answer within 0.4 s (0 pieces for max_tokens 1024)" in checks["stream"].summary


# -- who answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("habits", "title", "version"),
    [
        ({"paths": {"/props": {"build_info": "b6000", "total_slots": 1}}}, "llama.cpp", "b6000"),
        ({"paths": {"/api/version": {"version": "0.13.0"}}}, "Ollama", "0.13.0"),
        (
            {"paths": {"/relay/status": {"status": "running"}, "/props": {"total_slots": 1}}},
            "Relay",
            "unknown",
        ),
        ({"paths": {"/get_server_info": {"version": "0.5.9"}}}, "SGLang", "0.5.9"),
        (
            {"paths": {"/api/v0/models": {"data": [{"id": "m", "type": "llm", "state": "loaded"}]}}},
            "LM Studio",
            "unknown",
        ),
        ({"paths": {"/api/v0/models": {"data": [{"id": "m", "object": "model"}]}}}, "unknown", "unknown"),
        ({"paths": {"/api/version": {"version": 3}}}, "unknown", "unknown"),
        ({"paths": {"/version": {"version": "1"}}, "entry": {"owned_by": "me"}}, "vLLM", "1"),
        ({"paths": {"/version": {"version": "1"}}, "entry": {"owned_by": "library"}}, "Ollama", "unknown"),
        ({"headers": {"x-litellm-version": "1.108.0"}}, "LiteLLM", "1.108.0"),
        ({"entry": {"owned_by": "transformers"}}, "transformers serve", "unknown"),
        ({}, "unknown", "unknown"),
    ],
)
def test_the_server_is_recognised_by_what_only_it_has(
    habits: dict[str, Any], title: str, version: str
) -> None:
    with gateway(calls=False, **habits) as server:
        _, report = examine(server)
    assert (report.provider_gateway, report.provider_version) == (title, version)


@pytest.mark.parametrize(
    "anything",
    [
        {"data": [{"id": MODEL, "object": "model", "state": "loaded"}]},
        {"status": "ok", "version": "1"},
        {"total_slots": 1, "error": None},
        {},
    ],
)
def test_a_server_that_answers_every_path_is_not_recognised_by_one(anything: dict[str, Any]) -> None:
    class Every(Handler):
        def do_GET(self) -> None:
            if self.path == "/v1/models":
                super().do_GET()
            else:
                self.send(200, json.dumps(anything).encode())

    with gateway(calls=False) as server:
        server.RequestHandlerClass = Every
        _, report = examine(server)
    assert report.provider_gateway == "unknown"


@pytest.mark.parametrize(
    ("model", "entry", "found"),
    [
        ("Qwen3.6-35B-A3B-UD-IQ3_XXS.gguf", {}, "UD-IQ3_XXS"),
        ("llama-3.1-8b-instruct-q4_k_m", {}, "Q4_K_M"),
        ("Qwen/Qwen3-Coder-30B-FP8", {}, "FP8"),
        ("model-AWQ", {}, "AWQ"),
        ("mlx-community/Qwen3-8B-4bit", {}, "4BIT"),
        ("gpt-oss-20b", {}, "unknown"),
        ("x", {"quantization": "Q8_0"}, "Q8_0"),
        ("qwen3:8b", {}, "unknown"),
    ],
)
def test_the_quantization_is_what_the_gateway_or_the_name_says(model: str, entry: Any, found: str) -> None:
    assert quantization(model, entry) == found


# -- dead and odd gateways -------------------------------------------------------------------------


def run(*args: str) -> Any:
    return CliRunner().invoke(app, ["doctor", *args])


@pytest.fixture(autouse=True)
def nobody_is_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this machine is read."""
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("habits", "options", "code", "says"),
    [
        ({"body": "<html>hello</html>"}, (), 3, "web page"),
        ({"status": 404, "body": "nothing"}, (), 3, "404"),
        ({"body": '{"hello": 1}'}, (), 3, "JSON of another kind"),
        ({"wants": {"Authorization": "Bearer right"}}, (), 4, "wants a key"),
        ({"wants": {"Authorization": "Bearer right"}}, ("--api-key", "wrong-key"), 4, "refused the key"),
        ({}, ("--model", "Qwen2.5-7B-Instruct"), 5, "did you mean 'Qwen2.5-7B-Instruct-Q4_K_M.gguf'?"),
    ],
)
def test_a_gateway_that_cannot_be_used_ends_with_its_exit_code(
    habits: dict[str, Any], options: tuple[str, ...], code: int, says: str
) -> None:
    with gateway(**habits) as server:
        result = run("--base-url", server.base_url, *options)
        assert server.asked == []
    assert result.exit_code == code, result.output
    assert says in result.stdout
    assert "wrong-key" not in result.output
    assert "✗ GET /models" in result.stdout
    assert result.stdout.count("the other probes: the gateway cannot be used") == 1
    assert result.stdout.rstrip().splitlines()[-1].endswith("skipped")


def test_a_dead_gateway_is_exit_code_3() -> None:
    with gateway() as server:
        url = server.base_url
    result = run("--base-url", url)
    assert result.exit_code == 3
    assert "nothing listens there" in result.stdout


def test_a_gateway_that_stays_silent_is_told_with_the_time_out() -> None:
    with gateway() as server:
        stop = threading.Event()
        original = Handler.do_POST

        class Silent(Handler):
            def do_POST(self) -> None:
                if stop.wait(30):
                    original(self)

        server.RequestHandlerClass = Silent
        result = run("--base-url", server.base_url, "--timeout", "1")
        stop.set()
    assert result.exit_code == 3
    assert "did not answer within 1 s" in result.stdout
    assert "loads a large model" in result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
@pytest.mark.parametrize("format", ["json", "text"])
def test_ctrl_c_gives_the_report_so_far_and_exit_code_130(format: str) -> None:
    with gateway() as server:
        asked = threading.Event()

        class Silent(Handler):
            def do_POST(self) -> None:
                asked.set()
                released.wait(30)

        released = threading.Event()
        server.RequestHandlerClass = Silent
        source = str(Path(hamr_parsers.__file__).parents[1])
        command = [
            sys.executable,
            "-m",
            "hamr_parsers",
            "doctor",
            "--base-url",
            server.base_url,
            "--format",
            format,
        ]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": source},
        ) as process:
            assert asked.wait(30)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
        released.set()
    assert process.returncode == 130
    if format == "text":
        assert out.splitlines()[-1].startswith("interrupted, so far: ")
        return
    report = json.loads(out)
    assert report["summary"]["text"].startswith("interrupted, so far: ")
    assert report["model"] == MODEL
    assert "interrupted" in report["caveats"][0]
    assert report["endpoint_compatibility"] == "not tested"


def test_the_page_of_the_doctor_lists_every_code() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    source = (ROOT / "src" / "hamr_parsers" / "client" / "doctor" / "examine.py").read_text(encoding="utf-8")
    said = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"\]', source)) | set(
        re.findall(r'codes\.append\("([a-z-]+)"\)', source)
    )
    assert {"lost-streaming", "call-as-text", "cut-call"} <= said
    missing = [code for code in {*SHAPES, *said} - {"call-again"} if f"| `{code}` |" not in page]
    assert missing == []


# -- the command -----------------------------------------------------------------------------------


FIELDS = [
    "hamr_parsers_version",
    "tested_at",
    "tester",
    "provider_gateway",
    "provider_version",
    "base_url",
    "model",
    "quantization",
    "endpoint_compatibility",
    "native_tool_calls",
    "text_tool_calls",
    "reasoning_leakage",
    "max_context_tested",
    "diagnostics",
    "caveats",
]


def test_the_json_report_has_the_fields_and_the_checks() -> None:
    with gateway() as server:
        result = run("--base-url", server.base_url, "--format", "json", "--tester", "me")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert list(report) == ["schema_version", *FIELDS, "summary", "checks"]
    assert report["tester"] == "me"
    assert {"passed", "warning", "failed", "skipped", "text"} == set(report["summary"])
    assert {check["mark"] for check in report["checks"]} <= {"passed", "warning", "failed", "skipped"}


def test_without_a_gateway_every_field_of_it_is_not_tested() -> None:
    result = run("--format", "json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    for name in FIELDS[3:13]:
        assert report[name] == "not tested", name
    assert report["caveats"] == ["only local checks, no gateway was asked: --full asks it"]


def test_the_markdown_report_is_written_to_a_file(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    with gateway(answer="a | b <script> *x*\n# head") as server:
        result = run("--base-url", server.base_url, "-o", str(target))
    assert result.exit_code == 0, result.output
    text = target.read_text(encoding="utf-8")
    assert text.startswith("# Compatibility report\n")
    assert "| `native\\_tool\\_calls` | pass |" in text or "| `native_tool_calls` | pass |" in text
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "\n# head" not in text


def test_the_text_report_shows_no_control_characters_of_a_model() -> None:
    with gateway(answer="\x1b[31mred") as server:
        result = run("--base-url", server.base_url)
    assert "\x1b" not in result.stdout and "\\x1b[31mred" in result.stdout


def test_a_broken_configuration_file_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = tmp_path / "models.json"
    bad.write_text('{"providers": {"x": {"baseUrl": 5}}}', encoding="utf-8")
    result = run("--models-json", str(bad))
    assert result.exit_code == 2
    assert f"✗ {bad}" in result.stdout and "providers.x.baseUrl" in result.stdout
    assert "✓ hamr-parsers" in result.stdout


def test_a_missing_variable_is_named_and_no_request_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELAY_API_KEY", raising=False)
    with gateway() as server:
        entry = {"baseUrl": server.base_url, "api": "openai-completions", "apiKey": "$RELAY_API_KEY"}
        file = tmp_path / "models.json"
        file.write_text(json.dumps({"providers": {"relay": entry}}), encoding="utf-8")
        result = run("--models-json", str(file), "--full")
        assert server.asked == []
        assert result.exit_code == 2
        assert "export RELAY_API_KEY=..." in result.stdout
        monkeypatch.setenv("RELAY_API_KEY", "sesame-sesame")
        server.habits.wants = {"Authorization": "Bearer sesame-sesame"}
        good = run("--models-json", str(file), "--full", "--format", "json")
    assert good.exit_code == 0, good.output
    assert "sesame" not in good.output


def test_secrets_and_private_hosts_stay_out_of_reports() -> None:
    assert redacted("https://user:pw@gpu-7.corp.example:8443/v1?key=1") == "https://<host>:8443/v1"
    assert redacted("http://127.0.0.1:1234/v1") == "http://127.0.0.1:1234/v1"
    with gateway(status=500, body="you sent sesame-sesame") as server:
        _, report = examine(server, api_key="sesame-sesame")
    assert "sesame" not in report.to_json() and "sesame" not in report.to_markdown()


def test_a_model_is_found_by_the_label_that_a_file_gives_it(tmp_path: Path) -> None:
    with gateway(calls=False) as server:
        entry = {
            "baseUrl": server.base_url,
            "models": [{"id": MODEL, "name": "My Qwen", "tool_call_parser": "hermes"}],
        }
        file = tmp_path / "models.json"
        file.write_text(json.dumps({"providers": {"relay": entry}}), encoding="utf-8")
        result = run("--models-json", str(file), "--full", "--model", "my qwen")
    assert result.exit_code == 0, result.output
    assert f"{MODEL}, read by hermes" in result.stdout


def test_a_key_that_an_answer_repeats_is_not_shown() -> None:
    with gateway(answer="your key is sesame-sesame") as server:
        result = run("--base-url", server.base_url, "--api-key", "sesame-sesame")
    assert "your key is ***" in result.stdout
    assert "sesame" not in result.output


def test_an_interruption_gives_the_report_so_far() -> None:
    with gateway() as server:
        visit = Doctor(None, connect(base_url=server.base_url), full=True, timeout=10)
        running = visit.run()
        for check in running:
            if check.id == "completion":
                with pytest.raises(KeyboardInterrupt):
                    running.throw(KeyboardInterrupt)
                break
    report = visit.report()
    assert report.model == MODEL
    assert report.native_tool_calls == "not tested"
    assert any("interrupted" in caveat for caveat in report.caveats)
    assert report.summary.startswith("interrupted, so far: ")


def test_an_answer_without_anything_is_no_error_of_the_doctor() -> None:
    def nothing(chunks: Chunks) -> Chunks:
        return []

    with gateway(chunks=nothing, whole=lambda payload: {}) as server:
        checks, report = examine(server)
    assert checks["stream"].mark in ("warning", "failed")
    assert report.native_tool_calls == "not tested"
    assert Answer().usage == {}
