"""The client programs, one module a client; each imports its client when it runs."""

from __future__ import annotations

from tests.clients.program import Program
from tests.clients.programs import (
    agents_sdk,
    instructor_sdk,
    langchain_sdk,
    litellm_sdk,
    node_js,
    openai_sdk,
    pydantic_ai_sdk,
    smolagents_sdk,
)

PROGRAMS: tuple[Program, ...] = (
    *openai_sdk.programs(openai_sdk.installed()),
    *pydantic_ai_sdk.PROGRAMS,
    *langchain_sdk.PROGRAMS,
    *litellm_sdk.PROGRAMS,
    *agents_sdk.PROGRAMS,
    *smolagents_sdk.PROGRAMS,
    *instructor_sdk.PROGRAMS,
    *node_js.PROGRAMS,
)
