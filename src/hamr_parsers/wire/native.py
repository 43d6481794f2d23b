"""Calls that the server parsed itself, in whatever shape it streams them.

Theory. The chat API says: entries carry an integer `index`; the first entry of an index has id, type, name and the
beginning of the arguments, later ones more arguments. Servers leave out, repeat, restart, change or split each of
these (gateways.md lists who does what), so an entry is placed by all that it says together:

- It goes on with the call of its index, else of its id, else the latest one.
- It begins a new call if no call fits, or if it names a tool where the fitting call can take no more: its arguments
  are over (a closed JSON object), or another name comes after they began.
- A name that comes in pieces, or again in every chunk, is told by its order: before any argument, another name goes
  on with it. So a call is given out when its name is certain: a declared tool whose name begins no other's, or the
  arguments begin.
- Arguments that begin with all that came before are cumulative. A JSON object's own beginning cannot come again
  inside it except where a value is due; there the next chunks decide, or which of the two readings is whole.
- `{}` at first may be a placeholder (or all there is), and arguments that are an object may be followed by a larger
  one: these wait until the call is over. Everything else is passed on as it comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..arguments.equal import same_value
from ..arguments.json_reader import JsonReader
from ..tools import ToolSet
from .calls import Call, Calls
from .json_text import JsonText, is_object
from .partials import join_surrogates
from .report import Report

__all__ = ["NativeCalls", "entries_of", "index_of", "whole_arguments"]

_KNOWN = frozenset(("index", "id", "type", "function", "name", "arguments"))
_PARSER = "openai"
_GLUED = 256  # calls whose arguments may be glued together in one piece


class _Native(Call):
    """A call under construction."""

    __slots__ = (
        "broken",
        "checked",
        "cumulative",
        "half",
        "joined",
        "json",
        "object",
        "odd",
        "pending",
        "placeholder",
        "size",
        "source_id",
        "started",
    )

    def __init__(self) -> None:
        super().__init__("native", _PARSER)
        self.source_id: str | None = None
        self.json = JsonText()
        self.size = 0  # characters of the arguments so far
        self.started = False
        self.cumulative = False
        self.placeholder = False  # `{}` came and may be all
        self.pending: list[str] = []  # arguments that may be cumulative or not
        self.joined = self.json  # where they stand if they are not
        self.object: Any = None  # arguments that came as an object
        self.odd: list[str] | None = None  # arguments that are no object so far
        self.broken = False  # they are no JSON, although their brackets are closed
        self.checked = False  # they begin as an object does
        self.half = ""  # first half of a surrogate pair

    @property
    def over(self) -> bool:
        """Whether the arguments that came are whole, so that another entry with a name begins another call."""
        return self.json.done or self.object is not None or self.placeholder

    @property
    def begun(self) -> bool:
        """Whether anything of the arguments came."""
        return self.json.begun or self.object is not None or self.placeholder or self.odd is not None

    def text(self) -> str:
        """The arguments so far."""
        if len(self.arguments) > 1:
            joined = "".join(self.arguments)
            if self.given == len(self.arguments):
                self.arguments[:] = [joined]
                self.given = 1
            return joined
        return self.arguments[0] if self.arguments else ""


class NativeCalls:
    """The server's calls in one choice. `feed` takes the entries of one delta."""

    __slots__ = (
        "_all", "_by_id", "_by_index", "_calls", "_customs", "_cut", "_last", "_loose", "_report", "_tools", "odd",
    )  # fmt: skip

    def __init__(self, calls: Calls, tools: ToolSet | None, report: Report) -> None:
        self._calls = calls
        self._tools = tools
        self._report = report
        self._all: list[_Native] = []
        self._by_index: dict[Any, _Native] = {}
        self._by_id: dict[str, _Native] = {}
        self._loose: list[_Native] = []  # may not be certain of their name or arguments: the latest
        self._last: _Native | None = None
        self._customs: dict[int | None, int] = {}  # places of custom calls, by the server's index
        self._cut = False
        self.odd = False  # an index was none

    def __bool__(self) -> bool:
        return bool(self._all)

    def feed(self, entries: list[Mapping[str, Any]]) -> None:
        """The `tool_calls` of one delta."""
        named: set[int] = set()  # indexes that an entry of this delta with a name has
        for position, entry in enumerate(entries):
            if entry.get("type") == "custom" or isinstance(entry.get("custom"), Mapping):
                self._custom(entry)
                continue
            index = index_of(entry.get("index"))
            fresh = index is not None and index in named
            if index is not None and _text(_function(entry).get("name")):
                named.add(index)
            self._entry(entry, position if len(entries) > 1 else None, fresh)

    def close(self, cut: bool) -> None:
        """The answer is over; `cut`: before the model had ended."""
        self._cut = cut
        for call in self._all:
            self._end(call)

    # -- which call an entry belongs to ------------------------------------------------------------------------

    def _custom(self, entry: Mapping[str, Any]) -> None:
        """A call of a tool that takes free text: nothing about it is ours, but for its place."""
        key = entry.get("id") or None
        index = index_of(entry.get("index"))
        known = self._customs.get(index) if not key else None
        if known is None:
            known = self._customs[index] = self._calls.place(_PARSER)
        self._calls.out.append({**entry, "index": known})

    def _entry(self, entry: Mapping[str, Any], position: int | None, fresh: bool) -> None:
        function = _function(entry)
        raw_index = entry.get("index")
        index: Any = index_of(raw_index)
        if type(raw_index) is not int:
            self.odd = True
            self._report.repairs["index"] += 1
        if index is None and position is not None:
            index = ("place", position)
        id_ = _text(entry.get("id"))
        name = _text(function.get("name"))
        arguments = function.get("arguments")
        call = self._fitting(index, id_, name)
        again = (
            call is not None and not fresh and id_ is not None and id_ == call.source_id and name == call.name
        )
        if call is not None and again and _same(call, arguments):
            self._report.repairs["arguments"] += 1
            return  # all of it once more
        if call is None or (fresh and name) or self._begins_another(call, id_, name, arguments):
            call = self._new(index)
        elif index is not None:
            self._by_index.setdefault(index, call)
        self._last = call
        if id_:
            if call.source_id is None:
                call.source_id = id_
                self._by_id.setdefault(id_, call)
                if not call.started:
                    call.id = id_
            elif id_ != call.source_id:
                self._report.repairs["id"] += 1
        extra = {k: v for k, v in entry.items() if k not in _KNOWN and v is not None}
        inner = (
            {k: v for k, v in function.items() if k not in _KNOWN and v is not None}
            if function is not entry
            else {}
        )
        if extra or inner:
            self._calls.add(call, extra, inner)
        if name:
            self._name(call, name)
        if isinstance(arguments, str):
            self._arguments(call, arguments)
        elif arguments is not None:
            self._report.repairs["arguments"] += 1
            if call.object is not None and not _grown(call.object, arguments):
                call = self._glued_to(call)
            call.object = arguments
            self._start(call)

    def _fitting(self, index: Any, id_: str | None, name: str | None) -> _Native | None:
        call = self._by_index.get(index) if index is not None else None
        if id_ is not None and (call is None or call.source_id not in (None, id_)):
            known = self._by_id.get(id_)
            if known is not None and (
                call is not None or index is None or isinstance(index, tuple) or not name
            ):
                return known
        last = self._last
        if call is None and (index is None or (not name and id_ is None)):
            return last
        if call is not None and call.over and last is not None and not last.over and not name and id_ is None:
            return last  # an index that is only the place in this delta
        return call

    def _begins_another(self, call: _Native, id_: str | None, name: str | None, arguments: Any) -> bool:
        if not name or self._goes_on_with_name(call, name):
            return False
        other_id = id_ is not None and call.source_id is not None and id_ != call.source_id
        if not call.name:
            return other_id
        text = arguments if isinstance(arguments, str) else ""
        if call.over:
            if other_id:
                return not (name == call.name and call.cumulative and self._repeats(call, text))
            if isinstance(arguments, Mapping):
                grown = call.placeholder or (call.object is not None and _grown(call.object, arguments))
                return not (name == call.name and grown)
            if text.strip() or not isinstance(arguments, (str, type(None))):
                return not (name == call.name and (self._repeats(call, text) or call.placeholder))
            return name != call.name
        if call.begun:
            return name != call.name and (other_id or not self._repeats(call, text))
        if other_id:
            return not text.strip() and not isinstance(arguments, Mapping)
        tools = self._tools
        return tools is not None and name != call.name and name in tools and call.name in tools

    def _goes_on_with_name(self, call: _Native, name: str) -> bool:
        """Whether a name is the rest of the call's: only together they are a declared one."""
        tools = self._tools
        return tools is not None and not call.begun and name not in tools and call.name + name in tools

    @staticmethod
    def _repeats(call: _Native, text: str) -> bool:
        """Whether arguments are all that came so far, again."""
        return len(text) >= call.size and text.startswith(call.text())

    def _new(self, index: Any) -> _Native:
        if index is not None and index in self._by_index:
            self._report.repairs["index"] += 1
        # Of the call before, the name is certain now, and so is `{}`: calls keep the model's order.
        for earlier in self._loose:
            self._start(earlier)
            if earlier.placeholder:
                self._end(earlier)
        call = _Native()
        self._all.append(call)
        self._loose = [call]
        if index is not None:
            self._by_index[index] = call
        return call

    # -- names -------------------------------------------------------------------------------------------------

    def _name(self, call: _Native, name: str) -> None:
        if call.started or call.begun and call.name:
            self._report.repairs["name"] += 1
            return
        if not call.name:
            call.name = name
        elif name != call.name:
            self._report.repairs["name"] += 1
            call.name = name if name.startswith(call.name) else call.name + name
        tools = self._tools
        if tools is not None and call.name in tools:
            if not any(other != call.name and other.startswith(call.name) for other in tools):
                self._start(call)
        if call.begun:
            self._start(call)

    def _start(self, call: _Native) -> None:
        if call.started or not call.name:
            return
        call.started = True
        tools = self._tools
        if tools is not None and call.name not in tools:
            plain = call.name.partition("<|")[0].strip()  # tokens that the server left in it
            meant = tools.meant(plain) or (plain if plain in tools else None)
            if meant is not None:
                self._report.repairs["name"] += 1
                call.name = meant
        self._calls.start(call)

    # -- arguments -----------------------------------------------------------------------------------------------

    def _arguments(self, call: _Native, text: str) -> None:
        for _ in range(_GLUED):
            text = self._read(call, text)
            if not text:
                return
            call = self._glued_to(call)
        self._report.repairs["arguments"] += 1

    def _glued_to(self, call: _Native) -> _Native:
        """The next call, whose arguments were glued to this one's."""
        another = _Native()
        another.name = call.name
        self._all.append(another)
        for key, known in self._by_index.items():
            if known is call:
                self._by_index[key] = another
        self._last = another
        return another

    def _read(self, call: _Native, text: str) -> str:
        """Read arguments; returns what belongs to another call."""
        if call.half or not text.isascii():
            text, call.half = join_surrogates(call.half + text)
        if call.ended and not call.json.done:
            self._report.repairs["arguments"] += 1
            return ""
        if not text:
            return ""
        if call.odd is not None:
            if text.lstrip()[:1] != "{" or "".join(call.odd).strip() != "null":
                call.odd.append(text)
                return ""
            call.odd = None  # `null` was only a placeholder
        if call.broken:
            return self._give(call, text)
        if not call.json.begun:
            head = text.lstrip()
            if not head:
                return ""
            if call.placeholder:
                if head[0] != "{" or head.rstrip() == "{}":
                    return ""
                call.placeholder = False
                self._report.repairs["arguments"] += 1
            elif head.rstrip() == "{}":
                call.placeholder = True
                self._start(call)
                return ""
            elif head[0] != "{":
                call.odd = [text]
                return ""
        if not call.checked:
            seen = text if text.lstrip()[:1] == "{" else call.text() + text
            key = seen.lstrip()[1:].lstrip()[:1]
            if key:
                call.checked = True
                if key not in '"}':  # no JSON: held, and mended when all of it is there
                    call.odd = [text]
                    return ""
        if call.pending:
            if text.startswith(call.pending[-1]):
                if call.joined.awaits_value:
                    call.pending.append(text)
                    call.joined.feed(text)
                    return ""
                call.cumulative = True
                self._report.repairs["cumulative"] += 1
                call.pending = []
            else:
                held, call.pending = "".join(call.pending), []
                self._give(call, held)
        if call.cumulative or (call.size and len(text) >= call.size):
            so_far = call.text()
            if text.startswith(so_far):
                if not call.cumulative and call.json.awaits_value:
                    call.pending = [text]
                    call.joined = call.json.copy()
                    call.joined.feed(text)
                    return ""
                if not call.cumulative and text != so_far:
                    self._report.repairs["cumulative"] += 1
                    call.cumulative = True
                text = text[len(so_far) :]
            elif call.cumulative and so_far.startswith(text):
                return ""
        return self._give(call, text)

    def _give(self, call: _Native, text: str) -> str:
        """Give arguments out; returns what stands behind their end, if it begins other ones."""
        if not text:
            return ""
        if call.broken:
            self._calls.more(call, text)
            return ""
        end = call.json.feed(text)
        own, rest = (text, "") if end == len(text) else (text[:end], text[end:].strip())
        if own:
            call.size += len(own)
            if not call.started:
                self._start(call)
            if call.started:
                self._calls.more(call, own)
            else:
                call.arguments.append(own)
        if call.json.done and call.started and not call.ended:
            if not is_object(call.text()):  # brackets told wrongly: it goes on, and is not whole
                call.broken = True
                self._report.repairs["arguments"] += 1
                return self._give(call, text[end:])
            self._calls.end(call, True)
        if rest:
            self._report.repairs["arguments"] += 1
        return rest if rest[:1] == "{" else ""

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self, call: _Native) -> None:
        if call.ended:
            return
        if call.pending:
            self._resolve(call)
        if not call.started:
            if not call.name:
                call.name = self._only_tool() or ""
            if not call.name:
                self._calls.lost = self._calls.lost or call.begun
                return
            self._start(call)
        text = None
        if call.object is not None:
            text = whole_arguments(call.object, self._tools, call.name)
        elif call.odd is not None:
            raw, given = "".join(call.odd), call.text()
            text = whole_arguments(given + raw, self._tools, call.name)
            if text is not None and text.startswith(given):
                self._report.repairs["arguments"] += 1
                text = text[len(given) :]
            else:  # no JSON at all: as it came, and not complete
                self._calls.more(call, raw)
                text = None
        elif call.placeholder or (not call.begun and not self._cut):
            text = "{}"
            if not call.placeholder:
                self._report.repairs["arguments"] += 1
        if text is not None and (call.odd is not None or not call.size):
            self._calls.more(call, text)
            self._calls.end(call, True)
            return
        closing = ""
        if call.size or not call.begun:
            reader = JsonReader(None, 200)
            reader.feed(call.text() or "{", 0, True)
            closing = reader.closing if call.size else "{}"
        self._calls.end(call, False, closing)

    def _resolve(self, call: _Native) -> None:
        """The text ended where the arguments may be cumulative or not: the reading that is whole counts."""
        last, held = call.pending[-1], "".join(call.pending)
        call.pending = []
        alone = JsonText()
        alone.feed(last)
        if alone.done and not call.joined.done:
            self._report.repairs["cumulative"] += 1
            held = last[len(call.text()) :]
        rest = self._give(call, held)
        if rest:
            self._arguments(self._glued_to(call), rest)

    def _only_tool(self) -> str | None:
        tools = self._tools
        return next(iter(tools)) if tools is not None and len(tools) == 1 else None


