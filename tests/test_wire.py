"""The wire layer: whatever shape a gateway streams, the same message in the safe shape."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hamr_parsers as hp
from hamr_parsers.wire import ChatNormalizer, Exchange, UpstreamError, WireOptions, normalize_completion

from .wire_faults import (
    FAULTS,
    TOOLS,
    Chunks,
    assert_safe,
    chunk,
    gathered,
    native,
    pieces,
    sent,
    usage_chunk,
)

REQUEST = {"model": "some-model", "messages": [], "tools": TOOLS, "stream": True}

CALLS: list[dict[str, Any]] = [
    {"name": "get_weather", "arguments": '{"city": "Oslo", "a": {"city": "Bergen"}}'},
    {"name": "get_weather", "arguments": '{"city": "Tromsø 🌧"}'},
    {"name": "get", "arguments": '{"a": {"a": {"a": [1, {"a": 2}]}}}'},
    {"name": "run", "arguments": json.dumps({"code": 'x = {"a": "}{"}\nprint("\\\\")'})},
    {"name": "now", "arguments": "{}"},
]
TRUTHS: dict[str, dict[str, Any]] = {
    "content": {"content": "Hello, how are you? 🙂 Fine."},
    "one call": {"content": "Let me look.", "calls": CALLS[:1]},
    "parallel calls of one tool": {"calls": CALLS[:2]},
    "all": {"reasoning": "They want it all, and now.", "content": "Well then. 🌍", "calls": CALLS},
    "no arguments": {"calls": [CALLS[4], CALLS[0]]},
}


def run(chunks: Chunks, request: Any = REQUEST, **options: Any) -> tuple[Chunks, ChatNormalizer]:
    normalizer = Exchange(request, WireOptions(**options)).normalizer()
    chunks = sent(chunks)
    before = copy.deepcopy(chunks)
    out = [made for one in chunks for made in normalizer.feed(one)]
    out += normalizer.close()
    assert chunks == before, "what came in is not modified"
    assert normalizer.close() == [] and normalizer.feed(chunk({"content": "late"})) == []
    return out, normalizer


def assert_is(out: Chunks, truth: dict[str, Any]) -> None:
    got = gathered(out)
    assert got["content"] == (truth.get("content") or "")
    assert got["reasoning"] == (truth.get("reasoning") or "")
    wanted = truth.get("calls", [])
    assert [call["name"] for call in got["calls"]] == [call["name"] for call in wanted]
    for call, want in zip(got["calls"], wanted, strict=True):
        assert json.loads(call["arguments"]) == json.loads(want["arguments"])
    assert got["finish"] == ("tool_calls" if wanted else "stop")


def joined(chunks: Chunks) -> Chunks:
    """The chunks, those of content and of reasoning that follow one another made one."""
    out: Chunks = []
    for one in copy.deepcopy(chunks):
        last = out[-1]["choices"][0]["delta"] if out and out[-1]["choices"] else {}
        delta = one["choices"][0]["delta"] if one["choices"] else {}
        key = next((k for k in ("content", "reasoning_content") if last.get(k) and delta.get(k)), None)
        if key:
            last[key] += delta[key]
        else:
            out.append(one)
    return out


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("request_", [REQUEST, None], ids=["tools", "unknown"])
def test_a_well_behaved_stream_passes_as_it_came(truth: str, size: int, request_: Any) -> None:
    """Chunk by chunk; but the beginning of a word that may become a marker is held, so content is compared joined."""
    chunks = sent(native(TRUTHS[truth], size, usage=True))
    out, normalizer = run(chunks, request_)
    assert joined(out) == joined(chunks)
    if size == 1000:
        assert out == chunks
    assert not normalizer.report.repairs
    assert_safe(out)


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_stream_gives_the_same_message_in_the_safe_shape(fault: str, truth: str) -> None:
    for size, request in itertools.product((1, 4, 1000), (REQUEST, None)):
        out, _ = run(FAULTS[fault](native(TRUTHS[truth], size, usage=True)), request)
        assert_safe(out)
        assert_is(out, TRUTHS[truth])


_WHOLE = (
    "a call in one chunk",
    "all calls in one chunk, no index",
    "arguments an object",
    "arguments begin in the first entry",
)
_FIRST = (
    "no arguments at first",
    "null arguments at first",
    "empty object first",
    "finish on the last delta",
)
_USAGE = ("usage with null choices", "usage without choices", "usage with an empty delta")
#: Pairs that leave no way to tell, or of which the second destroys what the first left.
NOT_TOGETHER = {
    frozenset(pair)
    for pair in (
        # nothing says any more that another call of the same name begins
        ("id changes by chunk", "name again in every entry"),
        # a name that goes on behind the arguments, or is never whole
        *(
            ("name split", other)
            for other in (
                *_WHOLE,
                "empty object first",
                "name again in every entry",
                "explicit nulls",
                "empty strings later",
            )
        ),
        # the second is not written for what the first makes
        *itertools.product(_WHOLE, _FIRST),
        *itertools.product(_WHOLE, ("cumulative arguments",)),
        *itertools.product(("usage in the finish chunk",), _USAGE),
        ("cumulative content", "split surrogates"),
        ("one index for all", "id again in every entry"),
        ("message in the place of delta", "name split"),  # half of it in deltas
    )
}


@pytest.mark.parametrize("one", FAULTS)
def test_two_malformations_together(one: str) -> None:
    truth = TRUTHS["all"]
    for other in FAULTS:
        if other == one or frozenset((one, other)) in NOT_TOGETHER:
            continue
        try:
            chunks = FAULTS[other](FAULTS[one](native(truth, 4, usage=True)))
        except (KeyError, AttributeError, TypeError, ValueError):
            continue  # the second has nothing left to work on
        out, _ = run(chunks)
        try:
            assert_safe(out)
            assert_is(out, truth)
        except (AssertionError, ValueError) as error:
            raise AssertionError(
                f"{one} + {other}: {error}\n" + "\n".join(map(json.dumps, chunks))
            ) from error


# -- the text --------------------------------------------------------------------------------------------------

FAMILIES = ["hermes", "qwen3_coder", "mistral", "glm45", "kimi_k2", "gpt_oss", "deepseek_v31", "llama3_json"]


def in_text(family: str, truth: dict[str, Any], cut: Any = 3) -> Chunks:
    """A message as the family's model writes it, left as text."""
    message = {
        "role": "assistant",
        "content": truth.get("content"),
        "reasoning_content": truth.get("reasoning"),
    }
    message["tool_calls"] = [
        {"id": "abcdefgh1", "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
        for c in truth.get("calls", [])
    ]
    text = hp.render(message, parser=family, in_reasoning=False, check=False)
    return [
        chunk({"role": "assistant", "content": None}),
        *(chunk({"content": p}) for p in pieces(text, cut)),
        chunk({}, "stop"),
    ]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("family", FAMILIES)
def test_text_calls_become_tool_calls_in_the_safe_shape(family: str, size: int) -> None:
    calls = [{"name": name, "arguments": '{"city": "Tromsø 🌧"}'} for name in ("get_weather", "get")]
    truth = {"content": "Look.", "calls": calls} if family != "llama3_json" else {"calls": calls[:1]}
    out, normalizer = run(in_text(family, truth, size), parser=family)
    assert_safe(out)
    out[1]["choices"][0]["delta"].update(
        content=(out[1]["choices"][0]["delta"].get("content") or "").lstrip()
    )
    assert_is(out, truth)
    assert normalizer.report.leaks >= len(truth["calls"])
    assert {source for _, source in normalizer.report.calls} == {"text"}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_calls_in_the_reasoning_field_are_calls(field: str) -> None:
    text = 'Thinking.\n<tool_call>\n{"name": "get", "arguments": {"a": 1}}\n</tool_call>'
    out, _ = run([*(chunk({field: p}) for p in pieces(text, 5)), chunk({}, "stop")], parser="hermes")
    assert_safe(out)
    assert_is(out, {"reasoning": "Thinking.", "calls": [{"name": "get", "arguments": '{"a": 1}'}]})


@pytest.mark.parametrize("order", ["text first", "native first", "interleaved"])
def test_a_call_that_is_there_natively_and_as_text_is_given_out_once(order: str) -> None:
    truth = {"content": "Look:", "calls": CALLS[:2]}
    text = in_text("hermes", truth)[1:-1]
    calls = [
        one for one in sent(native({"calls": CALLS[:2]})) if one["choices"][0]["delta"].get("tool_calls")
    ]
    if order == "text first":
        middle = text + calls
    elif order == "native first":
        middle = calls + text
    else:
        middle = [one for pair in itertools.zip_longest(text, calls) for one in pair if one]
    chunks = [chunk({"role": "assistant", "content": None}), *middle, chunk({}, "tool_calls")]
    out, normalizer = run(chunks, parser="hermes")
    assert_safe(out)
    assert_is(out, {**truth, "content": gathered(out)["content"]})
    assert gathered(out)["content"].rstrip() == "Look:"
    assert normalizer.report.repairs["doubled"] == 2


def test_a_text_call_beside_another_native_call_is_kept() -> None:
    truth = {"calls": CALLS[:1]}
    calls = [
        one for one in sent(native({"calls": CALLS[1:2]})) if one["choices"][0]["delta"].get("tool_calls")
    ]
    out, _ = run([*in_text("hermes", truth)[:-1], *calls, chunk({}, "tool_calls")], parser="hermes")
    assert_safe(out)
    assert_is(out, {"calls": CALLS[:2]})


def test_blanks_that_the_parser_holds_come_before_a_native_call() -> None:
    calls = [
        one for one in sent(native({"calls": CALLS[:1]})) if one["choices"][0]["delta"].get("tool_calls")
    ]
    out, _ = run([chunk({"role": "assistant", "content": "I look.\n\n"}), *calls, chunk({}, "tool_calls")])
    assert_safe(out)
    kinds = ["content" if c["choices"][0]["delta"].get("content") else "call" for c in out[:-1]]
    assert kinds == sorted(kinds, reverse=True)
    assert gathered(out)["content"] == "I look.\n\n"


# -- the end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finish", ["length", "tool_calls", "stop", None])
def test_a_native_call_that_was_cut_never_looks_whole(finish: str | None) -> None:
    chunks = sent(native({"calls": CALLS[:1]}))[:-4] + ([chunk({}, finish)] if finish else [])
    out, _ = run(chunks)
    assert_safe(out)
    got = gathered(out)
    assert got["finish"] == "length"
    with pytest.raises(ValueError):
        json.loads(got["calls"][0]["arguments"])


@pytest.mark.parametrize("finish", ["length", "stop", None])
def test_a_text_call_that_was_cut_never_looks_whole(finish: str | None) -> None:
    chunks = in_text("hermes", {"calls": CALLS[:1]})[:-10] + ([chunk({}, finish)] if finish else [])
    out, _ = run(chunks, parser="hermes")
    assert_safe(out)
    got = gathered(out)
    assert got["finish"] == "length"
    with pytest.raises(ValueError):
        json.loads(got["calls"][0]["arguments"])


@pytest.mark.parametrize("source", ["native", "text"])
def test_a_cut_call_is_mended_or_dropped_on_request(source: str) -> None:
    whole = native({"calls": CALLS[:2]}) if source == "native" else in_text("hermes", {"calls": CALLS[:2]})
    chunks = [*sent(whole)[: -4 if source == "native" else -10], chunk({}, "length")]
    out, _ = run(chunks, parser="hermes", incomplete="mend")
    assert_safe(out)
    assert len(gathered(out)["calls"]) == 2
    assert all(isinstance(json.loads(call["arguments"]), dict) for call in gathered(out)["calls"])
    assert gathered(out)["finish"] == "length"
    out, _ = run(chunks, parser="hermes", incomplete="drop")
    assert_safe(out)
    assert [call["arguments"] for call in gathered(out)["calls"]] == [CALLS[0]["arguments"]]
    assert gathered(out)["finish"] == "length"


def test_an_answer_without_a_finish_reason_is_cut() -> None:
    out, _ = run([chunk({"role": "assistant", "content": "Half an ans"})])
    assert gathered(out)["finish"] == "length"


def test_tool_calls_as_finish_without_any_call_is_stop() -> None:
    out, _ = run([chunk({"role": "assistant", "content": "Done."}), chunk({}, "tool_calls")])
    assert gathered(out)["finish"] == "stop"


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "broken", "code": 500}},
        {"error": "broken"},
        {"relay": {"type": "relay.error", "error": {"message": "broken"}}, "choices": []},
        {
            "id": "x",
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            "error": {"message": "broken"},
        },
    ],
)
def test_an_error_inside_the_stream_comes_after_what_came_before_it(error: dict[str, Any]) -> None:
    normalizer = Exchange(REQUEST).normalizer()
    out = [
        made
        for one in (chunk({"role": "assistant", "content": "Half "}), error)
        for made in normalizer.feed(one)
    ]
    assert_safe(out)
    assert gathered(out)["content"].strip() == "Half"
    assert gathered(out)["finish"] == "length"
    assert isinstance(normalizer.error, UpstreamError)
    assert "broken" in str(normalizer.error)
    assert normalizer.feed(chunk({"content": "late"})) == [] and normalizer.close() == []


