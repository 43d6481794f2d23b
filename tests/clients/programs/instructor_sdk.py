"""instructor: the calls as pydantic models. Whole: all of them (`Mode.PARALLEL_TOOLS`); streamed: one, as a partial
model (`create_partial`). The results and the answer go through the client that it wraps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Union

from tests.clients.program import Outcome, Place, Program, Task

JSON_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict}


def models(task: Task) -> list[Any]:
    """A pydantic model for each tool."""
    from pydantic import Field, create_model

    made = []
    for function in task.functions:
        schema = function["parameters"]
        fields: dict[str, Any] = {}
        for key, value in schema.get("properties", {}).items():
            kind: Any = JSON_TYPES.get(str(value.get("type")), Any)
            fields[key] = (
                (kind, ...) if key in schema.get("required", []) else (kind | None, Field(default=None))
            )
        made.append(create_model(function["name"], __doc__=function.get("description"), **fields))
    return made


def streamed(task: Task, place: Place, outcome: Outcome) -> None:
    import instructor
    from openai import OpenAI

    with OpenAI(**place.sdk()) as sdk:
        client = instructor.from_openai(sdk, mode=instructor.Mode.TOOLS)
        (wanted, *_) = models(task)
        last: Any = None
        for partial in client.chat.completions.create_partial(
            model=place.model,
            messages=[{"role": "user", "content": task.question}],
            response_model=wanted,
            max_retries=0,
        ):
            last = partial
        if last is None:
            raise RuntimeError("no call")
        answer(task, place, outcome, sdk, [last])


def whole(task: Task, place: Place, outcome: Outcome) -> None:
    import instructor
    from openai import OpenAI

    with OpenAI(**place.sdk()) as sdk:
        client = instructor.from_openai(sdk, mode=instructor.Mode.PARALLEL_TOOLS)
        kinds: Any = Iterable[Union[tuple(models(task))]]  # type: ignore[misc]
        calls = client.chat.completions.create(
            model=place.model,
            messages=[{"role": "user", "content": task.question}],
            response_model=kinds,
            max_retries=0,
        )
        answer(task, place, outcome, sdk, list(calls))


def answer(task: Task, place: Place, outcome: Outcome, sdk: Any, calls: list[Any]) -> None:
    """Run the calls and ask for the answer."""
    made, results = [], []
    for number, call in enumerate(calls):
        name = type(call).__name__.removeprefix("Partial")
        result = outcome.run(name, call.model_dump(exclude_unset=True))
        function = {"name": name, "arguments": call.model_dump_json(exclude_unset=True)}
        made.append({"id": f"call_{number}", "type": "function", "function": function})
        results.append({"role": "tool", "tool_call_id": f"call_{number}", "content": result})
    messages: list[Any] = [
        {"role": "user", "content": task.question},
        {"role": "assistant", "content": None, "tool_calls": made},
        *results,
    ]
    completion = sdk.chat.completions.create(model=place.model, messages=messages, tools=list(task.tools))
    outcome.answer = completion.choices[0].message.content or ""


PROGRAMS = (
    Program("instructor", "instructor", True, streamed, "httpx", parallel=False, closes_cut_calls=True),
    Program("instructor", "instructor", False, whole, "httpx"),
)
