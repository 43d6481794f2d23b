"""How far raw chunks are from the safe shape: each deviation by name, and which clients it breaks.

Theory. The rules are the rows of docs/gateways.md, looked up on the raw wire, before anything has mended it. The
same judge is run over what `ChatNormalizer` makes of the chunks: a deviation that is not found again is cured. A
deviation that breaks no client that we know is a note: it is told, and no reason to warn.

Whether a later entry of `tool_calls` goes on with a call or begins a new one is told as the wire layer tells it: a
name behind arguments that are already whole is another call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...wire import SSEEvent
from ..any_call import is_json_object

__all__ = ["FINISH", "SHAPES", "Oddity", "judge", "judge_events", "judge_message"]

FINISH = frozenset(("stop", "length", "tool_calls", "content_filter", "function_call"))


class Shape(NamedTuple):
    """A kind of deviation: what it is, and who breaks on it ("": nobody that we know)."""

    says: str
    breaks: str


_NODE = "Node's openai, Vercel's ai"
_ALL = "nearly every client"
#: The deviations, by code; the clients are those of docs/gateways.md.
SHAPES: dict[str, Shape] = {
    "no-index": Shape("parts of a call have no index", "the openai SDK's helper, langchain, smolagents, Node's openai"),
    "index-no-integer": Shape("the index of a call is no integer", f"the openai SDK's helper, {_NODE}"),
    "index-from-1": Shape("the index of calls does not begin at 0", f"the openai SDK's helper, {_NODE}"),
    "shared-index": Shape("several calls share one index", _ALL),
    "no-id": Shape("a call has no id", "openai-agents, litellm"),
    "id-changes": Shape("the id of a call changes from chunk to chunk", "langchain"),
    "shared-id": Shape("several calls share one id", "pydantic-ai, openai-agents"),
    "name-repeated": Shape("the name of a call is repeated", "the openai SDK's helper, langchain, pydantic-ai"),
    "name-split": Shape("the name of a call comes in pieces", f"litellm, openai-agents, smolagents, {_NODE}"),
    "no-name": Shape("a call has no name", _ALL),
    "no-arguments": Shape("the first part of a call has no arguments, or null", "loops as OpenAI's docs show"),
    "object-arguments": Shape("arguments are an object and not its text", _ALL),
    "cumulative-arguments": Shape("each part repeats the arguments so far", "every client"),
    "arguments-twice": Shape("`{}` comes first, then the real arguments", "every client"),
    "joined-arguments": Shape("the arguments of several calls are joined in one", "every client"),
    "bad-arguments": Shape("the arguments of a call are no JSON object", "every client"),
    "hidden-cut": Shape("a call that was cut is reported as whole", "every client: half a call may be run"),
    "no-type": Shape("a call has no type", "Node's openai"),
    "empty-type": Shape("the type of a call is empty in later parts", "the openai SDK's helper"),
    "no-role": Shape("no delta has a role", "Node's openai"),
    "no-finish": Shape("there is no finish_reason: the answer may be cut", _NODE),
    "unknown-finish": Shape("the finish_reason is none of the API", "Vercel's ai"),
    "finish-often": Shape("the finish_reason comes before the end, or several times", _ALL),
    "finish-on-delta": Shape("the finish_reason stands on a delta that says something", "strict clients"),
    "usage-choices": Shape("the usage chunk has no choices", f"the openai SDK's helper, {_NODE}"),
    "no-delta": Shape("a delta is null or missing", "loops as OpenAI's docs show, the openai SDK's helper"),
    "no-chunk": Shape("an event is no chunk", _NODE),
    "not-json": Shape("an event is no JSON", "every client"),
    "cumulative-content": Shape("each chunk repeats the text so far", "every client"),
    "content-parts": Shape("the content is a list of parts", _ALL),
    "legacy-call": Shape("calls come as function_call", "clients without the legacy form"),
    "error-in-stream": Shape("an error came inside an answer of status 200", "clients that take it for an end"),
    "no-choice-index": Shape("a choice has no index", "strict clients"),
    "no-stream": Shape("a stream was asked for, and a whole answer came", "clients that stream"),
    "unasked-stream": Shape("a whole answer was asked for, and a stream came", "clients that do not stream"),
    "doubled": Shape("calls stand in the text and are sent as calls as well", "clients that show the text"),
    # harmless
    "finish-stop": Shape("the finish_reason of an answer with calls is stop", ""),
    "no-done": Shape("the stream ends without [DONE]", ""),
    "several-ids": Shape("chunks of one stream have several ids", ""),
    "usage-late": Shape("usage comes with choices that are not empty", ""),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Oddity:
    """A deviation that was found. `cured`: the wire layer mends it; None: not tried."""

    code: str
    example: str = ""
    cured: bool | None = None

    @property
    def breaks(self) -> str:
        """Which clients break on it; "" if it is harmless."""
        return SHAPES[self.code].breaks

    def __str__(self) -> str:
        said = SHAPES[self.code].says + (f": {self.example}" if self.example else "")
        return said + (f" (breaks {self.breaks})" if self.breaks else " (harmless)")


@dataclass(slots=True)
class _Call:
    id: str | None = None
    name: str = ""
    arguments: str = ""
    parts: int = 0
    repeats: int = 0
    was_empty_object: bool = False


@dataclass(slots=True)
class _Choice:
    calls: dict[Any, _Call] = field(default_factory=dict)
    done: list[_Call] = field(default_factory=list)
    last: Any = None
    content: str = ""
    repeats: int = 0
    role: bool = False
    finish: str | None = None


class _Judge:
    def __init__(self) -> None:
        self.found: dict[str, Oddity] = {}
        self.choices: dict[int, _Choice] = {}
        self.ids: set[str] = set()

    def tell(self, code: str, example: object = "") -> None:
        if code not in self.found:
            text = (
                example if isinstance(example, str) else json.dumps(example, ensure_ascii=False, default=str)
            )
            self.found[code] = Oddity(code, text if len(text) <= 160 else text[:157] + "...")

    def chunk(self, chunk: Mapping[str, Any]) -> None:
        ident = chunk.get("id")
        if isinstance(ident, str) and ident:
            self.ids.add(ident)
        if chunk.get("error") or (isinstance(chunk.get("relay"), Mapping) and "error" in chunk["relay"]):
            self.tell("error-in-stream", chunk.get("error") or chunk["relay"])
            return
        choices = chunk.get("choices")
        usage = chunk.get("usage")
        if not isinstance(choices, list):
            self.tell("usage-choices" if usage else "no-chunk", chunk)
            return
        for position, choice in enumerate(choices):
            if not isinstance(choice, Mapping):
                self.tell("no-chunk", chunk)
                continue
            index = choice.get("index")
            if type(index) is not int:
                self.tell("no-choice-index", choice)
                index = position
            at = self.choices.setdefault(index, _Choice())
            if usage and at.finish is not None and not choice.get("finish_reason"):
                self.tell("usage-late")
            self.choice(at, choice)

    def choice(self, at: _Choice, choice: Mapping[str, Any]) -> None:
        finish = choice.get("finish_reason")
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            self.tell("no-delta", choice)
            delta = {}
        at.role = at.role or bool(delta.get("role"))
        says = any(delta.get(key) for key in ("content", "reasoning", "reasoning_content", "tool_calls"))
        if at.finish is not None and (says or finish):
            self.tell("finish-often")
        self.content(at, delta.get("content"))
        if delta.get("function_call"):
            self.tell("legacy-call", delta["function_call"])
        entries = delta.get("tool_calls")
        for position, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, Mapping):
                self.entry(at, entry, position)
        if finish is not None:
            if finish not in FINISH:
                self.tell("unknown-finish", finish)
            if says:
                self.tell("finish-on-delta", delta)
            at.finish = str(finish)

    def content(self, at: _Choice, text: Any) -> None:
        if isinstance(text, list):
            self.tell("content-parts", text)
        if not isinstance(text, str) or not text:
            return
        # every piece so far began with the one before it: nobody writes like that by chance
        if at.repeats >= 0:
            longer = len(text) > len(at.content) and text.startswith(at.content)
            at.repeats = at.repeats + 1 if longer else -1
            at.content = text
            if at.repeats >= 4 and len(text) >= 8:
                self.tell("cumulative-content")

    def entry(self, at: _Choice, entry: Mapping[str, Any], position: int) -> None:
        raw = entry.get("function")
        function: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
        ident, name = entry.get("id"), function.get("name")
        ident = ident if isinstance(ident, str) and ident else None
        name = name if isinstance(name, str) and name else None
        key = entry.get("index")
        if key is None:
            self.tell("no-index", entry)
            begins = name is not None and (at.last is None or _whole(at.calls.get(at.last)))
            key = ("n", len(at.calls)) if begins or at.last is None else at.last
        elif type(key) is not int:
            self.tell("index-no-integer", key)
        elif not at.calls and key != 0:
            self.tell("index-from-1", key)
        at.last = key
        call = at.calls.get(key)
        if call is not None and name is not None and self.another(call, ident, name):
            self.tell("shared-index", entry)
            at.done.append(call)
            call = None
        if call is None:
            call = at.calls[key] = _Call()
            self.begin(at, call, entry, ident, name)
        else:
            self.go_on(call, entry, ident, name)
        self.arguments(call, function)
        call.parts += 1

    def another(self, call: _Call, ident: str | None, name: str) -> bool:
        """Whether an entry that has a name begins a call of its own under the index of `call`."""
        if not call.arguments:
            return ident is not None and call.id is not None and ident != call.id
        if not _whole(call) or (ident is not None and ident == call.id):
            return False
        return ident is not None or call.id is None or name != call.name

    def begin(
        self, at: _Choice, call: _Call, entry: Mapping[str, Any], ident: str | None, name: str | None
    ) -> None:
        if ident is None:
            self.tell("no-id", entry)
        elif any(other.id == ident for other in (*at.calls.values(), *at.done) if other is not call):
            self.tell("shared-id", ident)
        if name is None:
            self.tell("no-name", entry)
        if not entry.get("type"):
            self.tell("no-type", entry)
        call.id, call.name = ident, name or ""

    def go_on(self, call: _Call, entry: Mapping[str, Any], ident: str | None, name: str | None) -> None:
        if ident is not None and call.id is not None and ident != call.id:
            self.tell("id-changes", [call.id, ident])
        if entry.get("type") == "":
            self.tell("empty-type")
        if name is not None:
            if name == call.name or call.arguments:
                self.tell("name-repeated", name)
            else:
                self.tell("name-split", [call.name, name])
                call.name += name

    def arguments(self, call: _Call, function: Mapping[str, Any]) -> None:
        piece = function.get("arguments")
        if isinstance(piece, Mapping | list):
            self.tell("object-arguments", piece)
            piece = json.dumps(piece, default=str)
        if piece is None:
            if not call.parts:
                self.tell("no-arguments", function)
            return
        if not isinstance(piece, str) or not piece:
            return
        held = call.arguments
        if call.was_empty_object and piece.lstrip()[:1] == "{":
            self.tell("arguments-twice", piece)
            held = call.arguments = ""
        call.was_empty_object = not held and piece.strip() == "{}"
        # an object goes on with anything but its own beginning
        if held[:1] == "{" and len(piece) > len(held) and piece.startswith(held):
            call.repeats += 1
            call.arguments = piece
            if call.repeats >= 2 or is_json_object(piece):
                self.tell("cumulative-arguments")
            return
        call.arguments += piece

    def end(self) -> None:
        if len(self.ids) > 1:
            self.tell("several-ids", sorted(self.ids)[:3])
        for at in self.choices.values():
            self.ended(at)

    def ended(self, at: _Choice) -> None:
        if not at.role:
            self.tell("no-role")
        calls = [*at.done, *at.calls.values()]
        for call in calls:
            if not call.arguments.strip() or is_json_object(call.arguments):
                continue
            if at.finish != "length" and at.finish is not None:
                joined = _joined(call.arguments)
                cut = not joined and call.arguments.lstrip()[:1] == "{" and _is_cut(call.arguments)
                self.tell(
                    "joined-arguments" if joined else "hidden-cut" if cut else "bad-arguments", call.arguments
                )
        if at.finish is None:
            self.tell("no-finish")
        elif at.finish == "stop" and calls:
            self.tell("finish-stop")


def _whole(call: _Call | None) -> bool:
    return call is not None and (is_json_object(call.arguments) or not call.arguments)


def _joined(text: str) -> bool:
    """Whether several objects stand one behind the other."""
    try:
        first, end = json.JSONDecoder().raw_decode(text.strip())
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and text.strip()[end:].lstrip()[:1] == "{"


def _is_cut(text: str) -> bool:
    from ..any_call import mend_arguments

    return mend_arguments(text).cut


def judge(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Oddity]:
    """The deviations of a stream of chunks, by code."""
    found = _Judge()
    for chunk in chunks:
        found.chunk(chunk)
    found.end()
    return found.found


def judge_events(events: Sequence[SSEEvent]) -> dict[str, Oddity]:
    """The deviations of a stream of events, those of its chunks included."""
    found = _Judge()
    done = False
    for event in events:
        if event.comment is not None or event.data is None:
            continue
        if event.done:
            done = True
        elif isinstance(event.value, Mapping):
            if event.event == "error":
                found.tell("error-in-stream", dict(event.value))
            elif event.event and "choices" not in event.value and "error" not in event.value:
                found.tell("no-chunk", f"event: {event.event}")
            else:
                found.chunk(event.value)
        else:
            found.tell("not-json", event.data)
    found.end()
    if not done:
        found.tell("no-done")
    return found.found


def judge_message(payload: Mapping[str, Any]) -> dict[str, Oddity]:
    """The deviations of a whole answer, by code."""
    found = _Judge()
    choices = payload.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, Mapping):
            continue
        message = choice.get("message")
        message = message if isinstance(message, Mapping) else {}
        at = _Choice(role=bool(message.get("role")))
        if isinstance(message.get("content"), list):
            found.tell("content-parts", message["content"])
        if message.get("function_call"):
            found.tell("legacy-call", message["function_call"])
        calls = message.get("tool_calls")
        for position, entry in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(entry, Mapping):
                found.entry(at, {**entry, "index": position}, position)
        finish = choice.get("finish_reason")
        if finish is not None and finish not in FINISH:
            found.tell("unknown-finish", finish)
        at.finish = finish if isinstance(finish, str) else None
        found.ended(at)
    return found.found
