"""Free text: content and reasoning, and every way in which a call may begin in them.

Theory. Free text runs to the next place where a marker may stand; there the automaton decides. What stands in
code is talk about markup: a call in it needs a declared name, and so does whatever has no marker of its own
(a bare object, a bare name). A fence line is held until it is clear whether a call stands in the fence, which
is then its frame. A closer of reasoning without an opener says that the text before it was reasoning.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..arguments.json_call import BARE_CALL
from ..events import Reclassified
from .automaton import MORE
from .between import STOPS, Between
from .boundary import WINDOW
from .call import OpenCall
from .flow import Flow
from .state import BLANKS, FENCE, Dialect
from .table import Node, Scan, start_node
from .values import is_cut

__all__ = ["FreeText"]

_FENCE_LINE: Final = re.compile(r"(`*)([^`\n]{0,48})(\n?)")
_LIST_OF_OBJECTS: Final = re.compile(r".\s*\{")
_STUMP: Final = re.compile(r"<[|｜].{6}|\]<\].{5}", re.DOTALL)
"""So begins a special token and what belongs to it: where the text ends within such a marker, that is no accident."""
# a name, its parenthesis, and what may stand behind it; every part may be missing at the end of the text
_PY_CALL: Final = re.compile(
    r"([^\W\d][\w.\-]{0,255})?+\s{0,8}+(\()?+\s{0,64}+([^\W\d]\w{0,63}+\s{0,8}+)?+(\)|=(?=[^=]))?+=?"
)
_WORD: Final = re.compile(r"\w")
_BRACKET: Final = re.compile(r"[^\w\s=.]")
_AROUND: Final = re.compile(r"""["']\s*:\s*(?:\[\s*)?\Z|[}\]]\s*,\s*\Z""")
_TOOL_FENCES: Final = frozenset(("tool_call", "tool_code"))
_FENCE_INFOS: Final = frozenset(("", "json", "tool_call", "tool_code"))

# What the helpers of `_text_phase` return: the position to go on at, in whatever phase they chose; or,
# negative, that the text up to there is plain; with `_wait` set, that more text is needed.


