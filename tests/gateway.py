"""For tests: a replay gateway in a thread on a free port, and raw answers of it.

    with serving(kind="vllm", faults=["no-index"]) as gateway:
        client = OpenAI(base_url=gateway.base_url, api_key="none")

`gateway.requests` is what came in. `post` is for tests that look at the wire itself: every byte as it was sent,
without any client's opinion on it.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hamr_parsers.serve.replay import ReplayGateway, Scenario

__all__ = ["Answered", "post", "question", "serving"]


@contextmanager
def serving(**options: Any) -> Iterator[ReplayGateway]:
    """A running gateway; the options are those of `ReplayGateway`."""
    with ReplayGateway(**options).running() as gateway:
        yield gateway


def question(scenario: Scenario | str, **fields: Any) -> dict[str, Any]:
    """A request body that asks for a scenario, with its tools."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Please do what you can."}]}
    if isinstance(scenario, Scenario):
        body["model"] = scenario.id
        if scenario.tools:
            body["tools"] = list(scenario.tools)
    else:
        body["model"] = scenario
    body.update(fields)
    return {key: value for key, value in body.items() if value is not None}


@dataclass
class Answered:
    """An answer: `pieces` are the chunks of the body as they were cut; `broken` is how it ended too soon."""

    status: int
    headers: Mapping[str, str]
    pieces: list[bytes] = field(default_factory=list)
    broken: str | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of each event, for streams whose lines are as usual."""
        lines = self.body.decode().split("\n")
        return [line.removeprefix("data:").removeprefix(" ") for line in lines if line.startswith("data:")]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The JSON objects among the data."""
        return [json.loads(data) for data in self.data if data != "[DONE]"]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        """The deltas of all chunks that have one."""
        found = []
        for chunk in self.chunks:
            for choice in chunk.get("choices") or ():
                if choice.get("delta"):
                    found.append(choice["delta"])
        return found

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries of tool_calls of all chunks."""
        return [entry for delta in self.deltas for entry in delta.get("tool_calls") or ()]

    @property
    def finishes(self) -> list[str]:
        """Every finish_reason that is not null."""
        found = [choice.get("finish_reason") for c in self.chunks for choice in c.get("choices") or ()]
        return [reason for reason in found if reason]

    def text(self, *fields: str) -> str:
        """The text of some fields of all deltas."""
        names = fields or ("content",)
        return "".join(d[name] for d in self.deltas for name in names if isinstance(d.get(name), str))


def post(
    gateway: ReplayGateway,
    body: Any,
    headers: Mapping[str, str] | None = None,
    *,
    path: str = "/chat/completions",
    method: str = "POST",
    timeout: float = 20,
) -> Answered:
    """One request, and all that came back."""
    url = urlsplit(gateway.base_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(
            method, url.path + path, data, {"Content-Type": "application/json", **(headers or {})}
        )
        response = connection.getresponse()
        answered = Answered(response.status, {k.lower(): v for k, v in response.getheaders()})
        try:
            while piece := response.read1():
                answered.pieces.append(piece)
        except (http.client.IncompleteRead, ConnectionError) as error:
            answered.broken = type(error).__name__
        if len(answered.body) < int(answered.headers.get("content-length", 0)):
            answered.broken = answered.broken or "IncompleteRead"
        return answered
    finally:
        connection.close()
