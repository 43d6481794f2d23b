"""openai-agents: its own agent loop over `OpenAIChatCompletionsModel`; tracing, which calls home, is off."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.clients.program import MAX_TURNS, Outcome, Place, Program, Task


def run(task: Task, place: Place, outcome: Outcome, *, stream: bool) -> None:
    from agents import (
        Agent,
        FunctionTool,
        OpenAIChatCompletionsModel,
        RunConfig,
        Runner,
        set_tracing_disabled,
    )
    from openai import AsyncOpenAI

    set_tracing_disabled(True)

    def tool(function: Any) -> FunctionTool:
        async def call(_context: Any, arguments: str) -> str:
            return outcome.run(function["name"], arguments)

        return FunctionTool(
            function["name"],
            function.get("description", ""),
            dict(function["parameters"]),
            call,
            strict_json_schema=False,
        )

    async def main() -> None:
        async with AsyncOpenAI(**place.async_sdk()) as client:
            model = OpenAIChatCompletionsModel(model=place.model, openai_client=client)
            agent = Agent(name="helper", model=model, tools=[tool(function) for function in task.functions])
            config = RunConfig(tracing_disabled=True)
            if stream:
                running = Runner.run_streamed(agent, task.question, max_turns=MAX_TURNS, run_config=config)
                async for _event in running.stream_events():
                    pass
                outcome.answer = str(running.final_output)
            else:
                result = await Runner.run(agent, task.question, max_turns=MAX_TURNS, run_config=config)
                outcome.answer = str(result.final_output)

    asyncio.run(main())


def streamed(task: Task, place: Place, outcome: Outcome) -> None:
    run(task, place, outcome, stream=True)


def whole(task: Task, place: Place, outcome: Outcome) -> None:
    run(task, place, outcome, stream=False)


PROGRAMS = (
    Program("openai-agents", "agents", True, streamed, "httpx2"),
    Program("openai-agents", "agents", False, whole, "httpx2"),
)