def test_several_choices_are_read_apart() -> None:
    texts = ['<tool_call>{"name": "get", "arguments": {"a": 1}}</tool_call>', "Just an answer."]
    cuts = [pieces(text, 4) for text in texts]
    chunks = [
        chunk({"content": part}, index=index)
        for pair in itertools.zip_longest(*cuts)
        for index, part in enumerate(pair)
        if part
    ]
    chunks += [chunk({}, "stop", 0), chunk({}, "stop", 1)]
    out, _ = run(chunks, parser="hermes")
    assert_safe(out)
    assert gathered(out, 0)["calls"][0]["name"] == "get" and gathered(out, 0)["finish"] == "tool_calls"
    assert gathered(out, 1)["content"] == "Just an answer." and gathered(out, 1)["finish"] == "stop"


def test_a_connection_that_breaks_after_the_finish_reason_has_cut_nothing() -> None:
    normalizer = Exchange(REQUEST).normalizer()
    chunks = sent(native({"calls": CALLS[:1]}))
    out = [made for one in chunks for made in normalizer.feed(one)] + normalizer.close(died=True)
    assert_is(out, {"calls": CALLS[:1]})
    normalizer = Exchange(REQUEST).normalizer()
    chunks = FAULTS["stop after every chunk"](chunks)[:12]
    out = [made for one in chunks for made in normalizer.feed(one)] + normalizer.close(died=True)
    assert gathered(out)["finish"] == "length"


