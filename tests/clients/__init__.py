"""Real client programs against real HTTP: which of them get right calls, before the cure and after it."""
