"""`response_template`: families made at run time read what transformers reads, in every cutting; what cannot be
honoured is refused by name."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.families.response_template import template_family

DATA = json.loads((Path(__file__).parent / "data" / "response_templates.json").read_text(encoding="utf-8"))
TEMPLATES: dict[str, Any] = DATA["templates"]
TOOLS = DATA["tools"]
XML = TEMPLATES["xml"]
CALL = (
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n2\n</parameter>\n"
    "</function>\n</tool_call>"
)


def said(message: hp.ParsedMessage) -> dict[str, Any]:
    """A message as the three fields, without outer blanks (transformers strips them)."""
    return {
        "content": (message.content or "").strip(),
        "thinking": (message.reasoning or "").strip(),
        "tool_calls": [(call.name, json.loads(call.arguments)) for call in message.tool_calls],
    }


def answered(answer: dict[str, Any]) -> dict[str, Any]:
    calls = answer.get("tool_calls") or []
    return {
        "content": answer.get("content", "").strip(),
        "thinking": answer.get("thinking", "").strip(),
        "tool_calls": [(call["function"]["name"], call["function"]["arguments"]) for call in calls],
    }


# --- what transformers reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: f"{case['template']}-{case['text'][:40]!r}")
def test_the_same_as_transformers_in_every_cutting(case: dict[str, Any]) -> None:
    options = {
        "response_template": TEMPLATES[case["template"]],
        "tools": TOOLS if case["tools"] else None,
        "prompt": case["prefix"],
    }
    text = case["text"]
    whole = hp.StreamParser(trace=True, **options)
    whole.feed(text)
    whole.close("stop")
    assert whole.parser == "hf"
    assert said(whole.message) == answered(case.get("ours", case["answer"]))
    spans = whole.spans
    assert spans is not None
    assert "".join(text[span.start : span.end] for span in spans) == text
    codes = [d.code for d in whole.message.diagnostics]
    for size in (1, 2, 3, 7):
        stream = hp.StreamParser(**options)
        for at in range(0, len(text), size):
            stream.feed(text[at : at + size])
        stream.close("stop")
        assert said(stream.message) == said(whole.message)
        assert [d.code for d in stream.message.diagnostics] == codes


def test_texts_of_the_templates_cut_off_anywhere_are_read_without_an_error() -> None:
    for case in DATA["cases"]:
        options = {"response_template": TEMPLATES[case["template"]], "tools": TOOLS, "prompt": case["prefix"]}
        for end in range(0, len(case["text"]), 3):
            message = hp.parse(case["text"][:end], finish_reason="length", **options)
            for call in message.tool_calls:
                assert isinstance(json.loads(call.arguments), dict)


def test_ids_that_hold_the_name() -> None:
    text = 'A<|call_begin|>functions.get_weather:0<|args|>{"city": "B"}<|call_end|>'
    (call,) = hp.parse(text, response_template=TEMPLATES["ids"]).tool_calls
    assert (call.id, call.name) == ("functions.get_weather:0", "get_weather")


def test_the_end_of_a_closer_that_a_stop_token_took_is_not_missed() -> None:
    """A closer that ends in the next turn's header counts without it."""
    template = TEMPLATES["beam"]
    told = hp.parse(
        "<|channel|>analysis<|message|>So.<|end|>", response_template=template, prompt="<|start|>assistant"
    )
    assert (told.reasoning, told.content) == ("So.", None)
    told = hp.parse(" to=now<|channel|>analysis<|message|><|end|>", response_template=template)
    assert [c.complete for c in told.tool_calls] == [True]


def test_text_in_no_region_is_content() -> None:
    """transformers drops it."""
    told = hp.parse("Well, <|START_RESPONSE|>yes.<|END_RESPONSE|>", response_template=TEMPLATES["records"])
    assert told.content == "Well, yes."


def test_a_name_in_the_opener_streams_before_the_arguments() -> None:
    stream = hp.StreamParser(response_template=XML, tools=TOOLS)
    events = stream.feed("<tool_call>\n<function=write_file>\n<parameter=content>\nabc def")
    assert [e.type for e in events] == ["tool_call_start", "tool_call_delta"]
    assert [e.arguments for e in events if isinstance(e, hp.ToolCallDelta)] == ['{"content": "abc def']


