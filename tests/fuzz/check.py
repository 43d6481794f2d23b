"""The rules: what must hold whatever a model writes.

Theory. No rule needs to know what the text means. Each compares the parser with itself (cut otherwise, copied,
pickled, traced, not collecting) or with the input (spans that tile it, delays of single characters), or asks
for properties that no message may lack (order of events, valid JSON, honest `complete`). The runs that several
rules look at are made once for a case and shared (`Observed`).

A rule raises `Finding`. An exception or a time-out of the parser is a finding as well.
"""

from __future__ import annotations

import copy
import functools
import json
import pickle
import random
import re
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import hamr_parsers as hp

from . import blocks
from .case import Case, Chunk

LOOKAHEAD = 64
"""What may be held for a decision between two mends (design, contract 3)."""

SPAN_KINDS = frozenset({"content", "reasoning", "markup", "name", "id", "key", "arguments", "value"})
FINISH_REASONS = frozenset({"tool_calls", "stop", "length"})


class Finding(AssertionError):
    """A rule does not hold for a case."""

    def __init__(self, rule: str, detail: str, case: Case | None = None) -> None:
        self.rule = rule
        self.detail = detail
        self.case = case
        if len(detail) > 1000:
            self.detail = detail = f"{detail[:800]} ... {detail[-200:]}"
        super().__init__(f"{rule}: {detail}" + (f"\n    {case!r}" if case else ""))


class Hang(BaseException):
    """The time for one run is over. Not an `Exception`: no handler in between may swallow it."""


