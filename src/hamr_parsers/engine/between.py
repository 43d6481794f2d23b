"""Between markers: names and keys, argument readers, junk.

Theory. Where no free text may stand, blanks are framing, and the next character decides: a marker (the
automaton of the place says which), the first character of a reader's value, or that of a name. A name is held
until its end is seen; a reader has the text until its value is over, and says itself what it may hold.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..arguments.json_call import JsonCallReader
from ..arguments.keyed_call import KeyedCallReader
from ..arguments.line_reader import LineArgumentsReader
from ..arguments.object_reader import ObjectReader
from ..arguments.python_reader import PythonArgumentsReader
from ..arguments.token_reader import TokenArgumentsReader
from .automaton import MAX_MARKER, MORE
from .boundary import boundary
from .call import OpenCall
from .moves import Moves
from .state import BLANKS, CAPTURE, JUNK, READER, TIGHT
from .table import CALL_OBJECTS, CAPTURES, Scan
from .values import is_cut

__all__ = ["Between"]

_NAME_SIZE: Final = 256
STOPS: Final = {
    "NAME": re.compile(r"""[\s"'`<>{}\[\]()=,;|]"""),
    "KEY": re.compile(r"""[\n"'<>]"""),
    # in an attribute, whose quotes are escaped
    "XML NAME": re.compile(r"""[\s"'(){}\[\]]"""),
    "XML KEY": re.compile(r"""[\n"']"""),
}
_FIRST_KEY: Final = re.compile(r"""\{\s{0,64}(?:["']([^"'\\]{0,256})(?:(["'])|\Z)|\Z)""")
_WORD: Final = re.compile(r"\w")
_JSON_START: Final = frozenset("{[\"'-0123456789ntfNTF")


