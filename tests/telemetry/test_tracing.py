"""Which calls get which place in which trace."""

from __future__ import annotations

from random import Random

import pytest

from headgate.clock import SystemClock
from headgate.config.schema import TelemetryConfig
from headgate.core.trace_context import TraceContext
from headgate.telemetry.metrics.registry import Registry
from headgate.telemetry.otel.settings import read_settings
from headgate.telemetry.otel.tracing import OpenTelemetry
from headgate.upstream.dial import TcpDial
from support.world import World, play

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def tracing(**environ: str) -> OpenTelemetry:
    """One that sends nothing."""
    return OpenTelemetry(
        read_settings(TelemetryConfig(), environ), Registry({}), SystemClock(), Random(1), lambda _: TcpDial(),
        server=("api", 443), models=(), asked=lambda *_: "",
    )  # fmt: skip


def kept(sampler: str, share: str = "1", *, parent: bool | None = None, calls: int = 400) -> float:
    """The share of calls whose spans are kept; `parent`: whether their caller keeps its own, None if it traces none."""

    async def scene(world: World) -> float:
        otel = tracing(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=share)
        found = 0
        for number in range(calls):
            call = world.make()
            if parent is not None:
                call.trace = TraceContext(f"{number + 1:016x}{Random(number).getrandbits(64):016x}", PARENT, parent)
            otel.begin(call)
            assert call.trace is not None
            assert call.trace.span_id
            found += call.trace.sampled
        return found / calls

    return play(scene)


@pytest.mark.parametrize(
    ("sampler", "parent", "share"),
    [
        ("always_on", None, 1.0),
        ("always_off", None, 0.0),
        ("always_on", False, 1.0),
        ("always_off", True, 0.0),
        ("parentbased_always_on", False, 0.0),
        ("parentbased_always_off", True, 1.0),
        ("parentbased_always_off", None, 0.0),
    ],
)
def test_a_callers_decision_is_followed_where_the_sampler_says_so(sampler, parent, share):
    assert kept(sampler, parent=parent) == share


@pytest.mark.parametrize("parent", [None, True, False])
def test_a_share_of_the_traces_is_kept_by_their_ids(parent):
    """So that every service that takes part keeps the same ones."""
    assert kept("traceidratio", "0.25", parent=parent) == pytest.approx(0.25, abs=0.06)


def test_two_calls_of_one_trace_have_spans_of_their_own():
    async def scene(world: World) -> set[int]:
        otel = tracing()
        found = set()
        for _ in range(100):
            call = world.make()
            call.trace = TraceContext(TRACE, PARENT, True)
            otel.begin(call)
            found.add(call.trace.span_id)
        return found

    assert len(play(scene)) == 100
