"""Read what open models write: any model's raw output in; content, reasoning and OpenAI tool calls out."""

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

__all__ = [
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
    "__version__",
    "aiter_events",
    "detect",
    "get_family",
    "iter_events",
    "list_families",
    "parse",
    "register_family",
    "render",
    "resolve_parser",
]
