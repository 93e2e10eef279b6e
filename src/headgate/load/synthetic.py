"""Arrivals made up: Poisson, Gamma and Weibull renewals with a rate and a spread of gaps, and users who think.

The gaps of a renewal process are drawn one by one, so a coefficient of variation above 1 makes bursts and lulls, below
1 a steady drip; 1 is Poisson in either family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from math import exp, gamma, inf, lgamma
from random import Random
from typing import Literal

from headgate.load.turns import Conversation, Piece, Turn

__all__ = ["Family", "Sizes", "renewals", "users"]

Family = Literal["poisson", "gamma", "weibull"]
_LEAST_SHAPE, _MOST_SHAPE = 0.1, 100.0


class Sizes:
    """How long prompts and answers are: log-normal, by median and sigma, and a stable part in front."""

    def __init__(
        self,
        *,
        input_tokens: tuple[float, float] = (600, 0.8),
        output_tokens: tuple[float, float] = (200, 0.6),
        stable_tokens: int = 0,
        max_tokens: int = 4_096,
    ) -> None:
        self._input = input_tokens
        self._output = output_tokens
        self._system = (Piece("stable", stable_tokens),) if stable_tokens else ()
        self._max_tokens = max_tokens

    def turn(self, rng: Random, name: str, history: tuple[tuple[Piece, ...], ...] = (), think_s: float = 0.0) -> Turn:
        """A turn of its own length; `name` makes its words its own."""
        return Turn(
            messages=(*history, (Piece(name, draw(rng, self._input)),)),
            output_tokens=min(draw(rng, self._output), self._max_tokens),
            max_tokens=self._max_tokens,
            system=self._system,
            think_s=think_s,
        )


def draw(rng: Random, median_and_sigma: tuple[float, float]) -> int:
    """A log-normal length, at least 1."""
    median, sigma = median_and_sigma
    return max(1, round(median * exp(rng.gauss(0.0, sigma))))


def renewals(
    rate_per_s: float, seed: int, sizes: Sizes | None = None, *, family: Family = "poisson", cv: float = 1.0
) -> Iterator[Conversation]:
    """Single turns without end, `rate_per_s` a second on average.

    Args:
        cv: the gaps' standard deviation by their mean, from 0.02 to 20.

    Raises:
        ValueError: a rate or a spread that cannot be.
    """
    if not 0 < rate_per_s < inf:
        raise ValueError(f"the rate is {rate_per_s}, and must be above 0")
    if not 0.02 <= cv <= 20:
        raise ValueError(f"the coefficient of variation is {cv}, and must be from 0.02 to 20")
    rng = Random(seed)  # noqa: S311  # reproducible on purpose
    return _renewals(rng, _gaps(rng, rate_per_s, family, cv), sizes or Sizes())


def _renewals(rng: Random, gap_s: Callable[[], float], sizes: Sizes) -> Iterator[Conversation]:
    at_s = 0.0
    for number in count():
        at_s += gap_s()
        yield Conversation(at_s, (sizes.turn(rng, f"turn-{number}"),))


def users(
    how_many: int, seed: int, sizes: Sizes | None = None, *, think_s: float = 10.0, turns: tuple[int, int] = (1, 1)
) -> list[Conversation]:
    """A closed loop: each user asks, reads the answer, thinks, and asks again, without end.

    Args:
        think_s: on average, exponential; the users begin spread over the first one.
        turns: how many turns a conversation has at least and at most; each repeats what was said before in it.
    """
    return [Conversation(0.0, _user(number, seed, sizes or Sizes(), think_s, turns)) for number in range(how_many)]


def _user(number: int, seed: int, sizes: Sizes, think_s: float, turns: tuple[int, int]) -> Iterator[Turn]:
    rng = Random(f"{seed}:{number}")  # noqa: S311  # reproducible on purpose
    wait_s = rng.uniform(0.0, think_s)
    for conversation in count():
        history: tuple[tuple[Piece, ...], ...] = ()
        for turn in range(rng.randint(*turns)):
            name = f"user-{number}-{conversation}-{turn}"
            asked = sizes.turn(rng, name, history, think_s=wait_s)
            yield asked
            history = (*asked.messages, (Piece(f"answer to {name}", asked.output_tokens),))
            wait_s = rng.expovariate(1 / think_s) if think_s else 0.0


def _gaps(rng: Random, rate_per_s: float, family: Family, cv: float) -> Callable[[], float]:
    mean_s = 1 / rate_per_s
    if family == "poisson":
        return lambda: rng.expovariate(rate_per_s)
    if family == "gamma":
        shape = 1 / cv**2
        return lambda: rng.gammavariate(shape, mean_s / shape)
    shape = _weibull_shape(cv)
    scale_s = mean_s / gamma(1 + 1 / shape)
    return lambda: rng.weibullvariate(scale_s, shape)


def _weibull_shape(cv: float) -> float:
    """The shape whose gaps vary so much; the larger, the steadier."""
    low, high = _LEAST_SHAPE, _MOST_SHAPE
    for _ in range(60):
        middle = (low * high) ** 0.5
        if exp(lgamma(1 + 2 / middle) - 2 * lgamma(1 + 1 / middle)) - 1 > cv**2:
            low = middle
        else:
            high = middle
    return low
