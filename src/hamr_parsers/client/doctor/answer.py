"""One answer of a gateway, raw, and what it means: read once as it came and once as the wire layer mends it.

Theory. A probe keeps the raw events. What they *say* is read twice: plainly (the text, the reasoning, the calls that
the server itself sent) and through `ChatNormalizer`, as any client behind this library would see it. All judgements
compare the two: text calls are those that only the second reading has, a leak is text that it took out of the
content, a deviation is cured if the second stream does not show it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...wire import Exchange, Report, SSEEvent, UpstreamError, normalize_completion
from ..any_call import is_json_object
from ..errors import GatewayError
from .shape import Oddity, judge, judge_events, judge_message

__all__ = ["Answer", "Call", "Reading", "read_stream", "read_whole"]

_REASONING = ("reasoning_content", "reasoning")


@dataclass(slots=True)
class Call:
    """A call as it came: its arguments are whatever text they were."""

    name: str = ""
    arguments: str = ""
    pieces: int = 0

    @property
    def whole(self) -> bool:
        """Whether the arguments are a JSON object."""
        return is_json_object(self.arguments)

    def __str__(self) -> str:
        text = self.arguments if len(self.arguments) <= 80 else self.arguments[:77] + "..."
        return f"{self.name}({text})"


@dataclass(slots=True)
class Reading:
    """What an answer says, its choice 0."""

    content: str = ""
    reasoning: str = ""
    reasoning_fields: tuple[str, ...] = ()
    calls: list[Call] = field(default_factory=list)
    finish: str | None = None
    _open: dict[int, Call] = field(default_factory=dict)

    def add(self, delta: Mapping[str, Any]) -> None:
        """More of it."""
        content = delta.get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
        if isinstance(content, str):
            # cumulative partials: each begins with all that came before
            repeats = len(self.content) >= 4 and len(content) > len(self.content)
            self.content = content if repeats and content.startswith(self.content) else self.content + content
        told = ""
        for name in _REASONING:
            thought = delta.get(name)
            if isinstance(thought, str) and thought:
                told = told or thought
                if name not in self.reasoning_fields:
                    self.reasoning_fields += (name,)
        self.reasoning += told
        entries = delta.get("tool_calls")
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, Mapping):
                continue
            function = entry.get("function")
            function = function if isinstance(function, Mapping) else {}
            called, arguments = function.get("name"), function.get("arguments")
            index = entry.get("index")
            call = self._open.get(index) if type(index) is int else (self.calls[-1] if self.calls else None)
            if call is None or (called and (entry.get("id") or call.whole) and call.arguments):
                call = Call()
                self.calls.append(call)
            if type(index) is int:
                self._open[index] = call
            if called and not call.name:
                call.name = str(called)
            if arguments is not None and arguments != "":
                piece = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
                call.arguments += piece
                call.pieces += 1


@dataclass(slots=True)
class Answer:
    """One answer.

    Attributes:
        status, headers: of the response; status 0 if there was none.
        events: of a streamed answer; payload: a whole one.
        raw: what it says as it came; read: through the wire layer.
        report: what the wire layer did; oddities: deviations of the raw wire.
        error: why there is no (whole) answer.
        first, seconds: to the first byte, and in all.
        comments: comments and loading frames of the stream.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    events: list[SSEEvent] = field(default_factory=list)
    payload: Mapping[str, Any] | None = None
    raw: Reading = field(default_factory=Reading)
    read: Reading = field(default_factory=Reading)
    report: Report = field(default_factory=Report)
    oddities: list[Oddity] = field(default_factory=list)
    error: GatewayError | UpstreamError | None = None
    first: float = 0.0
    seconds: float = 0.0
    died: bool = False
    loading: bool = False

    @property
    def usage(self) -> Mapping[str, Any]:
        """The last usage that was told."""
        found: Mapping[str, Any] = {}
        for value in (self.payload, *(event.value for event in self.events)):
            if isinstance(value, Mapping) and isinstance(value.get("usage"), Mapping):
                found = value["usage"]
        return found

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt, as the server counted them."""
        count = self.usage.get("prompt_tokens")
        return count if type(count) is int and count > 0 else None

    @property
    def cut(self) -> bool:
        """Whether the answer ended early."""
        return self.read.finish == "length" or self.died

    @property
    def text_calls(self) -> list[Call]:
        """The calls that the server left as text."""
        return self._of("text")

    @property
    def native_calls(self) -> list[Call]:
        """The calls that the server sent as calls."""
        return self._of("native")

    def _of(self, source: str) -> list[Call]:
        kinds = [kind for _, kind in self.report.calls]
        return [call for call, kind in zip(self.read.calls, kinds, strict=False) if kind == source]

    @property
    def doubled(self) -> bool:
        """Whether the server sent calls and left them in the text as well."""
        return bool(self.raw.calls and self.text_calls)

    @property
    def text_parser(self) -> str | None:
        """The family that read the text calls."""
        return next((parser for parser, kind in self.report.calls if kind == "text"), None)

    @property
    def model(self) -> str | None:
        """The model's name, as the answer has it."""
        for value in (self.payload, *(event.value for event in self.events)):
            if isinstance(value, Mapping) and isinstance(value.get("model"), str) and value["model"]:
                return str(value["model"])
        return None


