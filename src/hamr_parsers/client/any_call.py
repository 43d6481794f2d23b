"""One tool call, in whichever shape an agent loop holds it, and its arguments as JSON.

Theory. The same call lies about as our `ToolCall`, as a dict of the chat API or an object of its SDK, as an item
of Responses, as a block of Anthropic. `CallFacts.of` reads all of them into one flat value; `mend_arguments`
says of an arguments value what JSON object it is and what was wrong with its text. Both never raise because of
what a model wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ..arguments.object_reader import ObjectReader
from ..events import Diagnostic, ToolCall

__all__ = ["CallFacts", "Mended", "as_mapping", "is_json_object", "mend_arguments"]


def as_mapping(value: Any) -> Mapping[str, Any] | None:
    """A dict, or what an SDK object (pydantic's `model_dump`, `to_dict`) dumps; None if it is neither."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    for method in ("model_dump", "to_dict", "dict"):
        dump = getattr(value, method, None)
        if callable(dump):
            dumped = dump()
            if isinstance(dumped, Mapping):
                return dumped
    return None


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def is_json_object(text: str) -> bool:
    """Whether a text is one JSON object, as a strict reader sees it: NaN is no JSON, and numbers may be long."""
    try:
        return isinstance(json.loads(text, parse_constant=_no_constant, parse_int=str), dict)
    except (ValueError, RecursionError):
        return False


@dataclass(frozen=True, slots=True)
class Mended:
    """Arguments as the text of a JSON object.

    Attributes:
        text: always the text of a JSON object.
        cut: the text ended before the object did.
        notes: what was mended.
    """

    text: str
    cut: bool = False
    notes: tuple[Diagnostic, ...] = ()


def mend_arguments(arguments: Any, wrap_key: str = "input") -> Mended:
    """The JSON object that an arguments value is or was meant to be.

    Args:
        arguments: JSON text, good or bad; an object, which is written as JSON; None and "" are `{}`.
        wrap_key: the key under which a value that is no object is given.
    """
    if arguments is None:
        return Mended("{}")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False, default=str, skipkeys=True)
    if is_json_object(arguments):
        return Mended(arguments)
    text = arguments.strip()
    if not text or text == "null":
        return Mended("{}")
    if text[0] in _BRACKETS:
        whole = _read(arguments)
        if whole is not None and not (isinstance(whole, str) and whole.lstrip()[:1] in ("{", "")):
            return _wrapped(text, wrap_key)
    else:  # a number, a word, a line of text: nothing that was left open
        return _wrapped(text if _read(text) is not None else json.dumps(text, ensure_ascii=False), wrap_key)
    reader = ObjectReader(wrap_key=wrap_key)
    end = reader.feed(arguments, 0, True)
    notes = [item for item in reader.out if isinstance(item, Diagnostic)]
    if arguments[end:].strip():
        notes.append(Diagnostic("junk", "text behind the object was dropped", end, len(arguments)))
    if text[0] == '"' and not notes:
        notes.append(Diagnostic("double-encoded", "the object was written as a string", 0, len(arguments)))
    out = "".join(item for item in reader.out if isinstance(item, str)) + reader.closing
    return Mended(out, bool(reader.cut), tuple(notes))


_BRACKETS = "{[\"'"


def _read(text: str) -> Any:
    """The JSON value of a text; None if it is none."""
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=str)
    except (ValueError, RecursionError):
        return None


def _wrapped(value: str, wrap_key: str) -> Mended:
    note = Diagnostic(
        "non-object-arguments", f"the arguments are no object: taken as {json.dumps(wrap_key)}", 0, 0
    )
    return Mended(f"{{{json.dumps(wrap_key, ensure_ascii=False)}: {value}}}", False, (note,))


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call.

    Attributes:
        id: its id, or None.
        name: the tool's name; "" if there is none.
        arguments: as they were given: JSON text, an object, or None.
        complete: False if the call is known to be cut; True is no promise for a call that is not our `ToolCall`.
        notes: what was mended while the call was read.
    """

    id: str | None
    name: str
    arguments: Any
    complete: bool = True
    notes: tuple[Diagnostic, ...] = ()

    @classmethod
    def of(cls, call: Any) -> CallFacts:
        """The facts of a call: a `ToolCall`; a dict or SDK object of the chat API (also of the legacy
        `function_call`), of Responses (`function_call` items) or of Anthropic (`tool_use` blocks).

        Raises:
            TypeError: it is none of these.
        """
        if isinstance(call, ToolCall):
            text = call.arguments[: len(call.arguments) - len(call.closing)]
            return cls(call.id or None, call.name, text, call.complete, tuple(call.diagnostics))
        fields = as_mapping(call)
        if fields is None:
            raise TypeError(
                f"expected a tool call (hp.ToolCall, a dict or an SDK object), got {type(call).__name__}"
            )
        inner = as_mapping(fields.get("function")) or fields
        name = inner.get("name")
        arguments = next((inner[key] for key in ("arguments", "input", "args") if key in inner), None)
        ident = fields.get("call_id") or fields.get("id")
        return cls(
            ident if isinstance(ident, str) and ident else None,
            name if isinstance(name, str) else "",
            arguments,
        )

    @property
    def written(self) -> int:
        """How many characters of arguments the model wrote."""
        return len(self.arguments) if isinstance(self.arguments, str) else 0

    def mended(self, wrap_key: str = "input") -> Mended:
        """The arguments as a JSON object, with what was mended on the way, now or before."""
        found = mend_arguments(self.arguments, wrap_key)
        return Mended(found.text, found.cut or not self.complete, (*self.notes, *found.notes))
