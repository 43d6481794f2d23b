# ruff: noqa: E501 - the samples are texts as models write them
"""The grammars' vocabulary is enough for the formats: grammars read their samples, without a family around them.

Each is compiled and driven directly; those that no family registers stand in `grammars/`. A format that needed more than
its grammar file would need another engine.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hamr_parsers.engine.grammar import Grammar, compile_grammar
from hamr_parsers.engine.machine import Dialect, Machine, Settings
from hamr_parsers.events import (
    ContentDelta,
    Diagnostic,
    ReasoningDelta,
    Reclassified,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from hamr_parsers.families import registry
from hamr_parsers.tools import ToolSet

GRAMMARS = Path(__file__).parent / "grammars"
NAMES = (
    "gpt_oss",
    "kimi_k2",
    "kimi_k3",
    "minicpm5",
    "minimax_m3",
    "gemma4",
    "deepseek_v32",
    "lines",
    "apertus",
    "functionary_v31",
    "functionary_v32",
)

TOOLS: dict[str, dict[str, Any]] = {
    "get_weather": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "now": {},
    "write_file": {"path": {"type": "string"}, "content": {"type": "string"}},
    "set_opts": {
        "name": {"type": "string"},
        "flag": {"type": "boolean"},
        "ratio": {"type": "number"},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "opts": {"type": "object"},
        "note": {"type": ["string", "null"]},
    },
    "order": {
        "id": {"type": "integer"},
        "to": {"type": "object", "properties": {"zip": {"type": "string"}}},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "ping": {},
}


@lru_cache
def grammar(name: str) -> Grammar:
    path = GRAMMARS / f"{name}.lark"
    text = path.read_text(encoding="utf-8") if path.exists() else registry.packaged_text(path.name)
    return compile_grammar(text, f"tests/{name}", registry.packaged_text)


class Case(NamedTuple):
    grammar: str
    title: str
    text: str
    content: str | None = None
    reasoning: str | None = None
    calls: tuple[dict[str, Any], ...] = ()
    inside: bool | None = None
    """Whether the prompt opened the reasoning."""
    codes: tuple[str, ...] = ()
    """What the diagnostics say."""
    tools: bool = True
    untyped: str = "string"
    finish_reason: str | None = "stop"
    lacks: str = ""
    """Why the engine cannot read it yet."""


def call(
    name: str, arguments: dict[str, Any], ident: str | None = None, complete: bool = True
) -> dict[str, Any]:
    return {"name": name, "arguments": arguments, "id": ident, "complete": complete}


PARIS = {"city": "Paris", "days": 2}
NS = "]<]minimax[>["


def ns(text: str) -> str:
    """MiniMax M3's tags, each behind its namespace token."""
    return text.replace("@<", NS + "<")


