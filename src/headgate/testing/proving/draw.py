"""What a seed stands for: an account, what goes wrong with it, a configuration, and who calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from headgate.config.schema import (
    Config,
    LaneConfig,
    LimitsConfig,
    PoolCeiling,
    RetryConfig,
    UpstreamConfig,
    WorkflowConfig,
)
from headgate.sim.scenario.plan import Cue, Phase, Scenario
from headgate.sim.settings import Access, Answers, Conditions, Latency, Limits, SimSettings

__all__ = ["Mode", "Planned", "Setting", "draw"]

Mode = Literal["safety", "liveness"]

LEAST_ITPM = 4_000
MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5")
PREFIX = "The gate at the head of a canal decides how much of the river enters, and who gets it first. "
FAULTS = (
    "error=529", "error=500", "error=503", "error=504", "error=429; retry-after=2", "error=429; retry-after=20",
    "error=429", "error=400", "error=413", "error=404", "error=418", "error=500; should-retry=false", "flaky=1:529",
    "flaky=2:500", "flaky=1:429; retry-after=1", "error=529; retry-after=9", "error=429; retry-after=nan",
    "error=429; retry-after=-3", "error-200", "html", "redirect", "reset", "hang", "slow=40000", "cut=0", "cut=1",
    "cut=9", "cut", "midstream-error=0", "midstream-error=2", "silence=90000", "pings=4000", "no-stop", "refusal",
    "max-tokens", "garbage", "headers=lie", "headers=missing", "headers=garbled", "no-usage", "bad-usage=negative",
    "bad-usage=huge", "lost", "slice=40", "throttle=200", "linger=10", "tokens=900",
)  # fmt: skip
"""What a single request may meet."""
CONFUSING = ("headers=lie", "headers=missing", "headers=garbled")
STORMS: tuple[tuple[str, ...], ...] = (
    ("error=529",), ("error=529; retry-after=5",), ("error=429; retry-after=3",), ("error=429",), ("error=500",),
    ("reset",), ("hang",), ("cut=2",), ("midstream-error=0",), ("slow=9000",), *((each,) for each in CONFUSING),
)  # fmt: skip
"""What all requests of some minutes may meet."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A call that will be made."""

    number: int
    at_s: float
    lane: str
    workflow: str
    user: str
    model: str
    stream: bool
    max_tokens: int
    words: int
    """Length of what is asked, about."""
    prefix: int | None
    """Which of a few long beginnings it shares, marked for the prompt cache."""
    fault: str
    """What it asks the simulator to do wrong."""
    leaves_after_s: float | None
    deadline_s: float | None
    caller_attempts: int

    def body(self) -> dict[str, Any]:
        """What it sends."""
        text = f"question {self.number}: " + "why does the water rise " * (self.words // 5)
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": [{"role": "user", "content": text}],
        }
        if self.stream:
            body["stream"] = True
        if self.prefix is not None:
            beginning = f"Handbook {self.prefix}. " + PREFIX * 120
            body["system"] = [{"type": "text", "text": beginning, "cache_control": {"type": "ephemeral"}}]
        return body


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A world before it begins."""

    seed: int
    mode: Mode
    sim: SimSettings
    scenario: Scenario | None
    config: Config
    keys: tuple[str, ...]
    calls: tuple[Planned, ...]
    healed_s: float
    """From here on nothing goes wrong any more; of a safety run the time of its last call."""

    def limits(self, pool: str) -> tuple[float, float, float]:
        """What goes in a minute: requests, input and output tokens, by the account's limits under our own ceilings."""
        theirs, ours = self.sim.limits.pool(pool), self.config.limits.pools.get(pool) or PoolCeiling()
        both = ((theirs.rpm, ours.rpm), (theirs.itpm, ours.itpm), (theirs.otpm, ours.otpm))
        requests, inputs, outputs = [float(limit if top is None else min(limit, top)) for limit, top in both]
        return requests, inputs, outputs

    @property
    def command(self) -> str:
        """What replays it."""
        return f"python -m headgate.testing.proving --seed {self.seed} --mode {self.mode}"