# --- the prompt ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "inside"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<|im_start|>assistant\n", False),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        (f"<|im_start|>assistant\n<think>\nold{CALL}<|im_end|>\n<|im_start|>assistant\n", False),
        ("<think>\n", True),
        ("nothing known", False),
    ],
)
def test_the_prompt_behind_its_last_anchor_tells_where_the_answer_begins(prompt: str, inside: bool) -> None:
    told = hp.parse("plan\n</think>\nOn it.", response_template=XML, prompt=prompt)
    if inside:
        assert (told.reasoning, told.content) == ("plan", "On it.")
    told = hp.parse("On it.", response_template=XML, prompt=prompt)
    assert (told.reasoning, told.content) == (("On it.", None) if inside else (None, "On it."))


def test_reasoning_that_nothing_opens_is_where_every_answer_begins() -> None:
    for prompt in (None, "<|assistant|>\n"):
        told = hp.parse("So [BEGIN FINAL RESPONSE]Hi.", response_template=TEMPLATES["prose"], prompt=prompt)
        assert (told.reasoning, told.content) == ("So", "Hi.")


# --- what may be given, and what is kept -----------------------------------------------------------------------


def test_a_template_may_come_as_mapping_text_bytes_config_or_path(tmp_path: Path) -> None:
    config = {"tokenizer_class": "T", "chat_template": "x", "response_template": XML}
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    wanted = said(hp.parse(CALL, response_template=XML, tools=TOOLS))
    assert wanted["tool_calls"] == [("get_weather", {"city": "Oslo", "days": 2})]
    for given in (json.dumps(XML), json.dumps(XML).encode(), config, json.dumps(config), path):
        assert said(hp.parse(CALL, response_template=given, tools=TOOLS)) == wanted
        assert hp.resolve_parser(response_template=given).parser == "hf"


def test_a_family_is_made_once_and_is_in_no_registry() -> None:
    base = hp.get_family("hf")
    made = template_family(XML, base)
    assert template_family(json.dumps(XML, indent=1), base) is made
    assert hp.get_family("hf") is base
    assert base not in (made, template_family(TEMPLATES["gemma"], base))
    assert made.turn == ("<|im_start|>assistant\n",)


def test_parsers_of_two_templates_do_not_meet() -> None:
    one = hp.StreamParser(response_template=XML, tools=TOOLS)
    two = hp.StreamParser(response_template=TEMPLATES["hermes"], tools=TOOLS)
    one.feed(CALL[:40])
    two.feed('<tool_call>{"name": "now", ')
    one.feed(CALL[40:])
    two.feed('"arguments": {}}</tool_call>')
    assert [p.message.tool_calls[0].name for p in (one, two)] == ["get_weather", "now"]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_parser_can_be_copied_and_pickled_at_any_place(name: str) -> None:
    case = next(c for c in DATA["cases"] if c["template"] == name)
    options = {"response_template": TEMPLATES[name], "tools": TOOLS, "prompt": case["prefix"]}
    text = case["text"]
    wanted = said(hp.parse(text, finish_reason="stop", **options))
    for at in range(0, len(text), 5):
        stream = hp.StreamParser(**options)
        stream.feed(text[:at])
        for again in (stream.copy(), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))):
            again.feed(text[at:])
            again.close("stop")
            assert said(again.message) == wanted


