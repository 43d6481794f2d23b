"""What a check found: a mark, a sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["MARKS", "Check", "Mark"]

Mark = Literal["passed", "warning", "failed", "skipped"]

#: The marks, and how a line of text shows each.
MARKS: dict[Mark, str] = {"passed": "✓", "warning": "!", "failed": "✗", "skipped": "-"}


@dataclass(slots=True)
class Check:
    """One check.

    Attributes:
        id: its name, which does not change: `models`, `stream`, `call-streamed`, ...
        group: `local` or `gateway`.
        mark: how it ended. `skipped`: it was not tried, or the model did not do what it needs.
        summary: one sentence.
        details: what was seen, a sentence each.
        cures: what to do, a sentence or a line to type each.
        codes: leaks, losses and shape errors that were found, by code.
        exit_code: what the command ends with if this is the first failure.
    """

    id: str
    group: Literal["local", "gateway"]
    mark: Mark
    summary: str
    details: list[str] = field(default_factory=list)
    cures: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    exit_code: int = 1

    def hide(self, blank: Callable[[str], str]) -> None:
        """Take secrets out of every sentence."""
        self.summary = blank(self.summary)
        self.details = [blank(line) for line in self.details]
        self.cures = [blank(line) for line in self.cures]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "id": self.id,
            "group": self.group,
            "mark": self.mark,
            "summary": self.summary,
            "details": self.details,
            "cures": self.cures,
            "codes": self.codes,
        }
