"""`render`: `parse(render(m)) == m`, or an error that names the family, what it cannot express and the way out."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hamr_parsers as hp
from hamr_parsers.families import registry
from hamr_parsers.render import _read, _Writer

from .fuzz import blocks
from .fuzz.case import TOOL_SETS
from .fuzz.draw import Draw, HypothesisDraw

FAMILIES = blocks.families()

family = pytest.mark.parametrize("family", FAMILIES)

GRAMMAR = registry.grammar_text(registry.get_family("hermes"))


def same(a: Any, b: Any) -> bool:
    """Equal as JSON values: 5 is 5.0, but true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def call(name: str, arguments: Any, id: str | None = None) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    out: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": text}}
    return out if id is None else {"id": id, **out}


def assert_same(message: dict[str, Any], read: hp.ParsedMessage, ids: bool) -> None:
    assert (read.content or "").strip() == (message.get("content") or "").strip()
    assert (read.reasoning or "").strip() == (message.get("reasoning_content") or "").strip()
    wanted = message.get("tool_calls") or []
    assert [c.name for c in read.tool_calls] == [c["function"]["name"] for c in wanted]
    for got, want in zip(read.tool_calls, wanted, strict=True):
        assert got.complete
        assert same(got.arguments_dict(), json.loads(want["function"]["arguments"]))
        if ids and "id" in want:
            assert want["id"] in (got.id, got.source_id)


# --- the law -------------------------------------------------------------------------------------------------


def any_message(draw: Draw, family: str) -> dict[str, Any]:
    """A message of any kind, with markers of the family in its texts now and then."""
    vocabulary = blocks.vocabulary(family)
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if draw.chance(50):
        message["content"] = blocks.string_text(draw, vocabulary)
    if draw.chance(25):
        message["reasoning_content"] = blocks.string_text(draw, vocabulary)
    if draw.chance(80):
        message["tool_calls"] = [
            call(
                blocks.name(draw) or "now",
                blocks.arguments(draw, vocabulary),
                draw.pick((None, "abcDEF123", "call_1", "functions.now:3", "a b")),
            )
            for _ in range(draw.number(1, 3))
        ]
    return message


@family
def test_what_is_written_is_read_or_refused(family: str) -> None:
    ids = "{id}" in hp.get_family(family).canonical["call"]

    @st.composite
    def drawn(draw: Any) -> tuple[dict[str, Any], str, bool]:
        source = HypothesisDraw(draw)
        return any_message(source, family), source.pick(tuple(TOOL_SETS)), source.chance(30)

    @settings(max_examples=10)
    @given(drawn())
    def holds(case: tuple[dict[str, Any], str, bool]) -> None:
        message, tool_set, inside = case
        tools = TOOL_SETS[tool_set]
        inside = inside and hp.get_family(family).reasoning
        try:
            text = hp.render(message, parser=family, tools=tools, in_reasoning=inside)
        except hp.RenderError:
            return
        read = hp.parse(text, parser=family, tools=tools, starts_in_reasoning=inside)
        assert_same(message, read, ids)

    holds()


def plain_value(draw: Draw, schema: dict[str, Any], typed: bool) -> Any:
    """A value of the type, with nothing in it that a format might find odd; `typed`: values within objects whose
    schema says nothing about them have a type that can be seen."""
    kinds = schema.get("type", "string")
    kind = draw.pick(kinds) if isinstance(kinds, list) else kinds
    text = "".join(
        draw.pick(("Paris", "x", " and ", "Zürich", "漢字", "a, b", "1 + 1", "1")) for _ in range(2)
    )
    return {
        "string": text + "s",
        "integer": draw.pick((0, 3, -7, 10**20)),
        "number": draw.pick((0.5, -1.25, 2, 1e-7)),
        "boolean": draw.chance(50),
        "null": None,
        "array": [text + "t", "u"][: draw.number(1, 2)],
        "object": {"k": text, "o": {"p": "q"}} | ({"n": [1, 2.5, True]} if typed else {}),
    }[kind]