class Between(Moves):
    """The phases TIGHT, CAPTURE, READER and JUNK."""

    __slots__ = ()

    def _tight_phase(self, buf: str, pos: int, final: bool) -> int:
        node = self._node
        assert node is not None
        if node.leading and pos < len(buf):
            automaton = node.grammar.automaton(node.leading)
            match = automaton.match(buf, pos, final)
            if match is MORE:
                self._wait = True
                return pos
            if match is not None:
                return self._marker(match[0], buf, pos, match[1], final)
            if buf[pos].isspace():  # the next one may begin it
                self._take(buf[pos], "markup")
                return pos + 1
        blanks = BLANKS.match(buf, pos)
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
            if final and is_cut(scan, match, buf, pos):
                self._take(buf[pos:], "markup")
                self._wait = True
                return len(buf)
            if match is not None:
                return self._marker(match[0], buf, pos, match[1], final)
        for term in node.readers:
            # behind a bare name only a brace begins arguments: `[TOOL_CALLS]But then` does not
            bare = node.entered_by in CAPTURES or node.grammar.literals.get(node.entered_by, "").isspace()
            plain = bare or node.capture is not None or term != "JSON_ARGUMENTS"
            starts = "{" if plain else _JSON_START
            if ch == "{" and self._call is not None and not self._call.name:
                named = self._name_by_key(buf, pos, final)
                if named is None:
                    self._wait = True
                    return pos
                if not named:
                    break
            if (
                term in ("PY_ARGUMENTS", "LINE_ARGUMENTS")
                or (term == "TOKEN_ARGUMENTS" and ch == "(")
                or ch in starts
            ):
                return self._begin_arguments(term, pos)
        capture = node.capture
        if capture is not None and not STOPS["KEY" if capture == "KEY" else "NAME"].match(ch):
            # a name behind its block's opener is no start of its own: where it fails, so does the block
            named = capture in node.grammar.openers and (capture == "DECLARED_NAME" or not self._starts)
            if self._call is None and named:
                # in an envelope that a call has proven, a further name is as good as that one
                doubtful = capture == "DECLARED_NAME" and bool(self._starts)
                self._open_start(capture, self._base + pos, doubtful)
            self._begin_capture(capture)
            return pos
        return self._unexpected(buf, pos, final)

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
        stops = ("XML " if node.grammar.entities else "") + ("KEY" if term == "KEY" else "NAME")
        stop = STOPS[stops].search(buf, pos, limit)
        end = stop.start() if stop else limit
        ended = stop is not None
        found = self._in_name(after.tight_scan, buf, pos + 1, end, final)
        if found is not None:
            if found[1] is MORE:
                self._wait = True
                return pos
            end, ended = found[0], True
        if not ended and end - pos <= _NAME_SIZE and not final:
            self._wait = True
            return pos
        text = buf[pos:end].strip()
        open_end = not ended and (after.shift("END_NAME") is not None or not self._is_known(text))
        if not text or end - pos > _NAME_SIZE or open_end:
            self._phase = TIGHT
            if self._starts and len(self._segments) == self._starts[-1].segment and end > pos:
                self._take(buf[pos:end], "name")  # all that the start is: it must not begin again
                self._fail(self._base + end)
                return end
            if end == len(buf) and final and self._call is not None and self._call.index >= 0:
                self._take(buf[pos:], "markup")  # a key that was cut off
                self._wait = True
                return end
            return self._unexpected(buf, pos, final)
        call = self._call
        if term == "KEY" and call is not None and len(call.path) >= self._settings.max_depth:
            self._take(buf[pos:end], "key")
            self._shift(term)
            self._too_deep(self._base + pos, self._base + end)
            return end
        if not self._name(term, node.grammar.decode(text), self._base + pos):
            self._take(buf[pos:end], "name")
            self._fail(self._base + end)
            return end
        self._take(buf[pos:end], {"KEY": "key", "CALL_ID": "id"}.get(term, "name"))
        if term == "NAME" and node.shift("DECLARED_NAME") is not None and self._may_call(text):
            term = "DECLARED_NAME"
        self._shift(term)
        self._enter()
        return end

    def _too_deep(self, start: int, end: int) -> None:
        """A member stands deeper than any may: the call is over, and what is left of it is passed over."""
        call, node = self._call, self._node
        assert call is not None and node is not None
        self._node = node.last_in_call(call.depth)
        self._at = end
        self._diagnose("too-deep", f"nested deeper than {self._settings.max_depth}", start, end)
        self._end_call(False)
        self._phase = JUNK
        self._in_call = True

    @staticmethod
    def _in_name(scan: Scan, buf: str, at: int, last: int, final: bool) -> tuple[int, Any] | None:
        """The first marker that ends a name, at `last` at the latest. One that begins with a letter does not within a
        word: `json` in `parse_json` is a part of the name."""
        limit = min(len(buf), last + MAX_MARKER)
        while (found := scan.find(buf, at, last, limit, final)) is not None:
            at = found[0]
            if not (_WORD.match(buf[at]) and _WORD.match(buf[at - 1])):
                return found
            at += 1
        return None

    def _is_known(self, name: str) -> bool:
        """Whether a name that nothing but the end of the text ends may be whole: it is that of a tool, or no tools are
        known and nothing but a name may stand here."""
        tools, node = self._settings.tools, self._node
        if tools is None:
            return node is not None and node.shift("DECLARED_NAME") is None
        return tools.meant(name) is not None

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
            tools = self._settings.tools
            if text.isdigit() and tools is not None and not tools.declared(text):
                call.name = next(iter(tools.names)) if len(tools.names) == 1 else ""  # see `_name_by_key`
                return bool(tools.names)
        else:
            call.name = text
        if term == "KNOWN_NAME":
            settings = self._settings
            if settings.tools is not None and settings.recovery != "lenient":
                return settings.tools.meant(text) is not None
        if text.isdigit():  # `[TOOL_CALLS] 42` is an answer
            return self._settings.tools is not None and bool(self._settings.tools.declared(text))
        return not any(s.doubtful for s in self._starts) or self._may_call(call.name)

    def _name_by_key(self, buf: str, pos: int, final: bool) -> bool | None:
        """A counter stands where the name should (`0`): is one tool the only one with a parameter as the first key?

        None if more text must tell.
        """
        call, tools = self._call, self._settings.tools
        assert call is not None
        match = _FIRST_KEY.match(buf, pos)
        if match is None or tools is None:
            return False
        if match[2] is None:
            return False if final or match.end() < len(buf) else None
        found = [name for name in tools.names if match[1] in tools.tool(name).parameter_names]
        if len(found) == 1:
            call.name = found[0]
        return len(found) == 1

    def _meanings(self) -> frozenset[str]:
        assert self._node is not None
        return self._node.grammar.meanings

    def _is_array(self, path: tuple[str, ...], key: str) -> bool:
        """Whether a member that holds members is an array: as its schema says, else if they are called `item`."""
        call = self._call
        tool = self._tool(call.name) if call is not None else None
        schema = tool.at(path) if tool is not None else None
        if schema is not None and schema.array != schema.object:
            return bool(schema.array)
        return key == "item"

    def _begin_arguments(self, term: str, pos: int) -> int:
        if term in CALL_OBJECTS:
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
        self._noted = len(self._spans) if self._spans is not None else 0
        if term in CALL_OBJECTS:
            self._call = OpenCall(self._settings.collect)
        if term == "KEYED_JSON_CALL":
            edge = node.shift(term)
            several = edge is not None and edge.target.shift(term) is not None
            self._reader = KeyedCallReader(limit, settings.max_depth, settings.max_held, several)
        elif term in CALL_OBJECTS:
            self._reader = JsonCallReader(
                boundary=limit,
                max_depth=settings.max_depth,
                bare=term == "BARE_JSON_CALL",
                max_held=settings.max_held,
            )
        else:
            assert self._call is not None
            tool = self._tool(self._call.name)
            if term == "JSON_ARGUMENTS":
                self._reader = ObjectReader(
                    boundary=limit,
                    max_depth=settings.max_depth,
                    wrap_key=(tool.only_required if tool else None) or "input",
                )
            elif term == "TOKEN_ARGUMENTS":
                self._reader = TokenArgumentsReader(
                    node.grammar.literals["QUOTE"],
                    limit,
                    settings.max_depth,
                    tool,
                    settings.max_held,
                    coerce=self._dialect.quoted,
                )
            elif term == "LINE_ARGUMENTS":
                literals = node.grammar.literals
                self._reader = LineArgumentsReader(
                    literals["COLON"],
                    literals["NEWLINE"],
                    limit,
                    self._dialect.untyped,
                    settings.max_depth,
                    tool,
                    settings.max_held,
                )
            else:
                self._reader = PythonArgumentsReader(
                    boundary=limit,
                    max_depth=settings.max_depth,
                    schema=tool,
                    coerce=True,
                    unions=self._dialect.quoted,
                    max_held=settings.max_held,
                )
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
                tool = self._tool(call.name)
                reader.wrap_key = (tool.only_required if tool else None) or "input"
                # a word without quotes is a name only if something else says so; the text's end says nothing
                lacking = reader.unquoted and not (tool or reader.has_arguments)
                cut = final and not reader.has_arguments and not buf[new:].strip()
                if lacking or (cut and self._starts[0].doubtful) or not self._announce():
                    self._fail(self._base + new)
                return new
            if status == "key":
                tool = self._tool(reader.name)
                reader.parameters = tool.parameter_names if tool else ()
                return new
            if status == "failed" or (final and not reader.done):
                self._fail(self._base + new)
                return new
            if not reader.done:
                self._wait = True
                return new
        closing = None
        if final and reader.done and not reader.cut and reader.recovered and self._final_reason == "length":
            # only the text's end decided how to mend, and it was cut off: what follows from that is not given out
            closing = "".join(item for item in reader.out if isinstance(item, str)) or None
            if closing is not None:
                reader.out[:] = [item for item in reader.out if not isinstance(item, str)]
        self._drain(reader)
        if closing is not None:
            reader.cut, reader.closing = True, closing
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
        again = isinstance(reader, KeyedCallReader) and reader.again
        end = reader.key_at if again else self._base + pos
        if self._spans is not None and isinstance(reader, JsonCallReader):
            self._note_parts(self._spans, reader.marks, self._base + pos, end)
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
        if again:
            self._go_on_as_next(reader, end, self._base + pos - end)
        elif reader.cut and not final:
            self._phase = JUNK
            self._in_call = "call" not in edge.after

    def _go_on_as_next(self, reader: KeyedCallReader, at: int, read: int) -> None:
        """The object that was read holds another call, whose key begins at `at`; `read` characters of it were read."""
        self._open_start(self._reader_term, at, False)
        reader.proceed()
        self._call = OpenCall(self._settings.collect)
        self._reader = reader
        self._noted = len(self._spans) if self._spans is not None else 0
        self._span("arguments", read)
        self._phase = READER

    def _note_parts(
        self, spans: list[list[Any]], marks: list[tuple[str, int, int]], read: int, end: int
    ) -> None:
        """Replace the notes on a call object, read up to `read`, by those on its parts up to `end`; what is no part
        is markup."""
        at = read - sum(note[1] for note in spans[self._noted :])
        del spans[self._noted :]
        for kind, start, stop in sorted(marks, key=lambda mark: mark[1]):
            start = max(start, at)  # the prompt may have begun it
            if start <= stop <= end:
                self._span("markup", start - at)
                self._span(kind, stop - start)
                at = stop
        self._span("markup", end - at)

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
            if match is None or (match is not MORE and self._in_call and not node.leaves_call(match[0])):
                at += 1
                continue
            self._take(buf[pos:at], "markup")
            if match is MORE:
                self._wait = True
            else:
                self._enter()
            return at