@contextmanager
def time_out(seconds: float) -> Iterator[None]:
    """Raise `Hang` in the block after so many seconds of CPU time (where the platform has such a timer)."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# --- runs --------------------------------------------------------------------------------------------------


class Run:
    """One stream, fed and closed. `counts[i]` is how many characters of content and reasoning were out after
    chunk i; the last entry is after the close."""

    __slots__ = ("counts", "events", "message", "parser")

    def __init__(self, case: Case, chunks: Iterable[Chunk], **changes: Any) -> None:
        self.parser = hp.StreamParser(**{**case.keywords(), **changes})
        self.events: list[Any] = []
        self.counts: list[tuple[int, int]] = []
        content = reasoning = 0
        batches: Iterator[list[Any]] = (_feed(self.parser, chunk) for chunk in chunks)
        for batch in batches:
            for event in batch:
                if event.type == "content_delta":
                    content += len(event.text)
                elif event.type == "reasoning_delta":
                    reasoning += len(event.text)
            self.events += batch
            self.counts.append((content, reasoning))
        self.events += self.parser.close(finish_reason=case.finish_reason)
        self.message = self.parser.message


def _feed(parser: Any, chunk: Chunk) -> list[Any]:
    channel, text = chunk
    events = parser.feed(text) if channel == "content" else parser.feed(text, channel=channel)
    if type(events) is not list:
        raise Finding("order", f"feed returned a {type(events).__name__}, not a list")
    return events


def plain_call(call: Any, text: str) -> tuple[Any, ...]:
    """A call as comparable values; a generated id counts as any other."""
    return (
        _id(call.id, text), call.source_id, call.name, call.arguments, call.complete, call.recovered,
        call.closing, tuple((d.code, d.start, d.end) for d in call.diagnostics),
    )  # fmt: skip


def _id(value: str, text: str) -> str:
    return value if value in text else "*"


def plain_events(events: Iterable[Any], text: str) -> list[tuple[Any, ...]]:
    """The events as comparable values: adjacent deltas joined, generated ids masked."""
    out: list[tuple[Any, ...]] = []
    pieces: list[str] = []
    key: tuple[Any, ...] | None = None
    for event in events:
        kind = event.type
        if kind in ("content_delta", "reasoning_delta"):
            new: tuple[Any, ...] | None = (kind,)
            piece = event.text
        elif kind == "tool_call_delta":
            new, piece = (kind, event.index), event.arguments
        else:
            new, piece = None, ""
        if key is not None and new != key:
            out.append((*key, "".join(pieces)))
            pieces = []
        key = new
        if new is not None:
            pieces.append(piece)
        elif kind == "tool_call_start":
            out.append((kind, event.index, _id(event.id, text), event.name))
        elif kind == "tool_call_end":
            out.append((kind, event.index, plain_call(event.tool_call, text)))
        elif kind == "reclassified":
            out.append((kind, event.to, event.length))
        elif kind == "diagnostic":
            out.append((kind, event.code, event.start, event.end, event.message))
        else:
            raise Finding("order", f"unknown event {kind!r}")
    if key is not None:
        out.append((*key, "".join(pieces)))
    return out


def plain_message(message: Any, text: str) -> dict[str, Any]:
    return {
        "content": message.content or "",
        "reasoning": message.reasoning or "",
        "calls": [plain_call(call, text) for call in message.tool_calls],
        "diagnostics": [(d.code, d.start, d.end, d.message) for d in message.diagnostics],
        "finish_reason": message.finish_reason,
    }


def _difference(got: Any, want: Any) -> str:
    if isinstance(got, dict):
        return "; ".join(f"{k}: {_difference(got[k], want[k])}" for k in got if got[k] != want[k])
    if isinstance(got, list) and isinstance(want, list):
        for i, (a, b) in enumerate(zip(got, want, strict=False)):
            if a != b:
                return f"[{i}] {a!r} != {b!r}"
        more = got[len(want) :] or want[len(got) :]
        return f"{len(got)} != {len(want)} items, more: {more[:3]!r}"
    return f"{got!r} != {want!r}"


class Observed:
    """The runs of one case that rules share."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.text = case.text
        self.rng = random.Random(f"{case.seed} observed")

    def fail(self, rule: str, detail: str) -> None:
        raise Finding(rule, detail, self.case)

    @functools.cached_property
    def whole(self) -> Run:
        return Run(self.case, self.case.cut_at(()))

    @functools.cached_property
    def whole_events(self) -> list[tuple[Any, ...]]:
        return plain_events(self.whole.events, self.text)

    @functools.cached_property
    def whole_message(self) -> dict[str, Any]:
        return plain_message(self.whole.message, self.text)

    @functools.cached_property
    def traced(self) -> Run:
        return Run(self.case, self.case.cut_at(()), trace=True)

    @functools.cached_property
    def characters(self) -> Run:
        return Run(self.case, self.case.cut_by(1))

    def same(self, rule: str, what: str, run: Run) -> None:
        """The run told the same as the whole."""
        events = plain_events(run.events, self.text)
        if events != self.whole_events:
            self.fail(rule, f"{what}: events differ: {_difference(events, self.whole_events)}")
        message = plain_message(run.message, self.text)
        if message != self.whole_message:
            self.fail(rule, f"{what}: message differs: {_difference(message, self.whole_message)}")


# --- the rules ---------------------------------------------------------------------------------------------


def cutting(seen: Observed) -> None:
    """Contract 1: the same events and message in every cutting, and by `parse()`."""
    for what, chunks in seen.case.cuttings():
        if seen.case.cuts is None and what == "single characters":
            run = seen.characters
        else:
            run = Run(seen.case, chunks)
        seen.same("cutting", what, run)
    if not seen.case.switches:
        message = hp.parse(seen.text, finish_reason=seen.case.finish_reason, **seen.case.keywords())
        if plain_message(message, seen.text) != seen.whole_message:
            detail = _difference(plain_message(message, seen.text), seen.whole_message)
            seen.fail("cutting", f"parse() differs from the stream: {detail}")


def order(seen: Observed) -> None:
    """Start, deltas, end; indices count from 0; one call at a time; no empty delta; one early `Reclassified`."""
    for run in (seen.whole, seen.characters):
        _order(seen, run)


