"""Captured files are read as what they hold, told by content; what is no text is refused with the reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from hamr_parsers.errors import HamrParsersError
from hamr_parsers.transcripts import Transcript, TranscriptError, detect, read_transcripts
from hamr_parsers.transcripts.cases import CaseRecord, judge, read_records
from hamr_parsers.transcripts.demos import token_like


def chunk(delta: dict[str, object] | None = None, **extra: object) -> dict[str, object]:
    choice = {
        "index": extra.pop("index", 0),
        "delta": delta or {},
        "finish_reason": extra.pop("finish", None),
    }
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **extra}


def sse(*items: object, end: str = "\n\n", done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(item)}" for item in items] + (["data: [DONE]"] if done else [])
    return (end.join(lines) + end).encode()


def only(data: bytes) -> Transcript:
    (transcript,) = read_transcripts(data, "f")
    return transcript


HELLO = [chunk({"role": "assistant", "content": None}), chunk({"content": "Hel"}), chunk({"content": "lo"})]
STOP = chunk(finish="stop")


class TestDetection:
    @pytest.mark.parametrize(
        "text",
        [
            "plain prose",
            '{"name": "get_weather", "parameters": {"city": "Paris"}}',
            '{"choices": ["red", "blue"]}',
            '{"choices": []}',
            '{"choices": [{"label": "a"}]}',
            '{"object": "cup", "name": "f"}',
            '[{"name": "f", "arguments": {}}]',
            "[1, 2",
            "data: the results are in\ndata: 3",
            'data: {"name": "f"}',
            ": a colon begins this line",
            '{"text": "no expectation"}',
            "{" * 5000,
            "",
        ],
    )
    def test_a_models_text_stays_text_whatever_it_begins_with(self, text: str) -> None:
        assert detect(text) == "text"

    def test_shapes_are_told_by_their_keys(self) -> None:
        assert detect(sse(*HELLO).decode()) == "sse"
        assert detect(": ping\n\nevent: x\ndata: " + json.dumps(STOP)) == "sse"
        assert detect("\n".join(map(json.dumps, HELLO))) == "jsonl"
        assert detect(json.dumps(HELLO)) == "jsonl"
        assert detect(json.dumps(HELLO[0])) == "jsonl"
        response = {"object": "chat.completion", "choices": [{"message": {"content": "x"}}]}
        assert detect(json.dumps(response)) == detect(json.dumps(response, indent=2)) == "response"
        assert detect("\n".join([json.dumps(response)] * 2)) == "jsonl"
        record = {"id": "1", "parser": "hermes", "text": "x", "expect": {}}
        assert detect(json.dumps(record)) == detect(json.dumps(record, indent=1)) == "cases"


class TestBytes:
    def test_byte_order_marks_are_obeyed_and_not_part_of_the_text(self) -> None:
        for encoding in ("utf-8-sig", "utf-16", "utf-32"):
            assert only("Zürich 🌧".encode(encoding)).pieces == [("content", "Zürich 🌧")]
        assert only(b"\xfe\xff" + "é".encode("utf-16-be")).pieces == [("content", "é")]

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "empty file"),
            (b"\xef\xbb\xbf", "empty file"),
            (b"\x89PNG\r\n\x1a\n\0\0", "binary file (a NUL byte at offset 8)"),
            ("caf\u00e9".encode("latin-1"), "not UTF-8 text: byte 0xe9 at offset 3"),
            (b"\xff\xfea", "not UTF-16-LE text"),
        ],
    )
    def test_what_is_no_text_is_refused_with_the_reason_and_the_place(self, data: bytes, reason: str) -> None:
        with pytest.raises(TranscriptError) as caught:
            read_transcripts(data, "some/file")
        assert str(caught.value).startswith(f"some/file: {reason}")
        assert isinstance(caught.value, HamrParsersError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.source, again.reason) == (caught.value.source, caught.value.reason)

    def test_raw_text_is_kept_to_the_last_character(self) -> None:
        assert only(b" a\r\nb\n\n").pieces == [("content", " a\r\nb\n\n")]


class TestChunks:
    @pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\n", "\r\n"])
    def test_pieces_come_in_order_with_any_line_ends(self, end: str) -> None:
        got = only(sse(*HELLO, STOP, end=end))
        assert got.pieces == [("content", "Hel"), ("content", "lo")]
        assert (got.kind, got.model, got.finish_reason, got.remarks) == ("sse", "m", "stop", [])

    def test_comments_events_usage_and_loading_frames_are_passed_over(self) -> None:
        loading = {"id": "r", "choices": [{"delta": {}}], "relay": {"type": "relay.loading"}}
        usage = {"id": "c", "choices": [], "usage": {"total_tokens": 3}}
        data = b": ping\n\nevent: relay.loading\n" + sse(loading, *HELLO, STOP, usage)
        got = only(data)
        assert got.pieces == [("content", "Hel"), ("content", "lo")]
        assert got.remarks == []

    @pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
    def test_reasoning_goes_to_its_own_channel_under_any_name(self, key: str) -> None:
        got = only(sse(chunk({key: "Hm"}), chunk({key: "", "content": "x"}), STOP))
        assert got.pieces == [("reasoning", "Hm"), ("content", "x")]

    def test_reasoning_sent_under_two_names_is_taken_once(self) -> None:
        got = only(sse(chunk({"reasoning": "Hm", "reasoning_content": "Hm"}), STOP))
        assert got.pieces == [("reasoning", "Hm")]

    def test_each_choice_is_a_transcript(self) -> None:
        found = read_transcripts(
            sse(chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({"content": "A"}), STOP), "f"
        )
        assert [(t.choice, t.pieces) for t in found] == [
            (0, [("content", "a"), ("content", "A")]),
            (1, [("content", "b")]),
        ]
        assert [t.label for t in found] == ["f", "f [choice 1]"]

    def test_done_ends_an_answer_and_the_next_chunk_begins_another(self) -> None:
        found = read_transcripts(sse(*HELLO, STOP) + sse(chunk({"content": "2"}), STOP), "f")
        assert [(t.answer, t.label) for t in found] == [(0, "f"), (1, "f [answer 1]")]

    def test_a_cut_capture_is_read_as_far_as_it_goes_and_says_so(self) -> None:
        got = only(sse(*HELLO)[:-30])
        assert got.pieces == [("content", "Hel")]
        assert any("cut off" in r for r in got.remarks)
        assert any("finish_reason" in r for r in got.remarks)

    def test_native_tool_calls_are_kept_and_reported(self) -> None:
        call = {"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}}
        got = only(sse(chunk({"tool_calls": [call]}), chunk(finish="tool_calls")))
        function = {"name": "f", "arguments": "{}"}
        assert got.native_tool_calls == [{"id": "x", "type": "function", "function": function}]
        assert got.pieces == []
        assert "already parsed" in got.remarks[0]

    def test_native_calls_that_came_in_parts_are_whole(self) -> None:
        first = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}
        parts = [first] + [{"index": 0, "function": {"arguments": piece}} for piece in ('{"a"', ": 1}")]
        chunks = [chunk({"tool_calls": [part]}) for part in parts]
        whole = [
            {
                **{k: v for k, v in first.items() if k != "index"},
                "function": {"name": "f", "arguments": '{"a": 1}'},
            }
        ]
        assert only(sse(*chunks, chunk(finish="tool_calls"))).native_tool_calls == whole
        cut = only(sse(*chunks[:2], done=False)).native_tool_calls
        assert [call["function"]["arguments"] for call in cut] == ['{"a"']
        message = {"role": "assistant", "content": None, "tool_calls": whole * 2}
        body = {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        }
        found = only(json.dumps(body).encode()).native_tool_calls
        assert [call["function"] for call in found] == [call["function"] for call in whole * 2]

    def test_native_calls_of_each_choice_and_each_answer_stay_apart(self) -> None:
        def call(name: str, index: int) -> dict[str, object]:
            entry = {
                "index": 0,
                "id": name,
                "type": "function",
                "function": {"name": name, "arguments": "{}"},
            }
            return chunk({"tool_calls": [entry]}, index=index)

        data = sse(call("a", 0), call("b", 1), STOP) + sse(call("c", 0), STOP)
        names = [[c["function"]["name"] for c in t.native_tool_calls] for t in read_transcripts(data, "f")]
        assert names == [["a"], ["b"], ["c"]]

    def test_an_error_inside_the_stream_is_reported(self) -> None:
        got = only(sse(*HELLO, {"error": {"code": 500, "message": "lost the GPU"}}))
        assert any("lost the GPU" in remark for remark in got.remarks)
        relay = {"id": "r", "choices": [{"delta": {}}], "relay": {"type": "relay.error", "error": "no model"}}
        assert any("no model" in remark for remark in only(sse(relay)).remarks)

    def test_json_strings_may_hold_unicode_line_separators(self) -> None:
        lines = [json.dumps(chunk({"content": "a\u2028b\x85c"}), ensure_ascii=False), json.dumps(STOP)]
        assert only("\n".join(lines).encode()).pieces == [("content", "a\u2028b\x85c")]
        body = "".join(f"data: {line}\n\n" for line in lines)
        assert only(body.encode()).pieces == [("content", "a\u2028b\x85c")]

    def test_an_event_may_have_several_data_lines(self) -> None:
        body = json.dumps(STOP, indent=1).replace("\n", "\ndata: ")
        got = only(sse(chunk({"content": "x"}), done=False) + f"data: {body}\n\n".encode())
        assert (got.pieces, got.finish_reason) == ([("content", "x")], "stop")

    def test_json_lines_and_arrays_of_chunks(self) -> None:
        for data in ("\r\n".join(map(json.dumps, [*HELLO, STOP])), json.dumps([*HELLO, STOP])):
            got = only(data.encode())
            assert (got.kind, got.pieces, got.finish_reason) == (
                "jsonl",
                [("content", "Hel"), ("content", "lo")],
                "stop",
            )

    @pytest.mark.parametrize("kind", ["sse", "jsonl", "response", "cases"])
    def test_a_file_that_is_not_of_the_given_kind_is_refused(self, kind: str) -> None:
        with pytest.raises(TranscriptError):
            read_transcripts(b"just prose\n", "f", kind)  # type: ignore[arg-type]


class TestResponses:
    def test_reasoning_comes_before_content(self) -> None:
        message = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}
        body = {
            "object": "chat.completion",
            "model": "m",
            "choices": [{"message": message, "finish_reason": "stop"}],
        }
        got = only(json.dumps(body, indent=2).encode())
        assert got.pieces == [("reasoning", "Hm"), ("content", "Hi")]
        assert (got.kind, got.finish_reason, got.model) == ("response", "stop", "m")

    def test_content_parts_and_plain_completions(self) -> None:
        parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
        body = {"choices": [{"message": {"content": parts}}, {"text": "c", "index": 1}]}
        found = read_transcripts(json.dumps(body).encode(), "f")
        assert [t.pieces for t in found] == [[("content", "ab")], [("content", "c")]]

    def test_an_answer_without_text_is_a_transcript_without_pieces(self) -> None:
        body = {
            "object": "chat.completion",
            "choices": [{"message": {"content": None}, "finish_reason": "stop"}],
        }
        assert only(json.dumps(body).encode()).pieces == []

    def test_an_error_body_is_named(self) -> None:
        with pytest.raises(TranscriptError, match="an error: no such model"):
            read_transcripts(b'{"error": {"message": "no such model"}}', "f", "response")

    def test_several_responses_in_one_file_are_several_answers(self) -> None:
        body = json.dumps({"object": "chat.completion", "choices": [{"message": {"content": "x"}}]})
        assert [t.answer for t in read_transcripts(f"{body}\n{body}\n".encode(), "f")] == [0, 1]


RECORD = {
    "id": "r/1",
    "parser": "hermes",
    "text": "Hi <tool_call>",
    "expect": {"calls": [{"name": "f", "arguments": {"n": 5}}]},
}


class TestRecords:
    def test_a_record_brings_its_parser_tools_and_thinking(self) -> None:
        record = {
            **RECORD,
            "tools": [{"name": "f"}],
            "thinking": False,
            "chunks": ["Hi <tool", "_call>"],
            "x": 1,
        }
        got = only(json.dumps(record).encode())
        assert (got.parser, got.tools, got.starts_in_reasoning) == ("hermes", [{"name": "f"}], False)
        assert got.pieces == [("content", "Hi <tool"), ("content", "_call>")]
        assert got.label == "f [r/1]"

    def test_a_wrong_record_names_line_and_field(self) -> None:
        text = json.dumps(RECORD) + "\n\n" + json.dumps({**RECORD, "expect": {"calls": [{"nam": "f"}]}})
        with pytest.raises(TranscriptError, match=r"f: line 3 is no case record: expect\.calls\.0\.name"):
            read_records(text, "f")

    def test_a_line_that_is_no_json_is_named(self) -> None:
        with pytest.raises(TranscriptError, match="line 2 is no case record"):
            read_records(json.dumps(RECORD) + "\n{broken", "f")


class Call:
    def __init__(self, name: str, arguments: str, id: str = "i", source_id: str | None = None) -> None:
        self.name, self.arguments, self.id, self.source_id = name, arguments, id, source_id
        self.complete = True


class Odd:
    def __init__(self, code: str) -> None:
        self.code = code


class Said:
    """As much of a message as the judge looks at."""

    def __init__(self, content: str | None = None, *calls: Call, **more: object) -> None:
        self.content = content
        self.tool_calls = list(calls)
        self.reasoning = more.get("reasoning")
        self.finish_reason = more.get("finish_reason", "stop")
        self.diagnostics = [Odd(code) for code in more.get("odd", ())]  # type: ignore[attr-defined]


def verdict(expect: dict[str, object], said: Said, text: str = "a b") -> str | None:
    record = CaseRecord.model_validate({"id": "1", "parser": "hermes", "text": text, "expect": expect})
    return judge(record, said)  # type: ignore[arg-type]


class TestJudge:
    def test_what_is_not_asserted_is_not_judged(self) -> None:
        assert verdict({}, Said("anything", Call("f", "{}"))) is None

    def test_content_is_compared_without_outer_blanks_and_null_is_empty(self) -> None:
        assert verdict({"content": None}, Said("\n ")) is None
        assert verdict({"content": "x"}, Said("\nx ")) is None
        assert "content" in str(verdict({"content": "x"}, Said("xx")))

    def test_blanks_are_judged_only_where_the_text_has_them(self) -> None:
        assert verdict({"content": "a  b"}, Said("a b"), text="a CALL b") is None
        assert verdict({"content": "a  b"}, Said("a b"), text="a  b") is not None

    def test_numbers_are_equal_by_value_and_true_is_not_one(self) -> None:
        assert (
            verdict({"calls": [{"name": "f", "arguments": {"n": 5}}]}, Said(None, Call("f", '{"n": 5.0}')))
            is None
        )
        assert verdict(
            {"calls": [{"name": "f", "arguments": {"n": 1}}]}, Said(None, Call("f", '{"n": true}'))
        )
        assert verdict({"calls": [{"name": "f", "arguments": {"n": 1}}]}, Said(None, Call("f", '{"n": "1"}')))

    def test_names_count_and_order_must_agree(self) -> None:
        calls = [{"name": "f"}, {"name": "g"}]
        assert verdict({"calls": calls}, Said(None, Call("f", "{}"), Call("g", "{}"))) is None
        assert verdict({"calls": calls}, Said(None, Call("g", "{}"), Call("f", "{}")))
        assert verdict({"calls": []}, Said(None, Call("f", "{}")))

    def test_an_id_may_be_the_calls_or_the_models(self) -> None:
        assert verdict({"calls": [{"name": "f", "id": "s"}]}, Said(None, Call("f", "{}", "i", "s"))) is None
        assert verdict({"calls": [{"name": "f", "id": "t"}]}, Said(None, Call("f", "{}", "i", "s")))

    def test_raw_arguments_of_a_peer_are_not_compared(self) -> None:
        expect = {"calls": [{"name": "f", "arguments_raw": '{"a": '}]}
        assert verdict(expect, Said(None, Call("f", "{}"))) is None

    def test_markup_left_in_content_after_a_call_fails_unless_it_stands_in_code(self) -> None:
        expect: dict[str, object] = {"calls": [{"name": "f"}]}
        assert "markup" in str(verdict(expect, Said("x </tool_call>", Call("f", "{}"))))
        assert verdict(expect, Said("x `</tool_call>`", Call("f", "{}"))) is None
        assert verdict(expect, Said("x </tool_call>", Call("f", "{}"), odd=("failed-start",))) is None

    def test_finish_reason_diagnostics_and_complete(self) -> None:
        assert (
            verdict({"finish_reason": "stop", "diagnostics": ["cut"]}, Said("x", odd=("cut", "junk"))) is None
        )
        assert verdict({"diagnostics": ["cut"]}, Said("x")) == "no diagnostic cut"
        assert verdict({"finish_reason": "length"}, Said("x"))
        assert verdict({"calls": [{"name": "f", "complete": False}]}, Said(None, Call("f", "{}")))


@pytest.mark.parametrize(
    "text", ["", 'Zürich <tool_call>\n{"a":  [1]}\n', "\r\n\t 日本 🌧️ a_very_long_identifier"]
)
def test_token_like_pieces_join_to_the_text(text: str) -> None:
    assert "".join(token_like(text)) == text


def test_fixtures_are_case_records() -> None:
    folder = Path(__file__).parent.parent / "fixtures"
    for path in sorted(folder.rglob("*.jsonl")):
        assert read_records(path.read_text(encoding="utf-8"), path.name)


class TestSession:
    """Session logs of Hamr."""

    ENTRIES = (
        {"type": "session", "version": 3, "id": "s1", "timestamp": "2026-11-01T10:00:00Z", "cwd": "/src"},
        {"type": "model_change", "id": "e0", "provider": "relay", "modelId": "qwen3-8b"},
        {"type": "message", "id": "e1", "message": {"role": "user", "content": "<tool_call> is what?"}},
        {
            "type": "message",
            "id": "e2",
            "parentId": "e1",
            "message": {
                "role": "assistant",
                "model": "qwen3-8b",
                "stopReason": "stop",
                "content": [
                    {"type": "thinking", "thinking": "Hm."},
                    {
                        "type": "text",
                        "text": '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>',
                    },
                ],
            },
        },
        {
            "type": "message",
            "id": "e3",
            "message": {
                "role": "assistant",
                "model": "qwen3-8b",
                "stopReason": "toolUse",
                "content": [{"type": "toolCall", "id": "c", "name": "f", "arguments": {}}],
            },
        },
        {
            "type": "message",
            "id": "e4",
            "message": {"role": "assistant", "stopReason": "aborted", "content": "Half"},
        },
    )

    def text(self) -> str:
        return "\n".join(json.dumps(entry) for entry in self.ENTRIES) + "\n"

    def test_each_answer_with_text_is_a_transcript_that_names_session_entry_and_model(self) -> None:
        first, last = read_transcripts(self.text().encode(), "log.jsonl")
        assert first.kind == "session" and first.label == "log.jsonl [session s1, entry e2]"
        assert (first.model, first.finish_reason) == ("qwen3-8b", "stop")
        assert [channel for channel, _ in first.pieces] == ["reasoning", "content"]
        assert last.finish_reason == "length" and "aborted" in last.remarks[0]

    def test_a_log_in_which_no_model_answered_is_told(self) -> None:
        with pytest.raises(TranscriptError, match="no answer of a model"):
            read_transcripts(json.dumps(self.ENTRIES[0]).encode(), "log.jsonl")

    def test_a_line_that_was_cut_is_passed_over(self) -> None:
        found = read_transcripts((self.text() + '{"type": "mess').encode(), "log.jsonl")
        assert "1 lines are no JSON" in found[-1].remarks[-1]