def draw(seed: int, mode: Mode = "safety") -> Setting:
    """The world of a seed."""
    rng = Random(f"{mode} {seed}")  # noqa: S311  # reproducible on purpose
    live = mode == "liveness"
    healed_s = rng.choice((30.0, 90.0, 240.0)) if live else rng.choice((5.0, 60.0, 180.0))
    keys = tuple(f"sk-ant-test-{number:04}" for number in range(rng.choice((1, 1, 1, 2, 3))))
    limits = _limits(rng)
    config = _config(rng, live)
    return Setting(
        seed=seed,
        mode=mode,
        sim=SimSettings(
            access=Access(organisation_per_key=True),
            limits=limits,
            latency=Latency(
                ttft_s=rng.choice((0.0, 0.3, 2.0)),
                tokens_per_s=rng.choice((0, 30, 120)),
                spread=rng.choice((0.0, 0.5)),
                full_speed_answers=rng.choice((None, None, 4.0)),
            ),
            answers=Answers(median_tokens=rng.choice((10, 60, 200))),
            weather=Conditions(),
        ),
        scenario=_scenario(rng, healed_s if live else None, keys),
        config=config,
        keys=keys,
        calls=_calls(rng, config, healed_s, live, limits),
        healed_s=healed_s,
    )


def _limits(rng: Random) -> Limits:
    depth_s = rng.choice((1.0, 10.0, 60.0))
    shared = {
        "depth_s": depth_s,
        "input_estimate_factor": rng.choice((1.0, 1.0, 0.7, 1.4)),
        "rejected_requests_count": rng.random() < 0.3,
        "ramp_growth": rng.choice((None, None, None, 1.5)),
    }
    if rng.random() < 0.35:
        return Limits(tier=rng.choice(("start", "build")), **shared)  # type: ignore[arg-type]
    return Limits(
        rpm=rng.choice((10, 40, 120, 600)),
        itpm=rng.choice((LEAST_ITPM, 20_000, 200_000)),
        otpm=rng.choice((1_000, 8_000, 60_000)),
        **shared,  # type: ignore[arg-type]
    )


def _config(rng: Random, live: bool) -> Config:
    def lane(weight: float, headroom: float) -> LaneConfig:
        return LaneConfig(
            weight=weight,
            headroom=headroom,
            max_wait_s=7200.0 if live else rng.choice((0.0, 5.0, 60.0, 600.0)),
            max_queue=10_000 if live else rng.choice((3, 100, 10_000)),
            first_byte_timeout_s=120.0 if live else rng.choice((5.0, 20.0)),
            answer_timeout_s=600.0 if live else rng.choice((10.0, 60.0)),
            idle_timeout_s=rng.choice((6.0, 60.0)),
            progress_timeout_s=30.0,
            total_timeout_s=14_400.0 if live else rng.choice((30.0, 300.0, 1200.0)),
        )

    nightly = rng.choice(((), (), (), ("08:02-24:00",), ("00:00-08:01", "08:03-24:00")))
    share_by: Literal["workflow", "user"] = rng.choice(("workflow", "user"))
    cap = rng.choice((None, 1, 3)) if share_by == "workflow" else None
    ceiling = {}
    if rng.random() < 0.2:
        ceiling["sonnet-5.5"] = PoolCeiling(rpm=rng.choice((None, 30)), itpm=rng.choice((None, 50_000)))
    return Config(
        upstream=UpstreamConfig(tier=rng.choice(("start", "start", "build", "scale"))),
        lanes={
            "interactive": lane(rng.choice((1.0, 4.0)), rng.choice((0.0, 0.1, 0.3))),
            "standard": lane(2.0, 0.0),
            "bulk": replace(lane(rng.choice((0.2, 1.0)), 0.0), open=nightly),
        },
        limits=LimitsConfig(
            first_burst_s=rng.choice((1.0, 5.0)),
            burst_s=rng.choice((5.0, 60.0)),
            share_by=share_by,
            pools=ceiling,
            per_user_rpm=None if live else rng.choice((None, None, None, 10)),
        ),
        workflows={"agents": WorkflowConfig(max_concurrency=cap)},
        retry=RetryConfig(
            max_attempts=8 if live else rng.choice((1, 2, 4, 6)),
            base_s=rng.choice((0.1, 0.5)),
            cap_s=rng.choice((2.0, 20.0)),
            max_elapsed_s=150.0 if live else rng.choice((10.0, 150.0)),
            retry_after_cap_s=3600.0 if live else rng.choice((10.0, 3600.0)),
            hold_s=rng.choice((0.0, 5.0)),
        ),
    )


