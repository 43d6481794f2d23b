"""What gateways do to a native stream (gateways.md), as functions over a list of chunks; and the safe shape, checked.

Each malformation takes the chunks of a well-behaved stream and returns what such a gateway would have sent. They are
small and local on purpose, so that they can be combined.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

Chunk = dict[str, Any]
Chunks = list[Chunk]
FIRST = "(first)"
"""Marks a call's first entry, so that malformations find it whatever others have done to it; `sent` takes it off."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {key: {} for key in ("a", "b", "city", "code")}},
        },
    }
    for name in ("get", "get_weather", "run", "now")
]


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> Chunk:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "some-model",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
        **more,
    }


def usage_chunk() -> Chunk:
    return {
        **chunk({}),
        "choices": [],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def native(truth: dict[str, Any], size: int = 3, usage: bool = False) -> Chunks:
    """A message as the best-behaved server streams it."""
    out = [chunk({"role": "assistant", "content": None})]
    out += [chunk({"reasoning_content": piece}) for piece in pieces(truth.get("reasoning") or "", size)]
    out += [chunk({"content": piece}) for piece in pieces(truth.get("content") or "", size)]
    for index, call in enumerate(truth.get("calls", [])):
        function = {"name": call["name"], "arguments": ""}
        entry = {"index": index, "id": f"call_{index}", "type": "function", "function": function, FIRST: True}
        out.append(chunk({"tool_calls": [entry]}))
        for piece in pieces(call["arguments"], size):
            out.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
    out.append(chunk({}, "tool_calls" if truth.get("calls") else "stop"))
    if usage:
        out.append(usage_chunk())
    return out


def entries(chunks: Chunks) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each tool call entry, and whether it begins a call."""
    for one in chunks:
        for choice in one.get("choices") or ():
            for entry in (choice.get("delta") or choice.get("message") or {}).get("tool_calls") or ():
                yield entry, FIRST in entry


def sent(chunks: Chunks) -> Chunks:
    """The chunks as they go over the wire."""
    chunks = copy.deepcopy(chunks)
    for entry, _ in entries(chunks):
        entry.pop(FIRST, None)
    return chunks


def _each(change: Callable[[dict[str, Any], bool], None]) -> Callable[[Chunks], Chunks]:
    def fault(chunks: Chunks) -> Chunks:
        chunks = copy.deepcopy(chunks)
        for entry, first in entries(chunks):
            change(entry, first)
        return chunks

    return fault


def _each_chunk(change: Callable[[Chunk], Any]) -> Callable[[Chunks], Chunks]:
    def fault(chunks: Chunks) -> Chunks:
        chunks = copy.deepcopy(chunks)
        return [made for one in chunks for made in (change(one) or [one])]

    return fault


def _set(key: str, value: Any, when: bool | None = None) -> Callable[[Chunks], Chunks]:
    def change(entry: dict[str, Any], first: bool) -> None:
        if when is None or first is when:
            entry[key] = value

    return _each(change)


def _drop(key: str, when: bool | None = None) -> Callable[[Chunks], Chunks]:
    return _each(lambda entry, first: entry.pop(key, None) if when is None or first is when else None)


def name_repeated(chunks: Chunks) -> Chunks:
    chunks, name = copy.deepcopy(chunks), ""
    for entry, first in entries(chunks):
        if first:
            name = entry["function"]["name"]
        entry["function"]["name"] = name
    return chunks


def name_split(chunks: Chunks) -> Chunks:
    out = []
    for one in copy.deepcopy(chunks):
        out.append(one)
        for entry, first in entries([one]):
            if first:
                name = entry["function"]["name"]
                entry["function"]["name"] = name[:3]
                if name[3:]:
                    rest = {"index": entry["index"], "function": {"name": name[3:], "arguments": ""}}
                    out.append(chunk({"tool_calls": [rest]}))
    return out


def id_per_chunk(chunks: Chunks) -> Chunks:
    chunks = copy.deepcopy(chunks)
    for number, (entry, _) in enumerate(entries(chunks)):
        entry["id"] = f"call_{number}"
    return chunks


def cumulative_arguments(chunks: Chunks) -> Chunks:
    chunks, so_far = copy.deepcopy(chunks), ""
    for entry, first in entries(chunks):
        so_far = "" if first else so_far + entry["function"]["arguments"]
        entry["function"]["arguments"] = so_far
    return chunks


def _whole(chunks: Chunks, make: Callable[[dict[str, Any], str], list[dict[str, Any]]]) -> Chunks:
    """Calls rewritten one by one: `make` gets a call's first entry and all of its arguments."""
    firsts: list[dict[str, Any]] = []
    texts: list[str] = []
    for entry, first in entries(chunks):
        if first:
            firsts.append(copy.deepcopy(entry))
            texts.append("")
        texts[-1] += entry["function"]["arguments"]
    out, done = [], False
    for one in copy.deepcopy(chunks):
        if not any(True for _ in entries([one])):
            out.append(one)
        elif not done:
            done = True
            for first_entry, text in zip(firsts, texts, strict=True):
                out += [chunk({"tool_calls": [entry]}) for entry in make(first_entry, text)]
    return out


def one_chunk_calls(chunks: Chunks) -> Chunks:
    def make(entry: dict[str, Any], text: str) -> list[dict[str, Any]]:
        entry["function"]["arguments"] = text
        return [entry]

    return _whole(chunks, make)


def object_arguments(chunks: Chunks) -> Chunks:
    def make(entry: dict[str, Any], text: str) -> list[dict[str, Any]]:
        entry["function"]["arguments"] = json.loads(text)
        return [entry]

    return _whole(chunks, make)


def all_in_one_chunk(chunks: Chunks) -> Chunks:
    """Every call whole, all in one delta, without an index (Gemini's endpoint)."""
    found: list[dict[str, Any]] = []
    out = []
    for one in one_chunk_calls(chunks):
        own = [entry for entry, _ in entries([one])]
        if not own:
            if found and one["choices"] and one["choices"][0]["finish_reason"]:
                out.append(chunk({"tool_calls": found}))
            out.append(one)
        for entry in own:
            entry.pop("index")
            found.append(entry)
    return out


def empty_object_first(chunks: Chunks) -> Chunks:
    return _set_arguments(chunks, "{}")


def _set_arguments(chunks: Chunks, value: Any) -> Chunks:
    chunks = copy.deepcopy(chunks)
    for entry, first in entries(chunks):
        if first:
            entry["function"]["arguments"] = value
    return chunks


def no_arguments(chunks: Chunks) -> Chunks:
    chunks = copy.deepcopy(chunks)
    for entry, first in entries(chunks):
        if first:
            del entry["function"]["arguments"]
    return chunks


def first_arguments_early(chunks: Chunks) -> Chunks:
    """llama.cpp: the first entry already brings the beginning of the arguments."""
    out: Chunks = []
    for one in copy.deepcopy(chunks):
        own = list(entries([one]))
        if own and not own[0][1] and out:
            before = list(entries([out[-1]]))
            if before and before[0][1] and before[0][0]["function"]["arguments"] == "":
                before[0][0]["function"]["arguments"] = own[0][0]["function"]["arguments"]
                continue
        out.append(one)
    return out


def concatenated(chunks: Chunks) -> Chunks:
    """LM Studio: arguments of calls of one tool run together under the first."""
    out: Chunks = []
    names: list[str] = []
    for one in copy.deepcopy(chunks):
        own = list(entries([one]))
        if own:
            entry, first = own[0]
            if first:
                names.append(entry["function"]["name"])
                if len(names) > 1:
                    continue
            entry["index"] = 0
        out.append(one)
    return out


def cumulative_content(chunks: Chunks) -> Chunks:
    so_far = {"content": "", "reasoning_content": ""}

    def change(one: Chunk) -> None:
        for choice in one["choices"]:
            for key in so_far:
                if choice["delta"].get(key):
                    so_far[key] += choice["delta"][key]
                    choice["delta"][key] = so_far[key]

    return _each_chunk(change)(chunks)


def stop_every_chunk(chunks: Chunks) -> Chunks:
    def change(one: Chunk) -> Chunks:
        return (
            [one, chunk({}, "stop")] if one["choices"] and not one["choices"][0]["finish_reason"] else [one]
        )

    return _each_chunk(change)(chunks)


def finish_on_delta(chunks: Chunks) -> Chunks:
    out: Chunks = []
    for one in copy.deepcopy(chunks):
        if one["choices"] and one["choices"][0]["finish_reason"] and len(out) > 1:
            out[-1]["choices"][0]["finish_reason"] = one["choices"][0]["finish_reason"]
        else:
            out.append(one)
    return out


def _finish(value: Any) -> Callable[[Chunks], Chunks]:
    def change(one: Chunk) -> None:
        for choice in one["choices"]:
            if choice["finish_reason"]:
                choice["finish_reason"] = value

    return _each_chunk(change)


def _delta_at_finish(value: Any) -> Callable[[Chunks], Chunks]:
    def change(one: Chunk) -> None:
        for choice in one["choices"]:
            if choice["finish_reason"]:
                if value == "absent":
                    del choice["delta"]
                else:
                    choice["delta"] = value

    return _each_chunk(change)


def _usage(change: Callable[[Chunk], Any]) -> Callable[[Chunks], Chunks]:
    def fault(chunks: Chunks) -> Chunks:
        out = copy.deepcopy(chunks)
        last = usage_chunk() if "usage" not in out[-1] else out.pop()
        return out + (change(last) or [last])

    return fault


def usage_in_finish(chunks: Chunks) -> Chunks:
    out = copy.deepcopy([one for one in chunks if one["choices"]])
    out[-1]["usage"] = usage_chunk()["usage"]
    return out


def usage_first(chunks: Chunks) -> Chunks:
    out = copy.deepcopy([one for one in chunks if one["choices"]])
    return [usage_chunk(), *out]


def usage_everywhere(chunks: Chunks) -> Chunks:
    return [{**one, "usage": usage_chunk()["usage"]} for one in copy.deepcopy(chunks)]


def loading_frames(chunks: Chunks) -> Chunks:
    frame = chunk({}, relay={"type": "relay.loading", "model": "some-model"})
    frame["id"] = "relay-1"
    return [frame, copy.deepcopy(frame), *copy.deepcopy(chunks)]


def pings(chunks: Chunks) -> Chunks:
    return [made for one in copy.deepcopy(chunks) for made in ({}, one, {"type": "ping"})]


def leading_empty(chunks: Chunks) -> Chunks:
    return [{**chunk({}), "choices": []}, *copy.deepcopy(chunks)]


def explicit_nulls(chunks: Chunks) -> Chunks:
    chunks = copy.deepcopy(chunks)
    for one in chunks:
        for choice in one["choices"]:
            for key in ("role", "content", "reasoning_content", "tool_calls", "function_call"):
                choice["delta"].setdefault(key, None)
    for entry, first in entries(chunks):
        if not first:
            entry.update(id=None, type=None)
            entry["function"]["name"] = None
    return chunks


def empty_later(chunks: Chunks) -> Chunks:
    chunks = copy.deepcopy(chunks)
    for entry, first in entries(chunks):
        if not first:
            entry.update(id="", type="")
            entry["function"]["name"] = ""
    return chunks


def _role(change: Callable[[dict[str, Any]], Any]) -> Callable[[Chunks], Chunks]:
    def each(one: Chunk) -> None:
        for choice in one["choices"]:
            change(choice["delta"])

    return _each_chunk(each)


def _field(name: str) -> Callable[[Chunks], Chunks]:
    def change(delta: dict[str, Any]) -> None:
        if "reasoning_content" in delta:
            delta[name] = delta.pop("reasoning_content")

    return _role(change)


def both_fields(chunks: Chunks) -> Chunks:
    return _role(lambda d: d.update(reasoning=d["reasoning_content"]) if "reasoning_content" in d else None)(
        chunks
    )


def parts(chunks: Chunks) -> Chunks:
    def change(delta: dict[str, Any]) -> None:
        if delta.get("content"):
            delta["content"] = [{"type": "text", "text": delta["content"]}]

    return _role(change)(chunks)


def split_surrogates(chunks: Chunks) -> Chunks:
    """Each character outside the BMP in two chunks, a half in each, as JSON escapes carry it."""

    def halves(one: Chunk) -> Chunks:
        for choice in one["choices"]:
            text = choice["delta"].get("content")
            if text and any(ord(c) > 0xFFFF for c in text):
                units = text.encode("utf-16-be", "surrogatepass")
                made = [chr(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2)]
                return [chunk({"content": unit}) for unit in made]
        return [one]

    return _each_chunk(halves)(chunks)


def ids_differ(chunks: Chunks) -> Chunks:
    chunks = copy.deepcopy(chunks)
    for number, one in enumerate(chunks):
        one["id"] = f"chatcmpl-{number}"
    return chunks


def no_envelope(chunks: Chunks) -> Chunks:
    return [{k: v for k, v in one.items() if k in ("choices", "usage")} for one in copy.deepcopy(chunks)]


def choice_index(value: Any) -> Callable[[Chunks], Chunks]:
    def change(one: Chunk) -> None:
        for choice in one["choices"]:
            if value is None:
                del choice["index"]
            else:
                choice["index"] = value

    return _each_chunk(change)


def message_for_delta(chunks: Chunks) -> Chunks:
    def change(one: Chunk) -> None:
        for choice in one["choices"]:
            choice["message"] = choice.pop("delta")

    return _each_chunk(change)(chunks)


def restart_index(chunks: Chunks) -> Chunks:
    return _set("index", 0)(chunks)


#: Malformations after which the message is still what it was.
FAULTS: dict[str, Callable[[Chunks], Chunks]] = {
    "no index": _drop("index"),
    "null index": _set("index", None),
    "string index": _each(lambda entry, first: entry.update(index=str(entry["index"]))),
    "index from 1": _each(lambda entry, first: entry.update(index=entry["index"] + 1)),
    "one index for all": restart_index,
    "index in the first entry only": _drop("index", False),
    "no id": _drop("id"),
    "null id": _set("id", None, True),
    "empty id": _set("id", "", True),
    "id again in every entry": _each(lambda entry, first: entry.setdefault("id", f"call_{entry['index']}")),
    "id changes by chunk": id_per_chunk,
    "one id for all calls": _set("id", "call_x", True),
    "no type": _drop("type"),
    "empty type later": _set("type", "", False),
    "type again in every entry": _set("type", "function"),
    "name again in every entry": name_repeated,
    "name split": name_split,
    "no arguments at first": no_arguments,
    "null arguments at first": lambda chunks: _set_arguments(chunks, None),
    "arguments begin in the first entry": first_arguments_early,
    "empty object first": empty_object_first,
    "arguments an object": object_arguments,
    "cumulative arguments": cumulative_arguments,
    "a call in one chunk": one_chunk_calls,
    "all calls in one chunk, no index": all_in_one_chunk,
    "explicit nulls": explicit_nulls,
    "empty strings later": empty_later,
    "cumulative content": cumulative_content,
    "stop after every chunk": stop_every_chunk,
    "finish on the last delta": finish_on_delta,
    "unknown finish": _finish("eos_token"),
    "finish stop": _finish("stop"),
    "null delta at finish": _delta_at_finish(None),
    "no delta at finish": _delta_at_finish("absent"),
    "usage with null choices": _usage(lambda one: one.update(choices=None)),
    "usage without choices": _usage(lambda one: one.pop("choices") and None),
    "usage with an empty delta": _usage(lambda one: one.update(choices=[{"index": 0, "delta": {}}])),
    "usage in the finish chunk": usage_in_finish,
    "usage first": usage_first,
    "usage everywhere": usage_everywhere,
    "loading frames": loading_frames,
    "pings": pings,
    "leading empty choices": leading_empty,
    "no role": _role(lambda delta: delta.pop("role", None)),
    "role in every chunk": _role(lambda delta: delta.update(role="assistant")),
    "empty role": _role(lambda delta: delta.update(role="") if "role" in delta else None),
    "reasoning in `reasoning`": _field("reasoning"),
    "reasoning in `thinking`": _field("thinking"),
    "reasoning in both fields": both_fields,
    "content as parts": parts,
    "split surrogates": split_surrogates,
    "ids of chunks differ": ids_differ,
    "chunks without id, object, model": no_envelope,
    "no index of the choice": choice_index(None),
    "choice index a string": choice_index("0"),
    "message in the place of delta": message_for_delta,
    "empty tool_calls": _role(lambda delta: delta.setdefault("tool_calls", [])),
}


# -- the safe shape ---------------------------------------------------------------------------------------------


def assert_safe(chunks: Chunks) -> None:
    """That a stream is in the shape that every client takes."""
    assert chunks, "nothing came"
    assert len({one["id"] for one in chunks}) == 1
    started: dict[int, set[int]] = {}
    finished: dict[int, str] = {}
    ids: list[str] = []
    seen_usage = 0
    for one in chunks:
        assert isinstance(one["id"], str) and one["id"]
        assert one["object"] == "chat.completion.chunk"
        assert type(one["created"]) is int and isinstance(one["model"], str)
        assert isinstance(one["choices"], list)
        if one.get("usage") is not None:
            seen_usage += 1
            assert not one["choices"] or one["choices"][0]["finish_reason"], "usage before the end"
        for choice in one["choices"]:
            index, delta = choice["index"], choice["delta"]
            assert type(index) is int and isinstance(delta, dict)
            assert index not in finished, "something after the finish reason"
            if index not in started:
                assert delta.get("role") == "assistant" and "content" in delta, "the role comes first"
                started[index] = set()
            else:
                assert not delta.get("role")
            assert isinstance(delta.get("content"), str | None)
            assert len([key for key in ("content", "reasoning_content", "tool_calls") if delta.get(key)]) <= 1
            for entry in delta.get("tool_calls") or ():
                number = entry["index"]
                assert type(number) is int
                if number not in started[index]:
                    assert number == len(started[index])
                    started[index].add(number)
                    assert isinstance(entry["id"], str) and entry["id"]
                    ids.append(entry["id"])
                    assert entry["type"] == "function"
                    assert entry["function"]["name"] and entry["function"]["arguments"] == ""
                else:
                    assert set(entry) == {"index", "function"} and set(entry["function"]) == {"arguments"}
                    assert isinstance(entry["function"]["arguments"], str) and entry["function"]["arguments"]
            if choice.get("finish_reason") is not None:
                assert choice["finish_reason"] in ("stop", "length", "tool_calls", "content_filter")
                assert not any(delta.get(key) for key in ("content", "tool_calls", "role"))
                finished[index] = choice["finish_reason"]
                assert (finished[index] == "tool_calls") <= bool(started[index])
    assert set(started) == set(finished), "a choice without a finish reason"
    assert len(ids) == len(set(ids))
    assert seen_usage <= 1


def gathered(chunks: Chunks, index: int = 0) -> dict[str, Any]:
    """The message that a plain accumulating loop, as in OpenAI's documentation, gets."""
    out: dict[str, Any] = {"content": "", "reasoning": "", "calls": [], "finish": None}
    for one in chunks:
        for choice in one["choices"]:
            if choice["index"] != index:
                continue
            delta = choice["delta"]
            out["content"] += delta.get("content") or ""
            out["reasoning"] += delta.get("reasoning_content") or ""
            for entry in delta.get("tool_calls") or ():
                if entry["index"] >= len(out["calls"]):
                    out["calls"].append(
                        {"name": entry["function"]["name"], "arguments": "", "id": entry["id"]}
                    )
                out["calls"][entry["index"]]["arguments"] += entry["function"]["arguments"]
            out["finish"] = choice.get("finish_reason") or out["finish"]
    return out
