"""Agent loops against a real llama.cpp server, which recites what a model of some dialect would write."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.clients import cures, llamacpp
from tests.clients.program import Outcome, Program, Task
from tests.clients.programs import PROGRAMS

pytestmark = pytest.mark.skipif(bool(llamacpp.missing()), reason=llamacpp.missing() or "-")

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of the next days.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search the web.",
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
                "required": ["query"],
            },
        },
    },
]
TASK = Task("How is the weather in Zürich?", TOOLS)
CALLS = [("get_weather", {"city": "Zürich", "days": 3}), ("search", {"query": 'sun "now"', "limit": 2})]
ANSWER = "Sunny in Zürich, for three days."

HERMES = """Let me see.
<tool_call>
{"name": "get_weather", "arguments": {"city": "Zürich", "days": 3}}
</tool_call>
<tool_call>
{"name": "search", "arguments": {"query": "sun \\"now\\"", "limit": 2}}
</tool_call>"""
QWEN_XML = """Let me look.
<tool_call>
<function=get_weather>
<parameter=city>
Zürich
</parameter>
<parameter=days>
3
</parameter>
</function>
</tool_call>
<tool_call>
<function=search>
<parameter=query>
sun "now"
</parameter>
<parameter=limit>
2
</parameter>
</function>
</tool_call>"""
PYTHONIC = """[get_weather(city="Zürich", days=3), search(query='sun "now"', limit=2)]"""
MISTRAL = (
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Zürich", "days": 3}'
    '[TOOL_CALLS]search[ARGS]{"query": "sun \\"now\\"", "limit": 2}'
)
THOUGHT = "<think>\nThey ask for the weather: two calls.\n</think>\n\n"


@dataclass(frozen=True)
class Case:
    """A model's text, before a server of a Hermes template."""

    id: str
    text: str
    raw: str
    """What the programs get as they are: "right", "no call" (the call is left as text), "error",
    "wrong" (anything else)."""
    server: tuple[str, ...] = ()
    cure: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    """The text beside the calls, cured."""


CASES = (
    Case("native", HERMES, "right", said="Let me see."),
    Case("content only", HERMES, "no call", ("--content-only",), said="Let me see."),
    Case("pythonic calls", PYTHONIC, "no call", cure={"parser": "pythonic"}),
    Case("Mistral's calls", MISTRAL, "no call", cure={"parser": "mistral"}),
    # The grammar that `tools` switch on fits the template's dialect alone: where it begins within a token of the
    # other one, the server gives up (500, inside the stream); where it begins between two, it forces a call of its own.
    Case(
        "Qwen's XML, refused",
        QWEN_XML,
        "error",
        cure={"parser": "qwen3_coder", "upstream": "text"},
        said="Let me look.",
    ),
    Case(
        "Qwen's XML, forced",
        QWEN_XML.replace("look", "see"),
        "wrong",
        cure={"parser": "qwen3_coder", "upstream": "text"},
        said="Let me see.",
    ),
    Case(
        "thoughts, none",
        THOUGHT + HERMES,
        "right",
        ("--reasoning", "none"),
        {"parser": "hermes"},
        "Let me see.",
    ),
    Case(
        "thoughts, auto",
        THOUGHT + HERMES,
        "right",
        ("--reasoning", "auto"),
        {"parser": "hermes"},
        "Let me see.",
    ),
    Case("thoughts, deepseek", THOUGHT + HERMES, "right", ("--reasoning", "deepseek"), said="Let me see."),
    Case(
        "thoughts, text",
        THOUGHT + QWEN_XML,
        "wrong",
        ("--reasoning", "none"),
        {"parser": "qwen3_coder", "upstream": "text"},
        "Let me look.",
    ),
)
AGENTS = [
    program
    for program in PROGRAMS
    if program.client not in ("smolagents", "instructor")
    and not program.client.startswith(("Node", "Vercel"))
]


@contextlib.contextmanager
def server(case: Case, folder: Path) -> Iterator[str]:
    from tests.clients.llamacpp.reciter import write_model

    template = (Path(llamacpp.__file__).parent / "chatml_hermes.jinja").read_text(encoding="utf-8")
    model = folder / "reciter.gguf"
    write_model(model, {"\n": case.text, "\t": ANSWER}, template)
    with llamacpp.running(model, *case.server) as base_url:
        yield base_url


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Case, str]]:
    with server(request.param, tmp_path_factory.mktemp("llamacpp")) as base_url:
        yield request.param, base_url


@pytest.fixture(scope="module")
def proxied(served: tuple[Case, str]) -> Iterator[str]:
    case, base_url = served
    with cures.proxy(base_url, **case.cure) as url:
        yield url


def right(case: Case, program: Program, outcome: Outcome) -> None:
    assert outcome.error == ""
    assert sorted(outcome.calls, key=str) == CALLS
    assert outcome.answer.strip() == ANSWER
    assert [text.strip() for text in outcome.said] in ([case.said], [])


@pytest.mark.parametrize("program", AGENTS, ids=lambda program: program.id)
def test_what_a_program_gets_from_llama_cpp_as_it_is(served: tuple[Case, str], program: Program) -> None:
    if program.missing:
        pytest.skip(program.missing)
    case, base_url = served
    outcome = program.run(TASK, cures.direct(base_url, llamacpp.MODEL))
    if case.raw == "right":
        assert sorted(outcome.calls, key=str) == CALLS and not outcome.error
    elif case.raw == "error":
        assert outcome.error and not outcome.calls
    elif case.raw == "wrong":
        assert sorted(outcome.calls, key=str) != CALLS
    else:
        assert not outcome.calls and not outcome.error and outcome.answer != ANSWER


@pytest.mark.parametrize("program", AGENTS, ids=lambda program: program.id)
@pytest.mark.parametrize("cure", cures.CURES)
def test_a_cured_program_runs_the_calls_that_the_model_wrote(
    served: tuple[Case, str], program: Program, cure: str, request: pytest.FixtureRequest
) -> None:
    if program.missing:
        pytest.skip(program.missing)
    if not cures.fits(program, cure):
        pytest.skip(f"{program.client} cannot use {cure}")
    case, base_url = served
    if cure == "transport":
        place = cures.transported(base_url, llamacpp.MODEL, program, case.cure)
    elif cure == "proxy":
        place = cures.direct(request.getfixturevalue("proxied"), llamacpp.MODEL)
    elif "upstream" in case.cure:
        pytest.skip("the request is the program's own: it would have to ask with tool_choice none itself")
    else:
        place = cures.normalized(base_url, llamacpp.MODEL, case.cure)
    right(case, program, program.run(TASK, place))


def test_llama_cpp_keeps_the_tools_in_the_prompt_with_tool_choice_none(served: tuple[Case, str]) -> None:
    """Else `upstream="text"` would hide them from the model."""
    import httpx

    _case, base_url = served
    prompts = []
    for extra in ({}, {"tools": TOOLS}, {"tools": TOOLS, "tool_choice": "none"}):
        body = {"messages": [{"role": "user", "content": "Hello."}], **extra}
        answer = httpx.post(base_url.removesuffix("/v1") + "/apply-template", json=body)
        prompts.append(answer.json()["prompt"])
    bare, auto, none = prompts
    assert "get_weather" not in bare
    assert auto == none and "get_weather" in none
