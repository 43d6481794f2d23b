"""The unannounced start of a call, kept so that it can be taken back.

Theory. From the first marker until its call is announced a start is only a claim. Its raw text is kept in
segments, and a `Start` remembers where the parser stood before it. If the claim fails the segments go back to
the channel as text; if it holds they are markup. A start within an envelope (`<tool_call>` around several
calls) is an item: when it fails while the envelope is still unproven, its segments wait, marked, for the
envelope's fate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .flow import Flow
from .table import Node

__all__ = ["Segment", "Start"]


@dataclass(slots=True)
class Segment:
    """A stretch of a start's raw text. `failed`: it belongs to an item that turned out to be none."""

    text: str
    span: Any = None
    failed: bool = False


@dataclass(slots=True)
class Start:
    """Where a start began, and how sure it is.

    Attributes:
        node: the place to go back to.
        flow: the channel that its text goes back to.
        offset: of its first character.
        terminal: the marker that opened it.
        doubtful: it needs a declared name.
        quiet: its failure is no fault worth a diagnostic.
        segment: index of its first segment.
        fence: backticks of the fence line that it began with, 0 without.
        empty: nothing but the opener and blanks so far.
        native: in a family without markers, what its template writes: any name may be called if no tools are known.
        unopened: the envelope's opener, which should stand before it, is missing.
    """

    node: Node
    flow: Flow
    offset: int
    terminal: str
    doubtful: bool
    quiet: bool
    segment: int
    fence: int = 0
    empty: bool = True
    unopened: bool = False
    native: bool = False
    diagnostics: list[Any] = field(default_factory=list)
