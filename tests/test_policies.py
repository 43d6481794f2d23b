"""Case records with options (tool_choice, recovery, prompt, ...): the policies, one sentence at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.transcripts.cases import judge, read_records

LINES = (Path(__file__).parent / "data" / "options.jsonl").read_text(encoding="utf-8").splitlines()


def _cases() -> list[Any]:
    found = []
    for line in LINES:
        data = json.loads(line)
        options = data.pop("options")
        (record,) = read_records(json.dumps(data), "options.jsonl")
        found.append(pytest.param(record, options, id=record.id))
    return found


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize(("record", "options"), _cases())
def test_policy(record: Any, options: dict[str, Any], size: int) -> None:
    options = {"parser": record.parser, "tools": record.tools, **options}
    reason = options.pop("finish_reason", None)
    if record.thinking is not None:
        options["starts_in_reasoning"] = record.thinking
    stream = hp.StreamParser(**options)
    step = size or max(1, len(record.text))
    for at in range(0, len(record.text), step):
        stream.feed(record.text[at : at + step])
    stream.close(reason)
    assert judge(record, stream.message) is None


def test_members_that_nest_too_deeply_end_their_call_alone() -> None:
    """What is left of the call is passed over; the next one, and the text behind, are read."""
    ns = "]<]minimax[>["
    deep = f"{ns}<a>" * 6 + "x" + f"{ns}</a>" * 6
    calls = f'{ns}<invoke name="set_opts">{deep}{ns}</invoke>\n{ns}<invoke name="now">{ns}</invoke>'
    text = f"{ns}<tool_call>\n{calls}\n{ns}</tool_call>Done."
    for step in (len(text), 1, 7):
        stream = hp.StreamParser(parser="minimax_m3", max_depth=5)
        for at in range(0, len(text), step):
            stream.feed(text[at : at + step])
        stream.close()
        found = [
            (c.name, c.complete, c.arguments_dict(allow_incomplete=True)) for c in stream.message.tool_calls
        ]
        assert found == [("set_opts", False, {"a": {"a": {"a": {"a": {}}}}}), ("now", True, {})]
        assert stream.message.content == "Done."
        assert "too-deep" in {d.code for d in stream.message.diagnostics}


def test_a_quoted_object_that_nests_too_deeply_ends_its_call_alone() -> None:
    tools = [
        {"name": "set_opts", "parameters": {"type": "object", "properties": {"opts": {"type": "object"}}}}
    ]
    deep = "<escape>{'a': " + "[" * 9 + "]" * 9 + "}<escape>"
    calls = (
        f"call:set_opts{{opts:{deep}}}<end_function_call><start_function_call>call:now{{}}<end_function_call>"
    )
    text = f"<start_function_call>{calls}Done."
    told = set()
    for step in (len(text), 1, 7):
        stream = hp.StreamParser(parser="functiongemma", tools=tools, max_depth=5)
        for at in range(0, len(text), step):
            stream.feed(text[at : at + step])
        stream.close()
        found = [
            (c.name, c.complete, c.arguments_dict(allow_incomplete=True)) for c in stream.message.tool_calls
        ]
        assert found[0][:2] == ("set_opts", False)
        assert found[1:] == [("now", True, {})]
        assert stream.message.content == "Done."
        told.add(str([(d.code, d.start, d.end) for d in stream.message.diagnostics]))
    assert len(told) == 1


@pytest.mark.parametrize("family", ["auto", "llama3_json", "mistral", "deepseek_v31", "hermes"])
def test_a_word_that_might_begin_a_call_stays_in_the_field_that_it_came_in(family: str) -> None:
    tools = [{"type": "function", "function": {"name": "get", "parameters": {}}}]
    parser = hp.StreamParser(parser=family, tools=tools)
    parser.feed("Hi", channel="content")
    parser.feed("think about it.", channel="reasoning")
    parser.feed("More", channel="content")
    parser.close("stop")
    assert (parser.message.content, parser.message.reasoning) == ("HiMore", "think about it.")


@pytest.mark.parametrize(
    ("family", "head", "openers"),
    [
        ("qwen3_coder", "<tool_call>\n<function=f>\n<parameter=a>\nx\n</parameter>", "\n<parameter="),
        ("glm45", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>x</arg_value>", "\n<arg_key>"),
        (
            "minimax_m2",
            '<minimax:tool_call>\n<invoke name="f">\n<parameter name="a">x</parameter>',
            '\n<parameter name="',
        ),
    ],
)
def test_a_text_that_ends_in_the_opener_of_another_argument_is_cut_whatever_the_finish_reason(
    family: str, head: str, openers: str
) -> None:
    """Proxies invent `stop` where a stream died."""
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}, "b": {}}}}}
    ]
    for end in range(2, len(openers) + 1):
        text = head + openers[:end]
        for pieces in ([text], list(text)):
            parser = hp.StreamParser(parser=family, tools=tools)
            for piece in pieces:
                parser.feed(piece)
            parser.close("stop")
            assert not parser.message.tool_calls[0].complete, text
            assert parser.message.finish_reason == "length"
    assert hp.parse(head, parser=family, tools=tools, finish_reason="stop").tool_calls[0].complete