def read_stream(answer: Answer, exchange: Exchange) -> None:
    """Fill in what a streamed answer means."""
    normalizer = exchange.normalizer()
    made: list[Mapping[str, Any]] = []
    for event in answer.events:
        if not isinstance(event.value, Mapping) or event.comment is not None:
            continue
        for delta, _ in _deltas([event.value]):
            answer.raw.add(delta)
        if "relay" in event.value:
            answer.loading = True
        made += normalizer.feed(event.value, event.event)
        answer.raw.finish = _finish([event.value]) or answer.raw.finish
    made += normalizer.close(died=answer.died)
    for delta, _ in _deltas(made):
        answer.read.add(delta)
    answer.read.finish = _finish(made)
    answer.report = normalizer.report
    answer.error = answer.error or normalizer.error
    left = judge(made)
    answer.oddities = [
        replace(one, cured=one.code not in left) for one in judge_events(answer.events).values()
    ]


def read_whole(answer: Answer, exchange: Exchange) -> None:
    """Fill in what a whole answer means."""
    payload = answer.payload
    assert payload is not None
    try:
        made, answer.report = normalize_completion(payload, exchange)
    except UpstreamError as error:
        answer.error = error
        return
    for reading, value in ((answer.raw, payload), (answer.read, made)):
        for choice in _choices(value)[:1]:
            message = choice.get("message")
            if isinstance(message, Mapping):
                _add_message(reading, message)
            finish = choice.get("finish_reason")
            reading.finish = finish if isinstance(finish, str) else None
    left = judge_message(made)
    answer.oddities = [replace(one, cured=one.code not in left) for one in judge_message(payload).values()]


def _add_message(reading: Reading, message: Mapping[str, Any]) -> None:
    reading.add({key: value for key, value in message.items() if key != "tool_calls"})
    calls = message.get("tool_calls")
    for entry in calls if isinstance(calls, list) else ():
        function = entry.get("function") if isinstance(entry, Mapping) else None
        if isinstance(function, Mapping):
            arguments = function.get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
            reading.calls.append(Call(str(function.get("name") or ""), text, 1))


def _choices(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = value.get("choices")
    found = [choice for choice in choices if isinstance(choice, Mapping)] if isinstance(choices, list) else []
    return [choice for choice in found if choice.get("index") in (None, 0)]


def _deltas(chunks: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for chunk in chunks:
        for choice in _choices(chunk):
            delta = choice.get("delta")
            if isinstance(delta, Mapping):
                yield delta, choice


def _finish(chunks: Iterable[Mapping[str, Any]]) -> str | None:
    found = None
    for chunk in chunks:
        for choice in _choices(chunk):
            finish = choice.get("finish_reason")
            found = finish if isinstance(finish, str) else found
    return found
