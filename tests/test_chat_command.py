"""`hamr-parse chat`: what it shows where, its commands, and what becomes of the history."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx2")

from typer.testing import CliRunner

import hamr_parsers
from hamr_parsers.cli.app import app
from hamr_parsers.serve.replay import ReplayGateway, Scenario
from tests.gateway import serving

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    }
]
CALL = '{"name": "get_weather", "arguments": {"city": "Paris", "days": "3"}}'
THINKS = Scenario(
    "Qwen3-8B",
    f"<think>\nLet me look.\n</think>\n\nI look it up.\n<tool_call>\n{CALL}\n</tool_call>",
    tools=TOOLS,
)
PLAIN = Scenario("plain-model", "It is \x1b[31mblue.")
TWO = Scenario("Qwen2.5-two", "\n".join(f"<tool_call>\n{CALL}\n</tool_call>" for _ in range(2)), tools=TOOLS)
LONG = Scenario("slow-model", "one two three four five six seven eight nine ten " * 20)


@pytest.fixture(autouse=True)
def nobody_is_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this machine is read."""
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS), encoding="utf-8")


@pytest.fixture(scope="module")
def shared() -> Iterator[ReplayGateway]:
    with serving(scenarios=[THINKS, PLAIN, TWO, LONG]) as gateway:
        yield gateway


@pytest.fixture
def gateway(shared: ReplayGateway) -> ReplayGateway:
    shared.requests.clear()
    return shared


def chat(gateway: ReplayGateway | str, lines: str, *options: str) -> Any:
    url = gateway if isinstance(gateway, str) else gateway.base_url
    return CliRunner().invoke(app, ["chat", "--base-url", url, *options], input=lines)


def asked(gateway: ReplayGateway) -> list[dict[str, Any]]:
    return [received.body for received in gateway.requests if received.method == "POST"]


def test_in_a_pipe_the_answer_is_on_stdout_and_reasoning_on_stderr(gateway: ReplayGateway) -> None:
    result = chat(gateway, "Weather?\n", "--model", "Qwen3-8B", "--tools", "tools.json")
    assert result.exit_code == 0, result.output
    assert result.stdout == 'I look it up.\nget_weather({"city": "Paris", "days": "3"})\n'
    assert "Let me look." in result.stderr
    assert 'get_weather: days: expected an integer, got the string "3"' in result.stderr


def test_control_characters_of_a_model_are_seen_and_not_obeyed(gateway: ReplayGateway) -> None:
    result = chat(gateway, "Why?\n", "--model", "plain-model")
    assert result.stdout == "It is \\x1b[31mblue.\n"


def test_each_line_is_a_message_and_a_backslash_joins_two(gateway: ReplayGateway) -> None:
    result = chat(gateway, "One\\\ntwo\n\n//three\r\n", "--model", "plain-model", "--system", "Be brief.")
    assert result.exit_code == 0, result.output
    first, second = asked(gateway)
    assert first["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One\ntwo"},
    ]
    assert [m["role"] for m in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][-1]["content"] == "/three"


def test_options_of_the_answer_are_sent(gateway: ReplayGateway) -> None:
    options = ("--model", "Qwen3-8B", "--max-tokens", "5", "--temperature", "0", "--tools", "tools.json")
    result = chat(gateway, "Hi\n", *options, "--upstream-mode", "text")
    [body] = asked(gateway)
    assert (body["max_tokens"], body["temperature"], body["tool_choice"]) == (5, 0, "none")
    assert "the answer was cut" in result.stderr


def test_a_result_answers_the_call_and_the_model_goes_on(gateway: ReplayGateway) -> None:
    result = chat(gateway, "Weather?\n/result sunny\n", "--model", "Qwen3-8B", "--tools", "tools.json")
    assert result.exit_code == 0, result.output
    assert "sunny" in result.stdout.splitlines()[-1]
    call, answer = asked(gateway)[1]["messages"][-2:]
    assert answer == {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "sunny"}


