"""What `normalize_stream` says of streams that the `openai` package has made of something else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients import gateway
from tests.clients.gateway import Trial
from tests.clients.program import Program
from tests.clients.programs import PROGRAMS
from tests.clients.runs import Stand

LOOPS = [program for program in PROGRAMS if program.wraps and program.stream and not program.missing]
NO_STREAM = [
    trial for trial in gateway.faults() if trial.fault and trial.fault.name in ("html", "ignores-stream")
]
BREAKS = [trial for trial in gateway.faults() if trial.fault and trial.fault.name in ("drop", "reset")]


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with Stand() as made:
        yield made


@pytest.mark.parametrize("trial", NO_STREAM, ids=lambda trial: trial.id)
@pytest.mark.parametrize("program", LOOPS, ids=lambda program: program.id)
def test_an_answer_that_is_no_stream_is_an_error_and_not_an_empty_answer(
    stand: Stand, program: Program, trial: Trial
) -> None:
    _, outcome = stand.run(trial, program, "normalize")
    assert outcome.error.startswith("UpstreamError: ") and "no chunk" in outcome.error
    assert outcome.calls == []


@pytest.mark.parametrize("trial", BREAKS, ids=lambda trial: trial.id)
@pytest.mark.parametrize("program", LOOPS, ids=lambda program: program.id)
def test_a_connection_that_breaks_raises_what_it_raises_without_the_wrapper(
    stand: Stand, program: Program, trial: Trial
) -> None:
    _, raw = stand.run(trial, program, "raw")
    verdict, outcome = stand.run(trial, program, "normalize")
    assert verdict == "right"
    assert outcome.error.partition(":")[0] == raw.error.partition(":")[0] != ""
