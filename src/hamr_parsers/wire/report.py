"""What the wire layer did to one answer: for metrics, captures and whoever wonders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from ..events import Diagnostic

__all__ = ["Report"]


@dataclass(slots=True)
class Report:
    """Counts over one answer, all its choices together.

    Attributes:
        parser: the family that read the text (what `auto` became, where it was `auto`); None: no text came.
        calls: (parser id, "text" or "native") of each call that was given out, in order; of native calls the
            parser is "openai".
        leaks: calls, and stretches of reasoning, that were taken out of the answer's text.
        repairs: deviations of the wire that were mended, by code: "index", "id", "name", "arguments",
            "cumulative", "doubled", "finish_reason", "role", "usage", ...
        diagnostics: what was odd about the text.
    """

    parser: str | None = None
    calls: list[tuple[str, Literal["text", "native"]]] = field(default_factory=list)
    leaks: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def mends(self) -> int:
        """How much of the text had to be mended: the number of its diagnostics."""
        return len(self.diagnostics)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "parser": self.parser,
            "calls": [{"parser": parser, "source": source} for parser, source in self.calls],
            "leaks": self.leaks,
            "mends": self.mends,
            "repairs": dict(self.repairs),
            "diagnostics": [d.to_dict() for d in self.diagnostics],
        }
