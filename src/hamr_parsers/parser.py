"""`parse`, `StreamParser` and their iterator forms: a text, or a stream of chunks, to events and a message.

Theory. A `StreamParser` is the engine's `Machine` with the questions answered that a machine cannot answer:
which family (select.py), which tools, does the text begin inside a reasoning block. `parse` is a stream of
one chunk, so that one-shot and streaming cannot differ.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from .engine.machine import Machine, Settings
from .events import ContentDelta, Event, Span
from .families import registry
from .families.dialects import dialect, is_made
from .families.entry import Family
from .message import ParsedMessage
from .select import opens_reasoning, resolve_parser
from .tools import ToolSet

__all__ = ["StreamParser", "aiter_events", "iter_events", "parse"]

_RECOVERY = ("declared", "strict", "lenient")
_IN_REASONING = ("call", "text")


class StreamParser(Machine):
    """Reads one answer of a model, chunk by chunk.

    Args:
        parser: a family's id or any alias; `tool_call_parser` is the same. Overrides all other evidence.
        model: the model's name.
        chat_template: its chat template.
        tools: the tools that were offered, in any form that `ToolSet` takes, or a ToolSet. None: not known;
            []: none.
        starts_in_reasoning: whether the prompt ended inside an open reasoning block; None: as `prompt` shows
            or the model always does, else the text itself tells.
        prompt: the prompt's end, as the model saw it; what stands behind the last opener of an assistant turn
            counts.
        tool_choice: "auto", "none", "required", a tool's name, or the chat API's dict.
        recovery: "declared" (a doubtful start needs a declared tool), "strict" (only what the template
            writes) or "lenient" (any name will do).
        calls_in_reasoning: "call" or "text".
        id_factory: makes ids for calls without one.
        max_held: most characters of the input that a start of a call, or a value of unknown type, may hold
            back.
        max_depth: deepest nesting of arguments.
        collect: keep text and calls for `message`; without it memory does not grow.
        trace: keep spans.
        response_template: a checkpoint's own description of its output, as transformers defines it: the
            template or all of `tokenizer_config.json`, as a mapping, JSON text or a path.

    Raises:
        UnknownParserError: no family has this name.
        InvalidToolsError: `tools` holds something that is not a tool.
        InvalidResponseTemplateError: `response_template` is none, or cannot be honoured.
        ValueError: another argument has no such value.
    """

    __slots__ = ("parser",)

    def __init__(
        self,
        *,
        parser: str | None = None,
        model: str | None = None,
        chat_template: Any = None,
        tools: Any = None,
        tool_call_parser: str | None = None,
        starts_in_reasoning: bool | None = None,
        prompt: str | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        recovery: Literal["declared", "strict", "lenient"] = "declared",
        calls_in_reasoning: Literal["call", "text"] = "call",
        id_factory: Callable[[], str] | None = None,
        max_held: int = 1 << 20,
        max_depth: int = 200,
        collect: bool = True,
        trace: bool = False,
        response_template: Any = None,
    ) -> None:
        if recovery not in _RECOVERY:
            raise ValueError(f"recovery must be one of {', '.join(_RECOVERY)}, not {recovery!r}")
        if calls_in_reasoning not in _IN_REASONING:
            raise ValueError(f"calls_in_reasoning must be 'call' or 'text', not {calls_in_reasoning!r}")
        if max_held < 1 or max_depth < 1:
            raise ValueError("max_held and max_depth must be at least 1")
        resolution = resolve_parser(model, parser, chat_template, tool_call_parser, response_template)
        family = registry.get_family(resolution.parser)
        if response_template is not None and family.kind == "response_template":
            from .families.response_template import template_family  # it imports pydantic

            family = template_family(response_template, family)
        choice = _tool_choice(tool_choice)
        settings = Settings(
            tools if type(tools) is ToolSet else ToolSet.of(tools),
            choice,
            recovery,
            calls_in_reasoning,
            max_held,
            max_depth,
            collect,
            trace,
        )
        prefill = _prefill(family, prompt) if prompt else None
        inside = starts_in_reasoning
        if inside is None and (prefill is None or is_made(family)) and opens_reasoning(family, model):
            inside = True
        reads = dialect(family, choice not in ("auto", "none"))
        if prompt and prefill is None and is_made(family) and reads.grammar is not None:
            prefill = _opened(reads.grammar.spellings.get("THINK", []), prompt)
        super().__init__(reads, settings, inside, id_factory)
        self.parser: str = family.id
        if prefill and starts_in_reasoning is None:
            self._prefill(prefill)

    @property
    def message(self) -> ParsedMessage:
        """What `parse` would return; before `close()`, a snapshot of what was given out."""
        content, reasoning = self._content.text(), self._reasoning.text()
        calls = list(self._calls)
        call = self._call
        if call is not None and call.index >= 0 and not call.silent and self._settings.collect:
            rest = self.copy()
            rest.close("length")
            ended = rest._calls[len(calls)]  # what the open call would be if the text ended here
            given = sum(map(len, call.pieces))
            calls.append(replace(ended, complete=False, closing=ended.arguments[given:]))
        if any(not c.complete for c in calls) or self._final_reason == "length":
            reason = "length"
        else:
            reason = "tool_calls" if calls else "stop"
        collect = self._settings.collect
        return ParsedMessage(
            content=(content or None) if collect else None,
            reasoning=(reasoning or None) if collect else None,
            tool_calls=calls,
            diagnostics=list(self._diagnostics),
            finish_reason=reason,
            spans=self.spans,
        )

    @property
    def spans(self) -> list[Span] | None:
        """With `trace`, what the text so far was; spans of one kind that touch are joined."""
        if self._spans is None:
            return None
        out: list[Span] = []
        at = 0
        for kind, length, index in self._spans:
            index = index if isinstance(index, int) else None
            if not length:
                continue
            if out and out[-1].kind == kind and out[-1].call_index == index:
                out[-1].end += length
            else:
                out.append(Span(kind, at, at + length, index))
            at += length
        return out

    def copy(self) -> StreamParser:
        """An independent parser at the same place."""
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> StreamParser:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        for name in _slots(type(self)):
            value = getattr(self, name)
            setattr(new, name, value if name in _SHARED else copy.deepcopy(value, memo))
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        still = self.copy()
        still._leave()  # what the hot path keeps for itself is put where it belongs
        state = {name: getattr(still, name) for name in _slots(type(self)) if name not in _LOCAL}
        if self._new_id is self._dialect.new_id:
            state["_new_id"] = None
        dialect = self._dialect
        assert dialect.again is not None
        family = dialect.again[1] if isinstance(dialect.again[1], Family) else registry.get_family(dialect.id)
        return (_restore, (type(self), family, dialect.forced, self.parser), state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        if state["_new_id"] is None:
            self._new_id = self._dialect.new_id
        self._search, self._memo, self._sink, self._event = None, {}, [], ContentDelta
        self._quick = None
        self._set_mode()

    def __repr__(self) -> str:
        return f"<StreamParser {self.parser}{' closed' if self._closed else ''}>"


_LOCAL = frozenset(("_search", "_quick", "_memo", "_sink", "_event", "_dialect"))
_SHARED = frozenset(("_dialect", "_settings", "_new_id", "_node", "_search", "_memo", "_home", "parser"))


def _slots(cls: type) -> list[str]:
    return [name for c in cls.__mro__ for name in getattr(c, "__slots__", ())]


def _restore(cls: type[StreamParser], family: Family, forced: bool, parser: str) -> StreamParser:
    new = cls.__new__(cls)
    new._dialect = dialect(family, forced)
    if parser != family.id:  # auto had become this family: its places may still be referred to
        dialect(registry.get_family(parser), forced)
    return new


def _tool_choice(choice: str | Mapping[str, Any] | None) -> str:
    """ "auto", "none", "required", or "=NAME" for one tool."""
    if choice is None or choice in ("auto", "none", "required"):
        return str(choice or "auto")
    if choice == "any":
        return "required"
    if isinstance(choice, str):
        return "=" + choice
    if isinstance(choice, Mapping):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        if isinstance(name, str):
            return "=" + name
        kind = choice.get("mode") or choice.get("type")
        if kind in ("auto", "none", "required", "any"):
            return _tool_choice(kind)
    raise ValueError(
        f"tool_choice must be 'auto', 'none', 'required', a tool's name or the API's dict, not {choice!r}"
    )


def _prefill(family: Family, prompt: str) -> str | None:
    """What the prompt wrote of the answer itself; None if no assistant turn is opened in it."""
    ends = [at + len(opener) for opener in family.turn if (at := prompt.rfind(opener)) >= 0]
    return prompt[max(ends) :] if ends else None


def _opened(openers: list[str], prompt: str) -> str | None:
    """The opener of the reasoning that a prompt without any other mark ends with."""
    tail = prompt.rstrip()
    return next((opener for opener in openers if tail.endswith(opener.rstrip())), None)


def parse(text: str | bytes, *, finish_reason: str | None = None, **options: Any) -> ParsedMessage:
    """Read a whole answer. Options are those of `StreamParser`; `finish_reason` as the server gave it.

    Raises:
        UnknownParserError, InvalidToolsError, ValueError: as `StreamParser`; never because of the text.
    """
    parser = StreamParser(**options)
    parser.feed(text)
    parser.close(finish_reason)
    return parser.message


def iter_events(
    chunks: Iterable[str | bytes], *, finish_reason: str | None = None, **options: Any
) -> Iterator[Event]:
    """The events of a stream of chunks, as they come. Options are those of `StreamParser`."""
    parser = StreamParser(**options)
    for chunk in chunks:
        yield from parser.feed(chunk)
    yield from parser.close(finish_reason)


async def aiter_events(
    chunks: AsyncIterable[str | bytes], *, finish_reason: str | None = None, **options: Any
) -> AsyncIterator[Event]:
    """`iter_events` for an asynchronous iterable."""
    parser = StreamParser(**options)
    async for chunk in chunks:
        for event in parser.feed(chunk):
            yield event
    for event in parser.close(finish_reason):
        yield event
