"""The event-level mutation fuzzer: it writes what models might write, and checks the contracts on it.

Theory. A parser of model output breaks where two things meet: a marker and a chunk border, a hold and the end
of the text, a mend and a rollback. So texts are not random bytes but sequences of *events* of the family under
test (its own markers and near-misses of them, whole calls and mutilated ones, JSON in every broken state,
code, odd Unicode), and the checks need no expected result: whatever the text means, it must mean the same in
every cutting, nothing may get lost, nothing may be held without a reason, and the arguments are JSON.

Four small modules, one idea each:

    draw.py    where choices come from: a seeded generator (fast, for long runs) or hypothesis (shrinks itself)
    blocks.py  what texts are made of; knows a family only through the registry and its fixtures
    case.py    one input: text, channels, parameters, cuttings; its `repr` is a regression test to paste
    check.py   the rules; `check(case)` raises `Finding(rule, ...)` at the first that does not hold
    shrink.py  makes a finding small

`python -m tests.fuzz --seconds 600 --jobs 2` runs it; `tests/test_contracts.py` runs a bounded, derandomized
share of it under pytest.
"""

from .case import Case, any_case
from .check import RULES, Finding, check

__all__ = ["RULES", "Case", "Finding", "any_case", "check"]