def _order(seen: Observed, run: Run) -> None:
    opened = ended = content = 0
    calls_or_reasoning = reclassified = False
    for event in run.events:
        kind = event.type
        if kind == "content_delta" or kind == "reasoning_delta":
            if not event.text:
                seen.fail("order", f"empty {kind}")
            if opened != ended and not seen.case.switches:
                seen.fail("order", f"{kind} {event.text!r} inside call {opened - 1}")
            if kind == "content_delta":
                content += len(event.text)
            else:
                calls_or_reasoning = True
        elif kind == "tool_call_start":
            if opened != ended:
                seen.fail("order", f"call {event.index} starts inside call {opened - 1}")
            if event.index != opened:
                seen.fail("order", f"call {opened} has index {event.index}")
            if not event.name or not event.id:
                seen.fail("order", f"a call without {'id' if event.name else 'name'} started")
            opened += 1
            calls_or_reasoning = True
        elif kind == "tool_call_delta":
            if not event.arguments:
                seen.fail("order", "empty tool_call_delta")
            if opened == ended or event.index != opened - 1:
                seen.fail("order", f"delta of call {event.index} outside of it")
        elif kind == "tool_call_end":
            if opened == ended or event.index != opened - 1:
                seen.fail("order", f"end of call {event.index} outside of it")
            ended += 1
        elif kind == "reclassified":
            if reclassified or calls_or_reasoning:
                seen.fail(
                    "order", "Reclassified " + ("twice" if reclassified else "after a call or reasoning")
                )
            if event.to != "reasoning" or not 0 < event.length <= content:
                seen.fail("order", f"Reclassified {event.length} of {content} characters to {event.to}")
            reclassified = True
        elif kind == "diagnostic":
            if not 0 <= event.start <= event.end <= len(seen.text) and "prompt" not in seen.case.options:
                seen.fail("order", f"{event.code} at {event.start}-{event.end} of {len(seen.text)}")
            if not re.fullmatch(r"[a-z]+(-[a-z]+)*", event.code) or not event.message:
                seen.fail("order", f"diagnostic {event.code!r} {event.message!r}")
    if opened != ended:
        seen.fail("order", f"call {opened - 1} has no end")


def message(seen: Observed) -> None:
    """The message is what the events tell."""
    content: list[str] = []
    reasoning: list[str] = []
    calls: list[Any] = []
    starts: list[Any] = []
    diagnostics: list[Any] = []
    for event in seen.whole.events:
        if event.type == "content_delta":
            content.append(event.text)
        elif event.type == "reasoning_delta":
            reasoning.append(event.text)
        elif event.type == "tool_call_start":
            starts.append((event.id, event.name))
        elif event.type == "tool_call_end":
            calls.append(event.tool_call)
        elif event.type == "diagnostic":
            diagnostics.append(event)
        elif event.type == "reclassified":
            so_far = "".join(content)
            content = [so_far[: len(so_far) - event.length]]
            reasoning = [so_far[len(so_far) - event.length :]]
    got = seen.whole.message
    for what, told, said in (
        ("content", "".join(content), got.content or ""),
        ("reasoning", "".join(reasoning), got.reasoning or ""),
        ("calls", calls, got.tool_calls),
        ("names and ids", starts, [(c.id, c.name) for c in got.tool_calls]),
        ("diagnostics", diagnostics, got.diagnostics),
    ):
        if told != said:
            seen.fail("message", f"{what}: events tell {told!r}, the message says {said!r}")
    if got.content == "" or got.reasoning == "":
        seen.fail("message", 'nothing is None, not ""')
    if len({c.id for c in got.tool_calls}) != len(got.tool_calls):
        seen.fail("message", f"ids repeat: {[c.id for c in got.tool_calls]}")
    known = {(d.code, d.start, d.end) for d in got.diagnostics}
    for call in got.tool_calls:
        for d in call.diagnostics:
            if (d.code, d.start, d.end) not in known:
                seen.fail("message", f"{d!r} of a call is not among the message's")
    for made in (got.to_dict(), got.to_openai(), *(e.to_dict() for e in seen.whole.events)):
        json.dumps(made)


