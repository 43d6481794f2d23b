"""The machine: text in, events out. Drives the table, and keeps neither a tree nor the text that it has read.

Theory. At any time the machine is in one of a few phases, each of which knows what may come next and what it may hold:

* TEXT: free text. It is given out up to the next place where a marker may stand; there the automaton of the place
  decides. Held: the beginning of a marker, blanks (see flow.py).
* TIGHT: between markers. Blanks are framing; a marker, a name or a reader's first character must come.
* CAPTURE: a name, id or key, held until its end is seen.
* CHOICE: where an argument's text may begin, or a nested argument in its place.
* VALUE: an argument's bare text. A closer ends it only if what may follow a closer follows.
* READER: an argument reader has the text until its value is over.
* FENCE: the opening line of a code fence, held until it is clear whether a call stands in it.
* JUNK: what is left of a call that ended in the middle (nested too deeply), up to the next marker.

A chunk is appended to what the last one left unread, and phases run until one of them wants more. Each takes what it is sure
of and leaves the rest unread; nothing depends on where chunks end, because a phase that would decide otherwise with more text
waits for it. `final` says that none will come.

A start of a call is a claim until it is announced (see start.py). An unexpected marker is mended by the cheapest closers
that the table allows, and is text (or, inside an announced call, junk) where none do.

The hot path is `feed`: in the middle of free text, of a string, or of a JSON value, a chunk without anything special in it
becomes one event in a few operations. Everything else is `_slow`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ..arguments.json_call import BARE_CALL, JsonCallReader
from ..arguments.object_reader import ObjectReader
from ..arguments.python_reader import PythonArgumentsReader
from ..arguments.tagged import TextValue, escape
from ..events import (
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
from .automaton import MORE
from .boundary import WINDOW, boundary
from .call import OpenCall
from .flow import MANY, Flow
from .grammar import Grammar
from .start import Segment, Start
from .table import READERS, VALUES, Node, Scan, start_node

__all__ = ["Dialect", "Machine", "Settings"]

SLOW, FREE, STRING, VALUE_TEXT, VALUE_JSON, OTHER = range(6)  # modes of the hot path
TEXT, TIGHT, CAPTURE, VALUE, READER, FENCE, JUNK, CHOICE = range(8)  # phases

_WINDOW_SIZE: Final = 1 << 16  # longer chunks are read in windows of this size
_NAME_SIZE: Final = 256
_STOPS: Final = {
    "NAME": re.compile(r"""[\s"'`<>{}\[\]()=,;|]"""),
    "KEY": re.compile(r"""[\n"'<>]"""),
}
_FENCE_LINE: Final = re.compile(r"(`*)([^`\n]{0,48})(\n?)")
_BLANKS: Final = re.compile(r"\s*")
_JSON_START: Final = frozenset("{[\"'-0123456789ntfNTF")
_FENCE_INFOS: Final = frozenset(("", "json", "tool_call", "tool_code"))
_new = object.__new__


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """What the engine needs to know of a family: its grammar, and the facts that no grammar can say.

    Attributes:
        id: the family's id.
        grammar: None for a pass-through, whose text is content.
        bare: its calls have no marker by nature, so an object with name and arguments is a call without tools known.
        untyped: how a text value without a schema is read: as a "string", or as "json" if it parses.
        id_pattern: what a model-given id must look like to be kept; None keeps any.
        new_id: makes an id.
    """

    id: str
    grammar: Grammar | None
    bare: bool
    untyped: str
    id_pattern: re.Pattern[str] | None
    new_id: Callable[[], str]


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