def test_the_whole_message_at_the_end_of_its_deltas_is_not_read_twice() -> None:
    message = {"role": "assistant", "content": "Well then.", "tool_calls": []}
    last = chunk({}, "stop")
    last["choices"][0] = {"index": 0, "message": message, "finish_reason": "stop"}
    out, _ = run([*sent(native({"content": "Well then."}))[:-1], last])
    assert_safe(out)
    assert_is(out, {"content": "Well then."})


def test_relay_s_fields_on_a_chunk_that_says_something_do_not_hide_it() -> None:
    out, _ = run([chunk({"content": "Hi."}, relay={"type": "relay.loaded"}), chunk({}, "stop")])
    assert_safe(out)
    assert_is(out, {"content": "Hi."})


def test_usage_on_the_finish_of_a_second_choice_is_no_usage_chunk() -> None:
    usage = {"total_tokens": 3}
    chunks = [chunk({"content": "A"}, index=0), chunk({"content": "B"}, index=1), chunk({}, "stop", 0)]
    out, _ = run([*chunks, chunk({}, "content_filter", 1, usage=usage)])
    assert_safe(out)
    assert (gathered(out, 0)["finish"], gathered(out, 1)["finish"]) == ("stop", "content_filter")
    assert [one["usage"] for one in out if one.get("usage")] == [usage]


