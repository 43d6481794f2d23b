"""What a client program is here: it takes a task and a place, runs a whole agent loop, and says what it did.

A program is written as the documentation of its client shows it, and mends nothing itself: a call that it could
not read is not in `Outcome.calls`, an exception that reached it is in `Outcome.error`. What counts as a call is
what was *run*, with the arguments that the tool got; whether that is right is judged elsewhere (`verdict.py`).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Call = tuple[str, dict[str, Any]]

RESULT = "Done: it is as you asked."
"""What every tool answers."""

MAX_TURNS = 4
"""A loop that goes on longer is an error of its own."""


@dataclass(frozen=True)
class Task:
    """What a program is to do."""

    question: str
    tools: Sequence[Mapping[str, Any]]
    """OpenAI tool definitions."""

    @property
    def functions(self) -> list[Mapping[str, Any]]:
        return [tool["function"] for tool in self.tools]


@dataclass(frozen=True)
class Place:
    """Where a program finds its model, and through what."""

    base_url: str
    model: str
    http: Callable[[], Any] | None = None
    """Makes the `http_client` of a synchronous program; None: the client's own."""
    async_http: Callable[[], Any] | None = None
    wrap: Callable[[Any, Mapping[str, Any]], Any] | None = None
    """What the program does with a stream or response of the `openai` package before it reads it, given the
    request's arguments (`normalize_stream`, `normalize_response`)."""

    def sdk(self) -> dict[str, Any]:
        """The arguments of `OpenAI(...)`."""
        return self._sdk(self.http)

    def async_sdk(self) -> dict[str, Any]:
        """The arguments of `AsyncOpenAI(...)`."""
        return self._sdk(self.async_http)

    def _sdk(self, http: Callable[[], Any] | None) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "api_key": "none",
            "max_retries": 0,
            "timeout": 20.0,
            **({"http_client": http()} if http else {}),
        }


@dataclass
class Outcome:
    """What a program did and got."""

    calls: list[Call] = field(default_factory=list)
    answer: str = ""
    error: str = ""
    said: list[str] = field(default_factory=list)
    """The text beside calls, one a turn; empty where the program does not look at it."""
    finish: list[str] = field(default_factory=list)
    """The finish reasons that the program could see, one a turn; empty where its client shows none."""

    def run(self, name: str, arguments: Any) -> str:
        """Run a tool: note the call, return its result. Arguments that are no JSON object raise `ValueError`."""
        if isinstance(arguments, str):
            arguments = json.loads(arguments or "{}")
        if not isinstance(arguments, dict):
            raise ValueError(f"arguments are no object: {arguments!r}")
        self.calls.append((name, arguments))
        return RESULT

    def failed(self, error: BaseException) -> None:
        self.error = f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Program:
    """One client program."""

    client: str
    """Its name in the table."""
    package: str
    """What must be importable."""
    stream: bool
    main: Callable[[Task, Place, Outcome], None]
    http: str
    """The package that its transport is for: `httpx2` or `httpx`; "" if it takes none."""
    parallel: bool = True
    """Whether it can take several calls of one answer."""
    closes_cut_calls: bool = False
    """Whether its client closes the JSON of a call that was cut and passes it on as a whole one, even where the finish
    reason is `length`: such calls must not reach it (`incomplete="drop"`)."""
    joins_results: bool = False
    """Whether it sends all results of a turn as one text, under a heading."""
    wraps: bool = False
    """Whether it can use `Place.wrap`."""
    check: Callable[[], str] | None = None
    """Says why it cannot run here, where the package alone does not tell; installs nothing."""
    prepare: Callable[[], str] = str
    """Called before the first run; says why there can be none."""

    @property
    def id(self) -> str:
        return f"{self.client}, {'streamed' if self.stream else 'whole'}"

    @property
    def missing(self) -> str:
        """Why it cannot run here; "" if it can."""
        if self.check:
            return self.check()
        return "" if importlib.util.find_spec(self.package) else f"{self.package} is not installed"

    def run(self, task: Task, place: Place) -> Outcome:
        """Run it. Whatever goes wrong is in the outcome, as a user of the program would see it."""
        outcome = Outcome()
        try:
            self.main(task, place, outcome)
        except Exception as error:
            outcome.failed(error)
        return outcome
