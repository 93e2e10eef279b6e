"""Questions to the ledger.  Every total that is shown anywhere is the answer to one of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate.clock import utc_day
from headgate.core.cache_advice import CachedCall
from headgate.core.choice_savings import ChosenAnswer
from headgate.core.output_advice import OutputCount
from headgate.core.own_spend import OwnSpend
from headgate.core.price import usd
from headgate.events import OWN_REQUESTS
from headgate.stores.sqlite.ledger_file import explained, open_reader
from headgate.usage import Usage

__all__ = [
    "GROUPS", "AttemptCost", "Spend", "attempt_costs", "cache_use", "chosen_answers", "of_callers",
    "output_counts", "overheads_ms", "own_spend", "spend", "total_of",
]  # fmt: skip

GROUPS = {
    "workflow": "workflow",
    "team": "coalesce(team, '(none)')",
    "user": "coalesce(user, '(none)')",
    "session": "coalesce(session, '(none)')",
    "key": "coalesce(caller_key, '(none)')",
    "model": "model",
    "lane": "lane",
    "tag": "tag.value",
    "day": "date(at_ms / 1000, 'unixepoch')",
}
"""What spending can be summed by, and the expression that says it.  Days are UTC.  What the API reports beyond the
ledger, it reports by day and model; elsewhere that is `(corrected)`.  Of batches that callers made themselves it is
known which workflow, user and session they are of; elsewhere they are `(batches)`.  What Headgate asks of its own
accord is in the sums of its day and its model; elsewhere it is `(headgate)`."""

# A request that only fills the cache is no answer, nor are words of ours in the place of one.
_ANSWERED = """outcome = 'ok' AND max_tokens IS NOT 0
               AND ifnull(reason, '') NOT IN ('fallback_canned', 'fallback_queued')"""


def _of_whom(column: str) -> str:
    return f"iif(own IS NULL, {column}, '{OWN_REQUESTS}') AS {column}"


_WHO = ", ".join(_of_whom(column) for column in ("workflow", "team", "user", "session", "caller_key", "lane", "tags"))
# A request that answered several calls is shared among them.
_OF_CALLS = f"""
    SELECT {_WHO}, started_ms AS at_ms, own IS NULL AS calls, own IS NULL AND {_ANSWERED} AS answered,
           iif(joined, (SELECT sum(1.0 / shared_by) FROM attempts AS a WHERE a.call_id = c.call_id), attempts)
               AS attempts,
           input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
           cost_pico, unconfirmed_pico, cost_pico IS NULL AS unpriced,
           own IS NOT NULL AND attempts > 0 AS own_requests, iif(own IS NULL, 0, cost_pico) AS own_pico
    FROM calls AS c WHERE started_ms >= :since AND started_ms < :until
    UNION ALL
    SELECT workflow, '(batches)', user, session, '(batches)', '(batches)', '(batches)', seen_ms, 0, 0, 0,
           input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
           cost_pico, 0, cost_pico IS NULL, 0, 0
    FROM batch_items WHERE seen_ms >= :since AND seen_ms < :until
    UNION ALL
    SELECT '(corrected)', '(corrected)', '(corrected)', '(corrected)', '(corrected)', '(corrected)', '(corrected)',
           unixepoch(day) * 1000, 0, 0, 0, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
           cache_write_1h_tokens, cost_pico, -unconfirmed_pico, -unpriced, 0, 0
    FROM corrections WHERE unixepoch(day) * 1000 >= :since AND unixepoch(day) * 1000 < :until
