"""Selection by chat template: the part of a template that writes calls tells the family, however it is edited."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hamr_parsers.select import resolve_parser

# How each family's template writes a call, without the prose of its system prompt.
CORES = [
    (record["family"], record["template"])
    for record in map(
        json.loads,
        (Path(__file__).parent / "data" / "template_cores.jsonl").read_text(encoding="utf-8").splitlines(),
    )
]

_BLOCK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_TEXT = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")


def _blocks(edit: Callable[[str], str]) -> Callable[[str], str]:
    return lambda template: _BLOCK.sub(lambda match: edit(match[0]), template)


def _code(edit: Callable[[str], str]) -> Callable[[str], str]:
    """An edit of what stands between the strings of a block."""

    def edited(block: str) -> str:
        texts = [*_TEXT.findall(block), ""]
        return "".join(edit(code) + text for code, text in zip(_TEXT.split(block), texts, strict=True))

    return _blocks(edited)


def _requoted(match: re.Match[str]) -> str:
    old, new = ("'", '"') if match[0][0] == "'" else ('"', "'")
    return new + match[0][1:-1].replace("\\" + old, old).replace(new, "\\" + new) + new


EDITS: dict[str, Callable[[str], Any]] = {
    "none": lambda t: t,
    "indented": lambda t: "\r\n".join("\t\t" + line.strip() for line in re.split(r"(?<=\}\})", t)),
    "trimmed": _blocks(lambda b: b[:2] + "-" + b[2:-2].strip("-") + "-" + b[-2:]),
    "untrimmed": _blocks(lambda b: b[:2] + b[2:-2].strip("-") + b[-2:]),
    "other quotes": _blocks(lambda b: _TEXT.sub(_requoted, b)),
    "tilde": _code(lambda c: c.replace(" + ", " ~ ")),
    "plus": _code(lambda c: c.replace(" ~ ", " + ")),
    "other names": _code(lambda c: re.sub(r"(?<![.\w])(?:tc|call|fn|n)(?!\w)", "entry", c)),
    "another prompt": lambda t: "{{ 'You are Bob, a pirate. Call a tool, a function, or nobody.' }}" + t,
    "comments": lambda t: "{# [TOOL_CALLS] <arg_key> <function= <parameter= #}" + t,
    "macros": lambda t: "{%- macro text(x) -%}{{- x -}}{%- endmacro -%}" + t + "{{ text('x') }}",
    "configuration": lambda t: json.dumps(
        {"chat_template": t, "added_tokens_decoder": {"1": "[TOOL_CALLS]"}}
    ),
    "string": json.dumps,
    "named": lambda t: {
        "chat_template": [{"name": "default", "template": "{{ x }}"}, {"name": "tool_use", "template": t}]
    },
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_template_stays_of_its_family(edit: str) -> None:
    wrong = []
    for family, template in CORES:
        found = resolve_parser(chat_template=EDITS[edit](template)).parser
        if found != family:
            wrong.append((family, found, template))
    assert not wrong


@pytest.mark.parametrize(
    ("name", "template", "parser"),
    [
        ("stepfun-ai/Step-5", "<tool_call>\n<function=x>\n<parameter=k>", "step5"),
        ("XiaomiMiMo/MiMo-V2-Flash", "<tool_call>\n<function=x>\n<parameter=k>", "mimo"),
        ("arcee-ai/Trinity-Mini", '<tool_call>\n{"name": "', "trinity"),
        ("baidu/ERNIE-4.5-21B-A3B-Thinking", '<tool_call>\n{"name": "', "ernie45"),
        ("meta-models/Muse-Glimmer-30B", "<atem:function_calls>", "muse_glimmer"),
    ],
)
def test_where_templates_look_the_same_the_name_decides(name: str, template: str, parser: str) -> None:
    found = resolve_parser(model=name, chat_template=template)
    assert (found.parser, found.source, found.conflicts) == (parser, "model", ())
    assert ", whose chat templates look like those of " in found.reason
    assert found.reason.endswith("; parser= would override that.")
    other = resolve_parser(model=name, chat_template="[TOOL_CALLS]")
    assert (other.parser, other.source, len(other.conflicts)) == ("mistral", "chat_template", 1)
