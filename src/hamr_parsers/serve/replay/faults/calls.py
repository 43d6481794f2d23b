"""Faults of tool calls that the gateway has parsed: index, id, name, type, arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from ..saying import REQUEST
from ..shape import CallDelta, Chunk, SayCall, Saying, entries
from .registry import Outcome, fault

__all__: list[str] = []

CHUNKS = list[Chunk]
TABLE = "malformations: "


def _each(change: Callable[[CallDelta], None]) -> Callable[[CHUNKS], CHUNKS]:
    """A change of every entry of a stream."""

    def all_entries(chunks: CHUNKS) -> CHUNKS:
        for chunk in chunks:
            for entry in entries(chunk):
                change(entry)
        return chunks

    return all_entries


def _whole(change: Callable[[CallDelta], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The same change in a whole response."""

    def response(value: dict[str, Any]) -> dict[str, Any]:
        for choice in value["choices"]:
            for entry in choice["message"].get("tool_calls") or ():
                change(entry)
        return value

    return response


def _entry_fault(
    name: str,
    text: str,
    row: str,
    change: Callable[[CallDelta], None],
    *,
    response: bool = True,
    outcome: Outcome = "right",
) -> None:
    """A fault that changes entries one by one."""
    fault(
        name,
        text,
        row,
        needs="native",
        outcome=outcome,
        chunks=_each(change),
        response=_whole(change) if response else None,
    )


def _first(**values: Any) -> Callable[[CallDelta], None]:
    def change(entry: CallDelta) -> None:
        if entry.first:
            entry.update(values)

    return change


def _later(change: Callable[[CallDelta], None]) -> Callable[[CallDelta], None]:
    def later(entry: CallDelta) -> None:
        if not entry.first:
            change(entry)

    return later


# --- index ----------------------------------------------------------------------------------------------------


def _set_index(value: Callable[[CallDelta], Any]) -> Callable[[CallDelta], None]:
    def change(entry: CallDelta) -> None:
        entry["index"] = value(entry)

    return change


_entry_fault(
    "no-index",
    "Entries of tool_calls have no index.",
    "Ollama, Gemini; " + TABLE + "no or null index",
    lambda entry: entry.pop("index", None),
    response=False,
)
_entry_fault(
    "null-index",
    "The index is null.",
    TABLE + "no or null index",
    _set_index(lambda entry: None),
    response=False,
)
_entry_fault(
    "string-index",
    "The index is a string.",
    TABLE + 'index from 1 / "0"',
    _set_index(lambda entry: str(entry.call)),
    response=False,
)
_entry_fault(
    "index-from-1",
    "The index counts from 1.",
    TABLE + 'index from 1 / "0"',
    _set_index(lambda entry: entry.call + 1),
    response=False,
)
_entry_fault(
    "same-index",
    "All calls have index 0.",
    "Ollama, older vLLM; " + TABLE + "two calls with one index",
    _set_index(lambda entry: 0),
    response=False,
)
_entry_fault(
    "restart-index",
    "The index begins again at 0 with every second call.",
    "restarted index",
    _set_index(lambda entry: entry.call % 2),
    response=False,
)

# --- id -------------------------------------------------------------------------------------------------------

_entry_fault(
    "no-id", "Calls have no id.", TABLE + "id missing, null, empty", lambda entry: entry.pop("id", None)
)
_entry_fault("null-id", "The id is null.", TABLE + "id missing, null, empty", _first(id=None))
_entry_fault("empty-id", "The id is an empty string.", TABLE + "id missing, null, empty", _first(id=""))
_entry_fault(
    "same-id",
    "All calls have one id.",
    TABLE + "two calls with one id",
    _first(id=f"call_{REQUEST}"),
)
_entry_fault(
    "empty-id-later",
    "Later chunks of a call have an empty id.",
    "LM Studio, older vLLM",
    _later(lambda entry: entry.update(id="")),
    response=False,
)
_entry_fault(
    "empty-name-later",
    "Later chunks of a call have an empty name.",
    "LM Studio",
    _later(lambda entry: entry.function.update(name="")),
    response=False,
)


