"""The Messages API over the wire: real SDK, real HTTP; blocks in order; what a request becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hamr_parsers as hp
from hamr_parsers.wire import UpstreamError
from hamr_parsers.wire.adapter.ids import chat_call_id, tool_use_id
from hamr_parsers.wire.anthropic import (
    PING,
    BadRequestError,
    MessagesStream,
    encode,
    error_response,
    from_completion,
    message_to_anthropic,
    to_chat,
)

from .adapter_support import USAGE, Loopback, Told, call_more, call_start, chunk, loopback, messages

anthropic = pytest.importorskip("anthropic")
jiter = pytest.importorskip("jiter")  # with which the SDK reads what it has of a call's input

ASKED = {"model": "local", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def events_of(
    told: Told, request: dict[str, Any] = ASKED, error: Exception | None = None
) -> list[tuple[str, dict[str, Any]]]:
    stream = MessagesStream(request)
    events = [event for one in told.chunks for event in stream.feed(one)]
    return events + stream.close(error)


def blocks(told: Told, cut: str = "partial") -> list[tuple[Any, ...]]:
    """The content that a client must end with."""
    out: list[tuple[Any, ...]] = []
    for part in told.parts:
        if part[0] != "call":
            out.append(("thinking" if part[0] == "reasoning" else "text", part[1]))
            continue
        _, id, name, arguments = part
        try:
            value = json.loads(arguments)
        except ValueError:
            if cut == "left out":
                continue
            value = jiter.from_json(arguments.encode(), partial_mode=True) if arguments else {}
        out.append(("tool_use", tool_use_id(id), name, value))
    return out


def seen(content: Any) -> list[tuple[Any, ...]]:
    out: list[tuple[Any, ...]] = []
    for block in content:
        if block.type == "text":
            out.append(("text", block.text))
        elif block.type == "thinking":
            assert block.signature
            out.append(("thinking", block.thinking))
        else:
            out.append(("tool_use", block.id, block.name, block.input))
    return out


def stop(told: Told) -> str:
    return {"length": "max_tokens", "tool_calls": "tool_use", "stop": "end_turn"}[told.finish]


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as place:
        yield place


@pytest.fixture(scope="module")
def client(server: Loopback) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as made:
        yield made


def answer(server: Loopback, told: Told, error: Exception | None = None) -> None:
    def reply(path: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
        assert path == "/v1/messages"
        if not body.get("stream"):
            return 200, "application/json", json.dumps(from_completion(told.completion(), body)).encode()
        data = b"".join(encode(name, payload) for name, payload in events_of(told, body, error))
        return (
            200,
            "text/event-stream",
            data.replace(b"event: content_block_stop", PING + b"event: content_block_stop"),
        )

    server.answer = reply


class TestSDK:
    @settings(max_examples=60)
    @given(told=messages())
    def test_the_accumulated_stream_is_the_message(self, server: Loopback, client: Any, told: Told) -> None:
        answer(server, told)
        with client.messages.stream(**ASKED) as stream:
            for _ in stream:
                pass
            message = stream.get_final_message()
        assert seen(message.content) == blocks(told)
        assert message.stop_reason == stop(told)
        assert (message.role, message.model, message.type) == ("assistant", "local", "message")
        if told.usage:
            assert (message.usage.input_tokens, message.usage.output_tokens) == (20, 12)
            assert message.usage.cache_read_input_tokens == 10

    @settings(max_examples=30)
    @given(told=messages())
    def test_a_whole_answer_is_the_message_too(self, server: Loopback, client: Any, told: Told) -> None:
        answer(server, told)
        message = client.messages.create(**ASKED)
        want = blocks(told, cut="left out")
        order = {"thinking": 0, "text": 1, "tool_use": 2}
        got = seen(message.content)
        assert [one for one in got if one[0] == "tool_use"] == [one for one in want if one[0] == "tool_use"]
        for kind in ("thinking", "text"):
            assert "".join(b[1] for b in got if b[0] == kind) == "".join(b[1] for b in want if b[0] == kind)
        assert got == sorted(got, key=lambda one: order[one[0]])
        assert message.stop_reason == stop(told)

    def test_an_error_in_the_stream_is_raised_after_what_came(self, server: Loopback, client: Any) -> None:
        told = Told([("text", "half")], "length", [chunk({"content": "half"}), chunk({}, "length")])
        answer(server, told, UpstreamError("out of memory", "server_error", 500))
        got: list[str] = []

        def read() -> None:
            with client.messages.stream(**ASKED) as stream:
                got.extend(stream.text_stream)

        with pytest.raises(anthropic.APIStatusError) as caught:
            read()
        assert got == ["half"]
        assert caught.value.type == "api_error"
        assert caught.value.api_message == "out of memory"

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (BadRequestError("messages[0].role", "must be user"), "BadRequestError"),
            (UpstreamError("no", None, 401), "AuthenticationError"),
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
        with pytest.raises(getattr(anthropic, kind)) as caught:
            client.messages.create(**ASKED)
        assert caught.value.type == body["error"]["type"]
        assert caught.value.api_message == body["error"]["message"]


class TestOrder:
    @given(told=messages(), fails=st.booleans())
    def test_blocks_open_once_close_once_and_never_interleave(self, told: Told, fails: bool) -> None:
        events = events_of(told, error=UpstreamError("x") if fails and told.finish == "length" else None)
        failed = events[-1][0] == "error"
        assert all(name == payload["type"] for name, payload in events)
        names = [name for name, _ in events]
        assert names[0] == "message_start" and names.count("message_start") == 1
        assert events[0][1]["message"]["usage"]["output_tokens"] == 0
        assert failed or names[-2:] == ["message_delta", "message_stop"]
        inside, index = False, -1
        for name, payload in events[1 : -1 if failed else -2]:
            if name == "content_block_start":
                assert not inside
                inside, index = True, index + 1
            assert inside and payload["index"] == index
            inside = name != "content_block_stop"
        cut_call = told.parts and told.parts[-1][0] == "call"
        assert not inside or (
            failed and cut_call
        )  # half a call is not closed before an error: agents would run it

    @given(told=messages())
    def test_every_event_is_one_of_the_sdks(self, told: Told) -> None:
        from anthropic.types import RawMessageStreamEvent
        from pydantic import TypeAdapter

        adapter: Any = TypeAdapter(RawMessageStreamEvent)
        for _, payload in events_of(told):
            adapter.validate_python(payload)

    @given(told=messages())
    def test_the_input_can_be_read_after_each_delta(self, told: Told) -> None:
        """As the SDK reads it: half an escape, or half a surrogate pair, would end its stream."""
        inputs: dict[int, str] = {}
        for name, payload in events_of(told):
            text = payload["delta"].get("partial_json") if name == "content_block_delta" else None
            if text is not None:
                inputs[payload["index"]] = inputs.get(payload["index"], "") + text
                jiter.from_json(inputs[payload["index"]].encode(), partial_mode=True)

    def test_a_call_is_told_while_it_comes(self) -> None:
        stream = MessagesStream(ASKED)
        stream.feed(call_start(0, "a", "f"))
        assert stream.feed(call_more(0, '{"x": "lo'))[0][1]["delta"]["partial_json"] == '{"x": "lo'

    def test_a_later_call_waits_only_until_the_earlier_ones_json_is_closed(self) -> None:
        stream = MessagesStream(ASKED)
        stream.feed(call_start(0, "a", "f"))
        stream.feed(call_more(0, '{"x": '))
        assert stream.feed(call_start(1, "b", "g")) == []
        assert stream.feed(call_more(1, '{"y": 2')) == []
        told = [(name, payload["index"]) for name, payload in stream.feed(call_more(0, "1}"))]
        assert told == [
            ("content_block_delta", 0),
            ("content_block_stop", 0),
            ("content_block_start", 1),
            ("content_block_delta", 1),
        ]

    def test_what_waits_comes_in_the_order_in_which_it_began(self) -> None:
        stream = MessagesStream(ASKED)
        for one in (
            call_start(0, "a", "f"),
            call_more(0, '{"x": '),
            call_start(1, "b", "f"),
            chunk({"content": "between"}),
            call_start(2, "c", "f"),
            call_more(1, "{}"),
            call_more(2, "{}"),
            call_more(0, "1}"),
            chunk({}, "tool_calls"),
        ):
            stream.feed(one)
        stream.close()
        content = stream.message()["content"]
        assert [block.get("id") or block["text"] for block in content] == ["a", "b", "between", "c"]

    @pytest.mark.parametrize(
        "arguments", [r'{"a": "\"}"', r'{"a": "}"', '{"a": {}', '{"a": [{"b": 1}]', r'{"a": "\\"']
    )
    def test_a_call_is_not_over_before_its_object_is(self, arguments: str) -> None:
        stream = MessagesStream(ASKED)
        stream.feed(call_start(0, "a", "f"))
        for sign in arguments:
            stream.feed(call_more(0, sign))
        assert stream.feed(chunk({"content": "x"})) == []
        assert [name for name, _ in stream.feed(call_more(0, "}"))][1] == "content_block_stop"

    def test_half_a_surrogate_pair_in_a_call_is_replaced(self, server: Loopback, client: Any) -> None:
        parts = [r'{"a": "\ud83d', r" x \ude00 ", r"\ud83", r"d\ude", r'00\ud83d\\\"\ud83d"}']
        chunks = [call_start(0, "a", "f"), *(call_more(0, part) for part in parts), chunk({}, "tool_calls")]
        answer(server, Told([], "tool_calls", chunks))
        with client.messages.stream(**ASKED) as stream:
            message = stream.get_final_message()
        assert message.content[0].input == {"a": '\ufffd x \ufffd \U0001f600\ufffd\\"\ufffd'}

    def test_start_and_close_give_their_events_once(self) -> None:
        stream = MessagesStream(ASKED)
        assert [name for name, _ in stream.start()] == ["message_start"]
        assert stream.start() == []
        assert stream.feed(chunk({"role": "assistant", "content": None})) == []
        stream.feed(chunk({"content": "a"}, "stop"))
        assert [name for name, _ in stream.close()] == ["message_delta", "message_stop"]
        assert stream.close() == stream.feed(chunk({"content": "late"})) == []

    def test_an_answer_without_a_finish_reason_was_cut(self) -> None:
        stream = MessagesStream(ASKED)
        stream.feed(chunk({"content": "a"}))
        assert stream.close()[-2][1]["delta"]["stop_reason"] == "max_tokens"

    def test_half_a_call_is_not_closed_before_an_error(self) -> None:
        stream = MessagesStream(ASKED)
        for one in (call_start(0, "a", "f"), call_more(0, '{"path": "/'), chunk({}, "length")):
            stream.feed(one)
        assert [name for name, _ in stream.close(UpstreamError("gone"))] == ["error"]


class TestAnswer:
    def test_thinking_is_left_out_where_the_request_turned_it_off(self) -> None:
        told = Told(
            [("reasoning", "hm"), ("text", "hi")],
            "stop",
            [chunk({"reasoning_content": "hm"}), chunk({"content": "hi"}), chunk({}, "stop")],
        )
        off = ASKED | {"thinking": {"type": "disabled"}}
        assert [block["type"] for block in from_completion(told.completion(), off)["content"]] == ["text"]
        assert not any("thinking" in json.dumps(event) for event in events_of(told, off))
        both = from_completion(told.completion(), off, thinking=True)["content"]
        assert [block["type"] for block in both] == ["thinking", "text"]

    def test_reasoning_in_both_fields_is_told_once(self) -> None:
        stream = MessagesStream(ASKED)
        events = stream.feed(chunk({"reasoning_content": "a", "reasoning": "a"}))
        assert [payload["delta"]["thinking"] for _, payload in events if "delta" in payload] == ["a"]

    def test_a_call_without_arguments_has_an_empty_input(self) -> None:
        told = Told(
            [("call", "a", "f", "")], "tool_calls", [call_start(0, "a", "f"), chunk({}, "tool_calls")]
        )
        assert from_completion(told.completion(), ASKED)["content"][0]["input"] == {}
        assert [
            p["delta"]["partial_json"] for _, p in events_of(told) if "partial_json" in p.get("delta", {})
        ] == ["{}"]

    def test_a_cut_call_is_left_out_of_a_whole_answer(self) -> None:
        told = Told([("text", "so"), ("call", "a", "f", '{"path": "/')], "length", [])
        message = from_completion(told.completion(), ASKED)
        assert [block["type"] for block in message["content"]] == ["text"]
        assert message["stop_reason"] == "max_tokens"

    def test_what_is_no_object_in_a_whole_call_is_kept_as_text(self) -> None:
        for arguments in ('{"a": NaN}', "[1]", "none"):
            told = Told([("call", "a", "f", arguments)], "tool_calls", [])
            block = from_completion(told.completion(), ASKED)["content"][0]
            assert block["input"] == {"INVALID_JSON": arguments}

    def test_only_the_first_choice_is_told(self) -> None:
        stream = MessagesStream(ASKED)
        other = chunk({"content": "no"})
        other["choices"][0]["index"] = 1
        stream.feed(other | {"choices": [*other["choices"], *chunk({"content": "yes"}, "stop")["choices"]]})
        stream.close()
        assert [block["text"] for block in stream.message()["content"]] == ["yes"]

    def test_calls_make_tool_use_whatever_the_server_says(self) -> None:
        told = Told([("call", "a", "f", "{}")], "stop", [])
        assert from_completion(told.completion(), ASKED)["stop_reason"] == "tool_use"

    def test_tool_calls_without_calls_end_the_turn(self) -> None:
        assert (
            from_completion(Told([("text", "a")], "tool_calls", []).completion(), ASKED)["stop_reason"]
            == "end_turn"
        )

    def test_the_stop_sequence_is_told_where_the_server_tells_it(self) -> None:
        completion = Told([("text", "a")], "stop", []).completion()
        completion["choices"][0]["stop_reason"] = "END"
        message = from_completion(completion, ASKED | {"stop_sequences": ["END"]})
        assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")
        assert from_completion(completion, ASKED)["stop_reason"] == "end_turn"

    def test_a_parsed_message_gives_the_same_blocks(self) -> None:
        text = '<think>hm</think>Well.<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
        message = message_to_anthropic(hp.parse(text, parser="hermes"), model="local")
        assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
        assert message["content"][2]["input"] == {"a": 1}
        assert message["stop_reason"] == "tool_use"

    def test_a_cut_parsed_message_can_be_mended(self) -> None:
        parsed = hp.parse('<tool_call>{"name": "f", "arguments": {"a": "b', parser="hermes")
        assert message_to_anthropic(parsed)["content"] == []
        assert message_to_anthropic(parsed, incomplete="mend")["content"][0]["input"] == {"a": "b"}
        assert message_to_anthropic(parsed, incomplete="mend")["stop_reason"] == "max_tokens"

    def test_a_prompt_that_is_too_long_is_said_in_the_words_that_agents_know(self) -> None:
        payload = {
            "error": {
                "code": 400,
                "message": "exceeds the available context size",
                "type": "exceed_context_size_error",
            }
        }
        status, body = error_response(
            UpstreamError("exceeds the available context size", "400", 400, payload)
        )
        assert status == 400
        assert body["error"]["type"] == "invalid_request_error"
        assert body["error"]["message"].startswith("prompt is too long: ")

    @pytest.mark.parametrize("status", [400, None])
    def test_a_prompt_that_is_too_long_is_known_by_its_words(self, status: int | None) -> None:
        error = UpstreamError("This model's maximum context length is 4096 tokens", "BadRequestError", status)
        assert error_response(error)[0] == 400
        assert error_response(error)[1]["error"]["message"].startswith("prompt is too long: ")

    def test_a_server_that_failed_is_no_prompt_that_is_too_long(self) -> None:
        status, body = error_response(UpstreamError("cannot allocate the context window", None, 500))
        assert (status, body["error"]["type"]) == (500, "api_error")

    def test_an_error_of_ours_tells_no_secret(self) -> None:
        assert "hunter2" not in json.dumps(error_response(RuntimeError("key=hunter2")))


class TestIds:
    @given(st.text(st.characters(), min_size=1))
    def test_any_call_id_comes_back_as_it_was(self, id: str) -> None:
        import re

        assert re.fullmatch(r"[A-Za-z0-9_-]+", tool_use_id(id))
        assert chat_call_id(tool_use_id(id)) == id

    @given(st.from_regex(r"(toolu_b64_)?[A-Za-z0-9_-]+", fullmatch=True))
    def test_any_tool_use_id_stays_one_id(self, id: str) -> None:
        assert tool_use_id(chat_call_id(id)) in (id, tool_use_id(id))
        assert chat_call_id(tool_use_id(chat_call_id(id))) == chat_call_id(id)

    def test_an_id_that_looks_packed_is_packed_again(self) -> None:
        packed = tool_use_id("functions.f:0")
        assert tool_use_id(packed) != packed
        assert chat_call_id(tool_use_id(packed)) == packed

    def test_ids_that_fit_stay(self) -> None:
        for id in ("toolu_01A", "call_abc", "AbC123xyz"):
            assert tool_use_id(id) == chat_call_id(id) == id


def chat(**fields: Any) -> dict[str, Any]:
    return to_chat(ASKED | fields).body


def turns(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return to_chat({"messages": list(messages)}).body["messages"]


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def said(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


class TestRequest:
    def test_the_plain_request(self) -> None:
        assert chat(
            temperature=0.5, top_k=4, stop_sequences=["X"], system="Be brief.", metadata={"user_id": "x"}
        ) == {
            "model": "local",
            "max_tokens": 100,
            "temperature": 0.5,
            "top_k": 4,
            "stop": ["X"],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hi"},
            ],
        }

    def test_a_streamed_request_asks_for_usage(self) -> None:
        assert chat(stream=True)["stream_options"] == {"include_usage": True}

    def test_a_turn_with_results(self) -> None:
        out = turns(
            user(text("weather?"), PNG),
            said(
                {"type": "thinking", "thinking": "two cities", "signature": "x"},
                text("I look."),
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"city": "Köln"}},
                {"type": "tool_use", "id": tool_use_id("functions.f:1"), "name": "f", "input": {}},
            ),
            user(
                {"type": "tool_result", "tool_use_id": "t1", "content": "12°"},
                {
                    "type": "tool_result",
                    "tool_use_id": tool_use_id("functions.f:1"),
                    "content": [text("no such city"), PNG],
                    "is_error": True,
                },
                text("go on"),
            ),
        )
        assert out == [
            {"role": "user", "content": [text("weather?"), PNG_PART]},
            {
                "role": "assistant",
                "content": "I look.",
                "reasoning_content": "two cities",
                "tool_calls": [
                    {
                        "id": "t1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"city": "Köln"}'},
                    },
                    {"id": "functions.f:1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "12°"},
            {"role": "tool", "tool_call_id": "functions.f:1", "content": "Error: no such city"},
            {"role": "user", "content": [PNG_PART, text("go on")]},
        ]

    def test_a_result_may_be_empty_or_only_an_image(self) -> None:
        out = turns(
            said({"type": "tool_use", "id": "a", "name": "f", "input": {}}),
            user({"type": "tool_result", "tool_use_id": "a"}),
        )
        assert out[1] == {"role": "tool", "tool_call_id": "a", "content": ""}
        out = turns(
            said({"type": "tool_use", "id": "a", "name": "f", "input": {}}),
            user({"type": "tool_result", "tool_use_id": "a", "content": [PNG]}),
            said(text("A cat.")),
        )
        assert [message["role"] for message in out] == ["assistant", "tool", "user", "assistant"]
        assert "next user message" in out[1]["content"]

    def test_an_answer_that_went_out_comes_back_as_the_same_message(self) -> None:
        told = Told(
            [("reasoning", "hm"), ("text", "so"), ("call", "functions.f:0", "f", '{"a": 1}')],
            "tool_calls",
            [],
        )
        content = from_completion(told.completion(), ASKED)["content"]
        assert (
            turns({"role": "assistant", "content": content}, user(text("x")))[0]
            == told.completion()["choices"][0]["message"]
        )

    def test_claude_codes_billing_line_does_not_spoil_the_prefix(self) -> None:
        system = [
            text("x-anthropic-billing-header: cc_version=2; cch=0af3;"),
            text("You are."),
            text("Rules."),
        ]
        assert chat(system=system)["messages"][0] == {"role": "system", "content": "You are.\nRules."}

    def test_a_system_message_further_down_is_the_users(self) -> None:
        out = turns(user(text("a")), {"role": "system", "content": "note"}, user(text("b")))
        assert [message["role"] for message in out] == ["user", "user", "user"]

    def test_tools_and_the_choice_among_them(self) -> None:
        tools = [
            {
                "name": "f",
                "description": "d",
                "input_schema": {"type": "object"},
                "cache_control": {"type": "ephemeral"},
            }
        ]
        body = chat(tools=tools, tool_choice={"type": "any", "disable_parallel_tool_use": True})
        function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
        assert body["tools"] == [{"type": "function", "function": function}]
        assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
        named = chat(tools=tools, tool_choice={"type": "tool", "name": "f"})["tool_choice"]
        assert named == {"type": "function", "function": {"name": "f"}}
        for word in ("auto", "none"):
            assert chat(tools=tools, tool_choice={"type": word})["tool_choice"] == word

    def test_server_tools_are_left_out_with_a_remark(self) -> None:
        tools = [
            {"type": "web_search_20250305", "name": "web_search"},
            {"type": "bash_20250124", "name": "bash"},
        ]
        translated = to_chat(ASKED | {"tools": tools, "tool_choice": {"type": "auto"}})
        assert "tools" not in translated.body and "tool_choice" not in translated.body
        assert [remark.split()[:2] for remark in translated.remarks] == [
            ["tools[0]:", "web_search_20250305"],
            ["tools[1]:", "bash_20250124"],
        ]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"thinking": {"type": "enabled", "budget_tokens": 32000}}, ("high", None)),
            ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, ("low", None)),
            ({"thinking": {"type": "disabled"}}, ("none", False)),
            ({"thinking": {"type": "adaptive"}}, (None, None)),
            ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, ("high", None)),
            ({}, (None, None)),
        ],
    )
    def test_thinking(self, fields: dict[str, Any], expected: tuple[str | None, bool | None]) -> None:
        body = chat(**fields)
        assert body.get("reasoning_effort") == expected[0]
        assert body.get("chat_template_kwargs", {}).get("enable_thinking") is expected[1]

    def test_a_model_that_cannot_think_is_not_read_as_if_all_were_thought(self) -> None:
        """Coding agents ask every model to think."""
        from hamr_parsers.wire import Exchange

        asked = ASKED | {"model": "Qwen3-Coder-30B", "thinking": {"type": "enabled", "budget_tokens": 9000}}
        answer = Told([("text", "Hello.")], "stop", []).completion()
        message = from_completion(Exchange(to_chat(asked).body).response(answer), asked)
        assert [block["type"] for block in message["content"]] == ["text"]

    def test_the_clients_own_switch_counts(self) -> None:
        body = chat(thinking={"type": "disabled"}, chat_template_kwargs={"enable_thinking": True})
        assert body["chat_template_kwargs"]["enable_thinking"] is True

    def test_a_schema_for_the_answer(self) -> None:
        body = chat(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}})
        assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}

    def test_what_the_api_does_not_know_goes_to_the_server(self) -> None:
        body = chat(min_p=0.1, service_tier="auto", context_management={})
        assert body["min_p"] == 0.1 and "service_tier" not in body and "context_management" not in body

    def test_documents_and_search_results_are_text(self) -> None:
        document = {
            "type": "document",
            "title": "T",
            "source": {"type": "text", "media_type": "text/plain", "data": "D"},
        }
        found = {"type": "search_result", "title": "S", "source": "http://s", "content": [text("C")]}
        assert turns(user(document, found))[0]["content"] == "T\nD\nS\nhttp://s\nC"

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            ({}, "messages"),
            ({"messages": []}, "messages"),
            ({"messages": "hi"}, "messages"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
            ({"messages": [user({"type": "text"})]}, "messages[0].content[0].text"),
            ({"messages": [user({"type": "container_upload"})]}, "messages[0].content[0].type"),
            ({"messages": [user({"type": "image"})]}, "messages[0].content[0].source"),
            (
                {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
                "messages[0].content[0].source.type",
            ),
            ({"messages": [user({"type": "tool_result"})]}, "messages[0].content[0].tool_use_id"),
            (
                {"messages": [said({"type": "tool_use", "id": "a", "name": "f"})]},
                "messages[0].content[0].input",
            ),
            (ASKED | {"max_tokens": "many"}, "max_tokens"),
            (ASKED | {"max_tokens": True}, "max_tokens"),
            (ASKED | {"system": 1}, "system"),
            (ASKED | {"tools": {}}, "tools"),
            (ASKED | {"tools": [{"name": "f"}]}, "tools[0].input_schema"),
            (ASKED | {"tools": [{"input_schema": {}}]}, "tools[0].name"),
            (ASKED | {"tool_choice": {"type": "any"}}, "tool_choice"),
            (ASKED | {"tool_choice": {"type": "tool", "name": "g"}}, "tool_choice.name"),
            (ASKED | {"tool_choice": "auto"}, "tool_choice"),
            (ASKED | {"thinking": {"type": "deep"}}, "thinking.type"),
            (ASKED | {"output_config": {"effort": "huge"}}, "output_config.effort"),
        ],
    )
    def test_a_wrong_field_is_named(self, request_: dict[str, Any], field: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            to_chat(request_)
        assert caught.value.field == field
        assert error_response(caught.value)[0] == 400

    def test_usage_is_read_with_care(self) -> None:
        for usage in (None, {}, {"prompt_tokens": None}, {"prompt_tokens": -1, "completion_tokens": "x"}):
            told = Told([("text", "a")], "stop", [], usage)
            assert set(from_completion(told.completion(), ASKED)["usage"].values()) == {0}
        assert from_completion(Told([], "stop", [], USAGE).completion(), ASKED)["usage"]["input_tokens"] == 20
