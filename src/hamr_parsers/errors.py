"""The error tree. Nothing that a model writes raises: these are for the caller's own mistakes, and for the
two questions (`arguments_dict`, `raise_for_diagnostics`) that a caller asks to be strict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .events import Diagnostic, ToolCall

__all__ = [
    "DiagnosticsError",
    "GrammarError",
    "HamrParsersError",
    "IncompleteToolCallError",
    "InvalidResponseTemplateError",
    "InvalidToolsError",
    "RenderError",
    "UnknownParserError",
]


class HamrParsersError(Exception):
    """Base of all errors of this package."""


class UnknownParserError(HamrParsersError, ValueError):
    """No parser has this name. The message names the nearest ones and how to list all."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        import difflib  # 10 ms, wanted only here

        self.name = name
        self.nearest = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(map(repr, self.nearest))}?" if self.nearest else ""
        super().__init__(
            f"unknown parser {name!r}{hint} (hamr_parsers.list_families() and `hamr-parse parsers` list them)"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.name, self.nearest))


class InvalidToolsError(HamrParsersError, ValueError):
    """`tools` holds something that is not a tool definition; the message names the entry and the field."""


class RenderError(HamrParsersError, ValueError):
    """A message cannot be written in a family's dialect, or is no assistant message.

    The message says which family, what it cannot express and the way out; `family` and `thing` are the first two.
    """

    def __init__(self, reason: str, family: str, thing: str) -> None:
        self.reason = reason
        self.family = family
        self.thing = thing
        super().__init__(reason)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.reason, self.family, self.thing))


class InvalidResponseTemplateError(HamrParsersError, ValueError):
    """`response_template` is none, or one that cannot be honoured; the message names the key and the way out."""


class GrammarError(HamrParsersError, ValueError):
    """A family's grammar cannot be compiled; the message names the family, the rule or terminal and why."""


class IncompleteToolCallError(HamrParsersError):
    """The arguments of a cut-off call were asked for. `tool_call` is the call."""

    def __init__(self, tool_call: ToolCall) -> None:
        self.tool_call = tool_call
        super().__init__(
            f"the call of {tool_call.name!r} was cut off before its arguments ended; "
            "pass allow_incomplete=True to read what there is"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.tool_call,))


class DiagnosticsError(HamrParsersError):
    """Raised by `raise_for_diagnostics()`; `diagnostics` lists what was odd."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = diagnostics
        first = diagnostics[0]
        more = f" (and {len(diagnostics) - 1} more)" if len(diagnostics) > 1 else ""
        super().__init__(f"{first.code} at {first.start}: {first.message}{more}")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.diagnostics,))
