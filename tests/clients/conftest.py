"""Warnings of the clients are theirs: they are no errors here, as warnings are elsewhere in the suite."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
THEIRS = (
    "ignore::DeprecationWarning",
    "ignore::PendingDeprecationWarning",
    "ignore::FutureWarning",
    "ignore::UserWarning",
    "ignore::RuntimeWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",  # sockets that a client leaves to the garbage collector
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            for line in THEIRS:
                item.add_marker(pytest.mark.filterwarnings(line))