@family
def test_plain_messages_can_be_written(family: str) -> None:
    """Text, reasoning where there is any, and up to three calls of declared tools, in any combination."""
    entry = hp.get_family(family)
    typed = entry.canonical.get("values") != "members"

    @st.composite
    def drawn(draw: Any) -> dict[str, Any]:
        source = HypothesisDraw(draw)
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message["tool_calls"] = []
        for _ in range(source.number(0, 3)):
            function = source.pick(blocks.TOOLS)["function"]
            properties = function["parameters"]["properties"]
            arguments = {
                key: plain_value(source, schema, typed)
                for key, schema in properties.items()
                if source.chance(70)
            }
            message["tool_calls"].append(call(function["name"], arguments))
        if not message["tool_calls"] or source.chance(40):
            message["content"] = source.pick(("It is sunny.", "One.\n\nTwo: 3 < 4.", "Zürich, 21 °C"))
        if entry.reasoning and source.chance(40):
            message["reasoning_content"] = source.pick(("I look.", "Two lines:\n2 < 3."))
        return message

    @settings(max_examples=10)
    @given(drawn())
    def holds(message: dict[str, Any]) -> None:
        text = hp.render(message, parser=family, tools=blocks.TOOLS)
        assert_same(message, hp.parse(text, parser=family, tools=blocks.TOOLS), False)

    holds()


@family
def test_a_message_that_was_read_is_written(family: str) -> None:
    """A fixture whose calls are complete is written again, or refused for a reason, and is the same message."""
    for record in blocks.fixtures(family)[:25]:
        message = hp.parse(
            record["text"], parser=family, tools=record["tools"], starts_in_reasoning=record["thinking"]
        )
        if any(not c.complete for c in message.tool_calls):
            continue
        inside = bool(record["thinking"])
        try:
            text = hp.render(message, parser=family, tools=record["tools"], in_reasoning=inside)
        except hp.RenderError:
            continue
        again = hp.parse(text, parser=family, tools=record["tools"], starts_in_reasoning=inside)
        assert (again.content or "").strip() == (message.content or "").strip(), record["id"]
        assert (again.reasoning or "").strip() == (message.reasoning or "").strip(), record["id"]
        assert [(c.name, c.arguments_dict()) for c in again.tool_calls] == [
            (c.name, c.arguments_dict()) for c in message.tool_calls
        ], record["id"]


# --- the forms -----------------------------------------------------------------------------------------------

WEATHER = call("get_weather", {"city": "Zürich", "days": 2})


def test_the_form_of_hermes() -> None:
    message = {
        "role": "assistant",
        "content": "I look.",
        "reasoning_content": "Hm.",
        "tool_calls": [WEATHER, call("now", "{}")],
    }
    text = hp.render(message, parser="hermes")
    assert text == (
        "<think>\nHm.\n</think>\n\nI look.\n"
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}\n</tool_call>\n'
        '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    )
    assert hp.render(message, model="Qwen/Qwen3-8B") == text
    assert hp.render(message, parser="hermes", in_reasoning=True) == text.removeprefix("<think>\n")


def test_the_form_of_qwen_xml() -> None:
    arguments = {"name": "<b> ", "flag": True, "opts": {"a": None}, "note": None, "ratio": 0.5}
    text = hp.render({"tool_calls": [call("set_opts", arguments)]}, parser="qwen3_coder", tools=blocks.TOOLS)
    assert text == (
        "<tool_call>\n<function=set_opts>\n"
        "<parameter=name>\n<b> \n</parameter>\n"
        "<parameter=flag>\nTrue\n</parameter>\n"
        '<parameter=opts>\n{"a": null}\n</parameter>\n'
        "<parameter=note>\nNone\n</parameter>\n"
        "<parameter=ratio>\n0.5\n</parameter>\n"
        "</function>\n</tool_call>"
    )


def test_without_calls_the_blanks_behind_the_content_are_left_out() -> None:
    for parser in ("hermes", "qwen3_coder", "llama3_json", "mistral"):
        assert hp.render({"content": "Hi."}, parser=parser) == "Hi."
    assert hp.render({"content": None}, parser="hermes") == ""


def test_reasoning_that_the_prompt_opened_is_closed_even_if_empty() -> None:
    assert hp.render({"content": "Hi."}, parser="hermes", in_reasoning=True) == "\n</think>\n\nHi."


def test_messages_of_all_shapes_are_taken() -> None:
    text = hp.render({"tool_calls": [WEATHER]}, parser="hermes")
    for tool_call in (
        {"function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}},
        {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}},
    ):
        assert hp.render({"role": "assistant", "tool_calls": [tool_call]}, parser="hermes") == text
    assert hp.render(hp.parse(text, parser="hermes"), parser="hermes") == text
    parts = [{"type": "text", "text": "Hi, "}, {"type": "text", "text": "you."}]
    assert hp.render({"content": parts, "reasoning": "x"}, parser="hermes").endswith("Hi, you.")
    for nothing in (None, "", "null", "{}", {}):
        empty = {"tool_calls": [{"function": {"name": "now", "arguments": nothing}}]}
        assert '"arguments": {}' in hp.render(empty, parser="hermes")


