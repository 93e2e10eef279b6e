"""For your own tests: a Claude that is not there.

def test_my_feature():
    with headgate.testing.simulated_claude() as claude:
        client = anthropic.Anthropic(base_url=claude.base_url, api_key="test")
        assert client.messages.create(...).stop_reason == "end_turn"
        assert claude.books()["requests"] == 1
"""

from headgate.sim import SimSettings
from headgate.sim.scenario import ScenarioError
from headgate.testing.claude import Claude, simulated_claude
from headgate.testing.line import Faults, Line, shim
from headgate.testing.prefix import assert_stable_prefix
from headgate.testing.real_time import RealTimeUsed
from headgate.testing.virtual import VirtualWorld, virtual

__all__ = [
    "Claude",
    "Faults",
    "Line",
    "RealTimeUsed",
    "ScenarioError",
    "SimSettings",
    "VirtualWorld",
    "assert_stable_prefix",
    "shim",
    "simulated_claude",
    "virtual",
]