def test_a_parser_can_be_unpickled_in_another_process(tmp_path: Path) -> None:
    stream = hp.StreamParser(response_template=XML, tools=TOOLS)
    stream.feed(CALL[:60])
    path = tmp_path / "parser.pickle"
    path.write_bytes(pickle.dumps(stream))
    code = (
        "import pickle, sys\n"
        "parser = pickle.load(open(sys.argv[1], 'rb'))\n"
        "parser.feed(sys.argv[2])\n"
        "print(parser.message.tool_calls[0].arguments)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), CALL[60:]], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"city": "Oslo", "days": 2}


# --- refused ---------------------------------------------------------------------------------------------------


def changed(name: str, path: str, value: object = ...) -> dict[str, Any]:
    """A template with one key set to another value, or taken out."""
    template: dict[str, Any] = copy.deepcopy(TEMPLATES[name])
    *above, last = path.split(".")
    inner = template
    for key in above:
        inner = inner[key]
    inner[last] = value
    if value is ...:
        del inner[last]
    return template


OPEN = "fields.tool_calls.open_pattern"
TAG = "fields.tool_calls.content_args.tag_pattern"
SHAPE = "fields.tool_calls.transform"
REFUSED = [
    ("xml", "extra", 1, "extra: unknown key"),
    ("xml", "fields.content.opn", "x", "fields.content.opn: unknown key (known are open, open_pattern"),
    ("xml", "version", 2, "version: input should be 1"),
    ("xml", "start_anchor", ..., "start_anchor: give either it or start_anchor_pattern"),
    ("xml", "start_anchor", [], "start_anchor: an empty anchor"),
    ("beam", "start_anchor_pattern", r"<\d+>", "start_anchor_pattern: '<\\\\d+>' matches too many texts"),
    ("xml", "defaults.content", "x", "defaults.content: only `role`"),
    ("xml", "fields", {}, "fields: "),
    (
        "xml",
        "fields.reasoning_content",
        {"open": "a"},
        "fields.reasoning_content: only thinking, content, tool",
    ),
    ("xml", "fields.thinking.close", ..., "fields.thinking.close: without it"),
    ("xml", "fields.thinking.content", "json", "fields.thinking: it streams as text"),
    ("xml", "fields.thinking.open_pattern", "x", "fields.thinking.open: give either it or open_pattern"),
    ("xml", "fields.thinking.open", "\n", "fields.thinking.open: blanks alone"),
    ("xml", "fields.thinking", {}, "fields.thinking: it has no open, and neither has content"),
    ("xml", "fields.content", {"repeats": True, "join": "\n"}, "fields.content.join: its runs are joined"),
    ("xml", "fields.content", {"join": ""}, 'fields.content.join: it needs "repeats": true'),
    ("xml", "fields.tool_calls.content", "int", "fields.tool_calls.content: 'int' is no object"),
    ("xml", OPEN, r"<f=(?P<name>\w+)(?!x)>", "looks ahead, so it cannot be followed"),
    ("xml", OPEN, r"(?<=x)<f=(?P<name>\w+)>", "looks behind"),
    ("xml", OPEN, r"<(?P<name>\w+)></\1>", "refers back to a group"),
    ("xml", OPEN, r"(?P<name>\w+)\(", "has no marker before the name"),
    ("xml", OPEN, r".*?<f=(?P<name>\w+)>", "may begin with nearly any character"),
    ("xml", OPEN, r"<f=(?P<name>\w+)>(?:ab)*x", "repeats a group without a bound"),
    ("xml", OPEN, r"<f=(?P<name>\w+).*>", "takes any text, as much as there is"),
    ("xml", OPEN, r"^<f=(?P<name>\w+)>", "is bound to the beginning or the end"),
    ("xml", OPEN, r"<f=(?:(?P<name>\w+),)+>", "repeats a named group"),
    ("xml", OPEN, r"<f=(?P<name>\w+>", "is not a regex that can be read"),
    ("xml", OPEN, r"<f=(?P<called>\w+)>", "transform.function.name: there is no 'name'"),
    ("xml", SHAPE, ..., "transform: it must say where"),
    ("xml", f"{SHAPE}.function.name", "python", "transform.function.name: 'python' is fixed"),
    ("xml", f"{SHAPE}.function.arguments", {"code": "{content}"}, "transform.function.arguments: "),
    ("xml", f"{SHAPE}.function.name", "f_{name}", "transform.function.name: 'f_{name}' mixes"),
    ("xml", f"{SHAPE}.index", "0", "transform.index: a call has type, id and function"),
    ("records", f"{SHAPE}.function.name", "{which}", "keys that are read are action, function"),
    ("xml", TAG, r"<(?P<key>\w+)>(?P<value>.*?)</(?P=key)>", "refers back to a group"),
    ("xml", TAG, r"(?P<key>\w+)=(?P<value>\w+)\n", "must be a marker, (?P<key>), a marker"),
    ("xml", TAG, ..., "tag_pattern: it is missing"),
    (
        "xml",
        "fields.tool_calls.content_args.merge_duplicates",
        True,
        "merge_duplicates: a list cannot be made",
    ),
    ("xml", "fields.tool_calls.content_args.value_parser", {"name": "bool"}, "value_parser.name: 'bool'"),
    ("xml", "fields.tool_calls.content_args.foo", 1, "content_args.foo: this kind of content has no such"),
    ("gemma", "fields.tool_calls.content_args.string_delims", [["a", "b"]], "two equal tokens"),
    (
        "hermes",
        "fields.tool_calls.content_args",
        {"string_delims": [["Q", "Q"]]},
        "string_delims: they are read",
    ),
    ("lines", "fields.tool_calls.transform_each", True, "transform_each: 'kv-lines' is no list"),
    ("python", f"{SHAPE}.function.arguments", "{kwargs}", "keys that are read are arguments"),
    ("lines", "fields.tool_calls.content_args", {"kv_sep": ""}, "kv_sep: '' separates nothing"),
]


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    REFUSED,
    ids=[f"{path}-{message[:30]}" for _, path, _, message in REFUSED],
)
def test_a_template_that_cannot_be_honoured_is_refused_by_key(
    name: str, path: str, value: object, message: str
) -> None:
    with pytest.raises(hp.InvalidResponseTemplateError) as caught:
        hp.StreamParser(response_template=changed(name, path, value))
    told = str(caught.value)
    assert told.startswith("response_template")
    assert message in told
    assert "\n" not in told
    assert isinstance(caught.value, hp.HamrParsersError) and isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"response_schema": {"type": "object", "properties": {}}},
            "this is a response_schema, the older form",
        ),
        ({"type": "object", "properties": {"content": {"x-regex": "(.*)"}}}, "this is a response_schema"),
        ({"tokenizer_class": "T", "chat_template": "x"}, "this tokenizer_config has no response_template"),
        ("tokenizer_config.json", "it is not JSON"),
        ("[]", "an object is wanted, not list"),
        ({"fields": {1, 2}}, "it is not JSON data"),
        (Path("no/such/file.json"), "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_template_is_refused(given: object, message: str) -> None:
    for call in (hp.resolve_parser, hp.StreamParser):
        with pytest.raises(hp.InvalidResponseTemplateError, match=r"^response_template: ") as caught:
            call(response_template=given)
        assert message in str(caught.value)


# --- patterns that are rewritten ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"<c>\s*<f=(?P<name>\w+)>", "<c>\n\n  <f=now>"),
        (r"<f=(?<name>\w+)>", "<f=now>"),
        (r"(?i)<F=(?P<name>\w+)>", "<f=now>"),
        (r"\s*<f\b[^>]*\bname='(?P<name>\w+)'[^>]*?>", "\n<f id=3 name='now' x>"),
        (r"<f=(?P<name>.+?)(?:>|/>)\s*", "<f=now/>\n"),
        (r"<f (?P<name>\w+).*?:>", "<f now as json :>"),
        (r"<f=(?P<name>\w+)>(?=\s*\{)", "<f=now>"),
        (r"(?:<c>\n?)?<f=(?P<name>\w+)>", "<c>\n<f=now>"),
        (r"<f(?:#(?P<id>\d+))?=(?P<name>\w+)>", "<f#12=now>"),
        (r"<(?:f|fun{1,2})=(?P<name>\w++)>", "<funn=now>"),
    ],
)
def test_patterns_are_rewritten_where_that_is_safe(pattern: str, text: str) -> None:
    template = {
        "start_anchor": "<bot>",
        "fields": {
            "content": {},
            "tool_calls": {
                "open_pattern": pattern,
                "close_pattern": r"\s*</f>(?:\s*</c>)?|\Z",
                "content": "json",
                "transform": {"function": {"name": "{name}", "arguments": "{content}"}},
            },
        },
    }
    if "(?P<id>" in pattern:
        template["fields"]["tool_calls"]["transform"]["id"] = "{id}"  # type: ignore[index]
    for whole in (f'Go. {text}{{"a": 1}}</f>', f'Go. {text} {{"a": 1}} </f> </c>', f'Go. {text}{{"a": 1}}'):
        told = hp.parse(whole, response_template=template, finish_reason="stop")
        assert [(c.name, c.arguments) for c in told.tool_calls] == [("now", '{"a": 1}')]
        assert (told.content or "").strip() == "Go."
    if "(?P<id>" in pattern:
        assert hp.parse(f"{text}{{}}</f>", response_template=template).tool_calls[0].id == "12"


