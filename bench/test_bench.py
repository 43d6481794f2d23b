"""The workloads under pytest-benchmark: `pytest bench -m bench`. Reports; asserts that calls are read, no time."""

from __future__ import annotations

import json
from typing import Any

import pytest

import hamr_parsers as hp

from . import workloads

pytestmark = pytest.mark.bench

FAMILIES = workloads.families()
KINDS = list(workloads.texts(FAMILIES[0], 1000)) if FAMILIES else []
LARGEST = 1_000_000  # what takes longer is measured by `python -m bench.ratios`


def _feed(make: Any, parts: list[str]) -> Any:
    parser = make()
    feed = parser.feed
    for part in parts:
        feed(part)
    parser.close()
    return parser


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_stream(benchmark: Any, family: str, kind: str) -> None:
    text = workloads.texts(family, LARGEST).get(kind)
    if text is None:
        pytest.skip("the family has no reasoning")
    benchmark.group = f"stream, {kind}"
    parser = benchmark.pedantic(_feed, (workloads.maker(family), workloads.chunks(text)), rounds=3)
    assert bool(parser.message.tool_calls) == (kind not in ("prose", "reasoning"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("floor", [workloads.Floor, workloads.Append])
def test_floor(benchmark: Any, floor: Any, kind: str) -> None:
    text = workloads.texts(FAMILIES[0], LARGEST)[kind]
    benchmark.group = f"stream, {kind}"
    benchmark.pedantic(_feed, (floor, workloads.chunks(text)), rounds=3)


ONE_SHOT: dict[str, dict[str, Any]] = {
    "string": {"path": "a.txt", "content": workloads.repeat(workloads.PLAIN, LARGEST)},
    "code": {"path": "a.py", "content": workloads.repeat(workloads.CODE, LARGEST)},
    "nested": workloads.nested(LARGEST),
}


@pytest.mark.parametrize("kind", ONE_SHOT)
@pytest.mark.parametrize("family", FAMILIES)
def test_one_shot(benchmark: Any, family: str, kind: str) -> None:
    text = workloads.call(family, ("write_file", ONE_SHOT[kind]))
    benchmark.group = f"one-shot, {kind}"
    tools = hp.ToolSet(workloads.TOOLS)
    message = benchmark.pedantic(hp.parse, (text,), {"parser": family, "tools": tools}, rounds=5)
    assert message.tool_calls[0].arguments_dict() == ONE_SHOT[kind]


@pytest.mark.parametrize("kind", ONE_SHOT)
def test_json_loads(benchmark: Any, kind: str) -> None:
    benchmark.group = f"one-shot, {kind}"
    benchmark.pedantic(json.loads, (json.dumps(ONE_SHOT[kind]),), rounds=5)


@pytest.mark.parametrize("family", FAMILIES)
def test_new_parser(benchmark: Any, family: str) -> None:
    benchmark.group = "a new parser"
    benchmark(workloads.maker(family))