def test_numbers_keep_their_spelling() -> None:
    text = hp.render(
        {"tool_calls": [call("f", '{"a": 1.50, "b": 12345678901234567890123, "c": 1E5}')]}, parser="hermes"
    )
    assert '{"a": 1.50, "b": 12345678901234567890123, "c": 1E5}' in text


# --- how a spelling is filled in -----------------------------------------------------------------------------


def written(
    canonical: dict[str, str], message: dict[str, Any], inside: bool = False, grammar: str = GRAMMAR
) -> str:
    """The message as a family with this spelling would write it."""
    spelling = {"content": "{content}\n", **canonical}
    family = hp.Family.from_entry({"id": "acme", "title": "Acme", "canonical": spelling}, "test", grammar)
    return _Writer(family, inside).text(_read(message, "acme"))


ARGS = {"a": 'it\'s "x"\n', "b": [1, True, None], "c": {}, "d": {"e": []}}
CALLS = {"tool_calls": [call("f", ARGS), call("g", {})]}


@pytest.mark.parametrize(
    ("canonical", "text"),
    [
        (
            {"call": "<{name}:{index}:{number} {arguments}>", "head": "[", "joint": ", ", "tail": "]"},
            '[<f:0:1 {"a": "it\'s \\"x\\"\\n", "b": [1, true, null], "c": {}, "d": {"e": []}}>, <g:1:2 {}>]',
        ),
        (
            {"call": "{name}{arguments}", "json": "compact", "empty_call": "{name}!"},
            'f{"a":"it\'s \\"x\\"\\n","b":[1,true,null],"c":{},"d":{"e":[]}}g!',
        ),
        (
            {"call": "  {\n    {name}: {arguments}\n  }", "json": "2"},
            "  {\n    f: {\n"
            '      "a": "it\'s \\"x\\"\\n",\n      "b": [\n        1,\n        true,\n        null\n      ],\n'
            '      "c": {},\n      "d": {\n        "e": []\n      }\n    }\n  }'
            "  {\n    g: {}\n  }",
        ),
        (
            {"call": "{name}({arguments})", "arguments": "python"},
            "f(a='it\\'s \"x\"\\n', b=[1, True, None], c={}, d={'e': []})g()",
        ),
        (
            {"call": "{name} {arguments} ", "arguments": "dict"},
            "f {'a': 'it\\'s \"x\"\\n', 'b': [1, True, None], 'c': {}, 'd': {'e': []}} g {} ",
        ),
        (
            {"call": "{name}({arguments})", "arguments": "python", "quote": '"'},
            'f(a="it\'s \\"x\\"\\n", b=[1, True, None], c={}, d={"e": []})g()',
        ),
        (
            {"call": "{name}{params};", "param": "<{key} {type}>{value}</>", "param_joint": "+"},
            'f<a string>it\'s "x"\n</>+<b array>[1, true, null]</>+<c object>{}</>+<d object>{"e": []}</>;g;',
        ),
        (
            {
                "call": "{name}{params};",
                "param_string": "<{key} s>{value}</>",
                "param_json": "<{key} j>{value}</>",
            },
            'f<a s>it\'s "x"\n</><b j>[1, true, null]</><c j>{}</><d j>{"e": []}</>;g;',
        ),
        (
            {"call": "{name}{params};", "param": "<{key}>{value}</{key}>", "values": "python"},
            "f<a>it's \"x\"\n</a><b>[1, True, None]</b><c>{}</c><d>{'e': []}</d>;g;",
        ),
        (
            {"call": "{name}{params};", "param": "<{key}>{value}</{key}>", "values": "members"},
            'f<a>it\'s "x"\n</a><b><item>1</item><item>true</item><item>null</item></b><c></c>'
            "<d><e></e></d>;g;",
        ),
    ],
)
def test_calls_and_arguments_as_the_spelling_says(canonical: dict[str, str], text: str) -> None:
    assert written(canonical, CALLS) == text


def test_scalars_as_python_and_the_rest_as_json() -> None:
    canonical = {"call": "{name}{params}", "param": " {key}={value}", "values": "mixed"}
    message = {"tool_calls": [call("f", {"a": True, "b": None, "c": [True, None], "d": 1, "e": "True"})]}
    assert written(canonical, message) == "f a=True b=None c=[true, null] d=1 e=True"
    canonical = {"call": "{name}({arguments})", "arguments": "python", "values": "mixed"}
    assert written(canonical, message) == "f(a=True, b=None, c=[true, null], d=1, e='True')"