_NO_SPLIT_ESCAPE = re.compile(r'(?:[^\\]|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])*+', re.DOTALL)
_HIGH = re.compile(r"(?:^|[^\\])(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}$")
_LOW = re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")


def json_arguments(seen: Observed) -> None:
    """Contract 4: arguments are a JSON object, deltas append to it, a cut call is not complete nor run."""
    for run in (seen.whole, seen.characters):
        deltas: dict[int, list[str]] = {}
        for event in run.events:
            if event.type == "tool_call_delta":
                deltas.setdefault(event.index, []).append(event.arguments)
        for index, call in enumerate(run.message.tool_calls):
            _json_arguments(seen, call, deltas.get(index, []))
    got = seen.whole.message
    openai = got.to_openai().get("tool_calls") or []
    for call, told in zip(got.tool_calls, openai, strict=False):
        sent = told["function"]["arguments"]
        if call.complete and sent != call.arguments:
            seen.fail("json", f"to_openai() gives {sent!r} for {call.arguments!r}")
        if not call.complete and _is_object(sent):
            seen.fail("json", f"to_openai() gives a half call out as {sent!r}")
    cut = [c for c in got.tool_calls if not c.complete]
    if got.finish_reason not in FINISH_REASONS or cut and got.finish_reason != "length":
        seen.fail("json", f"finish_reason {got.finish_reason!r} with {len(cut)} cut calls")
    if not got.tool_calls and got.finish_reason == "tool_calls":
        seen.fail("json", "finish_reason tool_calls without a call")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _no_constant(text: str) -> Any:
    raise ValueError(text)


_GOES_ON = re.compile(r"[ \t\r\n]*(?:[}\]]|\Z)")
_CLOSERS = re.compile(r"[ \t\r\n}\]]*")
_DECODER = json.JSONDecoder(parse_constant=_no_constant)
# Every member counts for the depth, also the one that a repeated key replaces.
_MEMBERS = json.JSONDecoder(object_pairs_hook=lambda pairs: [value for _, value in pairs])


def _json_arguments(seen: Observed, call: Any, deltas: list[str]) -> None:
    joined = "".join(deltas)
    try:
        value = json.loads(call.arguments, parse_constant=_no_constant)
    except ValueError as error:
        seen.fail("json", f"arguments {call.arguments!r} (complete={call.complete}): {error}")
    if not isinstance(value, dict):
        seen.fail("json", f"arguments {call.arguments!r} are no object")
    if call.complete and joined != call.arguments:
        seen.fail("json", f"deltas {joined!r} of a complete call, arguments {call.arguments!r}")
    if not call.arguments.startswith(joined):
        seen.fail("json", f"deltas {joined!r} are no prefix of {call.arguments!r}")
    if joined + call.closing != call.arguments:
        seen.fail("json", f"deltas {joined!r}, closing {call.closing!r}, arguments {call.arguments!r}")
    before = ""
    raw_surrogates = re.search("[\ud800-\udfff]", seen.text)
    for delta in deltas:
        whole = _NO_SPLIT_ESCAPE.match(delta)
        if whole is None or whole.end() != len(delta):
            seen.fail("json", f"a delta ends inside an escape or begins there: {delta!r}")
        if not raw_surrogates and _HIGH.search(before) and _LOW.match(delta):
            seen.fail("json", f"a surrogate pair is split: {before[-12:]!r} {delta[:12]!r}")
        before = delta
    limit = seen.case.options.get("max_depth", 200)
    if _depth(value) > limit:
        seen.fail("json", f"{_depth(value)} levels, max_depth {limit}")
    if call.complete:
        if call.arguments_dict() != value and value == value:
            seen.fail("json", "arguments_dict() is something else")
        return
    try:
        call.arguments_dict()
    except hp.IncompleteToolCallError:
        call.arguments_dict(allow_incomplete=True)
    else:
        seen.fail("json", "arguments_dict() of a cut call did not refuse")


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while level:
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
            else:
                continue
        if any(isinstance(each, (dict, list)) for each in level):
            depth += 1
        level = inner
    return depth


