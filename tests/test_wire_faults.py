"""Every fault of the replay gateway, over real HTTP, against the wire layer: what must come out comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hamr_parsers.serve.replay import FAULTS, Fault
from hamr_parsers.wire import Exchange, SSEDecoder

from .gateway import Answered, post, question, serving
from .test_transport import assert_truth
from .wire_faults import Chunks, assert_safe, gathered

#: Faults of the connection and of the HTTP exchange, which are the transports', clients' and proxy's (their tests).
ELSEWHERE = {
    "stall", "slow", "held-headers", "silence", "serialised", "switch-kills", "unauthorized", "access",
    "ai-gateway", "rate-limit", "switching", "bad-gateway", "server-error", "too-large", "html",
    "bad-json", "empty-body", "no-models", "many-models", "text-lost", "ignores-stream",
    "always-streams", "none-drops-tools",
}  # fmt: skip


def cured(answer: Answered, request: dict[str, Any]) -> tuple[Chunks, dict[str, Any] | None]:
    """The chunks that a client gets, and the error that ends them."""
    sse = Exchange(request).sse()
    out = b"".join(sse.feed(piece) for piece in answer.pieces)
    out += sse.close(error="broken" if answer.broken else None)
    values = [event.value for event in SSEDecoder().feed(out) if event.value is not None]
    errors = [value for value in values if "error" in value]
    return [value for value in values if "error" not in value], errors[0] if errors else None


@pytest.fixture(scope="module")
def gateway() -> Any:
    with serving() as gateway:
        yield gateway


@pytest.mark.parametrize(
    "fault", [f for f in FAULTS.values() if f.name not in ELSEWHERE], ids=lambda f: f.name
)
def test_every_fault(gateway: Any, fault: Fault) -> None:
    modes = {"native": ["native"], "text": ["text"], "both": ["both"]}.get(fault.needs, ["text", "native"])
    for scenario in gateway.scenarios.values():
        for calls in modes:
            request = question(scenario, stream=True)
            headers = {"x-replay-fault": fault.name, "x-replay-calls": calls}
            answer = post(gateway, request, headers)
            chunks, error = cured(answer, request)
            got = gathered(chunks) if chunks else None
            if any(one["choices"] for one in chunks):
                assert_safe(chunks)
            if fault.outcome == "right" and fault.name == "calls-in-reasoning":
                # a bare object, without any marker, is no call where thoughts are due
                bare = scenario.family.bare and calls == "text"
                wanted = [] if bare else [name for name, _ in scenario.truth.calls]
                assert [call["name"] for call in got["calls"]] == wanted
            elif fault.outcome == "right":
                assert error is None
                assert_truth(scenario, got or {})
            elif fault.outcome == "cut" and scenario.truth.calls and answer.status == 200:
                # nobody may take half an answer for a whole one; what was cut behind all calls, or not at all
                # (a text that has no native call to cut), is whole
                if got["finish"] != "length":
                    assert_truth(scenario, got)
            elif fault.outcome == "error":
                assert error is not None
                assert got is None or got["finish"] in ("length", None)
            for call in got["calls"] if got and got["finish"] == "tool_calls" else ():
                assert isinstance(json.loads(call["arguments"]), dict)