"""  # noqa: S608  # words of ours
# A call counts with each of its tags.
_EACH_TAG = """, json_each('[' || replace(json_quote(coalesce(tags, '(none)')), ',', '","') || ']') AS tag"""
# A call counts with the model that answered it; tokens and money with the model that used them.
_OF_MODELS = f"""
    SELECT coalesce(model_answered, model, '(none)') AS model, own IS NULL AS calls,
           own IS NULL AND {_ANSWERED} AS answered, 0 AS attempts,
           0 AS input_tokens, 0 AS output_tokens, 0 AS cache_read_tokens, 0 AS cache_write_5m_tokens,
           0 AS cache_write_1h_tokens, 0 AS cost_pico, 0 AS unconfirmed_pico, cost_pico IS NULL AS unpriced,
           own IS NOT NULL AND attempts > 0 AS own_requests, 0 AS own_pico
    FROM calls WHERE started_ms >= :since AND started_ms < :until
    UNION ALL
    SELECT coalesce(a.model_answered, c.model, '(none)'), 0, 0, 1.0 / a.shared_by,
           a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_5m_tokens, a.cache_write_1h_tokens,
           iif(c.cost_pico IS NULL, 0, a.cost_pico), a.unconfirmed_pico, 0,
           0, iif(c.own IS NULL OR c.cost_pico IS NULL, 0, a.cost_pico)
    FROM calls AS c JOIN attempts AS a USING (call_id)
    WHERE c.started_ms >= :since AND c.started_ms < :until AND a.hops IS NULL
    UNION ALL
    SELECT hop.value ->> 'model', 0, 0, hop.value ->> 'model' = a.model_answered,
           hop.value ->> 'input_tokens', hop.value ->> 'output_tokens', hop.value ->> 'cache_read_tokens',
           hop.value ->> 'cache_write_5m_tokens', hop.value ->> 'cache_write_1h_tokens',
           iif(c.cost_pico IS NULL, 0, hop.value ->> 'cost_pico'), 0, 0,
           0, iif(c.own IS NULL OR c.cost_pico IS NULL, 0, hop.value ->> 'cost_pico')
    FROM calls AS c JOIN attempts AS a USING (call_id), json_each(a.hops) AS hop
    WHERE c.started_ms >= :since AND c.started_ms < :until AND a.hops IS NOT NULL
    UNION ALL
    SELECT coalesce(model_answered, '(none)'), 0, 0, 0, input_tokens, output_tokens, cache_read_tokens,
           cache_write_5m_tokens, cache_write_1h_tokens, cost_pico, 0, cost_pico IS NULL, 0, 0
    FROM batch_items WHERE seen_ms >= :since AND seen_ms < :until
    UNION ALL
    SELECT model, 0, 0, 0, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
           cache_write_1h_tokens, cost_pico, -unconfirmed_pico, -unpriced, 0, 0
    FROM corrections WHERE unixepoch(day) * 1000 >= :since AND unixepoch(day) * 1000 < :until
"""  # noqa: S608  # a condition of ours
# Money is summed in two halves: one sum of pico-dollars would pass 64 bits at nine million dollars.
_SPEND = """
WITH spent AS ({source})
SELECT {group} AS name, sum(calls), sum(answered), sum(attempts), sum(input_tokens), sum(output_tokens),
       sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens),
       sum(cost_pico / 1000000), sum(cost_pico % 1000000),
       sum(unconfirmed_pico / 1000000), sum(unconfirmed_pico % 1000000), sum(unpriced), sum(own_requests),
       sum(own_pico / 1000000), sum(own_pico % 1000000)
