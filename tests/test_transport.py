"""Transports for httpx2 and httpx, over real HTTP: every fault of the replay gateway, cured for an unchanged client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.arguments.equal import same_value
from hamr_parsers.client import transport
from hamr_parsers.serve.replay import ReplayGateway, Scenario
from hamr_parsers.wire import Exchange

from .gateway import question, serving
from .wire_faults import assert_safe, gathered

httpx = pytest.importorskip("httpx")
httpx2 = pytest.importorskip("httpx2")

MAKERS = {"httpx2": transport.httpx2_client, "httpx": transport.httpx_client}
ASYNC_MAKERS = {"httpx2": transport.async_httpx2_client, "httpx": transport.async_httpx_client}


def chunks_of(text: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def assert_truth(scenario: Scenario, got: dict[str, Any]) -> None:
    truth = scenario.truth
    assert (got["content"] or "").strip() == (truth.content or "").strip()
    assert (got["reasoning"] or "").strip() == (truth.reasoning or "").strip()
    assert [call["name"] for call in got["calls"]] == [name for name, _ in truth.calls]
    for call, (_, arguments) in zip(got["calls"], truth.calls, strict=True):
        if isinstance(arguments, str):
            assert call["arguments"] == arguments[: len(call["arguments"])]
        else:
            assert same_value(json.loads(call["arguments"]), arguments)
    assert got["finish"] == truth.finish_reason


@pytest.fixture(scope="module")
def gateway() -> Any:
    with serving() as gateway:
        yield gateway


def ask(gateway: ReplayGateway, client: Any, scenario: Scenario, headers: Any = None, **fields: Any) -> Any:
    return client.post(
        f"{gateway.base_url}/chat/completions", json=question(scenario, **fields), headers=headers or {}
    )


@pytest.mark.parametrize(
    "kind", ["llamacpp", "vllm", "ollama", "lmstudio", "litellm", "transformers", "relay"]
)
@pytest.mark.parametrize("package", MAKERS)
def test_every_scenario_of_every_kind_streamed_and_whole(
    gateway: ReplayGateway, package: str, kind: str
) -> None:
    with MAKERS[package]() as client:
        for scenario in gateway.scenarios.values():
            for calls in ("text", "native"):
                headers = {"x-replay-as": kind, "x-replay-calls": calls}
                answer = ask(gateway, client, scenario, headers, stream=True)
                assert answer.headers["content-type"].startswith("text/event-stream")
                chunks = chunks_of(answer.text)
                assert_safe(chunks)
                assert_truth(scenario, gathered(chunks))
                whole = ask(gateway, client, scenario, headers)
                if whole.status_code != 200:  # Relay answers a cut call so
                    continue
                message = whole.json()["choices"][0]["message"]
                got = {
                    "content": message["content"],
                    "reasoning": message.get("reasoning_content"),
                    "calls": [call["function"] for call in message.get("tool_calls", [])],
                    "finish": whole.json()["choices"][0]["finish_reason"],
                }
                assert_truth(scenario, got)


def test_asynchronous_clients(gateway: ReplayGateway) -> None:
    async def main() -> None:
        for make in ASYNC_MAKERS.values():
            async with make() as client:
                scenario = next(iter(gateway.scenarios.values()))
                url = f"{gateway.base_url}/chat/completions"
                streamed, whole = await asyncio.gather(
                    client.post(url, json=question(scenario, stream=True)),
                    client.post(url, json=question(scenario)),
                )
                chunks = chunks_of(streamed.text)
                assert_safe(chunks)
                assert_truth(scenario, gathered(chunks))
                assert whole.json()["choices"][0]["finish_reason"] == "tool_calls"

    asyncio.run(main())


@pytest.mark.parametrize("package", MAKERS)
def test_a_stream_is_passed_on_as_it_comes(package: str) -> None:
    with serving(rate=20) as gateway, MAKERS[package]() as client:
        scenario = gateway.scenarios["qwen3-coder-30b:one-call"]
        url = f"{gateway.base_url}/chat/completions"
        with client.stream("POST", url, json=question(scenario, stream=True)) as answer:
            first = next(answer.iter_lines())
            assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["role"] == "assistant"
            assert gateway.requests[-1].ended == ""


@pytest.mark.parametrize("package", MAKERS)
@pytest.mark.parametrize("fault", ["drop", "reset"])
def test_a_broken_connection_gives_what_came_and_raises_as_without_the_transport(
    package: str, fault: str
) -> None:
    plain = {"httpx": httpx, "httpx2": httpx2}[package]
    with serving(faults=[fault]) as gateway, MAKERS[package]() as client:
        scenario = gateway.scenarios["qwen3-coder-30b:one-call"]
        url = f"{gateway.base_url}/chat/completions"
        lines: list[str] = []
        streaming = client.stream("POST", url, json=question(scenario, stream=True))
        with streaming as answer, pytest.raises(plain.TransportError) as raised:
            for line in answer.iter_lines():
                lines.append(line)
        chunks = chunks_of("\n".join(lines))
        assert_safe(chunks)
        assert gathered(chunks)["finish"] == "length"
        with plain.Client() as bare, pytest.raises(type(raised.value)):
            bare.post(url, json=question(scenario, stream=True))


def test_errors_of_the_gateway_pass_as_they_are(gateway: ReplayGateway) -> None:
    with httpx2.Client() as bare, transport.httpx2_client() as client:
        for fault in ("server-error", "rate-limit", "too-large", "bad-gateway"):
            scenario = next(iter(gateway.scenarios.values()))
            answers = [ask(gateway, c, scenario, {"x-replay-fault": fault}) for c in (bare, client)]
            assert answers[0].status_code == answers[1].status_code, fault
            assert answers[0].content == answers[1].content, fault


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["html", "bad-json", "empty-body"])
def test_what_is_no_answer_is_an_error_that_says_so(gateway: ReplayGateway, fault: str, stream: bool) -> None:
    scenario = next(iter(gateway.scenarios.values()))
    with transport.httpx2_client() as client:
        answer = ask(gateway, client, scenario, {"x-replay-fault": fault}, stream=stream)
        if stream and answer.headers["content-type"].startswith("text/event-stream"):
            assert fault == "empty-body", "a stream that is empty is cut"
            return
        assert answer.status_code == 502
        assert "is the base URL right?" in answer.json()["error"]["message"]


def test_an_error_with_status_200_is_an_error() -> None:
    exchange = Exchange({"model": "m"})
    body = b'{"error": {"message": "no memory", "code": 503}}'
    assert transport.Reader.whole(exchange, body, "application/json")[0] == 503


def test_other_endpoints_pass_as_they_are(gateway: ReplayGateway) -> None:
    with httpx2.Client() as bare, transport.httpx2_client() as client:
        assert (
            bare.get(f"{gateway.base_url}/models").json() == client.get(f"{gateway.base_url}/models").json()
        )


def test_an_answer_of_the_other_form_than_asked_for_is_put_into_it(gateway: ReplayGateway) -> None:
    scenario = gateway.scenarios["hermes-4-70b:parallel"]
    with transport.httpx2_client() as client:
        answer = ask(gateway, client, scenario, {"x-replay-fault": "ignores-stream"}, stream=True)
        assert answer.headers["content-type"].startswith("text/event-stream")
        chunks = chunks_of(answer.text)
        assert_safe(chunks)
        assert_truth(scenario, gathered(chunks))
        whole = ask(gateway, client, scenario, {"x-replay-fault": "always-streams"})
        message = whole.json()["choices"][0]["message"]
        assert [call["function"]["name"] for call in message["tool_calls"]] == [
            n for n, _ in scenario.truth.calls
        ]
        assert whole.json()["choices"][0]["finish_reason"] == "tool_calls"


def test_upstream_text_saves_calls_that_the_server_destroys(gateway: ReplayGateway) -> None:
    scenario = gateway.scenarios["qwen3-coder-30b:one-call"]
    headers = {"x-replay-fault": "destroyed-call", "x-replay-as": "vllm"}
    with transport.httpx2_client() as client:
        lost = gathered(chunks_of(ask(gateway, client, scenario, headers, stream=True).text))
        assert not lost["calls"], "no client can mend what does not come"
    with transport.httpx2_client(upstream="text") as client:
        chunks = chunks_of(ask(gateway, client, scenario, headers, stream=True).text)
        assert_safe(chunks)
        assert_truth(scenario, gathered(chunks))
        assert gateway.requests[-1].body["tool_choice"] == "none"
        assert gateway.requests[-1].body["tools"]


def test_the_request_arrives_as_the_client_made_it(gateway: ReplayGateway) -> None:
    scenario = next(iter(gateway.scenarios.values()))
    with transport.httpx2_client(headers={"x-own": "1"}) as client:
        ask(gateway, client, scenario, {"authorization": "Bearer abc"}, stream=True, temperature=0)
    received = gateway.requests[-1]
    assert received.body == question(scenario, stream=True, temperature=0)
    assert received.headers["authorization"] == "Bearer abc" and received.headers["x-own"] == "1"
    assert received.headers["accept-encoding"] == "identity"


def test_options_are_checked_when_the_client_is_made() -> None:
    with pytest.raises(hp.UnknownParserError, match="hermess"):
        transport.httpx2_client(parser="hermess")
    with pytest.raises(TypeError):
        transport.httpx2_client(no_such_option=1)


def test_every_public_name_of_the_client_is_there() -> None:
    from hamr_parsers import client

    assert [name for name in client.__all__ if getattr(client, name, None) is None] == []
    assert client.httpx2_client is transport.httpx2_client


@pytest.mark.parametrize(
    "kind", ["application/json", "application/octet-stream", "text/html", "application/x-ndjson"]
)
def test_a_stream_that_calls_itself_something_else_is_read(gateway: ReplayGateway, kind: str) -> None:
    scenario = gateway.scenarios["hermes-4-70b:parallel"]
    with httpx2.Client() as bare:
        body = ask(gateway, bare, scenario, stream=True).content

    def other(request: Any) -> Any:
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    with transport.httpx2_client(transport=httpx2.MockTransport(other)) as client:
        chunks = chunks_of(ask(gateway, client, scenario, stream=True).text)
        assert_truth(scenario, gathered(chunks))
        whole = ask(gateway, client, scenario).json()
        assert len(whole["choices"][0]["message"]["tool_calls"]) == len(scenario.truth.calls)