CASES = [
    # -- apertus: the key is the name
    Case(
        "apertus",
        "an object with two keys is two calls",
        '<|inner_prefix|>Both.<|inner_suffix|>Now:<|tools_prefix|>[{"get_weather": {"city": "Paris", "days": 2}, '
        '"now": {}}]<|tools_suffix|><|assistant_end|>',
        "Now:",
        "Both.",
        (call("get_weather", PARIS), call("now", {})),
    ),
    Case(
        "apertus",
        "a second key that holds no object is none, and a call object is one",
        '<|tools_prefix|>[{"get_weather": {"city": "Paris", "days": 2}, "why": "x"}, {"name": "now", "arguments": {}}, '
        '{"name": {"a": 1}}, {"input": {"b": "{"}}]',
        calls=(
            call("get_weather", PARIS),
            call("now", {}),
            call("name", {"a": 1}),
            call("input", {"b": "{"}),
        ),
        codes=("extra-key", "undeclared-tool", "undeclared-tool"),
    ),
    Case(
        "apertus",
        "cut in the second call of an object",
        '<|tools_prefix|>[{"now": {}, "write_file": {"path": "a", "content": "b',
        calls=(call("now", {}), call("write_file", {"path": "a", "content": "b"}, complete=False)),
        codes=("cut",),
    ),
    Case(
        "apertus",
        "a key with blanks is no name",
        '<|tools_prefix|>[{"get weather": {}}]<|tools_suffix|>',
        '<|tools_prefix|>[{"get weather": {}}]<|tools_suffix|>',
        codes=("failed-start",),
    ),
    # -- functionary: a text that is all of the arguments
    Case(
        "functionary_v31",
        "code behind the marker that says whose it is",
        "Sum.<|python_tag|>print(1 << 2)\n<|eom_id|>",
        "Sum.",
        calls=(call("python", {"input": "print(1 << 2)\n"}),),
        codes=("undeclared-tool",),
    ),
    Case(
        "functionary_v32",
        "segments; what is no recipient is text",
        'all\n>>> import x\n>>>foo\nok>>>get_weather\n{"city": "Paris", "days": 2}>>>all\nDone.<|eot_id|>',
        ">>> import x\n>>>foo\nokDone.",
        calls=(call("get_weather", PARIS),),
    ),
    Case(
        "functionary_v32",
        "code ends at a recipient only",
        'python\nx = ">>>all"\n>>>foo\n>>>now\n{}',
        calls=(call("python", {"input": 'x = ">>>all"\n>>>foo\n'}), call("now", {})),
        codes=("undeclared-tool",),
    ),
    Case("functionary_v32", "an answer without a recipient", "now\nand then", "now\nand then"),
    Case(
        "functionary_v32",
        "code that the end cut off",
        "python\nx = 1",
        calls=(call("python", {"input": "x = 1"}, complete=False),),
        codes=("undeclared-tool", "cut"),
        finish_reason=None,
    ),
    # -- gpt_oss
    Case(
        "gpt_oss",
        "reasoning, preamble, call",
        "<|channel|>analysis<|message|>Need weather.<|end|><|start|>assistant<|channel|>commentary<|message|>Let me "
        "check.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
        '{"city": "Paris", "days": 2}',
        "Let me check.",
        "Need weather.",
        (call("get_weather", PARIS),),
    ),
    Case(
        "gpt_oss",
        "recipient in the role header",
        " to=functions.now<|channel|>commentary json<|message|>{}<|call|>",
        calls=(call("now", {}),),
    ),
    Case(
        "gpt_oss",
        "final answer",
        "<|channel|>analysis<|message|>Simple.<|end|><|start|>assistant<|channel|>final<|message|>It is 42.<|return|>",
        "It is 42.",
        "Simple.",
    ),
    Case(
        "gpt_oss",
        "call in the analysis channel",
        "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant to=functions.get_weather<|channel|>analysis "
        '<|constrain|>json<|message|>{"city": "Zürich"}<|call|>',
        None,
        "Look.",
        (call("get_weather", {"city": "Zürich"}),),
    ),
    Case(
        "gpt_oss",
        "two calls, the stop token between them",
        '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "<|call|>"}<|call|><|start|>'
        "assistant<|channel|>commentary to=functions.now json<|message|>{}<|call|>",
        calls=(call("get_weather", {"city": "<|call|>"}), call("now", {})),
    ),
    Case(
        "gpt_oss",
        "the call's name is glued to the constrain marker",
        "<|channel|>commentary to=functions.now<|constrain|>json<|message|>{}",
        calls=(call("now", {}),),
    ),
    Case(
        "gpt_oss",
        "cut call",
        '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Par',
        calls=(call("get_weather", {"city": "Par"}, complete=False),),
        codes=("cut",),
    ),
    Case(
        "gpt_oss",
        "another content type, text behind the call",
        "<|channel|>commentary to=functions.now <|constrain|>code<|message|>{}<|call|><|start|>assistant<|channel|>final"
        "<|message|>Done.<|return|>",
        "Done.",
        calls=(call("now", {}),),
    ),
    Case(
        "gpt_oss",
        "a gateway removed the special tokens",
        "analysisSimple.assistantfinalIt is 42.",
        "It is 42.",
        "Simple.",
    ),
    # -- kimi_k2
    Case(
        "kimi_k2",
        "reasoning, content, two calls",
        "<think>Need weather.</think>Let me check.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
        '<|tool_call_argument_begin|>{"city": "Paris", "days": 2}<|tool_call_end|><|tool_call_begin|>functions.now:1'
        "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|><|im_end|>",
        "Let me check.",
        "Need weather.",
        (call("get_weather", PARIS, "functions.get_weather:0"), call("now", {}, "functions.now:1")),
    ),
    Case(
        "kimi_k2",
        "call out of the reasoning, later turn",
        "<think>Now the file.<|tool_calls_section_begin|><|tool_call_begin|>functions.write_file:5"
        '<|tool_call_argument_begin|>{"path": "a", "content": "{\\"x\\": \\"}\\"}"}<|tool_call_end|>'
        "<|tool_calls_section_end|>",
        None,
        "Now the file.",
        (call("write_file", {"path": "a", "content": '{"x": "}"}'}, "functions.write_file:5"),),
    ),
    Case(
        "kimi_k2",
        "no section, no prefix, spaces",
        'Checking.<|tool_call_begin|> get_weather:0 <|tool_call_argument_begin|> {"city": "Paris"} <|tool_call_end|>',
        "Checking.",
        calls=(call("get_weather", {"city": "Paris"}, "get_weather:0"),),
    ),
    Case(
        "kimi_k2",
        "call closer missing",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{}<|tool_calls_section_end|>",
        calls=(call("now", {}, "functions.now:0"),),
        codes=("missing-closer",),
    ),
    Case(
        "kimi_k2",
        "dotted name, no index",
        "<|tool_call_begin|>functions.a.b-c:3<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_call_begin|>"
        "functions.now<|tool_call_argument_begin|><|tool_call_end|>",
        calls=(call("a.b-c", {}, "functions.a.b-c:3"), call("now", {}, "functions.now")),
        tools=False,
    ),
    Case(
        "kimi_k2",
        "a gateway removed the special tokens",
        'Well. functions.get_weather:0{"city": "Paris"}functions.now:1{} and functions.other:2{} is text',
        "Well.  and functions.other:2{} is text",
        calls=(call("get_weather", {"city": "Paris"}), call("now", {})),
        codes=("missing-opener", "missing-opener"),
    ),
    Case(
        "kimi_k2",
        "a counter in place of the name",
        '<|tool_call_begin|>7<|tool_call_argument_begin|>{"days": 2, "city": "Paris"}<|tool_call_end|><|tool_call_begin|>8'
        '<|tool_call_argument_begin|>{"x": 1}<|tool_call_end|>',
        '<|tool_call_begin|>8<|tool_call_argument_begin|>{"x": 1}<|tool_call_end|>',
        calls=(call("get_weather", {"days": 2, "city": "Paris"}, "7"),),
        codes=("failed-start",),
    ),
    # -- minimax_m3
    Case(
        "minimax_m3",
        "nested arguments",
        ns(
            '<mm:think>plan</mm:think>Done soon.@<tool_call>\n@<invoke name="order">@<id>42@</id>@<to>@<zip>01895@</zip>'
            "@</to>@<tags>@<item>a@</item>@<item>b@</item>@</tags>@</invoke>\n@</tool_call>[e~["
        ),
        "Done soon.",
        "plan",
        (call("order", {"id": 42, "to": {"zip": "01895"}, "tags": ["a", "b"]}),),
    ),
    Case(
        "minimax_m3",
        "stray closer, plain answer",
        "</mm:think>Hello.[e~[",
        "Hello.",
        inside=False,
        codes=("stray-closer",),
    ),
    Case(
        "minimax_m3",
        "call without arguments",
        ns('@<tool_call>\n@<invoke name="ping">@</invoke>\n@</tool_call>'),
        calls=(call("ping", {}),),
    ),
    Case(
        "minimax_m3",
        "deeper, without schema",
        ns(
            '@<tool_call>\n@<invoke name="f">@<a>@<b>@<c> 1 <x> @</c>@</b>@<d>two\n@</d>@</a>@<l>@<item>@<k>v@</k>@</item>'
            "@<item>w@</item>@</l>@</invoke>\n@</tool_call>"
        ),
        calls=(call("f", {"a": {"b": {"c": " 1 <x> "}, "d": "two\n"}, "l": [{"k": "v"}, "w"]}),),
        tools=False,
    ),
    Case(
        "minimax_m3",
        "empty object and array",
        ns('@<tool_call>\n@<invoke name="order">@<to>@</to>@<tags>@</tags>@</invoke>\n@</tool_call>'),
        calls=(call("order", {"to": {}, "tags": []}),),
    ),
    Case(
        "minimax_m3",
        "cut inside a nested member",
        ns('@<tool_call>\n@<invoke name="order">@<to>@<zip>018'),
        calls=(call("order", {"to": {"zip": "018"}}, complete=False),),
        codes=("cut",),
        finish_reason="length",
    ),
    # -- gemma4
    Case(
        "gemma4",
        "reasoning, content, two calls",
        '<|channel>thought\nNeed options.\n<channel|>Let me check.<|tool_call>call:set_opts{count:3,flag:true,name:<|"|>42'
        '<|"|>,note:null,opts:{a:[1,<|"|>x<|"|>]}}<tool_call|><|tool_call>call:now{}<tool_call|><|tool_response>',
        "Let me check.",
        "Need options.",
        (
            call("set_opts", {"count": 3, "flag": True, "name": "42", "note": None, "opts": {"a": [1, "x"]}}),
            call("now", {}),
        ),
    ),
    Case(
        "gemma4",
        "braces and newline in a string, bare prefix, closer missing",
        '<|tool_call>:write_file{content:<|"|>{"k": "v,}"}\nend<|"|>,path:<|"|>a.json<|"|>}',
        calls=(call("write_file", {"content": '{"k": "v,}"}\nend', "path": "a.json"}),),
    ),
    Case(
        "gemma4",
        "empty channel and stray closer around an answer",
        "<|channel>thought\n<channel|>Hello.<channel|><turn|>",
        "Hello.",
        codes=("stray-closer",),
    ),
    Case(
        "gemma4",
        "parentheses",
        '<|tool_call>call:get_weather(city:<|"|>Paris<|"|>,days:2)<tool_call|>',
        calls=(call("get_weather", PARIS),),
    ),
    Case(
        "gemma4",
        "opening token missing, schema without one for the key",
        '<|tool_call>call:get_weather{city:Paris<|"|>,days:2,unit:7}<tool_call|>',
        calls=(call("get_weather", {**PARIS, "unit": 7}),),
        codes=("missing-quote",),
    ),
    Case(
        "gemma4",
        "closer of the object missing",
        "<|tool_call>call:set_opts{opts:{a:[1,2<tool_call|><|tool_call>call:now{}<tool_call|>",
        calls=(call("set_opts", {"opts": {"a": [1, 2]}}), call("now", {})),
        codes=("missing-closer",) * 3,
    ),
    Case(
        "gemma4",
        "cut in a string",
        'Hi<|tool_call>call:get_weather{city:<|"|>Par',
        "Hi",
        calls=(call("get_weather", {"city": "Par"}, complete=False),),
        codes=("cut",),
        finish_reason="length",
    ),
    Case(
        "minimax_m3",
        "closers that name their element",
        ns(
            '@<invoke name="order">@<to>@<zip>0@</to>@<tags>@<item>a</b>@</item> so @<item>b@</item>@</tags>@<id>4@</id> what '
            "do you say?@</invoke>"
        ),
        calls=(call("order", {"to": {"zip": "0"}, "tags": ["a</b>", "b"], "id": 4}),),
        codes=("missing-closer", "junk", "junk"),
    ),
    # -- deepseek_v32
    Case(
        "deepseek_v32",
        "content, two calls, all value kinds",
        "Let me check.\n\n<｜DSML｜function_calls>\n"
        '<｜DSML｜invoke name="set_opts">\n<｜DSML｜parameter name="name" string="true">42</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="flag" string="false">true</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="count" string="false">3</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="tags" string="false">["a", "b"]</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="note" string="false">null</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        '<｜DSML｜invoke name="now">\n</｜DSML｜invoke>\n</｜DSML｜function_calls><｜end▁of▁sentence｜>',
        "Let me check.",
        calls=(
            call("set_opts", {"name": "42", "flag": True, "count": 3, "tags": ["a", "b"], "note": None}),
            call("now", {}),
        ),
    ),
    Case(
        "deepseek_v32",
        "thinking on, line breaks and indentation",
        'Write it.</think>\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="write_file">\n'
        '<｜DSML｜parameter name="path" string="true">a.py</｜DSML｜parameter>\n<｜DSML｜parameter name="content" string="true">'
        '  if x:\n    y = "</p>"\n</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
        None,
        "Write it.",
        (call("write_file", {"path": "a.py", "content": '  if x:\n    y = "</p>"\n'}),),
        inside=True,
    ),
    Case(
        "deepseek_v32",
        "JSON body, block opener missing",
        '<｜DSML｜invoke name="get_weather">\n{"city": "Paris", "days": 2}\n</｜DSML｜invoke>',
        calls=(call("get_weather", PARIS),),
    ),
    Case(
        "deepseek_v32",
        "attribute missing, by the schema; parameter closer missing",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city">42</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="days">3\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
        calls=(call("get_weather", {"city": "42", "days": 3}),),
        codes=("missing-closer",),
    ),
    Case(
        "deepseek_v32",
        "what should be JSON and is none; a string that is a number, without tools",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="f">\n<｜DSML｜parameter name="a" string="false">no json</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="b" string="true">1</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
        calls=(call("f", {"a": "no json", "b": "1"}),),
        tools=False,
    ),
    Case(
        "deepseek_v32",
        "without the DSML token, and self-closing",
        '<function_calls>\n<invoke name="now"/>\n<invoke name="get_weather">\n<parameter name="city" string="true">Paris</parameter>'
        '\n<parameter name="days" string="false">2</parameter>\n</invoke>\n</function_calls>',
        calls=(call("now", {}), call("get_weather", PARIS)),
    ),
    Case(
        "deepseek_v32",
        "tags without the DSML token in a value",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="write_file">\n<｜DSML｜parameter name="content" string="true">'
        '<invoke name="f">\n<parameter name="a">b</parameter>\n</invoke>\n</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        "</｜DSML｜function_calls>",
        calls=(
            call(
                "write_file", {"content": '<invoke name="f">\n<parameter name="a">b</parameter>\n</invoke>\n'}
            ),
        ),
    ),
    Case(
        "deepseek_v32",
        "a parameter that holds the arguments, and another one",
        '<｜DSML｜invoke name="get_weather"><｜DSML｜parameter name="input" string="true">{ "city": "Paris"}</｜DSML｜parameter>'
        '<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter></｜DSML｜invoke>',
        calls=(call("get_weather", PARIS),),
        codes=("wrapped-arguments",),
    ),
    Case(
        "deepseek_v32",
        "no such object: the parameter is what it says",
        '<｜DSML｜invoke name="get_weather"><｜DSML｜parameter name="input" string="false">{"zip": 1}</｜DSML｜parameter>'
        "</｜DSML｜invoke>",
        calls=(call("get_weather", {"input": {"zip": 1}}),),
    ),
    Case(
        "deepseek_v32",
        "what is wrapped is cut",
        '<｜DSML｜invoke name="set_opts"><｜DSML｜parameter name="arguments" string="false">{"name": "n", "opts": {"a": [1, ',
        calls=(call("set_opts", {"name": "n", "opts": {"a": [1]}}, complete=False),),
        codes=("wrapped-arguments", "cut"),
        finish_reason="length",
    ),
    # -- minicpm5: entities
    Case(
        "minicpm5",
        "entities are decoded outside of CDATA",
        '<function name="write_file"><param name="path">a&amp;b &lt;&amp;lt; &copy; &</param><param name="content">'
        "<![CDATA[&lt;]]></param></function>",
        calls=(call("write_file", {"path": "a&b <&lt; &copy; &", "content": "&lt;"}),),
    ),
    Case(
        "minicpm5",
        "entities in an object, in names and keys",
        '<function name="f&amp;g"><param name="a&quot;b"> {&quot;k&quot;: [1, &apos;v&apos;]}</param></function>',
        calls=(call("f&g", {'a"b': {"k": [1, "v"]}}),),
        codes=("single-quotes",),
        tools=False,
        untyped="json",
    ),
    # -- kimi_k3: headers of text, escaped attributes
    Case(
        "kimi_k3",
        "a channel's header ends the reasoning; a stump of a marker at the end",
        "Why.<|open|>response<|sep|>So.<|close|>resp",
        "So.",
        "Why.",
        inside=True,
    ),
    Case(
        "kimi_k3",
        "brackets and escapes in attributes",
        '<|open|>call tool="a<b&amp;c" index="1"<|sep|><|open|>argument key="k &lt;&quot;" type="string"<|sep|>&amp;'
        "<|close|>argument<|sep|><|close|>call<|sep|>",
        calls=(call("a<b&c", {'k &lt;"': "&amp;"}),),
        tools=False,
    ),
    # -- arguments as lines
    Case(
        "lines",
        "types as the schema says, blanks around do not count",
        'Go.\n<call set_opts, v=1>\n name:  a: b  c \nflag: true\ncount:3\ntags: ["x", "y"]\nnote: null\n</call> Done.<eot>',
        "Go.\n Done.",
        calls=(
            call("set_opts", {"name": "a: b  c", "flag": True, "count": 3, "tags": ["x", "y"], "note": None}),
        ),
    ),
    Case(
        "lines",
        "no arguments",
        "<call now></call><call now>\n</call>",
        calls=(call("now", {}), call("now", {})),
    ),
    Case(
        "lines",
        "a line that is no member, and an empty one",
        "<call f>\n\nwhat is this\na: 1\nb:\n</call>",
        calls=(call("f", {"a": 1, "b": ""}),),
        codes=("undeclared-tool", "junk"),
        untyped="json",
    ),
    Case(
        "lines",
        "cut in a value",
        "<call write_file>path: a\ncontent: Hello wor",
        calls=(call("write_file", {"path": "a", "content": "Hello wor"}, complete=False),),
        codes=("cut",),
    ),
    Case(
        "lines",
        "the end of the turn in a value, which it does not close",
        "<call write_file>path: a <eot>",
        calls=(call("write_file", {"path": "a"}, complete=False),),
        codes=("cut", "missing-closer"),
    ),
    Case(
        "lines",
        "the end of the turn behind a line",
        "<call write_file>path: a\n<eot>",
        calls=(call("write_file", {"path": "a"}),),
    ),
    Case(
        "lines",
        "a lazy marker is over at its first match",
        "<call write_file type=x>path: a > b\n</call>",
        calls=(call("write_file", {"path": "a > b"}),),
    ),
]


