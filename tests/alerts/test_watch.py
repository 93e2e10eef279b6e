"""The whole of it, in virtual time: traffic through the engine against the simulator, sampled, judged, told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

from headgate.alerts.history import FINE_MS
from headgate.alerts.machine import Acknowledgement, Phase, Silence
from headgate.alerts.rules import RULES
from headgate.alerts.watch import LEASE_MS, Watch
from headgate.config.schema import AlertRuleConfig, AlertsConfig, Config
from headgate.errors import Refused
from headgate.stores.sqlite import alert_rows
from headgate.stores.sqlite.telemetry import Telemetry, TelemetryLost
from headgate.telemetry.metrics import catalogue
from support.receiver import Receiver
from support.world import World, play

EVERY_S = 5.0


class Town:
    """Callers who ask every three seconds, and a watch over the gateway."""

    def __init__(self, world: World, pager: Receiver, telemetry: Telemetry, config: Config) -> None:
        self.world = world
        self.pager = pager
        self.telemetry = telemetry
        self.config = config
        self.watch = self.make()
        self._asking: set[asyncio.Future[None]] = set()

    def make(self, holder: str = "one", port: int = 8787) -> Watch:
        config = replace(self.config, gateway=replace(self.config.gateway, port=port))
        engine = self.world.engine
        return Watch(config, engine.metrics, engine.clock, self.telemetry, senders=[self.pager], holder=holder)

    async def minutes(self, minutes: float, sim: str = "", *, every_s: float = EVERY_S) -> None:
        """Somebody asks so often, whether those before have been answered or not."""
        until_s = self.world.now_s + minutes * 60
        while self.world.now_s < until_s:
            self._asking.add(asyncio.ensure_future(self._ask(sim)))
            await asyncio.sleep(every_s)

    async def _ask(self, sim: str) -> None:
        with contextlib.suppress(Refused):
            await self.world.ask(sim, max_tokens=1024)

    async def everybody_is_answered(self) -> None:
        await asyncio.gather(*self._asking)

    async def dies(self) -> None:
        """The process is gone, and could not say so."""
        await self.watch._rounds.stop()
        await self.watch.outbox.close()

    def told(self, rule: str) -> list[tuple[int, str]]:
        """Minute and kind."""
        return [(round(at_s / 60), told.kind) for at_s, told in self.pager.got if told.rule == rule]

    def phase(self, rule: str) -> Phase:
        return next(state.phase for state in self.watch.states() if state.watched.id == rule)


def only(*rules: str) -> AlertsConfig:
    """All others are off."""
    return AlertsConfig(rules={rule.id: AlertRuleConfig(off=True) for rule in RULES if rule.id not in rules})


STORM = only("error_rate", "error_rate_high", "breaker_open")


def watched(scene: Callable[[Town], Awaitable[None]], alerts: AlertsConfig = STORM) -> Town:
    config = Config(alerts=alerts)
    towns = []

    async def main(world: World) -> None:
        town = Town(world, Receiver(), Telemetry(None), config)
        towns.append(town)
        await town.watch.start()
        await scene(town)
        await town.watch.stop()
        await town.everybody_is_answered()

    play(main, config=config)
    return towns[0]


def test_a_storm_of_529_is_told_and_resolved():
    """It begins, somebody is told; it ends, and they are told that too.  Each once."""

    async def scene(town: Town) -> None:
        await town.minutes(15)
        await town.minutes(15, "error=529")
        await town.minutes(40)

    town = watched(scene)

    kinds = {rule: [kind for _, kind in town.told(rule)] for rule in ("error_rate", "error_rate_high", "breaker_open")}
    assert kinds == {key: ["firing", "resolved"] for key in kinds}
    assert 15 <= town.told("breaker_open")[0][0] <= 20
    assert 30 <= town.told("error_rate")[1][0] <= 45


def test_what_receivers_are_told_is_told_whoever_else_wants_to_know():
    """The log: also where nobody is configured to be told."""
    heard: list[tuple[str, str]] = []

    async def scene(town: Town) -> None:
        town.watch._on_told = lambda told: heard.append((told.rule, told.kind))
        await town.minutes(5)
        await town.minutes(15, "error=529")
        await town.minutes(25)

    watched(scene)

    assert ("error_rate_high", "firing") in heard
    assert ("error_rate_high", "resolved") in heard
    assert "watchdog" not in dict(heard)


def test_a_quiet_day_tells_nobody_anything():
    """Two hours of calls that are answered."""

    async def scene(town: Town) -> None:
        await town.minutes(120, every_s=30)

    assert watched(scene, AlertsConfig()).pager.got == []


def test_what_is_told_says_the_number_and_the_next_step():
    """And what it is that fails."""

    async def scene(town: Town) -> None:
        await town.minutes(15)
        await town.minutes(15, "error=529")

    told = next(each for each in watched(scene).pager.notifications if each.rule == "error_rate")

    assert told.text.endswith(" of calls failed in the last ten minutes; 1 % is tolerated.")
    assert told.details[0].endswith("in test: upstream_error")
    assert told.next == "headgate report"
    assert told.runbook == "runbooks/error_rate.md"


def test_retries_that_hide_errors_name_what_they_hide():
    """Callers see nothing of it; the alert says which error it would have been, and of which model."""

    async def scene(town: Town) -> None:
        await town.minutes(10)
        await town.minutes(20, "flaky=1:529")

    (told,) = watched(scene, only("retried_success")).pager.notifications

    assert told.details[0].startswith("retries hide overloaded on claude-sonnet-5-5: ")


def test_calls_with_twice_the_tokens_are_told_by_their_ids():
    """AL-06: one notification for a workflow, with how many there were and the three largest of them."""
    asked = []

    async def scene(town: Town) -> None:
        await town.minutes(20)
        for words in (400, 300, 500, 200):
            answer = await town.world.ask(max_tokens=16, text="word " * words * 100)
            asked.append(answer.call.record.call_id)
        await town.minutes(2)
        shown.extend(town.watch.examples(next(iter(town.watch.board))))

    shown: list[str] = []
    (told,) = watched(scene, only("token_outlier")).pager.notifications

    assert told.text.startswith("4 calls of test in the last hour")
    assert [line.split()[0] for line in told.details] == [asked[2], asked[0], asked[1]]
    assert [line.split()[0] for line in shown] == [asked[2], asked[0], asked[1]]


def test_the_first_call_of_all_is_enough_to_tell_of_a_revoked_key():
    """The key rests after one 401, so there may be no second to make a difference."""

    async def scene(town: Town) -> None:
        await town.minutes(1, "error=401", every_s=60)
        await town.minutes(5, every_s=60)

    assert [kind for _, kind in watched(scene, only("credential")).told("credential")] == ["firing"]


def test_a_restart_tells_nothing_twice():
    """It fires before, and after; the receiver hears of it once, and of its end once."""

    async def scene(town: Town) -> None:
        await town.minutes(15)
        await town.minutes(12, "error=529")
        await town.dies()
        town.watch = town.make("two")
        await town.watch.start()
        await town.minutes(5, "error=529")
        await town.minutes(40)

    town = watched(scene)

    assert [kind for _, kind in town.told("error_rate")] == ["firing", "resolved"]


def test_of_two_processes_one_tells():
    """The lease decides; the other one shows the same."""

    async def scene(town: Town) -> None:
        other = town.make("two", port=8788)
        await other.start()
        await town.minutes(15)
        await town.minutes(10, "error=529")
        assert {alert.rule for alert in other.board} == {alert.rule for alert in town.watch.board}
        await town.minutes(30)
        await other.stop()

    town = watched(scene)

    assert [kind for _, kind in town.told("error_rate")] == ["firing", "resolved"]


def test_another_process_takes_over_when_the_first_is_gone():
    """Within a minute, and without telling anything again."""

    async def scene(town: Town) -> None:
        other = town.make("two", port=8788)
        await other.start()
        await town.minutes(15)
        await town.minutes(12, "error=529")
        await town.dies()
        await asyncio.sleep((LEASE_MS + FINE_MS) / 1000)
        town.watch = other
        await town.minutes(2, "error=529")
        assert other.last_evaluation.here
        await town.minutes(40)

    town = watched(scene)

    assert [kind for _, kind in town.told("error_rate")] == ["firing", "resolved"]


def test_whoever_does_not_evaluate_the_rules_knows_who_does():
    """And when they were last evaluated."""
    told = []

    async def scene(town: Town) -> None:
        other = town.make("two", port=8788)
        await other.start()
        await town.minutes(2)
        now_ms = town.world.engine.clock.unix_ms()
        lasts = [watch.last_evaluation for watch in (town.watch, other)]
        told.extend([(last.here, last.by, last.is_stale(now_ms)) for last in lasts])
        await other.stop()

    watched(scene)

    assert told == [(True, "127.0.0.1:8787", False), (False, "127.0.0.1:8787", False)]


def test_rules_that_nobody_evaluates_are_told_as_such_until_another_process_does():
    """The one that evaluated them was killed: its lease runs out after 50 seconds, and the others do not look well
    meanwhile."""
    told = []

    async def scene(town: Town) -> None:
        other = town.make("two", port=8788)
        await other.start()
        await town.minutes(2)
        await town.dies()
        for _ in range(3):
            await asyncio.sleep(25)
            told.append((other.last_evaluation.here, other.last_evaluation.is_stale(town.world.engine.clock.unix_ms())))
        await other.stop()

    watched(scene)

    assert told == [(False, False), (False, True), (True, False)]


def test_a_silence_holds_until_it_is_over():
    """Planned work wakes nobody; what still burns afterwards does."""

    async def scene(town: Town) -> None:
        await town.minutes(15)
        until_ms = town.world.engine.clock.unix_ms() + 20 * 60_000
        await town.watch.silence(Silence("s1", None, (), until_ms, "ann", "new keys"))
        await town.minutes(30, "error=529")

    town = watched(scene)

    assert [kind for _, kind in town.told("error_rate")] == ["firing"]
    assert town.told("error_rate")[0][0] >= 35


def test_a_silence_that_another_command_made_is_seen():
    """`headgate alerts silence` writes it into the file."""

    async def scene(town: Town) -> None:
        await town.minutes(15)
        now_ms = town.world.engine.clock.unix_ms()
        silence = Silence("s1", "error_rate", (), now_ms + 3_600_000, "ann")
        town.telemetry.post("test", lambda db: alert_rows.add_silence(db, silence, now_ms))
        await town.minutes(20, "error=529")

    town = watched(scene)

    assert town.told("error_rate") == []
    assert [kind for _, kind in town.told("error_rate_high")] == ["firing"]


def test_an_acknowledged_alert_is_not_repeated():
    """Somebody is at it, and whoever was woken for it learns that."""

    async def scene(town: Town) -> None:
        await town.minutes(5)
        await town.minutes(10, "error=401")
        (alert,) = town.watch.board.of("credential")
        until_ms = town.world.engine.clock.unix_ms() + 86_400_000
        await town.watch.acknowledge(Acknowledgement(alert.key, until_ms, "ann"))
        await town.minutes(5 * 60, "error=401", every_s=60)

    told = [each for each in watched(scene, only("credential")).pager.notifications if each.rule == "credential"]

    assert [each.kind for each in told] == ["firing", "acknowledged"]
    assert told[0].key == told[1].key
    assert told[1].details == ("ann takes care of it",)


def test_what_fired_is_in_the_log():
    """For the daily report: when it began and when it ended."""
    logged = []

    async def scene(town: Town) -> None:
        await town.minutes(15)
        await town.minutes(15, "error=529")
        await town.minutes(40)
        now_ms = town.world.engine.clock.unix_ms()
        logged.extend(await town.telemetry.ask("test", lambda db: alert_rows.alert_log(db, 0, now_ms)))

    watched(scene)
    errors = next(each for each in logged if each.rule == "error_rate")

    assert errors.severity == "ticket"
    assert 10 < (errors.resolved_ms - errors.fired_ms) / 60_000 < 30


def test_rules_say_how_they_stand():
    """For the dashboard, and for monitors: `headgate_alert_state`."""
    gauges = {}

    async def scene(town: Town) -> None:
        await town.minutes(15)
        assert town.phase("error_rate") is Phase.OK
        assert town.phase("fallbacks") is Phase.OK
        assert town.phase("daily_spend") is Phase.NO_DATA
        await town.minutes(8, "error=529")
        assert town.phase("breaker_open") is Phase.FIRING
        rows = town.world.engine.metrics.snapshot({catalogue.ALERT_STATE.name})
        gauges.update({dict(labels)["alert"]: value for _, labels, value in rows})

    watched(scene, only("error_rate", "breaker_open", "fallbacks", "daily_spend", "headroom"))

    assert (gauges["breaker_open"], gauges["headroom"], gauges["daily_spend"]) == (2, 0, 3)


def test_a_rule_that_is_off_is_not_asked():
    """Nor shown."""

    async def scene(town: Town) -> None:
        assert "error_rate" not in {state.watched.id for state in town.watch.states()}

    watched(scene, AlertsConfig(rules={"error_rate": AlertRuleConfig(off=True)}))


def test_switching_a_rule_off_closes_what_it_opened():
    """Somebody has a page open for it."""

    async def scene(town: Town) -> None:
        await town.minutes(15)
        await town.minutes(12, "error=529")
        await town.dies()
        town.config = Config(alerts=AlertsConfig(rules={"error_rate": AlertRuleConfig(off=True)}))
        town.watch = town.make("two")
        await town.watch.start()
        await town.minutes(5, "error=529")

    assert [kind for _, kind in watched(scene).told("error_rate")] == ["firing", "resolved"]


def test_a_clock_that_is_put_back_stops_nothing():
    """J17: samples go on, one every fifteen seconds, and what goes wrong is told."""

    async def scene(town: Town) -> None:
        await town.minutes(15)
        back_ms = 3_600_000
        real = town.world.engine.clock.unix_ms
        town.watch._clock.unix_ms = lambda: real() - back_ms
        await town.minutes(12, "error=529")

    assert [kind for _, kind in watched(scene).told("error_rate")] == ["firing"]


def test_a_rule_that_breaks_silences_no_other(caplog):
    """It is said in the log, and the others go on."""

    async def scene(town: Town) -> None:
        broken = next(each for each in town.watch.rules if each.id == "error_rate_high")
        broken.expr = None
        await town.minutes(15)
        await town.minutes(15, "error=529")

    town = watched(scene)

    assert [kind for _, kind in town.told("error_rate")] == ["firing"]
    assert "rule error_rate_high cannot be evaluated" in caplog.text


class NoFile(Telemetry):
    """A disk that is full."""

    def post(self, signal, work):
        self.dropped[signal] += 1

    async def ask(self, signal, work):
        self.dropped[signal] += 1
        raise TelemetryLost("disk full")


def test_without_the_file_alerts_are_told_all_the_same():
    """A full disk is when they are needed; what is lost is counted."""
    config, pager, counted = Config(alerts=STORM), Receiver(), {}

    async def scene(world: World) -> None:
        town = Town(world, pager, NoFile(None), config)
        await town.watch.start()
        await town.minutes(15)
        await town.minutes(15, "error=529")
        await town.minutes(40)
        rows = world.engine.metrics.snapshot({catalogue.TELEMETRY_DROPPED.name})
        counted.update({dict(labels)["signal"]: value for _, labels, value in rows})
        await town.watch.stop()
        await town.everybody_is_answered()

    play(scene, config=config)

    kinds = [told.kind for told in pager.notifications if told.rule == "error_rate"]
    assert kinds == ["firing", "resolved"]
    assert counted["history"] > 0
