"""Property tests that find the same examples in every run, so that a failure is a failure everywhere."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

__all__ = ["bounded"]


def bounded(examples):
    """Settings of a property test: so many examples, the same every time."""
    shared = [HealthCheck.function_scoped_fixture]  # `make_sim` makes a new one each time
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=shared)