def _null_later(chunks: CHUNKS) -> CHUNKS:
    for chunk in chunks:
        later = [entry for entry in entries(chunk) if not entry.first]
        for entry in later:
            entry.update(id=None, type=None)
            entry.function.update(name=None)
        if chunk.choice is not None and chunk.part not in ("role", "finish", "usage"):
            chunk.delta.update(role=None)
    return chunks


fault(
    "null-later",
    "Later chunks have explicit nulls for id, name, type and role.",
    "a proxy",
    needs="native",
    chunks=_null_later,
)


def _memory(field: str, function: bool) -> Callable[[CHUNKS], CHUNKS]:
    """Later chunks repeat a field of the first."""

    def repeat(chunks: CHUNKS) -> CHUNKS:
        told: dict[tuple[int, int], Any] = {}
        for chunk in chunks:
            for entry in entries(chunk):
                place = entry.function if function else entry
                key = (chunk.number, entry.call)
                if entry.first:
                    told[key] = place.get(field)
                elif key in told:
                    place[field] = told[key]
        return chunks

    return repeat


fault(
    "id-repeated",
    "Every chunk of a call has its id.",
    "harmless: id repeated",
    needs="native",
    chunks=_memory("id", False),
)


def _id_per_chunk(chunks: CHUNKS) -> CHUNKS:
    count = 0
    for chunk in chunks:
        for entry in entries(chunk):
            entry["id"] = f"call_{REQUEST}c{count}"
            count += 1
    return chunks


fault(
    "id-per-chunk",
    "The id of a call is another one in every chunk.",
    TABLE + "id changes by chunk",
    needs="native",
    chunks=_id_per_chunk,
)

# --- name, type, role -----------------------------------------------------------------------------------------

fault(
    "name-repeated",
    "Every chunk of a call has its name.",
    TABLE + "name repeated",
    needs="native",
    chunks=_memory("name", True),
)


def _insert_after_first(chunks: CHUNKS, change: Callable[[CallDelta], dict[str, Any] | None]) -> CHUNKS:
    """After the first entry of each call, one more; `change` alters the first and gives the function of the new."""
    made: CHUNKS = []
    for chunk in chunks:
        made.append(chunk)
        for entry in list(entries(chunk)):
            if not entry.first:
                continue
            function = change(entry)
            if function is None:
                continue
            more = CallDelta({"function": function}, entry.call, False, entry.last)
            if "index" in entry:
                more = CallDelta({"index": entry["index"], **more}, entry.call, False, entry.last)
            entry.last = False
            made.append(chunk.like({"tool_calls": [more]}, "call"))
    return made


def _name_split(chunks: CHUNKS) -> CHUNKS:
    def change(entry: CallDelta) -> dict[str, Any] | None:
        name = entry.function.get("name") or ""
        if len(name) < 2:
            return None
        half = len(name) // 2
        rest = {"name": name[half:], "arguments": entry.function.get("arguments") or ""}
        entry.function.update(name=name[:half])
        if "arguments" in entry.function:
            entry.function["arguments"] = ""
        return rest

    return _insert_after_first(chunks, change)


fault(
    "name-split",
    "The name comes in two chunks, a half in each.",
    TABLE + "name split",
    needs="native",
    chunks=_name_split,
)
_entry_fault(
    "no-type",
    "Calls have no type.",
    TABLE + "type or role missing",
    lambda entry: entry.pop("type", None),
)
_entry_fault("null-type", "The type of a call is null.", TABLE + "type or role missing", _first(type=None))
_entry_fault(
    "empty-type",
    "Later chunks of a call have an empty type.",
    TABLE + 'type: "" later',
    _later(lambda entry: entry.update(type="")),
    response=False,
)
_entry_fault(
    "type-repeated",
    "Every chunk of a call has its type.",
    "LiteLLM proxy",
    lambda entry: entry.update(type="function"),
    response=False,
)


# --- arguments ------------------------------------------------------------------------------------------------