def spans(seen: Observed) -> None:
    """Contract 2: with tracing, the spans tile the input, and content is what the content spans hold."""
    if "prompt" in seen.case.options:
        return
    got = seen.traced.message
    if got.spans is None:
        raise Finding("spans", "trace=True gave none", seen.case)
    at = 0
    for span in got.spans:
        if span.start != at or span.end <= span.start:
            seen.fail("spans", f"{span!r} does not begin at {at}, or is empty")
        if span.kind not in SPAN_KINDS:
            seen.fail("spans", f"unknown kind {span.kind!r}")
        if span.call_index is not None and not 0 <= span.call_index < len(got.tool_calls):
            seen.fail("spans", f"{span!r}: there are {len(got.tool_calls)} calls")
        at = span.end
    if at != len(seen.text):
        seen.fail("spans", f"they end at {at} of {len(seen.text)}")
    for kind, said in (("content", got.content), ("reasoning", got.reasoning)):
        held = "".join(seen.text[s.start : s.end] for s in got.spans if s.kind == kind)
        if held != (said or ""):
            seen.fail("spans", f"the {kind} spans hold {held!r}, the message {said!r}")
    parts = [(s.start, s.end) for s in got.spans if s.kind in ("content", "reasoning")]
    for d in got.diagnostics:
        if d.code == "failed-start":
            _given_back(seen, d.start, d.end, parts)
    of_call: dict[int | None, list[Any]] = {}
    for span in got.spans:
        of_call.setdefault(span.call_index, []).append(span)
    # an object between tokens is no JSON, though it may look so
    tokens = "<start_function_call>" in seen.text or "call:" in seen.text
    for index, call in enumerate(got.tool_calls):
        own = of_call.get(index, [])
        starts = [s.start for s in own if s.kind == "arguments"]
        tagged = tokens or any(s.kind in ("key", "value") for s in own)
        if starts and not tagged:
            _passed_through(seen, call, starts[0])
        named = [seen.text[s.start : s.end] for s in own if s.kind == "name"]
        forced = seen.case.options.get("tool_choice") not in (None, "auto", "none")
        # a forced call may hold its arguments alone; a marker such as <|python_tag|> names the tool
        if not named and not forced and call.name != "python":
            seen.fail("spans", f"no name span for call {index}")
    chars = Run(seen.case, seen.case.cut_by(1), trace=True)
    if chars.message.spans != got.spans:
        seen.fail("spans", f"by single characters: {_difference(chars.message.spans, got.spans)}")


def _given_back(seen: Observed, start: int, end: int, text_parts: list[tuple[int, int]]) -> None:
    """What failed as a call is text again, all of it but for blanks."""
    left = start
    for a, b in [*text_parts, (len(seen.text), len(seen.text))]:
        if b <= left:
            continue
        if left < end and seen.text[left : min(a, end)].strip():
            seen.fail(
                "spans", f"a failed start at {start}-{end}: {seen.text[left : min(a, end)]!r} is no text"
            )
        left = max(left, b)


