"""`render`: an assistant message as the text that a model of a family would have written.

Theory. The entry of a family holds the canonical spelling of its template (`Family.canonical`): a few texts with
`{content}`, `{name}`, `{arguments}` and so on in them. Filling them in is all that writing takes; how a value is
spelled (JSON, Python, tokens, tags in tags) is one recursive writer with a handful of words that differ.

What a format cannot express is not listed anywhere. It shows when the text is read back: a message that does not
return as it was is refused with `RenderError`, and the parts of the message are tried one by one to name the one
that is to blame. So the promise `parse(render(m)) == m` rests on the parser itself and not on a second description
of each format. Outer blanks of content and reasoning are framing in most formats and are not compared; of ids, only
those that the format writes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from .arguments.equal import same_value
from .errors import RenderError
from .families import registry
from .families.dialects import dialect
from .families.entry import CANONICAL_FIELD, Family
from .message import ParsedMessage
from .parser import parse
from .select import opens_reasoning, resolve_parser
from .tools import ToolSet

__all__ = ["render"]

_MAX_DEPTH = 190  # what parsers take by default is 200


def render(
    message: ParsedMessage | Mapping[str, Any],
    *,
    parser: str | None = None,
    model: str | None = None,
    chat_template: Any = None,
    tool_call_parser: str | None = None,
    tools: Any = None,
    in_reasoning: bool | None = None,
    ids: Literal["keep", "make"] = "keep",
    check: bool = True,
) -> str:
    """Write an assistant message in a family's dialect: for prompts, training data and tests.

    Args:
        message: what `parse` returned, or an assistant message of the chat API (`content`, `reasoning_content` or
            `reasoning`, `tool_calls`).
        parser, tool_call_parser, model, chat_template: which family, as for `parse`.
        tools: the tools that the reader will know; formats without markers or without types need them to be read.
        in_reasoning: whether the text goes on from a prompt that opened the reasoning block; None: as the prompts
            of the model (or of all models of the family) always do.
        ids: "keep" the calls' ids where the format has them, or "make" new ones in the family's way.
        check: read the text back, and refuse a message that does not return as it was.

    Raises:
        RenderError: the family cannot express the message, or it is no assistant message. The error names the part
            that is to blame, and the way out.
        UnknownParserError, InvalidToolsError: as `parse`.
    """
    if ids not in ("keep", "make"):
        raise ValueError(f"ids must be 'keep' or 'make', not {ids!r}")
    family = registry.get_family(resolve_parser(model, parser, chat_template, tool_call_parser).parser)
    given = _read(message, family.id)
    if ids == "make":
        given = replace(given, calls=[replace(call, id=None) for call in given.calls])
    inside = opens_reasoning(family, model) if in_reasoning is None else in_reasoning
    writer = _Writer(family, inside)
    text = writer.text(given)
    if check:
        _Check(writer, ToolSet.of(tools)).run(given, text)
    return text


# --- the message ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    arguments: dict[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class _Message:
    content: str = ""
    reasoning: str = ""
    calls: list[_Call] = field(default_factory=list)


class _Number(float):
    """A number that keeps its spelling (`1.50`, or more digits than a float has)."""

    spelling: str


def _number(text: str) -> _Number:
    value = _Number(text)
    value.spelling = text
    return value


def _read(message: ParsedMessage | Mapping[str, Any], family: str) -> _Message:
    """The parts of a message of either kind."""
    if isinstance(message, ParsedMessage):
        calls = []
        for index, call in enumerate(message.tool_calls):
            if not call.complete:
                raise RenderError(
                    f"call {index} ({call.name!r}) was cut off: leave it out, or complete its arguments",
                    family,
                    "a call that was cut off",
                )
            where = f"call {index} ({call.name!r})"
            calls.append(
                _Call(call.name, _arguments(call.arguments, where, family), call.source_id or call.id)
            )
        return _Message(message.content or "", message.reasoning or "", calls)
    if not isinstance(message, Mapping):
        raise _wrong(f"an assistant message is wanted, not {type(message).__name__}", family)
    role = message.get("role", "assistant")
    if role != "assistant":
        raise _wrong(f"role: an assistant message is wanted, not one of {role!r}", family)
    reasoning = message.get("reasoning_content")
    if reasoning is None:
        reasoning = message.get("reasoning")
    tool_calls = message.get("tool_calls")
    if tool_calls is None:
        tool_calls = []
    if not isinstance(tool_calls, list | tuple):
        raise _wrong(f"tool_calls: a list is wanted, not {type(tool_calls).__name__}", family)
    return _Message(
        _text(message.get("content"), "content", family),
        _text(reasoning, "reasoning_content", family),
        [_call(call, f"tool_calls[{index}]", family) for index, call in enumerate(tool_calls)],
    )


def _wrong(reason: str, family: str) -> RenderError:
    return RenderError(reason, family, "the message")


def _text(value: object, where: str, family: str) -> str:
    """A text, or the text parts of a list of content parts."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        parts = []
        for index, part in enumerate(value):
            text = part.get("text") if isinstance(part, Mapping) else None
            if not isinstance(text, str):
                raise _wrong(f"{where}[{index}]: only parts with a text can be written", family)
            parts.append(text)
        return "".join(parts)
    raise _wrong(f"{where}: a text is wanted, not {type(value).__name__}", family)


