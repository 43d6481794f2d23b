"""litellm: `completion(..., client=OpenAI(...))`, streams put together with its `stream_chunk_builder`."""

from __future__ import annotations

import os
from typing import Any

from tests.clients.program import MAX_TURNS, Outcome, Place, Program, Task


def run(task: Task, place: Place, outcome: Outcome, *, stream: bool) -> None:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it fetches a list when imported
    import litellm
    from openai import OpenAI

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    with OpenAI(**place.sdk()) as client:
        messages: list[Any] = [{"role": "user", "content": task.question}]
        for _ in range(MAX_TURNS):
            response: Any = litellm.completion(
                model=f"openai/{place.model}",
                messages=messages,
                tools=list(task.tools),
                stream=stream,
                client=client,
                api_base=place.base_url,
                api_key="none",
                num_retries=0,
            )
            if stream:
                chunks = list(response)
                response = litellm.stream_chunk_builder(chunks, messages=messages)
            if response is None:
                raise RuntimeError("no answer")
            choice = response.choices[0]
            outcome.finish.append(choice.finish_reason or "")
            message = choice.message
            if not message.tool_calls:
                outcome.answer = message.content or ""
                return
            outcome.said.append(message.content or "")
            messages.append(message.model_dump())
            for call in message.tool_calls:
                result = outcome.run(call.function.name, call.function.arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    raise RuntimeError("the loop does not end")


def streamed(task: Task, place: Place, outcome: Outcome) -> None:
    run(task, place, outcome, stream=True)


def whole(task: Task, place: Place, outcome: Outcome) -> None:
    run(task, place, outcome, stream=False)


PROGRAMS = (
    Program("litellm", "litellm", True, streamed, "httpx2"),
    Program("litellm", "litellm", False, whole, "httpx2"),
)
