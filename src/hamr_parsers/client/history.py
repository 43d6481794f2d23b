"""`repair_history`: a history that the next request can send; `diagnose_history`: what is wrong with one.

Theory. A `/chat/completions` server refuses a history (400), or its chat template breaks on it, for reasons that have
nothing to do with the last question: half a call was kept after a cancelled stream, a result is missing, an id
comes twice, arguments are no JSON. The repair works in three passes, each a function of the messages alone:

1. *Each message by itself*: a plain dict with a role that exists, content that is text or parts, calls in the one
   shape of the API with arguments that are the text of a JSON object, no null where the API wants a value. Text calls
   that leaked into the content become calls, if the caller said how to read them.
2. *Ids*: every call gets an id of its own, and each result the call that it answers: the nearest unanswered call
   before it with its id, else (ids that are missing or were never given) the one with its name, else the first
   that waits; a result that stands before its call is found, too.
3. *Order*: the results of a message's calls stand directly behind it, in the order of the calls; a call without
   one gets a result that says so; a result without call becomes user text, so that nothing is lost.

What is right stays as it is: a valid history comes out equal, and repairing twice is repairing once. New ids are made
from places, not at random: the same history repaired in the next turn is the same prompt, and a gateway's prefix
cache stays warm. The input is never modified.

Left to the server and its chat template: whether roles must alternate, whether a system message may come
later, several calls in one message, arguments as an object (all servers convert the API's text for templates that
want one), which content parts a model understands. Nothing here invents or joins messages of the user for that.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import HamrParsersError
from ..families import registry
from ..message import ParsedMessage
from ..parser import StreamParser
from ..select import resolve_parser
from ..tools import ToolSet
from .any_call import Mended, as_mapping, mend_arguments

__all__ = ["HistoryError", "HistoryRepair", "diagnose_history", "repair_history"]

NOT_RUN = "Error: this call was not run; there is no result."
CUT = "Error: this call was cut off before its arguments ended, and was not run. Write it again, shorter or in parts."

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "bot": "assistant", "function": "tool"}
_KNOWN = frozenset(("system", "developer", "user", "assistant", "tool"))
_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
_NULLS = ("tool_calls", "function_call", "refusal", "audio", "annotations", *_REASONING)
"""Fields that SDKs dump as null, and strict servers refuse as such."""
_NINE = re.compile(r"[A-Za-z0-9]{9}")
_LONE_HALF = re.compile("[\ud800-\udfff]")
_READINGS = 3


class HistoryError(HamrParsersError, TypeError):
    """`messages` is no list of messages; the message names the entry."""


@dataclass(frozen=True, slots=True)
class HistoryRepair:
    """One thing that was mended.

    Attributes:
        index: which message of the history that was given.
        code: what kind of thing: `shape`, `role`, `content`, `encoding`, `reasoning`, `legacy-call`, `text-call`,
            `call-shape`, `dropped-call`, `arguments`, `cut-arguments`, `id`, `result-id`, `result-name`,
            `result-order`, `missing-result`, `orphan-result`. New ones may be added.
        message: what was wrong and what was done, in one sentence.
    """

    index: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"messages[{self.index}]: {self.message}"


def diagnose_history(messages: Iterable[Any], **options: Any) -> list[HistoryRepair]:
    """What `repair_history` would mend, with the same options; [] for a valid history.

    Raises:
        HistoryError, InvalidToolsError, UnknownParserError, ValueError: as `repair_history`.
    """
    found: list[HistoryRepair] = []
    repair_history(messages, report=found, **options)
    return found


def repair_history(
    messages: Iterable[Any],
    *,
    parser: str | None = None,
    model: str | None = None,
    tools: Any = None,
    half_calls: Literal["mend", "drop"] = "mend",
    orphans: Literal["text", "drop"] = "text",
    reasoning: Literal["keep", "drop"] = "keep",
    developer_role: bool = True,
    tool_names: bool = False,
    null_content: bool = True,
    missing_result: str = NOT_RUN,
    report: list[HistoryRepair] | None = None,
) -> list[dict[str, Any]]:
    """Mend a history so that the next request is not refused for it.

    Args:
        messages: the history: dicts of the chat API, or objects of its SDK.
        parser, model: how to read calls that leaked as text into an assistant's content; without any of `parser`,
            `model` and `tools` text stays text. For Mistral's family ids become nine letters and digits, which
            its templates insist on.
        tools: the tools that are offered; names of arguments are taken from them, and they limit what text is a call.
        half_calls: a call whose arguments were cut is closed ("mend"), or left out together with its result ("drop").
        orphans: a result without a call becomes a message of the user ("text"), or is left out ("drop").
        reasoning: whether reasoning fields of the assistant stay.
        developer_role: whether the server knows this role; else its messages become those of the system.
        tool_names: give each result the name of its tool, as some servers and templates require.
        null_content: leave `content: null` beside calls, as the API has it; False makes it "", for servers that hand
            null to a chat template which cannot take it (many cannot; vLLM and llama.cpp see to it themselves).
        missing_result: the content of the result of a call that has none.
        report: a list that each repair is appended to.

    Returns:
        New messages; those that were right are equal to those given.

    Raises:
        HistoryError: an entry is no message.
        InvalidToolsError, UnknownParserError: `tools` or `parser` is none.
        ValueError: another argument has no such value.
    """
    for name, value, allowed in (
        ("half_calls", half_calls, ("mend", "drop")),
        ("orphans", orphans, ("text", "drop")),
        ("reasoning", reasoning, ("keep", "drop")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, not {value!r}")
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Iterable):
        raise HistoryError(f"messages: expected a list of messages, got {type(messages).__name__}")
    known = ToolSet.of(tools)
    family = None
    if parser is not None or model is not None or known is not None:
        family = registry.get_family(resolve_parser(model=model, parser=parser).parser)
    repair = _Repair(
        tools=known,
        read_as=family.id if family is not None and family.id != "openai" else None,
        model=model,
        nine=family is not None and family.id_format == "alnum9",
        drop_half=half_calls == "drop",
        drop_orphans=orphans == "drop",
        drop_reasoning=reasoning == "drop",
        developer_role=developer_role,
        tool_names=tool_names,
        null_content=null_content,
        missing_result=missing_result,
        found=report if report is not None else [],
    )
    return repair.run(messages)


@dataclass(slots=True, eq=False)
class _Call:
    """A call on its way: the dict that will be sent, the id that it came with, and what answers it."""

    given_id: str | None
    name: str
    call: dict[str, Any]
    cut: bool = False
    dropped: bool = False
    result: _Entry | None = None


@dataclass(slots=True, eq=False)
class _Entry:
    """A message on its way, and which one of the history it was."""

    index: int
    message: dict[str, Any]
    calls: list[_Call] = field(default_factory=list)
    answers: _Call | None = None

    @property
    def role(self) -> str:
        return str(self.message["role"])


@dataclass(slots=True)
class _Repair:
    tools: ToolSet | None
    read_as: str | None
    model: str | None
    nine: bool
    drop_half: bool
    drop_orphans: bool
    drop_reasoning: bool
    developer_role: bool
    tool_names: bool
    null_content: bool
    missing_result: str
    found: list[HistoryRepair]

    def run(self, messages: Iterable[Any]) -> list[dict[str, Any]]:
        entries = [self.message(index, message) for index, message in enumerate(messages)]
        self.match(entries)
        self.name_ids(entries)
        return list(self.ordered(entries))

    def tell(self, index: int, code: str, message: str) -> None:
        self.found.append(HistoryRepair(index, code, message))

    # -- 1: each message by itself --------------------------------------------------------------------------------

    def message(self, index: int, given: Any) -> _Entry:
        message = self.plain(index, given)
        self.role(index, message)
        entry = _Entry(index, message)
        role = message["role"]
        strange = [] if role == "assistant" else ["tool_calls", "function_call"]
        strange += [] if role == "tool" else ["tool_call_id"]
        for key in strange:
            if key in message:
                del message[key]
                self.tell(index, "shape", f"{key} was dropped: it is nothing for the role {role}")
        if role == "assistant":
            self.assistant(entry)
        self.content(entry)
        return entry

    def plain(self, index: int, given: Any) -> dict[str, Any]:
        """A dict of its own that can be sent as JSON."""
        fields = given.to_openai() if isinstance(given, ParsedMessage) else as_mapping(given)
        if fields is None:
            kind = type(given).__name__
            raise HistoryError(f"messages[{index}]: expected a message (a dict or an SDK object), got {kind}")
        if not isinstance(given, Mapping):
            # an object dumps all of its fields, set or not
            fields = {key: value for key, value in fields.items() if value is not None or key == "content"}
        try:
            message = copy.deepcopy(dict(fields))
            json.dumps(message, ensure_ascii=False, allow_nan=False).encode()
        except Exception:
            message = {str(key): _sendable(value, 0) for key, value in fields.items()}
            self.tell(index, "encoding", "what JSON cannot hold was replaced")
        for key in _NULLS:
            if key in message and message[key] is None:
                del message[key]
                if isinstance(given, Mapping):
                    self.tell(index, "shape", f"{key}: null was dropped")
        return message

    def role(self, index: int, message: dict[str, Any]) -> None:
        role = message.get("role")
        if role == "developer" and not self.developer_role:
            message["role"] = "system"
            self.tell(index, "role", "developer became system, which the server knows")
        if isinstance(role, str) and role in _KNOWN:
            return
        guess = _ROLES.get(role.lower(), role.lower()) if isinstance(role, str) else None
        if guess not in _KNOWN:
            guess = "tool" if "tool_call_id" in message else "user"
            if message.get("tool_calls") or message.get("function_call"):
                guess = "assistant"
        # the role stays where it stood, or comes first
        rest = {key: value for key, value in message.items() if key != "role"}
        message.clear()
        message.update({"role": guess, **rest})
        self.tell(
            index, "role", f"the role {role!r} became {guess}" if role else f"a missing role became {guess}"
        )

    def content(self, entry: _Entry) -> None:
        message, index = entry.message, entry.index
        content = message.get("content")
        if content is None:
            if "tool_calls" not in message or not self.null_content:
                message["content"] = ""
                self.tell(index, "content", 'content: null became ""')
            return
        if isinstance(content, str):
            return
        if isinstance(content, list | tuple):
            parts = [_part(part) for part in content]
            if parts != content:
                message["content"] = parts
                self.tell(index, "content", "content parts that were no objects became text parts")
            return
        message["content"] = json.dumps(content, ensure_ascii=False)
        self.tell(index, "content", f"content that was no text ({type(content).__name__}) became its JSON")

    def assistant(self, entry: _Entry) -> None:
        message, index = entry.message, entry.index
        if self.drop_reasoning:
            for key in _REASONING:
                if key in message:
                    del message[key]
                    self.tell(index, "reasoning", f"{key} was dropped")
        calls = message.pop("tool_calls", None)
        legacy = message.pop("function_call", None)
        if calls is not None and not isinstance(calls, list):
            calls = [calls]
            self.tell(index, "call-shape", "tool_calls was no list")
        if calls == []:
            self.tell(index, "call-shape", "tool_calls: [] was dropped")
        calls = list(calls or ())
        if legacy is not None:
            if calls:
                self.tell(index, "legacy-call", "function_call beside tool_calls was dropped")
            else:
                calls.append({"id": None, "type": "function", "function": legacy})
                self.tell(index, "legacy-call", "function_call became tool_calls")
        found = [call for given in calls if (call := self.call(index, given)) is not None]
        native = {(call.name, _canonical(call.call)) for call in found if not call.dropped}
        found += self.text_calls(entry, native)
        entry.calls = found
        kept = [call.call for call in found if not call.dropped]
        if kept:
            message["tool_calls"] = kept

    def call(self, index: int, given: Any) -> _Call | None:
        """One call in the API's shape; None if nothing of it can be sent."""
        if not isinstance(given, Mapping):
            self.tell(index, "dropped-call", "a call that was no object was dropped")
            return None
        call = dict(given)
        ident = call.get("id")
        ident = ident if isinstance(ident, str) and ident else None
        if call.get("type") == "custom" and isinstance(call.get("custom"), Mapping):
            return _Call(ident, str(call["custom"].get("name") or ""), call)
        function = call.get("function")
        if not isinstance(function, Mapping):
            function = {key: call.pop(key) for key in ("name", "arguments") if key in call}
            self.tell(index, "call-shape", "a call without function was brought into shape")
        name = function.get("name")
        if not isinstance(name, str) or not name:
            self.tell(index, "dropped-call", "a call without a name was dropped, and its result with it")
            return _Call(ident, "", call, dropped=True)
        if "index" in call:
            del call["index"]
            self.tell(index, "call-shape", f"index of the call of {name} was dropped: it belongs to a stream")
        if call.get("type") != "function":
            call["type"] = "function"
            self.tell(index, "call-shape", f"the type of the call of {name} became function")
        mended = self.arguments(index, name, function.get("arguments"))
        call["function"] = {**function, "arguments": mended.text}
        call = {"id": ident, **call} if "id" not in call else call
        return _Call(ident, name, call, mended.cut, mended.cut and self.drop_half)

    def arguments(self, index: int, name: str, given: Any) -> Mended:
        tool = self.tools.tool(name) if self.tools is not None else None
        mended = mend_arguments(given, (tool.only_required if tool is not None else None) or "input")
        if mended.cut:
            done = "was dropped, and its result with it" if self.drop_half else "was closed"
            self.tell(index, "cut-arguments", f"the cut call of {name} {done}")
        elif mended.text != given:
            why = mended.notes[0].message if mended.notes else "they were no text of a JSON object"
            self.tell(index, "arguments", f"the arguments of the call of {name} were mended ({why})")
        return mended

    def text_calls(self, entry: _Entry, native: set[tuple[str, str]]) -> Iterator[_Call]:
        """Calls that stand in the content as text, which is taken out of it; those that a server left there although
        it had read them are in `native`."""
        content = entry.message.get("content")
        if self.read_as is None or not isinstance(content, str) or not content:
            return
        taken: list[StreamParser] = []
        text: str | None = content
        for _ in range(_READINGS):
            stream = self.reading(text or "")
            if not stream.message.tool_calls and stream.message.reasoning is None:
                break
            taken.append(stream)
            text = stream.message.content
        else:
            return  # the rest of the text makes a call again and again: no honest leak
        if not taken:
            return
        entry.message["content"] = text
        thoughts = "".join(stream.message.reasoning or "" for stream in taken)
        if thoughts:
            self.tell(entry.index, "reasoning", "reasoning was taken out of the content")
            if not self.drop_reasoning:
                key = next((key for key in _REASONING[:2] if key in entry.message), _REASONING[0])
                told = entry.message.get(key)
                entry.message[key] = told + thoughts if isinstance(told, str) else thoughts
        for stream in taken:
            for call in stream.message.tool_calls:
                function = {"name": call.name, "arguments": call.arguments}
                made = {"id": None, "type": "function", "function": function}
                if (call.name, _canonical(made)) in native:
                    self.tell(entry.index, "text-call", f"the text of the call of {call.name} was dropped")
                    continue
                self.tell(entry.index, "text-call", f"a call of {call.name} that was text became a call")
                if not call.complete:
                    done = "was dropped" if self.drop_half else "was closed"
                    self.tell(entry.index, "cut-arguments", f"the cut call of {call.name} {done}")
                yield _Call(None, call.name, made, not call.complete, not call.complete and self.drop_half)

    def reading(self, text: str) -> StreamParser:
        """The parsed text of an earlier answer: its reasoning is over, unless it ends in this very text."""
        stream = self.read(text, inside=False)
        if any(note.code == "stray-closer" for note in stream.message.diagnostics):
            inside = self.read(text, inside=True)
            if inside.message.reasoning and (inside.message.content or inside.message.tool_calls):
                return inside
        return stream

    def read(self, text: str, inside: bool) -> StreamParser:
        stream = StreamParser(
            parser=self.read_as, model=self.model, tools=self.tools, starts_in_reasoning=inside
        )
        stream.feed(text)
        stream.close("stop")
        return stream

    # -- 2: which result answers which call ----------------------------------------------------------------------

    def match(self, entries: Sequence[_Entry]) -> None:
        waiting = _Waiting()
        late: list[_Entry] = []
        for entry in entries:
            if entry.role == "assistant":
                waiting.add(entry.calls)
            elif entry.role == "tool" and not waiting.answer(entry):
                late.append(entry)
        # a result that stands before its call: the next one with this id
        early = {id(entry) for entry in late}
        after: dict[str, list[_Call]] = defaultdict(list)
        for entry in reversed(entries) if late else ():
            for call in reversed(entry.calls):
                if call.given_id is not None and call.result is None:
                    after[call.given_id].append(call)
            if id(entry) in early and (answered := _take(after.get(_text_id(entry) or ""))) is not None:
                answered.result, entry.answers = entry, answered

    def name_ids(self, entries: Sequence[_Entry]) -> None:
        """An id of its own for each call, and the same one for its result."""
        taken: set[str] = set()
        given = {call.given_id for entry in entries for call in entry.calls}
        given |= {_text_id(entry) for entry in entries}
        number = 0
        for entry in entries:
            for call in entry.calls:
                number += 1
                if call.dropped:
                    continue
                ident, why = call.given_id, ""
                if ident is None:
                    why = "is missing"
                    if call.result is not None:
                        ident = _text_id(call.result)  # the loop had given it one
                if ident is not None and self.nine and not _NINE.fullmatch(ident):
                    why = why or "is not what the model's template takes"
                    ident = self.made(ident, taken, given)
                if ident is None or ident in taken:
                    why = why or "comes twice"
                    ident = self.made(str(number), taken, given)
                taken.add(ident)
                if why:
                    self.tell(
                        entry.index, "id", f"the id of the call of {call.name} {why}: it is {ident} now"
                    )
                    call.call["id"] = ident
                if call.result is not None:
                    self.result(call.result, call, ident)

    def made(self, seed: str, *taken: set[Any]) -> str:
        """An id that is a function of the place in the history, and free."""
        for attempt in itertools.count():
            digest = hashlib.sha256(f"{seed}/{attempt}".encode()).hexdigest()
            ident = digest[:9] if self.nine else f"call_{digest[:24]}"
            if not any(ident in ids for ids in taken):
                return ident
        raise AssertionError

    def result(self, entry: _Entry, call: _Call, ident: str) -> None:
        message = entry.message
        if message.get("tool_call_id") != ident:
            self.tell(entry.index, "result-id", f"the result of {call.name} got the id of its call, {ident}")
            message["tool_call_id"] = ident
        if self.tool_names and message.get("name") != call.name:
            self.tell(entry.index, "result-name", f"the result got the name of its tool, {call.name}")
            message["name"] = call.name

    # -- 3: order ----------------------------------------------------------------------------------------------------

    def ordered(self, entries: Sequence[_Entry]) -> Iterator[dict[str, Any]]:
        place = {id(entry): at for at, entry in enumerate(entries)}
        for at, entry in enumerate(entries):
            if entry.role == "tool":
                if entry.answers is None:
                    yield from self.orphan(entry)
                continue
            yield entry.message
            due = at + 1
            for call in entry.calls:
                result = call.result
                if call.dropped:
                    due += result is not None and place[id(result)] == due
                    continue
                if result is None:
                    yield self.synthetic(entry, call)
                    continue
                if place[id(result)] != due:
                    self.tell(
                        result.index, "result-order", f"the result of {call.name} was put behind its call"
                    )
                due = place[id(result)] + 1
                yield result.message

    def synthetic(self, entry: _Entry, call: _Call) -> dict[str, Any]:
        self.tell(entry.index, "missing-result", f"the call of {call.name} had no result: one says so")
        message = {"role": "tool", "tool_call_id": call.call["id"]}
        if self.tool_names:
            message["name"] = call.name
        return {**message, "content": CUT if call.cut else self.missing_result}

    def orphan(self, entry: _Entry) -> Iterator[dict[str, Any]]:
        if self.drop_orphans:
            self.tell(entry.index, "orphan-result", "a result without a call was dropped")
            return
        self.tell(entry.index, "orphan-result", "a result without a call became a message of the user")
        name = entry.message.get("name")
        of = f" of {name}" if isinstance(name, str) and name else ""
        content = entry.message["content"]
        head = f"Result{of}, of a call that is no longer in this conversation:\n"
        if isinstance(content, str):
            yield {"role": "user", "content": head + content}
        else:
            yield {"role": "user", "content": [{"type": "text", "text": head}, *content]}


