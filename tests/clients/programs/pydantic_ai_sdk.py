"""pydantic-ai: its own agent loop; streamed with an event handler, which streams every turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any

from tests.clients.program import Outcome, Place, Program, Task


def run(task: Task, place: Place, outcome: Outcome, *, stream: bool) -> None:
    from openai import AsyncOpenAI
    from pydantic_ai import Agent, Tool
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def tool(function: Any) -> Tool[None]:
        def call(**arguments: Any) -> str:
            return outcome.run(function["name"], arguments)

        return Tool.from_schema(
            call, function["name"], function.get("description"), dict(function["parameters"])
        )

    async def watch(_context: Any, events: AsyncIterable[Any]) -> None:
        async for _event in events:
            pass

    async def main() -> None:
        # The client is made here for its time-out and retries alone; it is `OpenAIProvider(http_client=...)` else.
        async with AsyncOpenAI(**place.async_sdk()) as client:
            model = OpenAIChatModel(place.model, provider=OpenAIProvider(openai_client=client))
            agent = Agent(model, tools=[tool(function) for function in task.functions], retries=0)
            result = await agent.run(task.question, event_stream_handler=watch if stream else None)
            outcome.answer = result.output

    asyncio.run(main())


def streamed(task: Task, place: Place, outcome: Outcome) -> None:
    run(task, place, outcome, stream=True)


def whole(task: Task, place: Place, outcome: Outcome) -> None:
    run(task, place, outcome, stream=False)


PROGRAMS = (
    Program("pydantic-ai", "pydantic_ai", True, streamed, "httpx2"),
    Program("pydantic-ai", "pydantic_ai", False, whole, "httpx2"),
)
