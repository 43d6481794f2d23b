"""Whether what a program did is right, given what the gateway could give it at best.

- Outcome "right": it ran exactly the calls that the model wrote (in any order: agents run parallel calls side by
  side), without an error, and ended with the model's answer.
- "cut" and "error": no right answer is to be had. It ran only calls that came whole, and was told: by an exception,
  or by the finish reason `length` (where its client shows no finish reason, not running half a call is all).

Everything else has a word: `lost` (calls were not run, and no error), `wrong` (other calls or another answer), `half`
(a call was run with a part of its arguments), `error` (an exception), `untold` (cut, and nothing said so).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from tests.clients.program import Call, Outcome

Verdict = Literal["right", "lost", "wrong", "half", "error", "untold"]


def judge(outcome: Outcome, calls: Sequence[Call], answer: str | None, best: str) -> Verdict:
    """The verdict on a program's outcome; `best` is the fault's outcome ("right", "cut", "error"), `answer` None where
    that is lost whatever one does: then only the calls are judged."""
    rest = keys(calls)
    for call in outcome.calls:
        key = keys([call])[0]
        if key not in rest:
            if best == "right" and outcome.error:
                return "error"
            return "half" if halves(call, calls) else "wrong"
        rest.remove(key)
    if best != "right":
        told = best == "cut" and (not outcome.finish or "length" in outcome.finish)
        return "right" if outcome.error or told else "untold"
    if answer is None and not rest:
        return "right"
    if outcome.error:
        return "error"
    if rest:
        return "lost"
    said = outcome.answer if isinstance(outcome.answer, str) else ""  # a client passes on what it got
    return "right" if answer is not None and said.strip() == answer.strip() else "wrong"


def keys(calls: Sequence[Call]) -> list[str]:
    return sorted(json.dumps([name, arguments], sort_keys=True) for name, arguments in calls)


def halves(call: Call, calls: Sequence[Call]) -> bool:
    """Whether a call is a wanted one with a part of its arguments."""
    name, arguments = call
    return any(name == wanted and part(arguments, whole) for wanted, whole in calls)


def part(some: Any, whole: Any) -> bool:
    """Whether a JSON value is the beginning of another."""
    if isinstance(some, dict) and isinstance(whole, dict):
        return all(key in whole and part(value, whole[key]) for key, value in some.items())
    if isinstance(some, str) and isinstance(whole, str):
        return whole.startswith(some)
    return bool(some == whole) or some is None
