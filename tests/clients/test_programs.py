"""Each client program against each kind of gateway, and each fault: cured, all of them get right calls.

What they get uncured is recorded (results.json, written by table.py) and shown in docs/clients.md. Here every fault
meets one or two of the programs that are installed, in turn, and every kind meets all of them;
`python -m tests.clients.table` runs the whole product.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients import cures, gateway, table
from tests.clients.gateway import Trial
from tests.clients.program import Program
from tests.clients.programs import PROGRAMS
from tests.clients.runs import Stand, beyond, met

ALL = table.all_trials()
CASES = [trial for trial in ALL if trial.fault is not None]
HERE = [program for program in PROGRAMS if not program.missing]
FEW = 10


def pairs() -> list[tuple[Trial, Program, str]]:
    """Each fault with some programs in turn, cured by each way in turn."""
    made, turn = [], 0
    at_once = 1 if len(HERE) < FEW else 2
    for trial in CASES:
        able = [program for program in HERE if trial.applies(program) and not beyond(trial, program)]
        for step in range(min(at_once, len(able))):
            program = able[(turn + step) % len(able)]
            ways = [way for way in cures.CURES if met(trial, program, way)]
            if ways:
                made.append((trial, program, ways[(turn + step) % len(ways)]))
        turn += at_once
    return made


def name(value: object) -> str | None:
    return value.id if isinstance(value, (Trial, Program)) else None


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with Stand() as made:
        yield made


def prepare(program: Program) -> None:
    if why := program.prepare():
        pytest.skip(why)


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program not in HERE], ids=name)
def test_a_program_that_is_not_installed_is_skipped(program: Program) -> None:
    pytest.skip(program.missing)


@pytest.mark.parametrize("trial", gateway.kinds(), ids=name)
@pytest.mark.parametrize("program", HERE, ids=name)
def test_a_cured_program_gets_right_calls_from_every_kind_of_gateway(
    stand: Stand, program: Program, trial: Trial
) -> None:
    prepare(program)
    way = "transport" if cures.fits(program, "transport") else "proxy"
    verdict, outcome = stand.run(trial, program, way)
    assert verdict == "right", outcome


@pytest.mark.parametrize(("trial", "program", "way"), pairs(), ids=name)
def test_a_cured_program_gets_out_of_every_fault_what_can_be_got(
    stand: Stand, trial: Trial, program: Program, way: str
) -> None:
    prepare(program)
    verdict, outcome = stand.run(trial, program, way)
    assert verdict == "right", outcome


@pytest.mark.parametrize(("trial", "program"), [pair[:2] for pair in pairs()][::4], ids=name)
def test_the_table_says_what_an_uncured_program_gets(stand: Stand, trial: Trial, program: Program) -> None:
    prepare(program)
    record = table.Record(table.recorded())
    assert program.id in record.results, "run `python -m tests.clients.table`"
    if record.results[program.id]["version"] != table.version(program):
        pytest.skip("recorded with another version of the client")
    verdict, outcome = stand.run(trial, program, "raw")
    assert verdict == record.before(trial, program), outcome


def test_the_table_has_all_right_after_the_cure() -> None:
    record = table.Record(table.recorded())
    wrong = [
        (program.id, trial.id, record.after(trial, program))
        for program in record.programs
        for trial in ALL
        if trial.applies(program) and not beyond(trial, program) and record.after(trial, program) != "right"
    ]
    assert wrong == []


def test_the_table_has_every_program_and_every_trial() -> None:
    results = table.recorded()
    stale = [
        program.id
        for program in table.every_program()
        if results.get(program.id, {}).get("met") != table.digest(program)
    ]
    assert stale == [], "run `python -m tests.clients.table`"


def test_the_document_is_the_recorded_table() -> None:
    told = table.document(table.recorded())
    assert table.DOCUMENT.read_text(encoding="utf-8") == told, "run `python -m tests.clients.table --write`"
