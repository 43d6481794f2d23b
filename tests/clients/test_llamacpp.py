"""Agent loops against a real llama.cpp server, which recites what a model of some dialect would write."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import cures, llamacpp
from tests.clients.llamacpp.cases import ANSWER, CALLS, CASES, TASK, TOOLS, Case
from tests.clients.program import Outcome, Program
from tests.clients.programs import PROGRAMS

if llamacpp.missing():
    pytest.skip(llamacpp.missing(), allow_module_level=True)

AGENTS = [  # those of Node take no transport; the other two ask in a way of their own, or cannot here
    program
    for program in PROGRAMS
    if program.http and program.client not in ("smolagents", "instructor") and not program.missing
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