def _split_first(chunks: CHUNKS) -> CHUNKS:
    """Every call's first entry without arguments; what it had goes into a chunk of its own."""

    def change(entry: CallDelta) -> dict[str, Any] | None:
        had = entry.function.get("arguments")
        entry.function["arguments"] = ""
        return {"arguments": had} if had else None

    return _insert_after_first(chunks, change)


def _first_arguments(change: Callable[[CallDelta], Any]) -> Callable[[CHUNKS], CHUNKS]:
    def firsts(chunks: CHUNKS) -> CHUNKS:
        chunks = _split_first(chunks)
        for chunk in chunks:
            for entry in entries(chunk):
                if entry.first:
                    change(entry)
        return chunks

    return firsts


def _set_arguments(value: Any) -> Callable[[CallDelta], None]:
    def change(entry: CallDelta) -> None:
        entry.function["arguments"] = value

    return change


fault(
    "no-arguments",
    "The first chunk of a call has no arguments key.",
    "vLLM; " + TABLE + "first arguments null or missing",
    needs="native",
    chunks=_first_arguments(lambda entry: entry.function.pop("arguments", None)),
)
fault(
    "null-arguments",
    "The arguments in the first chunk of a call are null.",
    TABLE + "first arguments null or missing",
    needs="native",
    chunks=_first_arguments(_set_arguments(None)),
)


def _open_brace_first(chunks: CHUNKS) -> CHUNKS:
    opened: dict[tuple[int, int], CallDelta] = {}
    chunks = _split_first(chunks)
    for chunk in chunks:
        for entry in entries(chunk):
            key = (chunk.number, entry.call)
            if entry.first:
                opened[key] = entry
                continue
            arguments = entry.function.get("arguments") or ""
            if arguments and key in opened:
                opened.pop(key).function["arguments"] = arguments[0]
                entry.function["arguments"] = arguments[1:]
    return chunks


fault(
    "open-brace-first",
    "The first chunk of a call brings the opening brace of its arguments.",
    "llama.cpp",
    needs="native",
    chunks=_open_brace_first,
)


def _empty_object_first(chunks: CHUNKS) -> CHUNKS:
    chunks = _first_arguments(_set_arguments("{}"))(chunks)
    return _each(_set_index(lambda entry: entry.call + 1))(chunks)


fault(
    "empty-object-first",
    'The first arguments of a call are "{}", then the real ones come; the index counts from 1.',
    "a proxy",
    needs="native",
    chunks=_empty_object_first,
)


def _cumulative_arguments(chunks: CHUNKS) -> CHUNKS:
    told: dict[tuple[int, int], str] = {}
    for chunk in chunks:
        for entry in entries(chunk):
            key = (chunk.number, entry.call)
            told[key] = told.get(key, "") + (entry.function.get("arguments") or "")
            if "arguments" in entry.function:
                entry.function["arguments"] = told[key]
    return chunks


fault(
    "cumulative-arguments",
    "Each chunk of a call repeats all its arguments so far.",
    TABLE + "cumulative arguments",
    needs="native",
    chunks=_cumulative_arguments,
)


def _whole_calls(chunks: CHUNKS) -> CHUNKS:
    """Each call in one chunk, where it began."""
    made: CHUNKS = []
    begun: dict[tuple[int, int], CallDelta] = {}
    for chunk in chunks:
        kept = []
        for entry in entries(chunk):
            key = (chunk.number, entry.call)
            into = begun.get(key)
            if into is None:
                begun[key] = entry
                kept.append(entry)
            else:
                before = into.function.get("arguments") or ""
                into.function["arguments"] = before + (entry.function.get("arguments") or "")
                into.last = into.last or entry.last
        if chunk.part == "call" and not kept:
            continue
        if kept:
            chunk.delta["tool_calls"] = kept
        elif chunk.part == "finish" and "tool_calls" in chunk.delta:
            del chunk.delta["tool_calls"]
        made.append(chunk)
    for entry in begun.values():
        entry.function.setdefault("arguments", "")
    return made


