"""How long an answer takes: time to the first token and tokens a second, drawn for each request from its own dice.

Both are log-normal round the median of the model's line.  A longer prompt takes longer to read, what the cache gives
excepted; and where the settings say so, the more answers are under way when one begins, the slower it is.
"""

from __future__ import annotations

from math import exp
from statistics import NormalDist
from typing import TYPE_CHECKING

from headgate.sim.reply.dice import SPEED, TTFT, Dice
from headgate.sim.reply.stream import Pace

if TYPE_CHECKING:
    from headgate.sim.settings import Latency

__all__ = ["pace"]

_quantile = NormalDist().inv_cdf


def pace(
    settings: Latency, line: str, unread_tokens: int, dice: Dice, *, under_way: int, factor: float, fast: bool
) -> Pace:
    """When the first event comes, and how far apart tokens are.

    Args:
        line: of the model: opus, sonnet, ...
        unread_tokens: of the prompt, without what the cache gives.
        under_way: answers that are being made, this one included.
        factor: of the weather; everything takes so many times as long.
    """
    speed = settings.lines.get(line, settings)
    if settings.full_speed_answers is not None:
        factor *= max(1.0, under_way / settings.full_speed_answers)
    ttft_s = speed.ttft_s + speed.ttft_s_per_1k_tokens * unread_tokens / 1_000
    if ttft_s:
        ttft_s *= factor * _spread(dice.roll(TTFT), settings.spread)
    if not speed.tokens_per_s:
        return Pace(ttft_s, 0.0)
    interval_s = factor * _spread(dice.roll(SPEED), settings.spread) / speed.tokens_per_s
    return Pace(ttft_s, interval_s / settings.fast_mode_factor if fast else interval_s)


def _spread(roll: float, sigma: float) -> float:
    """A log-normal factor with the median 1."""
    return exp(sigma * _quantile(roll)) if sigma else 1.0