def test_an_index_that_is_only_the_place_in_the_delta() -> None:
    chunks = sent(native({"calls": CALLS[:3]}))
    for one in chunks:
        for entry in one["choices"][0]["delta"].get("tool_calls", ()):
            if "id" not in entry:
                entry["index"] = 0
    out, _ = run(chunks)
    assert_safe(out)
    assert_is(out, {"calls": CALLS[:3]})


# -- what the request says ----------------------------------------------------------------------------------------


def test_a_request_without_tools_gets_no_calls() -> None:
    chunks = in_text("hermes", {"calls": CALLS[:1]})
    request = {"model": "qwen3", "messages": []}
    out, _ = run(chunks, request)
    assert not gathered(out)["calls"] and "<tool_call>" in gathered(out)["content"]
    out, _ = run(chunks, request, parse_without_tools=True)
    assert gathered(out)["calls"][0]["name"] == "get_weather"


def test_tool_choice_none_gives_text() -> None:
    out, _ = run(in_text("hermes", {"calls": CALLS[:1]}), {**REQUEST, "tool_choice": "none"})
    assert not gathered(out)["calls"] and gathered(out)["finish"] == "stop"


def test_upstream_text_asks_for_text_and_parses_it() -> None:
    request = {**REQUEST, "tool_choice": "required"}
    exchange = Exchange(request, WireOptions(upstream="text", parser="hermes"))
    assert exchange.body == {**REQUEST, "tool_choice": "none"}
    assert request["tool_choice"] == "required"
    out = [
        made for one in in_text("hermes", {"calls": CALLS[:1]}) for made in exchange.normalizer().feed(one)
    ]
    normalizer = exchange.normalizer()
    out = [made for one in in_text("hermes", {"calls": CALLS[:1]}) for made in normalizer.feed(one)]
    assert_is(out + normalizer.close(), {"calls": CALLS[:1]})


THOUGHTS = "They ask for the time.</think>\n\nIt is noon."


