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


class Servers:
    """A llama.cpp server for each case, and a proxy before it, from the first use on."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._urls: dict[str, str] = {}
        self._proxies: dict[str, str] = {}

    def url(self, case: Case) -> str:
        from tests.clients.llamacpp.reciter import write_model

        if case.id not in self._urls:
            template = (Path(llamacpp.__file__).parent / "chatml_hermes.jinja").read_text(encoding="utf-8")
            model = self._folder / f"{len(self._urls)}.gguf"
            write_model(model, {"\n": case.text, "\t": ANSWER}, template)
            self._urls[case.id] = self._stack.enter_context(llamacpp.running(model, *case.server))
        return self._urls[case.id]

    def proxy(self, case: Case) -> str:
        if case.id not in self._proxies:
            made = cures.proxy(self.url(case), **case.cure)
            self._proxies[case.id] = self._stack.enter_context(made)
        return self._proxies[case.id]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("llamacpp"), stack)


def in_turn(every: int) -> list[tuple[Case, Program]]:
    """Each case with some of the programs, others for each case."""
    return [
        (case, program)
        for at, case in enumerate(CASES)
        for turn, program in enumerate(AGENTS)
        if (at + turn) % every == 0
    ]


def name(value: object) -> str | None:
    return value.id if isinstance(value, (Case, Program)) else None


def run(case: Case, program: Program, cure: str, base_url: str) -> Outcome:
    if program.missing:
        pytest.skip(program.missing)
    if cure == "transport":
        return program.run(TASK, cures.transported(base_url, llamacpp.MODEL, program, case.cure))
    if cure == "normalize":
        return program.run(TASK, cures.normalized(base_url, llamacpp.MODEL, case.cure))
    return program.run(TASK, cures.direct(base_url, llamacpp.MODEL))


def is_right(case: Case, outcome: Outcome) -> None:
    assert outcome.error == ""
    assert sorted(outcome.calls, key=str) == CALLS
    assert outcome.answer.strip() == ANSWER
    assert [text.strip() for text in outcome.said] in ([case.said], [])


@pytest.mark.parametrize(("case", "program"), in_turn(4), ids=name)
def test_what_a_program_gets_from_llama_cpp_as_it_is(servers: Servers, case: Case, program: Program) -> None:
    outcome = run(case, program, "raw", servers.url(case))
    if case.raw == "right":
        assert sorted(outcome.calls, key=str) == CALLS and not outcome.error
    elif case.raw == "error":
        assert outcome.error and not outcome.calls
    elif case.raw == "wrong":
        assert sorted(outcome.calls, key=str) != CALLS
    else:
        assert not outcome.calls and not outcome.error and outcome.answer != ANSWER


@pytest.mark.parametrize(("case", "program"), in_turn(1), ids=name)
def test_through_the_transport_a_program_runs_the_calls_that_the_model_wrote(
    servers: Servers, case: Case, program: Program
) -> None:
    is_right(case, run(case, program, "transport", servers.url(case)))


@pytest.mark.parametrize(("case", "program"), in_turn(3), ids=name)
def test_through_the_proxy_a_program_runs_the_calls_that_the_model_wrote(
    servers: Servers, case: Case, program: Program
) -> None:
    is_right(case, run(case, program, "proxy", servers.proxy(case)))


WRAPPED = [  # with `upstream="text"` a loop of one's own would have to ask with tool_choice "none" itself
    (case, program) for case, program in in_turn(2) if program.wraps and "upstream" not in case.cure
]


@pytest.mark.parametrize(("case", "program"), WRAPPED, ids=name)
def test_a_loop_of_ones_own_with_normalize_stream_runs_the_calls_that_the_model_wrote(
    servers: Servers, case: Case, program: Program
) -> None:
    is_right(case, run(case, program, "normalize", servers.url(case)))


def test_llama_cpp_keeps_the_tools_in_the_prompt_with_tool_choice_none(servers: Servers) -> None:
    """Else `upstream="text"` would hide them from the model."""
    import httpx

    base_url = servers.url(CASES[0])
    prompts = []
    for extra in ({}, {"tools": TOOLS}, {"tools": TOOLS, "tool_choice": "none"}):
        body = {"messages": [{"role": "user", "content": "Hello."}], **extra}
        answer = httpx.post(base_url.removesuffix("/v1") + "/apply-template", json=body)
        prompts.append(answer.json()["prompt"])
    bare, auto, none = prompts
    assert "get_weather" not in bare
    assert auto == none and "get_weather" in none