def ids() -> Callable[[], str]:
    counter = count()
    return lambda: f"call_{next(counter)}"


def events(case: Case, pieces: list[str], **options: Any) -> list[tuple[Any, ...]]:
    """The events of a text that comes in pieces, adjacent deltas joined."""
    tools = [
        {"type": "function", "function": {"name": n, "parameters": {"properties": p}}}
        for n, p in TOOLS.items()
    ]
    dialect = Dialect(case.grammar, grammar(case.grammar), False, case.untyped, None, ids())
    machine = Machine(dialect, Settings(ToolSet.of(tools) if case.tools else None, **options), case.inside)
    found: list[tuple[Any, ...]] = []
    raw: list[Any] = []
    for piece in pieces:
        raw += machine.feed(piece)
    raw += machine.close(case.finish_reason)
    assert machine.close() == []
    for event in raw:
        match event:
            case ContentDelta(text) | ReasoningDelta(text) | ToolCallDelta(_, text):
                assert text
                if found and found[-1][0] == event.type:
                    found[-1] = (event.type, found[-1][1] + text)
                else:
                    found.append((event.type, text))
            case ToolCallStart(index, ident, name):
                found.append((event.type, index, ident, name))
            case ToolCallEnd(index, tool_call):
                found.append((event.type, index, tool_call.arguments, tool_call.closing, tool_call.complete))
            case Diagnostic(code, _, start, end):
                found.append((event.type, code, start, end))
            case Reclassified(to, length):
                found.append((event.type, to, length))
    return found