def _passed_through(seen: Observed, call: Any, start: int) -> None:
    """Well-formed JSON passes through byte for byte, whatever stands in its strings and behind it."""
    if seen.case.switches:  # a channel that ends inside the object cuts it
        return
    if seen.text[:start].rstrip().endswith("("):  # an argument in parentheses, which must be closed as well
        return
    start += len(seen.text[start:]) - len(seen.text[start:].lstrip(" \t\r\n"))
    try:
        value, end = _DECODER.raw_decode(seen.text, start)
        levels = _depth(_MEMBERS.raw_decode(seen.text, start)[0])
    except (ValueError, RecursionError):
        return
    markup = [s for s in seen.traced.message.spans or () if s.end <= start and s.kind == "markup"]
    if any("{" in seen.text[s.start : s.end] for s in markup[-3:]):
        # a member of an object that is broken behind it: its quotes may be read otherwise
        behind = _CLOSERS.match(seen.text, end)
        assert behind is not None
        if (
            not _GOES_ON.match(seen.text, end)
            or "]" in behind[0]
            or seen.text[behind.end() :][:1] in ('"', "'")
        ):
            return
    raw = seen.text[start:end]
    if (
        value == {} and call.arguments == "{}"
    ):  # bare keys are no JSON, and of none of them blanks may be left
        return
    if isinstance(value, dict) and levels < seen.case.options.get("max_depth", 200):
        # cut off by max_tokens, nothing behind them proves the end of what was mended
        proven = seen.case.finish_reason != "length" or seen.text[end:].strip(" \t\r\n}]")
        if raw != call.arguments or not call.complete and proven:
            how = "" if call.complete else ", incomplete"
            seen.fail("spans", f"well-formed arguments {raw!r} became {call.arguments!r}{how}")


def trace(seen: Observed) -> None:
    """Tracing changes no event."""
    seen.same("trace", "trace=True", seen.traced)
    if seen.whole.message.spans is not None:
        seen.fail("trace", "spans without trace=True")


def prompt(seen: Observed) -> None:
    """Contract 3: what was held is held for a marker, a decision, or under `max_held`.

    Which holds are right depends on the text. But none may last longer than `max_held` and the look-aheads
    together, and the delay of each character of content is known: the spans say where it stood.
    """
    cap = seen.case.options.get("max_held")
    if cap is None or seen.case.switches or "prompt" in seen.case.options or seen.case.grain > 1:
        return
    if any(e.type == "reclassified" for e in seen.whole.events):
        return
    limit = 2 * cap + LOOKAHEAD + blocks.vocabulary(seen.case.family).longest + 8
    if len(seen.text) <= limit:
        return
    for which, kind in ((0, "content"), (1, "reasoning")):
        places = [i for s in seen.traced.message.spans or () if s.kind == kind for i in range(s.start, s.end)]
        out = 0
        for step, counts in enumerate(seen.characters.counts):
            out = counts[which]
            while out < len(places) and _framing(seen.text, places[out]):
                out += 1
            if out < len(places) and step - places[out] > limit:
                detail = f"{kind} at {places[out]} not out after {step + 1} characters, max_held {cap}"
                seen.fail("prompt", detail)


def _framing(text: str, at: int) -> bool:
    """Blanks around calls, and fence lines, may wait for what follows."""
    if text[at].isspace():
        return True
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)]
    return "```" in line or "~~~" in line


def copies(seen: Observed) -> None:
    """A copy, a pickled and a deep-copied parser go on alike, and leave the original alone."""
    chunks = seen.case.cut_by(1 + seen.rng.randrange(5))
    if not chunks:
        return
    at = seen.rng.randrange(len(chunks))
    parser = hp.StreamParser(**seen.case.keywords())
    events: list[Any] = []
    for chunk in chunks[:at]:
        events += _feed(parser, chunk)
    others = {
        "copy()": parser.copy(),
        "pickle": pickle.loads(pickle.dumps(parser)),
        "deepcopy": copy.deepcopy(parser),
    }
    spoiled = parser.copy()
    _feed(spoiled, ("content", '<"}]spoiled'))
    spoiled.close()
    want: tuple[Any, ...] | None = None
    for what, other in (("original", parser), *others.items()):
        rest = list(events)
        for chunk in chunks[at:]:
            rest += _feed(other, chunk)
        rest += other.close(finish_reason=seen.case.finish_reason)
        told = plain_events(rest, seen.text)
        got = plain_message(other.message, seen.text)
        if want is None:
            want = told, got
        elif told != want[0]:
            seen.fail("copies", f"{what} at chunk {at}: {_difference(told, want[0])}")
        elif got != want[1]:
            seen.fail("copies", f"message of the {what} at chunk {at}: {_difference(got, want[1])}")


