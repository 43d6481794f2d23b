"""The Responses API over the wire: real SDK, real HTTP; items in order; what a request becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

import hamr_parsers as hp
from hamr_parsers.wire import UpstreamError
from hamr_parsers.wire.responses import (
    BadRequestError,
    ResponsesStream,
    encode,
    error_response,
    from_completion,
    message_to_response,
    to_chat,
)

from .adapter_support import USAGE, Loopback, Told, call_more, call_start, chunk, loopback, messages

openai = pytest.importorskip("openai")

ASKED = {"model": "local", "input": "hi"}
PATCH = {
    "type": "custom",
    "name": "edit",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"},
}


def events_of(
    told: Told, request: dict[str, Any] = ASKED, error: Exception | None = None
) -> list[tuple[str, dict[str, Any]]]:
    stream = ResponsesStream(request)
    events = [event for one in told.chunks for event in stream.feed(one)]
    return events + stream.close(error)


def items(told: Told) -> list[tuple[Any, ...]]:
    """The output that a client must end with."""
    out: list[tuple[Any, ...]] = []
    for number, part in enumerate(told.parts):
        cut = (
            told.finish == "length" and number == len(told.parts) - 1
        )  # the cut calls of `messages()` are no JSON
        status = "incomplete" if cut else "completed"
        if part[0] != "call":
            out.append(("message" if part[0] == "text" else "reasoning", part[1], status))
        else:
            out.append(("function_call", *part[1:], status))
    return out


def seen(output: Any) -> list[tuple[Any, ...]]:
    out: list[tuple[Any, ...]] = []
    for item in output:
        if item.type == "function_call":
            out.append(("function_call", item.call_id, item.name, item.arguments, item.status))
        else:
            (part,) = item.content
            assert part.type == ("output_text" if item.type == "message" else "reasoning_text")
            out.append((item.type, part.text, item.status))
    return out


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as place:
        yield place


@pytest.fixture(scope="module")
def client(server: Loopback) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def answer(server: Loopback, told: Told, error: Exception | None = None) -> None:
    def reply(path: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
        assert path == "/v1/responses"
        if not body.get("stream"):
            return 200, "application/json", json.dumps(from_completion(told.completion(), body)).encode()
        data = b"".join(encode(name, payload) for name, payload in events_of(told, body, error))
        return 200, "text/event-stream", b": ping\n\n" + data

    server.answer = reply


class TestSDK:
    @settings(max_examples=60)
    @given(told=messages())
    def test_the_accumulated_stream_is_the_message(self, server: Loopback, client: Any, told: Told) -> None:
        answer(server, told)
        texts: dict[int, str] = {}
        done: dict[int, Any] = {}
        with client.responses.stream(**ASKED) as stream:
            for event in stream:
                if event.type.endswith(("output_text.delta", "reasoning_text.delta", "arguments.delta")):
                    texts[event.output_index] = texts.get(event.output_index, "") + event.delta
                    assert getattr(event, "snapshot", texts[event.output_index]) == texts[event.output_index]
                elif event.type == "response.output_item.done":
                    done[event.output_index] = event.item
        response = event.response
        assert seen(response.output) == items(told)
        assert seen([done[index] for index in sorted(done)]) == items(told)
        whole = [part[-1] for part in told.parts]
        assert [texts.get(index, "") for index in range(len(whole))] == whole
        assert response.status == ("incomplete" if told.finish == "length" else "completed")
        if told.finish == "length":
            assert response.incomplete_details.reason == "max_output_tokens"
        else:
            assert stream.get_final_response().output_text == told.joined("text")
        if told.usage:
            usage = response.usage
            assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (30, 12, 42)
            assert usage.input_tokens_details.cached_tokens == 10
            assert usage.output_tokens_details.reasoning_tokens == 5
        else:
            assert response.usage is None

    @settings(max_examples=30)
    @given(told=messages())
    def test_a_whole_answer_is_the_message_too(self, server: Loopback, client: Any, told: Told) -> None:
        answer(server, told)
        response = client.responses.create(**ASKED)
        got = seen(response.output)
        assert [one[1:4] for one in got if one[0] == "function_call"] == told.calls
        assert response.output_text == told.joined("text")
        assert "".join(one[1] for one in got if one[0] == "reasoning") == told.joined("reasoning")
        half = [one for one in items(told) if one[0] == "function_call" and one[-1] == "incomplete"]
        assert [one for one in got if one[0] == "function_call" and one[-1] == "incomplete"] == half
        assert response.status == ("incomplete" if told.finish == "length" else "completed")
        assert (response.model, response.object, response.parallel_tool_calls) == ("local", "response", True)

    def test_an_error_in_the_stream_fails_the_response_after_what_came(
        self, server: Loopback, client: Any
    ) -> None:
        told = Told([], "length", [chunk({"content": "half"}), chunk({}, "length")])
        answer(server, told, UpstreamError("out of memory", "server_error", 500))
        events = list(client.responses.create(**ASKED, stream=True))
        assert (
            "".join(event.delta for event in events if event.type == "response.output_text.delta") == "half"
        )
        assert events[-1].type == "response.failed"
        assert events[-1].response.status == "failed"
        assert events[-1].response.error.message == "out of memory"
        assert events[-1].response.output[0].status == "incomplete"

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (BadRequestError("input", "is missing"), "BadRequestError"),
            (UpstreamError("no", "invalid_api_key", 401), "AuthenticationError"),
            (UpstreamError("no", None, 404), "NotFoundError"),
            (UpstreamError("slow down", None, 429), "RateLimitError"),
            (UpstreamError("dead"), "InternalServerError"),
        ],
    )
    def test_an_error_is_the_sdks_own(
        self, server: Loopback, client: Any, error: Exception, kind: str
    ) -> None:
        status, body = error_response(error)
        server.answer = lambda path, asked: (status, "application/json", json.dumps(body).encode())
        with pytest.raises(getattr(openai, kind)) as caught:
            client.responses.create(**ASKED)
        assert caught.value.param == body["error"]["param"]
        assert body["error"]["message"] in str(caught.value)

    def test_an_agent_loop_with_the_sdks_own_items(self, server: Loopback, client: Any) -> None:
        """What came out goes in again, as the SDK writes it."""
        told = Told(
            [("reasoning", "hm"), ("text", "so"), ("call", "functions.f:0", "f", '{"a": 1}')],
            "tool_calls",
            [],
        )
        answer(server, told)
        first = client.responses.create(**ASKED)
        bodies: list[dict[str, Any]] = []

        def reply(path: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
            bodies.append(body)
            done = Told([("text", "done")], "stop", []).completion()
            return 200, "application/json", json.dumps(from_completion(done, body)).encode()

        server.answer = reply
        result = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "42"}
        second = client.responses.create(
            model="local", input=[{"role": "user", "content": "hi"}, *first.output, result]
        )
        assert second.output_text == "done"
        assert to_chat(bodies[0]).body["messages"] == [
            {"role": "user", "content": "hi"},
            told.completion()["choices"][0]["message"],
            {"role": "tool", "tool_call_id": "functions.f:0", "content": "42"},
        ]


class TestOrder:
    @given(told=messages())
    def test_items_open_once_close_once_and_hold_what_their_events_told(self, told: Told) -> None:
        events = events_of(told)
        assert [payload["sequence_number"] for _, payload in events] == list(range(len(events)))
        assert all(name == payload["type"] for name, payload in events)
        names = [name for name, _ in events]
        assert names[:2] == ["response.created", "response.in_progress"]
        assert names[-1] == ("response.incomplete" if told.finish == "length" else "response.completed")
        assert len({payload["response"]["id"] for _, payload in events if "response" in payload}) == 1
        opened: dict[int, str] = {}
        done: dict[int, dict[str, Any]] = {}
        for name, payload in events[2:-1]:
            index = payload["output_index"]
            if name == "response.output_item.added":
                assert index == len(opened) == len(done)
                opened[index] = payload["item"]["id"]
                assert payload["item"].get("status") == "in_progress"
            elif name == "response.output_item.done":
                assert index not in done
                done[index] = payload["item"]
                assert payload["item"]["id"] == opened[index]
            else:
                assert payload["item_id"] == opened[index] and index not in done
        assert list(done.values()) == events[-1][1]["response"]["output"]
        assert len(set(opened.values())) == len(opened)

    @given(told=messages())
    def test_every_event_is_one_of_the_sdks(self, told: Told) -> None:
        from openai.types.responses import ResponseStreamEvent
        from pydantic import TypeAdapter

        adapter: Any = TypeAdapter(ResponseStreamEvent)
        for request in (ASKED, ASKED | {"reasoning": {"summary": "auto"}}, ASKED | {"tools": [PATCH]}):
            for _, payload in events_of(told, request):
                adapter.validate_python(payload)

    @given(told=messages())
    def test_an_event_told_stays_as_it_was(self, told: Told) -> None:
        """What was given out is not changed by what comes later: a proxy may write it when it likes."""
        stream = ResponsesStream(ASKED)
        kept: list[tuple[str, dict[str, Any]]] = []
        written: list[str] = []
        for one in told.chunks:
            for event in stream.feed(one):
                kept.append(event)
                written.append(json.dumps(event))
        stream.close()
        assert [json.dumps(event) for event in kept] == written

    def test_a_call_is_told_while_it_comes(self) -> None:
        stream = ResponsesStream(ASKED)
        stream.feed(call_start(0, "a", "f"))
        assert stream.feed(call_more(0, '{"x": "lo'))[0][1]["delta"] == '{"x": "lo'

    def test_text_after_a_call_closes_it(self) -> None:
        stream = ResponsesStream(ASKED)
        stream.feed(call_start(0, "a", "f"))
        stream.feed(call_more(0, "{}"))
        names = [name for name, _ in stream.feed(chunk({"content": "x"}))]
        assert names[:3] == [
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.output_item.added",
        ]

    def test_start_and_close_give_their_events_once(self) -> None:
        stream = ResponsesStream(ASKED)
        assert len(stream.start()) == 2
        assert stream.start() == stream.feed(chunk({"role": "assistant", "content": None})) == []
        stream.feed(chunk({"content": "a"}, "stop"))
        assert [name for name, _ in stream.close()] == ["response.completed"]
        assert stream.close() == stream.feed(chunk({"content": "late"})) == []

    def test_nothing_is_told_between_the_finish_and_the_end(self) -> None:
        stream = ResponsesStream(ASKED)
        stream.feed(chunk({"content": "a"}, "stop"))
        assert stream.feed(chunk({"content": "late"})) == []

    def test_usage_after_the_finish_counts(self) -> None:
        stream = ResponsesStream(ASKED)
        stream.feed(chunk({"content": "a"}, "stop"))
        stream.feed(chunk({}, usage=USAGE) | {"choices": []})
        stream.close()
        assert stream.response["usage"]["total_tokens"] == 42

    def test_an_answer_without_a_finish_reason_was_cut(self) -> None:
        stream = ResponsesStream(ASKED)
        stream.feed(chunk({"content": "a"}))
        assert stream.close()[-1][0] == "response.incomplete"

    def test_an_error_before_anything_is_a_response_that_failed(self) -> None:
        names = [name for name, _ in ResponsesStream(ASKED).close(UpstreamError("gone"))]
        assert names == ["response.created", "response.in_progress", "response.failed"]


class TestAnswer:
    def test_a_cut_call_is_incomplete_and_no_json(self) -> None:
        told = Told([("text", "so"), ("call", "a", "f", '{"path": "/')], "length", [])
        response = from_completion(told.completion(), ASKED)
        assert response["status"] == "incomplete"
        assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
        assert response["output"][1]["arguments"] == '{"path": "/'

    def test_a_call_that_was_whole_when_the_answer_was_cut_is_completed(self) -> None:
        told = Told([("call", "a", "f", '{"p": 1}'), ("call", "b", "f", '{"p"')], "length", [])
        output = from_completion(told.completion(), ASKED)["output"]
        assert [item["status"] for item in output] == ["completed", "incomplete"]

    def test_a_call_without_arguments_has_an_empty_object(self) -> None:
        told = Told([("call", "a", "f", "")], "tool_calls", [])
        assert from_completion(told.completion(), ASKED)["output"][0]["arguments"] == "{}"

    def test_a_filter_is_told(self) -> None:
        response = from_completion(Told([("text", "a")], "content_filter", []).completion(), ASKED)
        assert response["incomplete_details"] == {"reason": "content_filter"}

    def test_reasoning_is_a_summary_for_a_client_that_asks_for_one(self) -> None:
        told = Told([("reasoning", "hm")], "stop", [chunk({"reasoning_content": "hm"}), chunk({}, "stop")])
        asked = ASKED | {"reasoning": {"effort": "low", "summary": "auto"}}
        (item,) = from_completion(told.completion(), asked)["output"]
        assert item["summary"] == [{"type": "summary_text", "text": "hm"}]
        names = [name for name, _ in events_of(told, asked)]
        assert (
            "response.reasoning_summary_text.delta" in names and "response.reasoning_text.delta" not in names
        )
        assert to_chat({"input": [item]}).body["messages"][0]["reasoning_content"] == "hm"
        (item,) = from_completion(told.completion(), asked, reasoning="text")["output"]
        assert item["content"] == [{"type": "reasoning_text", "text": "hm"}]

    def test_reasoning_survives_in_a_client_that_keeps_only_what_is_encrypted(self) -> None:
        told = Told([("reasoning", "hm, é")], "stop", [])
        asked = ASKED | {"include": ["reasoning.encrypted_content"]}
        (item,) = from_completion(told.completion(), asked)["output"]
        kept = {
            "type": "reasoning",
            "id": item["id"],
            "summary": [],
            "encrypted_content": item["encrypted_content"],
        }
        assert to_chat({"input": [kept]}).body["messages"][0]["reasoning_content"] == "hm, é"
        for foreign in ("gAAAAABo", "hamr-parsers:*", None):
            out = to_chat({"input": [kept | {"encrypted_content": foreign}]}).body["messages"]
            assert out == [{"role": "user", "content": ""}]

    def test_a_custom_tool_is_called_with_its_text(self) -> None:
        request = ASKED | {"tools": [PATCH]}
        arguments = json.dumps({"input": '*** Begin "Patch"\n'})
        told = Told(
            [], "tool_calls", [call_start(0, "a", "edit"), call_more(0, arguments), chunk({}, "tool_calls")]
        )
        names = [name for name, _ in events_of(told, request)]
        assert names[2:-1] == [
            "response.output_item.added",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.output_item.done",
        ]
        (item,) = events_of(told, request)[-1][1]["response"]["output"]
        assert (item["type"], item["call_id"], item["name"]) == ("custom_tool_call", "a", "edit")
        assert item["input"] == '*** Begin "Patch"\n'
        back = to_chat(request | {"input": [item]}).body["messages"][0]["tool_calls"][0]
        assert (back["id"], json.loads(back["function"]["arguments"])) == ("a", json.loads(arguments))

    def test_half_a_custom_call_is_never_one(self) -> None:
        told = Told([("call", "a", "edit", '{"input": "rm -rf /')], "length", [])
        (item,) = from_completion(told.completion(), ASKED | {"tools": [PATCH]})["output"]
        assert (item["type"], item["status"]) == ("function_call", "incomplete")

    def test_a_namespaces_call_is_named_apart(self) -> None:
        tools = [
            {
                "type": "namespace",
                "name": "mcp__docs",
                "description": "",
                "tools": [{"type": "function", "name": "get"}],
            }
        ]
        request = ASKED | {"tools": tools}
        name = to_chat(request).body["tools"][0]["function"]["name"]
        assert name == "mcp__docs__get"
        (item,) = from_completion(Told([("call", "a", name, "{}")], "tool_calls", []).completion(), request)[
            "output"
        ]
        assert (item["namespace"], item["name"]) == ("mcp__docs", "get")
        assert (
            to_chat(request | {"input": [item]}).body["messages"][0]["tool_calls"][0]["function"]["name"]
            == name
        )

    def test_logprobs_are_kept(self) -> None:
        entry = {"token": "é", "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1.0}]}
        one = chunk({"content": "é"})
        one["choices"][0]["logprobs"] = {"content": [entry]}
        events = events_of(Told([], "stop", [one, chunk({}, "stop")]))
        (part,) = events[-1][1]["response"]["output"][0]["content"]
        assert part["logprobs"][0]["bytes"] == list("é".encode())
        assert part["logprobs"][0]["top_logprobs"][0]["token"] == "e"

    def test_the_response_repeats_its_request(self) -> None:
        asked = ASKED | {"instructions": "Be.", "temperature": 0.2, "metadata": {"a": "b"}, "store": True}
        response = from_completion(Told([("text", "a")], "stop", []).completion(), asked)
        assert {key: response[key] for key in ("instructions", "temperature", "metadata")} == {
            key: asked[key] for key in ("instructions", "temperature", "metadata")
        }
        assert response["store"] is False

    def test_a_parsed_message_gives_the_same_items(self) -> None:
        text = '<think>hm</think>Well.<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
        response = message_to_response(hp.parse(text, parser="hermes"), model="local")
        assert [item["type"] for item in response["output"]] == ["reasoning", "message", "function_call"]
        assert (response["model"], response["status"]) == ("local", "completed")

    def test_a_prompt_that_is_too_long_has_the_code_that_agents_know(self) -> None:
        payload = {
            "error": {
                "code": 400,
                "message": "exceeds the available context size",
                "type": "exceed_context_size_error",
            }
        }
        error = UpstreamError("exceeds the available context size", "400", 400, payload)
        assert error_response(error)[1]["error"]["code"] == "context_length_exceeded"
        failed = ResponsesStream(ASKED).close(error)[-1][1]["response"]
        assert failed["error"]["code"] == "context_length_exceeded"

    def test_lines_that_only_some_readers_break_are_escaped(self) -> None:
        data = encode("x", {"a": "1\u20282\u20293\x854\ud800"})
        assert len(data.decode().splitlines()) == 3
        assert json.loads(data.decode().splitlines()[1][6:]) == {"a": "1\u20282\u20293\x854?"}


def chat(**fields: Any) -> dict[str, Any]:
    return to_chat(ASKED | fields).body


def turns(*items: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return to_chat({"input": list(items)} | fields).body["messages"]


def call(call_id: str, arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": arguments} | fields


def output(call_id: str, text: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


class TestRequest:
    def test_the_plain_request(self) -> None:
        assert chat(
            instructions="Be brief.", temperature=0.5, max_output_tokens=9, store=False, include=[]
        ) == {
            "model": "local",
            "temperature": 0.5,
            "max_tokens": 9,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        }

    def test_a_streamed_request_asks_for_usage(self) -> None:
        assert chat(stream=True)["stream_options"] == {"include_usage": True}

    def test_codex_as_it_speaks(self) -> None:
        out = turns(
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            call("a", '{"p": 1}'),
            call("b"),
            output("a", "1"),
            output(
                "b", [{"type": "input_text", "text": "2"}, {"type": "input_image", "image_url": "data:x"}]
            ),
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Late."}]},
            instructions="Base.",
        )
        assert out == [
            {"role": "system", "content": "Base.\n\nRules."},
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": "I look.",
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"p": 1}'}},
                    {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": "2"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
            {"role": "user", "content": "Late."},
        ]

    def test_a_probe_without_input_still_has_a_user(self) -> None:
        assert turns(instructions="Be.") == [
            {"role": "system", "content": "Be."},
            {"role": "user", "content": ""},
        ]

    def test_half_a_call_in_the_history_does_not_spoil_the_next_request(self) -> None:
        out = turns(call("a", '{"p": "x'), output("a", "not JSON"))
        assert json.loads(out[0]["tool_calls"][0]["function"]["arguments"]) == {"INVALID_JSON": '{"p": "x'}

    def test_reasoning_in_the_field_that_the_server_reads(self) -> None:
        item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
        for field, keys in (("reasoning", {"reasoning"}), ("both", {"reasoning", "reasoning_content"})):
            (message,) = to_chat({"input": [item]}, reasoning=field).body["messages"]  # type: ignore[arg-type]
            assert set(message) - {"role", "content"} == keys

    def test_images_and_files(self) -> None:
        parts = [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "http://x/i.png", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        ]
        assert turns({"role": "user", "content": parts})[0]["content"] == [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "http://x/i.png", "detail": "low"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}},
        ]

    def test_tools_and_the_choice_among_them(self) -> None:
        tools = [
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": None,
            },
            PATCH,
        ]
        body = chat(tools=tools, tool_choice="required", parallel_tool_calls=False)
        first, second = (tool["function"] for tool in body["tools"])
        assert first == {"name": "f", "description": "d", "parameters": {"type": "object"}}
        assert second["parameters"]["required"] == ["input"] and "start: X" in second["description"]
        assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
        named = {"type": "function", "function": {"name": "edit"}}
        assert chat(tools=tools, tool_choice={"type": "custom", "name": "edit"})["tool_choice"] == named
        only = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
        body = chat(tools=tools, tool_choice=only)
        assert [tool["function"]["name"] for tool in body["tools"]] == ["f"] and body["tool_choice"] == "auto"

    def test_tools_that_an_item_adds_are_there(self) -> None:
        added = {"type": "additional_tools", "role": "developer", "tools": [PATCH]}
        request = {"input": [{"role": "user", "content": "hi"}, added]}
        assert to_chat(request).body["tools"][0]["function"]["name"] == "edit"
        told = Told([("call", "a", "edit", '{"input": "x"}')], "tool_calls", [])
        assert from_completion(told.completion(), request)["output"][0]["type"] == "custom_tool_call"

    def test_server_tools_and_their_items_are_left_out_with_a_remark(self) -> None:
        translated = to_chat(
            {
                "input": [{"type": "web_search_call", "id": "ws_1"}, {"role": "user", "content": "hi"}],
                "tools": [{"type": "web_search"}, {"type": "image_generation"}],
                "tool_choice": "auto",
            }
        )
        assert translated.body == {"messages": [{"role": "user", "content": "hi"}]}
        assert [remark.split()[0] for remark in translated.remarks] == ["input[0]:", "tools[0]:", "tools[1]:"]

    @pytest.mark.parametrize(
        ("effort", "expected"),
        [
            ("none", "none"),
            ("minimal", "low"),
            ("low", "low"),
            ("medium", "medium"),
            ("high", "high"),
            ("xhigh", "high"),
        ],
    )
    def test_effort(self, effort: str, expected: str) -> None:
        body = chat(reasoning={"effort": effort, "summary": "auto"})
        assert body["reasoning_effort"] == expected
        assert ("chat_template_kwargs" in body) == (effort == "none")
        assert "reasoning" not in body

    def test_a_schema_for_the_answer(self) -> None:
        form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
        schema = {"name": "n", "schema": {"type": "object"}, "strict": True}
        assert chat(text={"format": form})["response_format"] == {
            "type": "json_schema",
            "json_schema": schema,
        }
        assert chat(text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}
        assert "response_format" not in chat(text={"format": {"type": "text"}, "verbosity": "low"})

    def test_what_the_api_does_not_know_goes_to_the_server(self) -> None:
        body = chat(top_k=4, chat_template_kwargs={"x": 1}, prompt_cache_key="k", truncation="auto")
        assert body["top_k"] == 4 and body["chat_template_kwargs"] == {"x": 1}
        assert "prompt_cache_key" not in body and "truncation" not in body

    def test_logprobs_are_asked_for(self) -> None:
        assert chat(include=["message.output_text.logprobs"])["logprobs"] is True
        assert chat(top_logprobs=3)["top_logprobs"] == 3

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            ({}, "input"),
            ({"input": 5}, "input"),
            ({"input": [5]}, "input[0]"),
            ({"input": [{}]}, "input[0].type"),
            (ASKED | {"previous_response_id": "resp_1"}, "previous_response_id"),
            (ASKED | {"conversation": "conv_1"}, "conversation"),
            (ASKED | {"background": True}, "background"),
            ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
            ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
            ({"input": [{"role": "user", "content": [{"type": "input_video"}]}]}, "input[0].content[0].type"),
            (
                {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
                "input[0].content[0].image_url",
            ),
            ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
            (
                {"input": [{"type": "function_call", "call_id": "a", "name": "f", "arguments": {}}]},
                "input[0].arguments",
            ),
            ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
            (ASKED | {"instructions": []}, "instructions"),
            (ASKED | {"max_output_tokens": "9"}, "max_output_tokens"),
            (ASKED | {"tools": [{"type": "function"}]}, "tools[0].name"),
            (ASKED | {"tools": [{"name": "f"}]}, "tools[0].type"),
            (ASKED | {"tools": [{"type": "function", "name": "f", "parameters": 1}]}, "tools[0].parameters"),
            (ASKED | {"tool_choice": "maybe"}, "tool_choice"),
            (ASKED | {"tool_choice": "required"}, "tool_choice"),
            (ASKED | {"tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
            (ASKED | {"tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
            (ASKED | {"reasoning": {"effort": "huge"}}, "reasoning.effort"),
            (ASKED | {"text": {"format": {"type": "yaml"}}}, "text.format.type"),
            (ASKED | {"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ],
    )
    def test_a_wrong_field_is_named(self, request_: dict[str, Any], field: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            to_chat(request_)
        assert caught.value.field == field
        status, body = error_response(caught.value)
        assert (status, body["error"]["param"]) == (400, field)
