"""Virtual time itself."""

from __future__ import annotations

import asyncio

from headgate.sim.virtual_time import run


def test_timers_are_met_after_years():
    """However large the clock's figure has grown, a timer is reached: the loop never turns without time passing."""

    async def scene() -> float:
        await asyncio.sleep(3 * 365 * 86_400 + 1 / 3)
        start_s = asyncio.get_running_loop().time()
        for _ in range(100):
            await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time() - start_s

    assert round(run(scene()), 3) == 10