def message(found: list[tuple[Any, ...]]) -> dict[str, Any]:
    """What the events say, joined."""
    content = reasoning = ""
    calls: list[dict[str, Any]] = []
    codes: list[str] = []
    streamed = ""
    for kind, *values in found:
        if kind == "content_delta":
            content += values[0]
        elif kind == "reasoning_delta":
            reasoning += values[0]
        elif kind == "reclassified":
            reasoning += content[len(content) - values[1] :]
            content = content[: len(content) - values[1]]
        elif kind == "tool_call_start":
            calls.append({"name": values[2], "id": values[1]})
            streamed = ""
        elif kind == "tool_call_delta":
            streamed += values[0]
        elif kind == "tool_call_end":
            _, arguments, closing, complete = values
            assert arguments == streamed + closing
            assert not (complete and closing)
            calls[-1].update(arguments=json.loads(arguments), complete=complete)
        else:
            codes.append(values[0])
    return {"content": content or None, "reasoning": reasoning or None, "calls": calls, "codes": codes}


def params() -> list[Any]:
    out = []
    for case in CASES:
        marks = [pytest.mark.xfail(strict=True, reason=case.lacks)] if case.lacks else []
        out.append(pytest.param(case, id=f"{case.grammar}: {case.title}", marks=marks))
    return out


