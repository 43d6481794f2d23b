"""`detect`: who wrote a text is named with its evidence, what is ambiguous is said, and nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.errors import RenderError

from .fuzz.check import time_out

HERMES = 'Hi.\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>\n'
QWEN_XML = (
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>"
)
MISTRAL = '[TOOL_CALLS]now[ARGS]{"a": 1}'
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.mark.parametrize(
    ("text", "family"), [(HERMES, "hermes"), (QWEN_XML, "qwen3_coder"), (MISTRAL, "mistral")]
)
def test_a_text_is_told_by_its_markers(text: str, family: str) -> None:
    found = hp.detect(text)
    assert found.family == family
    assert found.best is not None
    assert found.best.calls == found.best.complete == 1
    assert found.best.diagnostics == ()
    assert family in found.reason


def test_the_markers_are_named_with_their_places() -> None:
    best = hp.detect(HERMES).best
    assert best is not None
    told = {marker.text: (marker.name, marker.places) for marker in best.markers}
    assert told["<tool_call>"] == ("TOOL_CALL", (HERMES.index("<tool_call>"),))
    assert told["</tool_call>"] == ("END_TOOL_CALL", (HERMES.index("</tool_call>"),))


def test_the_runner_up_reads_the_text_in_another_way() -> None:
    found = hp.detect(QWEN_XML)
    assert found.runner_up is not None
    assert found.runner_up.family not in (found.family, *found.same_as)


def test_what_the_runner_up_reads_otherwise_is_known() -> None:
    found = hp.detect(HERMES)
    best, second = found.best, found.runner_up
    assert best is not None
    assert second is not None
    assert set(second.differs(best)) <= {"calls", "content", "reasoning"}
    assert best.differs(best) == ()


def test_families_that_share_the_dialect_are_said_to_read_the_same() -> None:
    found = hp.detect(HERMES)
    assert "smollm3" in found.same_as
    assert "the same" in found.reason


def test_the_models_name_decides_between_families_that_read_the_same() -> None:
    found = hp.detect(HERMES, model="HuggingFaceTB/SmolLM3-3B")
    assert found.family == "smollm3"
    assert "hermes" in found.same_as
    assert "SmolLM3" in found.reason


def test_a_models_name_that_the_text_contradicts_is_said_and_not_believed() -> None:
    found = hp.detect(QWEN_XML, model="mistralai/Mistral-7B-Instruct-v0.3")
    assert found.family == "qwen3_coder"
    assert "says mistral" in found.reason


@pytest.mark.parametrize(
    "text", ["", "Just prose.", 'An object {"a": [1]} and <b>bold</b> [1].', "x" * 10_000, "<" * 10_000]
)
def test_an_unknown_text_has_no_family_and_says_so(text: str) -> None:
    found = hp.detect(text)
    assert (found.family, found.best, found.runner_up, found.same_as) == (None, None, None, ())
    assert found.usage() == []
    assert "nothing tells the family" in found.reason


def test_markers_that_many_families_write_tell_nothing_without_a_call() -> None:
    found = hp.detect("<think>Hm.</think>Hello.")
    assert found.family is None
    assert "nothing tells which" in found.reason
    assert {marker.text for marker in found.markers} == {"<think>", "</think>"}


def test_a_marker_of_one_family_tells_it_without_a_call() -> None:
    found = hp.detect("[THINK]Hm.[/THINK]Hello.")
    assert found.family == "mistral"
    assert "No call" in found.reason


def test_prose_about_markup_is_no_evidence() -> None:
    assert hp.detect("Write `<tool_call>` and close it with `</tool_call>`.").family is None


def test_a_bare_object_is_read_by_families_without_markers() -> None:
    found = hp.detect('{"name": "now", "parameters": {}}')
    assert found.family == "llama3_json"
    assert "without a marker" in found.reason


def test_a_cut_call_counts_and_is_not_complete() -> None:
    best = hp.detect(QWEN_XML[:60]).best
    assert best is not None
    assert (best.family, best.calls, best.complete) == ("qwen3_coder", 1, 0)
    assert "cut" in best.diagnostics


def test_the_lines_to_use_are_those_of_the_family() -> None:
    lines = {line.tool: line.line for line in hp.detect(HERMES).usage()}
    assert lines["Python"] == 'hp.parse(text, parser="hermes")'
    assert "--tool-call-parser hermes" in (lines["vLLM"] or "")
    assert "--tool-call-parser hermes" in (lines["SGLang"] or "")
    assert "--jinja" in (lines["llama.cpp"] or "")


def test_a_server_without_a_parser_for_the_family_is_said() -> None:
    lines = {line.tool: line for line in hp.detect(HERMES, model="HuggingFaceTB/SmolLM3-3B").usage()}
    assert lines["vLLM"].line is None
    assert lines["vLLM"].note


def test_the_dict_is_ready_for_json() -> None:
    told = json.loads(json.dumps(hp.detect(HERMES).to_dict()))
    assert told["family"] == "hermes"
    assert told["candidates"][0]["family"] == "hermes"
    assert told["markers"][0]["text"] == "<tool_call>"
    assert told["usage"][0]["line"] == "hamr-parse parse --parser hermes FILE"


def test_wrong_tools_are_an_error() -> None:
    with pytest.raises(hp.InvalidToolsError):
        hp.detect("x", tools=[5])


def test_what_a_family_writes_is_told_as_that_family(tools: list[dict[str, Any]]) -> None:
    """Rendered in a family's own spelling, a message with two calls is told as its, or as one that reads the same."""
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"type": "function", "id": "abc123xyz", "function": {"name": n, "arguments": json.dumps(a)}}
            for n, a in [
                ("get_weather", {"city": "Oslo", "days": 3}),
                ("write_file", {"path": "a", "content": "b c"}),
            ]
        ],
    }
    wrong = {}
    foreign: list[str] = []
    for family in hp.list_families():
        if family.kind != "grammar":
            continue
        try:
            text = hp.render(message, parser=family.id, tools=tools, ids="make")
        except RenderError:
            continue
        found = hp.detect(text, tools)
        if not any(c.family == family.id and c.calls and not c.left for c in found.candidates):
            foreign.append(family.id)  # it has no calls of its own, and writes those of another
        elif family.id not in (found.family, *found.same_as):
            wrong[family.id] = (found.family, found.reason)
    assert not wrong
    assert len(foreign) <= 1


def test_samples_are_told(tools: list[dict[str, Any]]) -> None:
    """Of the samples of all families that hold a call, all but the odd ones are told; a dialect of another is one."""
    told = total = 0
    for path in sorted(FIXTURES.glob("*/samples.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["expect"].get("calls"):
                total += 1
                found = hp.detect(record["text"], record["tools"])
                told += hp.get_family(record["parser"]).id in (found.family, *found.same_as)
    assert told >= 0.88 * total, (told, total)


@pytest.mark.parametrize("piece", ["<tool_call>", "<", "word <b> ", 'x</tool_call>"', HERMES])
def test_long_texts_come_to_an_end(piece: str) -> None:
    """A time-out, not a measure: what is quadratic here takes minutes."""
    with time_out(20):
        hp.detect(piece * (64_000 // len(piece)))
