"""How each kind of gateway shapes what it sends. The table of kinds is data; `shaping.py` reads it.

Each row was seen on the real server or is reported for it; the notes say what a client meets there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """The habits of one kind of gateway.

    Attributes:
        name, title: for the option and for a person.
        port: its usual port.
        first: the content of the first delta, beside the role; `absent` leaves the key out.
        reasoning: the field for the reasoning.
        arguments: what the first chunk of a call has: "" or "{" or nothing ("absent"), or the "whole" call.
        index: "count" from 0, or always "zero".
        later, later_function: what later chunks of a call repeat beside index and arguments.
        every_delta: what every delta of content, reasoning and calls has.
        usage: "choices-empty" (after the finish), "in-finish", or "after-finish" (with a choice and an empty delta).
        usage_always: sent even if it was not asked for.
        done: whether `[DONE]` ends the stream.
        length_on_delta: an answer cut by `max_tokens` says so on the last delta of the call.
        parses_always: calls are parsed even when no tools were sent or `tool_choice` was "none".
        loses_cut_calls: a call that `max_tokens` cut is a 502 when not streamed.
        loads: a model that is not the running one is loaded first, with loading frames.
        chunk, first_chunk, choice, message: extra fields of chunks, the first one, choices (streamed), whole messages.
        model_entry, owned_by: fields of an entry of `/v1/models`; models_key: a second list in that answer.
        error: the style of its error objects.
        unknown_status: the status for a model that it does not have.
        max_body: the largest request body.
        headers: of every answer.
        paths: other paths that it answers, for those who look what it is.
    """

    name: str
    title: str
    port: int
    first: Literal["null", "empty", "absent"] = "absent"
    reasoning: str = "reasoning_content"
    arguments: Literal["", "{", "absent", "whole"] = ""
    index: Literal["count", "zero"] = "count"
    later: Mapping[str, Any] = field(default_factory=dict)
    later_function: Mapping[str, Any] = field(default_factory=dict)
    every_delta: Mapping[str, Any] = field(default_factory=dict)
    usage: Literal["choices-empty", "in-finish", "after-finish"] = "choices-empty"
    usage_always: bool = False
    done: bool = True
    length_on_delta: bool = False
    parses_always: bool = False
    loses_cut_calls: bool = False
    loads: bool = False
    chunk: Mapping[str, Any] = field(default_factory=dict)
    first_chunk: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    model_entry: Mapping[str, Any] = field(default_factory=dict)
    owned_by: str = "replay"
    models_key: str | None = None
    error: Literal["openai", "llamacpp", "vllm", "detail"] = "openai"
    unknown_status: int = 404
    max_body: int = 64 * 1024 * 1024
    headers: tuple[tuple[str, str], ...] = ()
    paths: Mapping[str, Any] = field(default_factory=dict)


_LLAMACPP_MODEL = {
    "meta": {"vocab_type": 2, "n_vocab": 151936, "n_ctx_train": 131072, "n_params": 8_000_000_000}
}

_ALL = (
    Kind(
        "relay",
        "Relay before llama.cpp: text calls stay text, loading frames, errors inside the stream",
        1234,
        first="null",
        arguments="{",
        loses_cut_calls=True,
        loads=True,
        chunk={"system_fingerprint": "b6000-relay"},
        model_entry=_LLAMACPP_MODEL,
        owned_by="relay",
        unknown_status=503,
        max_body=1024 * 1024,
        paths={
            "/relay/status": {"status": "running", "version": "0.3.1"},
            "/relay/capabilities": {"streaming": True, "tools": True},
        },
    ),
    Kind(
        "lmstudio",
        "LM Studio: empty names and ids in later chunks, always `tool_calls: []` when not streaming",
        1234,
        first="absent",
        later={"id": "", "type": "function"},
        later_function={"name": ""},
        chunk={"system_fingerprint": "replay"},
        message={"tool_calls": []},
        owned_by="organization_owner",
        paths={"/api/v0/models": {"data": [], "object": "list"}},
    ),
    Kind(
        "llamacpp",
        "llama.cpp's server: `content: null` first, arguments that begin with `{`",
        8080,
        first="null",
        arguments="{",
        chunk={"system_fingerprint": "b6000-replay"},
        model_entry=_LLAMACPP_MODEL,
        owned_by="llamacpp",
        models_key="models",
        error="llamacpp",
        headers=(("Server", "llama.cpp"),),
        paths={"/props": {"build_info": "b6000-replay", "total_slots": 4, "chat_template": ""}},
    ),
    Kind(
        "ollama",
        "Ollama: every call at index 0 in one chunk, reasoning in `reasoning`",
        11434,
        first="empty",
        reasoning="reasoning",
        arguments="whole",
        index="zero",
        every_delta={"role": "assistant", "content": ""},
        chunk={"system_fingerprint": "fp_ollama"},
        owned_by="library",
        paths={"/api/version": {"version": "0.13.0"}},
    ),
    Kind(
        "vllm",
        "vLLM: no `arguments` key in a call's first chunk, reasoning in `reasoning`",
        8000,
        first="empty",
        reasoning="reasoning",
        arguments="absent",
        length_on_delta=True,
        first_chunk={"prompt_token_ids": None},
        choice={"logprobs": None, "token_ids": None},
        message={
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": [],
            "reasoning": None,
        },
        model_entry={
            "root": "replay",
            "parent": None,
            "max_model_len": 131072,
            "permission": [{"id": "modelperm-replay", "object": "model_permission", "allow_sampling": True}],
        },
        owned_by="vllm",
        error="vllm",
        headers=(("Server", "uvicorn"),),
        paths={"/version": {"version": "0.32.0"}},
    ),
    Kind(
        "litellm",
        "The LiteLLM proxy: `type` in every chunk of a call, usage after the finish with an empty delta",
        4000,
        first="empty",
        later={"type": "function"},
        usage="after-finish",
        chunk={"system_fingerprint": None},
        owned_by="openai",
        unknown_status=400,
        headers=(("Server", "uvicorn"), ("x-litellm-version", "1.108.0")),
    ),
    Kind(
        "transformers",
        "transformers serve: a call in one chunk, usage in the finish chunk, no `[DONE]`",
        8000,
        first="absent",
        arguments="whole",
        usage="in-finish",
        usage_always=True,
        done=False,
        parses_always=True,
        chunk={"system_fingerprint": ""},
        owned_by="transformers",
        error="detail",
        headers=(("Server", "uvicorn"),),
    ),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
