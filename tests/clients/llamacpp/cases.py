"""What the recited model writes, and what becomes of it.

The server's template is that of Hermes, so it parses calls in that dialect, and leaves or destroys those in others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.clients.program import Task

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of the next days.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
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
TASK = Task("How is the weather in Zürich?", TOOLS)
CALLS = [("get_weather", {"city": "Zürich", "days": 3}), ("search", {"query": 'sun "now"', "limit": 2})]
ANSWER = "Sunny in Zürich, for three days."

HERMES = """Let me see.
<tool_call>
{"name": "get_weather", "arguments": {"city": "Zürich", "days": 3}}
</tool_call>
<tool_call>
{"name": "search", "arguments": {"query": "sun \\"now\\"", "limit": 2}}
</tool_call>"""
QWEN_XML = """Let me look.
<tool_call>
<function=get_weather>
<parameter=city>
Zürich
</parameter>
<parameter=days>
3
</parameter>
</function>
</tool_call>
<tool_call>
<function=search>
<parameter=query>
sun "now"
</parameter>
<parameter=limit>
2
</parameter>
</function>
</tool_call>"""
PYTHONIC = """[get_weather(city="Zürich", days=3), search(query='sun "now"', limit=2)]"""
MISTRAL = (
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Zürich", "days": 3}'
    '[TOOL_CALLS]search[ARGS]{"query": "sun \\"now\\"", "limit": 2}'
)
THOUGHT = "<think>\nThey ask for the weather: two calls.\n</think>\n\n"


@dataclass(frozen=True)
class Case:
    """A model's text, before a server of a Hermes template."""

    id: str
    text: str
    raw: str
    """What the programs get as they are: "right", "no call" (the call is left as text), "error",
    "wrong" (anything else)."""
    server: tuple[str, ...] = ()
    cure: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    """The text beside the calls, cured."""


CASES = (
    Case("native", HERMES, "right", said="Let me see."),
    Case("content only", HERMES, "no call", ("--skip-chat-parsing",), said="Let me see."),
    Case("pythonic calls", PYTHONIC, "no call", cure={"parser": "pythonic"}),
    Case("Mistral's calls", MISTRAL, "no call", cure={"parser": "mistral"}),
    # The grammar that `tools` switch on fits the template's dialect alone: where it begins within a token of the
    # other one, the server gives up (500, inside the stream); where it begins between two, it forces a call of its own.
    Case(
        "Qwen's XML, refused",
        QWEN_XML,
        "error",
        cure={"parser": "qwen3_coder", "upstream": "text"},
        said="Let me look.",
    ),
    Case(
        "Qwen's XML, forced",
        QWEN_XML.replace("look", "see"),
        "wrong",
        cure={"parser": "qwen3_coder", "upstream": "text"},
        said="Let me see.",
    ),
    Case(
        "thoughts, none",
        THOUGHT + HERMES,
        "right",
        ("--reasoning-format", "none"),
        {"parser": "hermes"},
        "Let me see.",
    ),
    Case(
        "thoughts, auto",
        THOUGHT + HERMES,
        "right",
        ("--reasoning-format", "auto"),
        {"parser": "hermes"},
        "Let me see.",
    ),
    Case(
        "thoughts, deepseek",
        THOUGHT + HERMES,
        "right",
        ("--reasoning-format", "deepseek"),
        said="Let me see.",
    ),
    Case(
        "thoughts, text",
        THOUGHT + QWEN_XML,
        "wrong",
        ("--reasoning-format", "none"),
        {"parser": "qwen3_coder", "upstream": "text"},
        "Let me look.",
    ),
)
