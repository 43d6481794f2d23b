"""Server-sent events as gateways write them: any cut, any line end, and what is passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamr_parsers.wire import Exchange, SSEDecoder, SSENormalizer, UpstreamError, WireOptions, encode_event

from .wire_faults import TOOLS, Chunks, assert_safe, chunk, gathered, native, sent, usage_chunk

REQUEST = {"model": "m", "messages": [], "tools": TOOLS, "stream": True}
TRUTH = {"content": "Größe: 10 €, 🙂.", "calls": [{"name": "get", "arguments": '{"a": "🌧 {"}'}]}


def bytes_of(chunks: Chunks, done: bool = True, **how: Any) -> bytes:
    made = b"".join(encode_event(one) for one in chunks)
    return made + (b"data: [DONE]\n\n" if done else b"")


def passed(
    data: bytes, size: int = 1 << 20, request: Any = REQUEST, **options: Any
) -> tuple[bytes, SSENormalizer]:
    sse = Exchange(request, WireOptions(**options)).sse()
    out = b"".join(sse.feed(data[at : at + size]) for at in range(0, len(data), size))
    return out + sse.close(), sse


def chunks_of(data: bytes) -> Chunks:
    events = SSEDecoder().feed(data)
    return [event.value for event in events if event.value is not None]


GOOD = bytes_of(sent(native(TRUTH, 1000, usage=True)))


def test_a_well_behaved_stream_keeps_its_bytes() -> None:
    assert passed(GOOD)[0] == GOOD


SPELLINGS = {
    "CRLF": GOOD.replace(b"\n", b"\r\n"),
    "CR": GOOD.replace(b"\n", b"\r"),
    "no blank after the colon": GOOD.replace(b"data: ", b"data:"),
    "no blank lines": GOOD.replace(b"\n\n", b"\n"),
    "no last blank line": GOOD[:-2],
    "no [DONE]": GOOD[: GOOD.rindex(b"data: [DONE]")],
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "id and retry": GOOD.replace(b"data: {", b"id: 1\nretry: 10\ndata: {"),
    "named events": GOOD.replace(b"data: {", b"event: chunk\ndata: {"),
    "data on several lines": GOOD.replace(b'"object":', b'\ndata: "object":'),
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1 << 20])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_and_cut_is_read_the_same(spelling: str, size: int) -> None:
    out, _ = passed(SPELLINGS[spelling], size)
    assert chunks_of(out) == chunks_of(GOOD)
    assert out.endswith(b"data: [DONE]\n\n") and out.count(b"[DONE]") == 1


@given(st.binary(max_size=60), st.integers(1, 9))
def test_no_bytes_raise(noise: bytes, size: int) -> None:
    out, sse = passed(GOOD[:400] + noise + GOOD[400:], size)
    if sse.error is None:
        assert out.endswith(b"data: [DONE]\n\n")


def test_comments_are_passed_on_and_pings_become_comments() -> None:
    data = b": OPENROUTER PROCESSING\n\n:\n\nevent: ping\ndata: {}\n\n" + GOOD
    out, _ = passed(data)
    assert out == b": OPENROUTER PROCESSING\n\n:\n\n: ping\n\n" + GOOD


def test_a_comment_keeps_the_connection_alive_before_the_first_chunk() -> None:
    sse = Exchange(REQUEST).sse()
    assert sse.feed(b": loading\n\n") == b": loading\n\n"


def test_loading_frames_come_before_the_role_and_have_its_id() -> None:
    frame = chunk({}, relay={"type": "relay.loading"})
    frame["id"] = "relay-1"
    out, _ = passed(b"event: relay.loading\n" + encode_event(frame) + GOOD)
    chunks = chunks_of(out)
    assert chunks[0]["choices"] == [] and chunks[0]["relay"] == {"type": "relay.loading"}
    assert b"event:" not in out
    assert_safe(chunks)


ERRORS = {
    "an error object": encode_event({"error": {"message": "out of memory", "code": 500}}),
    "an event named error": b"event: error\ndata: out of memory\n\n",
    "an event named error with an object": b'event: error\ndata: {"message": "out of memory"}\n\n',
    "relay.error": b"event: relay.error\n"
    + encode_event(chunk({}, relay={"type": "relay.error", "error": "out of memory"})),
}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_ends_the_stream_after_what_came(error: str) -> None:
    data = (
        bytes_of([chunk({"role": "assistant", "content": "Half "})], done=False)
        + ERRORS[error]
        + b"data: [DONE]\n\n"
    )
    out, sse = passed(data)
    chunks = chunks_of(out)
    assert "out of memory" in chunks[-1]["error"]["message"]
    assert gathered(chunks[:-1])["finish"] == "length" and gathered(chunks[:-1])["content"].strip() == "Half"
    assert b"[DONE]" not in out
    assert isinstance(sse.error, UpstreamError)


def test_a_connection_that_broke_gives_what_came_and_then_the_error() -> None:
    sse = Exchange(REQUEST).sse()
    out = sse.feed(GOOD[: GOOD.index(b"tool_calls") + 150]) + sse.close(error="connection reset")
    chunks = chunks_of(out)
    assert chunks[-1]["error"]["message"] == "connection reset"
    assert_safe(chunks[:-1])
    assert gathered(chunks[:-1])["finish"] == "length"
    assert b"[DONE]" not in out and sse.close() == b"" and sse.feed(GOOD) == b""


def test_what_follows_done_is_not_passed_on() -> None:
    out, _ = passed(GOOD + GOOD)
    assert out == GOOD


def test_data_that_is_no_json_is_dropped_and_counted() -> None:
    out, sse = passed(b"data: <html>oops\n\n" + GOOD)
    assert out == GOOD and sse.report.repairs["no_json"] == 1


def test_an_event_that_never_ends_is_refused_and_not_held() -> None:
    decoder = SSEDecoder(max_event=1000)
    with pytest.raises(UpstreamError, match="larger than 1000 bytes"):
        for _ in range(1000):
            decoder.feed(b"data: " + b"x" * 10)


def test_half_a_character_over_two_reads_is_whole() -> None:
    cut = GOOD.index("€".encode()) + 1
    sse = Exchange(REQUEST).sse()
    out = sse.feed(GOOD[:cut]) + sse.feed(GOOD[cut:]) + sse.close()
    assert out == GOOD


def test_lone_surrogates_in_other_fields_do_not_break_the_stream() -> None:
    data = (
        b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"a<","x":"\\ud83d"}}]}\n\ndata: [DONE]\n\n'
    )
    out, _ = passed(data)
    assert json.loads(out.split(b"\n")[0].removeprefix(b"data: "))["id"] == "x"
    assert usage_chunk()["usage"] is not None


def test_a_chunk_that_cannot_be_read_makes_the_answer_cut() -> None:
    lines = GOOD.split(b"\n\n")
    lines[2] = lines[2][:-5]
    out, _ = passed(b"\n\n".join(lines))
    assert gathered(chunks_of(out))["finish"] == "length"


def test_one_json_object_that_calls_itself_a_stream_is_read() -> None:
    answer = {"id": "x", "choices": [{"index": 0, "message": {"content": "Hi."}, "finish_reason": "stop"}]}
    out, _ = passed(json.dumps(answer).encode(), 7)
    assert gathered(chunks_of(out))["content"] == "Hi." and out.endswith(b"[DONE]\n\n")
    out, sse = passed(b'\n{"error": {"message": "no such model"}}', 5)
    assert sse.error is not None and "no such model" in str(sse.error)


def test_empty_data_lines_are_bounded_and_cost_no_more_with_their_number() -> None:
    decoder = SSEDecoder(max_event=100_000)
    with pytest.raises(UpstreamError):
        for _ in range(10_000):
            decoder.feed(b"data:\n")
