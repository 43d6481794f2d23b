"""The machine: text in, events out. Drives the table, and keeps neither a tree nor the text that it has read.

Theory. At any time the machine is in one of a few phases, each of which knows what may come next and what it
may hold:

* TEXT: free text. It is given out up to the next place where a marker may stand; there the automaton of the
  place decides. Held: the beginning of a marker, blanks (see flow.py).
* TIGHT: between markers. Blanks are framing; a marker, a name or a reader's first character must come.
* CAPTURE: a name, id or key, held until its end is seen.
* CHOICE: where an argument's text may begin, or a nested argument in its place.
* VALUE: an argument's bare text. A closer ends it only if what may follow a closer follows.
* READER: an argument reader has the text until its value is over.
* FENCE: the opening line of a code fence, held until it is clear whether a call stands in it.
* JUNK: what is left of a call that ended in the middle (nested too deeply), up to the next marker.

A chunk is appended to what the last one left unread, and phases run until one of them wants more. Each takes
what it is sure of and leaves the rest unread; nothing depends on where chunks end, because a phase that would
decide otherwise with more text waits for it. `final` says that none will come.

A start of a call is a claim until it is announced (see start.py). An unexpected marker is mended by the
cheapest closers that the table allows, and is text (or, inside an announced call, junk) where none do.

The hot path is `feed`: in the middle of free text, of a string, or of a JSON value, a chunk without anything
special in it becomes one event in a few operations. Everything else is `_slow`.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, Final

from ..arguments.json_reader import passes
from ..arguments.tagged import LONG, escape
from ..events import Event, ToolCallDelta, ToolCallEnd, ToolCallStart
from .boundary import WINDOW
from .flow import MANY
from .free_text import FreeText
from .state import (
    CAPTURE,
    FENCE,
    FREE,
    OTHER,
    PLAIN,
    READER,
    SLOW,
    STRING,
    TEXT,
    VALUE,
    VALUE_JSON,
    VALUE_TEXT,
    Dialect,
    Settings,
)

__all__ = ["Dialect", "Machine", "Settings"]

_WINDOW_SIZE: Final = 1 << 16  # longer chunks are read in windows of this size
_TOKEN: Final = 16  # characters; longer pieces are not remembered
_MEMO: Final = 1 << 15  # pieces of a kind that are remembered, the first to come
_WHOLE: dict[str, bool] = {}  # see `_is_whole`
_CONTENT: Final = re.compile(r"""(?:[ !#-\[\]-~]|\\["\\/bfnrt])*+""")
_new = object.__new__


class Machine(FreeText):
    """One stream. `feed` and `close` return the events that the text caused."""

    __slots__ = ()

    def feed(self, chunk: str | bytes, channel: str | None = None) -> list[Event]:
        """Read the next piece of the output, cut anywhere; return what it caused.

        Args:
            chunk: str, or bytes of UTF-8.
            channel: "content" (also None), or "reasoning" for gateways that send reasoning in a field of its
                own.

        Raises:
            ValueError: the parser is closed, or there is no such channel.
        """
        if channel is not self._channel:
            return self._feed_other(chunk, channel)
        mode = self._mode
        data: Any = chunk  # bytes make the first operation of each branch fail, which costs strings nothing
        try:
            if mode == PLAIN:  # in a string, nothing held: what is whole passes, and the place stays the same
                whole = _WHOLE.get(data)
                if whole is None:
                    whole = self._is_whole(data)
                if whole:
                    delta = _new(ToolCallDelta)
                    delta.index = self._index
                    delta.arguments = data
                    self._sink.append(data)
                    return [delta]
            if mode <= STRING:
                reader = self._reader
                text = reader.fast(data) if len(data) <= LONG else None
                if text is not None:
                    node = reader.node
                    self._mode = PLAIN if node is not None and node.text else STRING
                    if text:
                        delta = _new(ToolCallDelta)
                        delta.index = self._index
                        delta.arguments = text
                        self._sink.append(text)
                        return [delta]
                    return []
            elif mode == FREE:
                if self._pend:
                    data = self._pend + data
                    self._pend = ""
                known = self._memo.get(data)
                if known is None:
                    known = self._plain_text(data)
                    if known is None:
                        return self._slow(data)
                body, tail = known
                if tail:
                    self._pend = tail
                if body:
                    event = _new(self._event)
                    event.text = body
                    sink = self._sink
                    sink.append(body)
                    if len(sink) > self._limit:
                        self._compact()
                    return [event]
                return []
            elif mode == VALUE_TEXT:
                if self._pend:
                    data = self._pend + data
                    self._pend = ""
                known = self._memo.get(data)
                if known is None:
                    known = self._plain_value(data)
                    if known is None:
                        return self._slow(data)
                text, tail = known
                if tail:
                    self._pend = tail
                if text:
                    delta = _new(ToolCallDelta)
                    delta.index = self._index
                    delta.arguments = text
                    self._sink.append(text)
                    return [delta]
                return []
            elif mode == OTHER:
                if self._pend:
                    data = self._pend + data
                    self._pend = ""
                known = self._memo.get(data)
                if known is None:
                    known = self._plain_piece(data)
                    if known is None:
                        return self._slow(data)
                text, tail = known
                self._base += len(data)
                if tail:
                    self._base -= len(tail)
                    self._pend = tail
                if text:
                    delta = _new(ToolCallDelta)
                    delta.index = self._index
                    delta.arguments = text
                    self._sink.append(text)
                    return [delta]
                return []
            elif mode == VALUE_JSON and self._trigger not in data and data.isprintable():
                text = self._quick.fast(data) if len(data) <= LONG else None
                if text is not None:
                    self._base += len(data)
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

    # Of what the hot path met before it knows the outcome: models write in tokens, which come again and again.
    # Where it does not, these look. They also join the pieces from time to time.

    def _is_whole(self, data: str) -> bool:
        """Whether `data` is content of a JSON string as it stands: no quote, nothing to be mended, no escape cut."""
        if len(self._sink) > MANY:
            self._compact()
        if "\\" in data:
            whole = _CONTENT.fullmatch(data) is not None
        else:
            whole = '"' not in data and data.isprintable()
        whole = whole and passes(data)
        if len(data) <= _TOKEN and len(_WHOLE) < _MEMO:
            _WHOLE[data] = whole
        return whole

    def _plain_piece(self, data: str) -> tuple[str, str] | None:
        """The JSON form of a piece of the string that a reader is in, and what of its end waits for more; None if it
        is not plain."""
        if len(self._sink) > MANY:
            self._compact()
        whole = self._quick.whole(data) if len(data) <= LONG else 0
        text = self._quick.fast(data[:whole]) if len(data) - whole <= _TOKEN else None
        if text is None:
            return None
        known = text, data[whole:]
        if len(data) <= _TOKEN and len(self._memo) < _MEMO:
            self._memo[data] = known
        return known

    def _plain_text(self, data: str) -> tuple[str, str] | None:
        """Free text without markers: what can be given out, and the blanks or beginning of a marker behind it.

        None where a marker may stand, or where too many blanks are to be held.
        """
        found = self._search(data)
        if found is None:
            body = data.rstrip()
        else:
            at = found.start()
            # what goes up to the end is only the beginning of a marker, if nothing (a group) says that it is whole
            whole = found.end() < len(data) or found.lastindex is not None
            if len(data) - at > (3 if whole else WINDOW):
                return None
            body = data[:at].rstrip()
        known = (body, data[len(body) :])
        if len(known[1]) > WINDOW:
            return None
        if len(data) <= _TOKEN and len(self._memo) < _MEMO:
            self._memo[data] = known
        return known

    def _plain_value(self, data: str) -> tuple[str, str] | None:
        """The JSON form of a piece of a value, and the beginning of a marker behind it; None where one may stand."""
        if len(self._sink) > MANY:
            self._compact()
        body, tail = data, ""
        if not self._trigger or self._trigger in data or not data.isprintable():
            found = self._search(data)
            if found is not None:
                at = found.start()
                if len(data) - at > 3:
                    return None
                body, tail = data[:at], data[at:]
        text = body if body.isprintable() and '"' not in body and "\\" not in body else escape(body)
        if len(data) <= _TOKEN and len(self._memo) < _MEMO:
            self._memo[data] = (text, tail)
        return text, tail

    def close(self, finish_reason: str | None = None) -> list[Event]:
        """The text is over; return what that caused. Calling it again does nothing.

        Args:
            finish_reason: as the server gave it: "stop" and "tool_calls" say that the model ended by itself.
        """
        if self._closed:
            return []
        events: list[Event] = []
        self._events = events
        self._give_early()
        self._leave()
        self._final_reason = finish_reason
        if self._channel_now() != self._fed_channel:
            self._switch_channel()
        tail = self._decoder.decode(b"", True) if self._decoder is not None else ""
        rest = self._buf + tail
        self._run(rest, True)
        self._finish(rest)
        self._closed = True
        self._mode = SLOW
        self._events = []
        return events

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
        elif mode == OTHER:
            self._buf, self._pend = self._pend, ""
        elif mode in (PLAIN, STRING, VALUE_TEXT):
            self._base += self._given(mode)
            if mode == VALUE_TEXT:
                self._buf, self._pend = self._pend, ""
            else:
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
        if self._mode in (PLAIN, STRING, VALUE_TEXT):
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
        word = self._phase == CAPTURE and self._call is None and any(start.doubtful for start in self._starts)
        if word or self._phase in (TEXT, FENCE):
            self._run(self._buf, True)
            self._buf = ""
            while self._starts:
                self._fail(self._base)
        self._fed_channel = self._channel_now()
        self._may_reclassify = False
        node = self._node
        if self._fed_channel == "content" and node is not None and node.text == "REASONING":
            for t in node.path_to("CONTENT") or ():
                self._shift(t)
        self._enter_flow()

    def _slow(self, chunk: str | bytes) -> list[Event]:
        if self._closed:
            raise ValueError("the parser is closed: make a new one for another text")
        if isinstance(chunk, (bytes, bytearray, memoryview)):
            if self._decoder is None:
                self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            chunk = self._decoder.decode(bytes(chunk))
        elif not isinstance(chunk, str):
            raise TypeError(f"a chunk must be str or bytes, not {type(chunk).__name__}")
        events: list[Event] = []
        self._events = events
        self._give_early()
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
                # what a start may hold is counted in characters of the input, so the outcome is the same in
                # any cutting
                new = _PHASES[phase](self, buf[: max(cap, pos)], pos, False) if cap > pos else pos
                if cap <= pos or self._waits():
                    self._wait = False
                    began = self._starts[0].offset if self._starts else -1
                    while self._starts:
                        self._fail(self._base + new, "max-held")
                    if began == self._base + new:
                        self._text(buf[new])  # nothing of the start was read: its first character is text
                        new += 1
            else:
                new = _PHASES[phase](self, buf, pos, final)
            if new > pos or phase != self._phase or node is not self._node:
                idle = 0
            else:
                idle += 1
                if idle == 32:  # never seen; but no text may make a parser stand still
                    new = self._force(buf, new)
            pos = new
        self._buf = buf[pos:]
        self._base += pos

    def _force(self, buf: str, pos: int) -> int:
        """Give up on whatever is open, and read one character as text."""
        while self._starts:
            self._fail(self._base + pos)
        if self._call is not None:
            self._end_cut(pos)
        assert self._node is not None
        self._node = self._node.unwound
        self._enter()
        self._diagnose("stalled", "the parser could not go on here", self._base + pos, self._base + pos)
        self._text(buf[pos : pos + 1])
        return min(pos + 1, len(buf))

    def _waits(self) -> bool:
        return self._wait

    def _set_mode(self) -> None:
        """Whether the next chunk may take the hot path."""
        self._mode = SLOW
        node, call = self._node, self._call
        if len(self._buf) > 3 or self._spans is not None or self._starts or self._turn_ended or node is None:
            return
        if self._phase == TEXT:
            flow = self._flow
            if (
                flow.begun
                and flow is not self._noise
                and node.begun is None
                and not self._after_call
                and self._settings.max_held > WINDOW
            ):
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
                self._memo = node.text_scan.memo
                self._mode = FREE
        elif call is not None and call.index >= 0 and not call.silent:
            self._sink = call.pieces
            self._mark = call.mark()
            value = call.value
            if self._phase == READER:
                if not self._buf:
                    self._mark_held = self._reader.held
                    self._quick = self._reader
                    memo = self._reader.memo
                    if memo is not None:
                        self._memo = memo
                        self._mode = OTHER
                    elif self._reader.node is not None:
                        self._mode = STRING  # it finds out by itself that it may be PLAIN
            elif self._phase == VALUE and value is not None and call.key is None and not call.unwraps:
                scan = node.value_scan
                self._search = scan.search.search
                self._trigger = scan.trigger
                if value.streaming:
                    self._memo = scan.memo
                    self._pend, self._buf = self._buf, ""
                    self._mode = VALUE_TEXT
                elif not self._buf:
                    self._quick = value
                    self._mode = VALUE_JSON

    def _prefill(self, text: str) -> None:
        """Read what the prompt wrote of the answer, so that the output goes on from there.

        Its text is not given out, since the model did not write it; but of a call that it began the whole is.
        """
        self._run(self._buf + text, False)
        self._early = [e for e in self._events if isinstance(e, ToolCallStart | ToolCallDelta | ToolCallEnd)]
        for segment in self._segments:
            segment.text = ""
        self._base -= len(text)
        for start in self._starts:
            start.offset -= len(text)
        for flow in (self._content, self._reasoning, self._noise):
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
            for segment in self._segments:
                segment.span = None
        if not self._early:
            self._set_mode()

    def _give_early(self) -> None:
        """Tell of the call that the prompt began."""
        if self._early:
            self._events += self._early
            self._early = []

    def _begins_more(self, rest: str) -> bool:
        """Whether the end of a text is the beginning of something else than a closer."""
        grammar = self._dialect.grammar
        assert grammar is not None
        tail, spellings = rest.strip(), grammar.spellings
        closers = [
            spelling.strip()
            for name, known in spellings.items()
            if name.startswith("END_") and name not in ("END_NAME", "END_KEY")
            for spelling in known
        ]
        tail = tail[max((tail.rfind(c) + len(c) for c in closers if c in tail), default=0) :].strip()
        if not tail:
            return False
        openers = (o for name, known in spellings.items() if not name.startswith("END_") for o in known)
        return not any(c.startswith(tail) for c in closers) or any(
            o.strip().startswith(tail) for o in openers
        )

    def _finish(self, rest: str) -> None:
        """No more text: close what is open. `rest`: the end of the text, which waited for more."""
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
                and not any(s.doubtful or s.terminal == "KNOWN_NAME" for s in self._starts)
                and self._announce()
            ):
                break
            if (
                call is None
                and self._segments
                and all(s.empty and not s.doubtful for s in self._starts)
                and not any(s.failed for s in self._segments)
            ):
                self._drop_claim()
                break
            self._fail(self._base)
        call = self._call
        ended = self._final_reason in ("stop", "tool_calls")
        if call is not None and call.index >= 0:
            node = self._node
            if call.value is not None:
                call.value.base = self._base
                if ended and node is not None and node.open_ended and node.value is not None:
                    self._shift(node.value)
                else:
                    self._cut_value(self._base)
            else:
                # behind its last member a call may end with the text, but not in the middle of the next one's opener
                between = ended and call.key is None and call.members > 0 and not self._begins_more(rest)
                self._end_call(between and node is not None and "KEY" not in node.accepts)
        flow = self._flow
        if flow.blanks:
            if self._after_call or not flow.begun:
                self._drop_blanks(flow)
            else:
                self._release(flow)
        for other in (self._content, self._reasoning, self._noise):
            self._drop_blanks(other)


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
