"""What a request says about its answer: `WireOptions` of the caller, `Exchange` of one request and its answer.

Theory. The answer's text can be read right only with what was asked: the tools (names, types of arguments), the
choice among them, and whether the prompt opened the reasoning block, which the client never sees but which the
request's thinking flags and the model decide. A request without tools gets no calls: then markup in the answer is
somebody's prose about it (`parse_without_tools` is for tools that the prompt describes in its own words).

`upstream="text"` is for servers that parse calls wrongly: they get the tools, and `tool_choice: "none"`, so that the
text comes as the model wrote it, and it is parsed here with the choice that the client had made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..families import registry
from ..families.dialects import new_call_id
from ..parser import StreamParser
from ..select import opens_if_thinking, opens_reasoning, resolve_parser
from ..tools import ToolSet
from .calls import Incomplete
from .fields import ReasoningField, reasoning_fields

if TYPE_CHECKING:
    from .sse_stream import SSENormalizer
    from .stream import ChatNormalizer

__all__ = ["Exchange", "WireOptions", "thinking_flag"]


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WireOptions:
    """How answers are read. What is left None is taken from the request.

    Attributes:
        parser: the family's id or alias; "openai": text is never parsed, only the shape is mended.
        tool_call_parser: the same; two that differ are an error.
        model: the model's name; None: that of the request, else of the answer.
        chat_template, response_template: as `StreamParser` takes them.
        tools: the tools; None: those of the request. Without a request, None is "not known" and [] is "none".
        tool_choice: as the API has it.
        starts_in_reasoning: whether the prompt opened the reasoning block; None: as the request's flags, and the
            model, say.
        recovery, calls_in_reasoning, max_held, max_depth: as `StreamParser` takes them.
        id_factory: makes ids for calls that have none.
        reasoning: the field that reasoning is given out in.
        incomplete: what becomes of a call that was cut: "cut" (its arguments stay as they are), "mend" (they are
            closed) or "drop" (calls are given out only when they are whole).
        parse_without_tools: read calls although the request has no tools.
        upstream: "native": send the request as it is; "text": ask so that the server leaves calls as text.
    """

    parser: str | None = None
    tool_call_parser: str | None = None
    model: str | None = None
    chat_template: Any = None
    response_template: Any = None
    tools: Any = None
    tool_choice: Any = None
    starts_in_reasoning: bool | None = None
    recovery: Literal["declared", "strict", "lenient"] = "declared"
    calls_in_reasoning: Literal["call", "text"] = "call"
    id_factory: Callable[[], str] | None = None
    max_held: int = 1 << 20
    max_depth: int = 200
    reasoning: ReasoningField = "reasoning_content"
    incomplete: Incomplete = "cut"
    parse_without_tools: bool = False
    upstream: Literal["native", "text"] = "native"

    def __post_init__(self) -> None:
        _one_of("reasoning", self.reasoning, get_args(ReasoningField))
        _one_of("incomplete", self.incomplete, ("cut", "mend", "drop"))
        _one_of("upstream", self.upstream, ("native", "text"))
        if self.tool_call_parser is not None:
            resolve_parser(parser=self.parser, tool_call_parser=self.tool_call_parser)
            object.__setattr__(self, "parser", self.parser or self.tool_call_parser)


_DEFAULT = WireOptions()


class Exchange:
    """One request and its answer.

    Args:
        request: the body of a `/chat/completions` request; None: not known.
        options: how to read the answer.

    Attributes:
        body: the request to send.
        tools: the tools that calls may name; None: not known.
        wants_usage: whether the client asked for usage in the stream; None: not known.

    Raises:
        UnknownParserError, InvalidToolsError, ValueError: for what the caller gave. Tools of a request that are no
            definitions are the server's to refuse; then names are not checked.
    """

    __slots__ = (
        "_choice",
        "body",
        "continuous_usage",
        "legacy",
        "options",
        "request",
        "tools",
        "wants_usage",
    )

    def __init__(self, request: Mapping[str, Any] | None = None, options: WireOptions = _DEFAULT) -> None:
        self.request = request
        self.options = options
        if options.parser is not None:
            resolve_parser(parser=options.parser)
        asked = request or {}
        tools = asked.get("tools") or asked.get("functions")
        self.legacy = bool(asked.get("functions")) and not asked.get("tools")
        choice = options.tool_choice
        if choice is None:
            choice = asked.get("function_call" if self.legacy else "tool_choice")
        if options.tools is not None:
            self.tools: ToolSet | None = ToolSet.of(options.tools)
        elif request is None:
            self.tools = None
        else:
            self.tools = _tools(tools, self.legacy)
        if not options.parse_without_tools and self.tools is not None and not len(self.tools):
            choice = "none"
        if options.parse_without_tools and self.tools is not None and not len(self.tools):
            self.tools = None
        self._choice = choice if _is_choice(choice) else None
        stream_options = asked.get("stream_options")
        asks = stream_options if isinstance(stream_options, Mapping) else {}
        self.wants_usage = None if request is None else bool(asks.get("include_usage"))
        self.continuous_usage = bool(asks.get("continuous_usage_stats"))
        self.body: Mapping[str, Any] = asked
        if options.upstream == "text" and (asked.get("tools") or asked.get("functions")):
            key = "function_call" if self.legacy else "tool_choice"
            self.body = {**asked, key: "none"}

    # -- what the answer needs ---------------------------------------------------------------------------------

    @property
    def reasoning_fields(self) -> tuple[str, ...]:
        """Where reasoning is given out."""
        return reasoning_fields(self.options.reasoning)

    def model(self, told: str | None = None) -> str | None:
        """The model's name: the caller's, the request's, or the one that the answer tells."""
        asked = (self.request or {}).get("model")
        return self.options.model or (asked if isinstance(asked, str) and asked else None) or told

    def parser(self, told: str | None, inside: bool | None) -> StreamParser:
        """A parser for the answer's text. `told`: the model's name as the answer has it."""
        options = self.options
        return StreamParser(
            parser=options.parser,
            model=self.model(told),
            chat_template=options.chat_template,
            response_template=options.response_template,
            tools=self.tools,
            tool_choice=self._choice,
            starts_in_reasoning=inside,
            recovery=options.recovery,
            calls_in_reasoning=options.calls_in_reasoning,
            id_factory=options.id_factory,
            max_held=options.max_held,
            max_depth=options.max_depth,
            collect=False,
        )

    def starts_in_reasoning(self, told: str | None) -> bool | None:
        """Whether the text begins inside reasoning: as the caller says, else as the request's flags and model do."""
        options = self.options
        if options.starts_in_reasoning is not None:
            return options.starts_in_reasoning
        model = self.model(told)
        flag = thinking_flag(self.request or {})
        if flag is False:
            return False
        resolution = resolve_parser(
            model=model,
            parser=options.parser,
            chat_template=options.chat_template,
            response_template=options.response_template,
        )
        family = registry.get_family(resolution.parser)
        if family.closed_after_tools and _after_tools(self.request or {}):
            return False
        return True if opens_reasoning(family, model) or (flag and opens_if_thinking(family, model)) else None

    def new_id(self) -> str:
        """An id for a call that has none."""
        factory = self.options.id_factory
        if factory is not None:
            return factory()
        return new_call_id()

    # -- what reads it -----------------------------------------------------------------------------------------

    def normalizer(self) -> ChatNormalizer:
        """For the chunks of a streamed answer."""
        from .stream import ChatNormalizer

        return ChatNormalizer(self)

    def sse(self) -> SSENormalizer:
        """For the bytes of a streamed answer."""
        from .sse_stream import SSENormalizer

        return SSENormalizer(self)

    def response(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """A whole answer in the safe shape.

        Raises:
            UpstreamError: it is an error.
        """
        from .whole import normalize_completion

        return normalize_completion(payload, self)[0]


def thinking_flag(request: Mapping[str, Any]) -> bool | None:
    """Whether a request turns thinking on or off, in any of the ways that servers take; None: it says nothing."""
    kwargs = request.get("chat_template_kwargs")
    for place in (kwargs if isinstance(kwargs, Mapping) else {}, request):
        for key in ("enable_thinking", "thinking", "think"):
            value = place.get(key)
            if isinstance(value, bool):
                return value
            if isinstance(value, Mapping) and value.get("type") in ("enabled", "adaptive", "disabled"):
                return bool(value["type"] != "disabled")
    reasoning = request.get("reasoning")
    if isinstance(reasoning, Mapping):
        if isinstance(reasoning.get("enabled"), bool):
            return bool(reasoning["enabled"])
        if reasoning.get("effort") == "none":
            return False
    if request.get("reasoning_effort") == "none" or request.get("reasoning_budget") == 0:
        return False
    return None


def _after_tools(request: Mapping[str, Any]) -> bool:
    """Whether the conversation ends with a tool's result."""
    messages = request.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, Mapping) and last.get("role") in ("tool", "function")


def _tools(tools: object, legacy: bool) -> ToolSet | None:
    if not isinstance(tools, list) or not tools:
        return ToolSet([])
    try:
        return ToolSet([{"type": "function", "function": tool} for tool in tools] if legacy else tools)
    except ValueError:
        return None


def _is_choice(choice: Any) -> bool:
    if choice is None or isinstance(choice, str):
        return choice != ""
    if not isinstance(choice, Mapping):
        return False
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    kind = choice.get("mode") or choice.get("type")
    return isinstance(name, str) or kind in ("auto", "none", "required", "any")