class _Waiting:
    """The calls that no result has answered yet, by what a result may know them by. Each list is a stack of the
    messages' calls: the last message first, and within it the calls in their order."""

    def __init__(self) -> None:
        self._by_id: dict[str, list[_Call]] = defaultdict(list)
        self._by_name: dict[str, list[_Call]] = defaultdict(list)
        self._nameless: list[_Call] = []
        self._all: list[_Call] = []

    def add(self, calls: Sequence[_Call]) -> None:
        for call in reversed(calls):
            if call.given_id is not None:
                self._by_id[call.given_id].append(call)
            else:
                self._nameless.append(call)
            self._by_name[call.name].append(call)
            self._all.append(call)

    def answer(self, entry: _Entry) -> bool:
        """Let a result answer a call; False if none is for it."""
        ident = _text_id(entry)
        name = entry.message.get("name")
        if ident is not None:
            call = _take(self._by_id.get(ident)) or _take(self._nameless)
        elif isinstance(name, str) and name:
            call = _take(self._by_name.get(name))
        else:
            call = _take(self._all)
        if call is None:
            return False
        call.result, entry.answers = entry, call
        return True


def _take(calls: list[_Call] | None) -> _Call | None:
    while calls:
        call = calls.pop()
        if call.result is None:
            return call
    return None


def _canonical(call: Mapping[str, Any]) -> str:
    """A call's arguments, spelled in one way."""
    function = call.get("function")
    try:
        return json.dumps(json.loads(function["arguments"]), sort_keys=True) if function else ""
    except (ValueError, RecursionError):
        return str(function)


def _text_id(entry: _Entry) -> str | None:
    ident = entry.message.get("tool_call_id") if entry.role == "tool" else None
    return ident if isinstance(ident, str) and ident else None


def _part(part: Any) -> Any:
    if isinstance(part, dict):
        return part
    return {"type": "text", "text": part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)}


def _sendable(value: Any, depth: int) -> Any:
    """The nearest value that JSON in UTF-8 can hold."""
    if isinstance(value, str):
        return _LONE_HALF.sub("\ufffd", value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if depth > 100:
        return "..."
    if isinstance(value, Mapping):
        return {
            _LONE_HALF.sub("\ufffd", str(key)): _sendable(inner, depth + 1) for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_sendable(inner, depth + 1) for inner in value]
    dumped = as_mapping(value)
    if dumped is not None:
        return _sendable(dumped, depth + 1)
    return _LONE_HALF.sub("\ufffd", str(value))
