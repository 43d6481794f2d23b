"""What a machine knows, and how it gives things out: text, calls' arguments, diagnostics, spans.

Theory. Everything that a stream's parser remembers stands here, in `State`, as plain values: a copy of them
is a parser at the same place. The layers above add behaviour and no state of their own: claims.py (starts and
ends of calls), values.py (arguments as text), moves.py (following the table), between.py (between markers),
free_text.py (content and reasoning) and machine.py (chunks in, events out). What is given out passes through
here, so that pieces, spans and diagnostics cannot disagree.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ..events import ContentDelta, Diagnostic, Event, ToolCall, ToolCallDelta
from .call import OpenCall
from .flow import MANY, Flow
from .grammar import Grammar
from .start import Segment, Start
from .table import Node, start_node

__all__ = ["Dialect", "Settings", "State"]

PLAIN, STRING, FREE, VALUE_TEXT, VALUE_JSON, OTHER, SLOW = range(7)  # modes of the hot path
TEXT, TIGHT, CAPTURE, VALUE, READER, FENCE, JUNK, CHOICE = range(8)  # phases
BLANKS: Final = re.compile(r"\s*")
_PYTHON: Final = ("single-quotes", "python-literal")  # what is odd about Python's spelling of a value
CALL_PARTS: Final = ("name", "id", "key", "value", "arguments")  # kinds of spans


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """What the engine needs to know of a family: its grammar, and the facts that no grammar can say.

    Attributes:
        id: the family's id.
        grammar: None for a pass-through, whose text is content.
        bare: its calls have no marker by nature, so an object with name and arguments is a call without tools
            known.
        quoted: every value is written in quotes, so that quotes say nothing about its type.
        untyped: how a text value without a schema is read: as a "string", or as "json" if it parses; "json_always": as
            json, and with a schema too a string may stand in quotes.
        id_pattern: what a model-given id must look like to be kept; None keeps any.
        new_id: makes an id.
        again: how to make it in another process: a function and its two arguments.
        no_call: names that no call has: they say that no tool is called, unless one is declared.
        adopts: it has no calls of its own, and becomes the dialect whose opener is met.
        forced: the request forced a call.
        python: its template writes values as Python does, which is no fault then.
    """

    id: str
    grammar: Grammar | None
    bare: bool
    untyped: str
    id_pattern: re.Pattern[str] | None
    new_id: Callable[[], str]
    quoted: bool = False
    no_call: frozenset[str] = frozenset()
    adopts: bool = False
    forced: bool = False
    python: bool = False
    again: tuple[Callable[..., Dialect], Any, bool] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        assert self.again is not None
        make, family, forced = self.again
        return (make, (family, forced))

    def __deepcopy__(self, memo: object) -> Dialect:
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """What the caller chose; see `StreamParser`."""

    tools: Any = None
    tool_choice: str = "auto"  # auto, none, required, or "=NAME"
    recovery: str = "declared"
    calls_in_reasoning: str = "call"
    max_held: int = 1 << 20
    max_depth: int = 200
    collect: bool = True
    trace: bool = False


class State:
    """One stream's parser: all that it remembers."""

    __slots__ = (
        "_after_call",
        "_after_json",
        "_at",
        "_base",
        "_buf",
        "_call",
        "_calls",
        "_capture",
        "_channel",
        "_closed",
        "_content",
        "_decoder",
        "_diagnostics",
        "_dialect",
        "_early",
        "_event",
        "_events",
        "_fed_channel",
        "_fence",
        "_final_reason",
        "_flow",
        "_home",
        "_ids",
        "_in_call",
        "_index",
        "_limit",
        "_mark",
        "_mark_held",
        "_may_reclassify",
        "_memo",
        "_mode",
        "_nest",
        "_new_id",
        "_node",
        "_noise",
        "_noise_at",
        "_noted",
        "_owed",
        "_pend",
        "_phase",
        "_quick",
        "_reader",
        "_reader_term",
        "_reasoned",
        "_reasoning",
        "_reasoning_open",
        "_role_played",
        "_search",
        "_segments",
        "_settings",
        "_sink",
        "_spans",
        "_starts",
        "_trigger",
        "_turn_at",
        "_turn_ended",
        "_unopened",
        "_wait",
    )

    def __init__(
        self,
        dialect: Dialect,
        settings: Settings,
        starts_in_reasoning: bool | None = None,
        id_factory: Callable[[], str] | None = None,
    ) -> None:
        collect = settings.collect
        self._dialect = dialect
        self._settings = settings
        self._new_id = id_factory or dialect.new_id
        self._content = Flow("content", collect)
        self._reasoning = Flow("reasoning", collect)
        self._noise = Flow("markup", False)  # what is read and not given out
        self._noise_at = -1  # where it may begin
        inside = bool(starts_in_reasoning) and dialect.grammar is not None and dialect.grammar.has_reasoning
        self._flow = self._reasoning if inside else self._content
        self._may_reclassify = starts_in_reasoning is None
        self._reasoned = inside
        self._reasoning_open = False  # a call ended the reasoning before its closer
        self._channel: str | None = None
        self._fed_channel = "content"
        self._after_json = False
        self._phase = TEXT
        self._mode = SLOW
        self._buf = ""
        self._base = 0
        self._pend = ""
        self._mark = self._mark_held = 0
        self._limit = MANY if collect else 16  # pieces of free text that may pile up
        self._event: type[Any] = ContentDelta
        self._trigger = ""
        self._memo: dict[str, Any] = {}
        self._at = 0
        self._wait = False
        self._unopened = False
        self._closed = False
        self._node: Node | None = (
            start_node(dialect.grammar, inside, dialect.forced) if dialect.grammar else None
        )
        self._call: OpenCall | None = None
        self._calls: list[ToolCall] = []
        self._index = 0
        self._in_call = False  # JUNK stands within the call's rule
        self._ids: set[str] = set()
        self._home: tuple[Dialect, Node] | None = None  # to go back to, while another dialect is read
        self._reader: Any = None
        self._quick: Any = None
        self._reader_term = ""
        self._noted = 0  # spans before the reader's
        self._capture = ""
        self._starts: list[Start] = []
        self._segments: list[Segment] = []
        self._nest: dict[str, int] = {}
        self._owed: set[str] = set()
        self._after_call = False
        self._fence = 0
        self._turn_ended = False
        self._turn_at = 0
        self._role_played = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self._diagnostics: list[Diagnostic] = []
        self._events: list[Event] = []
        self._early: list[Event] = []  # of a call that the prompt began; given out with the first chunk's
        self._sink: list[str] = []
        self._search: Any = None
        self._spans: list[list[Any]] | None = [] if settings.trace else None
        self._final_reason: str | None = None

    # -- given by the layers above ----------------------------------------------------------------------------------

    def _enter(self) -> None:
        raise NotImplementedError

    def _shift(self, terminal: str) -> None:
        raise NotImplementedError

    def _marker(self, terminal: str, buf: str, pos: int, end: int, final: bool) -> int:
        raise NotImplementedError

    def _drain(self, reader: Any) -> None:
        raise NotImplementedError

    def _begin_arguments(self, term: str, pos: int) -> int:
        raise NotImplementedError

    # -- what is given out --------------------------------------------------------------------------------------------

    def _span(self, kind: str, length: int) -> list[Any] | None:
        """Note what the next characters were; returns the note, which may still be changed."""
        if self._spans is None or not length:
            return None
        index = None
        if kind in CALL_PARTS:
            if self._call is not None and self._call.silent:
                kind = "markup"
            else:
                index = self._index
        note = [kind, length, index]
        self._spans.append(note)
        return note

    def _take(self, text: str, kind: str) -> None:
        """Consume text that is a part of a call or markup; kept while a start is pending."""
        if text:
            note = self._span(kind, len(text))
            if self._starts:
                self._segments.append(Segment(text, note))

    def _begin_text(self) -> None:
        """Free text goes on, or begins here."""
        node = self._node
        assert node is not None
        if node.begun is not None:
            self._shift(node.text or "CONTENT")
        if self._flow is self._noise and self._noise_at >= 0:
            at, self._noise_at = self._noise_at, -1
            self._diagnose("noise", "what follows is no part of the answer", at, at)
        if self._turn_ended:
            self._turn_ended = False
            at = self._turn_at
            self._diagnose("text-after-end", "text after the end of the turn", at, at)

    def _text(self, text: str) -> None:
        """Free text: give it out, but for blanks at its end."""
        if self._after_call and not self._flow.begun:
            inner = text.lstrip()  # nothing stood before the call: the blanks behind it are framing
            self._span("markup", len(text) - len(inner))
            text = inner
        body = text.rstrip()
        if body:
            self._begin_text()
            inner = body.lstrip()
            if not self._flow.begun and inner[0] in "{[":
                # the answer is JSON: nothing inside it is a call of its own
                self._flow.enter_object(body[: len(body) - len(inner)])
            self._span(self._flow.kind, len(body))
            self._give_out(body)
        tail = text[len(body) :]
        if tail:
            self._hold_blanks(tail)

    def _hold_blanks(self, blanks: str) -> None:
        flow = self._flow
        room = self._settings.max_held - flow.held_blanks()
        while len(blanks) > room:  # too many to hold: they are text
            self._note_blanks(blanks[: room + 1])
            self._begin_text()
            self._release(flow)
            blanks, room = blanks[room + 1 :], self._settings.max_held
        if blanks:
            self._note_blanks(blanks)

    def _note_blanks(self, blanks: str) -> None:
        note = self._span("markup", len(blanks))
        if note is not None:
            note[2] = self._flow  # becomes the flow's text if more of it comes
        self._flow.blanks.append(blanks)

    def _release(self, flow: Flow) -> None:
        self._settle_blanks(flow, flow.kind)
        text = flow.take_blanks()
        self._push(flow, text)

    def _settle_blanks(self, flow: Flow, kind: str) -> None:
        """Decide what held blanks were: text, or markup."""
        if self._spans is not None:
            owed = sum(map(len, flow.blanks))  # each of them has its note
            for note in reversed(self._spans):
                if not owed:
                    break
                if note[2] is flow:
                    note[0], note[2] = kind, None
                    owed -= note[1]

    def _give_out(self, body: str) -> None:
        """Give out text that ends in no blank, held blanks first."""
        flow = self._flow
        if flow.blanks:
            self._settle_blanks(flow, flow.kind)
            body = flow.take_blanks() + body
        if self._fence:
            flow.enter_fence(self._fence)
            self._fence = 0
        self._after_call = self._after_json = False
        self._push(flow, body)

    def _push(self, flow: Flow, text: str) -> None:
        if flow is not self._noise:
            self._events.append(flow.event(text))
        flow.pieces.append(text)
        if len(flow.pieces) > (MANY if flow.collect else 0):
            flow.compact()

    def _drop_blanks(self, flow: Flow) -> None:
        if flow.blanks:
            self._settle_blanks(flow, "markup")
            flow.drop_blanks()

    def _delta(self, text: str) -> None:
        """More of the open call's arguments."""
        call = self._call
        assert call is not None
        if text:
            if not call.silent:
                self._events.append(ToolCallDelta(call.index, text))
            call.pieces.append(text)
            if len(call.pieces) > MANY:
                call.compact()

    def _diagnose(self, code: str, message: str, start: int, end: int) -> None:
        self._report(Diagnostic(code, message, max(start, 0), max(end, 0)))

    def _report(self, diagnostic: Diagnostic) -> None:
        """A diagnostic: of the pending start (it vanishes with it), of the open call, or of the text."""
        if self._dialect.python and diagnostic.code in _PYTHON:
            return
        if self._starts:
            self._starts[-1].diagnostics.append(diagnostic)
            return
        self._events.append(diagnostic)
        if self._settings.collect:
            self._diagnostics.append(diagnostic)
        call = self._call
        if call is not None and call.index >= 0:
            call.recovered = True
            if self._settings.collect or len(call.diagnostics) < MANY:
                call.diagnostics.append(diagnostic)

    def _enter_flow(self) -> None:
        node = self._node
        inside = self._fed_channel == "reasoning" or (node is not None and node.text == "REASONING")
        flow = self._reasoning if inside else self._content
        if node is not None and node.text == "NOISE":
            flow = self._noise
        if flow is not self._flow:
            if flow is self._reasoning:
                self._reasoned = True
                self._may_reclassify = False  # what was before it was none
            self._flow = flow
            flow.restart()

    def _tool(self, name: str) -> Any:
        """The declared tool that this name means; None if there is none, or no tools are known."""
        tools = self._settings.tools
        meant = None if tools is None else tools.meant(name)
        return None if meant is None else tools.tool(meant)

    def _note_noise(self, terminal: str, start: int, end: int) -> None:
        """Behind a marker: say so if what follows is no part of the answer; behind a closer only if there is any."""
        self._noise_at = -1
        if self._flow is self._noise and self._call is None and not self._starts:
            if terminal.startswith("END_"):
                self._noise_at = end
            else:
                self._diagnose("noise", "no part of the answer follows", start, end)

    def _in_code(self) -> bool:
        """Whether the next character of free text stands in code; noise is no Markdown."""
        return self._flow is not self._noise and self._flow.code().in_code()

    def _calls_allowed(self) -> bool:
        settings = self._settings
        return not (
            settings.tool_choice == "none"
            or self._role_played
            or (self._flow is self._reasoning and settings.calls_in_reasoning == "text")
        )