fault(
    "whole-call",
    "Each call comes whole, in one chunk.",
    "transformers serve, Ollama; harmless: a call in one chunk",
    needs="native",
    chunks=_whole_calls,
)


def _one_chunk(chunks: CHUNKS) -> CHUNKS:
    made: CHUNKS = []
    into: dict[int, Chunk] = {}
    for chunk in _whole_calls(chunks):
        found = list(entries(chunk))
        if found and chunk.number in into:
            into[chunk.number].delta["tool_calls"].extend(found)
            continue
        if found:
            into[chunk.number] = chunk
        made.append(chunk)
    return made


fault(
    "one-chunk",
    "All calls come in one chunk.",
    "transformers serve",
    needs="native",
    chunks=_one_chunk,
)


def _to_object(entry: CallDelta) -> None:
    try:
        entry.function["arguments"] = json.loads(entry.function.get("arguments") or "{}")
    except ValueError:
        return  # a cut call has no object


def _object_arguments(chunks: CHUNKS) -> CHUNKS:
    return _each(_to_object)(_whole_calls(chunks))


fault(
    "object-arguments",
    "The arguments are an object and not its text.",
    TABLE + "arguments an object",
    needs="native",
    chunks=_object_arguments,
    response=_whole(_to_object),
)


def _runs(calls: list[CallDelta]) -> Iterator[list[CallDelta]]:
    """Neighbouring calls of one name."""
    run: list[CallDelta] = []
    for call in calls:
        if run and run[-1].function.get("name") != call.function.get("name"):
            yield run
            run = []
        run.append(call)
    if run:
        yield run


def _concatenated(chunks: CHUNKS) -> CHUNKS:
    """Calls of one tool that follow each other become one call with all their arguments."""
    told: dict[tuple[int, int], tuple[int, str]] = {}  # (choice, call) -> the call that it goes into
    last: dict[int, tuple[int, str]] = {}
    made: CHUNKS = []
    for chunk in chunks:
        kept = []
        for entry in entries(chunk):
            key = (chunk.number, entry.call)
            if entry.first:
                name = entry.function.get("name")
                before = last.get(chunk.number)
                target = before if before is not None and before[1] == name else (entry.call, str(name))
                told[key] = last[chunk.number] = target
                if target[0] != entry.call:
                    arguments = entry.function.get("arguments")
                    if arguments:
                        kept.append(_moved(entry, target[0], arguments))
                    continue
            elif told[key][0] != entry.call:
                kept.append(_moved(entry, told[key][0], entry.function.get("arguments") or ""))
                continue
            kept.append(entry)
        if chunk.part == "call" and not kept:
            continue
        if kept:
            chunk.delta["tool_calls"] = kept
        made.append(chunk)
    return made


def _moved(entry: CallDelta, call: int, arguments: str) -> CallDelta:
    return CallDelta({"index": call, "function": {"arguments": arguments}}, call, False)


def _concatenated_response(value: dict[str, Any]) -> dict[str, Any]:
    for choice in value["choices"]:
        calls = choice["message"].get("tool_calls")
        if calls:
            kept = []
            for run in _runs(calls):
                run[0].function["arguments"] = "".join(call.function["arguments"] for call in run)
                kept.append(run[0])
            choice["message"]["tool_calls"] = kept
    return value


fault(
    "concatenated-arguments",
    "The arguments of several calls of one tool come as those of one call.",
    "LM Studio",
    needs="native",
    chunks=_concatenated,
    response=_concatenated_response,
)


def _interleaved(chunks: CHUNKS) -> CHUNKS:
    """The chunks of parallel calls take turns."""
    made: CHUNKS = []
    held: dict[tuple[int, int], CHUNKS] = {}
    for chunk in [*chunks, None]:
        found = list(entries(chunk)) if chunk is not None and chunk.part == "call" else []
        if chunk is not None and len(found) == 1:
            held.setdefault((chunk.number, found[0].call), []).append(chunk)
            continue
        while any(held.values()):
            for queue in held.values():
                if queue:
                    made.append(queue.pop(0))
        if chunk is not None:
            made.append(chunk)
    return made