def _without_arguments(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """End events without what was told before: a parser that keeps nothing may leave out the arguments, and
    diagnostics beyond the first thousand of a call.
    """
    return [
        (*e[:2], (*e[2][:3], *e[2][4:7], e[2][7][:1000])) if e[0] == "tool_call_end" else e for e in events
    ]


def collect(seen: Observed) -> None:
    """`collect=False` gives the same events."""
    run = Run(seen.case, seen.case.cut_by(1), collect=False)
    told = _without_arguments(plain_events(run.events, seen.text))
    want = _without_arguments(plain_events(seen.characters.events, seen.text))
    if told != want:
        seen.fail("collect", _difference(told, want))


def close(seen: Observed) -> None:
    """Closing twice is closing once."""
    parser = seen.whole.parser
    again = parser.close(finish_reason=seen.case.finish_reason)
    if again:
        seen.fail("close", f"a second close gave {again!r}")
    if plain_message(parser.message, seen.text) != seen.whole_message:
        seen.fail("close", "a second close changed the message")


def snapshot(seen: Observed) -> None:
    """Before the close, the message is what was given out; asking for it changes nothing."""
    parser, silent = (hp.StreamParser(**seen.case.keywords()) for _ in range(2))
    chunks = seen.case.cut_by(1 + seen.rng.randrange(7))
    stops = {seen.rng.randrange(len(chunks)) for _ in range(3)} if chunks else set()
    events: list[Any] = []
    want: list[Any] = []
    for at, chunk in enumerate(chunks):
        events += _feed(parser, chunk)
        want += _feed(silent, chunk)
        if at in stops:
            _snapshot(seen, parser.message, events)
    events += parser.close(finish_reason=seen.case.finish_reason)
    want += silent.close(finish_reason=seen.case.finish_reason)
    told, expected = plain_events(events, seen.text), plain_events(want, seen.text)
    if told != expected:
        seen.fail("snapshot", f"asking for the message changed events: {_difference(told, expected)}")


def _snapshot(seen: Observed, got: Any, events: list[Any]) -> None:
    content = "".join(e.text for e in events if e.type == "content_delta")
    reasoning = "".join(e.text for e in events if e.type == "reasoning_delta")
    for e in events:
        if e.type == "reclassified":
            return
    if (got.content or "") != content or (got.reasoning or "") != reasoning:
        seen.fail("snapshot", f"{got.content!r}, {got.reasoning!r} but out are {content!r}, {reasoning!r}")
    names = [e.name for e in events if e.type == "tool_call_start"]
    if [c.name for c in got.tool_calls] != names:
        seen.fail("snapshot", f"calls {[c.name for c in got.tool_calls]}, but started are {names}")
    ended = sum(e.type == "tool_call_end" for e in events)
    for index, call in enumerate(got.tool_calls):
        joined = "".join(e.arguments for e in events if e.type == "tool_call_delta" and e.index == index)
        if not _is_object(call.arguments) or not call.arguments.startswith(joined):
            seen.fail("snapshot", f"arguments {call.arguments!r}, deltas {joined!r}")
        if index >= ended and call.complete:
            seen.fail("snapshot", f"call {index} is complete before its end")


def memory(seen: Observed) -> None:
    """Contract 6: what a parser keeps does not grow with what it has read.

    Up to so many pieces may wait to be dropped together: the sizes are those after thousands of chunks.
    """
    if not seen.text or seen.case.switches or seen.rng.randrange(160):
        return
    options = {"max_depth": 8, **seen.case.options}
    options["max_held"] = min(options.get("max_held", 64), 500)
    parser = hp.StreamParser(**{**seen.case.keywords(), **options, "collect": False})
    sizes = []
    for _ in range(5):
        for _ in range(1500):
            parser.feed(seen.text[:60])
        sizes.append(len(pickle.dumps(parser)))
    if all(b - a > 500 for a, b in zip(sizes, sizes[1:], strict=False)):
        seen.fail("memory", f"the state grows with the stream: {sizes} bytes after 1500 more chunks each")


def policy(seen: Observed) -> None:
    """What the documented options promise whatever the text is."""
    got = seen.whole.message
    options = seen.case.options
    if options.get("tool_choice") == "none" and got.tool_calls:
        seen.fail("policy", "a call although tool_choice is none")
    declared = {
        "declared": {t["function"]["name"] for t in blocks.TOOLS},
        "rich": {t["function"]["name"] for t in blocks.RICH_TOOLS},
        "none": set(),
    }.get(seen.case.tools)
    codes = {d.code for d in got.diagnostics}
    if (
        declared is not None
        and any(c.name not in declared for c in got.tool_calls)
        and "undeclared-tool" not in codes
    ):
        seen.fail("policy", "an undeclared tool without a diagnostic")
    if any(not c.complete for c in got.tool_calls) and not codes & {"cut", "too-deep", "max-held"}:
        seen.fail("policy", f"a cut call without a diagnostic: {sorted(codes)}")
    for call in got.tool_calls:
        # a quote may stand in a JSON name, escaped: records of other projects have such tools
        if len(call.name) > 256 or re.search(r"[\s()\[\]{}]", call.name):
            seen.fail("policy", f"name {call.name!r}")


RULES: dict[str, Callable[[Observed], None]] = {
    "order": order,
    "message": message,
    "json": json_arguments,
    "cutting": cutting,
    "spans": spans,
    "trace": trace,
    "prompt": prompt,
    "copies": copies,
    "collect": collect,
    "close": close,
    "snapshot": snapshot,
    "memory": memory,
    "policy": policy,
}
"""By name, in the order in which they are checked."""


def check(case: Case, rules: Collection[str] | None = None, *, seconds: float = 20.0) -> None:
    """Check the case against the rules (all of them by default).

    Raises:
        Finding: at the first that does not hold; `rule` is `exception` or `hang` if the parser raised or did
            not come to an end within the seconds.
    """
    seen = Observed(case)
    try:
        with time_out(seconds):
            for rule, test in RULES.items():
                if rules is None or rule in rules:
                    test(seen)
    except Finding as finding:
        if finding.case is None:
            finding = Finding(finding.rule, finding.detail, case)
        raise finding from None
    except Hang:
        raise Finding("hang", f"no end within {seconds} s", case) from None
    except Exception as error:
        raise Finding("exception", f"{type(error).__name__}: {error}", case) from error


# --- texts that must stream --------------------------------------------------------------------------------


def check_streams(
    family: str,
    text: str,
    before: str = "",
    *,
    tools: list[dict[str, Any]] | None = blocks.TOOLS,
    **options: Any,
) -> None:
    """Of a text in which nothing can begin, each character is out as soon as the longest marker is over.

    `before` is fed first, in one piece: what opens the value or the reasoning block in which the text stands.
    """
    limit = LOOKAHEAD + blocks.vocabulary(family).longest
    parser = hp.StreamParser(parser=family, tools=tools, **options)
    _feed(parser, ("content", before))
    out = 0
    for fed, character in enumerate(text, 1):
        for event in _feed(parser, ("content", character)):
            if event.type in ("content_delta", "reasoning_delta"):
                out += len(event.text)
            elif event.type == "tool_call_delta":
                out += len(event.arguments)
        if fed - out > limit:
            detail = f"{family}: {fed} characters of plain text in, {out} out: {before + text!r}"
            raise Finding("prompt", detail)