@pytest.mark.parametrize("name", NAMES)
def test_compiles(name: str) -> None:
    assert grammar(name).terminals


@pytest.mark.parametrize("case", params())
def test_samples(case: Case) -> None:
    whole = events(case, [case.text])
    found = message(whole)
    expected = [
        {**wanted, "id": wanted["id"] or f"call_{number}"}
        for wanted, number in zip(case.calls, range(len(case.calls)), strict=True)
    ]
    assert found["calls"] == expected
    assert (found["content"], found["reasoning"]) == (case.content, case.reasoning)
    assert found["codes"] == list(case.codes)


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{c.grammar}: {c.title}") for c in CASES])
def test_any_cutting(case: Case) -> None:
    """The same events, also if the text is cut off anywhere; the spans tile it."""
    rng = random.Random(case.text)
    text = case.text
    for end in {len(text), *(rng.randrange(len(text)) for _ in range(8))}:
        whole = events(case, [text[:end]])
        assert events(case, list(text[:end])) == whole
        assert events(case, [text[:end]], trace=True) == whole
        for _ in range(8):
            marks = sorted({0, end, *(rng.randrange(end + 1) for _ in range(rng.randrange(1, 8)))})
            assert events(case, [text[a:b] for a, b in zip(marks, marks[1:], strict=False)]) == whole
        message(whole)


