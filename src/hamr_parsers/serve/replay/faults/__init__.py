"""The faults of the replay gateway: one for each habit and each malformation that gateways have been seen to have.

`calls.py` has those of tool calls, `answer.py` those of content, reasoning, finish and usage, `events.py` those of
the event stream and its bytes, `connection.py` those of HTTP. `registry.py` says what a fault is.
"""

from __future__ import annotations

from . import answer, calls, connection, events
from .registry import FAULTS, ChosenFault, Fault, Needs, Outcome, Stage, UnknownFaultError, choose

__all__ = [
    "FAULTS",
    "ChosenFault",
    "Fault",
    "Needs",
    "Outcome",
    "Stage",
    "UnknownFaultError",
    "choose",
]

_MODULES = (calls, answer, events, connection)  # importing them fills the list
