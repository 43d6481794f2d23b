"""The replay gateway: an OpenAI-compatible server that plays captured answers, with the habits and faults of real ones.

Theory. A client is right if it copes with what gateways really send, so the tests need a server that sends it:
over real HTTP, byte for byte, on request. What is said is a `Scenario`; whose habits shape it is a `Kind`; what goes
wrong is a list of `Fault`s. Each of the three is data, and any of one goes with any of the others. See `gateway.py`
for the server, `making.py` for how an answer is made, `faults/` for what is done to it, `sending.py` for how it goes
out.
"""

from __future__ import annotations

from .errors import ReplayError
from .faults import FAULTS, Fault, Outcome, UnknownFaultError
from .gateway import ReplayGateway
from .kinds import KINDS, Kind
from .reading import embedded_scenarios, read_scenarios
from .saying import CALLS, CUTS, REASONING
from .scenario import Scenario, Truth, scenario_of_record
from .sending import Received

__all__ = [
    "CALLS",
    "CUTS",
    "FAULTS",
    "KINDS",
    "REASONING",
    "Fault",
    "Kind",
    "Outcome",
    "Received",
    "ReplayError",
    "ReplayGateway",
    "Scenario",
    "Truth",
    "UnknownFaultError",
    "embedded_scenarios",
    "read_scenarios",
    "scenario_of_record",
]
