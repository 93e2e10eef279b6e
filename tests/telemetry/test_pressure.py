"""How near a gateway is to what it can take itself."""

from __future__ import annotations

import pytest

from headgate.telemetry.metrics.pressure import level
from support.edge import Edge, play
from support.exposed import series


@pytest.mark.parametrize(
    ("shares", "lag_s", "expected"),
    [
        ((), 0.0, 0),
        ((0.1, 0.49), 0.0, 0),
        ((0.1, 0.5), 0.0, 1),
        ((0.8, 0.5), 0.0, 2),
        ((0.2, 1.0), 0.0, 3),
        ((0.0,), 0.25, 1),
        ((0.0,), 9.0, 2),
    ],
)
def test_the_fullest_limit_decides(shares, lag_s, expected):
    """Calls are refused at a limit, and a loop that lags refuses nobody."""
    assert level(shares, lag_s) == expected


def test_a_gateway_tells_its_own():
    """By the limits in its settings."""

    async def scene(edge: Edge) -> list[dict[str, float]]:
        told = [pressure(edge)]
        for number in (1, 2):
            await edge.connect()
            await edge.until(lambda number=number: len(edge.gateway._server.connections) == number)
            told.append(pressure(edge))
        return told

    assert play(scene, max_connections=2) == [{}, {"": 1}, {"": 3}]


def pressure(edge: Edge) -> dict[str, float]:
    return series(edge.engine.metrics, "headgate_pressure_level")