def _call(value: object, where: str, family: str) -> _Call:
    function = value.get("function", value) if isinstance(value, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(function, Mapping) or not isinstance(name, str):
        raise _wrong(f"{where}: a call with a function's name and arguments is wanted", family)
    if not name:
        raise _wrong(f"{where}: the name is empty", family)
    call_id = value.get("id")
    if call_id is not None and not isinstance(call_id, str):
        raise _wrong(f"{where}.id: a text is wanted, not {type(call_id).__name__}", family)
    return _Call(name, _arguments(function.get("arguments"), where, family), call_id or None)


def _arguments(value: object, where: str, family: str) -> dict[str, Any]:
    """Arguments as a dict: from their JSON text, or as they are."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value, parse_float=_number)
        except (ValueError, RecursionError) as error:
            raise _wrong(f"{where}: the arguments are no JSON text: {error}", family) from None
        if value is None:
            return {}
    if not isinstance(value, Mapping):
        raise _wrong(f"{where}: the arguments are no object", family)
    return _plain(value, where, family, 0)  # type: ignore[no-any-return]


def _plain(value: Any, where: str, family: str, depth: int) -> Any:
    """The value if it is JSON; mappings and tuples as dicts and lists."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value) or isinstance(value, _Number):
            return value
        raise _wrong(f"{where}: {value!r} is no JSON value", family)
    if depth > _MAX_DEPTH:
        raise _wrong(f"{where}: the arguments are nested deeper than {_MAX_DEPTH} levels", family)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _wrong(f"{where}: the key {key!r} is no text", family)
        return {key: _plain(item, where, family, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where, family, depth + 1) for item in value]
    raise _wrong(f"{where}: {type(value).__name__} is no JSON value", family)


# --- values --------------------------------------------------------------------------------------------------


class _Style(NamedTuple):
    """How an encoding spells values."""

    string: Callable[[str], str]
    key: Callable[[str], str]
    words: tuple[str, str, str]  # true, false, null
    comma: str = ", "
    colon: str = ": "
    indent: int = 0

    def write(self, value: Any, margin: str = "") -> str:
        """The value; `margin` is what lines behind the first are indented by."""
        if isinstance(value, str):
            return self.string(value)
        if value is True or value is False or value is None:
            return self.words[2 if value is None else 1 - value]
        if isinstance(value, int | float):
            return value.spelling if isinstance(value, _Number) else repr(value)
        inner = margin + " " * self.indent
        if isinstance(value, dict):
            items = [self.key(k) + self.colon + self.write(v, inner) for k, v in value.items()]
        else:
            items = [self.write(v, inner) for v in value]
        opener, closer = "{}" if isinstance(value, dict) else "[]"
        if not items or not self.indent:
            return opener + self.comma.join(items) + closer
        return f"{opener}\n{inner}" + f",\n{inner}".join(items) + f"\n{margin}{closer}"


_LONE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_IDENTIFIER = re.compile(r"[^\W\d]\w*")


def _json_string(text: str) -> str:
    return _LONE.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(text, ensure_ascii=False))