def test_strings_with_odd_characters_have_a_form_of_their_own() -> None:
    canonical = {"call": "{params}", "param": "<{key}>{value}", "param_odd": "<{key}>[{value}]", "odd": "<&"}
    message = {"tool_calls": [call("f", {"a": "x", "b": "a<b", "c": ["<"]})]}
    assert written(canonical, message) == '<a>x<b>[a<b]<c>["<"]'


def test_names_and_keys_in_attributes() -> None:
    canonical = {"call": "<{name}>{params}", "param": '<{key}="{value}">', "attributes": "xml"}
    assert written(canonical, {"tool_calls": [call("f&g", {'a"b': '&"'})]}) == '<f&amp;g><a&quot;b="&"">'
    message = {"tool_calls": [call("f", {'a "b" &amp; c': "&quot;"})]}
    assert_same(message, hp.parse(hp.render(message, parser="kimi_k3"), parser="kimi_k3"), False)


def test_tokens_stand_between_the_quotes_of_the_grammar() -> None:
    grammar = registry.grammar_text(hp.get_family("gemma4"))
    canonical = {"call": "{name}{arguments}", "arguments": "tokens", "keys": "sorted"}
    message = {"tool_calls": [call("f", {"b": [1, True, "x"], "a": {"d": "", "c": None}})]}
    assert written(canonical, message, grammar=grammar) == (
        'f{a:{c:null,d:<|"|><|"|>},b:[1,true,<|"|>x<|"|>]}'
    )


def test_keys_that_are_no_python_names() -> None:
    canonical = {"call": "{name}({arguments})", "arguments": "python"}
    assert written(canonical, {"tool_calls": [call("f", {"x y": 1, "ключ": 2})]}) == "f(**{'x y': 1}, ключ=2)"


def test_where_content_and_reasoning_stand() -> None:
    message = {"content": "C", "reasoning": "R"}
    with_call = {**message, "tool_calls": [call("f", {})]}
    canonical = {
        "reasoning": "<{reasoning}>",
        "no_reasoning": "<>",
        "content": "-{content}-\n",
        "no_content": "--",
        "call": "{name}",
        "end": "$",
    }
    assert written(canonical, message) == "<R>-C-$"
    assert written(canonical, message, inside=True) == "R>-C-$"
    assert written(canonical, with_call) == "<R>-C-\nf$"
    assert written(canonical, {**with_call, "content": None}) == "<R>--f$"
    assert written(canonical, {"content": "C"}) == "<>-C-$"
    assert written(canonical, {"content": "C"}, inside=True) == ">-C-$"
    assert written({**canonical, "answer": "!{content}"}, message) == "<R>!C$"
    assert written({**canonical, "tail": "|{content}"}, with_call) == "<R>f|C$"


def test_ids_are_kept_or_made() -> None:
    message = {"tool_calls": [call("f", {}, "abc"), call("g", {})]}
    assert written({"call": "{id} "}, message) == "abc call2 "
    assert written({"call": "{id} ", "id": "{name}:{index}"}, message) == "abc g:1 "


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    message = {"content": "{name}", "tool_calls": [call("f", {"{key}": "{value}{name}"})]}
    canonical = {"call": "{name}{params}", "param": "{key}={value}"}
    assert written(canonical, message) == "{name}\nf{key}={value}{name}"


# --- refusals ------------------------------------------------------------------------------------------------


def refused(message: Any, parser: str, tools: Any = None, **options: Any) -> hp.RenderError:
    with pytest.raises(hp.RenderError) as caught:
        hp.render(message, parser=parser, tools=tools, **options)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, hp.HamrParsersError)
    assert caught.value.family == hp.get_family(parser).id
    return caught.value


