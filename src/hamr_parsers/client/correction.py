"""`correction_message`: what an agent loop answers when a call could not be run, so that the model corrects itself.

Theory. A model mends its call if it is told three things: that nothing was run, what is wrong (all of it at once,
in its own terms: names of tools and arguments), and what to write instead. So the message is short, says each
fault in one line, and ends with what to do. What is wrong is read off the error where it tells (a cut call, an
unknown tool, a validation error of pydantic or jsonschema, whatever a tool raised), and off the call itself where the
tools are known. Errors are recognised by what they carry and not by their class, since no validation library is a
dependency here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import DiagnosticsError, IncompleteToolCallError
from ..tools import ToolSet
from .any_call import CallFacts
from .schema_check import faults, unknown_tool

__all__ = ["correction_message"]

_LINES = 8
_LINE = 400


def correction_message(
    call: Any,
    error: BaseException | str | Iterable[str] | None = None,
    *,
    tools: Any = None,
    with_name: bool = False,
    max_chars: int = 2000,
) -> dict[str, Any]:
    """The message that answers a call which could not be run.

    Args:
        call: the call: `hp.ToolCall`, a dict or SDK object of the chat API, of Responses or of Anthropic.
        error: what went wrong: an exception, a text, several texts (as `check_arguments` gives), or None to find
            it out from the call and `tools`.
        tools: the tools that were offered, in any form that `ToolSet` takes: unknown names and arguments that do
            not fit the schema are told, too.
        with_name: give the tool's name in the message, as some gateways require of results.
        max_chars: most characters of the message's text.

    Returns:
        A message with `role: "tool"` and the call's id, or one with `role: "user"` if the call has no id.

    Raises:
        TypeError: `call` is no call.
        InvalidToolsError: `tools` holds something that is no tool.
    """
    facts = CallFacts.of(call)
    known = ToolSet.of(tools)
    lines, advice = _explain(facts, error, known)
    text = _text(facts, lines, advice, max_chars)
    if facts.id is None:
        return {"role": "user", "content": text}
    message = {"role": "tool", "tool_call_id": facts.id}
    if with_name and facts.name:
        message["name"] = facts.name
    return {**message, "content": text}


def _explain(facts: CallFacts, error: Any, known: ToolSet | None) -> tuple[list[str], str]:
    """What is wrong, a line each, and what the model should do."""
    if _is_unknown_tool(facts, error, known):
        told = [str(error)] if isinstance(error, str) and error else []
        said = unknown_tool(facts.name, known) if known is not None else f"there is no tool {_name(facts)}"
        return [said, *told], "Call one of the declared tools." if known or known is None else ""
    tool = known.tool(facts.name) if known is not None else None
    mended = facts.mended((tool.only_required if tool is not None else None) or "input")
    if isinstance(error, IncompleteToolCallError) or mended.cut:
        told = (
            [] if error is None or isinstance(error, IncompleteToolCallError | ValueError) else _told(error)
        )
        count = facts.written
        return (
            [f"your call was cut off after {count} characters of its arguments", *told],
            "Write it again: shorter, or in parts by several calls.",
        )
    lines = [] if isinstance(error, DiagnosticsError) and mended.notes else _told(error)
    if mended.notes:
        codes = dict.fromkeys(note.message for note in mended.notes)
        lines.append(f"your arguments were no valid JSON ({'; '.join(list(codes)[:3])})")
    advice = "Write the arguments as one valid JSON object." if mended.notes else ""
    if tool is not None and tool.parameters is not None:
        wrong = [fault for fault in faults(_value(mended.text), tool, _LINES) if fault not in lines]
        if wrong:
            # the schema's words are the model's own; a validation error says the same once more
            lines = wrong if _is_validation(error) else [*lines, *wrong]
            advice = "Call it again with arguments that fit its schema."
    if _is_validation(error) and not advice:
        advice = "Call it again with arguments that fit its schema."
    return lines, advice


def _text(facts: CallFacts, lines: Sequence[str], advice: str, most: int) -> str:
    lines = [_short(line) for line in lines if line.strip()]
    shown, rest = lines[:_LINES], lines[_LINES:]
    if rest:
        shown.append(rest[-1] if len(rest) == 1 and rest[0].startswith("and ") else f"and {len(rest)} more")
    head = f"Error: the call of {_name(facts)} failed" if facts.name else "Error: the call failed"
    if not shown:
        text = f"{head}; no reason was given."
    elif len(shown) == 1:
        text = f"{head}: {shown[0]}"
        text += "" if text.endswith((".", "!", "?")) else "."
    else:
        text = f"{head}:\n" + "\n".join(f"- {line}" for line in shown)
    tail = (("\n" if len(shown) > 1 else " ") + advice) if advice else ""
    room = max(most - len(tail), 0)
    if len(text) > room:
        text = text[: max(room - 4, 0)] + " ..."
    return (text + tail)[: max(most, 0)]


def _told(error: Any) -> list[str]:
    """What an error says, as lines."""
    if error is None:
        return []
    if isinstance(error, str):
        return [error]
    if isinstance(error, BaseException):
        return _details(error) or [_said(error)]
    return [str(line) for line in error]


def _said(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"the arguments are no JSON: {error.msg} at character {error.pos}"
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _details(error: BaseException) -> list[str]:
    """The faults that a validation error lists: pydantic's `errors()`, or jsonschema's path and message."""
    errors = getattr(error, "errors", None)
    if callable(errors) and hasattr(error, "error_count"):
        try:
            found = errors()
        except Exception:
            return []
        return [
            _place(item.get("loc", ()), item.get("msg", "")) for item in found if isinstance(item, Mapping)
        ]
    message = getattr(error, "message", None)
    path = getattr(error, "absolute_path", getattr(error, "path", None))
    if isinstance(message, str) and isinstance(path, Iterable) and not isinstance(path, str):
        return [_place(tuple(path), message)]
    group = getattr(error, "exceptions", None)
    if isinstance(group, Sequence):
        return [line for one in group[:_LINES] if isinstance(one, BaseException) for line in _told(one)]
    return []


def _place(path: Iterable[Any], message: Any) -> str:
    where = ""
    for part in path:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    return f"{where or 'the arguments'}: {message}"


def _is_validation(error: Any) -> bool:
    return isinstance(error, BaseException) and bool(_details(error)) and not hasattr(error, "exceptions")


def _is_unknown_tool(facts: CallFacts, error: Any, known: ToolSet | None) -> bool:
    """Whether there is no such tool: as the tools say, or else an error that carries the name and nothing more."""
    if known is not None:
        return facts.name not in known
    if isinstance(error, KeyError):
        return error.args == (facts.name,)
    return isinstance(error, BaseException) and "unknowntool" in type(error).__name__.lower()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # an integer of thousands of digits
        return json.loads(text, parse_int=float)


def _name(facts: CallFacts) -> str:
    name = facts.name if len(facts.name) <= 80 else facts.name[:80] + "..."
    return json.dumps(name, ensure_ascii=False)


def _short(line: str) -> str:
    line = " ".join(line.split()) if len(line) < 4 * _LINE else " ".join(line[: 4 * _LINE].split())
    return line if len(line) <= _LINE else line[: _LINE - 4] + " ..."