def _function(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    function = entry.get("function")
    return function if isinstance(function, Mapping) else entry


def _same(call: _Native, arguments: object) -> bool:
    """Whether whole arguments are those that the call has, in whatever spelling."""
    if not call.json.done or not isinstance(arguments, str) or not arguments.strip():
        return False
    try:
        return same_value(json.loads(arguments), json.loads(call.text()))
    except (ValueError, RecursionError):
        return False


def _grown(before: object, now: object) -> bool:
    """Whether an object holds all that an earlier one did."""
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return before == now
    return all(key in now and same_value(now[key], value) for key, value in before.items())


def entries_of(value: object) -> list[Mapping[str, Any]]:
    """The entries of a `tool_calls` field, whatever it is."""
    if isinstance(value, Mapping):
        return [value]
    if not isinstance(value, (list, tuple)):
        return []
    return [entry for entry in value if isinstance(entry, Mapping)]


def whole_arguments(value: Any, tools: ToolSet | None, name: str) -> str | None:
    """Arguments that came in one piece as the text of a JSON object; None if they are none and cannot be mended.

    What is no object becomes the tool's only required parameter, else `{"input": ...}`, as everywhere.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return "{}"
        try:
            loaded = json.loads(text)
        except (ValueError, RecursionError):
            return _mended(text)
        if isinstance(loaded, Mapping):
            return text
        if isinstance(loaded, str):
            try:
                inner = json.loads(loaded)
            except (ValueError, RecursionError):
                inner = None
            if isinstance(inner, Mapping):
                return loaded.strip()
            if not loaded.strip():
                return "{}"
        value = loaded
    if value is None:
        return "{}"
    if not isinstance(value, Mapping):
        value = {_parameter(tools, name): value}
    return json.dumps(value, ensure_ascii=False)


def _mended(text: str) -> str | None:
    """Broken JSON as an object, if the object's end was written."""
    if text[0] == '"' and text[-1] == "}":
        text = "{" + text
    if text[0] != "{":
        return None
    reader = JsonReader(None, 200)
    reader.feed(text, 0, True)
    return None if reader.cut else "".join(piece for piece in reader.out if isinstance(piece, str))


def _parameter(tools: ToolSet | None, name: str) -> str:
    schema = tools.tool(name) if tools is not None else None
    parameters = schema.parameters if schema is not None else None
    required = parameters.get("required") if isinstance(parameters, Mapping) else None
    if isinstance(required, list) and len(required) == 1 and isinstance(required[0], str):
        return required[0]
    return "input"


def index_of(value: object) -> int | None:
    """An index, whatever its type; None if it is none."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