class Machine:
    """One stream. `feed` and `close` return the events that the text caused."""

    __slots__ = (
        "_after_call",
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
        "_event",
        "_events",
        "_fed_channel",
        "_fence",
        "_after_json",
        "_final_reason",
        "_flow",
        "_ids",
        "_index",
        "_mark",
        "_mark_held",
        "_may_reclassify",
        "_memo",
        "_mode",
        "_nest",
        "_new_id",
        "_node",
        "_owed",
        "_pend",
        "_phase",
        "_reader",
        "_reader_term",
        "_reasoned",
        "_reasoning",
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
        inside = bool(starts_in_reasoning) and dialect.grammar is not None and dialect.grammar.has_reasoning
        self._flow = self._reasoning if inside else self._content
        self._may_reclassify = starts_in_reasoning is None
        self._reasoned = inside
        self._channel: str | None = None
        self._fed_channel = "content"
        self._after_json = False
        self._phase = TEXT
        self._mode = SLOW
        self._buf = ""
        self._base = 0
        self._pend = ""
        self._mark = self._mark_held = 0
        self._event: type[Any] = ContentDelta
        self._trigger = ""
        self._memo: dict[Any, str] = {}
        self._at = 0
        self._wait = False
        self._closed = False
        self._node: Node | None = start_node(dialect.grammar, inside) if dialect.grammar else None
        self._call: OpenCall | None = None
        self._calls: list[ToolCall] = []
        self._index = 0
        self._ids: set[str] = set()
        self._reader: Any = None
        self._reader_term = ""
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
        self._sink: list[str] = []
        self._search: Any = None
        self._spans: list[list[Any]] | None = [] if settings.trace else None
        self._final_reason: str | None = None

    # -- the hot path ---------------------------------------------------------------------------------------------------

    def feed(self, chunk: str | bytes, channel: str | None = None) -> list[Event]:
        """Read the next piece of the output, cut anywhere; return what it caused.

        Args:
            chunk: str, or bytes of UTF-8.
            channel: "content" (also None), or "reasoning" for gateways that send reasoning in a field of its own.

        Raises:
            ValueError: the parser is closed, or there is no such channel.
        """
        if channel is not self._channel:
            return self._feed_other(chunk, channel)
        mode = self._mode
        try:
            if mode == STRING:
                reader = self._reader
                node = reader._node
                if (
                    node is not None
                    and node.plain
                    and '"' not in chunk
                    and "\\" not in chunk
                    and chunk.isprintable()
                ):
                    delta = _new(ToolCallDelta)
                    delta.index = self._index
                    delta.arguments = chunk
                    self._sink.append(chunk)  # type: ignore[arg-type]
                    return [delta]
                text = reader.fast(chunk)
                if text:
                    delta = _new(ToolCallDelta)
                    delta.index = self._index
                    delta.arguments = text
                    sink = self._sink
                    sink.append(text)
                    if len(sink) > 1024:
                        self._compact()
                    return [delta]
                if text is not None:
                    return []
            elif mode == FREE:
                if self._pend:
                    chunk = self._pend + chunk  # type: ignore[operator]
                    self._pend = ""
                found = self._search(chunk)
                if found is None:
                    body = chunk.rstrip()  # type: ignore[assignment]
                else:
                    at = found.start()
                    if len(chunk) - at > 3:
                        return self._slow(chunk)
                    body = chunk[:at].rstrip()  # behind it, perhaps, a marker begins
                if body is not chunk:
                    self._pend = chunk[len(body) :]
                    if not body:
                        if len(self._pend) > WINDOW:
                            return self._slow("")
                        return []
                elif not body:
                    return []
                event = _new(self._event)
                event.text = body
                sink = self._sink
                sink.append(body)
                if len(sink) > 1024:
                    self._compact()
                return [event]
            elif mode == VALUE_TEXT:
                if self._pend:
                    chunk = self._pend + chunk  # type: ignore[operator]
                    self._pend = ""
                if (
                    self._trigger not in chunk
                    and '"' not in chunk
                    and "\\" not in chunk
                    and chunk.isprintable()
                ):
                    delta = _new(ToolCallDelta)
                    delta.index = self._index
                    delta.arguments = chunk
                    self._sink.append(chunk)  # type: ignore[arg-type]
                    return [delta]
                else:
                    text = self._memo.get(chunk)
                    if text is None:
                        found = self._search(chunk)
                        if found is not None:
                            at = found.start()
                            if len(chunk) - at > 3:
                                return self._slow(chunk)
                            self._pend = chunk[at:]  # perhaps a marker begins there
                            text = escape(chunk[:at])  # type: ignore[arg-type]
                        else:
                            text = escape(chunk)  # type: ignore[arg-type]
                            if len(self._memo) > 8192:
                                self._memo.clear()
                            self._memo[chunk] = text
                if text:
                    delta = _new(ToolCallDelta)
                    delta.index = self._index
                    delta.arguments = text
                    sink = self._sink
                    sink.append(text)
                    if len(sink) > 1024:
                        self._compact()
                    return [delta]
                return []
            elif mode == OTHER or (mode == VALUE_JSON and self._trigger not in chunk and "\n" not in chunk):
                text = self._reader.fast(chunk) if mode == OTHER else self._call.value.fast(chunk)  # type: ignore[union-attr]
                if text is not None:
                    self._base += len(chunk)
                    if text:
                        self._sink.append(text)
                        if len(self._sink) > 1024:
                            self._compact()
                        return [ToolCallDelta(self._index, text)]
                    return []
        except TypeError:
            if isinstance(chunk, str):
                raise
        return self._slow(chunk)

    def close(self, finish_reason: str | None = None) -> list[Event]:
        """The text is over; return what that caused. Calling it again does nothing.

        Args:
            finish_reason: as the server gave it: "stop" and "tool_calls" say that the model ended by itself.
        """
        if self._closed:
            return []
        self._events = events = []
        self._leave()
        self._final_reason = finish_reason
        if self._channel_now() != self._fed_channel:
            self._switch_channel()
        tail = self._decoder.decode(b"", True) if self._decoder is not None else ""
        self._run(self._buf + tail, True)
        self._finish()
        self._closed = True
        self._mode = SLOW
        self._events = []
        return events

    # What the hot path does not keep up to date, it leaves to `_leave`: offsets, and the blanks and the beginning of a
    # marker that it keeps together in `_pend`.

    def _leave(self) -> None:
        """Leave the hot path."""
        mode, self._mode = self._mode, SLOW
        if mode == FREE:
            pend, self._pend = self._pend, ""
            self._buf = pend.lstrip()
            self._base += self._flow.count() + len(pend) - len(self._buf)
            if len(self._buf) < len(pend):
                self._hold_blanks(pend[: len(pend) - len(self._buf)])
            if not self._settings.collect:
                self._flow.compact()
        elif mode in (STRING, VALUE_TEXT):
            self._base += self._given(mode)
            if mode == VALUE_TEXT:
                self._buf, self._pend = self._pend, ""
            elif mode == STRING:
                self._base += self._reader.held - self._mark_held

    def _given(self, mode: int) -> int:
        """How many characters of the input the deltas since the mark stand for."""
        call = self._call
        assert call is not None
        return call.since(self._mark, escaped=mode == VALUE_TEXT)

    def _compact(self) -> None:
        """Join the pieces of the open string or text, or drop them where nothing is collected."""
        if self._mode == FREE:
            flow = self._flow
            self._base += flow.count()
            flow.compact()
            self._sink = flow.pieces
            return
        call = self._call
        assert call is not None
        if self._mode in (STRING, VALUE_TEXT):
            self._base += self._given(self._mode)
        call.compact()
        self._mark = call.mark()

    def _feed_other(self, chunk: str | bytes, channel: str | None) -> list[Event]:
        """`feed` where the channel is named otherwise than last time."""
        if channel not in (None, "content", "reasoning"):
            raise ValueError(f"channel must be 'content' or 'reasoning', not {channel!r}")
        self._channel = channel
        return self.feed(chunk, channel) if self._channel_now() == self._fed_channel else self._slow(chunk)

    def _channel_now(self) -> str:
        return "reasoning" if self._channel == "reasoning" else "content"

    def _switch_channel(self) -> None:
        """The gateway goes on in its other field. A marker does not span fields; a call that is open goes on."""
        if self._phase in (TEXT, FENCE):
            self._run(self._buf, True)
            self._buf = ""
            while self._starts:
                self._fail(self._base)
        self._fed_channel = self._channel_now()
        self._may_reclassify = False
        node = self._node
        if self._fed_channel == "content" and node is not None and node.text == "REASONING":
            for t in (node.path_to("CONTENT") or ()):
                self._shift(t)
        self._enter_flow()

    def _enter_flow(self) -> None:
        node = self._node
        inside = self._fed_channel == "reasoning" or (node is not None and node.text == "REASONING")
        flow = self._reasoning if inside else self._content
        if flow is not self._flow:
            self._flow = flow
            flow.restart()

    # -- reading ------------------------------------------------------------------------------------------------------

    def _slow(self, chunk: str | bytes) -> list[Event]:
        if self._closed:
            raise ValueError("the parser is closed: make a new one for another text")
        if isinstance(chunk, (bytes, bytearray, memoryview)):
            if self._decoder is None:
                self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            chunk = self._decoder.decode(bytes(chunk))
        elif not isinstance(chunk, str):
            raise TypeError(f"a chunk must be str or bytes, not {type(chunk).__name__}")
        self._events = events = []
        self._leave()
        if self._channel_now() != self._fed_channel:
            self._switch_channel()
        for i in range(0, len(chunk), _WINDOW_SIZE):
            piece = chunk if len(chunk) <= _WINDOW_SIZE else chunk[i : i + _WINDOW_SIZE]
            self._run(self._buf + piece if self._buf else piece, False)
        self._set_mode()
        self._events = []
        return events

    def _run(self, buf: str, final: bool) -> None:
        """Run phases over `buf` until one wants more; keep what it left."""
        if self._node is None:  # a pass-through
            if buf:
                self._span(self._flow.kind, len(buf))
                self._give_out(buf)
            self._buf, self._base = "", self._base + len(buf)
            return
        self._wait = False
        pos = idle = 0
        while not self._wait:
            phase, node = self._phase, self._node
            cap = self._starts[0].offset + self._settings.max_held - self._base if self._starts else len(buf)
            if cap < len(buf):
                # what a start may hold is counted in characters of the input, so the outcome is the same in any cutting
                new = _PHASES[phase](self, buf[: max(cap, pos)], pos, False) if cap > pos else pos
                if self._wait or cap <= pos:
                    self._wait = False
                    began = self._starts[-1].offset if self._starts else -1
                    if began >= 0:
                        self._fail(self._base + new)
                    if began == self._base + new and self._phase == TEXT:
                        self._text(buf[new])  # nothing of the start was read: its first character is text
                        new += 1
            else:
                new = _PHASES[phase](self, buf, pos, final)
            if new > pos or phase != self._phase or node is not self._node:
                idle = 0
            else:
                idle += 1
                assert idle < 32, "the parser stands still"
            pos = new
        self._buf = buf[pos:]
        self._base += pos

    def _set_mode(self) -> None:
        """Whether the next chunk may take the hot path."""
        self._mode = SLOW
        node, call = self._node, self._call
        if len(self._buf) > 3 or self._spans is not None or self._starts or self._turn_ended or node is None:
            return
        if self._phase == TEXT:
            flow = self._flow
            if flow.begun and node.begun is None and not self._after_call and self._settings.max_held > WINDOW:
                flow.count()
                blanks = flow.take_blanks() if flow.blanks else ""
                if len(blanks) > WINDOW:
                    flow.blanks.append(blanks)
                    return
                self._base -= len(blanks)  # they are counted when the hot path is left
                self._pend, self._buf = blanks + self._buf, ""
                self._sink = flow.pieces
                self._event = flow.event
                self._search = node.text_scan.search.search
                self._mode = FREE
        elif call is not None and call.index >= 0:
            self._sink = call.pieces
            self._mark = call.mark()
            value = call.value
            if self._phase == READER:
                if not self._buf:
                    self._mark_held = self._reader.held
                    self._mode = OTHER if self._reader_term in ("PY_ARGUMENTS", "TOKEN_ARGUMENTS") else STRING
            elif self._phase == VALUE and value is not None and call.key is None:
                scan = node.value_scan
                self._search = scan.search.search
                self._trigger = scan.trigger
                if value.streaming:
                    self._memo = scan.memo
                    self._pend, self._buf = self._buf, ""
                    self._mode = VALUE_TEXT
                elif not self._buf:
                    self._mode = VALUE_JSON

    def _prefill(self, text: str) -> None:
        """Read what the prompt wrote of the answer, so that the output goes on from there; it is not given out."""
        self._run(self._buf + text, False)
        self._base -= len(text)
        for start in self._starts:
            start.offset -= len(text)
        for flow in (self._content, self._reasoning):
            if flow.begun:
                self._may_reclassify = False
            flow.total()
            flow.pieces, flow._seen = [], 0
            flow.blanks.clear()
            flow._fed_blanks = 0
        if self._node is not None and self._node.text == "REASONING":
            self._may_reclassify = False
        self._events = []
        self._diagnostics.clear()
        if self._spans is not None:
            self._spans.clear()
        self._set_mode()

    # -- what is given out --------------------------------------------------------------------------------------------

    def _span(self, kind: str, length: int) -> list[Any] | None:
        """Note what the next characters were; returns the note, which may still be changed."""
        if self._spans is None or not length:
            return None
        index = self._index if kind in ("name", "id", "key", "value", "arguments") else None
        note = [kind, length, index]
        self._spans.append(note)
        return note

    def _take(self, text: str, kind: str) -> None:
        """Consume text that is a part of a call or markup; kept while a start is pending."""
        if text:
            note = self._span(kind, len(text))
            if self._starts:
                self._segments.append(Segment(text, note))

    def _text(self, text: str) -> None:
        """Free text: give it out, but for blanks at its end."""
        if self._after_call and not self._flow.begun:
            inner = text.lstrip()  # nothing stood before the call: the blanks behind it are framing
            self._span("markup", len(text) - len(inner))
            text = inner
        body = text.rstrip()
        if body:
            node = self._node
            assert node is not None
            if node.begun is not None:
                self._node = node.begun
            if self._turn_ended:
                self._turn_ended = False
                self._diagnose("text-after-end", "text after the end of the turn", self._turn_at, self._turn_at)
            if not self._flow.begun and body[0] in "{[":
                self._flow.code().enter_object()  # the answer is JSON: nothing inside it is a call of its own
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
            for note in reversed(self._spans):
                if note[2] is flow:
                    note[0], note[2] = kind, None

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
            self._events.append(ToolCallDelta(call.index, text))
            call.pieces.append(text)
            if len(call.pieces) > MANY:
                call.compact()

    def _diagnose(self, code: str, message: str, start: int, end: int) -> None:
        self._report(Diagnostic(code, message, start, end))

    def _report(self, diagnostic: Diagnostic) -> None:
        """A diagnostic: of the pending start (it vanishes with it), of the open call, or of the text."""
        if self._starts:
            self._starts[-1].diagnostics.append(diagnostic)
            return
        self._events.append(diagnostic)
        if self._settings.collect:
            self._diagnostics.append(diagnostic)
        call = self._call
        if call is not None and call.index >= 0:
            call.recovered = True
            call.diagnostics.append(diagnostic)

    # -- starts -------------------------------------------------------------------------------------------------------

    def _open_start(self, terminal: str, offset: int, doubtful: bool, quiet: bool = False, fence: int = 0) -> None:
        assert self._node is not None
        flow = self._starts[0].flow if self._starts else self._flow
        self._starts.append(
            Start(self._node, flow, offset, terminal, doubtful, quiet or doubtful, len(self._segments), fence)
        )
        if len(self._starts) == 1:
            self._owed.clear()

    def _fail(self, offset: int) -> None:
        """The innermost start is none: its text goes back, and reading goes on where it stopped."""
        start = self._starts.pop()
        self._call = self._reader = None
        self._node = start.node
        segments = self._segments[start.segment :]
        noted = Diagnostic("failed-start", "this began like a tool call and is none", start.offset, offset)
        if self._starts:  # an item of an envelope that is unproven itself
            for segment in segments:
                segment.failed = True
            self._starts[-1].empty = False
            if not start.quiet:
                self._starts[-1].diagnostics.append(noted)
        else:
            del self._segments[start.segment :]
            if start.terminal == "BARE_JSON_CALL":
                start.flow.code().enter_object()
            self._give_back(segments, start.flow)
            if not start.quiet:
                self._report(noted)
        self._owed.add(f"END_{start.terminal}")
        self._enter()

    def _give_back(self, segments: list[Segment], flow: Flow) -> None:
        text = "".join(s.text for s in segments)
        for s in segments:
            if s.span is not None:
                s.span[0], s.span[2] = flow.kind, None
        body = text.rstrip()
        if body:
            was, self._flow = self._flow, flow
            node = self._node
            if node is not None and node.begun is not None:
                self._node = node.begun
            self._give_out(body)
            self._flow = was
        if len(body) < len(text):
            flow.blanks.append(text[len(body) :])

    def _may_call(self, name: str) -> bool:
        """Whether a doubtful start may call this tool."""
        settings = self._settings
        if settings.recovery == "lenient":
            return True
        if settings.recovery == "strict":
            return False
        if settings.tools is None:
            return self._dialect.bare and self._reader_term == "BARE_JSON_CALL"
        return bool(settings.tools.declared(name))

    def _may_doubt(self, bare_json: bool) -> bool:
        """Whether any doubtful start can succeed at all; if not, it is text at once."""
        settings = self._settings
        if settings.recovery != "declared":
            return settings.recovery == "lenient"
        if settings.tools is None:
            return bare_json and self._dialect.bare
        return bool(settings.tools.names)

    def _announce(self) -> bool:
        """The open call is certain, if its name may be called; False leaves everything as it is."""
        call = self._call
        assert call is not None
        starts = self._starts
        if any(s.doubtful for s in starts) and not self._may_call(call.name):
            return False
        notes: list[Diagnostic] = []
        if starts:
            flow = starts[0].flow
            notes = [d for s in starts for d in s.diagnostics]
            failed = [s for s in self._segments if s.failed]
            fence = starts[0].fence
            starts.clear()
            self._segments.clear()
            if failed:
                self._give_back(failed, flow)
            if fence:
                self._fence = fence
            if flow is self._reasoning and self._fed_channel == "content":
                self._drop_blanks(flow)
        if not self._content.begun:
            self._drop_blanks(self._content)
        self._may_reclassify = False
        call.index = self._index
        ident = call.call_id
        repeated = ident is not None and ident in self._ids
        pattern = self._dialect.id_pattern
        if ident is None or repeated or (pattern is not None and not pattern.fullmatch(ident)):
            call.source_id = ident
            ident = self._new_id()
        elif self._settings.collect or len(self._ids) < MANY:
            self._ids.add(ident)
        call.call_id = ident
        self._events.append(ToolCallStart(call.index, ident, call.name))
        for note in notes:
            self._report(note)
        if repeated:
            self._diagnose("repeated-id", f"the id {call.source_id!r} was used before", call.at, call.at)
        tools = self._settings.tools
        if tools is not None and not tools.declared(call.name):
            self._diagnose("undeclared-tool", f"no tool {call.name!r} was declared", call.at, call.at)
        return True

    def _end_call(self, complete: bool, closing: str = "") -> None:
        """The open, announced call is over. `closing` makes JSON of what a cut call gave out."""
        call = self._call
        assert call is not None and call.index >= 0
        if call.sealed:
            complete, closing = True, ""
        elif self._reader is None:
            if complete:
                self._delta(call.closing())
            else:
                closing += call.closing()
        if not complete:
            self._diagnose("cut", "the call was cut off: the arguments' end is missing", self._at, self._at)
        if not (closing or call.mark()):
            closing = "{}"
        arguments = "".join(call.pieces) + closing if self._settings.collect else ""
        result = ToolCall(
            id=call.call_id or "",
            name=call.name,
            arguments=arguments,
            complete=complete,
            recovered=call.recovered,
            source_id=call.source_id,
            diagnostics=call.diagnostics,
            closing=closing,
        )
        self._events.append(ToolCallEnd(call.index, result))
        if self._settings.collect:
            self._calls.append(result)
        self._index += 1
        self._call = self._reader = None
        self._after_call = True
        self._owed.clear()

    # -- moving over the table ----------------------------------------------------------------------------------------

    def _shift(self, terminal: str) -> None:
        """Follow an edge, ending the call whose rule is reduced on the way."""
        assert self._node is not None
        edge = self._node.shift(terminal)
        assert edge is not None, f"{terminal} is not accepted"
        for what in edge.before:
            self._ended(what)
        if terminal in VALUES:
            self._end_value()
        self._node = edge.target
        for what in edge.after:
            self._ended(what)

    def _ended(self, what: str) -> None:
        if self._call is None:
            return
        if what == "call":
            self._end_call(True)
        elif what == "member" and self._call.path:
            self._delta(self._call.close_member())

    def _enter(self) -> None:
        """Choose the phase that the place asks for."""
        node = self._node
        assert node is not None
        if node.value is not None:
            if node.nests:
                self._phase = CHOICE
            else:
                self._begin_value()
                self._phase = VALUE
        elif node.text is not None and not self._starts:
            self._phase = TEXT
            self._enter_flow()
        else:
            self._phase = TIGHT

    def _marker(self, terminal: str, buf: str, pos: int, end: int, final: bool) -> int:
        """A marker between markers, at `buf[pos:end]`."""
        node = self._node
        assert node is not None
        path = () if node.shift(terminal) is not None else node.path_to(terminal)
        call = self._call
        start = self._starts[-1] if self._starts else None
        if start is not None and terminal == f"END_{start.terminal}" and start.empty and len(self._starts) == 1:
            self._take(buf[pos:end], "markup")  # an envelope that holds nothing
            self._starts.clear()
            self._segments.clear()
            self._node = start.node
            self._after_call = True
            self._enter()
            return end
        if path is None and call is not None and call.index >= 0:
            back = node.back_to(terminal, call.depth)
            if back is None:
                return self._skip_junk(buf, pos, final, end)
            call.key = None  # a member that was begun and not named
            node = self._node = back
            path = node.path_to(terminal)
            self._diagnose("junk", "half a member", self._base + pos, self._base + pos)
        if path is None:
            return self._unexpected(buf, pos, final)
        if call is not None and call.index < 0:
            probe, certain = node, False
            for t in (*path, terminal):
                edge = probe.shift(t)
                assert edge is not None
                probe = edge.target
                certain = certain or edge.ends_call or probe.capture == "KEY"
            if certain and not self._announce():
                self._fail(self._base + pos)
                return pos
        if path:
            self._mend(path, pos)
        if self._call is None and terminal in node.grammar.openers:
            self._open_start(terminal, self._base + pos, False)
        elif start is not None:
            start.empty = False
        self._take(buf[pos:end], "markup")
        self._shift(terminal)
        self._enter()
        return end

    def _mend(self, path: tuple[str, ...], pos: int) -> None:
        """Insert what the model left out before `pos`."""
        offset = self._base + pos
        for t in path:
            self._shift(t)
        left_out = [t for t in path if t != "END_THINK"]
        if left_out:
            words = ", ".join(self._node.grammar.literals.get(t, t) for t in left_out)  # type: ignore[union-attr]
            self._diagnose("missing-closer", f"{words} is missing", offset, offset)

    def _unexpected(self, buf: str, pos: int, final: bool) -> int:
        """Nothing that may come here stands at `buf[pos]`."""
        node = self._node
        assert node is not None
        if self._starts:
            self._fail(self._base + pos)
            return pos
        if self._call is not None:
            return self._skip_junk(buf, pos, final)
        if buf[pos] in "}]" and self._after_json:
            self._take(buf[pos], "markup")
            self._diagnose("extra-closer", f"{buf[pos]!r} closes nothing", self._base + pos, self._base + pos + 1)
            return pos + 1
        path = node.path_to("CONTENT")
        if path is None:
            self._node = node.unwound
        else:
            self._mend(path, pos)
        self._enter()
        return pos

    def _skip_junk(self, buf: str, pos: int, final: bool, at: int = 0) -> int:
        """Text inside an announced call: junk if a marker follows soon, else the call's closers are missing."""
        node = self._node
        assert node is not None
        at = max(at, pos)
        limit = at + WINDOW
        scan = node.tight_scan
        while at < limit:
            found = scan.search.search(buf, at, min(limit + 32, len(buf)))
            if found is None or found.start() >= limit:
                break
            match = scan.automaton.match(buf, found.start(), final)
            if match is MORE:
                self._wait = True
                return pos
            if match is not None:
                at = found.start()
                self._take(buf[pos:at], "markup")
                self._diagnose("junk", f"{buf[pos:at]!r} is no part of a call", self._base + pos, self._base + at)
                return at
            at = found.start() + 1
        if len(buf) < limit and not final:
            self._wait = True
            return pos
        self._end_cut(pos)
        return pos

    def _end_cut(self, pos: int) -> None:
        """The call that is open ends here without its closers, and text goes on."""
        assert self._node is not None
        self._at = self._base + pos
        self._end_call(False)
        self._node = self._node.unwound
        self._enter()

    # -- phases -------------------------------------------------------------------------------------------------------

    def _text_phase(self, buf: str, pos: int, final: bool) -> int:
        node = self._node
        assert node is not None
        if pos == len(buf):
            self._wait = True
            return pos
        if self._after_json and buf[pos] in "}]":
            self._take(buf[pos], "markup")
            self._diagnose("extra-closer", f"{buf[pos]!r} closes nothing", self._base + pos, self._base + pos + 1)
            return pos + 1
        self._after_json = False
        flow = self._flow
        if (
            not flow.begun
            and not self._after_call
            and "JSON_CALL" not in node.readers
            and (node.capture == "DECLARED_NAME" or node.first_openers)
        ):
            blanks = _BLANKS.match(buf, pos)
            assert blanks is not None
            if blanks.end() > pos:
                self._text(buf[pos : blanks.end()])
                return blanks.end()
            if self._calls_allowed() and self._may_doubt(False) and flow is self._content:
                opener = node.first_openers.get(buf[pos])
                if opener is not None:
                    return self._after_first(self._opener(opener, buf, pos, pos + 1, False, final), buf, pos)
                if node.capture and not _STOPS["NAME"].match(buf, pos) and buf[pos] not in node.text_scan.first:
                    self._open_start("DECLARED_NAME", self._base + pos, True)
                    self._begin_capture("DECLARED_NAME")
                    return pos
        scan = node.text_scan
        at = pos
        while True:
            found = scan.search.search(buf, at)
            if found is None:
                self._text(buf[pos:])
                self._wait = True
                return len(buf)
            here = found.start()
            ch = buf[here]
            match: Any = None
            if ch in scan.first:
                match = scan.automaton.match(buf, here, final)
            if match is None and ch not in "`{":
                at = here + 1
                continue
            if here > pos:
                self._text(buf[pos:here])
                pos = here
                node = self._node
            if match is MORE:
                self._wait = True
                return pos
            if match is not None:
                new = self._text_marker(match[0], buf, here, match[1], final)
            elif ch == "`":
                new = self._backticks(buf, here, final)
            else:
                new = self._bare_object(buf, here, final)
            if new >= 0:
                return new
            if self._wait:
                return pos
            at = max(-new, here + 1)  # plain text up to there

    def _after_first(self, new: int, buf: str, pos: int) -> int:
        """What `_opener` said of the answer's first character, as a position to go on at."""
        if new < 0 and not self._wait:
            self._text(buf[pos : pos + 1])
            return pos + 1
        return max(new, pos)

    # What the helpers of _text_phase return: the position to go on at, in whatever phase they chose; or, negative, that the
    # text up to there is plain; with `_wait` set, that more text is needed.

    def _backticks(self, buf: str, pos: int, final: bool) -> int:
        line = _FENCE_LINE.match(buf, pos)
        assert line is not None
        run = len(line[1])
        code = self._flow.code()
        if self._fence and self._after_call and code.at_line_start():
            if run < self._fence and line.end(1) == len(buf) and not final:
                self._wait = True
                return -pos
            if run >= self._fence:
                self._take(line[1], "markup")  # closes a fence that held only calls
                self._fence = 0
                return line.end(1)
        if not code.fence_may_open():
            return -line.end(1)
        if run < 3:
            if line.end(1) == len(buf) and not final:
                self._wait = True
                return -pos
            return -line.end(1)
        if not self._may_doubt(True) or not self._calls_allowed():
            return -line.end(1)
        self._open_start("FENCE", self._base + pos, True, fence=run)
        self._take(line[1], "markup")
        self._phase = FENCE
        return line.end(1)

    def _calls_allowed(self) -> bool:
        settings = self._settings
        return not (
            settings.tool_choice == "none"
            or self._role_played
            or (self._flow is self._reasoning and settings.calls_in_reasoning == "text")
        )

    def _bare_object(self, buf: str, pos: int, final: bool) -> int:
        """A `{` in free text: does a call without a marker begin?"""
        node = self._node
        assert node is not None
        if not node.readers or not self._calls_allowed():
            return -pos - 1
        term = node.readers[0]
        if "JSON_ARGUMENTS" in node.readers:
            alone = self._alone(buf, pos, final)
            if alone is None:
                self._wait = True
                return -pos
            if alone:
                self._open_start("JSON_ARGUMENTS", self._base + pos, False)
                call = self._call = OpenCall(self._settings.collect)
                call.name, call.at = alone, self._base + pos
                return self._begin_arguments("JSON_ARGUMENTS", pos)
        bare = term == "BARE_JSON_CALL"
        match = BARE_CALL.match(buf, pos)
        if match is not None and match[1] is None and not final:
            self._wait = True
            return -pos
        if match is None or match[1] is None:
            return -pos - 1
        if bare:
            if not self._may_doubt(True) or self._flow is self._reasoning:
                return -pos - 1
            code = self._flow.code()
            if code.in_code() or code.depth or not (self._dialect.bare or code.at_line_start() or not self._flow.begun):
                return -pos - 1
        self._open_start(term, self._base + pos, bare, quiet=True)
        self._begin_reader(term)
        return pos

    def _alone(self, buf: str, pos: int, final: bool) -> str | None:
        """A forced call's object: the tool's name if it holds the arguments alone, "" if name and arguments; None if more
        text must tell."""
        settings = self._settings
        names = settings.tools.names if settings.tools is not None else ()
        name = settings.tool_choice[1:] if settings.tool_choice.startswith("=") else "".join(names) if len(names) == 1 else ""
        match = BARE_CALL.match(buf, pos)
        if not name:
            return ""
        if match is None:
            return name
        if match[1] is None:
            return name if final or match.end() < len(buf) else None
        tool = settings.tools.tool(name) if settings.tools is not None else None
        key = match[0][1:-1].strip(" \t\r\n\"'")
        return name if tool is not None and key in tool.parameter_names else ""

    def _text_marker(self, terminal: str, buf: str, pos: int, end: int, final: bool) -> int:
        """A marker in free text."""
        node, flow = self._node, self._flow
        assert node is not None
        in_code = flow.code().in_code()
        offset = self._base + pos
        if terminal == "END_TURN":
            if in_code:
                if end == len(buf) and not final:
                    self._wait = True
                    return -pos
                if end < len(buf):
                    return -end
            for t in node.path_to(terminal) or ():
                self._shift(t)
            self._take(buf[pos:end], "markup")
            self._shift(terminal)
            self._enter()
            self._turn_ended = True
            self._turn_at = self._base + end
            return end
        if terminal == "ROLE":
            if not self._turn_ended:
                return -end
            self._role_played = True
            self._take(buf[pos:end], "markup")
            return end
        if terminal == "THINK":
            if in_code or node.shift(terminal) is None:
                return -end
            self._take(buf[pos:end], "markup")
            self._shift(terminal)
            self._reasoned = True
            self._may_reclassify = False
            self._enter()
            return end
        if terminal == "END_THINK":
            if flow is self._reasoning and self._fed_channel == "content":
                self._drop_blanks(flow)
                self._take(buf[pos:end], "markup")
                self._shift(terminal)
                self._may_reclassify = False
                self._enter()
                return end
            if in_code:
                return -end
            self._take(buf[pos:end], "markup")
            if self._may_reclassify and flow is self._content:
                self._reclassify()
            else:
                self._diagnose("stray-closer", f"{buf[pos:end].strip()} closes nothing", offset, self._base + end)
            return end
        if terminal in node.grammar.switch:
            return self._switch(terminal, pos, end)
        edge = node.shift(terminal)
        if edge is not None and "stray" in edge.after:
            return self._stray_closer(terminal, buf, pos, end, final, in_code)
        if terminal.startswith("END_") or (edge is not None and edge.target.text == "CONTENT"):
            if in_code:
                return -end
            for t in node.path_to(terminal) or ():  # markup of the text itself, such as a message's header
                self._shift(t)
            self._take(buf[pos:end], "markup")
            self._shift(terminal)
            self._enter()
            return end
        return self._opener(terminal, buf, pos, end, in_code, final)

    def _reclassify(self) -> None:
        """A closer of reasoning without an opener: what was given out as content was reasoning."""
        content, reasoning = self._content, self._reasoning
        self._may_reclassify = False
        self._drop_blanks(content)
        length = content.total()
        if length:
            reasoning.pieces = content.pieces
            reasoning.length = length
            reasoning._seen = len(reasoning.pieces)
            self._events.append(Reclassified("reasoning", length))
        fresh = Flow("content", self._settings.collect)
        if self._spans is not None:
            for note in self._spans:
                if note[0] == "content":
                    note[0] = "reasoning"
        self._content = fresh
        if self._flow is content:
            self._flow = fresh

    def _stray_closer(self, terminal: str, buf: str, pos: int, end: int, final: bool, in_code: bool) -> int:
        """A closer that closes nothing: markup behind a call or alone on its line, else somebody writes about it."""
        if terminal in self._owed or self._settings.tool_choice == "none":
            self._owed.discard(terminal)  # goes back with the failed start that it belongs to
            return -end
        if in_code:
            return -end
        if not self._after_call:
            if not self._flow.code().at_line_start():
                return -end
            line = buf.find("\n", end, end + WINDOW)
            rest = buf[end : line if line >= 0 else end + WINDOW]
            if rest.strip() or (line < 0 and len(buf) >= end + WINDOW):
                return -end
            if line < 0 and not final:
                self._wait = True
                return -pos
        self._take(buf[pos:end], "markup")
        self._diagnose("stray-closer", f"{buf[pos:end]} closes nothing", self._base + pos, self._base + end)
        self._owed.discard(terminal)
        return end

    def _opener(self, terminal: str, buf: str, pos: int, end: int, in_code: bool, final: bool) -> int:
        """A marker that may begin a call."""
        node = self._node
        assert node is not None
        path = node.path_to(terminal)
        if path is None or not self._calls_allowed():
            return -end
        probe = node
        for t in (*path, terminal):
            edge = probe.shift(t)
            assert edge is not None
            probe = edge.target
        if end - pos == 1 and set(probe.accepts) <= set(READERS):
            follow = _BLANKS.match(buf, end, end + WINDOW)
            assert follow is not None
            if follow.end() == len(buf) and not final and follow.end() < end + WINDOW:
                self._wait = True
                return -pos
            if buf[follow.end() : follow.end() + 1] != "{":
                return -end
        quiet = terminal == "SEPARATOR"
        bare_json = "BARE_JSON_CALL" in probe.accepts
        doubtful = in_code or probe.capture == "DECLARED_NAME" or (bare_json and not quiet)
        if doubtful:
            if not self._may_doubt(bare_json) or self._flow is self._reasoning:
                return -end
            if bare_json and (
                in_code or not (self._dialect.bare or self._flow.code().at_line_start() or not self._flow.begun)
            ):
                return -end
        self._open_start(terminal, self._base + pos, doubtful, quiet)
        for t in path:
            self._shift(t)
        self._take(buf[pos:end], "markup")
        self._shift(terminal)
        self._enter()
        return end

    def _switch(self, terminal: str, pos: int, end: int) -> int:
        """A watched opener of another family: go on as that family, from the same character."""
        node = self._node
        assert node is not None
        if not self._calls_allowed():
            return -end
        target: Dialect = node.grammar.switch[terminal]
        assert target.grammar is not None
        inside = self._flow is self._reasoning and self._fed_channel == "content"
        self._dialect = target
        self._node = start_node(target.grammar, inside and target.grammar.has_reasoning)
        if self._starts:
            self._starts[0].node = self._node
        return pos

    def _fence_phase(self, buf: str, pos: int, final: bool) -> int:
        """Behind a fence line's backticks, or its newline: does a call stand in the fence?"""
        node = self._node
        assert node is not None
        start = self._starts[-1]
        if start.empty:  # the line itself has not been read
            line = _FENCE_LINE.match(buf, pos)
            assert line is not None
            if line[1]:
                start.fence += len(line[1])
                self._take(line[1], "markup")
                return line.end(1)
            if not line[3]:
                if line.end() == len(buf) and not final:
                    self._wait = True
                else:
                    self._fail(self._base + pos)
                return pos
            start.empty = False
            self._capture = line[2].strip().lower()
            self._take(line[0], "markup")
            return line.end()
        blanks = _BLANKS.match(buf, pos)
        assert blanks is not None
        if blanks.end() > pos:
            self._take(buf[pos : blanks.end()], "markup")
            return blanks.end()
        if pos == len(buf):
            self._wait = True
            return pos
        scan = node.text_scan
        match = scan.automaton.match(buf, pos, final) if buf[pos] in scan.first else None
        if match is MORE:
            self._wait = True
            return pos
        if match is not None and match[0] in node.grammar.switch:
            return max(pos, self._switch(match[0], pos, match[1]))
        if match is not None and not match[0].startswith(("END_", "THINK", "ROLE")):
            path = node.path_to(match[0])
            probe = node.shift(match[0])
            bare = probe is not None and "BARE_JSON_CALL" in probe.target.accepts
            if path is not None and (not bare or self._capture in _FENCE_INFOS):
                for t in path:
                    self._shift(t)
                self._take(buf[pos : match[1]], "markup")
                self._shift(match[0])
                self._enter()
                return match[1]
        if buf[pos] == "{" and node.readers and self._capture in _FENCE_INFOS:
            self._begin_reader(node.readers[0])
            return pos
        self._fail(self._base + pos)
        return pos

    def _tight_phase(self, buf: str, pos: int, final: bool) -> int:
        node = self._node
        assert node is not None
        blanks = _BLANKS.match(buf, pos)
        assert blanks is not None
        if blanks.end() > pos:
            self._take(buf[pos : blanks.end()], "markup")
            self._after_json = False
            return blanks.end()
        if pos == len(buf):
            self._wait = True
            return pos
        scan = node.tight_scan
        ch = buf[pos]
        if ch in scan.first:
            match = scan.automaton.match(buf, pos, final)
            if match is MORE:
                self._wait = True
                return pos
            if final and _is_cut(scan, match, buf, pos):
                self._take(buf[pos:], "markup")
                self._wait = True
                return len(buf)
            if match is not None:
                return self._marker(match[0], buf, pos, match[1], final)
        for term in node.readers:
            if term == "PY_ARGUMENTS" or ch == "{" or (term == "JSON_ARGUMENTS" and ch in _JSON_START):
                return self._begin_arguments(term, pos)
        capture = node.capture
        if capture is not None and not _STOPS["KEY" if capture == "KEY" else "NAME"].match(ch):
            if self._call is None and capture in node.grammar.openers:
                self._open_start(capture, self._base + pos, True)
            self._begin_capture(capture)
            return pos
        return self._unexpected(buf, pos, final)

    def _begin_arguments(self, term: str, pos: int) -> int:
        if term in ("JSON_CALL", "BARE_JSON_CALL"):
            if self._call is None:
                self._open_start(term, self._base + pos, term == "BARE_JSON_CALL")
        elif not self._announce():
            self._fail(self._base + pos)
            return pos
        self._begin_reader(term)
        return pos

    def _begin_reader(self, term: str) -> None:
        node, settings = self._node, self._settings
        assert node is not None
        limit = boundary(node, term)
        self._reader_term = term
        if term in ("JSON_CALL", "BARE_JSON_CALL"):
            self._call = OpenCall(self._settings.collect)
            self._reader = JsonCallReader(
                boundary=limit,
                max_depth=settings.max_depth,
                bare=term == "BARE_JSON_CALL",
                max_held=settings.max_held,
            )
        else:
            assert self._call is not None
            tool = settings.tools.tool(self._call.name) if settings.tools is not None else None
            if term == "JSON_ARGUMENTS":
                self._reader = ObjectReader(
                    boundary=limit,
                    max_depth=settings.max_depth,
                    wrap_key=(tool.only_required if tool else None) or "input",
                )
            else:
                self._reader = PythonArgumentsReader(boundary=limit, max_depth=settings.max_depth, schema=tool)
        self._phase = READER

    def _reader_phase(self, buf: str, pos: int, final: bool) -> int:
        reader = self._reader
        reader.base = self._base
        new: int = reader.feed(buf, pos, final)
        if new > pos:
            self._take(buf[pos:new], "arguments")
        call = self._call
        assert call is not None
        if call.index < 0:
            status = reader.status
            if status == "announce":
                call.name, call.call_id, call.at = reader.name, reader.call_id, self._base + new
                tools = self._settings.tools
                tool = tools.tool(call.name) if tools is not None else None
                reader.wrap_key = (tool.only_required if tool else None) or "input"
                if not self._announce():
                    self._fail(self._base + new)
                return new
            if status == "failed" or (final and not reader.done):
                self._fail(self._base + new)
                return new
            if not reader.done:
                self._wait = True
                return new
        self._drain(reader)
        if reader.done:
            self._end_reader(reader, new, final)
        else:
            self._wait = True
        return new

    def _drain(self, reader: Any) -> None:
        """Give out what a reader has, its diagnostics at their places."""
        text = ""
        for item in reader.out:
            if isinstance(item, str):
                text += item
            else:
                self._delta(text)
                text = ""
                self._report(item)
        self._delta(text)
        reader.out.clear()

    def _end_reader(self, reader: Any, pos: int, final: bool) -> None:
        call = self._call
        assert call is not None
        late = getattr(reader, "source_id", None)
        if late is not None and call.source_id is None and late != call.call_id:
            call.source_id = late
        term, node = self._reader_term, self._node
        assert node is not None
        edge = node.shift(term)
        assert edge is not None
        if reader.cut and (reader.closing or not call.mark()):
            self._at = self._base + pos
            self._end_call(False, reader.closing)
        else:
            call.sealed = True
            for what in edge.after:
                self._ended(what)
        self._reader = None
        self._node = edge.target
        self._after_json = True
        self._enter()
        if reader.cut and not final:
            self._phase = JUNK

    def _junk_phase(self, buf: str, pos: int, final: bool) -> int:
        """What is left of a call that ended in the middle, up to the next marker."""
        node = self._node
        assert node is not None
        scan = node.stop_scan
        at = pos
        while True:
            found = scan.search.search(buf, at)
            if found is None:
                self._take(buf[pos:], "markup")
                self._wait = True
                return len(buf)
            at = found.start()
            match = scan.automaton.match(buf, at, final)
            if match is None:
                at += 1
                continue
            self._take(buf[pos:at], "markup")
            if match is MORE:
                self._wait = True
            else:
                self._enter()
            return at

    def _begin_capture(self, term: str) -> None:
        self._capture = term
        self._phase = CAPTURE

    def _capture_phase(self, buf: str, pos: int, final: bool) -> int:
        node, term = self._node, self._capture
        assert node is not None
        edge = node.shift(term)
        assert edge is not None
        after = edge.target
        limit = min(len(buf), pos + _NAME_SIZE + 1)
        stop = _STOPS["KEY" if term == "KEY" else "NAME"].search(buf, pos, limit)
        end = stop.start() if stop else limit
        scan = after.tight_scan
        at = pos + 1
        while at < end or (at == end and end < len(buf)):
            found = scan.search.search(buf, at, min(len(buf), end + 1))
            if found is None or found.start() > end:
                break
            match = scan.automaton.match(buf, found.start(), final)
            if match is MORE:
                self._wait = True
                return pos
            if match is not None:
                end = found.start()
                stop = found
                break
            at = found.start() + 1
        if stop is None and end - pos <= _NAME_SIZE and not final:
            self._wait = True
            return pos
        text = buf[pos:end].strip()
        open_end = stop is None and after.shift("END_NAME") is not None
        if not text or end - pos > _NAME_SIZE or open_end:
            self._phase = TIGHT
            if end == len(buf) and final and self._call is not None and self._call.index >= 0:
                self._take(buf[pos:], "markup")  # a key that was cut off
                self._wait = True
                return end
            return self._unexpected(buf, pos, final)
        if not self._name(term, text, self._base + pos):
            self._take(buf[pos:end], "name")
            self._fail(self._base + end)
            return end
        self._take(buf[pos:end], {"KEY": "key", "CALL_ID": "id"}.get(term, "name"))
        self._shift(term)
        self._enter()
        return end

    def _name(self, term: str, text: str, offset: int) -> bool:
        """A capture is complete. False: a doubtful start that may not call this name."""
        call = self._call
        if call is None:
            call = self._call = OpenCall(self._settings.collect)
            call.depth = len(self._starts[-1].node.stack) if self._starts else 0
        if term == "KEY":
            call.key_at = offset
            if "member" in self._meanings():
                self._delta(call.open_member(text, self._is_array))
            else:
                call.key = text
            return True
        if term == "CALL_ID":
            call.call_id = text
            return True
        call.at = offset
        if term == "INDEXED_NAME":
            call.call_id = text
            head, colon, tail = text.rpartition(":")
            call.name = (head if colon and tail.isdigit() else text).removeprefix("functions.")
        else:
            call.name = text
        return not any(s.doubtful for s in self._starts) or self._may_call(call.name)

    def _meanings(self) -> frozenset[str]:
        assert self._node is not None
        return self._node.grammar.meanings

    def _is_array(self, path: tuple[str, ...], key: str) -> bool:
        """Whether a member that holds members is an array: as its schema says, else if they are called `item`."""
        call = self._call
        tools = self._settings.tools
        tool = tools.tool(call.name) if tools is not None and call is not None else None
        schema = tool.at(path) if tool is not None else None
        if schema is not None and schema.array != schema.object:
            return bool(schema.array)
        return key == "item"

    # -- values ---------------------------------------------------------------------------------------------------------

    def _begin_value(self) -> None:
        call = self._call
        assert call is not None and call.key is not None
        tools = self._settings.tools
        tool = tools.tool(call.name) if tools is not None else None
        settings = self._settings
        kind = self._node.value if self._node is not None else "VALUE"
        schema = None
        if kind == "VALUE" and tool is not None:
            schema = tool.at(tuple(call.path)) if call.path else tool.param(call.key)
        call.value = TextValue(
            schema,
            {"STRING_VALUE": "string", "JSON_VALUE": "json"}.get(kind or "", self._dialect.untyped),
            max_depth=settings.max_depth,
            max_held=settings.max_held,
        )
        self._nest.clear()

    def _value_phase(self, buf: str, pos: int, final: bool) -> int:
        node = self._node
        assert node is not None
        scan = node.value_scan
        at = pos
        while True:
            found = scan.search.search(buf, at)
            if found is None:
                self._value_text(buf[pos:], pos)
                self._wait = True
                return len(buf)
            at = found.start()
            match = scan.automaton.match(buf, at, final)
            if match is None:
                if final and _is_cut(scan, match, buf, at):
                    self._value_text(buf[pos:at], pos)
                    self._take(buf[at:], "markup")
                    self._wait = True
                    return len(buf)
                at += 1
                continue
            verdict = self._closes(match[0], buf, match[1], final) if isinstance(match, tuple) else None
            if verdict is False:
                at = match[1]  # type: ignore[index]
                continue
            self._value_text(buf[pos:at], pos)
            if verdict is None:
                self._wait = True
                return at
            assert isinstance(match, tuple)
            assert node.value is not None
            self._shift(node.value)
            return self._marker(match[0], buf, at, match[1], final)

    def _closes(self, terminal: str, buf: str, end: int, final: bool) -> bool | None:
        """Whether a marker in a value ends the value. It does not if its opener stood in the value, nor if what follows
        does not fit; None if only more text tells."""
        nest = self._nest
        if terminal.startswith("END_"):
            opener = terminal[4:]
            if nest.get(opener):
                nest[opener] -= 1
                return False
        elif terminal in nest or any(nest.values()) or terminal not in self._value_ends():
            nest[terminal] = nest.get(terminal, 0) + 1
            return False
        else:
            return True
        node = self._node
        assert node is not None
        value = node.shift(node.value or "VALUE")
        assert value is not None
        place = value.target
        for t in (*(place.path_to(terminal) or ()), terminal):
            edge = place.shift(t)
            if edge is None:
                return False
            place = edge.target
        limit = end + WINDOW
        here = end
        while here < min(limit, len(buf)) and buf[here].isspace():
            here += 1
        if here >= limit:
            return True
        if here == len(buf):
            return True if final else None
        if terminal == "END_TURN":
            return False
        follow = place.follow_scan.automaton.match(buf, here, final)
        return None if follow is MORE else follow is not None

    def _choice_phase(self, buf: str, pos: int, final: bool) -> int:
        """A nested member, or text: the first character that is no blank tells."""
        node = self._node
        assert node is not None
        here = pos
        while here < len(buf) and here < pos + WINDOW and buf[here].isspace():
            here += 1
        match: Any = None
        if here < len(buf) and here < pos + WINDOW:
            if buf[here] in node.tight_scan.first:
                match = node.tight_scan.automaton.match(buf, here, final)
        elif here < pos + WINDOW and not final:
            match = MORE
        if match is MORE:
            self._wait = True
            return pos
        if match is not None and not match[0].startswith("END_") and node.shift(match[0]) is not None:
            self._take(buf[pos:here], "markup")
            return self._marker(match[0], buf, here, match[1], final)
        self._begin_value()
        self._phase = VALUE
        return pos

    def _value_ends(self) -> tuple[str, ...]:
        assert self._node is not None
        return self._node.grammar.until.get("VALUE", ())

    def _value_text(self, text: str, pos: int) -> None:
        if not text:
            return
        call = self._call
        assert call is not None and call.value is not None
        self._take(text, "value")
        value = call.value
        value.base = self._base + pos
        value.feed(text)
        self._drain_value(value)

    def _drain_value(self, value: TextValue) -> None:
        """Give out what a value has become, its key before its first character."""
        call = self._call
        assert call is not None
        if call.key is not None and any(isinstance(item, str) and item for item in value.out):
            if call.key in call.keys:
                self._diagnose("duplicate-key", f"the key {call.key!r} comes twice", call.key_at, call.key_at)
            call.keys.add(call.key)
            value.out.insert(0, call.opening())
        self._drain(value)

    def _end_value(self) -> None:
        """The model wrote the value's end (or left out value and end)."""
        call = self._call
        assert call is not None
        value, call.value = call.value, None
        if value is None:
            call.key = None
            return
        value.finish()
        self._drain_value(value)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """No more text: close what is open."""
        node = self._node
        if node is None:
            return
        self._at = self._base
        while self._starts:
            call = self._call
            if (
                call is not None
                and call.index < 0
                and call.name
                and not any(s.doubtful for s in self._starts)
                and self._announce()
            ):
                break
            start = self._starts[-1]
            if len(self._starts) == 1 and start.empty and call is None and not start.doubtful and self._segments:
                self._starts.clear()  # an envelope that holds nothing
                self._segments.clear()
                break
            self._fail(self._base)
        call = self._call
        if call is not None and call.index >= 0:
            if call.value is not None:
                value, call.value = call.value, None
                closing = value.cut()
                self._drain_value(value)
                self._end_call(False, closing or "")
            else:
                ended = self._final_reason in ("stop", "tool_calls") and call.key is None and call.members > 0
                self._end_call(ended)
        flow = self._flow
        if flow.blanks:
            if self._after_call or not flow.begun:
                self._drop_blanks(flow)
            else:
                self._release(flow)
        for other in (self._content, self._reasoning):
            self._drop_blanks(other)


def _is_cut(scan: Scan, match: Any, buf: str, pos: int) -> bool:
    """Whether the text ends within a marker that stands at `pos`: debris of a call, not text."""
    return (match is None or match[1] < len(buf)) and scan.automaton.match(buf, pos, False) is MORE


_PHASES: Final = (
    Machine._text_phase,
    Machine._tight_phase,
    Machine._capture_phase,
    Machine._value_phase,
    Machine._reader_phase,
    Machine._fence_phase,
    Machine._junk_phase,
    Machine._choice_phase,
)
