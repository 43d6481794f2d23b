"""Making a finding small.

Theory. A smaller case is one with less text and fewer parameters that breaks the *same rule*. Text goes first
in big bites, then token by token, then character by character; then parameters return to their defaults; then,
for a finding about cuttings, one single cut is looked for. All under a time limit: a half-shrunk case is better
than none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from .case import Case
from .check import Finding, check


def shrink(finding: Finding, *, seconds: float = 20.0) -> Finding:
    """The smallest finding of the same rule that was reached within the seconds."""
    best = finding
    end = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        assert best.case is not None
        for candidate in _smaller(best.case, finding.rule):
            if time.monotonic() > end:
                break
            found = _still(candidate, finding.rule)
            if found is not None:
                best = found
                progress = True
                break
    return best


def _still(case: Case, rule: str) -> Finding | None:
    rules = None if rule in ("hang", "exception") else (rule,)
    try:
        check(case, rules, seconds=20.0 if rules else 8.0)
    except Finding as finding:
        if finding.rule == rule:
            return finding
    return None


def _smaller(case: Case, rule: str) -> Iterator[Case]:
    text = case.text
    size = len(text)
    bite = max(size // 2, 1)
    while bite:
        for start in range(0, size, bite):
            yield replace(case, text=text[:start] + text[start + bite :], switches=_moved(case, start, bite))
        bite //= 2
    if case.switches:
        yield replace(case, switches=())
        for i in range(len(case.switches)):
            yield replace(case, switches=case.switches[:i] + case.switches[i + 1 :])
    for key in case.options:
        yield replace(case, options={k: v for k, v in case.options.items() if k != key})
    if case.finish_reason is not None:
        yield replace(case, finish_reason=None)
    if case.tools != "declared":
        yield replace(case, tools="declared")
    if case.seed:
        yield replace(case, seed=0)
    if case.cuts is None:
        if rule == "cutting":
            for at in range(1, min(size, 200)):
                yield replace(case, cuts=(at,))
    elif len(case.cuts) > 1:
        for i in range(len(case.cuts)):
            yield replace(case, cuts=case.cuts[:i] + case.cuts[i + 1 :])
    for i, character in enumerate(text):
        if character not in "a \n" and character.isalnum():
            yield replace(case, text=text[:i] + "a" + text[i + 1 :])


def _moved(case: Case, start: int, bite: int) -> tuple[int, ...]:
    return tuple(s if s <= start else max(start, s - bite) for s in case.switches)
