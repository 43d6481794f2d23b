"""Running programs before one replay gateway: raw, and cured in each way."""

from __future__ import annotations

import contextlib
from types import TracebackType

from tests.clients import cures
from tests.clients.gateway import Trial, gateway
from tests.clients.program import Outcome, Program
from tests.clients.verdict import Verdict, judge

WAYS = ("raw", *cures.CURES)

BEYOND = {
    (
        "smolagents",
        "no-usage",
    ): "whole answers without usage are an error to smolagents; nobody can know the counts",
}
"""What no cure can cure, by client and fault."""


class Stand:
    """A replay gateway, and proxies before it as they are needed."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._proxies: dict[tuple[tuple[str, str], ...], str] = {}

    def __enter__(self) -> Stand:
        self.gateway = self._stack.enter_context(gateway().running())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, trial: Trial, program: Program, way: str) -> tuple[Verdict, Outcome]:
        """What the program did in a trial, and whether it is right."""
        url, model, cure = self.gateway.base_url, trial.model(program), trial.cure(program)
        if way == "raw":
            place = cures.direct(url, model)
        elif way == "transport":
            place = cures.transported(url, model, program, cure)
        elif way == "normalize":
            place = cures.normalized(url, model, cure)
        else:
            place = cures.direct(self._proxy(cure), model)
        outcome = program.run(trial.task(), place)
        return judge(outcome, trial.truth(program), trial.answer(program), trial.best(program)), outcome

    def _proxy(self, cure: dict[str, str]) -> str:
        key = tuple(sorted(cure.items()))
        if key not in self._proxies:
            self._proxies[key] = self._stack.enter_context(cures.proxy(self.gateway.base_url, **cure))
        return self._proxies[key]


def met(trial: Trial, program: Program, way: str) -> bool:
    """Whether a program meets a trial, and can use the way there."""
    if not trial.applies(program):
        return False
    if way == "raw":
        return True
    if way == "normalize" and (trial.cure(program).get("upstream") or not _in_chunks(trial)):
        return False
    return cures.fits(program, way)


def beyond(trial: Trial, program: Program) -> bool:
    """Whether no cure helps."""
    fault = trial.fault.name if trial.fault else ""
    return (program.client, fault) in BEYOND and not program.stream


def _in_chunks(trial: Trial) -> bool:
    """Whether the trial's fault is in the chunks or the response: below them, the `openai` package has read on its own
    before `normalize_stream` sees anything."""
    return trial.fault is None or set(trial.fault.stages) <= {"saying", "chunks", "response"}