def _python_string(text: str, quote: str) -> str:
    """As `repr` does it, but with no escape that JSON has not got."""
    if not quote:
        quote = '"' if "'" in text and '"' not in text else "'"
    text = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    text = _CONTROL.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", text)
    return quote + text + quote


_JSON = _Style(_json_string, _json_string, ("true", "false", "null"))


# --- writing -------------------------------------------------------------------------------------------------


def _fill(template: str, **parts: str) -> str:
    """The template with the fields of these parts in place; other braces are text."""
    return CANONICAL_FIELD.sub(lambda m: parts.get(m[0][1:-1], m[0]), template)


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "number"


class _Writer:
    """Fills in the canonical spelling of a family."""

    def __init__(self, family: Family, inside: bool) -> None:
        self.family = family
        self.inside = inside
        self.spelling = spelling = family.canonical
        if "content" not in spelling and family.kind != "passthrough":
            raise RenderError(
                f"{family.id} has no form of its own to write: name the model's family (`parser=` or `model=`)",
                family.id,
                "a message",
            )
        json_as = spelling.get("json", "")
        if json_as == "compact":
            self.json = _JSON._replace(comma=",", colon=":")
        else:
            self.json = _JSON._replace(indent=int(json_as or 0))
        quote = spelling.get("quote", "")
        self.python = _Style(
            lambda text: _python_string(text, quote),
            lambda text: _python_string(text, quote),
            ("True", "False", "None"),
        )

    def text(self, message: _Message) -> str:
        """The whole message."""
        return "".join(self._parts(message))

    def _parts(self, message: _Message) -> Iterator[str]:
        family, spelling = self.family.id, self.spelling
        if "reasoning" not in spelling and (message.reasoning or self.inside):
            raise RenderError(
                f"{family} cannot express reasoning: leave it out, or put it into the content",
                family,
                "reasoning",
            )
        if message.calls and "call" not in spelling:
            raise RenderError(
                f"{family} cannot express calls: name the model's family (`parser=` or `model=`)",
                family,
                "calls",
            )
        if message.reasoning or self.inside:
            template = spelling["reasoning"]
            if self.inside:
                template = "{reasoning}" + template.partition("{reasoning}")[2]
            yield _fill(template, reasoning=message.reasoning)
        else:
            yield spelling.get("no_reasoning", "")
        if not message.calls:
            if message.content:
                yield _fill(
                    spelling.get("answer", spelling.get("content", "{content}").rstrip()),
                    content=message.content,
                )
            yield spelling.get("end", "")
            return
        tail = spelling.get("tail", "")
        if "{content}" in tail:  # behind the calls
            tail = _fill(tail, content=message.content)
        elif message.content:
            yield _fill(spelling["content"], content=message.content)
        else:
            yield spelling.get("no_content", "")
        yield spelling.get("head", "")
        joint = spelling.get("joint", "")
        yield joint.join(self._call(call, index) for index, call in enumerate(message.calls))
        yield tail
        yield spelling.get("end", "")

    def _call(self, call: _Call, index: int) -> str:
        spelling = self.spelling
        arguments = call.arguments
        if spelling.get("keys") == "sorted":
            arguments = _sorted(arguments)
        template = spelling["call"]
        if not arguments:
            template = spelling.get("empty_call", template)
        parts = {"name": self._attribute(call.name), "index": str(index), "number": str(index + 1)}
        if "{id}" in template:
            parts["id"] = call.id or self._id(parts)
        if "{params}" in template:
            joint = spelling.get("param_joint", "")
            parts["params"] = joint.join(self._param(key, value) for key, value in arguments.items())
        if "{arguments}" in template:
            parts["arguments"] = self._arguments(arguments, template)
        return _fill(template, **parts)

    def _attribute(self, text: str) -> str:
        """A name or key, where they stand in attributes that know entities."""
        if self.spelling.get("attributes") == "xml":
            return text.replace("&", "&amp;").replace('"', "&quot;")
        return text

    def _id(self, parts: Mapping[str, str]) -> str:
        template = self.spelling.get("id")
        if template is None:
            template = "call{number}" if self.family.id_format == "call" else ""
        return _fill(template, **parts) or f"call{parts['number']:0>5}"

    def _arguments(self, arguments: dict[str, Any], template: str) -> str:
        encoding = self.spelling.get("arguments", "json")
        if encoding == "json":
            return self.json.write(arguments, _margin(template, "{arguments}"))
        if encoding == "dict":
            return self.python.write(arguments)
        if encoding == "tokens":
            return self._tokens().write(arguments)
        mixed = self.spelling.get("values") == "mixed"
        items = [
            f"{key}={(self.json if mixed and isinstance(value, dict | list) else self.python).write(value)}"
            if _IDENTIFIER.fullmatch(key)
            else f"**{self.python.write({key: value})}"
            for key, value in arguments.items()
        ]
        return ", ".join(items)

    def _tokens(self) -> _Style:
        grammar = dialect(self.family).grammar
        quote = grammar.literals["QUOTE"] if grammar is not None else '"'
        return _Style(
            lambda text: quote + text + quote,
            lambda key: key,
            ("true", "false", "null"),
            comma=",",
            colon=":",
        )

    def _param(self, key: str, value: Any) -> str:
        spelling = self.spelling
        if not isinstance(value, str):
            param = spelling.get("param_json", spelling.get("param", ""))
        elif "param_odd" in spelling and any(c in value for c in spelling.get("odd", "")):
            param = spelling["param_odd"]
        else:
            param = spelling.get("param_string", spelling.get("param", ""))
        return _fill(param, key=self._attribute(key), value=self._value(value, param), type=_type(value))

    def _value(self, value: Any, param: str) -> str:
        if isinstance(value, str):
            return value
        kind = self.spelling.get("values", "json")
        if kind == "members" and isinstance(value, dict | list):
            parts = []
            for key, item in value.items() if isinstance(value, dict) else (("item", item) for item in value):
                parts.append(self._param(key, item))  # a loop: a comprehension costs a frame a level
            return "".join(parts)
        if kind == "python" or (kind == "mixed" and not isinstance(value, dict | list)):
            return self.python.write(value)
        return self.json.write(value, _margin(param, "{value}"))


