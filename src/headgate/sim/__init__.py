"""A simulated Claude API: limits, prompt cache, streams, batches, misbehaviour on demand, and books of its own.

    sim = await serve(SimSettings(), port=0)
    client = anthropic.AsyncAnthropic(base_url=sim.base_url, api_key="any")

Its authority is `claude-api.md`; modules cite its sections.  What that leaves open is a setting in `settings.py`.
It is written apart from Headgate's own meter, so that its books (`GET /sim/books`) check the ledger.

Not simulated yet: the advisor, skills, and user profiles as objects.  A request that asks for them is answered without
them; a path that is not simulated gets a 404.
"""

from headgate.sim.api import SimulatedClaude
from headgate.sim.facts import PoolLimits
from headgate.sim.service import RunningSim, serve
from headgate.sim.settings import SimSettings

__all__ = ["PoolLimits", "RunningSim", "SimSettings", "SimulatedClaude", "serve"]
