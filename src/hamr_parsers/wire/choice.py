"""One choice of a streamed answer: deltas in, deltas of the safe shape out.

Theory. Three things come in one delta: text, reasoning in a field of its own, and calls that the server parsed. Text
and reasoning go through one `StreamParser`, each on its channel, so that calls in either are found; the server's
calls go through `NativeCalls`; both meet in `Calls`. What comes out of one delta keeps the order reasoning, content,
calls, and is cut into pieces that hold one thing each.

A call of the server stands between two texts. So if the parser holds nothing but blanks when one begins, they are given
out first and a new parser goes on; if it is in the middle of a marker or a call of its own, it is left alone: some
servers stream a call both ways at the same time.

Nothing that was sent can be taken back. Therefore a text counts as reasoning from its first character on only where
request or model say that the prompt opened the block; and if that turns out wrong (the model ended by itself, no
closer came, nothing else was said), the text is given out as content as well, rather than no answer at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..events import (
    ContentDelta,
    Diagnostic,
    Event,
    ReasoningDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from ..parser import StreamParser
from .calls import Call, Calls
from .fields import REASONING_FIELDS
from .finish import finish_word
from .native import NativeCalls, entries_of
from .partials import Partials
from .report import Report

if TYPE_CHECKING:
    from .request import Exchange

__all__ = ["Choice", "split_parts"]

_OURS = frozenset(("role", "content", "tool_calls", "function_call", *REASONING_FIELDS))


class Choice:
    """One choice. `feed` takes a delta, `close` the end; both return deltas."""

    __slots__ = (
        "_assumed", "_calls", "_content", "_exchange", "_fed", "_fields", "_in_reasoning", "_inside", "_legacy",
        "_model", "_native", "_out", "_parser", "_reasoning", "_report", "_settled", "_text_calls", "begun", "closed",
        "deltas", "finish", "finished",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, report: Report) -> None:
        self._exchange = exchange
        self._report = report
        self._model: str | None = None
        self._parser: StreamParser | None = None
        self._fed = False  # a parser was given text
        self._settled = False  # ... and none since a call of the server began
        self._inside: bool | None = None  # what a new parser is told of `starts_in_reasoning`
        self._assumed: list[str] | None = (
            None  # text that is reasoning only by assumption, while it is all there is
        )
        self._content = Partials()
        self._reasoning = Partials()
        self._calls = Calls(exchange.options.incomplete, exchange.new_id, report)
        self._native = NativeCalls(self._calls, exchange.tools, report)
        self._text_calls: dict[int, Call] = {}
        self._fields = exchange.reasoning_fields
        self._legacy = exchange.legacy
        self._out: list[dict[str, Any]] = []
        self._in_reasoning = False
        self.begun = False  # the role was given out
        self.closed = False
        self.finish: str | None = None  # the server's reason, as it came
        self.finished = False  # it came, and nothing after it
        self.deltas = False  # the answer comes in deltas

    def quick(self, text: str) -> bool:
        """Read a delta that holds `text` as content and nothing else; whether it may be passed on as it is.

        If not, `take` has what is to be given out instead. The hot path: most chunks of most answers.
        """
        parser = self._parser
        self.deltas, self.finished = True, False
        if parser is None or not self.begun or not self._content.decided or self._assumed is not None:
            self._add(text, "content")
            return False
        if not text.isascii():
            text = self._content.feed(text)
        events = parser.feed(text, "content")
        self._settled = False
        if len(events) == 1:
            event = events[0]
            if type(event) is ContentDelta and event.text == text:
                self._in_reasoning = False
                return True
        self._events(events, "content")
        return False

    def feed(self, delta: Mapping[str, Any], model: str | None) -> None:
        """Read a delta; `take` has what is to be given out."""
        self._model = self._model or model
        if not self.begun and delta.get("role") is not None:
            self._role(delta.get("content"))
        content, thought = split_parts(delta.get("content"))
        for field in REASONING_FIELDS:
            value = split_parts(delta.get(field))[0]
            if value:
                thought += value
                break
        if thought:
            self._add(thought, "reasoning")
        if content:
            self._add(content, "content")
        entries = entries_of(delta.get("tool_calls"))
        if not entries and isinstance(delta.get("function_call"), Mapping):
            entries = [{"index": 0, "function": delta["function_call"]}]
            if not self._legacy:
                self._report.repairs["function_call"] += 1
        if entries:
            self._settle_text()
            self._native.feed(entries)
            self._take_calls()

    def open(self) -> dict[str, Any]:
        """A delta for what is no part of the message: the role, if it was not given out, else nothing."""
        if self.begun:
            return {}
        self.begun = True
        return {"role": "assistant", "content": None}

    @property
    def odd(self) -> bool:
        """Whether something came whose type was wrong: then nothing passes as it came."""
        return self._native.odd

    @property
    def called(self) -> bool:
        """Whether a call came."""
        return bool(self._native) or bool(self._text_calls) or self._calls.given > 0

    def take(self) -> list[dict[str, Any]]:
        """What is to be given out, and forget it."""
        out, self._out = self._out, []
        return out

    def close(self, finish: str | None) -> str:
        """The answer is over; returns why, corrected. `take` has what was held.

        Args:
            finish: the server's reason; None where it gave none, so that the answer was cut.
        """
        word = finish_word(finish)
        if finish is not None and word != finish:
            self._report.repairs["finish_reason"] += 1
        cut = word is None or word == "length"
        for partials, channel in ((self._reasoning, "reasoning"), (self._content, "content")):
            rest = partials.close()
            if rest:
                self._parse(rest, channel)
        if self._parser is not None:
            self._close_parser(word or "length")
        self._native.close(cut)
        self._calls.close()
        self._take_calls()
        self._rescue(word)
        if not self.begun:
            self._role(None)
        self.closed = True
        if self._calls.cut or word is None:
            reason = "length"
        elif self._calls.given:
            reason = "tool_calls" if word in ("stop", "tool_calls") else word
        else:
            reason = "stop" if word == "tool_calls" else word
        if reason != word:
            self._report.repairs["finish_reason"] += 1
        if reason == "tool_calls" and self._legacy:
            reason = "function_call"
        return reason

    # -- text --------------------------------------------------------------------------------------------------

    def _add(self, text: str, channel: str) -> None:
        partials = self._reasoning if channel == "reasoning" else self._content
        known = partials.cumulative
        text = partials.feed(text)
        if partials.cumulative and not known:
            self._report.repairs["cumulative"] += 1
        if text:
            self._parse(text, channel)

    def _parse(self, text: str, channel: str) -> None:
        parser = self._parser
        if parser is None:
            parser = self._new_parser(channel)
        self._fed, self._settled = True, False
        self._events(parser.feed(text, channel), channel)

    def _new_parser(self, channel: str) -> StreamParser:
        exchange = self._exchange
        inside = self._inside
        if not self._fed:
            inside = exchange.starts_in_reasoning(self._model)
            if channel == "reasoning":
                inside = False  # the server takes reasoning apart itself
            elif inside and exchange.options.starts_in_reasoning is None:
                self._assumed = []
        parser = self._parser = exchange.parser(self._model, inside)
        return parser

    def _settle_text(self) -> None:
        """A call of the server begins: what the parser holds without being in a call comes before it."""
        for partials, channel in ((self._reasoning, "reasoning"), (self._content, "content")):
            if not partials.decided and (rest := partials.close()):
                self._parse(rest, channel)
        if self._parser is None or self._settled:
            return
        self._settled = True
        events = self._parser.copy().close("stop")
        held = "".join(event.text for event in events if isinstance(event, (ContentDelta, ReasoningDelta)))
        if held.strip() or not all(isinstance(event, (ContentDelta, ReasoningDelta)) for event in events):
            return
        self._report.parser = self._parser.parser
        self._events(events, "content")
        self._text_calls = {}
        self._parser, self._inside, self._assumed = None, False, None

    def _close_parser(self, finish: str) -> None:
        parser = self._parser
        assert parser is not None
        self._report.parser = parser.parser
        self._events(parser.close(finish), "content")

    def _rescue(self, word: str | None) -> None:
        """An answer that was reasoning only by assumption is content after all."""
        if self._assumed and word == "stop" and not self._calls.given:
            self._report.repairs["reasoning"] += 1
            self._out.append({"content": "".join(self._assumed)})
        self._assumed = None

    # -- giving out --------------------------------------------------------------------------------------------

    def _role(self, content: object) -> None:
        self.begun = True
        self._out.append({"role": "assistant", "content": content if content == "" else None})

    def _events(self, events: list[Event], channel: str) -> None:
        for event in events:
            kind = type(event)
            if kind is ContentDelta:
                self._assumed = None
                self._in_reasoning = False
                self._text({"content": event.text})  # type: ignore[union-attr]
            elif kind is ReasoningDelta:
                if channel == "content" and not self._in_reasoning:
                    self._in_reasoning = True
                    self._report.leaks += 1
                text = event.text  # type: ignore[union-attr]
                if self._assumed is not None:
                    self._assumed.append(text)
                self._text(dict.fromkeys(self._fields, text))
            elif kind is ToolCallDelta:
                call = self._text_calls[event.index]  # type: ignore[union-attr]
                self._calls.more(call, event.arguments)  # type: ignore[union-attr]
                self._take_calls()
            elif kind is ToolCallStart:
                self._assumed = None
                assert self._parser is not None
                call = Call("text", self._parser.parser)
                call.id, call.name = event.id, event.name  # type: ignore[union-attr]
                self._text_calls[event.index] = call  # type: ignore[union-attr]
                self._calls.start(call)
                self._take_calls()
            elif kind is ToolCallEnd:
                whole = event.tool_call  # type: ignore[union-attr]
                call = self._text_calls[event.index]  # type: ignore[union-attr]
                if whole.complete and not call.arguments:
                    self._calls.more(call, whole.arguments or "{}")
                self._calls.end(call, whole.complete, whole.closing)
                self._take_calls()
            elif kind is Diagnostic:
                self._report.diagnostics.append(event)  # type: ignore[arg-type]
            else:  # Reclassified: what was sent stays content
                self._report.repairs["reclassified"] += 1

    def _text(self, delta: dict[str, Any]) -> None:
        if not self.begun:
            if "content" in delta:
                self.begun = True
                delta = {"role": "assistant", **delta}
            else:
                self._role(None)
        elif self._out and self._out[-1].get("role") and "content" in delta and not self._out[-1]["content"]:
            self._out[-1]["content"] = delta["content"]  # the server's first chunk has both
            return
        elif self._out and self._out[-1].keys() == delta.keys():  # two events of one piece of text
            for key in delta:
                self._out[-1][key] += delta[key]
            return
        self._out.append(delta)

    def _take_calls(self) -> None:
        entries = self._calls.out
        if not entries:
            return
        self._calls.out = []
        if not self.begun:
            self._role(None)
        for entry in entries:
            last = self._out[-1].get("tool_calls") if self._out else None
            if last and _goes_on(last[0], entry):
                last[0]["function"]["arguments"] += entry["function"]["arguments"]
            elif not self._legacy:
                self._out.append({"tool_calls": [entry]})
            elif entry["index"] == 0 and "function" in entry:
                self._out.append({"function_call": entry["function"]})


def _goes_on(last: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether two entries of one delta are arguments of one call, and nothing else."""
    return last["index"] == entry["index"] and last.keys() == entry.keys() == {"index", "function"}


def unknown_fields(delta: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a delta that this layer has nothing to do with."""
    return {key: value for key, value in delta.items() if key not in _OURS}


def split_parts(value: object) -> tuple[str, str]:
    """(text, reasoning) of a content field: a string, or a list of parts as Mistral's API streams them."""
    if isinstance(value, str):
        return value, ""
    if not isinstance(value, list):
        return "", ""
    text, thought = [], []
    for part in value:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, Mapping):
            if part.get("type") in ("thinking", "reasoning"):
                inner = part.get("thinking") or part.get("text") or part.get("reasoning")
                thought.append(split_parts(inner)[0])
            elif isinstance(part.get("text"), str):
                text.append(part["text"])
    return "".join(text), "".join(thought)