FROM spent{each} GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Spend:
    """Calls, tokens and money of one group."""

    name: str
    calls: int
    answered: int
    attempts: float
    """Requests to the API.  One that answered several calls is shared among them."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cost_pico: int
    unconfirmed_pico: int
    unpriced: int
    """Calls and batch items whose cost is not known, and therefore not in `cost_pico`."""
    own_requests: int
    """That Headgate sent of its own accord.  They are no calls; their tokens and their cost are in these sums."""
    own_pico: int
    """The part of `cost_pico` that they cost."""

    @property
    def prompt_tokens(self) -> int:
        """All that went in, from the prompt cache or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def per_answer_pico(self) -> int | None:
        """What an answer cost, calls that failed included; None if there is none."""
        return (self.cost_pico - self.own_pico) // self.answered if self.answered else None

    @property
    def requests(self) -> float:
        """Attempts, as they are shown: a whole number wherever no request is shared across a line's border."""
        whole, tenths = round(self.attempts), round(self.attempts, 1)
        return whole if whole == tenths else tenths

    def facts(self) -> dict[str, Any]:
        """For programs; exact dollars as text."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        facts["attempts"] = self.requests
        facts["cost_usd"] = f"{usd(self.cost_pico):f}"
        facts["unconfirmed_usd"] = f"{usd(self.unconfirmed_pico):f}"
        facts["own_usd"] = f"{usd(self.own_pico):f}"
        per_answer_pico = self.per_answer_pico
        facts["cost_per_answer_usd"] = None if per_answer_pico is None else f"{usd(per_answer_pico):f}"
        return facts


def total_of(rows: Iterable[Spend]) -> Spend:
    """Their sum."""
    rows = list(rows)
    sums = {name: sum(getattr(row, name) for row in rows) for name in Spend.__dataclass_fields__ if name != "name"}
    return Spend("total", **sums)


def of_callers(rows: Iterable[Spend]) -> list[Spend]:
    """Of rows by anything but day and model, those of calls."""
    return [row for row in rows if row.name != OWN_REQUESTS]


def spend(ledger: Path, by: str, *, since_ms: int = 0, until_ms: int = 1 << 62) -> list[Spend]:
    """What was spent, by one of `GROUPS`.  By `tag` a call with several is in several groups; else groups add up.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    query = _SPEND.format(
        group=GROUPS[by], source=_OF_MODELS if by == "model" else _OF_CALLS, each=_EACH_TAG if by == "tag" else ""
    )
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        rows: list[Any] = db.execute(query, {"since": since_ms, "until": until_ms}).fetchall()
    return [
        _spend_of(str(name), attempts or 0.0, [calls, answered, *(figure or 0 for figure in figures)])
        for name, calls, answered, attempts, *figures in rows
    ]


def _spend_of(name: str, attempts: float, figures: list[int]) -> Spend:
    counts, (cost_pico, unconfirmed_pico), unpriced, own_requests, (own_pico,) = (
        figures[:7], _whole(figures[7:11]), figures[11], figures[12], _whole(figures[13:])
    )  # fmt: skip
    calls, answered, input_, output, read, five, hour = counts
    return Spend(
        name, calls, answered, attempts, input_, output, read, five, hour, cost_pico, unconfirmed_pico, unpriced,
        own_requests, own_pico,
    )  # fmt: skip


def _whole(halves: list[int]) -> list[int]:
    """Sums of pico-dollars that were made in two halves."""
    return [millions * 1_000_000 + rest for millions, rest in zip(halves[::2], halves[1::2], strict=True)]


_OWN_SPEND = """
SELECT own, workflow, count(*), ifnull(sum(cost_pico), 0)
FROM calls WHERE started_ms >= :since AND started_ms < :until AND own IS NOT NULL AND attempts > 0
GROUP BY 1, 2 ORDER BY 4 DESC, 1, 2
"""


def own_spend(ledger: Path, *, since_ms: int = 0, until_ms: int = 1 << 62) -> list[OwnSpend]:
    """What is in the sums of `spend` as `(headgate)`, by what it was for, the dearest first.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return [OwnSpend(*row) for row in db.execute(_OWN_SPEND, {"since": since_ms, "until": until_ms})]


_CACHE_USE = """
SELECT c.workflow, coalesce(a.model_answered, c.model), c.system_hash, c.started_ms, a.input_tokens, a.output_tokens,
       a.cache_read_tokens, a.cache_write_5m_tokens, a.cache_write_1h_tokens, a.service_tier, a.speed,
       a.inference_geo, a.cost_pico, c.max_tokens IS 0
FROM calls AS c JOIN attempts AS a USING (call_id)
WHERE c.started_ms >= :since AND c.started_ms < :until AND a.usage_source = 'vendor' AND a.cost_pico IS NOT NULL
      AND a.hops IS NULL
ORDER BY c.call_id, a.attempt
"""


def cache_use(ledger: Path, *, since_ms: int = 0, until_ms: int = 1 << 62) -> Iterator[CachedCall]:
    """Every answered attempt with one model and a known price, in the order of time.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        for workflow, model, system_hash, started_ms, *used, cost_pico, only_fills in db.execute(
            _CACHE_USE, {"since": since_ms, "until": until_ms}
        ):
            usage = Usage(**dict(zip(_USED, used, strict=True)))
            day = utc_day(started_ms)
            yield CachedCall(workflow, model, system_hash, day, started_ms, usage, cost_pico, bool(only_fills))


