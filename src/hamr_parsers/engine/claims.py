"""Starts and ends of calls: a start is a claim until the call is announced.

Theory. See start.py. A claim is opened at its first marker, fails where it cannot go on (its text goes back
to the channel that it stood in, and is not read again), and is redeemed by the announcement, when the name is
complete, may be called, and what follows can only be a call. What was odd meanwhile follows the announcement,
or vanishes with the claim.
"""

from __future__ import annotations

from typing import Any

from ..arguments.json_reader import duplicate_keys
from ..events import Diagnostic, ToolCall, ToolCallEnd, ToolCallStart
from .call import OpenCall
from .flow import MANY, Flow
from .start import Segment, Start
from .state import CALL_PARTS, State

__all__ = ["Claims"]


class Claims(State):
    """Opens, drops and announces claims; ends calls."""

    __slots__ = ()

    def _open_start(
        self, terminal: str, offset: int, doubtful: bool, quiet: bool = False, fence: int = 0
    ) -> None:
        assert self._node is not None
        flow = self._starts[0].flow if self._starts else self._flow
        self._starts.append(
            Start(self._node, flow, offset, terminal, doubtful, quiet or doubtful, len(self._segments), fence)
        )
        if len(self._starts) == 1:
            self._owed.clear()

    def _fail(self, offset: int, code: str = "failed-start") -> None:
        """The innermost start is none: its text goes back, and reading goes on where it stopped."""
        start = self._starts.pop()
        self._call = self._reader = None
        self._node = start.node
        segments = self._segments[start.segment :]
        message = "this began like a tool call and is none"
        if code == "max-held":
            message = f"this began like a tool call, and is none within {self._settings.max_held} characters"
        noted = Diagnostic(code, message, max(start.offset, 0), max(offset, 0))
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
            if not start.quiet and start.flow is not self._noise:
                self._report(noted)
        self._owe(start.terminal, start.unopened)
        self._enter()

    def _owe(self, terminal: str, unopened: bool = False) -> None:
        """The closer of markup that is text is text as well; so is an envelope's whose opener is missing."""
        self._owed.add(f"END_{terminal}")
        if unopened and self._node is not None:
            self._owed.update(t for t in self._node.accepts if t.startswith("END_"))

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
                self._shift(node.text or "CONTENT")
            self._give_out(body)
            self._flow = was
        if len(body) < len(text):
            self._give_back_blanks(text[len(body) :], [s.span for s in segments if s.span is not None], flow)

    def _give_back_blanks(self, blanks: str, notes: list[Any], flow: Flow) -> None:
        """Blanks at the end of what goes back are held like any at the end of text."""
        flow.blanks.append(blanks)
        if self._spans is None:
            return
        left = len(blanks)
        for note in reversed(notes):
            cut = min(left, note[1])
            note[1] -= cut
            left -= cut
            if not left:
                at = next(i for i in reversed(range(len(self._spans))) if self._spans[i] is note)
                self._spans.insert(at + 1, ["markup", len(blanks), flow])
                if at < self._noted:
                    self._noted += 1
                break

    def _may_call(self, name: str) -> bool:
        """Whether a doubtful start may call this tool."""
        settings = self._settings
        if settings.recovery == "lenient":
            return True
        reader = self._reader
        if name in self._dialect.no_call and settings.recovery != "strict":
            return True
        bare = self._dialect.bare and self._reader_term == "BARE_JSON_CALL"
        native = any(s.native for s in self._starts)
        if settings.recovery == "strict" and not (bare or native):
            return False
        if settings.tools is None:
            return native or (bare and reader is not None and bool(reader.has_arguments))
        return settings.tools.meant(name) is not None

    def _may_doubt(self, bare_json: bool) -> bool:
        """Whether any doubtful start can succeed at all; if not, it is text at once.

        Args:
            bare_json: it is one that families without markers write by nature.
        """
        settings = self._settings
        if settings.recovery == "lenient":
            return True
        if settings.recovery == "strict" and not (bare_json and self._dialect.bare and not self._flow.begun):
            return False  # all that a template writes without a marker is the whole answer
        if settings.tools is None:
            return bare_json and self._dialect.bare
        return bool(settings.tools.names)

    def _announce(self) -> bool:
        """The open call is certain, if its name may be called; False leaves everything as it is."""
        call = self._call
        assert call is not None
        starts = self._starts
        if not call.name or (any(s.doubtful for s in starts) and not self._may_call(call.name)):
            return False
        notes: list[Diagnostic] = []
        parts: list[Any] = []
        if starts:
            flow = starts[0].flow
            notes = [d for s in starts for d in s.diagnostics]
            parts = [s.span for s in self._segments if s.span is not None and not s.failed]
            failed = [s for s in self._segments if s.failed]
            fence = starts[0].fence
            self._unopened = starts[0].unopened
            if self._unopened:
                offset = max(starts[0].offset, 0)
                notes.insert(0, Diagnostic("missing-opener", "a call without its opener", offset, offset))
            starts.clear()
            self._segments.clear()
            if failed:
                self._give_back(failed, flow)
            if fence:
                self._fence = fence
            if flow is self._reasoning and self._fed_channel == "content":
                self._drop_blanks(flow)
                self._reasoning_open = True
        if self._home is not None and self._home[0].adopts:
            self._home = None  # the text's own dialect is found
        if not self._content.begun:
            self._drop_blanks(self._content)
        self._may_reclassify = False
        tools = self._settings.tools
        meant = tools.meant(call.name) if tools is not None else None
        if meant is not None and meant != call.name:
            message = f"the tool {meant!r} was called {call.name!r}"
            notes.append(Diagnostic("renamed-tool", message, call.at, call.at))
            call.name = meant
        call.index = self._index
        if call.name in self._dialect.no_call and meant is None:
            self._silence(call, parts, notes)
            return True
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
        if tools is not None and meant is None:
            self._diagnose("undeclared-tool", f"no tool {call.name!r} was declared", call.at, call.at)
        return True

    def _silence(self, call: OpenCall, parts: list[Any], notes: list[Diagnostic]) -> None:
        """The open call says that nothing is called: it is read to its end, and all of it is markup."""
        call.silent = True
        for span in parts:
            if span[0] in CALL_PARTS:
                span[0], span[2] = "markup", None
        for note in notes:
            self._report(note)
        self._diagnose("no-call", f"{call.name!r} says that no tool is called", call.at, call.at)

    def _end_call(self, complete: bool, closing: str = "") -> None:
        """The open, announced call is over. `closing` makes JSON of what a cut call gave out."""
        call = self._call
        assert call is not None and call.index >= 0
        if call.silent:
            self._call = self._reader = None
            self._after_call = True
            self._owed.clear()
            return
        if call.sealed:
            complete, closing = True, ""
        elif self._reader is None:
            if complete:
                self._delta(call.closing())
            else:
                closing += call.closing()
        if complete and call.sealed and all(d.code != "duplicate-key" for d in call.diagnostics):
            for key in duplicate_keys(call.short_text()):
                self._diagnose("duplicate-key", f"the key {key!r} comes twice", call.at, call.at)
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
