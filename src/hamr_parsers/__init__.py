"""Read what open models write: any model's raw output in; content, reasoning and OpenAI tool calls out."""

from typing import TYPE_CHECKING, Any

from ._version import __version__
from .detect import Detection, detect
from .errors import (
    DiagnosticsError,
    GrammarError,
    HamrParsersError,
    IncompleteToolCallError,
    InvalidResponseTemplateError,
    InvalidToolsError,
    RenderError,
    UnknownParserError,
)
from .events import (
    ContentDelta,
    Diagnostic,
    Event,
    ReasoningDelta,
    Reclassified,
    Span,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from .families.entry import Family
from .families.registry import get_family, list_families, register_family
from .message import ParsedMessage
from .parser import StreamParser, aiter_events, iter_events, parse
from .render import render
from .select import Resolution, resolve_parser
from .tools import ToolSet

if TYPE_CHECKING:
    from .client.async_chat import AsyncChatClient
    from .client.chat import ChatClient
    from .client.correction import correction_message
    from .client.history import repair_history
    from .wire import UpstreamError, normalize_response, normalize_stream

# Of other rooms, loaded on first use: reading text needs none of them.
_ELSEWHERE = {
    "AsyncChatClient": ".client",
    "ChatClient": ".client",
    "UpstreamError": ".wire",
    "correction_message": ".client.correction",
    "normalize_response": ".wire",
    "normalize_stream": ".wire",
    "repair_history": ".client.history",
}

__all__ = [
    "AsyncChatClient",
    "ChatClient",
    "ContentDelta",
    "Detection",
    "Diagnostic",
    "DiagnosticsError",
    "Event",
    "Family",
    "GrammarError",
    "HamrParsersError",
    "IncompleteToolCallError",
    "InvalidResponseTemplateError",
    "InvalidToolsError",
    "ParsedMessage",
    "ReasoningDelta",
    "Reclassified",
    "RenderError",
    "Resolution",
    "Span",
    "StreamParser",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallEnd",
    "ToolCallStart",
    "ToolSet",
    "UnknownParserError",
    "UpstreamError",
    "__version__",
    "aiter_events",
    "correction_message",
    "detect",
    "get_family",
    "iter_events",
    "list_families",
    "normalize_response",
    "normalize_stream",
    "parse",
    "register_family",
    "render",
    "repair_history",
    "resolve_parser",
]


def __getattr__(name: str) -> Any:
    module = _ELSEWHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(module, __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ELSEWHERE})
