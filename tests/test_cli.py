"""`hamr-parse`: data to standard output, remarks to standard error in one line each, exit codes 0, 1 and 2."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.cli import main
from hamr_parsers.transcripts.cases import judge
from hamr_parsers.transcripts.demos import demo_record, token_like

TEXT = 'Let me check.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich"}}\n</tool_call>\n'
BROKEN = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo",}}\n</tool_call>\n'
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]


@dataclass
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `hamr-parse` in this process, in an empty folder, without colours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def go(*args: str | Path, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["hamr-parse", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        assert isinstance(code, int)
        seen = capfd.readouterr()
        assert "Traceback" not in seen.err
        return Ran(code, seen.out, seen.err)

    return go


def write(name: str, content: str | bytes | object) -> Path:
    """A file in the current folder: text, bytes, or a JSON value."""
    data = (
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    Path(name).write_bytes(data)
    return Path(name)


def chunk(
    delta: dict[str, object], finish: str | None = None, model: str = "Qwen/Qwen3-8B"
) -> dict[str, object]:
    return {
        "object": "chat.completion.chunk",
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def capture(*pieces: str, finish: str | None = "stop") -> str:
    items = [*[chunk({"content": piece}) for piece in pieces], chunk({}, finish)]
    return "".join(f"data: {json.dumps(item)}\n\n" for item in items) + "data: [DONE]\n\n"


def record(text: str = TEXT, **more: object) -> dict[str, object]:
    call = {"name": "get_weather", "arguments": {"city": "Zürich"}}
    expect = {"content": "Let me check.", "calls": [call]}
    return {"id": "r/1", "parser": "hermes", "tools": TOOLS, "text": text, "expect": expect, **more}


class TestParse:
    def test_text_shows_content_and_calls(self, run: Run) -> None:
        ran = run("parse", write("a.txt", TEXT), "--parser", "hermes")
        assert (ran.code, ran.err) == (0, "")
        for part in ("a.txt", "hermes", "Let me check.", "get_weather", '"city": "Zürich"', "tool_calls"):
            assert part in ran.out

    def test_json_is_one_document_with_a_schema_version(self, run: Run) -> None:
        ran = run(
            "parse",
            write("a.txt", TEXT),
            write("b.sse", capture("Hi")),
            "--format",
            "json",
            "--parser",
            "hermes",
        )
        document = ran.json()
        assert document["schema_version"] == 1
        first, second = document["results"]
        assert (first["source"], first["input"], first["parser"]) == ("a.txt", "text", "hermes")
        assert first["message"]["tool_calls"][0]["arguments"] == '{"city": "Zürich"}'
        assert (second["input"], second["message"]["content"]) == ("sse", "Hi")

    def test_jsonl_is_one_result_a_line(self, run: Run) -> None:
        ran = run(
            "parse", write("a.txt", TEXT), write("b.txt", "x"), "--format", "jsonl", "--parser", "hermes"
        )
        assert [line["schema_version"] for line in ran.lines()] == [1, 1]
        assert [line["source"] for line in ran.lines()] == ["a.txt", "b.txt"]

    def test_openai_gives_assistant_messages(self, run: Run) -> None:
        (message,) = run("parse", write("a.txt", TEXT), "--format", "openai", "--parser", "hermes").lines()
        assert message["role"] == "assistant"
        assert message["tool_calls"][0]["function"]["name"] == "get_weather"

    def test_standard_input(self, run: Run) -> None:
        (line,) = run("parse", "-", "--format", "jsonl", "--parser", "hermes", stdin=TEXT.encode()).lines()
        assert line["source"] == "-"
        assert line["message"]["tool_calls"][0]["name"] == "get_weather"

    def test_standard_input_is_read_once(self, run: Run) -> None:
        ran = run("parse", "-", "-", stdin=b"x")
        assert (ran.code, len(ran.err.splitlines())) == (2, 1)

    @pytest.mark.parametrize("size", ["1", "3", "random"])
    def test_the_chunking_does_not_change_the_result(self, run: Run, size: str) -> None:
        path = write("a.txt", TEXT)
        whole = run("parse", path, "--format", "openai", "--parser", "hermes").lines()[0]
        cut = run("parse", path, "--format", "openai", "--parser", "hermes", "--chunk", size).lines()[0]
        for message in (whole, cut):
            for call in message["tool_calls"]:
                del call["id"]
        assert whole == cut

    def test_a_captures_model_chooses_the_parser(self, run: Run) -> None:
        (line,) = run("parse", write("a", capture(TEXT[:20], TEXT[20:])), "--format", "jsonl").lines()
        assert (line["parser"], line["model"]) == ("hermes", "Qwen/Qwen3-8B")
        assert len(line["message"]["tool_calls"]) == 1

    def test_both_channels_reach_the_message(self, run: Run) -> None:
        items = [chunk({"reasoning_content": "Hm."}), chunk({"content": "Hi."}, "stop")]
        path = write("a", "\n".join(map(json.dumps, items)))
        message = run("parse", path, "--format", "jsonl").lines()[0]["message"]
        assert (message["reasoning"], message["content"]) == ("Hm.", "Hi.")

    def test_case_records_bring_their_own_parser_and_tools(self, run: Run) -> None:
        (line,) = run("parse", write("r.jsonl", record()), "--format", "jsonl").lines()
        assert (line["parser"], line["record"], line["input"]) == ("hermes", "r/1", "cases")

    def test_finish_reason_of_the_capture_counts_and_can_be_overridden(self, run: Run) -> None:
        path = write("a", capture("Hi", finish="length"))
        assert run("parse", path, "--format", "jsonl").lines()[0]["message"]["finish_reason"] == "length"
        again = run("parse", path, "--format", "jsonl", "--finish-reason", "stop")
        assert again.lines()[0]["message"]["finish_reason"] == "stop"

    def test_no_thinking_and_thinking(self, run: Run) -> None:
        path = write("a.txt", "plan")
        args = ("parse", path, "--format", "jsonl", "--parser", "hermes")
        assert run(*args, "--thinking").lines()[0]["message"]["reasoning"] == "plan"
        assert run(*args, "--no-thinking").lines()[0]["message"]["content"] == "plan"

    def test_strict_exits_with_1_on_diagnostics_only(self, run: Run) -> None:
        odd, fine = write("odd.txt", BROKEN), write("fine.txt", TEXT)
        assert run("parse", odd, "--parser", "hermes").code == 0
        assert run("parse", odd, "--parser", "hermes", "--strict").code == 1
        assert run("parse", fine, "--parser", "hermes", "--strict").code == 0

    def test_a_text_without_a_call_is_no_error(self, run: Run) -> None:
        ran = run("parse", write("a.txt", "Just prose."))
        assert (ran.code, ran.err) == (0, "")
        assert "Just prose." in ran.out

    def test_control_characters_of_a_model_do_not_reach_the_terminal(self, run: Run) -> None:
        ran = run("parse", write("a.txt", "\x1b[2Jred \x9b31m alert\x07"))
        assert "\x1b" not in ran.out
        assert "\\x1b[2Jred" in ran.out

    def test_remarks_go_to_standard_error(self, run: Run) -> None:
        call = {"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}}
        ran = run(
            "parse", write("a", json.dumps(chunk({"tool_calls": [call]}, "tool_calls"))), "--format", "jsonl"
        )
        assert ran.code == 0
        assert ran.err.startswith("hamr-parse: a: the server had already parsed tool calls")
        whole = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        assert ran.lines()[0]["native_tool_calls"] == [whole]
        assert ran.lines()[0]["message"]["finish_reason"] == "tool_calls"

    def test_calls_of_the_server_are_made_whole_and_shown_in_every_format(self, run: Run) -> None:
        parts = [{"index": 0, "id": "x", "type": "function", "function": {"name": "f\x1b", "arguments": ""}}]
        parts += [{"index": 0, "function": {"arguments": piece}} for piece in ('{"a"', ": 1}")]
        chunks = [chunk({"tool_calls": [part]}) for part in parts] + [chunk({}, "tool_calls")]
        path = write("a.sse", "".join(f"data: {json.dumps(one)}\n\n" for one in chunks))
        shown = run("parse", path).out
        assert "server's call 0  f\\x1b  x" in shown
        assert '"a": 1' in shown
        assert "finish" in shown and shown.rstrip().endswith("tool_calls")
        assert "(none)" not in shown
        openai = run("parse", path, "--format", "openai").lines()[0]
        assert [call["function"]["arguments"] for call in openai["tool_calls"]] == ['{"a": 1}']
        ran = run("parse", path, "--format", "json")
        assert ran.json()["results"][0]["native_tool_calls"] == openai["tool_calls"]
        cut = write("cut.sse", "".join(f"data: {json.dumps(one)}\n\n" for one in chunks[:2]))
        assert "cut off: not to be run" in run("parse", cut).out
        assert (
            run("parse", cut, "--format", "json").json()["results"][0]["message"]["finish_reason"] == "length"
        )

    def test_a_call_in_the_text_and_of_the_server_is_given_once_as_openai(self, run: Run) -> None:
        same = {"name": "get_weather", "arguments": '{"city":"Zürich"}'}
        other = {"name": "get_weather", "arguments": '{"city":"Bern"}'}
        calls = [
            {"index": n, "id": f"n{n}", "type": "function", "function": f}
            for n, f in enumerate((same, other))
        ]
        path = write(
            "a.sse", f"data: {json.dumps(chunk({'content': TEXT + BROKEN, 'tool_calls': calls}, 'stop'))}\n"
        )
        got = run("parse", path, "--parser", "hermes", "--format", "openai").lines()[0]["tool_calls"]
        cities = [json.loads(call["function"]["arguments"])["city"] for call in got]
        assert cities == ["Oslo", "Zürich", "Bern"]
        assert [call["id"] for call in got[1:]] == ["n0", "n1"]


class TestBadInput:
    def test_an_unreadable_file_is_one_line_and_the_others_are_read(self, run: Run) -> None:
        Path("folder").mkdir()
        paths = [
            write("binary", b"a\0b"),
            write("empty", b""),
            write("latin", "caf\u00e9".encode("latin-1")),
            Path("missing"),
            Path("folder"),
            write("good.txt", TEXT),
        ]
        ran = run("parse", *paths, "--format", "jsonl", "--parser", "hermes")
        assert ran.code == 2
        lines = ran.err.splitlines()
        assert len(lines) == 5
        for path, reason, line in zip(
            paths,
            ["binary file", "empty file", "not UTF-8", "No such file", "directory"],
            lines,
            strict=False,
        ):
            assert line.startswith(f"hamr-parse: {path}: ")
            assert reason.lower() in line.lower()
        assert [line["source"] for line in ran.lines()] == ["good.txt"]

    @pytest.mark.parametrize("command", ["parse", "events"])
    def test_an_unknown_parser_names_the_nearest_and_how_to_list(self, run: Run, command: str) -> None:
        ran = run(command, write("a.txt", "x"), "--parser", "hermez")
        assert (ran.code, ran.out) == (2, "")
        assert len(ran.err.splitlines()) == 1
        assert "hermes" in ran.err
        assert "hamr-parse parsers" in ran.err

    @pytest.mark.parametrize(
        ("tools", "told"),
        [
            ("{not json", "not JSON: "),
            ('"x"', "not a string"),
            ("{}", "not an object"),
            ([{"type": "function"}], "0"),
            ([*TOOLS, {"function": {"name": 5}}], "1"),
        ],
    )
    def test_tools_that_are_none_name_the_entry(self, run: Run, tools: object, told: str) -> None:
        path = write("tools.json", tools)
        ran = run("parse", write("a.txt", "x"), "--tools", path)
        assert (ran.code, ran.out) == (2, "")
        assert len(ran.err.splitlines()) == 1
        assert ran.err.startswith("hamr-parse: tools.json: ")
        assert told in ran.err

    def test_tools_may_be_a_saved_request(self, run: Run) -> None:
        path = write("request.json", {"model": "m", "tools": TOOLS})
        assert run("parse", write("a.txt", TEXT), "--tools", path, "--parser", "hermes").code == 0

    @pytest.mark.parametrize("option", ["--tools", "--prompt", "--chat-template", "--response-template"])
    def test_a_side_file_that_cannot_be_read_is_named(self, run: Run, option: str) -> None:
        ran = run("parse", write("a.txt", "x"), option, "nowhere")
        assert (ran.code, ran.err.startswith("hamr-parse: nowhere: ")) == (2, True)

    @pytest.mark.parametrize("command", ["parse", "events", "resolve"])
    def test_a_response_template_that_is_none_is_named(self, run: Run, command: str) -> None:
        path = write("template.json", {"x": 1})
        arguments = () if command == "resolve" else (write("a.txt", "x"),)
        ran = run(command, *arguments, "--response-template", path)
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
        assert ran.err.startswith("hamr-parse: template.json: response_template.fields: ")

    @pytest.mark.parametrize("size", ["0", "-1", "many", "1.5"])
    def test_a_wrong_chunk_size_is_a_usage_error(self, run: Run, size: str) -> None:
        ran = run("parse", write("a.txt", "x"), "--chunk", size)
        assert ran.code == 2
        assert "--chunk" in ran.err

    def test_a_record_of_an_unregistered_family_is_told_and_the_others_are_read(self, run: Run) -> None:
        path = write("r.jsonl", "\n".join(map(json.dumps, [record(parser="nobody"), record()])))
        ran = run("parse", path, "--format", "jsonl")
        assert (ran.code, len(ran.lines()), len(ran.err.splitlines())) == (2, 1, 1)

    def test_wrong_usage_exits_with_2(self, run: Run) -> None:
        assert run("parse").code == 2
        assert run("nonsense").code == 2
        assert run("resolve").code == 2


class TestEvents:
    def test_each_captured_chunk_has_its_line_and_the_end_the_last(self, run: Run) -> None:
        ran = run("events", write("a", capture("Let me", " check.")), "--format", "jsonl")
        lines = ran.lines()
        assert [(line["chunk"], line["text"]) for line in lines] == [
            (0, "Let me"),
            (1, " check."),
            (None, ""),
        ]
        assert lines[0]["events"] == [{"type": "content_delta", "text": "Let me"}]

    def test_raw_text_is_fed_in_small_pieces(self, run: Run) -> None:
        lines = run("events", write("a.txt", "abcdefghij"), "--format", "jsonl").lines()
        assert [line["text"] for line in lines] == ["abcd", "efgh", "ij", ""]

    def test_the_table_tells_calls_and_their_ends(self, run: Run) -> None:
        out = run("events", write("a.txt", TEXT), "--parser", "hermes", "--chunk", "random").out
        for part in ("call 0 starts: get_weather", "call 0 ends: complete", "(end of text)"):
            assert part in out


class TestCheck:
    def test_records_that_hold(self, run: Run) -> None:
        ran = run("check", write("r.jsonl", record()))
        assert (ran.code, ran.err) == (0, "")
        assert "hermes" in ran.out

    def test_a_failure_is_listed_and_exits_with_1(self, run: Run) -> None:
        Path("sub").mkdir()
        write("sub/a.jsonl", record(text="Let me check."))
        ran = run("check", ".")
        assert ran.code == 1
        assert "FAILED r/1 (hermes, one piece): calls [], expected ['get_weather']" in ran.out

    def test_only_so_many_failures_are_shown(self, run: Run) -> None:
        path = write("r.jsonl", "\n".join(json.dumps(record(text="x", id=f"r/{n}")) for n in range(5)))
        out = run("check", path, "--show", "2").out
        assert out.count("FAILED") == 2
        assert "and 3 more" in out

    def test_families_that_are_not_registered_are_skipped_with_a_count(self, run: Run) -> None:
        path = write("r.jsonl", "\n".join(map(json.dumps, [record(parser="nobody"), record()])))
        ran = run("check", path)
        assert ran.code == 0
        assert "1 records skipped" in ran.err
        assert "nobody 1" in ran.err

    def test_json_and_filters(self, run: Run) -> None:
        records = [
            record(),
            record(id="r/2", opinion=True, text="x"),
            record(id="r/3", parser="mistral", text="x"),
        ]
        path = write("r.jsonl", "\n".join(map(json.dumps, records)))
        document = run("check", path, "--parser", "hermes", "--no-opinion", "--format", "json").json()
        assert document["families"] == {"hermes": {"records": 1, "hold": 1}}
        assert document["failures"] == []

    def test_unreadable_paths_exit_with_2_and_the_others_are_checked(self, run: Run) -> None:
        ran = run("check", write("r.jsonl", record()), write("bad.jsonl", "{}"), "missing")
        assert ran.code == 2
        assert len(ran.err.splitlines()) == 2
        assert "hermes" in ran.out


class TestParsersAndResolve:
    def test_every_registered_family_is_listed_with_its_aliases(self, run: Run) -> None:
        ran = run("parsers")
        for family in hp.list_families():
            assert family.id in ran.out
        assert "qwen25" in ran.out
        document = run("parsers", "--format", "json").json()
        assert [p["id"] for p in document["parsers"]] == sorted(f.id for f in hp.list_families())

    def test_the_matrix_is_filtered_by_words_and_by_models_names(self, run: Run) -> None:
        def ids(*words: str) -> list[str]:
            return [p["id"] for p in run("parsers", *words, "--json").json()["parsers"]]

        assert ids("smollm") == ["smollm3"]
        assert ids("QWEN25") == ["hermes"]
        assert ids("vllm:qwen3_json") == ["hermes"]
        assert ids("Qwen/Qwen3-Coder-30B-A3B-Instruct") == ["qwen3_coder"]
        assert ids("mistral", "no-such-word") == []
        ran = run("parsers", "no-such-family")
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (0, "", 1)

    def test_the_matrix_says_what_a_call_looks_like_and_whose_ids(self, run: Run) -> None:
        (entry,) = run("parsers", "mixtral", "--json").json()["parsers"]
        assert entry["id"] == "mistral"
        assert entry["shape"] == "[TOOL_CALLS]NAME[ARGS]{...}"
        assert entry["ids"] == "the model's, else 9 characters"
        assert entry["told_by_name"] and entry["told_by_template"]

    @pytest.mark.parametrize("width", [40, 80, 200])
    def test_a_narrow_terminal_gets_blocks_and_a_wide_one_a_table(self, run: Run, width: int) -> None:
        from rich.console import Console

        from hamr_parsers.cli.parsers import _print

        file = io.StringIO()
        _print(Console(file=file, force_terminal=True, width=width), [hp.get_family("kimi_k2")])
        shown = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
        assert "kimi_k2" in shown
        assert ("a call looks like" in shown.splitlines()[0]) == (width == 200)
        assert all(len(line.rstrip()) <= width for line in shown.splitlines())

    def test_resolve_says_which_and_why(self, run: Run) -> None:
        ran = run("resolve", "Qwen/Qwen3-Coder-30B-A3B-Instruct", "--format", "json")
        (answer,) = ran.json()["resolved"]
        assert answer["parser"] == "qwen3_coder"
        assert answer["reason"]
        assert "qwen3_coder" in run("resolve", "Qwen/Qwen3-Coder-30B-A3B-Instruct").out

    def test_resolve_reads_names_from_standard_input(self, run: Run) -> None:
        ran = run("resolve", "-", "--format", "json", stdin=b"devstral:24b\n\nQwen/Qwen3-8B\n")
        assert [a["parser"] for a in ran.json()["resolved"]] == ["mistral", "hermes"]

    def test_resolve_by_alias(self, run: Run) -> None:
        (answer,) = run("resolve", "--parser", "qwen25", "--format", "json").json()["resolved"]
        assert (answer["model"], answer["parser"]) == (None, "hermes")


FAMILIES = [family for family in hp.list_families() if demo_record(family.id) is not None]


class TestDemo:
    def test_the_demo_plays_every_family_without_waiting_when_piped(self, run: Run) -> None:
        ran = run("demo")
        assert (ran.code, ran.err) == (0, "")
        for family in FAMILIES:
            assert family.id in ran.out
        assert "\x1b" not in ran.out

    def test_one_family_can_be_chosen(self, run: Run) -> None:
        ran = run("demo", "vllm:qwen3_json")
        assert "hermes" in ran.out
        assert "mistral" not in ran.out
        assert run("demo", "auto").code == 2

    @pytest.mark.parametrize("family", [family.id for family in FAMILIES])
    def test_a_demo_shows_what_it_says(self, family: str) -> None:
        case = demo_record(family)
        assert case is not None
        assert case.parser == family
        stream = hp.StreamParser(parser=family, tools=case.tools, starts_in_reasoning=case.thinking)
        for piece in token_like(case.text):
            stream.feed(piece)
        stream.close()
        assert judge(case, stream.message) is None

    def test_on_a_terminal_both_sides_are_drawn(self) -> None:
        from rich.console import Console

        from hamr_parsers.cli.demo import _play

        case = demo_record("hermes")
        assert case is not None
        file = io.StringIO()
        _play(
            Console(file=file, force_terminal=True, width=100, height=30), hp.get_family("hermes"), case, 0.0
        )
        assert "Looking both up." in file.getvalue()


class TestDetect:
    def test_the_family_is_named_with_evidence_and_lines_to_use(self, run: Run) -> None:
        ran = run("detect", write("a.txt", TEXT))
        assert (ran.code, ran.err) == (0, "")
        for part in (
            "a.txt  hermes",
            "<tool_call>  line 2  TOOL_CALL",
            "1 call (get_weather), nothing odd",
            "smollm3",
            "runner-up",
            "hamr-parse parse --parser hermes FILE",
            'tool_call_parser = "hermes"',
            "--tool-call-parser hermes",
            "--jinja",
        ):
            assert part in ran.out

    def test_an_unknown_text_has_no_family(self, run: Run) -> None:
        ran = run("detect", write("a.txt", "Just prose."))
        assert (ran.code, ran.err) == (0, "")
        assert "no family" in ran.out
        (line,) = run("detect", "a.txt", "--format", "jsonl").lines()
        assert (line["family"], line["usage"], line["candidates"]) == (None, [], [])

    def test_it_reads_what_parse_reads(self, run: Run) -> None:
        paths = [
            write("a.sse", capture(TEXT[:30], TEXT[30:])),
            write("r.jsonl", record()),
            write("b.txt", TEXT),
        ]
        document = run("detect", *paths, "--format", "json").json()
        assert document["schema_version"] == 1
        assert [(r["source"], r["input"], r["family"]) for r in document["results"]] == [
            ("a.sse", "sse", "hermes"),
            ("r.jsonl", "cases", "hermes"),
            ("b.txt", "text", "hermes"),
        ]
        assert document["results"][0]["model"] == "Qwen/Qwen3-8B"

    def test_a_call_in_the_reasoning_is_found(self, run: Run) -> None:
        items = [chunk({"reasoning_content": TEXT}), chunk({"content": "Hi."}, "stop")]
        path = write("a", "\n".join(map(json.dumps, items)))
        (line,) = run("detect", path, "--format", "jsonl").lines()
        assert line["family"] == "hermes"

    def test_tools_and_a_models_name_are_evidence(self, run: Run) -> None:
        path = write("a.txt", TEXT)
        args = ("--tools", write("tools.json", TOOLS), "--format", "jsonl")
        (line,) = run("detect", path, *args, "--model", "HuggingFaceTB/SmolLM3-3B").lines()
        assert line["family"] == "smollm3"

    def test_what_cannot_be_read_is_told_and_the_rest_is_done(self, run: Run) -> None:
        ran = run("detect", "missing", write("a.txt", TEXT), "--format", "jsonl")
        assert (ran.code, len(ran.err.splitlines()), len(ran.lines())) == (2, 1, 1)


class TestMatrix:
    @pytest.fixture
    def fixtures(self, run: Run) -> Path:
        folder = Path("fixtures")
        (folder / "hermes").mkdir(parents=True)
        write("fixtures/tools.json", TOOLS)
        write("fixtures/hermes/cases.jsonl", record(note="prose before the call"))
        return folder

    def test_documents_are_written_and_known_to_be_stale(self, run: Run, fixtures: Path) -> None:
        ran = run("matrix", "-o", "docs")
        assert (ran.code, ran.out) == (0, "")
        assert "prose before the call" in Path("docs/hermes.md").read_text(encoding="utf-8")
        assert run("matrix", "-o", "docs", "--check").code == 0
        Path("docs/hermes.md").write_text("old")
        ran = run("matrix", "-o", "docs", "--check")
        assert ran.code == 1
        assert "stale in docs: hermes.md; refresh with: hamr-parse matrix -o docs" in ran.err

    def test_without_a_folder_the_overview_is_printed_and_json_is_one_document(
        self, run: Run, fixtures: Path
    ) -> None:
        assert "# The parser matrix" in run("matrix").out
        document = run("matrix", "--format", "json", "--fixtures", "fixtures").json()
        assert document["schema_version"] == 1
        hermes = next(p for p in document["parsers"] if p["id"] == "hermes")
        assert hermes["fixtures"] == {"records": 1, "hold": 1}

    def test_missing_fixtures_are_told_in_one_line(self, run: Run) -> None:
        ran = run("matrix", "-o", "docs")
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
        assert "part of the repository" in ran.err
        assert not Path("docs").exists()

    def test_check_needs_a_folder(self, run: Run) -> None:
        assert run("matrix", "--check").code == 2


class TestProgram:
    def test_version_and_help_with_examples(self, run: Run) -> None:
        assert run("--version").out == f"hamr-parse {hp.__version__}\n"
        for command in ("demo", "parse", "events", "detect", "check", "parsers", "resolve", "matrix"):
            ran = run(command, "--help")
            assert ran.code == 0
            assert command in run("--help").out
        assert "Exit codes" in run("--help").out

    def test_completion_offers_parser_ids(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        from hamr_parsers.cli.options import complete_parser

        assert [name for name, _ in complete_parser("herm")] == ["hermes"]

    def test_the_library_loads_no_cli_http_or_validation_package(self) -> None:
        code = (
            "import sys, hamr_parsers as hp; hp.parse('x', parser='hermes'); "
            "bad = {'typer', 'click', 'rich', 'pydantic', 'httpx', 'requests', 'http', 'asyncio', 'socket'}; "
            "print(sorted(bad & set(sys.modules)))"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout == "[]\n"

    @pytest.mark.skipif(os.name == "nt", reason="pipes end differently there")
    def test_a_reader_that_leaves_early_is_no_error(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("word " * 200_000, encoding="utf-8")
        args = [sys.executable, "-m", "hamr_parsers", "parse", str(path), "--parser", "hermes"]
        with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(10)
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait() == 0

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("command", [("config",), ("demo",), ("parse", "a.txt", "--format", "json")])
    def test_a_full_disk_is_one_line_and_exit_code_2(
        self, tmp_path: Path, command: tuple[str, ...], unbuffered: str
    ) -> None:
        (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(ROOT / "src")}
        with open("/dev/full", "wb") as full:
            args = [sys.executable, "-m", "hamr_parsers", *command]
            ran = subprocess.run(args, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=env)
        assert ran.returncode == 2
        assert re.fullmatch(rb"hamr-parse: the output cannot be written: [^\n]+\n", ran.stderr), ran.stderr

    @pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
    @pytest.mark.parametrize("closed", [">&-", "<&-"])
    def test_a_closed_stream_is_no_error_of_ours(self, tmp_path: Path, closed: str) -> None:
        (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        args = ["sh", "-c", f'exec "$0" -m hamr_parsers parse a.txt --parser hermes {closed}', sys.executable]
        ran = subprocess.run(args, capture_output=True, cwd=tmp_path, env=env)
        assert (ran.returncode, ran.stderr) == (0, b"")

    def test_output_is_utf8_whatever_the_locale_says(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("Zürich 🌧", encoding="utf-8")
        env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
        args = [sys.executable, "-m", "hamr_parsers", "parse", str(path), "--format", "openai"]
        ran = subprocess.run(args, capture_output=True, check=True, env=env)
        assert "Zürich 🌧" in ran.stdout.decode("utf-8")

    def test_a_progress_bar_is_for_people_only(self, run: Run) -> None:
        path = write("large.txt", "word " * 1_000_000)
        ran = run("parse", path, "--format", "jsonl", "--parser", "hermes")
        assert (ran.code, ran.err) == (0, "")


ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of the README in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


class TestReadme:
    def test_ci_runs_both_commands_as_they_are_written(self) -> None:
        script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        for mark in ("try", "test"):
            assert re.search(rf"<!-- ci: {mark} -->\n```sh\n[^\n]+\n```", README), mark
            assert f"readme {mark}" in script

    def test_the_files_that_it_names_exist(self) -> None:
        for path in re.findall(r"fixtures/[\w./]+", README) + re.findall(r"\]\(([\w./]+)\)", README):
            assert (ROOT / path).exists(), path

    def test_the_agent_loop_runs_no_cut_call(self) -> None:
        ran: list[str] = []
        history: list[dict[str, object]] = []
        names = {
            "definitions": TOOLS,
            "history": history,
            "run": lambda name, args: ran.append(name) or "fine",
        }
        exec(blocks("python")[0], {**names, "text": _qwen_call("Zürich")})
        assert ran == ["get_weather"]
        assert [entry["role"] for entry in history] == ["assistant", "tool"]
        exec(blocks("python")[0], {**names, "text": _qwen_call("Zürich")[:-40]})
        assert ran == ["get_weather"]
        assert "cut off" in str(history[-1]["content"])

    def test_the_streaming_example_prints_what_arrives(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = 'On it.[TOOL_CALLS]get_weather[ARGS]{"city": "Zürich"}'
        names = {
            "hp": hp,
            "sys": sys,
            "tools": TOOLS,
            "response": [text[i : i + 5] for i in range(0, len(text), 5)],
        }
        exec(blocks("python")[1], names)
        assert 'get_weather({"city": "Zürich"})' in capsys.readouterr().out


def _qwen_call(city: str) -> str:
    return f"<tool_call>\n<function=get_weather>\n<parameter=city>\n{city}\n</parameter>\n</function>\n</tool_call>"


# --- render --------------------------------------------------------------------------------------------------

MESSAGE = {
    "role": "assistant",
    "content": "Let me check.",
    "tool_calls": [{"id": "call_1", "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'}}],
}


def test_render_is_the_inverse_of_parse(run: Run) -> None:
    written = run("render", write("m.json", MESSAGE), "--parser", "hermes")
    assert (written.code, written.out, written.err) == (0, TEXT, "")
    told = run("parse", "-", "--parser", "hermes", "--format", "openai", stdin=TEXT.encode())
    again = run("render", "-", "--model", "NousResearch/Hermes-3-Llama-3.1-8B", stdin=told.out.encode())
    assert (again.code, again.out) == (0, TEXT)


def test_render_takes_lists_lines_responses_and_case_records(run: Run) -> None:
    response = {"object": "chat.completion", "choices": [{"message": MESSAGE}]}
    record = {
        "id": "hermes/x",
        "parser": "hermes",
        "thinking": True,
        "expect": {"reasoning": "Hm.", "calls": [{"name": "now"}]},
    }
    lines = "\n".join(json.dumps(item) for item in (MESSAGE, response, record))
    for text in (lines, json.dumps([MESSAGE, response, record])):
        ran = run("render", write("all.jsonl", text), "--parser", "hermes", "--format", "jsonl")
        assert (ran.code, ran.err) == (0, "")
        texts = [line["text"] for line in ran.lines()]
        assert texts[:2] == [TEXT.removesuffix("\n")] * 2
        assert texts[2].startswith("Hm.\n</think>\n\n<tool_call>")
        assert [line["record"] for line in ran.lines()] == [None, None, "hermes/x"]
    alone = run("render", write("r.json", record), "--no-in-reasoning")
    assert (alone.code, alone.out[:8]) == (0, "<think>\n")


def test_render_says_what_cannot_be_written_and_writes_the_rest(run: Run) -> None:
    bad = {"content": "x", "reasoning": "a </think> b"}
    path = write("m.jsonl", f"{json.dumps(bad)}\n{json.dumps(MESSAGE)}\n")
    ran = run("render", path, "--parser", "hermes")
    assert (ran.code, ran.out) == (1, TEXT)
    assert ran.err == (
        "hamr-parse: m.jsonl [line 1]: hermes cannot express reasoning that reads as markup: "
        "take the markup out of it, or write it all the same with `--no-check`\n"
    )
    assert run("render", path, "--parser", "hermes", "--no-check").code == 0
    typed = {"tool_calls": [{"function": {"name": "get_weather", "arguments": {"days": 5}}}]}
    ran = run("render", write("t.json", typed), "--parser", "qwen3_coder")
    assert ran.code == 1
    assert "pass `--tools` that declare it" in ran.err
    tools = [
        {
            "type": "function",
            "function": {"name": "get_weather", "parameters": {"properties": {"days": {"type": "integer"}}}},
        }
    ]
    assert run("render", "t.json", "--parser", "qwen3_coder", "--tools", write("tools.json", tools)).code == 0


def test_render_of_what_cannot_be_read(run: Run) -> None:
    for content, reason in (
        ("{", "line 1 is not JSON"),
        ("  \n", "no message in it"),
        ("5", "it is no object"),
        ('{"expect": {}}', "no case record: id: Field required"),
    ):
        ran = run("render", write("m.json", content), "--parser", "hermes")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("hamr-parse: m.json")
        assert reason in ran.err
        assert ran.err.count("\n") == 1
    ran = run("render", write("m.json", MESSAGE))
    assert (ran.code, ran.err) == (
        2,
        "hamr-parse: m.json: which family? Give --parser, --model or --chat-template\n",
    )
    assert run("render", "missing.json", "--parser", "hermes").code == 2
    assert run("render", "m.json", "--parser", "no such").code == 2