@pytest.mark.parametrize(
    "request_",
    [
        {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"},
        {"model": "Qwen/Qwen3.6-35B-A3B", "chat_template_kwargs": {"enable_thinking": True}},
        {"model": "Qwen/Qwen3.6-35B-A3B", "enable_thinking": True},
        {"model": "deepseek-ai/DeepSeek-V3.1", "chat_template_kwargs": {"thinking": True}},
        {"model": "zai-org/GLM-4.7", "thinking": {"type": "enabled"}},
    ],
    ids=lambda request: "-".join(map(str, request.values())),
)
def test_reasoning_that_the_prompt_opened_is_reasoning_from_its_first_character(
    request_: dict[str, Any],
) -> None:
    out, _ = run([*(chunk({"content": p}) for p in pieces(THOUGHTS, 4)), chunk({}, "stop")], request_)
    assert_safe(out)
    assert_is(out, {"reasoning": "They ask for the time.", "content": "It is noon."})


@pytest.mark.parametrize(
    "request_",
    [
        {"model": "Qwen/Qwen3-Coder-30B-A3B-Instruct", "enable_thinking": True},
        {"model": "Qwen/Qwen3-8B", "enable_thinking": True},
        {"model": "Qwen/Qwen3.6-35B-A3B"},
        {
            "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
            "messages": [{"role": "tool", "tool_call_id": "a", "content": "12:00"}],
        },
    ],
    ids=["a model without thoughts", "one that opens the block itself", "no flag", "after a tool's result"],
)
def test_where_the_prompt_does_not_open_the_block_an_answer_is_an_answer(request_: dict[str, Any]) -> None:
    out, normalizer = run([chunk({"content": "It is noon."}), chunk({}, "stop")], request_)
    assert_is(out, {"content": "It is noon."})
    assert not normalizer.report.repairs["reasoning"]


def test_where_thinking_is_off_nothing_is_reasoning() -> None:
    request = {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "reasoning_effort": "none"}
    out, _ = run([chunk({"content": "It is noon."}), chunk({}, "stop")], request)
    assert_is(out, {"content": "It is noon."})


def test_a_server_that_takes_reasoning_apart_gets_its_content_as_content() -> None:
    request = {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"}
    chunks = [chunk({"reasoning": "They ask."}), chunk({"content": "It is noon."}), chunk({}, "stop")]
    out, _ = run(chunks, request)
    assert_is(out, {"reasoning": "They ask.", "content": "It is noon."})


def test_an_answer_that_was_reasoning_only_by_assumption_is_not_lost() -> None:
    request = {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"}
    out, normalizer = run([chunk({"content": "It is noon."}), chunk({}, "stop")], request)
    assert gathered(out)["content"] == "It is noon."
    assert normalizer.report.repairs["reasoning"] == 1


@pytest.mark.parametrize(
    ("option", "fields"), [("reasoning", ["reasoning"]), ("both", ["reasoning_content", "reasoning"])]
)
def test_reasoning_goes_to_the_field_that_is_asked_for(option: Any, fields: list[str]) -> None:
    out, _ = run([chunk({"reasoning_content": "Hm."}), chunk({}, "stop")], reasoning=option)
    deltas = [one["choices"][0]["delta"] for one in out]
    assert [sorted(d) for d in deltas if d.keys() & {"reasoning", "reasoning_content"}] == [sorted(fields)]


@pytest.mark.parametrize("source", ["native", "text"])
def test_a_legacy_client_gets_function_call(source: str) -> None:
    request = {"model": "m", "functions": [tool["function"] for tool in TOOLS]}
    if source == "native":
        chunks = [
            chunk({"role": "assistant", "content": None, "function_call": {"name": "get", "arguments": ""}}),
            chunk({"function_call": {"arguments": '{"a": 1}'}}),
            chunk({}, "function_call"),
        ]
    else:
        chunks = in_text("hermes", {"calls": [{"name": "get", "arguments": '{"a": 1}'}]})
    out, _ = run(chunks, request, parser="hermes")
    calls = [
        c["choices"][0]["delta"]["function_call"] for c in out if "function_call" in c["choices"][0]["delta"]
    ]
    assert calls[0] == {"name": "get", "arguments": ""}
    assert "".join(call["arguments"] for call in calls) == '{"a": 1}'
    assert out[-1]["choices"][0]["finish_reason"] == "function_call"


def test_a_function_call_becomes_a_tool_call_for_everybody_else() -> None:
    chunks = [
        chunk({"role": "assistant", "content": None, "function_call": {"name": "get", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a": 1}'}}),
        chunk({}, "function_call"),
    ]
    out, _ = run(chunks)
    assert_safe(out)
    assert_is(out, {"calls": [{"name": "get", "arguments": '{"a": 1}'}]})


# -- what is kept ------------------------------------------------------------------------------------------------


def test_unknown_fields_are_kept() -> None:
    first = chunk({"role": "assistant", "content": "A"}, system_fingerprint="fp", timings={"n": 1})
    first["choices"][0]["token_ids"] = [1, 2]
    second = chunk(
        {"content": '<tool_call>{"name": "get", "arguments": {"a": 1}}</tool_call>', "annotations": [1]},
        extra=2,
    )
    out, _ = run([first, second, chunk({}, "stop", timings={"n": 3})], parser="hermes")
    assert_safe(out)
    assert [one["timings"] for one in out if "timings" in one] == [{"n": 1}, {"n": 3}]
    assert [one["choices"][0]["token_ids"] for one in out if "token_ids" in one["choices"][0]] == [[1, 2]]
    assert [one["extra"] for one in out if "extra" in one] == [2]
    assert [d["annotations"] for one in out if "annotations" in (d := one["choices"][0]["delta"])] == [[1]]
    assert {one.get("system_fingerprint") for one in out[:1]} == {"fp"}


def test_a_thought_signature_stays_with_its_call() -> None:
    extra = {"google": {"thought_signature": "abc"}}
    entry = {
        "id": "a",
        "type": "function",
        "function": {"name": "get", "arguments": '{"a": 1}'},
        "extra_content": extra,
    }
    out, _ = run([chunk({"role": "assistant", "tool_calls": [entry]}), chunk({}, "stop")])
    entries = [e for one in out for e in one["choices"][0]["delta"].get("tool_calls", ())]
    assert entries[0]["extra_content"] == extra and gathered(out)["finish"] == "tool_calls"


def test_log_probabilities_of_held_text_come_with_the_text() -> None:
    def with_logprobs(text: str) -> dict[str, Any]:
        one = chunk({"content": text})
        one["choices"][0]["logprobs"] = {"content": [{"token": text}]}
        return one

    texts = ["Hi", " <tool", "_call", "er> me"]
    out, _ = run(
        [chunk({"role": "assistant", "content": ""}), *map(with_logprobs, texts), chunk({}, "stop")],
        parser="hermes",
    )
    tokens = [t["token"] for one in out for t in (one["choices"][0].get("logprobs") or {}).get("content", [])]
    assert tokens == texts
    assert gathered(out)["content"] == "".join(texts)


def test_usage_is_where_the_client_expects_it() -> None:
    asked = {**REQUEST, "stream_options": {"include_usage": True}}
    finish = {**chunk({}, "stop"), "usage": {"total_tokens": 3}}
    chunks = [chunk({"role": "assistant", "content": "Hi."}), finish]
    out, _ = run(chunks, asked)
    assert out[-1]["choices"] == [] and out[-1]["usage"] == {"total_tokens": 3}
    out, _ = run(chunks, REQUEST)
    assert out[-1]["choices"] and out[-1]["usage"] == {"total_tokens": 3}


# -- anything at all ------------------------------------------------------------------------------------------------

_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text('a{}[]\\":, 🙂\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)
_calls = st.lists(
    st.builds(
        lambda name, value, ascii_: {"name": name, "arguments": json.dumps(value, ensure_ascii=ascii_)},
        st.sampled_from([tool["function"]["name"] for tool in TOOLS]),
        st.dictionaries(st.sampled_from("ab"), _values, max_size=3),
        st.booleans(),
    ),
    max_size=3,
)
_fuzzed = st.sampled_from([name for name in FAULTS if name != "cumulative content"])


@settings(max_examples=300, deadline=None)
@given(calls=_calls, size=st.integers(1, 9), fault=_fuzzed)
def test_any_arguments_survive_any_malformation(calls: list[dict[str, Any]], size: int, fault: str) -> None:
    names = [call["name"] for call in calls]
    if fault in ("one index for all", "id changes by chunk") and len(set(names)) < len(names):
        calls = calls[:1]  # doubles that nothing tells apart
    truth = {"content": "Well. ", "calls": calls}
    out, _ = run(FAULTS[fault](native(truth, size)))
    assert_safe(out)
    assert_is(out, truth)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab \n🙂", max_size=8), max_size=6))
def test_deltas_are_never_taken_for_cumulative_text(texts: list[str]) -> None:
    """Of few different characters, so that pieces repeat one another."""
    out, _ = run([*(chunk({"content": text}) for text in texts), chunk({}, "stop")], parser="openai")
    assert gathered(out)["content"] == "".join(texts)


_FIELDS = (
    "choices", "delta", "message", "tool_calls", "function", "function_call",
    "index", "id", "name", "arguments", "content", "reasoning",
    "role", "finish_reason", "usage", "error", "relay", "type",
    "logprobs", "model", "created",
)  # fmt: skip
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["choices", "id", "usage", "model"]), _json, max_size=3), max_size=4
    )
)
def test_no_chunk_raises(chunks: Chunks) -> None:
    normalizer = Exchange(REQUEST).normalizer()
    out = [made for one in chunks for made in normalizer.feed(one)] + normalizer.close()
    if normalizer.error is None:
        assert_safe([one for one in out if one["choices"]])


# -- whole answers ---------------------------------------------------------------------------------------------------


def whole(message: dict[str, Any], finish: Any = "stop", **more: Any) -> dict[str, Any]:
    one = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [one], **more}


def test_a_well_behaved_answer_stays_as_it_is() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "get", "arguments": '{"a": 1}'}}
    for message, finish in (
        ({"role": "assistant", "content": "Hi."}, "stop"),
        ({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"),
        ({"role": "assistant", "content": "Hi.", "refusal": None, "tool_calls": None}, "stop"),
        ({"role": "assistant", "content": ""}, "stop"),
    ):
        payload = whole(message, finish, usage={"total_tokens": 3}, extra=1)
        assert normalize_completion(payload, Exchange(REQUEST))[0] == payload


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"a": 1}, {"a": 1}),
        (None, {}),
        ("", {}),
        ("null", {}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ("{'a': True,}", {"a": True}),
        ("[1]", {"input": [1]}),
    ],
)
def test_arguments_of_a_whole_answer_are_an_object(arguments: Any, wanted: dict[str, Any]) -> None:
    entry = {"function": {"name": "get", "arguments": arguments}}
    made = normalize_completion(whole({"content": None, "tool_calls": [entry]}), Exchange(REQUEST))[0]
    call = made["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == wanted
    assert call["id"] and call["type"] == "function"
    assert made["choices"][0]["finish_reason"] == "tool_calls"


def test_a_whole_answer_with_half_a_call_is_cut() -> None:
    entry = {"id": "a", "function": {"name": "get", "arguments": '{"a": [1,'}}
    made = normalize_completion(whole({"tool_calls": [entry]}, "tool_calls"), Exchange(REQUEST))[0]
    assert made["choices"][0]["finish_reason"] == "length"
    assert made["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": [1,'


def test_a_whole_answer_leaves_no_markup() -> None:
    text = '<think>Hm.</think>\n\nLook.\n<tool_call>{"name": "get", "arguments": {"a": 1}}</tool_call>'
    made = normalize_completion(
        whole({"content": text, "tool_calls": []}), Exchange(REQUEST, WireOptions(parser="hermes"))
    )[0]
    message = made["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Look.", "Hm.")
    assert message["tool_calls"][0]["function"] == {"name": "get", "arguments": '{"a": 1}'}


def test_a_whole_answer_that_is_an_error_raises() -> None:
    with pytest.raises(UpstreamError, match="no such model"):
        normalize_completion({"error": {"message": "no such model"}})


def test_thousands_of_glued_arguments_do_not_overflow_anything() -> None:
    entry = {
        "index": 0,
        "id": "a",
        "type": "function",
        "function": {"name": "get", "arguments": '{"a": 1}' * 5000},
    }
    out, normalizer = run([chunk({"role": "assistant", "tool_calls": [entry]}), chunk({}, "stop")])
    assert_safe(out)
    assert len(gathered(out)["calls"]) > 100
    assert normalizer.report.repairs["arguments"]


def test_arguments_that_come_after_the_end_of_a_call_do_not_spoil_it() -> None:
    def entry(index: int, **function: Any) -> dict[str, Any]:
        return {
            "tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]
        }

    late = {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]}
    chunks = [entry(0, name="now", arguments="{}"), entry(1, name="get", arguments='{"a": 2}'), late]
    out, _ = run([chunk({"role": "assistant", "content": None}), *map(chunk, chunks), chunk({}, "stop")])
    assert_safe(out)
    assert [json.loads(call["arguments"]) for call in gathered(out)["calls"]] == [{}, {"a": 2}]


@pytest.mark.parametrize("index", [[], {}, None, "x", 1.5])
def test_any_index_of_a_choice_is_read(index: Any) -> None:
    one = chunk({"content": "Hi"})
    one["choices"][0]["index"] = index
    del one["id"]
    out, _ = run([one, one, chunk({}, "stop")])
    assert gathered(out)["content"].startswith("HiHi")


def test_an_envelope_that_lacks_something_is_completed_in_every_chunk() -> None:
    chunks = [
        chunk({"role": "assistant", "content": "A"}),
        *(chunk({"content": " b"}) for _ in range(3)),
        chunk({}, "stop"),
    ]
    for one in chunks:
        del one["object"]
    out, _ = run(chunks)
    assert_safe(out)


# -- found by review: each was lost, doubled or called whole --------------------------------------------------------


def entry(index: Any, id: str | None, name: str | None, arguments: Any, **more: Any) -> dict[str, Any]:
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    fields = {"index": index, "id": id, "type": "function" if name else None, "function": function, **more}
    return {"tool_calls": [{k: v for k, v in fields.items() if v is not None}]}


def calls_of(
    deltas: list[dict[str, Any]], finish: str = "tool_calls", **options: Any
) -> list[tuple[str, str]]:
    first = chunk({"role": "assistant", "content": None})
    out, _ = run([first, *map(chunk, deltas), chunk({}, finish)], **options)
    assert_safe([one for one in out if not _custom(one)] if any(map(_custom, out)) else out)
    return [(call["name"], call["arguments"]) for call in gathered(out)["calls"]]


def _custom(one: dict[str, Any]) -> bool:
    return any("custom" in e for c in one["choices"] for e in c["delta"].get("tool_calls") or ())


def test_calls_with_object_arguments_and_nothing_to_tell_them_apart_are_all_given_out() -> None:
    got = calls_of([entry(0, None, "get", {"a": 1}), entry(0, None, "get", {"a": 2})])
    assert [json.loads(arguments) for _, arguments in got] == [{"a": 1}, {"a": 2}]
    got = calls_of(
        [entry(0, None, "get", ""), entry(0, None, None, {"a": 1}), entry(0, None, None, {"a": 1, "b": 2})]
    )
    assert [json.loads(arguments) for _, arguments in got] == [{"a": 1, "b": 2}], "one that grows is one"


def test_entries_of_one_delta_with_one_index_are_several_calls() -> None:
    both = {"tool_calls": entry(0, None, "now", "{}")["tool_calls"] * 2}
    assert calls_of([both]) == [("now", "{}")] * 2
    made = normalize_completion(whole({"content": None, **both}), Exchange(REQUEST))[0]
    assert len(made["choices"][0]["message"]["tool_calls"]) == 2


def test_a_custom_call_passes_as_it_came() -> None:
    start = {
        "tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "code", "input": ""}}]
    }
    more = {"tool_calls": [{"index": 0, "custom": {"input": "print(1)"}}]}
    chunks = [
        chunk({"role": "assistant", "content": None}),
        chunk(start),
        chunk(more),
        chunk({}, "tool_calls"),
    ]
    assert run(chunks)[0] == chunks
    call = {"id": "c", "type": "custom", "custom": {"name": "code", "input": "print(1)"}}
    payload = whole({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")
    assert normalize_completion(payload, Exchange(REQUEST))[0] == payload


def test_a_name_that_comes_after_the_arguments_is_theirs() -> None:
    assert calls_of([entry(0, "a", None, '{"a": 1}'), entry(0, None, "get", None)]) == [("get", '{"a": 1}')]


def test_arguments_without_any_name_make_the_answer_cut() -> None:
    out, _ = run([chunk(entry(0, "a", None, '{"a": 1}')), chunk({}, "tool_calls")])
    assert gathered(out)["finish"] == "length"


def test_continuous_usage_ends_in_the_usage_chunk() -> None:
    asked = {**REQUEST, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    usage = {"total_tokens": 3}
    chunks = [
        chunk({"role": "assistant", "content": "Hello there."}, usage=usage),
        chunk({}, "stop", usage=usage),
    ]
    out, _ = run([*chunks, usage_chunk()], asked)
    assert out[-1]["choices"] == [] and out[-1]["usage"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_native_arguments_that_are_no_json_are_mended_or_not_called_whole(size: int) -> None:
    def streamed(text: str) -> tuple[str, str]:
        deltas = [entry(0, "a", "get", ""), *(entry(0, None, None, piece) for piece in pieces(text, size))]
        out, _ = run(
            [chunk({"role": "assistant", "content": None}), *map(chunk, deltas), chunk({}, "tool_calls")]
        )
        return gathered(out)["calls"][0]["arguments"], gathered(out)["finish"]

    arguments, finish = streamed("{'a': 'x } y', 'b': True}")
    assert (json.loads(arguments), finish) == ({"a": "x } y", "b": True}, "tool_calls")
    for broken in ('{"a": "x "y}" z", "b": 1}', '{"a": 1]', '{"a": }'):
        arguments, finish = streamed(broken)
        assert finish == "length" and arguments == broken


def test_null_may_be_a_placeholder_of_arguments() -> None:
    assert calls_of([entry(0, "a", "get", "null"), entry(0, None, None, '{"a": 1}')]) == [("get", '{"a": 1}')]


def test_text_after_a_finish_reason_is_not_finished_when_the_connection_breaks() -> None:
    normalizer = Exchange(REQUEST).normalizer()
    chunks = [
        chunk({"role": "assistant", "content": "One two"}),
        chunk({}, "stop"),
        chunk({"content": " three."}),
    ]
    out = [made for one in [*chunks, chunk({"content": " Four."})] for made in normalizer.feed(one)]
    assert gathered(out + normalizer.close(died=True))["finish"] == "length"


@pytest.mark.parametrize("texts", [("1", "12 items left"), ("#", "## Title here"), ("No", "No, not that")])
def test_two_chunks_of_which_one_begins_with_the_other_are_two_deltas(texts: tuple[str, str]) -> None:
    out, _ = run([*(chunk({"content": text}) for text in texts), chunk({}, "stop")])
    assert gathered(out)["content"] == "".join(texts)


def test_unknown_fields_of_calls_are_kept_wherever_they_stand() -> None:
    inner = entry(0, "a", "get", "")
    inner["tool_calls"][0]["function"]["provider_specific_fields"] = {"thought_signature": "s"}
    late = entry(0, None, None, '{"a": 1}', extra_content={"google": {"thought_signature": "t"}})
    out, _ = run(
        [chunk({"role": "assistant", "content": None}), chunk(inner), chunk(late), chunk({}, "tool_calls")]
    )
    entries_ = [e for one in out for e in one["choices"][0]["delta"].get("tool_calls", ())]
    assert entries_[0]["function"]["provider_specific_fields"] == {"thought_signature": "s"}
    assert [e["extra_content"] for e in entries_ if "extra_content" in e] == [
        {"google": {"thought_signature": "t"}}
    ]
    assert gathered(out)["calls"][0]["arguments"] == '{"a": 1}'


@pytest.mark.parametrize("index", [0.0, False])
def test_an_index_that_only_equals_one_is_put_right(index: Any) -> None:
    out, _ = run(
        [
            chunk({"role": "assistant", "content": None}),
            chunk(entry(index, "a", "get", "")),
            chunk({}, "stop"),
        ]
    )
    assert all(
        type(e["index"]) is int for one in out for e in one["choices"][0]["delta"].get("tool_calls", ())
    )


def test_a_call_repeated_whole_in_other_spelling_is_one_call() -> None:
    got = calls_of([entry(0, "a", "get", '{"a": 1}'), entry(0, "a", "get", '{"a":1}')])
    assert got == [("get", '{"a": 1}')]


def test_calls_in_a_last_message_behind_deltas_of_content_are_read() -> None:
    last = chunk({}, "tool_calls")
    last["choices"][0] = {
        "index": 0,
        "message": entry(0, "a", "get", '{"a": 1}'),
        "finish_reason": "tool_calls",
    }
    out, _ = run([chunk({"role": "assistant", "content": "Look."}), last])
    assert_safe(out)
    assert_is(out, {"content": "Look.", "calls": [{"name": "get", "arguments": '{"a": 1}'}]})


def test_an_error_beside_content_is_an_error() -> None:
    normalizer = Exchange(REQUEST).normalizer()
    normalizer.feed(chunk({"role": "assistant", "content": "A b"}))
    normalizer.feed(chunk({"content": " c"}, relay={"type": "relay.error", "error": "gone"}))
    assert normalizer.error is not None


def test_an_index_of_thousands_of_digits_is_none() -> None:
    one = chunk({"content": "Hi."})
    one["choices"][0]["index"] = "1" * 5000
    assert gathered(run([one, chunk({}, "stop")])[0])["content"] == "Hi."


def test_log_probabilities_of_every_finish_are_kept() -> None:
    def with_logprobs(text: str) -> dict[str, Any]:
        one = chunk({"content": text}, "stop")
        one["choices"][0]["logprobs"] = {"content": [{"token": text}]}
        return one

    out, _ = run([with_logprobs("a"), with_logprobs("b")])
    tokens = [t["token"] for one in out for t in (one["choices"][0].get("logprobs") or {}).get("content", [])]
    assert tokens == ["a", "b"]
