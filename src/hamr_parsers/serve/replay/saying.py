"""From a scenario and a request to what is said: which turn, as text or as parsed calls, how long, cut where.

The text is cut before anything is parsed, since that is what `max_tokens` does to a model; a call that a gateway
had begun to parse then ends in the middle of its arguments.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ...transcripts.demos import token_like
from .scenario import Scenario
from .shape import Say, SayCall, Saying

__all__ = [
    "CALLS",
    "CUTS",
    "REASONING",
    "CallsMode",
    "Cut",
    "ReasoningMode",
    "Turn",
    "cutter",
    "say",
    "turn_of",
]

CallsMode = Literal["text", "native", "both"]
Cut = Literal["tokens", "characters", "random", "whole"]
ReasoningMode = Literal["field", "text"]
CALLS: tuple[str, ...] = get_args(CallsMode)
CUTS: tuple[str, ...] = get_args(Cut)
REASONING: tuple[str, ...] = get_args(ReasoningMode)

# Stands for the request's number in ids, so that a stream is made once and sent many times: as long as what
# replaces it, and nothing that a model writes.
REQUEST = "~rq-id~~"


@dataclass(frozen=True, slots=True)
class Turn:
    """What of a request decides the answer. Hashable: equal turns get equal streams."""

    results: tuple[str, ...] | None  # of the tools, if this is the turn after them
    tools: bool
    refused: bool  # tools were sent, and `tool_choice` was "none"
    limit: int | None
    choices: int
    usage: bool
    stream: bool


def turn_of(body: Mapping[str, Any]) -> Turn:
    """The turn that a request asks for; fields that are not what they should be count as missing."""
    messages = body.get("messages")
    results: list[str] = []
    for message in reversed(messages if isinstance(messages, list) else []):
        if not isinstance(message, dict) or message.get("role") not in ("tool", "function"):
            break
        results.insert(0, _text(message.get("content")))
    tools = bool(body.get("tools") or body.get("functions"))
    refused = tools and "none" in (body.get("tool_choice"), body.get("function_call"))
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    n = body.get("n")
    options = body.get("stream_options")
    stream = body.get("stream") is True
    return Turn(
        tuple(results) if results else None,
        tools and not refused,
        refused,
        limit if isinstance(limit, int) and limit > 0 else None,
        min(n, 16) if isinstance(n, int) and n > 0 else 1,
        not stream or (isinstance(options, dict) and options.get("include_usage") is True),
        stream,
    )


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def cutter(cut: Cut, rng: random.Random) -> Callable[[str], list[str]]:
    """How texts become pieces."""

    def at_random(text: str) -> list[str]:
        pieces, at = [], 0
        while at < len(text):
            size = rng.choice((1, 1, 2, 3, 4, 5, 7, 11, 19, 40))
            pieces.append(text[at : at + size])
            at += size
        return pieces

    ways: dict[str, Callable[[str], list[str]]] = {
        "tokens": token_like,
        "characters": list,
        "random": at_random,
        "whole": lambda text: [text] if text else [],
    }
    return ways[cut]


def say(
    scenario: Scenario,
    turn: Turn,
    calls: CallsMode,
    reasoning: ReasoningMode,
    pieces_of: Callable[[str], list[str]],
    number: int,
) -> Saying:
    """One choice of the answer; `number` is the choice's."""
    final = turn.results is not None
    text = scenario.final(turn.results or ()) if final else scenario.text
    finish = "stop" if final else scenario.finish
    tokens = token_like(text)
    cut = finish == "length"
    if turn.limit is not None and turn.limit < len(tokens):
        text, finish, cut = "".join(tokens[: turn.limit]), "length", True
        tokens = tokens[: turn.limit]
    count = len(tokens)
    parsed = calls != "text" and not final
    if not parsed:
        return Saying(_texts(scenario, text, reasoning, pieces_of), finish, cut, count)
    message = scenario.read(text, finish)
    expected = None if turn.limit is not None and cut else scenario.expected
    if calls == "both":
        pieces: list[Say | SayCall] = _texts(scenario, text, reasoning, pieces_of)
    else:
        pieces = []
        told = expected or message
        for channel in ("reasoning", "content"):
            pieces += [Say(channel, piece) for piece in pieces_of(getattr(told, channel) or "")]
    if expected is not None:
        named = [(name, json.dumps(arguments, ensure_ascii=False)) for name, arguments in expected.calls]
    else:
        named = [
            (call.name, call.arguments[: len(call.arguments) - len(call.closing)])
            for call in message.tool_calls
        ]
    found = [
        SayCall(name, f"call_{REQUEST}{number}{index}", pieces_of(arguments))
        for index, (name, arguments) in enumerate(named)
    ]
    if found and finish == "stop":
        finish = "tool_calls"
    return Saying([*pieces, *found], finish, cut, count)


def _texts(
    scenario: Scenario, text: str, reasoning: ReasoningMode, pieces_of: Callable[[str], list[str]]
) -> list[Say | SayCall]:
    pairs: Iterable[tuple[str, str]] = scenario.fields(text) if reasoning == "field" else [("content", text)]
    return [Say(channel, piece) for channel, whole in pairs for piece in pieces_of(whole)]
