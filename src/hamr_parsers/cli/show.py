"""What a parse looks like to a person: blocks with labels for a message, one short line for an event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.highlighter import JSONHighlighter
from rich.text import Text

from .console import print_rows, visible

if TYPE_CHECKING:
    from rich.console import Console

    import hamr_parsers as hp

__all__ = ["call_rows", "event_line", "heading", "is_whole", "message_rows", "print_message", "quoted"]

_STYLES = {
    "content_delta": "",
    "reasoning_delta": "dim italic",
    "tool_call_start": "bold green",
    "tool_call_delta": "cyan",
    "tool_call_end": "green",
    "reclassified": "magenta",
    "diagnostic": "yellow",
}


def quoted(text: str) -> str:
    """A piece of text on one line, its edges and line ends visible."""
    return repr(text)


def event_line(event: hp.Event) -> Text:
    """One event on one line."""
    if event.type == "content_delta":
        line = f"content {quoted(event.text)}"
    elif event.type == "reasoning_delta":
        line = f"reasoning {quoted(event.text)}"
    elif event.type == "tool_call_start":
        line = f"call {event.index} starts: {event.name} (id {event.id})"
    elif event.type == "tool_call_delta":
        line = f"call {event.index} arguments {quoted(event.arguments)}"
    elif event.type == "tool_call_end":
        line = f"call {event.index} ends: " + ("complete" if event.tool_call.complete else "cut off")
    elif event.type == "reclassified":
        line = f"the last {event.length} characters of content were {event.to}"
    else:
        line = f"{event.code} at {event.start}-{event.end}: {event.message}"
    return Text(visible(line), _STYLES[event.type])


def pretty_arguments(arguments: str) -> Text:
    """The arguments' JSON text, indented and coloured; as it is if it cannot be laid out."""
    try:
        value: Any = json.loads(arguments)
        laid_out = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        laid_out = arguments
    return JSONHighlighter()(Text(visible(laid_out)))


def call_rows(index: int, call: hp.ToolCall) -> list[tuple[str, Text]]:
    """A call as labelled text."""
    head = Text.assemble((visible(call.name), "bold green"), (f"  {call.id}", "dim"))
    if call.source_id is not None and call.source_id != call.id:
        head.append(f"  (the model's id: {visible(call.source_id)})", "dim")
    if not call.complete:
        head.append("  cut off: not to be run", "bold red")
    elif call.recovered:
        head.append("  mended", "yellow")
    head.append("\n")
    head.append_text(pretty_arguments(call.arguments))
    return [(f"call {index}", head)]


def is_whole(call: dict[str, Any]) -> bool:
    """Whether a call that a server sent has all of its arguments; of one that is no function nothing is known."""
    function = call.get("function")
    if not isinstance(function, dict):
        return True
    try:
        return isinstance(json.loads(function.get("arguments") or "{}"), dict)
    except (ValueError, TypeError, RecursionError):
        return False


def native_rows(index: int, call: dict[str, Any]) -> list[tuple[str, Text]]:
    """A call that the server itself sent, as labelled text."""
    function = call.get("function")
    named = function if isinstance(function, dict) else call.get("custom")
    named = named if isinstance(named, dict) else {}
    said = named.get("arguments", named.get("input"))
    head = Text.assemble(
        (visible(str(named.get("name"))), "bold green"), (visible(f"  {call.get('id')}"), "dim")
    )
    if not is_whole(call):
        head.append("  cut off: not to be run", "bold red")
    head.append("\n")
    head.append_text(pretty_arguments(said if isinstance(said, str) else json.dumps(said)))
    return [(f"server's call {index}", head)]


def message_rows(message: hp.ParsedMessage, native: Sequence[dict[str, Any]] = ()) -> list[tuple[str, Text]]:
    """A whole message as labelled text, in the order in which a reader wants it; `native` are calls that the server
    sent beside it."""
    rows: list[tuple[str, Text]] = []
    if message.reasoning:
        rows.append(("reasoning", Text(visible(message.reasoning.strip("\n")), "dim italic")))
    if message.content:
        rows.append(("content", Text(visible(message.content.strip("\n")))))
    elif not message.reasoning and not message.tool_calls and not native:
        rows.append(("content", Text("(none)", "dim")))
    for index, call in enumerate(message.tool_calls):
        rows.extend(call_rows(index, call))
    for index, sent in enumerate(native):
        rows.extend(native_rows(index, sent))
    if message.diagnostics:
        told = Text("\n").join(
            Text.assemble((f"{d.start}-{d.end}", "dim"), "  ", (d.code, "yellow"), f"  {visible(d.message)}")
            for d in message.diagnostics
        )
        rows.append(("odd", told))
    rows.append(
        ("finish", Text(message.finish_reason, "bold" if message.finish_reason != "length" else "bold red"))
    )
    return rows


def heading(label: str, chosen: hp.Resolution) -> Text:
    """What was read, as what, and in short why."""
    why = chosen.reason.partition(";")[0].rstrip(".")
    return Text.assemble(
        (visible(label), "bold"),
        ("  parsed as ", "dim"),
        (chosen.parser, "cyan"),
        (visible(f"  ({why})"), "dim"),
    )


def print_message(
    console: Console,
    label: str,
    chosen: hp.Resolution,
    message: hp.ParsedMessage,
    native: Sequence[dict[str, Any]] = (),
) -> None:
    """Print one transcript's heading and message."""
    console.print(heading(label, chosen))
    print_rows(console, message_rows(message, native))
    console.out("")