def test_the_forced_answer_of_constrained_decoding_is_read_too() -> None:
    told = hp.parse(
        '[{"name": "now", "parameters": {}}]', response_template=XML, tools=TOOLS, tool_choice="required"
    )
    assert [c.name for c in told.tool_calls] == ["now"]


# --- the command line ----------------------------------------------------------------------------------------------


def command(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hamr_parsers", *map(str, args)], capture_output=True, text=True, check=False
    )


def test_the_command_line_takes_a_tokenizer_config(tmp_path: Path) -> None:
    config, answer = tmp_path / "tokenizer_config.json", tmp_path / "answer.txt"
    config.write_text(json.dumps({"response_template": TEMPLATES["lines"]}), encoding="utf-8")
    answer.write_text("<tool_call>\n<function=get_weather>\ncity: Oslo\n</tool_call>", encoding="utf-8")
    ran = command("parse", answer, "--response-template", config, "--format", "jsonl")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["parser"], told["parser_source"]) == ("hf", "parser")
    assert told["message"]["tool_calls"][0]["arguments"] == '{"city": "Oslo"}'
    assert "hf" in command("resolve", "--response-template", config).stdout
    config.write_text(json.dumps({"response_schema": {}}), encoding="utf-8")
    ran = command("parse", answer, "--response-template", config)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"hamr-parse: {config}: response_template: this is a response_schema")
