"""`normalize_stream` and `normalize_response` over objects of the OpenAI SDK and over dicts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import hamr_parsers as hp

from .gateway import question, serving
from .wire_faults import TOOLS, assert_safe, chunk, gathered, pieces

openai = pytest.importorskip("openai")

TEXT = 'Look.\n<tool_call>\n{"name": "get", "arguments": {"a": 1}}\n</tool_call>'
REQUEST = {"model": "qwen3-8b", "messages": [], "tools": TOOLS}


def chunks() -> list[dict[str, Any]]:
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": p}) for p in pieces(TEXT, 6)),
        chunk({}, "stop"),
    ]


def test_dicts_in_dicts_out() -> None:
    out = list(hp.normalize_stream(iter(chunks()), request=REQUEST))
    assert_safe(out)
    assert gathered(out)["calls"][0]["name"] == "get"


def test_sdk_objects_in_sdk_objects_out() -> None:
    made = [openai.types.chat.ChatCompletionChunk.construct(**one) for one in chunks()]
    out = list(hp.normalize_stream(made, request=REQUEST))
    assert {type(one) for one in out} == {openai.types.chat.ChatCompletionChunk}
    call = next(one.choices[0].delta.tool_calls[0] for one in out if one.choices[0].delta.tool_calls)
    assert (call.function.name, call.type) == ("get", "function")
    assert out[0] is made[0], "an unchanged chunk is the very object"


def test_asynchronous_streams() -> None:
    async def stream() -> AsyncIterator[dict[str, Any]]:
        for one in chunks():
            yield one

    async def main() -> list[dict[str, Any]]:
        return [one async for one in hp.normalize_stream(stream(), request=REQUEST)]

    out = asyncio.run(main())
    assert_safe(out)
    assert gathered(out)["finish"] == "tool_calls"


def test_a_stream_that_dies_gives_what_came_and_raises_the_same_exception_after_it() -> None:
    def stream() -> Iterator[dict[str, Any]]:
        yield from chunks()[:-4]
        raise ConnectionResetError("gone")

    out: list[dict[str, Any]] = []
    with pytest.raises(ConnectionResetError, match="gone"):
        for one in hp.normalize_stream(stream(), request=REQUEST):
            out.append(one)
    assert_safe(out)
    assert gathered(out)["finish"] == "length" and gathered(out)["calls"]


def test_an_error_chunk_raises_after_what_came() -> None:
    out: list[dict[str, Any]] = []
    with pytest.raises(hp.UpstreamError, match="no memory"):
        for one in hp.normalize_stream([*chunks()[:3], {"error": {"message": "no memory"}}], request=REQUEST):
            out.append(one)
    assert gathered(out)["finish"] == "length"


def test_breaking_out_of_the_loop_closes_the_stream() -> None:
    closed = []

    def stream() -> Iterator[dict[str, Any]]:
        try:
            yield from chunks()
        finally:
            closed.append(True)

    source = stream()
    with hp.normalize_stream(source, request=REQUEST) as wrapped:
        next(wrapped)
        source.close()
    assert closed


def test_tools_may_be_given_without_a_request() -> None:
    out = list(hp.normalize_stream(chunks(), tools=TOOLS, model="qwen3-8b"))
    assert gathered(out)["calls"][0]["arguments"] == '{"a": 1}'
    out = list(hp.normalize_stream(chunks(), tools=[], model="qwen3-8b"))
    assert not gathered(out)["calls"]


def test_extra_body_is_part_of_the_request() -> None:
    request = {"model": "Qwen/Qwen3.6-27B", "messages": [], "extra_body": {"enable_thinking": True}}
    out = list(
        hp.normalize_stream([chunk({"content": "Hm.</think>Yes."}), chunk({}, "stop")], request=request)
    )
    assert (gathered(out)["reasoning"], gathered(out)["content"]) == ("Hm.", "Yes.")


def test_unknown_options_and_parsers_are_told() -> None:
    with pytest.raises(hp.UnknownParserError, match="hermess"):
        hp.normalize_stream([], parser="hermess")
    with pytest.raises(hp.UnknownParserError, match="hermess"):
        hp.normalize_stream([], tool_call_parser="hermess")
    with pytest.raises(ValueError, match="hermes"):
        hp.normalize_stream([], parser="mistral", tool_call_parser="hermes")
    assert list(hp.normalize_stream(chunks(), tool_call_parser="hermes", tools=TOOLS))
    with pytest.raises(TypeError):
        hp.normalize_stream([], no_such_option=1)
    with pytest.raises(ValueError, match="incomplete must be one of"):
        hp.normalize_stream([], incomplete="never")


def test_a_whole_response_of_either_kind() -> None:
    payload = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    }
    made = hp.normalize_response(payload, request=REQUEST)
    assert made["choices"][0]["message"]["tool_calls"][0]["function"] == {
        "name": "get",
        "arguments": '{"a": 1}',
    }
    assert payload["choices"][0]["finish_reason"] == "stop"  # type: ignore[index]
    response = openai.types.chat.ChatCompletion.construct(**payload)
    again = hp.normalize_response(response, request=REQUEST)
    assert type(again) is type(response)
    assert json.loads(again.choices[0].message.tool_calls[0].function.arguments) == {"a": 1}
    assert again.choices[0].finish_reason == "tool_calls"
    with pytest.raises(TypeError, match="expected a chat completion"):
        hp.normalize_response("text")


def test_the_sdk_over_http() -> None:
    with serving() as gateway:
        scenario = next(iter(gateway.scenarios.values()))
        request = question(scenario)
        client = openai.OpenAI(base_url=gateway.base_url, api_key="none")
        with client, client.chat.completions.create(**request, stream=True) as stream:
            wrapped = hp.normalize_stream(stream, request=request)
            out = [one.to_dict() for one in wrapped]
            assert wrapped.response.status_code == 200, "the wrapped stream's own attributes are there"
        assert_safe(out)
        wanted = [name for name, _ in scenario.truth.calls]
        assert [call["name"] for call in gathered(out)["calls"]] == wanted


def test_importing_the_package_loads_no_http_package() -> None:
    import subprocess
    import sys

    code = (
        "import sys, hamr_parsers as hp; hp.normalize_stream; hp.repair_history; "
        "print([m for m in ('httpx', 'httpx2', 'openai', 'starlette', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
