"""Correction messages, the check of arguments, and the repair of histories."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hamr_parsers as hp
from hamr_parsers.client.any_call import is_json_object, mend_arguments
from hamr_parsers.client.correction import correction_message
from hamr_parsers.client.history import HistoryError, diagnose_history, repair_history
from hamr_parsers.client.schema_check import check_arguments

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "where": {"$ref": "#/$defs/Place"},
                "at": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["city"],
            "additionalProperties": False,
            "$defs": {
                "Place": {
                    "type": "object",
                    "properties": {"lat": {"type": "number"}, "near": {"$ref": "#/$defs/Place"}},
                    "required": ["lat"],
                }
            },
        },
    },
}
SHELL = {
    "type": "function",
    "function": {
        "name": "run_shell",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
            "required": ["command"],
        },
    },
}
TOOLS = [WEATHER, SHELL]


def call(name: str, arguments: Any = "{}", id: Any = "call_1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def asks(*calls: dict[str, Any], content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(id: Any, content: Any = "ok", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content, **more}


def user(text: Any = "go on") -> dict[str, Any]:
    return {"role": "user", "content": text}


# -- check_arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ('{"city": "Bonn", "days": 3, "unit": "celsius", "where": {"lat": 1}, "at": null}', []),
        ("{}", ["city: is required, but missing"]),
        ('{"city": 5}', ["city: expected a string, got 5"]),
        ('{"city": "x", "days": true}', ["days: expected an integer, got true"]),
        ('{"city": "x", "days": 2.0}', []),
        ('{"city": "x", "days": 0}', ["days: must be at least 1, got 0"]),
        ('{"city": "x", "unit": "K"}', ['unit: expected one of "celsius", "fahrenheit", got the string "K"']),
        ('{"city": "x", "where": {"near": {"lat": "1"}}}', [
            "where.lat: is required, but missing",
            'where.near.lat: expected a number, got the string "1"',
        ]),
        ('{"city": "x", "at": 4}', ["at: expected a string or null, got 4"]),
        ('{"city": "x", "dayz": 4}', ['dayz: is no argument of this tool; did you mean "days"?']),
        ('{"town": "x"}', [
            "city: is required, but missing",
            "town: is no argument of this tool (it takes city, days, unit, where, at)",
        ]),
    ],
)  # fmt: skip
def test_arguments_are_checked_against_the_schema(arguments: str, faults: list[str]) -> None:
    assert check_arguments(call("get_weather", arguments), TOOLS) == faults


def test_a_cut_call_and_mended_json_are_faults() -> None:
    assert check_arguments(call("run_shell", '{"command": "rm -r'), TOOLS) == [
        "the arguments were cut off after 18 characters"
    ]
    [fault] = check_arguments(call("run_shell", "{'command': 'ls'}"), TOOLS)
    assert fault.startswith("the arguments were no valid JSON: ")


def test_an_unknown_tool_is_told_with_the_nearest_name() -> None:
    assert check_arguments(call("getWeather"), TOOLS) == [
        'there is no tool "getWeather"; did you mean "get_weather"?'
    ]
    assert check_arguments(call("zzz"), TOOLS) == [
        'there is no tool "zzz"; the tools are: get_weather, run_shell'
    ]


def test_a_schema_that_refers_to_itself_in_every_member_ends() -> None:
    loop = {"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"type": "integer"}, {"allOf": [{"$ref": "#"}] * 9}]}
    tool = {"type": "function", "function": {"name": "f", "parameters": loop}}
    check_arguments(call("f", json.dumps({"a": [[{}]] * 50})), [tool])


def test_no_more_faults_are_listed_than_asked_for() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "string"}}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    found = check_arguments(call("f", json.dumps({"x": list(range(50))})), [tool], most=3)
    assert found[:3] == [f"x[{n}]: expected a string, got {n}" for n in range(3)]
    assert found[3:] == ["and 47 more faults"]


# -- correction_message --------------------------------------------------------------------------------------------


def test_a_correction_answers_the_call_by_its_id() -> None:
    message = correction_message(call("f", id="abc"), RuntimeError("no disk"))
    assert message == {
        "role": "tool",
        "tool_call_id": "abc",
        "content": 'Error: the call of "f" failed: RuntimeError: no disk.',
    }


def test_a_correction_for_a_call_without_an_id_is_a_message_of_the_user() -> None:
    message = correction_message(call("f", id=None), "no")
    assert (message["role"], "tool_call_id" in message) == ("user", False)


def test_a_cut_call_is_told_how_far_it_came_and_to_be_written_again() -> None:
    text = '<tool_call>{"name": "run_shell", "arguments": {"command": "rm -rf /tmp/x'
    [cut] = hp.parse(text, parser="hermes", finish_reason="length").tool_calls
    with pytest.raises(hp.IncompleteToolCallError) as error:
        cut.arguments_dict()
    for said in (error.value, None):
        content = correction_message(cut, said)["content"]
        assert "cut off after 26 characters" in content
        assert "in parts" in content


def test_an_unknown_tool_is_told_with_what_was_meant() -> None:
    content = correction_message(call("functions.run_shell"), KeyError("functions.run_shell"), tools=TOOLS)
    assert 'did you mean "run_shell"?' in content["content"]
    bare = correction_message(call("nope"), KeyError("nope"))["content"]
    assert 'there is no tool "nope"' in bare


def test_a_key_error_inside_a_tool_is_no_unknown_tool() -> None:
    assert "there is no tool" not in correction_message(call("f"), KeyError("HOME"))["content"]


def test_all_violations_of_the_schema_are_told_at_once() -> None:
    content = correction_message(call("get_weather", '{"days": "3", "unit": 1}'), tools=TOOLS)["content"]
    assert [line for line in content.split("\n") if line.startswith("- ")] == [
        "- city: is required, but missing",
        '- days: expected an integer, got the string "3"',
        '- unit: expected one of "celsius", "fahrenheit", got 1',
    ]


def test_a_validation_error_of_pydantic_is_told_by_place() -> None:
    from pydantic import BaseModel, ValidationError

    class Inner(BaseModel):
        lat: float

    class Arguments(BaseModel):
        city: str
        spots: list[Inner]

    with pytest.raises(ValidationError) as error:
        Arguments.model_validate({"spots": [{"lat": "north"}]})
    content = correction_message(call("f"), error.value)["content"]
    assert "- city: Field required" in content
    assert "- spots[0].lat: Input should be a valid number" in content


def test_an_error_with_a_path_as_jsonschema_raises_is_told_by_place() -> None:
    class ValidationError(Exception):
        message = "'x' is not of type 'integer'"
        absolute_path = ("rows", 2, "n")

    assert (
        "rows[2].n: 'x' is not of type 'integer'"
        in correction_message(call("f"), ValidationError())["content"]
    )


def test_mended_json_is_told() -> None:
    content = correction_message(call("run_shell", "{'command': 'ls',}"), tools=TOOLS)["content"]
    assert "no valid JSON" in content and content.endswith("Write the arguments as one valid JSON object.")


def test_the_length_of_a_correction_is_bounded_and_keeps_its_advice() -> None:
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}
    for error in (RuntimeError("x" * 100_000), ["y" * 900] * 900):
        content = correction_message(call("f", '{"x": "a"}'), error, tools=[tool], max_chars=500)["content"]
        assert len(content) <= 500
        assert content.endswith("Call it again with arguments that fit its schema.")


@pytest.mark.parametrize(
    "form",
    [
        {"type": "function_call", "call_id": "c9", "id": "fc_1", "name": "f", "arguments": "{}"},
        {"type": "tool_use", "id": "c9", "name": "f", "input": {"a": 1}},
        {"id": "c9", "function": {"name": "f", "arguments": None}},
        hp.ToolCall("c9", "f", "{}"),
    ],
)
def test_calls_of_every_api_are_understood(form: Any) -> None:
    message = correction_message(form, "no")
    assert message["tool_call_id"] == "c9" and '"f"' in message["content"]


def test_calls_of_the_sdk_are_understood() -> None:
    types = pytest.importorskip("openai.types.chat")
    made = types.ChatCompletionMessageFunctionToolCall.model_validate(call("f", '{"a": 1', "c9"))
    assert "cut off after 7 characters" in correction_message(made)["content"]


def test_what_is_no_call_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a tool call"):
        correction_message(5, "no")  # type: ignore[arg-type]


# -- mend_arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text", "cut"),
    [
        ('{"a": 1}', '{"a": 1}', False),
        (' {"a":1} ', ' {"a":1} ', False),
        (None, "{}", False),
        ("", "{}", False),
        ("null", "{}", False),
        ({"a": "ü"}, '{"a": "ü"}', False),
        ("5", '{"input": 5}', False),
        ("ls -la", '{"input": "ls -la"}', False),
        ('"{\\"a\\": 1}"', '{"a": 1}', False),
        ('{"a": NaN}', '{"a": null}', False),
        ("{'a': True,}", '{"a": true}', False),
        ('{"a":1}{"a":2}', '{"a":1}', False),
        ('{"a": "b', '{"a": "b"}', True),
    ],
)
def test_arguments_become_an_object(given: Any, text: str, cut: bool) -> None:
    mended = mend_arguments(given)
    assert (mended.text, mended.cut) == (text, cut)


@given(st.text(max_size=40) | st.text(alphabet="{}[]\",:\\' a1\n", max_size=40))
def test_any_text_of_arguments_becomes_an_object(text: str) -> None:
    assert is_json_object(mend_arguments(text).text)


# -- repair_history ------------------------------------------------------------------------------------------------

VALID: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "tool_calls": [call("f"), call("g", id="call_2")],
    },
    result("call_1", "sunny"),
    result("call_2", [{"type": "text", "text": "wet"}], name="g"),
    {"role": "assistant", "content": "Sunny and wet."},
    {"role": "user", "content": "Thanks."},
    {"role": "user", "content": "And now?"},
    {"role": "assistant", "tool_calls": [{**call("f", '{"a":  1}', "call_3"), "extra_content": {"x": 1}}]},
    result("call_3", ""),
]


def test_a_valid_history_comes_out_equal() -> None:
    assert repair_history(VALID) == VALID
    assert diagnose_history(VALID) == []
    assert json.dumps(repair_history(VALID)) == json.dumps(VALID)


def test_the_input_is_not_modified_and_not_shared() -> None:
    messy = [asks(call("f", {"a": [1]}, None), content=None), user([{"type": "text", "text": "x"}])]
    before = copy.deepcopy(messy)
    out = repair_history(messy)
    out[-1]["content"][0]["text"] = "changed"
    assert messy == before


@pytest.mark.parametrize(
    ("messy", "repaired", "codes"),
    [
        pytest.param(
            [asks(call("f", '{"a": "b'))],
            [asks(call("f", '{"a": "b"}')), result("call_1", "CUT")],
            ["cut-arguments", "missing-result"],
            id="half a call",
        ),
        pytest.param(
            [asks(call("f", {"a": 1})), result("call_1")],
            [asks(call("f", '{"a": 1}')), result("call_1")],
            ["arguments"],
            id="arguments as an object",
        ),
        pytest.param(
            [asks(call("f"), call("g", id="b")), result("b"), user()],
            [asks(call("f"), call("g", id="b")), result("call_1", "NOT RUN"), result("b"), user()],
            ["missing-result"],
            id="a missing result",
        ),
        pytest.param(
            [user(), result("zzz", "42"), asks(content="Hi")],
            [user(), user("Result, of a call that is no longer in this conversation:\n42"), asks(content="Hi")],
            ["call-shape", "orphan-result"],
            id="an orphan result",
        ),
        pytest.param(
            [asks(call("f"), call("g", id="b")), user("stop"), result("b", "B"), result("call_1", "A")],
            [asks(call("f"), call("g", id="b")), result("call_1", "A"), result("b", "B"), user("stop")],
            ["result-order", "result-order"],
            id="results late and out of order",
        ),
        pytest.param(
            [result("call_1", "A"), asks(call("f"))],
            [asks(call("f")), result("call_1", "A")],
            ["result-order"],
            id="a result before its call",
        ),
        pytest.param(
            [{"role": "assistant", "content": None}, {"role": "assistant", "content": "x", "tool_calls": None}],
            [{"role": "assistant", "content": ""}, {"role": "assistant", "content": "x"}],
            ["content", "shape"],
            id="nulls",
        ),
        pytest.param(
            [
                {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "A"},
            ],
            [asks(call("f", id="ID")), {**result("ID", "A"), "name": "f"}],
            ["legacy-call", "role", "id", "result-id"],
            id="legacy function_call",
        ),
        pytest.param(
            [asks(call("f", id="")), {"role": "tool", "content": "A"}, asks(call("f", id=None)), result("x", "B")],
            [asks(call("f", id="ID")), result("ID", "A"), asks(call("f", id="x")), result("x", "B")],
            ["id", "result-id", "id"],
            id="missing ids",
        ),
        pytest.param(
            [asks(call("f", '{"n":1}'), call("f", '{"n":2}')), result("call_1", "A"), result("call_1", "B")],
            [
                asks(call("f", '{"n":1}'), call("f", '{"n":2}', "ID")),
                result("call_1", "A"),
                result("ID", "B"),
            ],
            ["id", "result-id"],
            id="one id for two calls",
        ),
        pytest.param(
            [asks(call("f")), result("call_1", "A"), asks(call("f")), result("call_1", "B")],
            [asks(call("f")), result("call_1", "A"), asks(call("f", id="ID")), result("ID", "B")],
            ["id", "result-id"],
            id="ids that begin anew each turn",
        ),
        pytest.param(
            [asks({**call("f"), "index": 0}), result("call_1", {"t": 3})],
            [asks(call("f")), result("call_1", '{"t": 3}')],
            ["call-shape", "content"],
            id="a stream's index, an object as a result",
        ),
        pytest.param(
            [asks(call("")), result("call_1"), asks(call("f", id="b")), result("b")],
            [{"role": "assistant", "content": ""}, asks(call("f", id="b")), result("b")],
            ["dropped-call", "content"],
            id="a call without a name goes with its result",
        ),
        pytest.param(
            [{"role": "user", "content": "a\ud800b"}],
            [user("a\ufffdb")],
            ["encoding"],
            id="half a surrogate pair",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_mended_and_told(
    messy: list[Any], repaired: list[dict[str, Any]], codes: list[str]
) -> None:
    found: list[Any] = []
    out = repair_history(messy, missing_result="NOT RUN", report=found)
    assert [problem.code for problem in found] == codes
    new = {
        c["id"]
        for m in out
        for c in m.get("tool_calls", ())
        if c["id"].startswith("call_") and len(c["id"]) > 20
    }
    text = json.dumps(out)
    for ident in new:
        text = text.replace(ident, "ID")
    out = json.loads(text)
    for message in out:
        if message["content"] and str(message["content"]).startswith("Error: this call was cut off"):
            message["content"] = "CUT"
    expected = json.loads(json.dumps(repaired))
    for message in expected:
        if message.get("tool_calls") == []:
            del message["tool_calls"]
    assert out == expected


def test_new_ids_are_the_same_in_every_turn() -> None:
    first = [asks(call("f", id=None)), {"role": "tool", "content": "A"}, user()]
    longer = [*first, asks(call("f", id=None)), {"role": "tool", "content": "B"}]
    assert repair_history(longer)[: len(first)] == repair_history(first)


def test_calls_that_leaked_as_text_become_calls() -> None:
    text = 'I look.\n<tool_call>\n{"name": "run_shell", "arguments": {"command": "ls"}}\n</tool_call>'
    messy = [user(), {"role": "assistant", "content": text}, {"role": "tool", "content": "a.txt"}]
    assert repair_history(messy)[1]["content"] == text  # nobody said how to read it
    out = repair_history(messy, model="Qwen/Qwen2.5-7B-Instruct", tools=TOOLS)
    assert out[1]["content"] == "I look."
    [made] = out[1]["tool_calls"]
    assert made["function"] == {"name": "run_shell", "arguments": '{"command": "ls"}'}
    assert out[2] == {"role": "tool", "content": "a.txt", "tool_call_id": made["id"]}


def test_a_call_that_a_server_read_and_left_in_the_text_is_not_doubled() -> None:
    text = '<tool_call>{"name": "run_shell", "arguments": {"command": "ls"}}</tool_call>'
    messy = [asks(call("run_shell", '{"command":"ls"}'), content=text), result("call_1")]
    out = repair_history(messy, parser="hermes", tools=TOOLS)
    assert len(out[0]["tool_calls"]) == 1 and out[0]["content"] is None


def test_reasoning_is_taken_out_of_the_content_and_dropped_if_so_wished() -> None:
    messy = [{"role": "assistant", "content": "<think>hm</think>\n\nYes.", "reasoning": "first "}]
    kept = repair_history(messy, model="Qwen/Qwen3-8B")
    assert kept == [{"role": "assistant", "content": "Yes.", "reasoning": "first hm"}]
    dropped = repair_history(messy, model="Qwen/Qwen3-8B", reasoning="drop")
    assert dropped == [{"role": "assistant", "content": "Yes."}]


def test_reasoning_whose_opener_was_in_the_prompt_is_taken_out_of_the_content() -> None:
    for model in ("Qwen/Qwen3-8B", "deepseek-ai/DeepSeek-R1"):
        [out] = repair_history([{"role": "assistant", "content": "hm</think>Yes."}], model=model)
        assert out == {"role": "assistant", "content": "Yes.", "reasoning_content": "hm"}
        told = [{"role": "assistant", "content": "An answer of a model that always thinks."}]
        assert repair_history(told, model=model) == told


def test_half_calls_are_dropped_with_their_results_if_so_wished() -> None:
    messy = [asks(call("f", '{"a'), call("g", id="b")), result("call_1"), result("b")]
    assert repair_history(messy, half_calls="drop") == [asks(call("g", id="b")), result("b")]


def test_orphans_are_dropped_if_so_wished() -> None:
    assert repair_history([user(), result("x")], orphans="drop") == [user()]


def test_developer_becomes_system_where_the_server_does_not_know_it() -> None:
    messy = [{"role": "developer", "content": "x"}]
    assert repair_history(messy) == messy
    assert repair_history(messy, developer_role=False) == [{"role": "system", "content": "x"}]


def test_null_content_beside_calls_becomes_empty_where_a_template_cannot_take_it() -> None:
    messy = [
        asks(call("f")),
        result("call_1"),
        {"role": "assistant", "tool_calls": [call("f", id="b")]},
        result("b"),
    ]
    assert repair_history(messy) == messy
    out = repair_history(messy, null_content=False)
    assert [message["content"] for message in out] == ["", "ok", "", "ok"]


def test_results_get_the_name_of_their_tool_where_it_is_required() -> None:
    messy = [asks(call("f"), call("g", id="b")), result("call_1")]
    out = repair_history(messy, tool_names=True)
    assert [m.get("name") for m in out] == [None, "f", "g"]


def test_ids_are_nine_letters_and_digits_for_mistral() -> None:
    messy = [asks(call("f"), call("f", id="abcDEF123")), result("abcDEF123", "B"), result("call_1", "A")]
    out = repair_history(messy, model="mistralai/Mistral-Small-3.2-24B-Instruct-2506")
    ids = [c["id"] for c in out[0]["tool_calls"]]
    assert len(ids[0]) == 9 and ids[0].isalnum() and ids[1] == "abcDEF123"
    assert [m["tool_call_id"] for m in out[1:]] == ids
    assert [m["content"] for m in out[1:]] == ["A", "B"]


def test_objects_of_the_sdk_and_parsed_messages_are_messages() -> None:
    chat = pytest.importorskip("openai.types.chat")
    sdk = chat.ChatCompletionMessage.model_validate(asks(call("f", '{"a": 1}')))
    text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    ours = hp.parse(text, parser="hermes", id_factory=lambda: "c7")
    out = repair_history([user(), sdk, result("call_1"), ours, result("c7")])
    assert out[1] == asks(call("f", '{"a": 1}'))
    assert out[3] == asks(call("f", "{}", "c7"))
    inside = {"role": "assistant", "content": None, "tool_calls": sdk.tool_calls}
    assert repair_history([inside, result("call_1")])[0] == asks(call("f", '{"a": 1}'))


@pytest.mark.parametrize(
    ("messages", "error", "match"),
    [
        ([user(), 5], HistoryError, r"messages\[1\]: expected a message"),
        (user(), HistoryError, "expected a list of messages, got dict"),
        ("hello", HistoryError, "expected a list of messages, got str"),
    ],
)
def test_what_is_no_history_is_refused_by_place(messages: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        repair_history(messages)


def test_an_option_without_such_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="orphans must be 'text' or 'drop', not 'keep'"):
        repair_history([], orphans="keep")  # type: ignore[arg-type]
    with pytest.raises(hp.UnknownParserError):
        repair_history([], parser="hermess")


# -- any mess -------------------------------------------------------------------------------------------------------


def violations(messages: list[dict[str, Any]]) -> list[str]:
    """What a strict server would refuse."""
    found = []
    seen: set[str] = set()
    due: list[str] = []
    json.dumps(messages, ensure_ascii=False, allow_nan=False).encode()
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "developer", "user", "assistant", "tool"):
            found.append(f"{at}: role {role!r}")
        if not isinstance(content, str | list) and not (content is None and "tool_calls" in message):
            found.append(f"{at}: content {content!r}")
        if isinstance(content, list) and not all(isinstance(part, dict) for part in content):
            found.append(f"{at}: parts")
        if role == "tool":
            if not due or message.get("tool_call_id") != due.pop(0):
                found.append(f"{at}: result {message.get('tool_call_id')!r} is not due")
            continue
        if due:
            found.append(f"{at}: unanswered {due}")
            due = []
        if "tool_call_id" in message or (role != "assistant" and "tool_calls" in message):
            found.append(f"{at}: a field that does not belong there")
        if "function_call" in message:
            found.append(f"{at}: legacy")
        if "tool_calls" not in message:
            continue
        if not isinstance(message["tool_calls"], list) or not message["tool_calls"]:
            found.append(f"{at}: tool_calls {message['tool_calls']!r}")
            continue
        for one in message["tool_calls"]:
            if one.get("type") != "function" or not isinstance(one.get("id"), str) or not one["id"]:
                found.append(f"{at}: call {one!r}")
            if one["id"] in seen:
                found.append(f"{at}: id {one['id']} twice")
            seen.add(one["id"])
            due.append(one["id"])
            function = one["function"]
            if not isinstance(function["name"], str) or not function["name"]:
                found.append(f"{at}: name {function!r}")
            if not isinstance(function["arguments"], str) or not is_json_object(function["arguments"]):
                found.append(f"{at}: arguments {function!r}")
    if due:
        found.append(f"end: unanswered {due}")
    return found


junk = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
ids = st.sampled_from([None, "", 7, "a", "b", "c", "call_1"])
names = st.sampled_from(["f", "g", "run_shell", "get_weather", "", None])
arguments = st.sampled_from(
    [
        None,
        "",
        "{}",
        '{"a": 1}',
        '{"a": "b',
        "{'a': 1}",
        "5",
        "[1]",
        {"a": 1},
        [1],
        '{"a": NaN}',
        "x y",
        "\ud800",
    ]
) | st.text(max_size=6)
functions = st.fixed_dictionaries({}, optional={"name": names, "arguments": arguments}) | junk
calls = (
    st.fixed_dictionaries(
        {},
        optional={
            "id": ids,
            "type": st.sampled_from(["function", "", None]),
            "index": st.integers(0, 2),
            "function": functions,
            "name": names,
            "arguments": arguments,
        },
    )
    | junk
)
texts = st.sampled_from(
    [
        "Hi.",
        '<tool_call>{"name": "run_shell", "arguments": {"command": "ls"}}</tool_call>',
        'a <tool_call>{"name": "g", "arguments": {"x": "cut',
        '<tool_<tool_call>{"name": "g", "arguments": {}}</tool_call>call>{"name": "g", "arguments": {}}</tool_call>',
        "<think>hm</think>yes",
        "hm</think>yes",
        "<think>open",
    ]
)
contents = texts | junk | st.lists(junk | st.just({"type": "text", "text": "x"}), max_size=2)
messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(
            ["system", "developer", "user", "assistant", "tool", "function", "AI", "bogus", None, 3]
        ),
        "content": contents,
        "tool_calls": st.lists(calls, max_size=3) | junk,
        "function_call": functions,
        "tool_call_id": ids,
        "name": names,
        "reasoning_content": st.sampled_from([None, "hm"]),
    },
)
turns = st.lists(
    messages
    | st.builds(asks, calls, calls)
    | st.builds(result, ids, contents)
    | st.builds(lambda text: {"role": "assistant", "content": text}, texts),
    max_size=8,
)
options = st.fixed_dictionaries(
    {},
    optional={
        "parser": st.sampled_from(["hermes", "qwen3_coder", "mistral", "auto", "openai"]),
        "tools": st.just(TOOLS),
        "half_calls": st.sampled_from(["mend", "drop"]),
        "orphans": st.sampled_from(["text", "drop"]),
        "reasoning": st.sampled_from(["keep", "drop"]),
        "developer_role": st.booleans(),
        "tool_names": st.booleans(),
        "null_content": st.booleans(),
    },
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns, options)
def test_any_mess_becomes_valid_once_and_for_all(mess: list[Any], chosen: dict[str, Any]) -> None:
    before = copy.deepcopy(mess)
    out = repair_history(mess, **chosen)
    assert mess == before
    assert violations(out) == []
    assert repair_history(out, **chosen) == out
    assert diagnose_history(out, **chosen) == []


@settings(max_examples=150, deadline=None)
@given(turns, options)
def test_a_history_that_changes_is_told_and_one_that_is_told_changes(
    mess: list[Any], chosen: dict[str, Any]
) -> None:
    plain = json.loads(json.dumps(mess)) if _is_json(mess) else None
    found = diagnose_history(mess, **chosen)
    assert (repair_history(mess, **chosen) == plain) == (not found)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (TypeError, ValueError):
        return False
    return True