class FreeText(Between):
    """The phases TEXT and FENCE."""

    __slots__ = ()

    def _text_phase(self, buf: str, pos: int, final: bool) -> int:
        node = self._node
        assert node is not None
        if pos == len(buf):
            self._wait = True
            return pos
        if self._after_json and buf[pos] in "}]":
            self._take(buf[pos], "markup")
            self._diagnose(
                "extra-closer", f"{buf[pos]!r} closes nothing", self._base + pos, self._base + pos + 1
            )
            return pos + 1
        self._after_json = False
        flow = self._flow
        if (
            (node.lists_calls if self._after_call else not flow.begun)
            and "JSON_CALL" not in node.readers
            and (node.capture in ("DECLARED_NAME", "KNOWN_NAME") or node.first_openers)
        ):
            blanks = BLANKS.match(buf, pos)
            assert blanks is not None
            if blanks.end() > pos:
                self._text(buf[pos : blanks.end()])
                return blanks.end()
            known = node.capture == "KNOWN_NAME"
            if self._calls_allowed() and (known or self._may_doubt(False)) and flow is self._content:
                opener = node.first_openers.get(buf[pos])
                longer = None
                if opener is not None or buf[pos] in node.text_scan.first:
                    longer = node.text_scan.automaton.match(buf, pos, final)
                if longer is MORE:
                    self._wait = True
                    return pos
                if longer is not None and longer[1] - pos > 1:
                    opener = None
                if opener is not None and not _LIST_OF_OBJECTS.match(buf, pos):
                    return self._after_first(self._opener(opener, buf, pos, pos + 1, False, final), buf, pos)
                if node.capture and longer is None and not STOPS["NAME"].match(buf, pos):
                    self._open_start(node.capture, self._base + pos, not known, quiet=True)
                    self._starts[-1].unopened = (
                        node.capture in node.grammar.bare_openers and not self._dialect.bare
                    )
                    self._begin_capture(node.capture)
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
                if match is None and final and self._is_stump(scan, buf, here):
                    self._text(buf[pos:here])
                    self._take(buf[here:], "markup")
                    self._wait = True
                    return len(buf)
            if match is None and ch not in "`{":
                at = here + 1
                continue
            if here > pos:
                self._text(buf[pos:here])
                pos = here
                if node is not self._node:
                    return pos  # what may stand here is another now
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

    def _is_stump(self, scan: Scan, buf: str, pos: int) -> bool:
        """Whether the text ends in a marker that begins with a special token, outside of code."""
        return (
            _STUMP.match(buf, pos) is not None
            and is_cut(scan, None, buf, pos)
            and not self._flow.code().in_code()
        )

    def _after_first(self, new: int, buf: str, pos: int) -> int:
        """What `_opener` said of the answer's first character, as a position to go on at."""
        if new < 0 and not self._wait:
            self._text(buf[pos : pos + 1])
            return pos + 1
        return max(new, pos)

    def _backticks(self, buf: str, pos: int, final: bool) -> int:
        line = _FENCE_LINE.match(buf, pos)
        assert line is not None
        run = len(line[1])
        code = self._flow.code()
        if self._fence and self._after_call and code.at_line_start():
            if run < WINDOW and line.end(1) == len(buf) and not final:
                self._wait = True
                return -pos
            closer = line[1][:WINDOW]
            if len(closer) >= self._fence:
                self._take(closer, "markup")  # closes a fence that held only calls
                self._fence = 0
                return pos + len(closer)
        if not code.fence_may_open():
            return -line.end(1)
        if run < 3:
            if line.end(1) == len(buf) and not final:
                self._wait = True
                return -pos
            return -line.end(1)
        if not self._may_doubt(True) or not self._calls_allowed() or self._flow is not self._content:
            return -line.end(1)
        self._open_start("FENCE", self._base + pos, True, fence=run)
        self._take(line[1], "markup")
        self._phase = FENCE
        return line.end(1)

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
            if not self._may_doubt(True) or self._flow is not self._content:
                return -pos - 1
            if self._in_code() or not self._place_for_bare():
                return -pos - 1
        self._open_start(term, self._base + pos, bare, quiet=True)
        self._starts[-1].unopened = bare and not self._dialect.bare
        self._begin_reader(term)
        return pos

    def _alone(self, buf: str, pos: int, final: bool) -> str | None:
        """A forced call's object: the tool's name if it holds the arguments alone, "" if name and arguments;
        None if more text must tell.
        """
        settings = self._settings
        names = settings.tools.names if settings.tools is not None else ()
        name = (
            settings.tool_choice[1:]
            if settings.tool_choice.startswith("=")
            else "".join(names)
            if len(names) == 1
            else ""
        )
        match = BARE_CALL.match(buf, pos)
        if not name:
            return ""
        if match is None:
            return name
        if match[1] is None:
            return name if final or match.end() < len(buf) else None
        tool = self._tool(name)
        key = match[0][1:-1].strip(" \t\r\n\"'")
        return name if tool is not None and key in tool.parameter_names else ""

    def _text_marker(self, terminal: str, buf: str, pos: int, end: int, final: bool) -> int:
        """A marker in free text."""
        node, flow = self._node, self._flow
        assert node is not None
        in_code = self._in_code()
        offset = self._base + pos
        if terminal == "END_TURN" or terminal == "END_TEXT":
            if in_code or terminal == "END_TEXT":
                goes_on = self._line_goes_on(node, buf, end, final)
                if goes_on is None:
                    self._wait = True
                    return -pos
                if goes_on or (in_code and end < len(buf)):
                    return -end
            self._pass(node.path_to(terminal) or (), terminal, buf[pos:end])
            self._turn_ended = True
            self._turn_at = self._base + end
            return end
        if terminal == "ROLE":
            first = not self._content.begun and not self._reasoned and not self._index
            if not self._turn_ended and not first:
                return -end
            self._role_played = self._turn_ended
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
            elif self._reasoning_open:
                self._reasoning_open = False
                if node.shift(terminal) is not None:
                    self._shift(terminal)
                    self._enter()
            else:
                self._diagnose(
                    "stray-closer", f"{buf[pos:end].strip()} closes nothing", offset, self._base + end
                )
            return end
        if node.grammar.watch is not None and terminal in node.grammar.watch:
            return self._switch(terminal, buf, pos, end, in_code, final)
        edge = node.shift(terminal)
        if edge is not None and "stray" in edge.after:
            return self._stray_closer(terminal, buf, pos, end, final, in_code)
        path = node.path_to(terminal) or ()
        for t in path:  # a header ends the reasoning whose closer is missing
            node = node.shift(t).target  # type: ignore[union-attr]
        edge = node.shift(terminal)
        if terminal.startswith("END_") or (edge is not None and edge.target.text is not None):
            if in_code:
                return -end
            # markup of the text itself, such as a message's header
            if not flow.begun and not terminal.startswith("END_"):
                self._drop_blanks(flow)
            self._pass(path, terminal, buf[pos:end])
            self._note_noise(terminal, offset, self._base + end)
            return end
        return self._opener(terminal, buf, pos, end, in_code or bool(self._fence), final)

    @staticmethod
    def _line_goes_on(node: Node, buf: str, pos: int, final: bool) -> bool | None:
        """Whether anything but a marker follows on this line; None if more text must tell."""
        limit = min(len(buf), pos + WINDOW)
        here = pos
        while here < limit and buf[here].isspace() and buf[here] != "\n":
            here += 1
        if here == limit:
            return None if here < pos + WINDOW and not final else False
        if buf[here] == "\n":
            return False
        match = node.text_scan.automaton.match(buf, here, final)
        return None if match is MORE else match is None

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
        if self._node is not None:
            forced = self._dialect.forced
            self._node = start_node(self._node.grammar, False, forced)  # the answer begins here
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
        if not self._unopened:  # else it closes what had no opener, which was said already
            offset = self._base + pos
            self._diagnose("stray-closer", f"{buf[pos:end]} closes nothing", offset, self._base + end)
        return end

    def _opener(self, terminal: str, buf: str, pos: int, end: int, in_code: bool, final: bool) -> int:
        """A marker that may begin a call."""
        node = self._node
        assert node is not None
        path = node.path_to(terminal)
        if path is None or not self._calls_allowed():
            self._owe(terminal)
            return -end
        probe = node
        for t in (*path, terminal):
            edge = probe.shift(t)
            assert edge is not None
            probe = edge.target
        quiet = terminal == "SEPARATOR" or probe.capture == "KNOWN_NAME"
        bare_json = "BARE_JSON_CALL" in probe.accepts
        named = probe.capture == "DECLARED_NAME"
        native = False
        if end - pos == 1 and (bare_json or named or "JSON_CALL" in probe.accepts):
            follow = BLANKS.match(buf, end, end + WINDOW)
            assert follow is not None
            if follow.end() == len(buf) and not final and follow.end() < end + WINDOW:
                self._wait = True
                return -pos
            ch = buf[follow.end() : follow.end() + 1]
            if named and probe.lists_calls and ch != "{":
                listed = self._lists_call(buf, follow.end(), final)
                if listed is None:
                    self._wait = True
                    return -pos
                named = listed and not self._in_code() and self._place_for_bare()
                # `x[f(y=1)]` is a subscript
                native = named and self._dialect.bare and not _WORD.match(self._flow.tail(1))
            else:
                named = (
                    named and not self._flow.begun and bool(ch) and ch != "{" and not STOPS["NAME"].match(ch)
                )
            if ch != "{" and not named:
                return -end
            bare_json = bare_json and ch == "{"
        elif named and _WORD.match(buf, pos) and (self._in_code() or _WORD.match(self._flow.tail(1))):
            return -end  # a word is hardly a marker, and a part of one is none
        doubtful = in_code or self._home is not None or named or (bare_json and not quiet)
        if doubtful:
            if not self._may_doubt(bare_json or native) or self._flow is not self._content:
                self._owe(terminal, named)
                return -end
            if bare_json and (in_code or not self._place_for_bare()):
                return -end
        self._open_start(terminal, self._base + pos, doubtful, quiet)
        self._starts[-1].unopened = terminal in node.grammar.bare_openers and (
            named or (bare_json and not self._dialect.bare)
        )
        self._starts[-1].native = native
        self._pass(path, terminal, buf[pos:end])
        return end

    def _lists_call(self, buf: str, pos: int, final: bool) -> bool | None:
        """Whether a Python call stands at `buf[pos]`, first in a list without a marker; None if more text must tell.

        A declared name is enough; where no tools are known the parenthesis must hold nothing, or a named argument.
        """
        tools, limit = self._settings.tools, pos + self._settings.max_held
        match = _PY_CALL.match(buf, pos)
        assert match is not None
        if match[1] and match[2] and tools is not None and self._settings.recovery != "lenient":
            return match.end(2) <= limit and tools.meant(match[1]) is not None
        if match.end() > limit:
            return False
        if match.end() == len(buf) and not final and match[4] is None:
            return None
        return match[1] is not None and match[2] is not None and match[4] is not None

    def _pass(self, path: tuple[str, ...], terminal: str, marker: str) -> None:
        """Follow the table over what the model may leave out, and over the marker."""
        for t in path:
            self._shift(t)
        node = self._node
        assert node is not None
        self._take(marker, "name" if terminal in node.grammar.implied else "markup")
        self._shift(terminal)
        if self._starts:
            self._imply(terminal, self._starts[-1].offset)
        self._enter()

    def _switch(self, terminal: str, buf: str, pos: int, end: int, in_code: bool, final: bool) -> int:
        """An opener of another dialect: try it, as that dialect, and go back if it comes to nothing."""
        node = self._node
        assert node is not None and node.grammar.watch is not None
        if self._flow.begun and not _BRACKET.search(buf, pos, end):
            return -end
        kind = node.grammar.watch.kind(terminal)
        if kind == "end":
            return self._foreign_end(buf, pos, end, final)
        herald = kind == "herald"
        if not herald and not self._calls_allowed():
            return -end
        target: Dialect = node.grammar.watch.target(terminal, self._dialect.forced)
        assert target.grammar is not None
        inside = self._flow is self._reasoning and self._fed_channel == "content"
        home = (self._dialect, node)
        self._dialect = target
        self._node = start_node(target.grammar, inside and target.grammar.has_reasoning)
        own = terminal.split(":", 1)[1]
        # a dialect that has none of its own calls adopts this one; to any other it is foreign, and doubtful
        self._home = None if home[0].adopts else home
        if herald:  # no call, but only this family writes so
            new = self._text_marker(own, buf, pos, end, final)
            if new < 0:
                self._dialect, self._node = home
            return new
        new = self._opener(own, buf, pos, end, in_code, final)
        self._home = home
        if new < 0:
            self._go_home()
        return new

    def _foreign_end(self, buf: str, pos: int, end: int, final: bool) -> int:
        """An end-of-turn token of another family: markup where the text ends with it."""
        blanks = BLANKS.match(buf, end, end + WINDOW)
        assert blanks is not None
        if blanks.end() < len(buf):
            return -end
        if not final:
            self._wait = True
            return -pos
        self._take(buf[pos:end], "markup")
        if not self._dialect.adopts:
            self._diagnose(
                "foreign-end",
                f"{buf[pos:end]} ends no turn of this family",
                self._base + pos,
                self._base + end,
            )
        return end

    def _place_for_bare(self) -> bool:
        """Whether a call without a marker may begin here: where an answer or line does, and in no JSON value."""
        flow = self._flow
        code = flow.code()
        if code.depth or _AROUND.search(flow.tail(80)):
            return False
        return self._dialect.bare or code.at_line_start() or not flow.begun

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
        blanks = BLANKS.match(buf, pos)
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
        watch = node.grammar.watch
        if match is not None and watch is not None and match[0] in watch:
            if watch.kind(match[0]) not in ("call", "bare"):
                self._fail(self._base + pos)
                return pos
            target: Dialect = watch.target(match[0], self._dialect.forced)
            assert target.grammar is not None
            self._home, self._dialect = (self._dialect, start.node), target
            node = self._node = start_node(target.grammar, False)
            match = (match[0].split(":", 1)[1], match[1])
        if match is not None and not match[0].startswith(("END_", "THINK", "ROLE")):
            path = node.path_to(match[0])
            probe = node.shift(match[0])
            word = match[1] - pos == 1 or _WORD.match(buf, pos) is not None
            bare = probe is not None and (word or "BARE_JSON_CALL" in probe.target.accepts)
            listed: bool | None = True
            if probe is not None and probe.target.lists_calls and match[1] - pos == 1:
                behind = BLANKS.match(buf, match[1], match[1] + WINDOW)
                assert behind is not None
                listed = buf.startswith("{", behind.end()) or self._lists_call(buf, behind.end(), final)
                if listed is None:
                    self._wait = True
                    return pos
                start.native = self._dialect.bare
            if path is not None and listed and (not bare or self._capture in _FENCE_INFOS):
                start.native = start.native or (self._dialect.bare and self._capture in _TOOL_FENCES)
                self._pass(path, match[0], buf[pos : match[1]])
                return match[1]
        if buf[pos] == "{" and node.readers and self._capture in _FENCE_INFOS:
            self._begin_reader(node.readers[0])
            return pos
        if node.lists_calls and self._capture in _FENCE_INFOS and not STOPS["NAME"].match(buf, pos):
            start.native = self._dialect.bare and self._capture in _TOOL_FENCES
            self._begin_capture("DECLARED_NAME")
            return pos
        self._fail(self._base + pos)
        return pos