HARMED = [
    (
        "deepseek_v32",
        '<｜DSML｜function_calls><｜DSML｜invoke name="now"></｜DSML｜invoke><｜DSML｜invoke name="e</｜DSML｜invoke>a',
    ),
    ("deepseek_v32", '<function_calls><invoke name="now"><parameter name="c">x<｜DSML｜parameter name="'),
    ("gpt_oss", "to=functions.now<|message|>{}<<|call|>"),
    ("kimi_k2", "functions.now:0{}<|tool_call_end|><|tool_call_begin|>functions.now<|tool_call_end|>"),
    (
        "minimax_m3",
        ns('@<tool_call>@<invoke name="f">@<a>@<b>1@</a>@</invoke>@<invoke name="g">@<a@</tool_call>'),
    ),
    ("gemma4", '<|tool_call>call:now<tool_call|><|tool_call>call:f{a:<|"|>}<tool_call|>'),
]


@pytest.mark.parametrize(("name", "text"), HARMED)
def test_harmed(name: str, text: str) -> None:
    case = Case(name, "harmed", text)
    whole = events(case, [text])
    assert events(case, list(text)) == whole
    message(whole)


@pytest.mark.parametrize("name", NAMES)
def test_mutations(name: str) -> None:
    """Whatever becomes of a sample, all cuttings give the same events, and every call's arguments are JSON."""
    rng = random.Random(name)
    cases = [c for c in CASES if c.grammar == name]
    tokens = [*grammar(name).literals.values(), '<|"|>', " ", "\n", "{", "}", '"', ",", "x", "`"]
    for _ in range(300):
        case = rng.choice(cases)
        text = case.text
        for _ in range(rng.randrange(1, 4)):
            a = rng.randrange(len(text) + 1)
            b = a + rng.randrange(12)
            text = rng.choice(
                (text[:a] + text[b:], text[:a] + rng.choice(tokens) + text[a:], text[:b] + text[a:], text[:a])
            )
        text = text or "x"
        case = case._replace(text=text, finish_reason=rng.choice(("stop", None, "length")))
        whole = events(case, [text])
        message(whole)
        marks = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(4))})
        for pieces in (list(text), [text[a:b] for a, b in zip(marks, marks[1:], strict=False)]):
            assert events(case, pieces) == whole, repr(text)


def test_a_terminal_is_that_of_the_nearest_file_that_defines_it() -> None:
    """Also where the file between has it redefined, and no rule of its own that uses it."""
    files = {
        "far.lark": 'far_call: OPEN NAME END_OPEN\nOPEN: "<far>"\nEND_OPEN: "</far>"\n',
        "between.lark": '%import .far (far_call)\nstart: (CONTENT | far_call)*\nOPEN: "<between>"\n',
    }
    own = compile_grammar('%import .between (start)\nEND_OPEN: "</own>"\n', "test/nearest", files.__getitem__)
    assert own.literals == {"OPEN": "<between>", "END_OPEN": "</own>"}
