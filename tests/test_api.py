"""The public surface, sentence by sentence: what design.md promises a caller, apart from what a model's text means."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import os
import pathlib
import pickle
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import hamr_parsers as hp

WEATHER = '{"name": "get_weather", "arguments": {"city": "Zürich \U0001f600", "days": 2}}'
CALL = f"<tool_call>\n{WEATHER}\n</tool_call>"
NOW = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
CUT = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Par'
NAMES = [
    "parse", "StreamParser", "iter_events", "aiter_events", "ParsedMessage", "ToolCall", "Span",
    "Diagnostic", "ContentDelta",
    "ReasoningDelta", "ToolCallStart", "ToolCallDelta", "ToolCallEnd", "Reclassified", "Event",
    "ToolSet", "resolve_parser",
    "Resolution", "list_families", "get_family", "register_family", "HamrParsersError", "UnknownParserError",
    "InvalidToolsError", "IncompleteToolCallError", "DiagnosticsError", "__version__",
]  # fmt: skip


def hermes(text: str, tools: Any, **options: Any) -> Any:
    return hp.parse(text, parser="hermes", tools=tools, **options)


def told(events: list[Any]) -> list[Any]:
    """The events with adjacent deltas joined and ids aside."""
    out: list[Any] = []
    for event in events:
        made = {k: v for k, v in event.to_dict().items() if k != "id"}
        if "tool_call" in made:
            made["tool_call"] = {k: v for k, v in made["tool_call"].items() if k != "id"}
        piece = "arguments" if made["type"] == "tool_call_delta" else "text"
        if (
            out
            and piece in made
            and out[-1]["type"] == made["type"]
            and out[-1].get("index") == made.get("index")
        ):
            out[-1][piece] += made[piece]
        else:
            out.append(made)
    return out


# --- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_public_name_is_there(name: str) -> None:
    assert hasattr(hp, name)


def test_version_is_a_version() -> None:
    assert re.match(r"\d+\.\d+", hp.__version__)


def test_import_loads_no_http_cli_or_web_package() -> None:
    unwanted = ("typer", "click", "rich", "httpx", "pydantic", "asyncio", "starlette")
    code = f"import sys, hamr_parsers; print([m for m in {unwanted} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parsing_with_dict_tools_loads_no_pydantic(tools: Any) -> None:
    code = (
        "import sys, json, hamr_parsers as hp\n"
        f"m = hp.parse({CALL!r}, parser='hermes', tools=json.loads({json.dumps(tools)!r}))\n"
        "assert len(m.tool_calls) == 1\n"
        "print([m for m in ('typer', 'rich', 'httpx', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- parse() and the message ---------------------------------------------------------------------------------


def test_parse_gives_content_reasoning_and_calls(tools: Any) -> None:
    message = hermes(f"<think>\nHm.\n</think>\n\nLet me see.\n{CALL}\n{NOW}<|im_end|>", tools)
    assert (message.content, message.reasoning) == ("Let me see.", "Hm.")
    assert [c.name for c in message.tool_calls] == ["get_weather", "now"]
    assert message.tool_calls[0].arguments == '{"city": "Zürich \U0001f600", "days": 2}'
    assert message.tool_calls[0].arguments_dict() == {"city": "Zürich \U0001f600", "days": 2}
    assert message.tool_calls[0].complete and not message.tool_calls[0].recovered
    assert message.tool_calls[0].source_id is None
    assert message.tool_calls[0].id != message.tool_calls[1].id
    assert message.finish_reason == "tool_calls"
    assert message.diagnostics == [] and message.spans is None


def test_absent_content_and_reasoning_are_none(tools: Any) -> None:
    message = hermes(CALL, tools)
    assert message.content is None and message.reasoning is None
    assert hermes("", tools).content is None


def test_plain_text_stops(tools: Any) -> None:
    message = hermes("Hello.", tools)
    assert (message.content, message.tool_calls, message.finish_reason) == ("Hello.", [], "stop")


def test_parse_takes_bytes(tools: Any) -> None:
    assert hermes(CALL.encode(), tools).tool_calls[0].arguments == hermes(CALL, tools).tool_calls[0].arguments  # type: ignore[arg-type]


def test_offsets_are_in_decoded_characters(tools: Any) -> None:
    text = "\U0001f600é " + CALL.replace("days", "d").replace("2}", "2,}")
    for given in (text, text.encode()):
        message = hp.parse(given, parser="hermes", tools=tools)
        (diagnostic,) = message.diagnostics
        assert diagnostic.code == "trailing-comma"
        assert "," in text[diagnostic.start : diagnostic.end]


def test_message_to_dict_is_json(tools: Any) -> None:
    made = hermes(f"Hi.\n{CALL}", tools, trace=True).to_dict()
    again = json.loads(json.dumps(made))
    assert again["content"] == "Hi."
    assert again["tool_calls"][0]["name"] == "get_weather"


def test_raise_for_diagnostics(tools: Any) -> None:
    hermes(CALL, tools).raise_for_diagnostics()
    with pytest.raises(hp.DiagnosticsError) as caught:
        hermes(CUT, tools).raise_for_diagnostics()
    assert caught.value.diagnostics
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), hp.DiagnosticsError)


def test_spans_tile_the_text_with_trace(tools: Any) -> None:
    text = f"<think>Hm.</think>Hi.\n{CALL}\nBye."
    spans = hermes(text, tools, trace=True).spans
    assert [s.start for s in spans] == [0, *[s.end for s in spans][:-1]] and spans[-1].end == len(text)
    assert {s.kind for s in spans} <= {
        "content",
        "reasoning",
        "markup",
        "name",
        "id",
        "key",
        "arguments",
        "value",
    }
    assert (
        "".join(text[s.start : s.end] for s in spans if s.kind == "arguments")
        == '{"city": "Zürich \U0001f600", "days": 2}'
    )
    assert "get_weather" in "".join(
        text[s.start : s.end] for s in spans if s.kind == "name" and s.call_index == 0
    )


# --- cut calls -----------------------------------------------------------------------------------------------


def test_cut_call_is_mended_marked_and_not_run(tools: Any) -> None:
    message = hermes(CUT, tools)
    (call,) = message.tool_calls
    assert (call.arguments, call.complete) == ('{"city": "Par"}', False)
    assert call.closing == '"}'
    assert message.finish_reason == "length"
    with pytest.raises(hp.IncompleteToolCallError) as caught:
        call.arguments_dict()
    assert caught.value.tool_call is call
    assert call.arguments_dict(allow_incomplete=True) == {"city": "Par"}
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), hp.IncompleteToolCallError)


def test_to_openai_leaves_out_the_closing_mend_by_default(tools: Any) -> None:
    text = f"Hi.\n{NOW}\n{CUT}"
    cut = hermes(text, tools).to_openai()
    assert cut["role"] == "assistant" and cut["content"] == "Hi."
    assert [c["function"]["arguments"] for c in cut["tool_calls"]] == ["{}", '{"city": "Par']
    assert all(c["type"] == "function" and c["id"] for c in cut["tool_calls"])
    assert hermes(text, tools).to_openai(incomplete="cut").keys() == cut.keys()
    mended = hermes(text, tools).to_openai(incomplete="mend")
    assert [c["function"]["arguments"] for c in mended["tool_calls"]] == ["{}", '{"city": "Par"}']
    dropped = hermes(text, tools).to_openai(incomplete="drop")
    assert [c["function"]["name"] for c in dropped["tool_calls"]] == ["now"]


def test_to_openai_of_plain_text_has_no_calls(tools: Any) -> None:
    made = hermes("Hello.", tools).to_openai()
    assert made["content"] == "Hello." and not made.get("tool_calls")


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_an_end_that_the_server_vouches_for_completes_a_call_without_open_value(
    reason: str, tools: Any
) -> None:
    text = "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n"
    assert [c.complete for c in hp.parse(text, parser="qwen3_coder", tools=tools).tool_calls] == [False]
    assert [
        c.complete for c in hp.parse(text, parser="qwen3_coder", tools=tools, finish_reason=reason).tool_calls
    ] == [True]
    ended = hp.parse(text + "<|im_end|>", parser="qwen3_coder", tools=tools)
    assert [c.complete for c in ended.tool_calls] == [True]
    inside = hp.parse(text[:-15], parser="qwen3_coder", tools=tools, finish_reason=reason)
    assert [c.complete for c in inside.tool_calls] == [False]


def test_a_certain_start_with_a_name_only_is_always_incomplete(tools: Any) -> None:
    stream = hp.StreamParser(parser="mistral", tools=tools)
    events = [*stream.feed("[TOOL_CALLS]now[ARGS]"), *stream.close(finish_reason="stop")]
    assert [e.type for e in events if e.type != "diagnostic"] == ["tool_call_start", "tool_call_end"]
    assert (stream.message.tool_calls[0].arguments, stream.message.tool_calls[0].complete) == ("{}", False)


# --- choosing the parser -------------------------------------------------------------------------------------


def test_model_selects(tools: Any) -> None:
    text = "<tool_call>\n<function=now>\n</function>\n</tool_call>"
    assert len(hp.parse(text, model="Qwen/Qwen3-Coder-30B-A3B-Instruct", tools=tools).tool_calls) == 1
    assert len(hp.parse(CALL, model="Qwen/Qwen2.5-7B-Instruct", tools=tools).tool_calls) == 1


def test_tool_call_parser_is_the_same_as_parser(tools: Any) -> None:
    assert len(hp.parse(CALL, tool_call_parser="hermes", tools=tools).tool_calls) == 1
    assert len(hp.parse(CALL, tool_call_parser="hermes", parser="hermes", tools=tools).tool_calls) == 1
    with pytest.raises((ValueError, TypeError)):
        hp.parse(CALL, tool_call_parser="hermes", parser="mistral", tools=tools)


def test_parser_beats_template_beats_model() -> None:
    template = "... [TOOL_CALLS] ... [AVAILABLE_TOOLS] ..."
    both = hp.resolve_parser(model="Qwen/Qwen2.5-7B-Instruct", chat_template=template)
    assert both.parser == "mistral" and both.source and both.reason
    assert (
        hp.resolve_parser(
            model="Qwen/Qwen2.5-7B-Instruct", chat_template=template, parser="llama3_json"
        ).parser
        == "llama3_json"
    )
    assert hp.resolve_parser(model="Qwen/Qwen2.5-7B-Instruct").parser == "hermes"


def test_nothing_known_means_auto(tools: Any) -> None:
    assert hp.resolve_parser().parser == "auto"
    for text in (
        CALL,
        "<tool_call>\n<function=now>\n</function>\n</tool_call>",
        "[TOOL_CALLS]now[ARGS]{}",
        '<|python_tag|>{"name": "now", "parameters": {}}',
    ):
        message = hp.parse(text, tools=tools)
        assert len(message.tool_calls) == 1 and message.content is None, text


def test_registry_lists_and_finds_by_alias() -> None:
    assert {"hermes", "qwen3_coder", "llama3_json", "mistral"} <= {f.id for f in hp.list_families()}
    assert hp.get_family("qwen25").id == "hermes"
    assert hp.get_family("qwen3_xml").id == "qwen3_coder"


def test_unknown_parser_names_the_nearest() -> None:
    for make in (
        lambda: hp.parse("", parser="hermse"),
        lambda: hp.StreamParser(parser="hermse"),
        lambda: hp.get_family("hermse"),
    ):
        with pytest.raises(hp.UnknownParserError, match="hermes") as caught:
            make()
        assert isinstance(caught.value, ValueError) and isinstance(caught.value, hp.HamrParsersError)


def test_openai_passes_text_through(tools: Any) -> None:
    message = hp.parse(CALL, parser="openai", tools=tools)
    assert (message.content, message.tool_calls) == (CALL, [])


# --- tools ---------------------------------------------------------------------------------------------------


def test_tools_that_are_none_name_the_entry(tools: Any) -> None:
    with pytest.raises(hp.InvalidToolsError, match="1"):
        hp.parse("", parser="hermes", tools=[tools[0], {"type": "function", "function": {}}])
    with pytest.raises(ValueError):
        hp.ToolSet([5])


def test_a_tool_set_is_taken_everywhere(tools: Any) -> None:
    compiled = hp.ToolSet(tools)
    assert len(hp.parse(CALL, parser="hermes", tools=compiled).tool_calls) == 1
    stream = hp.StreamParser(parser="hermes", tools=compiled)
    assert pickle.loads(pickle.dumps(stream)).feed(CALL)[0].name == "get_weather"


def get_weather(city: str, days: int = 1) -> None:
    """The weather."""


def test_tools_of_every_kind_type_the_values() -> None:
    from pydantic import BaseModel

    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    model = type("get_weather", (BaseModel,), {"__annotations__": {"city": str, "days": int}})
    text = (
        "<tool_call>\n<function=get_weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
        "</function>\n</tool_call>"
    )
    kinds: list[Any] = [
        {"type": "function", "function": {"name": "get_weather", "parameters": schema}},
        {"type": "function", "name": "get_weather", "parameters": schema},
        {"name": "get_weather", "input_schema": schema},
        {"name": "get_weather", "inputSchema": schema},
        model,
        get_weather,
    ]
    for tool in kinds:
        (call,) = hp.parse(text, parser="qwen3_coder", tools=[tool]).tool_calls
        assert call.arguments_dict() == {"city": "12", "days": 3}, tool


def test_declared_tools_gate_doubtful_starts_by_recovery(tools: Any) -> None:
    bare, unknown = WEATHER, WEATHER.replace("get_weather", "nope")
    assert len(hermes(bare, tools).tool_calls) == 1
    assert len(hermes(bare, tools, recovery="lenient").tool_calls) == 1
    assert len(hermes(bare, tools, recovery="strict").tool_calls) == 0
    assert len(hermes(unknown, tools).tool_calls) == 0
    assert len(hermes(unknown, tools, recovery="lenient").tool_calls) == 1
    assert hermes(bare, None).content == bare
    assert hermes(bare, []).content == bare


def test_no_tools_declared_still_announces_marked_calls() -> None:
    message = hp.parse(CALL, parser="hermes", tools=[])
    assert len(message.tool_calls) == 1
    assert [d.code for d in message.diagnostics] == ["undeclared-tool"]


def test_tool_choice_none_makes_calls_content(tools: Any) -> None:
    message = hermes(f"Hi.\n{CALL}", tools, tool_choice="none")
    assert message.tool_calls == [] and message.content == f"Hi.\n{CALL}" and message.finish_reason == "stop"


@pytest.mark.parametrize("parser", ["hermes", "mistral", "qwen3_coder", "llama3_json"])
def test_tool_choice_required_takes_what_constrained_decoding_writes(parser: str, tools: Any) -> None:
    text = '[{"name": "get_weather", "parameters": {"city": "Oslo"}}, {"name": "now", "parameters": {}}]'
    message = hp.parse(text, parser=parser, tools=tools, tool_choice="required")
    assert [(c.name, c.arguments) for c in message.tool_calls] == [
        ("get_weather", '{"city": "Oslo"}'),
        ("now", "{}"),
    ]
    assert message.content is None


@pytest.mark.parametrize("parser", ["hermes", "mistral", "qwen3_coder", "llama3_json"])
def test_tool_choice_of_a_name_takes_the_arguments_alone(parser: str, tools: Any) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    for given in (choice, "get_weather"):
        message = hp.parse('{"city": "Oslo", "days": 2}', parser=parser, tools=tools, tool_choice=given)
        assert [(c.name, c.arguments) for c in message.tool_calls] == [
            ("get_weather", '{"city": "Oslo", "days": 2}')
        ]
        assert message.content is None


def test_tool_choice_required_takes_arguments_alone_only_of_a_single_tool(tools: Any) -> None:
    text = '{"city": "Oslo"}'
    assert [c.name for c in hermes(text, tools[:1], tool_choice="required").tool_calls] == ["get_weather"]
    assert hermes(text, tools, tool_choice="required").tool_calls == []


# --- reasoning and the prompt --------------------------------------------------------------------------------


def test_starts_in_reasoning_and_prompt_say_where_the_answer_begins(tools: Any) -> None:
    text = "Hm.\n</think>\n\nHello."
    for options in (
        {"starts_in_reasoning": True},
        {"prompt": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n"},
    ):
        stream = hp.StreamParser(parser="hermes", tools=tools, **options)  # type: ignore[arg-type]
        events = [*stream.feed(text), *stream.close()]
        assert [e.type for e in events] == ["reasoning_delta", "content_delta"]
        assert (stream.message.reasoning, stream.message.content) == ("Hm.", "Hello.")


def test_a_closed_block_in_the_prompt_means_outside(tools: Any) -> None:
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    message = hermes("Hello.", tools, prompt=prompt)
    assert (message.reasoning, message.content) == (None, "Hello.")


def test_only_the_prompt_after_the_last_turn_counts(tools: Any) -> None:
    prompt = "<|im_start|>assistant\n<think>\nHm.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert hermes("Hello.", tools, prompt=prompt).content == "Hello."


def test_a_prompt_may_prefill_the_start_of_the_answer(tools: Any) -> None:
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
    message = hermes(f"{WEATHER}\n</tool_call>", tools, prompt=prompt)
    assert [c.name for c in message.tool_calls] == ["get_weather"] and message.content is None


def test_a_closer_alone_reclassifies_what_was_given_out(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    events = [e for c in "Hm. So.\n</think>\n\nHello." for e in stream.feed(c)] + stream.close()
    assert [e["type"] for e in told(events)] == ["content_delta", "reclassified", "content_delta"]
    (event,) = [e for e in events if e.type == "reclassified"]
    assert (event.to, event.length) == ("reasoning", len("Hm. So."))
    assert (stream.message.reasoning, stream.message.content) == ("Hm. So.", "Hello.")


def test_calls_in_reasoning(tools: Any) -> None:
    text = f"<think>\nI call.\n{NOW}\n</think>\n\nDone."
    called = hermes(text, tools)
    assert len(called.tool_calls) == 1 and called.reasoning == "I call."
    left = hermes(text, tools, calls_in_reasoning="text")
    assert left.tool_calls == [] and left.content == "Done." and NOW in left.reasoning


# --- the stream ----------------------------------------------------------------------------------------------


def test_feed_and_close_return_lists_of_events_as_they_come(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    assert [e.to_dict() for e in stream.feed("Hello")] == [{"type": "content_delta", "text": "Hello"}]
    assert stream.feed(" \n<tool_") == []
    start = stream.feed('call>\n{"name": "get_weather", "arguments": {"city": "P')
    assert [e.type for e in start] == ["tool_call_start", "tool_call_delta"]
    assert (start[0].index, start[0].name, start[1].arguments) == (0, "get_weather", '{"city": "P')
    assert [e.arguments for e in stream.feed("aris")] == ["aris"]
    end = stream.feed('"}}\n</tool_call>')
    assert [e.type for e in end] == ["tool_call_delta", "tool_call_end"]
    assert end[1].tool_call.arguments == '{"city": "Paris"}' and end[1].tool_call.id == start[0].id
    assert stream.close() == []
    assert stream.close(finish_reason="stop") == []
    assert stream.message.finish_reason == "tool_calls"


def test_close_gives_out_what_was_held(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    assert told(stream.feed("a <tool_")) == [{"type": "content_delta", "text": "a"}]
    assert told(stream.close()) == [{"type": "content_delta", "text": " <tool_"}]


def test_bytes_may_be_cut_anywhere(tools: Any) -> None:
    text = f"Grüße \U0001f600 漢字\n{CALL}"
    stream = hp.StreamParser(parser="hermes", tools=tools)
    events = [e for byte in text.encode() for e in stream.feed(bytes([byte]))] + stream.close()
    whole = hp.StreamParser(parser="hermes", tools=tools)
    assert told(events) == told([*whole.feed(text), *whole.close()])
    assert stream.message.content == "Grüße \U0001f600 漢字"


def test_half_a_character_at_the_end_is_not_lost_silently(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    stream.feed("ab\U0001f600".encode()[:-1])
    stream.close()
    assert stream.message.content == "ab\ufffd"


def test_bytearray_and_memoryview_are_bytes_too(tools: Any) -> None:
    for kind in (bytearray, memoryview):
        stream = hp.StreamParser(parser="hermes", tools=tools)
        stream.feed(kind(b"Hello"))  # type: ignore[arg-type]
        stream.close()
        assert stream.message.content == "Hello"


def test_two_channels_are_one_machine(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    events = [
        *stream.feed("Thin", channel="reasoning"),
        *stream.feed("king.", channel="reasoning"),
        *stream.feed("Hello.\n", channel="content"),
        *stream.feed(CALL),
        *stream.close(),
    ]
    assert [e["type"] for e in told(events)] == [
        "reasoning_delta",
        "content_delta",
        "tool_call_start",
        "tool_call_delta",
        "tool_call_end",
    ]
    assert (stream.message.reasoning, stream.message.content) == ("Thinking.", "Hello.")


def test_a_call_in_the_reasoning_channel_counts_in_the_same_sequence(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    events = [*stream.feed(f"Hm.\n{NOW}", channel="reasoning"), *stream.feed(CALL), *stream.close()]
    assert [(e.index, e.name) for e in events if e.type == "tool_call_start"] == [
        (0, "now"),
        (1, "get_weather"),
    ]
    assert stream.message.reasoning == "Hm." and stream.message.content is None


def test_an_unknown_channel_is_the_caller_s_mistake(tools: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        hp.StreamParser(parser="hermes", tools=tools).feed("x", channel="other")


def test_message_before_close_is_a_snapshot(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    stream.feed("Hi.\n" + CUT)
    before = stream.message
    assert before.content == "Hi."
    assert [(c.name, c.arguments, c.complete) for c in before.tool_calls] == [
        ("get_weather", '{"city": "Par"}', False)
    ]
    stream.feed('is"}}\n</tool_call>')
    stream.close()
    assert [(c.arguments, c.complete) for c in before.tool_calls] == [('{"city": "Par"}', False)]
    assert [(c.arguments, c.complete) for c in stream.message.tool_calls] == [('{"city": "Paris"}', True)]


def test_a_copy_is_independent(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    stream.feed(CUT)
    for make in (hp.StreamParser.copy, copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))):
        other = make(stream)
        other.feed(' is it"}}\n</tool_call> x')
        other.close()
        assert other.message.tool_calls[0].arguments == '{"city": "Par is it"}'
    stream.feed('is"}}\n</tool_call>')
    stream.close()
    assert stream.message.tool_calls[0].arguments == '{"city": "Paris"}' and stream.message.content is None


def test_collect_false_tells_the_same_events(tools: Any) -> None:
    for text in (f"Hi.\n{CALL}\n{NOW}\nBye.", f"{NOW}\n{CUT}"):
        keeping = hp.StreamParser(parser="hermes", tools=tools)
        passing = hp.StreamParser(parser="hermes", tools=tools, collect=False)
        kept = [*keeping.feed(text), *keeping.close()]
        passed = [*passing.feed(text), *passing.close()]
        assert [e.type for e in kept] == [e.type for e in passed]
        arguments = "".join(e.arguments for e in passed if e.type == "tool_call_delta")
        closing = passed[-1].tool_call.closing if passed[-1].type == "tool_call_end" else ""
        assert arguments + closing == "".join(c.arguments for c in keeping.message.tool_calls)
        assert passing.message.content is None and passing.message.tool_calls == []


def test_iter_events(tools: Any) -> None:
    chunks = [CALL[i : i + 3] for i in range(0, len(CALL), 3)]
    stream = hp.StreamParser(parser="hermes", tools=tools)
    want = told([*(e for c in chunks for e in stream.feed(c)), *stream.close()])
    assert told(list(hp.iter_events(chunks, parser="hermes", tools=tools))) == want
    lazy = hp.iter_events(
        itertools.chain(["Hello "], iter(lambda: "again ", None)), parser="hermes", tools=tools
    )
    assert next(iter(lazy)).text.strip() == "Hello"


def test_aiter_events(tools: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in CALL.encode():
            yield bytes([byte])

    async def read() -> list[Any]:
        return [e async for e in hp.aiter_events(chunks(), parser="hermes", tools=tools)]

    events = asyncio.run(read())
    assert told(events) == told(list(hp.iter_events([CALL], parser="hermes", tools=tools)))


def test_thousands_of_parsers_at_once_do_not_mix(tools: Any) -> None:
    compiled = hp.ToolSet(tools)
    names = ["hermes", "qwen3_coder", "llama3_json", "mistral"]
    texts = {
        "hermes": '<tool_call>\n{{"name": "get_weather", "arguments": {{"city": "c{0}"}}}}\n</tool_call>',
        "qwen3_coder": "<tool_call>\n<function=get_weather>\n<parameter=city>\nc{0}\n</parameter>\n</function>\n"
        "</tool_call>",
        "llama3_json": '{{"name": "get_weather", "parameters": {{"city": "c{0}"}}}}',
        "mistral": '[TOOL_CALLS]get_weather[ARGS]{{"city": "c{0}"}}',
    }
    streams = [(n, hp.StreamParser(parser=names[n % 4], tools=compiled)) for n in range(4000)]
    whole = [texts[names[n % 4]].format(n) for n, _ in streams]
    for at in range(0, max(map(len, whole)), 16):
        for (_, stream), text in zip(streams, whole, strict=True):
            stream.feed(text[at : at + 16])
    for n, stream in streams:
        stream.close()
        assert [c.arguments for c in stream.message.tool_calls] == [f'{{"city": "c{n}"}}']


# --- ids -----------------------------------------------------------------------------------------------------


def test_id_factory_names_the_calls(tools: Any) -> None:
    numbers = itertools.count()
    message = hermes(f"{CALL}\n{NOW}", tools, id_factory=lambda: f"id-{next(numbers)}")
    assert [c.id for c in message.tool_calls] == ["id-0", "id-1"]


def test_mistral_ids_are_nine_alphanumerics_and_the_model_s_is_kept(tools: Any) -> None:
    message = hp.parse(
        "[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]now[CALL_ID]Ab12Cd34E[ARGS]{}", parser="mistral", tools=tools
    )
    assert re.fullmatch(r"[A-Za-z0-9]{9}", message.tool_calls[0].id)
    assert message.tool_calls[1].id == "Ab12Cd34E"


def test_an_id_that_comes_after_the_start_is_the_source_id(tools: Any) -> None:
    text = '[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "Ab12Cd34E"}]'
    stream = hp.StreamParser(parser="mistral", tools=tools)
    events = [e for c in text for e in stream.feed(c)] + stream.close()
    (start,) = [e for e in events if e.type == "tool_call_start"]
    (call,) = stream.message.tool_calls
    assert call.source_id == "Ab12Cd34E" and call.id == start.id


def test_a_repeated_id_is_replaced(tools: Any) -> None:
    text = "[TOOL_CALLS]now[CALL_ID]Ab12Cd34E[ARGS]{}" * 2
    message = hp.parse(text, parser="mistral", tools=tools)
    assert message.tool_calls[0].id == "Ab12Cd34E" != message.tool_calls[1].id
    assert message.tool_calls[1].source_id == "Ab12Cd34E"


# --- arguments that are no object ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["null", '""', "{}"])
def test_no_arguments_are_an_empty_object(value: str, tools: Any) -> None:
    (call,) = hermes(f'<tool_call>{{"name": "now", "arguments": {value}}}</tool_call>', tools).tool_calls
    assert (call.arguments, call.complete) == ("{}", True)


def test_other_values_become_the_only_required_parameter_or_input(tools: Any) -> None:
    text = '<tool_call>{{"name": "{}", "arguments": {}}}</tool_call>'
    one = hermes(text.format("get_weather", '"Oslo"'), tools)
    assert one.tool_calls[0].arguments_dict() == {"city": "Oslo"}
    assert "non-object-arguments" in {d.code for d in one.diagnostics}
    other = hermes(text.format("now", "[1, 2]"), tools)
    assert other.tool_calls[0].arguments_dict() == {"input": [1, 2]}
    assert "non-object-arguments" in {d.code for d in other.diagnostics}


# --- limits --------------------------------------------------------------------------------------------------


def test_max_depth_ends_the_call(tools: Any) -> None:
    text = '<tool_call>{"name": "now", "arguments": {"a": [[[[1]]]]}}</tool_call>'
    assert hermes(text, tools, max_depth=8).tool_calls[0].complete
    shallow = hermes(text, tools, max_depth=3)
    assert not shallow.tool_calls[0].complete
    json.loads(shallow.tool_calls[0].arguments)
    assert "too-deep" in {d.code for d in shallow.diagnostics}


def test_max_held_gives_text_back(tools: Any) -> None:
    text = '<tool_call>{"arguments": {"content": "' + "x" * 500 + '"}, "name": "now"}</tool_call>'
    assert len(hermes(text, tools).tool_calls) == 1
    capped = hermes(text, tools, max_held=100)
    assert capped.tool_calls == [] and capped.content == text
    stream = hp.StreamParser(parser="hermes", tools=tools, max_held=100)
    assert sum(len(e.text) for e in stream.feed(text[:300]) if e.type == "content_delta") > 100


@pytest.mark.parametrize(
    "options",
    [
        {"recovery": "sometimes"}, {"calls_in_reasoning": "maybe"},
        {"max_depth": 0},
        {"max_held": -1}, {"unknown_option": 1},
    ],
)  # fmt: skip
def test_wrong_options_are_said_at_once(options: dict[str, Any], tools: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        hp.StreamParser(parser="hermes", tools=tools, **options)


def test_feed_refuses_what_is_no_text(tools: Any) -> None:
    for wrong in (None, 5, ["x"]):
        with pytest.raises(TypeError):
            hp.StreamParser(parser="hermes", tools=tools).feed(wrong)  # type: ignore[arg-type]


# --- events --------------------------------------------------------------------------------------------------


def test_events_are_plain_values(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    events = [*stream.feed(f"<think>a</think>Hi.\n{CALL.replace('2}', '2,}')}"), *stream.close()]
    assert {e.type for e in events} == {
        "reasoning_delta", "content_delta", "tool_call_start", "tool_call_delta", "diagnostic", "tool_call_end",
    }  # fmt: skip
    for event in events:
        assert json.loads(json.dumps(event.to_dict()))["type"] == event.type
        assert pickle.loads(pickle.dumps(event)) == event == copy.deepcopy(event)


def test_the_deltas_of_one_feed_join_to_the_message(tools: Any) -> None:
    stream = hp.StreamParser(parser="hermes", tools=tools)
    text = f"<think>\nHm.\n</think>\n\nHi.\n{CALL}\n\nBye.\n{NOW}\n"
    events = [e for c in text for e in stream.feed(c)] + stream.close()
    message = stream.message
    assert "".join(e.text for e in events if e.type == "content_delta") == message.content == "Hi.\n\n\nBye."
    assert "".join(e.text for e in events if e.type == "reasoning_delta") == message.reasoning == "Hm."
    assert [e.tool_call for e in events if e.type == "tool_call_end"] == message.tool_calls


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_pickled_parser_goes_on_in_another_process(seed: str, tools: Any, tmp_path: pathlib.Path) -> None:
    begun = {
        "hermes": 'Hi [TOOL_CALLS]get_weather[ARGS]{"city": "Os',
        "auto": "Hi <tool_call>\n<function=get_weather>\n<parameter=city>\nOs",
    }
    for parser, text in begun.items():
        stream = hp.StreamParser(parser=parser, tools=tools)
        stream.feed(text)
        (tmp_path / parser).write_bytes(pickle.dumps(stream))
    program = (
        "import pathlib, pickle, sys\n"
        "for name, rest in (('hermes', 'lo\"}'), ('auto', 'lo\\n</parameter>\\n</function>\\n</tool_call>')):\n"
        "    stream = pickle.loads((pathlib.Path(sys.argv[1]) / name).read_bytes())\n"
        "    stream.feed(rest); stream.close()\n"
        "    print([c.arguments for c in stream.message.tool_calls], stream.message.tool_calls[0].complete)\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["""['{"city": "Oslo"}'] True"""] * 2
