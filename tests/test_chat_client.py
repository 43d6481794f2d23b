"""`ChatClient` and `AsyncChatClient`: right calls from any gateway, one sentence for each way in which a gateway can
fail, nothing lost, no secret shown, and a user who knows what is being waited for."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.wire.collect import Collector
from tests.scripted import Exchange, Scripted, chunk, finish, listing

pytest.importorskip("httpx2")
pytest.importorskip("starlette")

from hamr_parsers.client import (
    AccessRefusedError,
    AsyncChatClient,
    ChatClient,
    ClientError,
    ConfigurationError,
    GatewayError,
    GatewayStatusError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    NotAGatewayError,
    Notice,
    StreamRunningError,
    Timeout,
    UnknownModelError,
)
from hamr_parsers.serve.replay import FAULTS, KINDS, Scenario, embedded_scenarios
from tests.gateway import serving

SECRET = "sk-very-secret-4711"
SCENARIOS = {scenario.id: scenario for scenario in embedded_scenarios()}
CALL = SCENARIOS["qwen3-8b:reasoning-call"]
QUICK = Timeout(first=20, between=20, notice=5)
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
TEXT_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'


def meaning(message: hp.ParsedMessage) -> tuple[Any, ...]:
    calls = tuple((call.name, call.arguments_dict()) for call in message.tool_calls)
    return (message.content, message.reasoning, calls, message.finish_reason)


def truth(scenario: Scenario) -> tuple[Any, ...]:
    known = scenario.truth
    return (known.content, known.reasoning, known.calls, known.finish_reason)


def both(client: ChatClient, scenario: Scenario) -> Iterator[hp.ParsedMessage]:
    """The answer streamed and whole."""
    with client.stream("Go.", tools=scenario.tools, model=scenario.id) as stream:
        events = list(stream)
    assert stream.finish_reason == stream.message.finish_reason
    joined = "".join(e.text for e in events if isinstance(e, hp.ContentDelta))
    assert joined == (stream.message.content or "")
    ends = [e.tool_call for e in events if isinstance(e, hp.ToolCallEnd)]
    assert sorted(ends, key=lambda call: call.id) == sorted(
        stream.message.tool_calls, key=lambda call: call.id
    )
    yield stream.message
    answer = client.chat("Go.", tools=scenario.tools, model=scenario.id)
    assert answer.finish_reason == answer.message.finish_reason
    yield answer.message


# What is slow by design, or loses a call of two: a `function_call` has room for one. Reasoning that holds calls holds
# the text between them, too.
SKIPPED = frozenset(("slow", "silence", "serialised", "legacy-function-call", "calls-in-reasoning"))
CURED = [f.name for f in FAULTS.values() if f.outcome == "right" and f.name not in SKIPPED]


class TestCalls:
    @pytest.mark.parametrize("calls", ["text", "native"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_scenario_of_every_kind_of_gateway_is_read_right(self, kind: str, calls: str) -> None:
        with (
            serving(kind=kind, calls=calls) as gateway,
            ChatClient(gateway.base_url, timeout=QUICK) as client,
        ):
            for scenario in SCENARIOS.values():
                if scenario.truth.finish_reason == "length":
                    continue
                for message in both(client, scenario):
                    found, known = meaning(message), truth(scenario)
                    # a server that cuts the reasoning off may leave the line end behind it
                    assert ((found[0] or "").strip() or None, *found[1:]) == known, scenario.id

    @pytest.mark.parametrize("fault", CURED)
    def test_every_fault_that_can_be_cured_is(self, fault: str) -> None:
        with (
            serving(kind="llamacpp", faults=[fault]) as gateway,
            ChatClient(gateway.base_url, timeout=QUICK) as client,
        ):
            for message in both(client, CALL):
                assert meaning(message) == truth(CALL)

    @pytest.mark.parametrize("fault", [f.name for f in FAULTS.values() if f.outcome == "cut"])
    def test_a_cut_answer_never_looks_whole(self, fault: str) -> None:
        with (
            serving(kind="llamacpp", faults=[fault]) as gateway,
            ChatClient(gateway.base_url, timeout=QUICK) as client,
            client.stream("Go.", tools=CALL.tools, model=CALL.id) as stream,
        ):
            list(stream)
        assert stream.finish_reason == "length"
        for call in stream.message.tool_calls:
            assert isinstance(json.loads(call.arguments), dict)
            assert call.complete or call.closing

    @pytest.mark.parametrize("fault", ["drop", "reset", "relay-error", "error-in-stream", "error-event"])
    def test_what_came_before_an_error_is_given_out(self, fault: str) -> None:
        with (
            serving(kind="llamacpp", faults=[fault]) as gateway,
            ChatClient(gateway.base_url, timeout=QUICK, retries=0) as client,
            client.stream("Go.", tools=CALL.tools, model=CALL.id) as stream,
        ):
            events = []
            with pytest.raises(GatewayError, match=r"in the middle of the answer|instead of an answer"):
                for event in stream:
                    events.append(event)
            assert list(stream) == []  # it is over
        assert stream.finish_reason == "length"
        assert "".join(e.text for e in events if isinstance(e, hp.ReasoningDelta)) == (
            stream.message.reasoning or ""
        )

    def test_a_server_that_fails_to_parse_a_call_is_told_with_its_cure(self) -> None:
        error = {"error": {"code": 500, "message": "Unexpected empty grammar stack", "type": "server_error"}}
        for answer in (lambda e: e.stream([chunk("One, "), error]), lambda e: e.json(error, 500)):
            with (
                Scripted(answer) as gateway,
                ChatClient(gateway.base_url, model="m") as client,
                pytest.raises(GatewayStatusError, match='upstream="text" leaves that to us'),
            ):
                list(client.stream("Go.", tools=[WEATHER]))

    def test_upstream_text_asks_for_the_text_and_reads_it(self) -> None:
        with (
            serving(kind="vllm", faults=["destroyed-call"]) as gateway,
            ChatClient(gateway.base_url, upstream="text", timeout=QUICK) as client,
        ):
            for message in both(client, CALL):
                assert meaning(message) == truth(CALL)
            assert {r.body["tool_choice"] for r in gateway.requests if r.body} == {"none"}

    def test_an_agent_loop_ends_with_the_result_in_its_answer(self) -> None:
        with serving(kind="relay") as gateway, ChatClient(gateway.base_url, timeout=QUICK) as client:
            history: list[Any] = [{"role": "user", "content": "Go."}]
            first = client.chat(history, tools=CALL.tools, model=CALL.id)
            history.append(first)  # an answer stands in the history as it is
            history += [
                {"role": "tool", "tool_call_id": call.id, "content": f"result of {call.name}"}
                for call in first.message.tool_calls
            ]
            second = client.chat(history, tools=CALL.tools, model=CALL.id)
            assert "result of" in (second.message.content or "")
            assert not second.message.tool_calls
            sent = gateway.requests[-1].body["messages"][1]
            assert sent["role"] == "assistant"
            assert "reasoning_content" not in sent  # reasoning stays out of later prompts

    def test_the_configured_parser_reads_the_text(self) -> None:
        text = "[get_weather(city='Oslo')]"
        with (
            Scripted(lambda e: e.stream([chunk(text), finish()])) as gateway,
            ChatClient(gateway.base_url, model="who-knows", tool_call_parser="pythonic") as client,
            client.stream("Go.", tools=[WEATHER]) as stream,
        ):
            list(stream)
            assert [c.name for c in stream.message.tool_calls] == ["get_weather"]
            assert stream.report.calls == [("pythonic", "text")]

    def test_without_tools_markup_is_text(self) -> None:
        with (
            Scripted(lambda e: e.stream([chunk(TEXT_CALL), finish()])) as gateway,
            ChatClient(gateway.base_url, model="Qwen3-8B") as client,
            client.stream("Explain your format.") as stream,
        ):
            list(stream)
            assert stream.message.content == TEXT_CALL
            assert stream.message.tool_calls == []


class TestCollector:
    def entry(self, index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
        entry: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
        if name is not None:
            entry |= {"id": f"c{index}", "type": "function"}
            entry["function"]["name"] = name
        return {"choices": [{"index": 0, "delta": {"tool_calls": [entry]}}]}

    def test_a_call_that_is_whole_ends_when_the_next_begins(self) -> None:
        collector = Collector()
        collector.feed([self.entry(0, "", "f"), self.entry(0, '{"a": 1}')])
        events = collector.feed([self.entry(1, "", "g")])
        assert [type(e) for e in events] == [hp.ToolCallEnd, hp.ToolCallStart]

    def test_interleaved_calls_end_with_all_their_arguments(self) -> None:
        collector = Collector()
        pieces = [(0, "", "f"), (1, "", "g"), (0, '{"a"', None), (1, '{"b"', None), (0, ": 1}", None)]
        collector.feed([self.entry(*piece) for piece in pieces])
        collector.feed([self.entry(1, ": 2}"), finish("tool_calls")])
        assert [c.arguments for c in collector.message.tool_calls] == ['{"a": 1}', '{"b": 2}']
        assert all(c.complete for c in collector.message.tool_calls)

    @pytest.mark.parametrize("cut", ["", "{", '{"a', '{"a": "x', '{"a": [1, 2', '{"a": {"b": tru'])
    def test_a_cut_call_is_json_and_says_that_it_was_cut(self, cut: str) -> None:
        collector = Collector()
        collector.feed([self.entry(0, "", "f"), *([self.entry(0, cut)] if cut else []), finish("length")])
        (call,) = collector.message.tool_calls
        assert not call.complete
        assert isinstance(json.loads(call.arguments), dict)
        assert call.closing and call.arguments.endswith(call.closing)
        with pytest.raises(hp.IncompleteToolCallError):
            call.arguments_dict()

    def test_a_snapshot_does_not_disturb_the_stream(self) -> None:
        collector = Collector()
        collector.feed([self.entry(0, "", "f"), self.entry(0, '{"a": ')])
        assert [c.complete for c in collector.message.tool_calls] == [False]
        collector.feed([self.entry(0, "1}"), finish("tool_calls")])
        assert collector.close() == []
        assert collector.message.tool_calls[0].arguments == '{"a": 1}'


# --- what is sent -------------------------------------------------------------------------------------------


def answering(exchange: Exchange) -> None:
    """Two models, and `hi` to everything."""
    if exchange.body is None:
        exchange.json(listing("Qwen3-8B", "Devstral-24B"))
    elif exchange.body["stream"]:
        exchange.stream([chunk("hi"), finish(), chunk(choices=[], usage={"total_tokens": 3})])
    else:
        exchange.json(
            {
                "model": "m",
                "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
                "usage": {"total_tokens": 2},
                "timings": {"x": 1},
            }
        )


class TestRequest:
    def test_the_configuration_is_applied(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RELAY_API_KEY", SECRET)
        with Scripted(answering) as gateway:
            path = tmp_path / "models.json"
            path.write_text(
                json.dumps(
                    {
                        "providers": {
                            "r": {
                                "baseUrl": gateway.base_url,
                                "apiKey": "$RELAY_API_KEY",
                                "headers": {"X-Team": "blue"},
                                "compat": {"supportsDeveloperRole": False, "thinkingFormat": "qwen"},
                                "models": [{"id": "Qwen3-8B", "name": "Qwen", "maxTokens": 99}],
                            }
                        }
                    }
                )
            )
            (tmp_path / "c.toml").write_text('[active]\nprovider = "r"\nthinking = false\n')
            with ChatClient(config=tmp_path / "c.toml", models_json=path) as client:
                answer = client.chat(
                    [{"role": "developer", "content": "x"}], tools=[WEATHER], temperature=0.5, top_p=None
                )
            (request,) = gateway.requests
        assert request.path == "/v1/chat/completions"
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert request.headers["x-team"] == "blue"
        assert request.body == {
            "model": "Qwen3-8B",
            "messages": [{"role": "system", "content": "x"}],
            "tools": [WEATHER],
            "temperature": 0.5,
            "max_tokens": 99,
            "enable_thinking": False,
            "stream": False,
        }
        assert (answer.model, answer.usage) == ("m", {"total_tokens": 2})
        assert answer.raw["timings"] == {"x": 1}

    def test_a_stream_asks_for_usage(self) -> None:
        with Scripted(answering) as gateway, ChatClient(gateway.base_url, model="m") as client:
            with client.stream("hi") as stream:
                list(stream)
            assert stream.usage == {"total_tokens": 3}
            assert gateway.bodies[0]["stream_options"] == {"include_usage": True}

    def test_tools_are_taken_in_any_form(self) -> None:
        def get_time(zone: str) -> str:
            """The time."""
            return zone

        with Scripted(answering) as gateway, ChatClient(gateway.base_url, model="m") as client:
            client.chat("hi", tools=[get_time])
            strict = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {}}}
            client.chat("hi", tools=[strict])
            with pytest.raises(hp.InvalidToolsError):
                client.chat("hi", tools=[{"type": "function", "function": {}}])
            sent = [body["tools"] for body in gateway.bodies]
        assert sent[0][0]["function"]["name"] == "get_time"
        assert sent[1] == [strict]  # definitions stay as they are

    def test_the_session_id_is_one_for_a_client(self) -> None:
        with Scripted(answering) as gateway:
            with ChatClient(gateway.base_url, model="m") as client:
                client.models()
                client.chat("a")
                client.prewarm("b")
                with client.stream("c") as stream:
                    list(stream)
            with ChatClient(gateway.base_url, model="m", session_id="mine") as named:
                named.chat("a")
            with ChatClient(gateway.base_url, model="m", session_id="") as none:
                none.chat("a")
            ids = [request.headers["session-id"] for request in gateway.requests]
        assert ids[0] is None  # a list of models is no conversation
        assert ids[1:4] == [client.session_id] * 3
        assert ids[4:] == ["mine", None]

    def test_prewarm_sends_the_same_prompt_for_one_token(self) -> None:
        with Scripted(answering) as gateway, ChatClient(gateway.base_url, model="m") as client:
            usage = client.prewarm("hi", tools=[WEATHER], max_completion_tokens=50)
            with client.stream("hi", tools=[WEATHER]) as stream:
                list(stream)
            warm, cold = gateway.bodies
        assert usage == {"total_tokens": 3}
        assert warm.pop("max_tokens") == 1
        assert warm == cold

    def test_the_only_model_is_taken_and_of_several_one_must_be_named(self) -> None:
        with (
            Scripted(answering) as gateway,
            ChatClient(gateway.base_url) as client,
            pytest.raises(ConfigurationError, match="has 2 models and none is chosen"),
        ):
            client.chat("hi")
        only = lambda e: e.json(listing("only")) if e.body is None else answering(e)  # noqa: E731
        with Scripted(only) as gateway, ChatClient(gateway.base_url) as client:
            client.chat("hi")
            client.chat("hi")
            assert [body["model"] for body in gateway.bodies] == ["only", "only"]

    def test_models_are_asked_anew_each_time(self) -> None:
        served = [["a"], ["a", "b"]]
        with (
            Scripted(lambda e: e.json(listing(*served.pop(0)))) as gateway,
            ChatClient(gateway.base_url) as client,
        ):
            assert [m.id for m in client.models()] == ["a"]
            assert [m.id for m in client.models()] == ["a", "b"]

    @pytest.mark.parametrize(
        ("payload", "ids"),
        [
            ({"data": [{"id": "a"}, {"id": "a"}, {"nope": 1}, {"id": ""}]}, ["a"]),
            ({"models": [{"name": "x:latest", "model": "x:latest"}]}, ["x:latest"]),
            (["a", "b"], ["a", "b"]),
            ({"object": "list", "data": None}, []),
            ({"data": []}, []),
        ],
    )
    def test_a_list_of_models_is_read_in_every_shape(self, payload: Any, ids: list[str]) -> None:
        with Scripted(lambda e: e.json(payload)) as gateway, ChatClient(gateway.base_url) as client:
            assert [m.id for m in client.models()] == ids

    @pytest.mark.parametrize(
        ("entry", "window"),
        [
            ({"meta": {"n_ctx": 4096, "n_ctx_train": 40960}}, 4096),
            ({"meta": {"n_ctx_train": 40960}}, 40960),
            ({"max_model_len": 8192}, 8192),
            ({"max_context_length": 2, "loaded_context_length": 1}, 1),
            ({"context_length": True}, None),
            ({"context_length": "8k"}, None),
        ],
    )
    def test_the_context_window_is_found_where_each_server_has_it(
        self, entry: dict[str, Any], window: int | None
    ) -> None:
        with (
            Scripted(lambda e: e.json({"data": [{"id": "m", **entry}]})) as gateway,
            ChatClient(gateway.base_url) as client,
        ):
            assert client.models()[0].context_window == window

    @pytest.mark.parametrize(
        ("messages", "fields", "says"),
        [
            ({"role": "user"}, {}, "a list of messages is wanted"),
            ([1], {}, r"messages\[0\]: a message is wanted, not int"),
            ("x", {"stream": True}, "argument of its own"),
            ("x", {"stop": {1}}, "cannot be written as JSON"),
            ("x", {"temperature": float("nan")}, "cannot be written as JSON"),
        ],
    )
    def test_a_request_that_cannot_be_sent_is_told_before(
        self, messages: Any, fields: dict[str, Any], says: str
    ) -> None:
        with Scripted(answering) as gateway, ChatClient(gateway.base_url, model="m") as client:
            with pytest.raises(ConfigurationError, match=says):
                client.chat(messages, **fields)
            assert gateway.requests == []

    def test_a_lone_surrogate_can_be_sent(self) -> None:
        with Scripted(answering) as gateway, ChatClient(gateway.base_url, model="m") as client:
            client.chat("a\ud83d")
            assert gateway.bodies[0]["messages"][0]["content"] == "a\ud83d"


# --- what goes wrong ----------------------------------------------------------------------------------------

BAD: list[tuple[str, Callable[[Exchange], None], type[GatewayError], int, str]] = [
    (
        "401",
        lambda e: e.error(401, "missing key"),
        AccessRefusedError,
        4,
        r"wants a key \(HTTP 401\): missing",
    ),
    ("403", lambda e: e.error(403, "not you"), AccessRefusedError, 4, r"HTTP 403\): not you"),
    (
        "cloudflare page",
        lambda e: e.send(403, "<html>Cloudflare Access</html>", "text/html"),
        AccessRefusedError,
        4,
        "CF-Access-Client-Id and CF-Access-Client-Secret",
    ),
    (
        "cloudflare login",
        lambda e: e.send(
            302, "", "text/html", {"location": "https://t.cloudflareaccess.com/cdn-cgi/access/login/h?kid=1"}
        ),
        AccessRefusedError,
        4,
        "CF-Access-Client-Id and CF-Access-Client-Secret",
    ),
    (
        "redirect",
        lambda e: e.send(301, "", "text/plain", {"location": "https://h/v1/chat?token=1"}),
        NotAGatewayError,
        3,
        r"redirects to https://h/v1/chat; if that is the gateway, set its base URL",
    ),
    ("html", lambda e: e.send(200, "<!doctype html>", "text/html"), NotAGatewayError, 3, "a web page"),
    ("html 404", lambda e: e.send(404, "<html>", "text/html"), NotAGatewayError, 3, "a web page"),
    ("404", lambda e: e.error(404, "no route"), NotAGatewayError, 3, "does the base URL end in /v1"),
    ("text", lambda e: e.send(200, "hello", "text/plain"), NotAGatewayError, 3, "no JSON"),
    ("other json", lambda e: e.json({"ok": True}), NotAGatewayError, 3, "JSON of another kind"),
    (
        "error that says 200",
        lambda e: e.json({"error": {"message": "quota is used up"}}),
        GatewayStatusError,
        6,
        "reported an error instead of an answer: quota is used up",
    ),
    (
        "refusal that says 200",
        lambda e: e.json({"error": {"message": "Invalid API key", "code": "invalid_api_key"}}),
        AccessRefusedError,
        4,
        r"Invalid API key \(invalid_api_key\); check apiKey and headers",
    ),
    (
        "401 that says 200",
        lambda e: e.json({"data": None, "object": "list", "error": {"message": "no", "code": 401}}),
        AccessRefusedError,
        4,
        r"no \(401\); check apiKey and headers",
    ),
    ("nothing", lambda e: e.send(200, "", "application/json"), NotAGatewayError, 3, "answers with nothing"),
    ("half", lambda e: e.send(200, '{"data": [', "application/json"), GatewayStatusError, 6, "cut or broken"),
    ("400", lambda e: e.error(400, "context is full"), GatewayStatusError, 6, r"HTTP 400\): context is full"),
    ("413", lambda e: e.error(413, "big"), GatewayStatusError, 6, "too large .* Relay takes 1 MiB"),
    ("500", lambda e: e.error(500, "oops"), GatewayStatusError, 6, r"failed \(HTTP 500\): oops"),
    (
        "502 of Relay",
        lambda e: e.json({"error": "upstream said no"}, 502, x_relay_upstream_status="400"),
        GatewayStatusError,
        6,
        "the server behind .* answered HTTP 400: upstream said no",
    ),
    ("detail", lambda e: e.json({"detail": [{"msg": "bad field"}]}, 422), GatewayStatusError, 6, "bad field"),
    ("closed", lambda e: e.drop(), GatewayUnreachableError, 3, "closed the connection without an answer"),
]


@pytest.mark.parametrize(("answer", "kind", "code", "says"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
@pytest.mark.parametrize("way", ["chat", "stream", "models"])
def test_each_failure_is_one_clear_sentence(
    way: str, answer: Callable[[Exchange], None], kind: type[GatewayError], code: int, says: str
) -> None:
    with (
        Scripted(answer) as gateway,
        ChatClient(gateway.base_url, model="m", retries=0, timeout=QUICK) as client,
        pytest.raises(kind, match=says) as caught,
    ):
        if way == "models":
            client.models()
        elif way == "chat":
            client.chat("hi")
        else:
            with client.stream("hi") as stream:
                list(stream)
    error = caught.value
    assert error.exit_code == code
    assert "127.0.0.1" in str(error) and "\n" not in str(error)
    assert "token=1" not in str(error) and "kid=1" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_dead_gateway_is_told(unused_port: int) -> None:
    with ChatClient(f"http://127.0.0.1:{unused_port}/v1", model="m", retries=0) as client:
        with pytest.raises(
            GatewayUnreachableError, match=r"nothing listens there.*connection refused"
        ) as caught:
            client.chat("hi")
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("way", ["chat", "stream"])
@pytest.mark.parametrize(
    "choice", [{}, {"message": None}, {"message": {}, "finish_reason": "stop"}, "hi", None]
)
def test_an_answer_without_a_message_is_no_success(way: str, choice: Any) -> None:
    with (
        Scripted(lambda e: e.json({"choices": [choice]})) as gateway,
        ChatClient(gateway.base_url, model="m") as client,
        pytest.raises(GatewayStatusError, match="has no message") as caught,
    ):
        client.chat("hi") if way == "chat" else list(client.stream("hi"))
    assert caught.value.exit_code == 6


def test_a_message_that_a_filter_held_back_is_an_answer() -> None:
    held = {"choices": [{"message": None, "finish_reason": "content_filter"}]}
    with (
        Scripted(lambda e: e.json(held)) as gateway,
        ChatClient(gateway.base_url, model="m") as client,
    ):
        assert client.chat("hi").finish_reason == "content_filter"


@pytest.mark.parametrize("kind", [ChatClient, AsyncChatClient])
@pytest.mark.parametrize("id_", ["a\nb", "a\r\nx: y", " a", "a ", "\x00", "é", 5])
def test_a_session_id_that_no_header_can_carry_is_told_when_the_client_is_made(kind: Any, id_: Any) -> None:
    with pytest.raises(ConfigurationError, match="session_id"):
        kind("http://127.0.0.1:1/v1", session_id=id_)


@pytest.mark.parametrize("value", ["top-secret\n", "töp-secret"])
def test_a_header_that_cannot_be_sent_is_not_the_gateways_fault(value: str) -> None:
    told: list[Notice] = []
    with Scripted(answering) as gateway:
        client = AsyncChatClient(gateway.base_url, model="m", on_notice=told.append)
        client.session_id = value  # as a value that is known only when it is sent
        with pytest.raises(ConfigurationError, match="the request cannot be sent") as caught:
            asyncio.run(client.chat("hi"))
        assert gateway.requests == [] and told == []
    assert caught.value.__context__ is None  # the HTTP library quotes the value
    assert "secret" not in str(caught.value)


def test_a_wrong_use_is_told_in_the_clients_own_name() -> None:
    with pytest.raises(TypeError, match=r"ChatClient\(\) got an unexpected keyword argument 'foo'"):
        ChatClient("http://127.0.0.1:1/v1", foo=1)
    with ChatClient("http://127.0.0.1:1/v1", model="m") as client:
        for messages in (5, None):
            with pytest.raises(ConfigurationError, match="a string or a list of messages is wanted, not"):
                client.chat(messages)  # type: ignore[arg-type]


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_https_to_a_plain_port_is_told() -> None:
    with (
        Scripted(answering) as gateway,
        ChatClient(gateway.base_url.replace("http", "https", 1), model="m", retries=0) as client,
        pytest.raises(GatewayUnreachableError, match="is it http:// and not https://"),
    ):
        client.models()


class TestUnknownModel:
    @pytest.mark.parametrize(
        "answer",
        [
            lambda e: e.error(404, "The model `Qwen3-8` does not exist.", "model_not_found"),
            lambda e: e.error(404, "model 'Qwen3-8' not found"),
            lambda e: e.error(503, "unknown", "model_unknown"),
            lambda e: e.error(400, "invalid model: Qwen3-8"),
        ],
    )
    def test_the_nearest_are_named(self, answer: Callable[[Exchange], None]) -> None:
        def serve(exchange: Exchange) -> None:
            answering(exchange) if exchange.body is None else answer(exchange)

        with Scripted(serve) as gateway, ChatClient(gateway.base_url, model="Qwen3-8") as client:
            for ask in (lambda: client.chat("hi"), lambda: list(client.stream("hi"))):
                with pytest.raises(
                    UnknownModelError, match=r"no model 'Qwen3-8' .*did you mean 'Qwen3-8B'"
                ) as c:
                    ask()
                assert c.value.exit_code == 5

    def test_relays_error_in_a_stream_is_one_too(self) -> None:
        error = {"relay": {"type": "relay.error", "error": {"code": "model_unknown", "message": "no such"}}}

        def serve(exchange: Exchange) -> None:
            answering(exchange) if exchange.body is None else exchange.stream([error])

        with (
            Scripted(serve) as gateway,
            ChatClient(gateway.base_url, model="Devstral") as client,
            pytest.raises(UnknownModelError, match="did you mean 'Devstral-24B'"),
        ):
            list(client.stream("hi"))


class TestRetries:
    def failing(self, times: int, answer: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
        left = iter([answer] * times)
        return lambda exchange: next(left, answering)(exchange)

    @pytest.mark.parametrize(
        "answer",
        [
            lambda e: e.error(429, "slow down", retry_after="0"),
            lambda e: e.error(503, "busy", retry_after="0"),
            lambda e: e.error(503, "busy"),
            lambda e: e.drop(),
        ],
    )
    def test_what_fails_in_passing_is_tried_again(self, answer: Callable[[Exchange], None]) -> None:
        told: list[Notice] = []
        with (
            Scripted(self.failing(2, answer)) as gateway,
            ChatClient(gateway.base_url, model="m", on_notice=told.append) as client,
        ):
            assert client.chat("hi").message.content == "hi"
            assert len(gateway.requests) == 3
        assert [notice.kind for notice in told] == ["retry", "retry"]

    def test_only_so_often(self) -> None:
        always = self.failing(99, lambda e: e.error(429, "slow down", retry_after="0"))
        with Scripted(always) as gateway, ChatClient(gateway.base_url, model="m", retries=1) as client:
            with pytest.raises(GatewayStatusError, match="too many requests"):
                client.chat("hi")
            assert len(gateway.requests) == 2

    @pytest.mark.parametrize("status", [400, 401, 404, 500, 502])
    def test_what_would_fail_again_is_not_tried_again(self, status: int) -> None:
        with (
            Scripted(self.failing(99, lambda e: e.error(status, "no"))) as gateway,
            ChatClient(gateway.base_url, model="m") as client,
        ):
            with pytest.raises(GatewayError):
                client.chat("hi")
            assert len(gateway.requests) == 1

    def test_a_long_retry_after_is_told_and_not_waited_for(self) -> None:
        with (
            Scripted(self.failing(99, lambda e: e.error(429, "tomorrow", retry_after="86400"))) as gateway,
            ChatClient(gateway.base_url, model="m") as client,
        ):
            with pytest.raises(GatewayStatusError, match="try again in 86400 s") as caught:
                client.chat("hi")
            assert caught.value.retry_after == 86400
            assert len(gateway.requests) == 1

    def test_a_model_that_loads_is_waited_for_although_nothing_else_is_retried(self) -> None:
        loading = lambda e: e.error(503, "Loading model", retry_after="0")  # noqa: E731
        with (
            Scripted(self.failing(5, loading)) as gateway,
            ChatClient(gateway.base_url, model="m", retries=0) as client,
            client.stream("hi") as stream,
        ):
            events = list(stream)
        assert [e.kind for e in events if isinstance(e, Notice)] == ["loading"] * 5
        assert stream.message.content == "hi"

    def test_nothing_is_retried_after_the_first_delta(self) -> None:
        def serve(exchange: Exchange) -> None:
            exchange.stream([chunk("a"), chunk("b"), exchange.drop])

        with Scripted(serve) as gateway, ChatClient(gateway.base_url, model="m") as client:
            with client.stream("hi") as stream, pytest.raises(GatewayUnreachableError, match="in the middle"):
                list(stream)
            assert len(gateway.requests) == 1
        assert stream.message.content == "ab"


class TestWaiting:
    def test_relays_loading_frames_are_notices(self) -> None:
        loading = {"id": "r", "choices": [{"index": 0, "delta": {}}], "relay": {"type": "relay.loading"}}
        loaded = {**loading, "relay": {"type": "relay.loaded"}}
        with (
            Scripted(lambda e: e.stream([b": wait\n\n", loading, loaded, chunk("hi"), finish()])) as gateway,
            ChatClient(gateway.base_url, model="big") as client,
            client.stream("hi") as stream,
        ):
            events = list(stream)
        notices = [e for e in events if isinstance(e, Notice)]
        assert [n.kind for n in notices] == ["loading", "loading"]
        assert "is loading 'big'" in notices[0].message and "has loaded" in notices[1].message
        assert events[:2] == notices

    @pytest.mark.parametrize("way", ["stream", "chat"])
    def test_silence_is_told_and_then_too_long(self, way: str) -> None:
        told: list[Notice] = []
        with (
            Scripted(lambda e: e.server.stop.wait(20)) as gateway,
            ChatClient(
                gateway.base_url, model="m", timeout=Timeout(first=0.3, notice=0.1), on_notice=told.append
            ) as client,
        ):
            says = r"did not answer within 0\.3 s.*allow more: --timeout.*timeout=Timeout\(first=\.\.\.\)"
            with pytest.raises(GatewayTimeoutError, match=says):
                client.chat("hi") if way == "chat" else list(client.stream("hi"))
            gateway.stop.set()
        assert [n.kind for n in told] == ["waiting"]
        assert "'m' at http://127.0.0.1" in told[0].message

    def test_silence_after_a_piece_is_short(self) -> None:
        with (
            Scripted(lambda e: e.stream([chunk("a"), chunk("b"), lambda: e.server.stop.wait(20)])) as gateway,
            ChatClient(gateway.base_url, model="m", timeout=Timeout(between=0.2)) as client,
            client.stream("hi") as stream,
        ):
            with pytest.raises(GatewayTimeoutError, match="stopped in the middle"):
                list(stream)
            gateway.stop.set()
        assert stream.message.content == "ab"

    def test_frames_and_comments_keep_a_loading_gateway_alive(self) -> None:
        pause = threading.Event()
        ping: list[Any] = [b": ping\n\n", lambda: pause.wait(0.05)]
        with (
            Scripted(lambda e: e.stream([*ping * 8, chunk("hi"), finish()])) as gateway,
            ChatClient(gateway.base_url, model="m", timeout=Timeout(first=0.25, between=5)) as client,
            client.stream("hi") as stream,
        ):
            list(stream)
        assert stream.message.content == "hi"

    def test_an_end_without_a_reason_is_a_cut_answer(self) -> None:
        with (
            Scripted(lambda e: e.stream([chunk("half of an ans")])) as gateway,
            ChatClient(gateway.base_url, model="m") as client,
            client.stream("hi") as stream,
        ):
            events = list(stream)
        assert stream.finish_reason == "length"
        assert [e.kind for e in events if isinstance(e, Notice)] == ["cut"]

    def test_the_configurations_warnings_are_notices_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Scripted(answering) as gateway:
            (tmp_path / "m.json").write_text(
                json.dumps(
                    {"providers": {"r": {"baseUrl": gateway.base_url, "compat": {"thinkingFormat": "odd"}}}}
                )
            )
            (tmp_path / "c.toml").write_text("")
            with ChatClient(config=tmp_path / "c.toml", models_json=tmp_path / "m.json", model="m") as client:
                kinds = []
                for _ in range(2):
                    with client.stream("hi") as stream:
                        kinds.append([e.kind for e in stream if isinstance(e, Notice)])
        assert kinds == [["warning"], []]


class TestNoticesAndThreads:
    def test_each_thread_hears_of_its_own_call(self) -> None:
        heard: list[tuple[str, str]] = []
        served: set[str] = set()

        def serve(exchange: Exchange) -> None:
            name = exchange.body["messages"][0]["content"]
            if name in served:
                return answering(exchange)
            served.add(name)
            return exchange.error(503, name, retry_after="0")

        def ask(client: ChatClient, name: str) -> None:
            if name.startswith("stream"):
                list(client.stream(name))
            else:
                client.chat(name)

        def tell(notice: Notice) -> None:
            heard.append((threading.current_thread().name, notice.message))

        with Scripted(serve) as gateway, ChatClient(gateway.base_url, model="m", on_notice=tell) as client:
            threads = [
                threading.Thread(target=ask, args=(client, name), name=name)
                for at in range(6)
                for name in (f"chat-{at}.", f"stream-{at}.")
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(name for name, _ in heard) == sorted(thread.name for thread in threads)
        assert all(name.rstrip(".") in message for name, message in heard)

    def test_an_error_of_the_listener_ends_the_call(self) -> None:
        def refuse(notice: Notice) -> None:
            raise ZeroDivisionError

        with (
            Scripted(lambda e: e.error(503, "busy", retry_after="0")) as gateway,
            ChatClient(gateway.base_url, model="m", on_notice=refuse) as client,
            pytest.raises(ZeroDivisionError),
        ):
            client.chat("hi")


# --- streams that are not read to their end -----------------------------------------------------------------


def endless(exchange: Exchange) -> None:
    """`a b` and then nothing, until the test is over; anything else is answered at once."""
    if exchange.body and exchange.body["stream"] and exchange.body["model"] == "slow":
        exchange.stream([chunk("a "), chunk("b "), lambda: exchange.server.stop.wait(20)])
    else:
        answering(exchange)


class TestEnding:
    def test_switching_waits_for_the_end_or_the_cancel(self) -> None:
        with Scripted(endless) as gateway, ChatClient(gateway.base_url, model="slow") as client:
            with client.stream("hi") as stream:
                next(stream)
                for ask in (
                    lambda: client.chat("hi", model="other"),
                    lambda: list(client.stream("hi", model="other")),
                    lambda: client.prewarm("hi", model="other"),
                ):
                    with pytest.raises(StreamRunningError, match="an answer of 'slow' is still coming"):
                        ask()
                assert client.chat("hi", model="slow").message.content == "hi"  # the same one may be asked
                stream.cancel()
                assert client.chat("hi", model="other").message.content == "hi"
                assert list(stream) == []
            assert stream.cancelled
            assert stream.message.content is not None and stream.message.content.startswith("a")
            assert stream.finish_reason == "length"

    def test_leaving_the_block_cancels(self) -> None:
        with Scripted(endless) as gateway, ChatClient(gateway.base_url, model="slow") as client:
            with client.stream("hi") as stream:
                next(stream)
            assert stream.cancelled
            client.chat("hi", model="other")

    def test_a_stream_that_nobody_holds_is_cancelled(self) -> None:
        gone = threading.Event()

        def serve(exchange: Exchange) -> None:
            if exchange.body["model"] != "slow":
                return answering(exchange)
            try:
                exchange.stream([chunk("a"), *[chunk("b"), lambda: exchange.server.stop.wait(0.01)] * 2000])
            except OSError:
                gone.set()
            return None

        with Scripted(serve) as gateway, ChatClient(gateway.base_url, model="slow") as client:
            for event in client.stream("hi"):
                if isinstance(event, hp.ContentDelta):
                    break
            assert client.chat("hi", model="other").message.content == "hi"
            assert client.chat("hi", model="third").message.content == "hi"
            assert gone.wait(10)  # the gateway generates for nobody no longer

    def test_a_stream_that_was_never_begun_sends_nothing(self) -> None:
        with Scripted(endless) as gateway, ChatClient(gateway.base_url, model="slow") as client:
            with client.stream("hi"):
                pass
            assert gateway.requests == []

    def test_another_thread_can_cancel_a_reader_that_waits(self) -> None:
        with (
            Scripted(endless) as gateway,
            ChatClient(gateway.base_url, model="slow") as client,
            client.stream("hi") as stream,
        ):
            seen = [next(stream), next(stream)]
            waker = threading.Timer(0.05, stream.cancel)
            waker.start()
            assert list(stream) == []
            waker.join()
        assert "".join(e.text for e in seen if isinstance(e, hp.ContentDelta)).strip() == "a b"

    @pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to this process")
    def test_ctrl_c_interrupts_the_wait_and_cancels(self) -> None:
        with Scripted(endless) as gateway, ChatClient(gateway.base_url, model="slow") as client:
            with pytest.raises(KeyboardInterrupt), client.stream("hi") as stream:
                for event in stream:
                    if isinstance(event, hp.ContentDelta) and "b" in event.text:
                        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            assert stream.cancelled
            assert client.chat("hi", model="other").message.content == "hi"

    def test_a_closed_client_says_so_and_leaves_no_thread(self) -> None:
        def threads() -> list[threading.Thread]:
            return [t for t in threading.enumerate() if t.name == "hamr-parsers client"]

        with Scripted(answering) as gateway:
            client = ChatClient(gateway.base_url, model="m")
            client.chat("hi")
            (mine,) = threads()
            client.close()
            client.close()
            mine.join(5)
            assert not mine.is_alive()
            with pytest.raises(ClientError, match="was closed"):
                client.chat("hi")
            with pytest.raises(ClientError, match="was closed"):
                list(client.stream("hi"))

    def test_a_stream_holds_its_client(self) -> None:
        with Scripted(answering) as gateway:
            events = list(ChatClient(gateway.base_url, model="m").stream("hi"))
        assert "".join(e.text for e in events if isinstance(e, hp.ContentDelta)) == "hi"

    @pytest.mark.parametrize("way", ["chat", "stream", "models"])
    def test_closing_from_another_thread_is_told_to_who_waits(self, way: str) -> None:
        asked = threading.Event()

        def silent(exchange: Exchange) -> None:
            asked.set()
            exchange.server.stop.wait(20)

        with Scripted(silent) as gateway:
            client = ChatClient(gateway.base_url, model="m")

            def close() -> None:
                asked.wait(10)
                client.close()

            closer = threading.Thread(target=close)
            closer.start()
            with pytest.raises(ClientError, match="this client was closed"):
                if way == "stream":
                    list(client.stream("hi"))
                else:
                    client.models() if way == "models" else client.chat("hi")
            gateway.stop.set()
            closer.join()

    def test_connections_are_kept(self) -> None:
        with Scripted(answering) as gateway, ChatClient(gateway.base_url, model="m") as client:
            client.models()
            for _ in range(3):
                client.chat("hi")
                with client.stream("hi") as stream:
                    list(stream)
            assert len(gateway.peers) == 1

    def test_many_threads_share_a_client(self) -> None:
        found: list[str | None] = []
        with Scripted(answering) as gateway, ChatClient(gateway.base_url, model="m") as client:

            def ask() -> None:
                with client.stream("hi") as stream:
                    list(stream)
                found.append(stream.message.content)

            threads = [threading.Thread(target=ask) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert found == ["hi"] * 12


class TestSecrets:
    def test_a_key_is_in_no_log_traceback_or_message(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.DEBUG)
        key = "-".join(("sk", "very", "secret", "4712"))

        def echo(exchange: Exchange) -> None:
            exchange.error(401, f"Incorrect API key provided: {exchange.headers['authorization']}")

        with Scripted(echo) as gateway:
            client = ChatClient(gateway.base_url, model="m", api_key=key, headers={"x-key": key})
            with pytest.raises(AccessRefusedError) as caught:
                client.chat("hi")
            with pytest.raises(AccessRefusedError), client.stream("hi") as stream:
                list(stream)
            client.close()
            assert gateway.requests[0].headers["authorization"] == f"Bearer {key}"
        error: BaseException | None = caught.value
        while error is not None:
            shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
            ours = [line for line in shown if "test_chat_client" not in line]
            assert key not in "".join(ours)
            assert key not in str(error) and key not in repr(vars(error))
            error = error.__cause__ or error.__context__
        assert "Incorrect API key provided: Bearer ***" in str(caught.value)
        assert caplog.text and key not in caplog.text
        assert key not in repr(client) + repr(vars(client)) + repr(vars(client._client))
        assert key not in repr(client._client._http)

    def test_loopback_is_never_asked_through_a_proxy(
        self, monkeypatch: pytest.MonkeyPatch, unused_port: int
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with Scripted(answering) as gateway:
            for url in (gateway.base_url, gateway.base_url.replace("127.0.0.1", "localhost")):
                with ChatClient(url, model="m", retries=0) as client:
                    assert client.chat("hi").message.content == "hi"
        with (
            ChatClient("http://gateway.invalid/v1", model="m", retries=0) as client,
            pytest.raises(GatewayUnreachableError),
        ):
            client.models()

    def test_another_gateway_is_asked_through_the_proxy_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Scripted(answering) as proxy:
            for name in ("HTTP_PROXY", "http_proxy"):
                monkeypatch.setenv(name, proxy.base_url.removesuffix("/v1"))
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            with ChatClient("http://gateway.invalid/v1", retries=0) as client:
                assert [m.id for m in client.models()] == ["Qwen3-8B", "Devstral-24B"]
            assert proxy.requests[0].path == "http://gateway.invalid/v1/models"


class TestAsync:
    def test_it_does_what_the_sync_client_does(self) -> None:
        async def main(url: str) -> tuple[Any, ...]:
            async with AsyncChatClient(url, timeout=QUICK) as client:
                ids = [m.id for m in await client.models()]
                answer = await client.chat("Go.", tools=CALL.tools, model=CALL.id)
                async with client.stream("Go.", tools=CALL.tools, model=CALL.id) as stream:
                    events = [event async for event in stream]
                await client.prewarm("Go.", model=CALL.id)
                return ids, answer.message, stream.message, events

        with serving(kind="relay") as gateway:
            ids, whole, streamed, events = asyncio.run(main(gateway.base_url))
        assert CALL.id in ids
        assert meaning(whole) == meaning(streamed) == truth(CALL)
        assert [e.tool_call.name for e in events if isinstance(e, hp.ToolCallEnd)] == ["get_weather", "now"]

    def test_a_client_outlives_its_event_loop(self) -> None:
        with Scripted(answering) as gateway:
            client = AsyncChatClient(gateway.base_url, model="m")

            async def ask() -> str | None:
                answer = await client.chat("hi")
                await client._http.aclose()  # type: ignore[union-attr]
                return answer.message.content

            assert [asyncio.run(ask()), asyncio.run(ask())] == ["hi", "hi"]

    def test_a_cancelled_task_cancels_the_request(self) -> None:
        async def main(url: str) -> None:
            async with AsyncChatClient(url, model="slow") as client:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1), client.stream("hi") as stream:
                        async for _ in stream:
                            pass
                assert stream.cancelled
                assert (await client.chat("hi", model="other")).message.content == "hi"
            assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []

        with Scripted(endless) as gateway:
            asyncio.run(main(gateway.base_url))

    def test_a_stream_that_nobody_holds_is_cancelled(self) -> None:
        async def main(url: str) -> None:
            async with AsyncChatClient(url, model="slow") as client:
                async for event in client.stream("hi"):
                    if isinstance(event, hp.ContentDelta):
                        break
                async for _ in client.stream("hi", model="other"):
                    pass
                assert (await client.chat("hi", model="third")).message.content == "hi"
                assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []

        with Scripted(endless) as gateway:
            asyncio.run(main(gateway.base_url))

    def test_closing_is_told_to_who_waits(self) -> None:
        def serve(exchange: Exchange) -> None:
            if exchange.body["stream"]:
                exchange.stream([chunk("a"), lambda: exchange.server.stop.wait(20)])
            else:
                exchange.server.stop.wait(20)

        async def read(client: AsyncChatClient) -> None:
            async for _ in client.stream("hi"):
                pass

        async def main(gateway: Scripted) -> None:
            client = AsyncChatClient(gateway.base_url, model="m")
            tasks = [asyncio.ensure_future(read(client)), asyncio.ensure_future(client.chat("hi"))]
            while len(gateway.requests) < 2:
                await asyncio.sleep(0.01)
            await client.aclose()
            for task in tasks:
                with pytest.raises(ClientError, match="this client was closed") as caught:
                    await task
                assert not isinstance(caught.value, GatewayError)
            gateway.stop.set()

        with Scripted(serve) as gateway:
            asyncio.run(main(gateway))

    def test_a_stream_of_a_loop_that_stands_still_holds_nothing_up(self) -> None:
        async def begin(client: AsyncChatClient) -> Any:
            stream = client.stream("hi", model="slow")
            await anext(stream)
            return stream

        async def ask(client: AsyncChatClient) -> str | None:
            answer = await client.chat("hi", model="other")
            await client._http.aclose()  # type: ignore[union-attr]
            return answer.message.content

        with Scripted(endless) as gateway, asyncio.Runner() as runner:
            client = AsyncChatClient(gateway.base_url)
            stream = runner.run(begin(client))
            first = client._http
            del stream
            gc.collect()
            assert asyncio.run(ask(client)) == "hi"
            runner.run(first.aclose())  # type: ignore[union-attr]

    def test_a_reader_that_is_interrupted_can_go_on(self) -> None:
        go = threading.Event()

        async def main(url: str) -> str | None:
            async with AsyncChatClient(url, model="m") as client, client.stream("hi") as stream:
                await anext(stream)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await anext(stream)
                go.set()
                async for _ in stream:
                    pass
                return stream.message.content

        with Scripted(
            lambda e: e.stream([chunk("One, "), lambda: go.wait(10), chunk("two."), finish()])
        ) as gateway:
            assert asyncio.run(main(gateway.base_url)) == "One, two."

    def test_a_slow_reader_slows_down_the_gateway(self) -> None:
        sent = 0

        def serve(exchange: Exchange) -> None:
            def pieces() -> Iterator[Any]:
                nonlocal sent
                for _ in range(4000):
                    sent += 1
                    yield chunk("x" * 4000)

            exchange.send_response(200)
            exchange.send_header("content-type", "text/event-stream")
            exchange.end_headers()
            exchange.close_connection = True
            for piece in pieces():
                exchange.wfile.write(b"data: " + json.dumps(piece).encode() + b"\n\n")

        async def main(url: str) -> None:
            async with AsyncChatClient(url, model="m") as client, client.stream("hi") as stream:
                await anext(stream)
                before = -1
                while before != sent:  # until the gateway is stuck
                    before = sent
                    await asyncio.sleep(0.2)

        with Scripted(serve) as gateway:
            asyncio.run(main(gateway.base_url))
        assert sent < 4000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_can_use_the_client() -> None:
    with Scripted(answering) as gateway, ChatClient(gateway.base_url, model="m") as client:
        client.chat("hi")
        child = os.fork()
        if not child:
            try:
                os._exit(0 if client.chat("hi").message.content == "hi" else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert client.chat("hi").message.content == "hi"


def test_a_client_that_is_dropped_ends_its_thread() -> None:
    with Scripted(answering) as gateway:
        client = ChatClient(gateway.base_url, model="m")
        client._loop.run(asyncio.sleep(0))
        (thread,) = [t for t in threading.enumerate() if t.name == "hamr-parsers client"]
        del client
        gc.collect()
        thread.join(5)
        assert not thread.is_alive()
