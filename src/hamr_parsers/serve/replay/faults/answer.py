"""Faults of the answer beside its calls: role, content, reasoning, finish_reason, usage, the head of each chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..saying import REQUEST
from ..shape import Chunk, Say, SayCall, Saying
from .calls import cut_in_half
from .registry import fault

__all__: list[str] = []

CHUNKS = list[Chunk]
TABLE = "malformations: "
_FIELDS = ("reasoning_content", "reasoning")


def _on_parts(*parts: str) -> Callable[[Callable[[Chunk], None]], Callable[[CHUNKS], CHUNKS]]:
    """A change of the chunks that were made for something."""

    def decorator(change: Callable[[Chunk], None]) -> Callable[[CHUNKS], CHUNKS]:
        def chunks(given: CHUNKS) -> CHUNKS:
            for chunk in given:
                if chunk.part in parts:
                    change(chunk)
            return given

        return chunks

    return decorator


def _messages(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def response(value: dict[str, Any]) -> dict[str, Any]:
        for choice in value["choices"]:
            change(choice["message"])
        return value

    return response


def _choices(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def response(value: dict[str, Any]) -> dict[str, Any]:
        for choice in value["choices"]:
            change(choice)
        return value

    return response


# --- role -----------------------------------------------------------------------------------------------------


def _no_role(chunks: CHUNKS) -> CHUNKS:
    for chunk in chunks:
        chunk.delta.pop("role", None)
    return chunks


fault(
    "no-role",
    "No delta has a role.",
    TABLE + "type or role missing",
    chunks=_no_role,
    response=_messages(lambda message: message.pop("role", None)),
)


def _role_repeated(chunks: CHUNKS) -> CHUNKS:
    for chunk in chunks:
        if chunk.part in ("content", "reasoning", "call"):
            chunk.delta["role"] = "assistant"
    return chunks


fault(
    "null-role",
    "The role in the first delta is null.",
    TABLE + "type or role missing",
    chunks=_on_parts("role")(lambda chunk: chunk.delta.update(role=None)),
)
fault("role-repeated", "Every delta has the role.", "Ollama; harmless", chunks=_role_repeated)

# --- content --------------------------------------------------------------------------------------------------


def _cumulative(chunks: CHUNKS) -> CHUNKS:
    told: dict[tuple[int, str], str] = {}
    for chunk in chunks:
        for field in ("content", *_FIELDS):
            text = chunk.delta.get(field)
            if isinstance(text, str) and text:
                key = (chunk.number, field)
                chunk.delta[field] = told[key] = told.get(key, "") + text
    return chunks


fault(
    "cumulative-content",
    "Each chunk repeats all the content, or all the reasoning, so far.",
    "Hamr's docs: cumulative partials",
    chunks=_cumulative,
)


def _parts(holder: dict[str, Any]) -> None:
    text = holder.get("content")
    if isinstance(text, str):
        holder["content"] = [{"type": "text", "text": text}]


fault(
    "parts-content",
    "The content is a list of parts and not a string.",
    "shapes of content",
    chunks=_on_parts("content")(lambda chunk: _parts(chunk.delta)),
    response=_messages(_parts),
)


def _empty_deltas(chunks: CHUNKS) -> CHUNKS:
    made: CHUNKS = []
    for chunk in chunks:
        made.append(chunk)
        if chunk.part in ("content", "call", "reasoning"):
            made.append(chunk.like({}, "other"))
            made.append(chunk.like({"content": ""}, "other"))
    return made


fault(
    "empty-deltas",
    "After every chunk come one with an empty delta and one with empty content.",
    "harmless",
    chunks=_empty_deltas,
)


def _surrogates(chunks: CHUNKS) -> CHUNKS:
    """A character outside the BMP begins in one chunk and ends in the next, as half a JSON escape pair each."""
    made: CHUNKS = []
    for chunk in chunks:
        made += _halved(chunk)
    return made


def _halved(chunk: Chunk) -> CHUNKS:
    for field in ("content", *_FIELDS):
        text = chunk.delta.get(field)
        if isinstance(text, str) and any(char > "\uffff" for char in text):
            return [chunk.like({field: piece}, chunk.part) for piece in _halves(text)]
    calls = chunk.delta.get("tool_calls")
    if not calls or len(calls) > 1 or calls[0].first:
        return [chunk]
    text = calls[0].function.get("arguments") or ""
    if not any(char > "\uffff" for char in text):
        return [chunk]
    made = []
    for piece in _halves(text):
        entry = type(calls[0])(dict(calls[0]), calls[0].call, False, calls[0].last)
        entry["function"] = {**calls[0].function, "arguments": piece}
        made.append(chunk.like({**chunk.delta, "tool_calls": [entry]}, "call"))
    return made


def _halves(text: str) -> list[str]:
    units = text.encode("utf-16-be", "surrogatepass")
    pieces, held = [], ""
    for at in range(0, len(units), 2):
        unit = units[at : at + 2].decode("utf-16-be", "surrogatepass")
        held += unit
        if "\ud800" <= unit <= "\udbff":
            pieces.append(held)
            held = ""
    return [*pieces, held] if held else pieces


fault(
    "split-surrogates",
    "A character that needs two UTF-16 units has one in each of two chunks.",
    "split surrogates",
    chunks=_surrogates,
)

# --- reasoning ------------------------------------------------------------------------------------------------


def _rename(delta: dict[str, Any]) -> None:
    for field, other in (_FIELDS, _FIELDS[::-1]):
        if isinstance(delta.get(field), str):
            delta[other] = delta.pop(field)
            return


def _both(delta: dict[str, Any]) -> None:
    for field, other in (_FIELDS, _FIELDS[::-1]):
        if isinstance(delta.get(field), str):
            delta[other] = delta[field]
            return


fault(
    "other-reasoning-field",
    "The reasoning comes in the other of the fields reasoning and reasoning_content.",
    "vLLM, Ollama against the others",
    needs="reasoning",
    chunks=_on_parts("reasoning")(lambda chunk: _rename(chunk.delta)),
    response=_messages(_rename),
)
fault(
    "both-reasoning-fields",
    "The reasoning comes in reasoning and in reasoning_content, the same text in both.",
    "servers on their way from one field to the other",
    needs="reasoning",
    chunks=_on_parts("reasoning")(lambda chunk: _both(chunk.delta)),
    response=_messages(_both),
)


def _all_reasoning(saying: Saying) -> Saying:
    """Text after the reasoning stays in its field: what servers do that look for the end of it in vain."""
    for piece in saying.pieces:
        if isinstance(piece, Say):
            piece.channel = "reasoning"
    return saying


fault(
    "calls-in-reasoning",
    "The text, calls and all, comes in the reasoning field.",
    "calls in the reasoning field",
    needs="text",
    saying=_all_reasoning,
)

# --- finish_reason --------------------------------------------------------------------------------------------


def _finish(value: str) -> Callable[[CHUNKS], CHUNKS]:
    def chunks(given: CHUNKS) -> CHUNKS:
        for chunk in given:
            if chunk.part == "finish" and chunk.choice is not None:
                chunk.choice["finish_reason"] = value
        return given

    return chunks


fault(
    "finish-stop",
    "An answer with calls ends with stop.",
    "Gemini; harmless",
    needs="native",
    chunks=_finish("stop"),
    response=_choices(lambda choice: choice.update(finish_reason="stop")),
)
fault(
    "unknown-finish",
    "The finish_reason is one that the API does not have.",
    TABLE + "an unknown finish_reason",
    chunks=_finish("eos_token"),
    response=_choices(lambda choice: choice.update(finish_reason="eos_token")),
)


def _no_finish(chunks: CHUNKS) -> CHUNKS:
    kept = []
    for chunk in chunks:
        if chunk.part == "finish" and chunk.choice is not None:
            if not chunk.delta and "usage" not in chunk:
                continue
            chunk.choice["finish_reason"] = None
        kept.append(chunk)
    return kept


fault(
    "no-finish",
    "Everything comes, but no finish_reason.",
    TABLE + "no finish_reason",
    outcome="cut",
    chunks=_no_finish,
    response=_choices(lambda choice: choice.update(finish_reason=None)),
)


def _finish_on_delta(chunks: CHUNKS) -> CHUNKS:
    """The last delta that says something takes the finish_reason over."""
    made: CHUNKS = []
    for chunk in chunks:
        said = [c for c in made if c.number == chunk.number and c.part in ("content", "call", "reasoning")]
        if chunk.part == "finish" and not chunk.delta and said and chunk.choice is not None:
            last = said[-1]
            assert last.choice is not None
            last.choice["finish_reason"] = chunk.choice["finish_reason"]
            if "usage" in chunk:
                last["usage"] = chunk["usage"]
            last.part = "finish"
            continue
        made.append(chunk)
    return made


fault(
    "finish-on-delta",
    "The finish_reason stands on the last delta that says something.",
    "older vLLM",
    chunks=_finish_on_delta,
)


def _length_on_delta(saying: Saying) -> Saying:
    return cut_in_half(saying)


fault(
    "length-on-delta",
    "An answer that max_tokens cut says length on a delta of its call.",
    "vLLM",
    outcome="cut",
    needs="native",
    saying=_length_on_delta,
    chunks=_finish_on_delta,
)


def _stop_everywhere(chunks: CHUNKS) -> CHUNKS:
    made: CHUNKS = []
    for chunk in chunks:
        made.append(chunk)
        if chunk.choice is not None and chunk.part in ("role", "content", "reasoning", "call"):
            made.append(chunk.like({}, "other", "stop"))
    return made


fault(
    "stop-every-chunk",
    "After every chunk comes one with finish_reason stop.",
    "a proxy",
    chunks=_stop_everywhere,
)


def _stop_invented(saying: Saying) -> Saying:
    saying = cut_in_half(saying)
    saying.finish = "stop"
    return saying


fault(
    "stop-invented",
    "The answer died on the way, in the middle of a call, and the proxy says stop.",
    "LiteLLM proxy",
    outcome="cut",
    needs="native",
    saying=_stop_invented,
)
fault(
    "done-without-finish",
    "The answer dies in the middle and ends in a clean [DONE], without a finish_reason.",
    "Relay",
    outcome="cut",
    saying=cut_in_half,
    chunks=_no_finish,
)
fault(
    "null-delta",
    "The delta is null at the finish.",
    TABLE + "delta null or absent at finish",
    chunks=_on_parts("finish")(
        lambda chunk: (
            chunk.choice.update(delta=None) if chunk.choice is not None and not chunk.delta else None
        )
    ),
)
fault(
    "no-delta",
    "There is no delta at the finish.",
    TABLE + "delta null or absent at finish",
    chunks=_on_parts("finish")(
        lambda chunk: chunk.choice.pop("delta") if chunk.choice is not None and not chunk.delta else None
    ),
)

# --- usage ----------------------------------------------------------------------------------------------------


def _usage_of(chunks: CHUNKS) -> tuple[CHUNKS, dict[str, int]]:
    """The chunks without usage, and the usage (made up, if it was not asked for)."""
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    kept = []
    for chunk in chunks:
        found = chunk.pop("usage", None)
        if isinstance(found, dict):
            usage = found
        if chunk.part != "usage":
            kept.append(chunk)
    return kept, usage


def _usage(place: Callable[[CHUNKS, dict[str, int], Chunk], CHUNKS]) -> Callable[[CHUNKS], CHUNKS]:
    """`place` puts the usage into the chunks that are left; it gets a bare chunk with the head of the others."""

    def chunks(given: CHUNKS) -> CHUNKS:
        kept, usage = _usage_of(given)
        head = {key: value for key, value in kept[0].items() if key not in ("choices", "prompt_token_ids")}
        return place(kept, usage, Chunk({**head, "usage": usage}, "usage"))

    return chunks


def _with_choices(bare: Chunk, choices: Any) -> Chunk:
    bare["choices"] = choices
    return bare


def _in_finish(chunks: CHUNKS, usage: dict[str, int], _: Chunk) -> CHUNKS:
    last = [chunk for chunk in chunks if chunk.part == "finish"] or chunks
    last[-1]["usage"] = usage
    return chunks


def _everywhere(chunks: CHUNKS, usage: dict[str, int], _: Chunk) -> CHUNKS:
    for chunk in chunks:
        chunk["usage"] = usage
    return chunks


fault(
    "usage-null-choices",
    "The usage chunk has choices: null.",
    TABLE + "usage chunk with choices null or absent",
    chunks=_usage(lambda chunks, _, bare: [*chunks, _with_choices(bare, None)]),
)
fault(
    "usage-no-choices",
    "The usage chunk has no choices.",
    TABLE + "usage chunk with choices null or absent",
    chunks=_usage(lambda chunks, _, bare: [*chunks, bare]),
)
fault(
    "usage-after-finish",
    "Usage comes after the finish, in a chunk with a choice and an empty delta.",
    "LiteLLM proxy; usage with non-empty choices",
    chunks=_usage(lambda chunks, _, bare: [*chunks, _with_choices(bare, [{"index": 0, "delta": {}}])]),
)
fault(
    "usage-in-finish",
    "Usage stands in the finish chunk.",
    "transformers serve",
    chunks=_usage(_in_finish),
)
fault(
    "usage-first",
    "Usage comes before everything else.",
    "usage anywhere",
    chunks=_usage(lambda chunks, _, bare: [_with_choices(bare, []), *chunks]),
)
fault(
    "usage-everywhere",
    "Every chunk has usage.",
    "usage with non-empty choices",
    chunks=_usage(_everywhere),
)


def _no_usage_response(value: dict[str, Any]) -> dict[str, Any]:
    value.pop("usage", None)
    return value


fault(
    "no-usage",
    "There is no usage, although it was asked for.",
    "harmless",
    chunks=lambda chunks: _usage_of(chunks)[0],
    response=_no_usage_response,
)

# --- the head of the chunks -----------------------------------------------------------------------------------


def _empty_choices_first(chunks: CHUNKS) -> CHUNKS:
    first = Chunk({**chunks[0], "choices": []}, "other")
    return [first, *chunks]


fault(
    "empty-choices-first",
    "The stream begins with a chunk with choices: [].",
    "harmless",
    chunks=_empty_choices_first,
)


def _ids_differ(chunks: CHUNKS) -> CHUNKS:
    for count, chunk in enumerate(chunks):
        chunk["id"] = f"chatcmpl-{REQUEST}-{count % 3}"
    return chunks


fault("ids-differ", "The chunks of one stream have several ids.", "Relay", chunks=_ids_differ)


def _bare(chunks: CHUNKS) -> CHUNKS:
    for chunk in chunks:
        for key in ("id", "object", "created", "model"):
            chunk.pop(key, None)
    return chunks


fault("bare-chunks", "Chunks have no id, object, created and model.", "minimal servers", chunks=_bare)


def _no_choice_index(chunks: CHUNKS) -> CHUNKS:
    for chunk in chunks:
        if chunk.choice is not None:
            chunk.choice.pop("index", None)
    return chunks


fault("no-choice-index", "Choices have no index.", "minimal servers", chunks=_no_choice_index)


def _logprobs(chunks: CHUNKS) -> CHUNKS:
    for chunk in chunks:
        if chunk.part == "content" and chunk.choice is not None:
            text = chunk.delta.get("content")
            chunk.choice["logprobs"] = {
                "content": [{"token": text, "logprob": -0.25, "bytes": None, "top_logprobs": []}],
                "refusal": None,
            }
    return chunks


fault("logprobs", "Content comes with its logprobs.", "logprobs kept", chunks=_logprobs)


def _unknown(chunks: CHUNKS) -> CHUNKS:
    for chunk in chunks:
        chunk["x_provider"] = {"name": "replay"}
        if chunk.choice is not None:
            chunk.choice["native_finish_reason"] = None
    return chunks


def _unknown_response(value: dict[str, Any]) -> dict[str, Any]:
    value["x_provider"] = {"name": "replay"}
    return value


fault(
    "unknown-fields",
    "Chunks and choices have fields that the API does not have.",
    "unknown fields kept",
    chunks=_unknown,
    response=_unknown_response,
)

# --- both, and neither ----------------------------------------------------------------------------------------

fault(
    "doubled",
    "The calls stand in the content, and are sent parsed as well.",
    "native and text calls of one answer",
    needs="both",
)


def _destroyed(saying: Saying) -> Saying:
    """Of the first call and what follows it, nothing is left; the text before it is."""
    for place, piece in enumerate(saying.pieces):
        if isinstance(piece, SayCall):
            del saying.pieces[place:]
            break
    saying.finish, saying.cut = "stop", False
    return saying


fault(
    "destroyed-call",
    "The text before the call comes, then stop; with tool_choice none, or not streamed, all comes as text.",
    "vLLM with the wrong --tool-call-parser",
    outcome="gone",
    needs="native",
    when="asked",
    saying=_destroyed,
)


def _in_words(saying: Saying) -> Saying:
    saying.pieces[:] = [Say("content", "I have no tools "), Say("content", "for that.")]
    saying.finish, saying.cut = "stop", False
    return saying


fault(
    "none-drops-tools",
    "With tool_choice none the tools are left out of the prompt, and the model answers in words.",
    "vLLM and others, depending on their flags",
    outcome="gone",
    when="refused",
    saying=_in_words,
)
fault(
    "calls-unasked",
    "Calls are parsed although no tools were sent, or with tool_choice none.",
    "transformers serve",
    needs="native",
    unasked=True,
)
