"""Following the table: markers, what is mended before them, and what is no part of a call.

Theory. A marker that the table accepts is followed. One that it does not accept is mended by the cheapest
closers that lead to it (`Node.path_to`), if any do. Else it is unexpected: a claim fails there; inside an
announced call it is junk if a marker of the family follows soon, and if not, the call's closers are missing
and text goes on; behind the calls of an envelope the envelope's closer is missing.
"""

from __future__ import annotations

from .automaton import MORE
from .boundary import WINDOW
from .call import OpenCall
from .state import CHOICE, TEXT, TIGHT, VALUE
from .table import CAPTURES, TURN_ENDS, VALUES
from .values import Values

__all__ = ["Moves"]


class Moves(Values):
    """Shifts terminals, chooses phases, recovers."""

    __slots__ = ()

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

    def _imply(self, terminal: str, offset: int) -> None:
        """A marker was read that may say by itself which tool is called."""
        assert self._node is not None
        name = self._node.grammar.implied.get(terminal)
        if name is not None and self._call is None:
            call = self._call = OpenCall(self._settings.collect)
            call.name, call.at = name, offset
            call.depth = len(self._starts[-1].node.stack) if self._starts else 0

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
            if node.nests or node.value == "ONLY_VALUE":
                self._phase = CHOICE
            else:
                self._begin_value()
                self._phase = VALUE
        elif node.text is not None and not self._starts:
            self._phase = TEXT
            self._go_home()
            self._enter_flow()
        else:
            self._phase = TIGHT

    def _go_home(self) -> None:
        """Back to the own dialect, after a call in another one or a start of one that failed."""
        if self._home is not None:
            self._dialect, self._node = self._home
            self._home = None

    def _marker(self, terminal: str, buf: str, pos: int, end: int, final: bool) -> int:
        """A marker between markers, at `buf[pos:end]`."""
        node = self._node
        assert node is not None
        call = self._call
        if call is not None and call.path and terminal.startswith("END_"):
            for _ in range(call.members_within(buf[pos:end])):
                if node.shift(terminal) is not None:
                    self._mend((terminal,), pos)
                    node = self._node
                    assert node is not None
        path = () if node.shift(terminal) is not None else node.path_to(terminal)
        start = self._starts[-1] if self._starts else None
        if (
            start is not None
            and terminal == f"END_{start.terminal}"
            and start.empty
            and len(self._starts) == 1
            and call is None
        ):
            self._take(buf[pos:end], "markup")
            self._drop_claim()
            return end
        if terminal in TURN_ENDS and (call is not None or (start is not None and start.empty)):
            return self._turn_ends_call(pos)
        if start is not None and terminal == start.terminal and path is None and start.empty and call is None:
            self._take(buf[pos:end], "markup")  # the opener, twice
            return end
        if path is None and call is not None and call.index >= 0:
            back = node.back_to(terminal, call.depth)
            if back is None or (back.keys == node.keys and not terminal.startswith("END_")):
                return self._skip_junk(buf, pos, final, end)
            if back.keys < node.keys:
                call.key = None  # a member that was begun and has no value
            node = self._node = back
            path = node.path_to(terminal)
            self._diagnose("junk", "half a member", self._base + pos, self._base + pos)
        if path is None:
            return self._unexpected(buf, pos, final)
        if call is not None and call.index < 0:
            if terminal == "END_THINK" and node.entered_by in CAPTURES:
                self._fail(self._base + pos)  # a thought about the marker, and a word behind it
                return pos
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
        again = not self._starts and node.grammar.begins_call(
            terminal
        )  # an envelope whose forerunner is not closed
        if self._call is None and (terminal in node.grammar.openers or again):
            self._open_start(terminal, self._base + pos, False)
        elif start is not None:
            start.empty = False
        self._take(buf[pos:end], "name" if terminal in node.grammar.implied else "markup")
        self._shift(terminal)
        self._imply(terminal, self._base + pos)
        if self._call is not None:
            self._call.framed = buf[end - 1] in "\r\n"
        elif len(self._starts) == 1 and self._node is not None and self._node.text is not None:
            # the envelope was closed, and no call stood in it
            if any(segment.failed for segment in self._segments):
                self._fail(self._base + end)
            else:
                self._drop_claim()
            return end
        self._enter()
        if self._phase == TEXT:
            self._note_noise(terminal, self._base + pos, self._base + end)
        return end

    def _turn_ends_call(self, pos: int) -> int:
        """The turn ends within a call or the beginning of one; the marker itself is read as one of the text."""
        call, node = self._call, self._node
        assert node is not None
        self._at = self._base + pos
        if call is not None and call.index < 0:
            doubtful = any(s.doubtful for s in self._starts)
            if not call.name or doubtful or not self._announce():
                self._fail(self._base + pos)
                return pos
            self._end_call(False)
        elif call is not None:
            self._end_call(call.members > 0 and call.key is None)
        elif self._starts:
            self._drop_claim()
            return pos
        self._node = node.unwound
        self._enter()
        return pos

    def _drop_claim(self) -> None:
        """An envelope that holds nothing is markup."""
        self._node = self._starts[0].node
        self._starts.clear()
        self._segments.clear()
        self._after_call = True
        self._enter()

    def _mend(self, path: tuple[str, ...], pos: int) -> None:
        """Insert what the model left out before `pos`."""
        offset = self._base + pos
        for t in path:
            self._shift(t)
        # arguments that are not there are none, which is no fault
        left_out = [t for t in path if t not in ("END_THINK", "JSON_ARGUMENTS", "TOKEN_ARGUMENTS")]
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
            if node.shift("END_NAME") is not None and self._call.key is not None:
                self._mend(("END_NAME",), pos)  # `<parameter=city` and the value on the next line
                self._call.framed = True
                self._enter()
                return pos
            return self._skip_junk(buf, pos, final)
        if buf[pos] in ")}]" and self._after_json:
            self._take(buf[pos], "markup")
            self._diagnose(
                "extra-closer", f"{buf[pos]!r} closes nothing", self._base + pos, self._base + pos + 1
            )
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
        found = node.tight_scan.find(buf, at, limit - 1, min(limit + 32, len(buf)), final)
        if found is not None:
            at, match = found
            if match is MORE:
                self._wait = True
                return pos
            self._take(buf[pos:at], "markup")
            self._diagnose("junk", f"{buf[pos:at]!r} is no part of a call", self._base + pos, self._base + at)
            return at
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
