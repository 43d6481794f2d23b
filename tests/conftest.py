"""Shared by all tests: hypothesis profiles, and the tools that the fixtures call.

`HYPOTHESIS_PROFILE=deep` looks longer and elsewhere each time; the default is derandomized, so that a red run
is red again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
settings.register_profile(
    "deep", parent=settings.get_profile("default"), derandomize=False, max_examples=5000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def tools() -> list[dict[str, Any]]:
    """The tool definitions that the fixtures call."""
    loaded: list[dict[str, Any]] = json.loads((FIXTURES / "tools.json").read_text(encoding="utf-8"))
    return loaded