def _scenario(rng: Random, until_s: float | None, keys: Sequence[str]) -> Scenario | None:
    """Some minutes of trouble; all of it ends at `until_s`."""
    phases = []
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        begin_s = rng.choice((0.0, 0.0, 10.0, 60.0))
        length_s = rng.choice((5.0, 60.0, 720.0))
        if until_s is not None:
            length_s = min(length_s, until_s - begin_s)
        if length_s > 0:
            phases.append(_phase(rng, begin_s, length_s, keys))
    return Scenario(name="drawn", about="drawn", phases=tuple(phases)) if phases else None


def _phase(rng: Random, begin_s: float, length_s: float, keys: Sequence[str]) -> Phase:
    weather: dict[str, Any] = {}
    cues: tuple[Cue, ...] = ()
    match rng.choice(("overload", "others", "slow", "revoked", "storm", "storm", "few", "few")):
        case "overload":
            weather = {
                "overload_share": rng.choice((0.3, 1.0)),
                "overload_retry_after_s": rng.choice((None, None, 2.0, 15.0)),
            }
        case "others":
            weather = {"others_share": rng.choice((0.5, 0.9))}
        case "slow":
            weather = {"latency_factor": 8.0}
        case "revoked":
            weather = {"revoked_keys": frozenset((keys[0],))}
        case "storm":
            cues = (Cue(do=rng.choice(STORMS), probability=rng.choice((0.3, 1.0))),)
        case _:
            cues = tuple(Cue(do=(fault,), probability=0.1) for fault in rng.sample(FAULTS, 4))
    return Phase(begin=begin_s, length_s=length_s, weather=weather, cues=cues)


def _calls(rng: Random, config: Config, healed_s: float, live: bool, limits: Limits) -> tuple[Planned, ...]:
    count = rng.choice((4, 12, 30, 30, 60))
    lanes = list(config.lanes)
    faulty, burst = rng.choice((0.0, 0.2, 0.6)), rng.choice((0.0, 0.5, 1.0))
    tight = limits.rpm is not None
    # A prompt that is more than a minute's worth never fits: of those that must be answered there are none.
    cached = 0.0 if live and limits.itpm == LEAST_ITPM else rng.choice((0.0, 0.0, 0.5))
    waves_s = [rng.uniform(0, healed_s) for _ in range(2)]
    longest = 300 if tight else 3_000
    calls = []
    for number in range(count):
        at_s = rng.choice(waves_s) if rng.random() < burst else rng.uniform(0, healed_s)
        calls.append(
            Planned(
                number=number,
                at_s=at_s,
                lane=rng.choice(lanes),
                workflow=rng.choice(("chat", "search", "nightly", "agents")),
                user=rng.choice(("ada", "bob", "cyd")),
                model=MODELS[0] if rng.random() < 0.8 else MODELS[1],
                stream=rng.random() < 0.6,
                max_tokens=rng.choice((1, 16, 300, 4_000)),
                words=rng.choice((3, 30, longest)),
                prefix=rng.randrange(2) if rng.random() < cached else None,
                fault=rng.choice(FAULTS) if rng.random() < faulty else "",
                leaves_after_s=rng.uniform(0, 20) if not live and rng.random() < 0.2 else None,
                deadline_s=rng.choice((0.5, 8.0, 90.0)) if not live and rng.random() < 0.2 else None,
                caller_attempts=rng.choice((0, 0, 0, 1, 2)),
            )
        )
    if live:
        calls += [_afterwards(call, len(calls) + index, healed_s) for index, call in enumerate(calls[: count // 2])]
    return tuple(calls)


CALM_S = 240.0
"""After the trouble, for what was learned in it to be forgotten: two breaker intervals, and a key's rest."""


def _afterwards(call: Planned, number: int, healed_s: float) -> Planned:
    """The same call when all has been well for a while."""
    return replace(call, number=number, at_s=healed_s + CALM_S + call.at_s, fault="", caller_attempts=0)
