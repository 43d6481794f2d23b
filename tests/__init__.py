"""The tests. A package, so that `python -m tests.fuzz` and `python -m tests.planted` work from a checkout."""