def _margin(template: str, name: str) -> str:
    """The blanks that begin the line of a template in which a field stands."""
    line = template.partition(name)[0].rpartition("\n")[2]
    return line[: len(line) - len(line.lstrip())]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


# --- checking ------------------------------------------------------------------------------------------------


class _Check:
    """Reads what was written, and finds out which part of a message does not return."""

    def __init__(self, writer: _Writer, tools: ToolSet | None) -> None:
        self.writer = writer
        self.tools = tools

    def run(self, message: _Message, text: str) -> None:
        """Raise `RenderError` unless the text is read as the message."""
        if not self._differs(message, self._parse(text)):
            return
        thing, way_out = self._blame(message)
        family = self.writer.family.id
        raise RenderError(
            f"{family} cannot express {thing}: {way_out}, or write it all the same with `check=False`",
            family,
            thing,
        )

    def _parse(self, text: str) -> ParsedMessage:
        return parse(
            text, parser=self.writer.family.id, tools=self.tools, starts_in_reasoning=self.writer.inside
        )

    def _survives(self, message: _Message) -> bool:
        return not self._differs(message, self._parse(self.writer.text(message)))

    def _differs(self, want: _Message, got: ParsedMessage) -> bool:
        if len(want.calls) != len(got.tool_calls):
            return True
        if want.content.strip() != (got.content or "").strip():
            return True
        if want.reasoning.strip() != (got.reasoning or "").strip():
            return True
        for call, read in zip(want.calls, got.tool_calls, strict=True):
            if call.name != read.name or not read.complete:
                return True
            if call.id is not None and self._writes_ids and call.id not in (read.id, read.source_id):
                return True
            if not same_value(call.arguments, json.loads(read.arguments)):
                return True
        return False

    @property
    def _writes_ids(self) -> bool:
        return "{id}" in self.writer.spelling.get("call", "")

    def _blame(self, message: _Message) -> tuple[str, str]:
        """What does not return, and what helps: the smallest part that is lost already when it stands alone."""
        if self.writer.inside and not message.reasoning and not self._survives(_Message()):
            return "a reasoning block that the prompt opened and that is empty", "give it some reasoning"
        content = _Message(content=message.content)
        if message.content and not self._survives(content):
            return "content that reads as markup", "take the markup out of it"
        reasoning = _Message(reasoning=message.reasoning)
        if message.reasoning and not self._survives(reasoning):
            return "reasoning that reads as markup", "take the markup out of it"
        for index, call in enumerate(message.calls):
            if not self._survives(_Message(calls=[call])):
                return self._blame_call(call, index)
        if len(message.calls) > 1 and not self._survives(_Message(calls=message.calls)):
            for index, call in enumerate(message.calls):
                if call.id and not self._survives(
                    _Message(calls=[*message.calls[:index], replace(call, id=None)])
                ):
                    break
            else:
                unnamed = [replace(call, id=None) for call in message.calls]
                if self._survives(_Message(calls=unnamed)):
                    return "these ids of several calls in one turn", "pass `ids='make'`"
            return "several calls in one turn", "write one message a call"
        if message.content and message.calls and not self._survives(replace(content, calls=message.calls)):
            return "content beside calls", "leave the content out"
        if (
            message.reasoning
            and message.calls
            and not self._survives(replace(reasoning, calls=message.calls))
        ):
            return "reasoning before calls", "leave the reasoning out"
        return "this reasoning, content and calls in one message", "leave one of them out"

    def _blame_call(self, call: _Call, index: int) -> tuple[str, str]:
        where = f"call {index} ({call.name!r})"
        if call.id is not None and self._survives(_Message(calls=[replace(call, id=None)])):
            return f"the id {call.id!r} of {where}", "pass `ids='make'`"
        bare = replace(call, arguments={}, id=None)
        if not self._survives(_Message(calls=[bare])):
            if self._survives(_Message(calls=[replace(bare, name="f")])):
                return f"the name of {where}", "use another name"
            filled = replace(call, arguments={"a": 1}, id=None)
            if call.arguments or not self._survives(_Message(calls=[filled])):
                if self.tools is None:
                    return f"{where} to a reader who knows no tools", "pass `tools`"
                if not self.tools.declared(call.name):
                    return f"{where}, which is none of the tools", "declare it in `tools`"
                return f"the name of {where}", "use another name"
            return f"{where} without arguments", "give it one"
        for key, value in call.arguments.items():
            one = replace(bare, arguments={key: value})
            got = self._parse(self.writer.text(_Message(calls=[one]))).tool_calls
            if len(got) == 1 and got[0].complete and same_value(one.arguments, json.loads(got[0].arguments)):
                continue
            thing = f"the argument {key!r} of {where}"
            if not self._survives(
                _Message(calls=[replace(bare, arguments={key: "a"})])
            ) and not self._survives(_Message(calls=[replace(bare, arguments={key: 1})])):
                return f"the key of {thing}", "use another key"
            tool = None if self.tools is None else self.tools.tool(call.name)
            if self.tools is None or tool is None:
                if len(got) == 1 and list(json.loads(got[0].arguments)) == [key]:
                    return (
                        f"the type of {thing} to a reader who knows no tools",
                        "pass `tools` that declare it",
                    )
            return f"the value of {thing}", "change it (it reads as another value, or holds markup)"
        return f"the arguments of {where} together", "change their order or leave one out"