@pytest.mark.parametrize(
    ("parser", "message", "thing"),
    [
        (
            "hermes",
            {"content": 'See <tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'},
            "content that reads",
        ),
        ("hermes", {"reasoning": "a </think> b"}, "reasoning that reads as markup"),
        ("llama3_json", {"reasoning": "a"}, "reasoning"),
        (
            "qwen3_coder",
            {"tool_calls": [call("f", {"n": 5})]},
            "the type of the argument 'n' of call 0 ('f')",
        ),
        ("hermes", {"tool_calls": [call("a b", {})]}, "the name of call 0 ('a b')"),
        ("llama3_json", {"tool_calls": [call("a b", {})]}, "the name of call 0 ('a b')"),
    ],
)
def test_what_a_family_cannot_express_is_named(parser: str, message: Any, thing: str) -> None:
    error = refused(message, parser)
    assert error.thing.startswith(thing)
    assert str(error).startswith(f"{parser} cannot express {error.thing}: ")
    if thing != "reasoning":
        assert str(error).endswith("`check=False`")
        assert hp.render(message, parser=parser, check=False)


def test_a_type_can_be_told_with_the_tools() -> None:
    message = {"tool_calls": [call("get_weather", {"city": "5", "days": 5})]}
    assert "pass `tools` that declare it" in str(refused(message, "qwen3_coder"))
    assert hp.render(message, parser="qwen3_coder", tools=blocks.TOOLS)
    wrong = {"tool_calls": [call("get_weather", {"city": 5})]}
    assert (
        refused(wrong, "qwen3_coder", blocks.TOOLS).thing
        == "the value of the argument 'city' of call 0 ('get_weather')"
    )


def test_a_reader_must_know_the_tools_of_calls_without_a_marker() -> None:
    assert refused({"tool_calls": [WEATHER]}, "llama3_json", []).thing == (
        "call 0 ('get_weather'), which is none of the tools"
    )


def test_a_closer_in_a_value() -> None:
    message = {
        "tool_calls": [WEATHER, call("write_file", {"path": "a\n</parameter>\n<parameter=content>\nb"})]
    }
    assert refused(message, "qwen3_coder", blocks.TOOLS).thing == (
        "the value of the argument 'path' of call 1 ('write_file')"
    )


def test_messages_that_are_none_are_refused() -> None:
    for message, reason in (
        ("text", "an assistant message is wanted, not str"),
        ({"role": "user", "content": "x"}, "role: an assistant message is wanted, not one of 'user'"),
        ({"content": 5}, "content: a text is wanted, not int"),
        ({"content": [{"type": "image_url"}]}, "content[0]: only parts with a text can be written"),
        ({"tool_calls": "x"}, "tool_calls: a list is wanted, not str"),
        ({"tool_calls": [{}]}, "tool_calls[0]: a call with a function's name and arguments is wanted"),
        ({"tool_calls": [{"function": {"name": ""}}]}, "tool_calls[0]: the name is empty"),
        (
            {"tool_calls": [{"id": 5, "function": {"name": "f"}}]},
            "tool_calls[0].id: a text is wanted, not int",
        ),
        ({"tool_calls": [call("f", "{")]}, "tool_calls[0]: the arguments are no JSON text"),
        ({"tool_calls": [call("f", "[1]")]}, "tool_calls[0]: the arguments are no object"),
        ({"tool_calls": [call("f", '{"a":' * 5000)]}, "tool_calls[0]: the arguments are no JSON text"),
        (
            {"tool_calls": [call("f", '{"a":' * 300 + "1" + "}" * 300)]},
            "tool_calls[0]: the arguments are nested deeper",
        ),
        (
            {"tool_calls": [{"name": "f", "arguments": {"a": float("nan")}}]},
            "tool_calls[0]: nan is no JSON value",
        ),
        ({"tool_calls": [{"name": "f", "arguments": {"a": {1}}}]}, "tool_calls[0]: set is no JSON value"),
        ({"tool_calls": [{"name": "f", "arguments": {1: 2}}]}, "tool_calls[0]: the key 1 is no text"),
    ):
        assert str(refused(message, "hermes")).startswith(reason)
    cut = hp.parse('<tool_call>\n{"name": "f", "arguments": {"a": 1', parser="hermes")
    assert str(refused(cut, "hermes")) == (
        "call 0 ('f') was cut off: leave it out, or complete its arguments"
    )


def test_parsers_without_a_form_of_their_own() -> None:
    assert "name the model's family" in str(refused({"content": "x"}, "auto"))
    assert hp.render({"content": "x"}, parser="openai") == "x"
    assert refused({"tool_calls": [WEATHER]}, "openai").thing == "calls"
    with pytest.raises(ValueError, match="ids must be"):
        hp.render({"content": "x"}, parser="hermes", ids="new")  # type: ignore[arg-type]


def test_the_error_survives_pickling() -> None:
    error = refused({"reasoning": "a"}, "llama3_json")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.family, again.thing) == (str(error), error.family, error.thing)