fault(
    "interleaved-calls",
    "The chunks of parallel calls take turns, told apart by their index.",
    "allowed by the protocol",
    needs="native",
    chunks=_interleaved,
)

# --- the list itself, and what stands beside it ---------------------------------------------------------------


def _everywhere(value: Any) -> tuple[Callable[[CHUNKS], CHUNKS], Callable[[dict[str, Any]], dict[str, Any]]]:
    def chunks(given: CHUNKS) -> CHUNKS:
        for chunk in given:
            if chunk.choice is not None and chunk.part != "call" and "tool_calls" not in chunk.delta:
                chunk.delta["tool_calls"] = value
        return given

    def response(given: dict[str, Any]) -> dict[str, Any]:
        for choice in given["choices"]:
            choice["message"].setdefault("tool_calls", value)
        return given

    return chunks, response


_empty_chunks, _empty_response = _everywhere([])
_null_chunks, _null_response = _everywhere(None)
fault(
    "empty-tool-calls",
    "Where there is no call there is `tool_calls: []`.",
    "LM Studio; harmless",
    chunks=_empty_chunks,
    response=_empty_response,
)
fault(
    "null-tool-calls",
    "Where there is no call there is `tool_calls: null`.",
    "harmless",
    chunks=_null_chunks,
    response=_null_response,
)


def _legacy(chunks: CHUNKS) -> CHUNKS:
    for chunk in chunks:
        found = list(entries(chunk))
        if found:
            chunk.delta.pop("tool_calls")
            chunk.delta["function_call"] = found[0].function
        if chunk.choice is not None and chunk.choice.get("finish_reason") == "tool_calls":
            chunk.choice["finish_reason"] = "function_call"
    return chunks


def _legacy_response(value: dict[str, Any]) -> dict[str, Any]:
    for choice in value["choices"]:
        calls = choice["message"].pop("tool_calls", None)
        if calls:
            choice["message"]["function_call"] = calls[0]["function"]
            choice["finish_reason"] = "function_call"
    return value


fault(
    "legacy-function-call",
    "The call comes as the older function_call, which has no index and no id (of several, a response has the first).",
    "legacy function_call",
    needs="native",
    chunks=_legacy,
    response=_legacy_response,
)
_entry_fault(
    "thought-signature",
    "Calls have an extra_content.google.thought_signature, which must be sent back.",
    "Gemini's endpoint",
    _first(extra_content={"google": {"thought_signature": "c2lnbmF0dXJl"}}),
)

# --- cut calls ------------------------------------------------------------------------------------------------


def cut_in_half(saying: Saying) -> Saying:
    """The last call without the second half of its arguments; a text without its last quarter."""
    calls = saying.calls
    saying.cut, saying.finish = True, "length"
    if calls:
        last = calls[-1]
        end = saying.pieces.index(last)
        del saying.pieces[end + 1 :]
        text = "".join(last.arguments)
        _shorten(last, max(1, len(text) // 2))
    else:
        del saying.pieces[max(1, len(saying.pieces) * 3 // 4) :]
    return saying


def _shorten(call: SayCall, length: int) -> None:
    kept: list[str] = []
    for piece in call.arguments:
        kept.append(piece[:length])
        length -= len(kept[-1])
        if length <= 0:
            break
    call.arguments[:] = kept


fault(
    "cut-call",
    "The last call ends in the middle of its arguments, with finish_reason length.",
    TABLE + "cut arguments with finish length",
    outcome="cut",
    needs="native",
    saying=cut_in_half,
)


def _truncated(saying: Saying) -> Saying:
    saying = cut_in_half(saying)
    saying.finish = "tool_calls" if saying.calls else "stop"
    return saying


fault(
    "truncated-as-tool-calls",
    "The last call ends in the middle of its arguments, with finish_reason tool_calls.",
    "older vLLM",
    outcome="cut",
    needs="native",
    saying=_truncated,
)