_USED = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "service_tier", "speed", "inference_geo")


# An answer that was taken over in its middle is as long as both made it; a prompt that only filled the cache is none.
_OUTPUT_COUNTS = """
SELECT c.workflow, a.output_tokens, a.stop_reason = 'max_tokens', c.max_tokens, count(*)
FROM calls AS c JOIN attempts AS a USING (call_id)
WHERE c.started_ms >= :since AND c.started_ms < :until AND a.usage_source = 'vendor' AND a.stop_reason IS NOT NULL
      AND a.stop_reason != 'refusal' AND a.output_tokens > 0 AND coalesce(c.max_tokens, 1) > 0
GROUP BY 1, 2, 3, 4
"""


def output_counts(ledger: Path, *, since_ms: int = 0, until_ms: int = 1 << 62) -> list[OutputCount]:
    """How many answers were how long.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        rows: list[Any] = db.execute(_OUTPUT_COUNTS, {"since": since_ms, "until": until_ms}).fetchall()
    return [OutputCount(name, tokens, bool(cut), asked, answers) for name, tokens, cut, asked, answers in rows]


_CHOSEN_ANSWERS = """
WITH chosen AS (
    SELECT call_id, workflow, started_ms, shaped -> '$.model' AS model, 1 AS in_force
    FROM calls WHERE started_ms >= :since AND started_ms < :until AND shaped ->> '$.model.by' IS NOT NULL
    UNION ALL
    SELECT call_id, workflow, started_ms, shaped -> '$.shadow.model', 0
    FROM calls WHERE started_ms >= :since AND started_ms < :until AND shaped ->> '$.shadow.model.by' IS NOT NULL
)
SELECT c.workflow, c.model ->> '$.by', c.in_force, c.model ->> '$.from', c.model ->> '$.to', a.model_answered,
       c.started_ms, a.cost_pico, a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_5m_tokens,
       a.cache_write_1h_tokens, a.service_tier, a.speed, a.inference_geo
FROM chosen AS c JOIN attempts AS a USING (call_id)
WHERE a.usage_source = 'vendor' AND a.cost_pico IS NOT NULL AND a.hops IS NULL AND a.model_answered IS NOT NULL
"""


def chosen_answers(ledger: Path, *, since_ms: int = 0, until_ms: int = 1 << 62) -> Iterator[ChosenAnswer]:
    """Every answer of which a policy chose the model, or would have; one with both stands there twice.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        row: Any
        for row in db.execute(_CHOSEN_ANSWERS, {"since": since_ms, "until": until_ms}):
            workflow, by, in_force, named, chosen, answered, started_ms, cost_pico, *used = row
            usage = Usage(**dict(zip(_USED, used, strict=True)))
            yield ChosenAnswer(
                workflow, by, bool(in_force), named, chosen, answered, utc_day(started_ms), usage, cost_pico
            )


_ATTEMPT_COSTS = """
SELECT calls.workflow, attempts.upstream_request_id, attempts.cost_pico
FROM attempts JOIN calls USING (call_id) ORDER BY call_id, attempt
"""


@dataclass(frozen=True, slots=True)
class AttemptCost:
    """What one attempt cost, by the request id under which the API bills it."""

    workflow: str
    upstream_request_id: str | None
    cost_pico: int | None


def attempt_costs(ledger: Path) -> list[AttemptCost]:
    """Every attempt, for comparing with somebody else's books.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return [AttemptCost(*row) for row in db.execute(_ATTEMPT_COSTS)]


def overheads_ms(ledger: Path) -> list[float]:
    """Of each answered call: the milliseconds that were neither waiting nor the API.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return [
            ms
            for (ms,) in db.execute(
                "SELECT overhead_ms FROM calls WHERE outcome = 'ok' AND own IS NULL ORDER BY call_id"
            )
        ]
