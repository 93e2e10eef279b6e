"""Scenarios: what goes wrong when, and for whom, as a file; ten of them ship.

settings, scenario = load_scenario("storm")
sim = await serve(settings, scenario=scenario)
"""

from headgate.sim.scenario.director import Director
from headgate.sim.scenario.load import ScenarioError, load_scenario, shipped
from headgate.sim.scenario.plan import Scenario

__all__ = ["Director", "Scenario", "ScenarioError", "load_scenario", "shipped"]
