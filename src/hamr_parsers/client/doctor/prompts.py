"""What the doctor asks: small requests whose right answer is known in advance.

Each prompt asks for one thing, in words that leave a model no choice, at temperature 0 and with a bound of tokens. The
tools are such that their arguments can be judged: a schema, and a length.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "LONG_LINES",
    "TOOLS",
    "completion",
    "long_argument",
    "parallel",
    "reasoning",
    "result",
    "tool_call",
]

LONG_LINES = 120


def _tool(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


TOOLS = [
    _tool(
        "get_weather",
        "The weather forecast for a city.",
        city={"type": "string", "description": "Name of the city"},
        days={"type": "integer", "description": "How many days"},
    ),
    _tool(
        "write_file",
        "Write a text file.",
        path={"type": "string", "description": "Path of the file"},
        content={"type": "string", "description": "All of its text"},
    ),
]


def _request(text: str, max_tokens: int, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"messages": messages, "temperature": 0, "max_tokens": max_tokens, **more}


def completion(max_tokens: int, *, stream: bool) -> dict[str, Any]:
    """A short answer."""
    return _request("Reply with the single word: ready", max_tokens, stream=stream)


def tool_call(max_tokens: int, *, stream: bool, **more: Any) -> dict[str, Any]:
    """One call."""
    text = (
        "Say in one short sentence what you are going to do, then call get_weather for the city Paris and 3 days."
        " Use the tool; do not answer yourself."
    )
    return _request(text, max_tokens, stream=stream, tools=TOOLS, **more)


def parallel(max_tokens: int) -> dict[str, Any]:
    """Two calls in one answer."""
    text = (
        "Call get_weather twice in this same answer, without waiting for a result in between: once for Paris and 2"
        " days, once for Rome and 3 days."
    )
    return _request(text, max_tokens, stream=True, tools=TOOLS)


def long_argument(max_tokens: int) -> dict[str, Any]:
    """A call with a long argument."""
    text = (
        f"Call write_file with the path numbers.txt. Its content is the numbers from 1 to {LONG_LINES}, each on a line"
        " of its own, none left out. Use the tool."
    )
    return _request(text, max_tokens, stream=True, tools=TOOLS)


def reasoning(max_tokens: int) -> dict[str, Any]:
    """Something to think about."""
    text = (
        "A farmer has 17 sheep. All but 9 run away, then he buys twice as many as he has left. How many sheep has he"
        " now? Think it through, then give the number."
    )
    return _request(text, max_tokens, stream=True)


def result(max_tokens: int, call_id: str, arguments: str) -> dict[str, Any]:
    """The turn after a call: its result is in the history."""
    request = tool_call(max_tokens, stream=True)
    call = {
        "id": call_id,
        "type": "function",
        "function": {"name": "get_weather", "arguments": arguments},
    }
    request["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "Paris: sun, 21 degrees on all three days."},
    ]
    return request