def test_a_correction_tells_the_model_what_was_wrong(gateway: ReplayGateway) -> None:
    chat(gateway, "Weather?\n/correct\n", "--model", "Qwen3-8B", "--tools", "tools.json")
    said = asked(gateway)[1]["messages"][-1]
    assert said["role"] == "tool"
    assert 'days: expected an integer, got the string "3"' in said["content"]


def test_several_calls_are_answered_one_by_one(gateway: ReplayGateway) -> None:
    lines = "Go\n/result one\n/result two\n/result three\n"
    result = chat(gateway, lines, "--model", "Qwen2.5-two", "--tools", "tools.json")
    assert len(asked(gateway)) == 2
    assert [m["content"] for m in asked(gateway)[1]["messages"][-2:]] == ["one", "two"]
    assert "1 more to answer" in result.stderr and "no call waits for a result" in result.stderr


def test_a_call_that_nobody_answered_is_no_400_in_the_next_turn(gateway: ReplayGateway) -> None:
    lines = "Weather?\nNever mind.\n"
    chat(gateway, lines, "--model", "Qwen3-8B", "--tools", "tools.json")
    roles = [m["role"] for m in asked(gateway)[1]["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]


def test_model_lists_afresh_and_switches_by_number_or_name(gateway: ReplayGateway) -> None:
    lines = "/model\n/model 2\nHi\n/model Qwen3-8B\nHi\n"
    result = chat(gateway, lines, "--model", "Qwen3-8B")
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()
    assert rows[0].split() == ["#", "model", "label", "context", "parser"]
    assert rows[1].split()[:3] == ["1", "*", "Qwen3-8B"]
    assert [body["model"] for body in asked(gateway)] == ["plain-model", "Qwen3-8B"]
    listings = [r for r in gateway.requests if r.method == "GET" and r.path.endswith("/models")]
    assert len(listings) >= 4


def test_an_unknown_model_is_told_with_the_nearest_names(gateway: ReplayGateway) -> None:
    result = chat(gateway, "/model plain\nHi\n", "--model", "Qwen3-8B")
    assert result.exit_code == 5
    assert "did you mean 'plain-model'?" in result.stderr
    result = chat(gateway, "Hi\n", "--model", "plain-modell")
    assert (result.exit_code, asked(gateway)) == (5, [])


def test_several_models_and_none_named_is_an_error_of_usage_in_a_pipe(gateway: ReplayGateway) -> None:
    result = chat(gateway, "Hi\n")
    assert result.exit_code == 2
    assert "has 4 models and none is chosen" in result.stderr


def test_a_dead_gateway_is_exit_code_3() -> None:
    with serving(scenarios=[PLAIN]) as one:
        url = one.base_url
    result = chat(url, "Hi\n")
    assert result.exit_code == 3
    assert "nothing listens there" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output


def test_an_error_in_the_middle_comes_after_what_had_come(gateway: ReplayGateway) -> None:
    result = chat(gateway, "Hi\n", "--model", "slow-model+error-in-stream")
    if result.exit_code == 5:  # the gateway lists no model of that name: the fault is asked for by header
        result = chat(gateway, "Hi\n", "--model", "slow-model", "--header", "x-replay-fault=error-in-stream")
    assert result.exit_code in (4, 6), result.output
    assert result.stdout.startswith("one two")
    assert result.stdout.endswith("\n")
    assert "hamr-parse: " in result.stderr


@pytest.mark.parametrize("how", [("--header", "x-replay-fault=no-finish"), ("--max-tokens", "2")])
def test_a_cut_answer_in_a_pipe_is_exit_code_6(gateway: ReplayGateway, how: tuple[str, str]) -> None:
    result = chat(gateway, "Hi\n/quit\n", "--model", "plain-model", *how)
    assert (result.exit_code, "the answer was cut" in result.stderr) == (6, True), result.output
    assert result.stdout.startswith("It is")


def test_an_empty_answer_in_a_pipe_is_exit_code_6() -> None:
    with serving(scenarios=[Scenario("Qwen3-8B", "<think>\nHm.\n</think>\n\n")]) as one:
        result = chat(one, "Hi\n")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "the answer was empty: only reasoning came" in result.stderr


def test_the_conversation_is_saved_cleared_and_its_commands_listed(
    gateway: ReplayGateway, tmp_path: Path
) -> None:
    lines = "Hi\n/save chat.json\n/clear\nHo\n/help\n/nonsense\n/halp\n/system You are.\n/tools tools.json\n/tools\n"
    result = chat(gateway, lines, "--model", "plain-model")
    assert result.exit_code == 0, result.output
    saved = json.loads((tmp_path / "chat.json").read_text(encoding="utf-8"))
    assert saved["model"] == "plain-model"
    assert [m["role"] for m in saved["messages"]] == ["user", "assistant"]
    assert len(asked(gateway)[1]["messages"]) == 1
    assert "/result" in result.stdout
    assert "no command /nonsense" in result.stderr and "did you mean /help?" in result.stderr
    assert result.stderr.count("tools: get_weather") == 2


def test_quit_ends_before_the_next_line(gateway: ReplayGateway) -> None:
    result = chat(gateway, "/quit\nHi\n", "--model", "plain-model")
    assert (result.exit_code, asked(gateway)) == (0, [])


def test_tools_that_cannot_be_read_are_named(gateway: ReplayGateway, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    result = chat(gateway, "Hi\n", "--model", "plain-model", "--tools", "bad.json")
    assert result.exit_code == 2 and "bad.json" in result.stderr


def test_a_gateway_that_loads_a_model_is_told_once_in_a_pipe() -> None:
    with serving(scenarios=[PLAIN], kind="relay") as relay:
        result = chat(relay, "Hi\n")
    assert result.exit_code == 0, result.output
    assert result.stdout == "It is \\x1b[31mblue.\n"
    assert result.stderr.count("is loading") == 1


# -- a terminal --------------------------------------------------------------------------------------------------


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        import pty

        source = str(Path(hamr_parsers.__file__).parents[1])
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40", "PYTHONPATH": source}
        environ.pop("NO_COLOR", None)
        command = [sys.executable, "-m", "hamr_parsers", *arguments]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, command, environ)
        self.seen = self.rest = ""

    def until(self, text: str, seconds: float = 30) -> str:
        """What is shown next, up to `text`; what comes after it is for the next call."""
        end = time.monotonic() + seconds
        while text not in self.rest and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    data = os.read(self.fd, 4096)
                except OSError:
                    break
                if not data:
                    break
                self.rest += data.decode(errors="replace")
                self.seen += data.decode(errors="replace")
        before, found, self.rest = self.rest.partition(text)
        assert found, self.seen
        return before + found

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self) -> int:
        os.write(self.fd, b"\x04")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_on_a_terminal_ctrl_c_cancels_the_answer_and_ctrl_d_ends() -> None:
    with serving(scenarios=[THINKS, LONG], rate=20) as gateway:
        terminal = Terminal("chat", "--base-url", gateway.base_url, "--tools", "tools.json")
        terminal.until("choose one: /model NUMBER")
        terminal.until("> ")
        terminal.type("/model 1\n")
        terminal.until("read by hermes")
        terminal.type("Weather?\n")
        shown = terminal.until("I look")
        assert "\x1b[2;3m" in shown  # the reasoning is dim
        terminal.until("\x1b[36m")  # the call has a colour of its own
        terminal.until("/result TEXT answers one")
        terminal.type("/model\n")
        terminal.until("empty keeps it: ")
        terminal.type("2\n")
        terminal.until("slow-model at")
        terminal.type("Count\n")
        terminal.until("one two")
        terminal.type("\x03")
        terminal.until("cancelled")
        terminal.until("> ")
        terminal.type("/model 7\n")
        terminal.until("no model")
        terminal.type("Again\n")
        terminal.until("one two")
        terminal.type("\x03")
        terminal.until("cancelled")
        terminal.until("> ")
        assert terminal.end() == 0
    last = [r.body for r in gateway.requests if r.method == "POST"][-1]
    assert [m["role"] for m in last["messages"]] == ["user", "assistant", "tool", "user", "assistant", "user"]
    assert last["messages"][4]["content"].startswith("one")
    assert "Traceback" not in terminal.seen
