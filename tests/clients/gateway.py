"""What the client programs are put to: scenarios of the replay gateway, its kinds and its faults.

One gateway serves them all: a program asks for `MODEL+KIND+CALLS+FAULT`, so one proxy before it will do, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hamr_parsers.serve.replay import FAULTS, KINDS, Fault, ReplayGateway, Scenario
from tests.clients.program import RESULT, Call, Program, Task

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of the next days.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
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
QUESTION = "How is the weather in Zürich and in Kyōto?"

ONE = """Let me see. ☀
<tool_call>
{"name": "get_weather", "arguments": {"city": "Zürich 🏔", "days": 3}}
</tool_call>"""
TWO = (
    ONE
    + """
<tool_call>
{"name": "get_weather", "arguments": {"city": "Kyōto 🌸 \\"old\\"", "days": 10}}
</tool_call>"""
)
THOUGHT = """<think>
They ask for two cities: two calls. 🤔
</think>

"""

SCENARIOS: dict[str, Scenario] = {
    scenario.id: scenario
    for scenario in (
        Scenario("qwen3:one", ONE, "hermes", tools=TOOLS, thinking=False),
        Scenario("qwen3:two", TWO, "hermes", tools=TOOLS, thinking=False),
        Scenario("qwen3:one-thought", THOUGHT + ONE, "hermes", tools=TOOLS, thinking=False),
        Scenario("qwen3:two-thought", THOUGHT + TWO, "hermes", tools=TOOLS, thinking=False),
    )
}

LEFT_OUT = {
    "stall": "takes as long as the client's patience",
    "unauthorized": "all programs send a key",
    "no-models": "no program asks for the models",
    "many-models": "no program asks for the models",
    "text-lost": "needs max_tokens",
}
QUICK = {"slow": "slow=0.002", "held-headers": "held-headers=0.05", "silence": "silence=0.05"}
"""Faults that take their time, with less of it."""

NEUTRAL = "litellm"
"""The kind that faults are shown on: its own shape is the one that most programs take."""


@dataclass(frozen=True)
class Trial:
    """What one row of the table puts the programs to."""

    kind: str
    calls: str
    fault: Fault | None = None

    @property
    def id(self) -> str:
        return f"{self.kind}, {self.calls}" + (f", {self.fault.name}" if self.fault else "")

    def best(self, program: Program) -> str:
        """What can be got at best, cured."""
        if self.fault is None or self.fault.outcome == "gone":
            return "right"
        if self.fault.name == "no-finish" and not program.stream:
            return "right"  # JSON that is whole has not died on the way
        return self.fault.outcome

    def cure(self, program: Program) -> dict[str, str]:
        """The options of the cure; most need none."""
        if self.fault and self.fault.outcome == "gone":
            return {"upstream": "text"}
        if self.fault and self.fault.outcome == "cut" and program.closes_cut_calls:
            return {"incomplete": "drop"}
        return {}

    def applies(self, program: Program) -> bool:
        """Whether the program meets the fault at all: most are of streams alone."""
        if self.fault is None or program.stream:
            return True
        return bool({"response", "saying", "delivery"} & set(self.fault.stages))

    def scenario(self, program: Program) -> Scenario:
        legacy = self.fault is not None and self.fault.name == "legacy-function-call" and not program.stream
        name = (
            "qwen3:two" if program.parallel and not legacy else "qwen3:one"
        )  # the old field has room for one
        if self.fault and self.fault.needs == "reasoning":
            name += "-thought"
        return SCENARIOS[name]

    def model(self, program: Program) -> str:
        words = [self.scenario(program).id, self.kind, self.calls]
        if self.fault:
            words.append(QUICK.get(self.fault.name, self.fault.name))
        return "+".join(words)

    def task(self) -> Task:
        return Task(QUESTION, TOOLS)

    def truth(self, program: Program) -> list[Call]:
        return list(self.scenario(program).truth.calls)

    def answer(self, program: Program) -> str | None:
        """The text after the tools' results; None: that is lost, too."""
        if self.fault is not None and self.fault.name == "calls-in-reasoning":
            return None
        scenario = self.scenario(program)
        results = [RESULT] * len(scenario.truth.calls)
        if program.joins_results:
            results = [" ".join(["Observation:", *results])]
        told = scenario.read(scenario.final(results))
        return told.content or ""


def kinds() -> list[Trial]:
    """Each kind without a fault, its calls parsed by it or left as text."""
    return [Trial(kind, calls) for kind in KINDS for calls in ("native", "text")]


def faults() -> list[Trial]:
    """Each fault on the neutral kind; where it needs no parsed calls, also with calls left as text."""
    return list(_faults(list(FAULTS.values())))


def _faults(given: Sequence[Fault]) -> Iterator[Trial]:
    for fault in given:
        if fault.name in LEFT_OUT or fault.when == "refused":  # which no program asks for
            continue
        if fault.needs in ("any", "reasoning"):
            yield Trial(NEUTRAL, "native", fault)
            yield Trial(NEUTRAL, "text", fault)
        else:
            yield Trial(NEUTRAL, fault.needs, fault)


def gateway() -> ReplayGateway:
    return ReplayGateway(list(SCENARIOS.values()))
