"""What every rule makes of series: when it fires, when it is resolved, and what leaves it quiet.

Values are written as `promtool test rules` reads them: `0+2x30` is 0, 2, 4, … 60.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate.config.schema import AlertRuleConfig

__all__ = ["CASES", "Case"]

ALL = ("",)
NOBODY = ()
CHAT = ('workflow="chat"',)


@dataclass(frozen=True, eq=False)
class Case:
    """Series, and which labels fire at which minute."""

    rule: str
    what: str
    series: dict[str, str]
    firing: dict[int, tuple[str, ...]]
    every_s: int = 60
    settings: AlertRuleConfig | None = None


def calls(outcome: str, values: str, lane: str = "standard", more: str = "") -> dict[str, str]:
    return {f'headgate_requests_total{{workflow="chat",lane="{lane}",outcome="{outcome}"{more}}}': values}


def took(buckets: dict[str, str], lane: str = "standard") -> dict[str, str]:
    labels = f'workflow="chat",lane="{lane}"'
    name = "headgate_request_duration_seconds"
    series = {f'{name}_bucket{{{labels},le="{bound}"}}': values for bound, values in buckets.items()}
    return {**series, f"{name}_count{{{labels}}}": buckets["+Inf"]}


def counter(name: str, labels: str, values: str) -> dict[str, str]:
    return {f"headgate_{name}{{{labels}}}": values}


def attempts(class_: str, values: str) -> dict[str, str]:
    return counter("attempts_total", f'model="m",class="{class_}"', values)


def process(uptime: str) -> dict[str, str]:
    """What says that a process is there."""
    return {**counter("uptime_seconds", "", uptime), **counter("build_info", 'version="1"', uptime)}


def budget(window: str, settled: str, held: str = "0x200") -> dict[str, str]:
    labels = f'scope="team",window="{window}"'
    return {
        f"headgate_budget_cap_usd{{{labels}}}": "100x200",
        f"headgate_budget_settled_usd{{{labels}}}": settled,
        f"headgate_budget_held_usd{{{labels}}}": held,
    }


def foretold(projected: str, settled: str) -> dict[str, str]:
    return {**budget("day", settled), 'headgate_budget_projected_usd{scope="team",window="day"}': projected}


def month(rule: str, reached: int) -> list[Case]:
    series = budget("month", f"{reached - 1}x10 {reached}x10 0x10")
    return [
        Case(rule, f"{reached} % of a month, then a new one", series, {5: (), 15: ('scope="team"',), 25: ()}),
        Case(rule, f"{reached} % of a day", budget("day", f"{reached}x30"), {15: ()}),
    ]


FAILING = {**calls("ok", "0+98x90"), **calls("upstream_error", "0+2x30 60x60")}
SLOW = {"18": "0+94x30 2820+100x30", "25": "0+100x60", "+Inf": "0+100x60"}
OLD_QUEUE = counter("queue_oldest_age_seconds", 'lane="bulk"', "300x60")
CACHE = {"input": "0+50000x200", "output": "0+1000x200", "cache_write_5m": "0+10x200"}
WEEK = 2016
"""Steps of five minutes."""


def tokens(read: str, **kinds: str) -> dict[str, str]:
    told = {**CACHE, "cache_read": read, **kinds}
    return {f'headgate_tokens_total{{workflow="chat",kind="{kind}"}}': values for kind, values in told.items()}


def outputs(**results: str) -> dict[str, str]:
    name = "headgate_output_validation_total"
    return {f'{name}{{workflow="chat",result="{result}"}}': values for result, values in results.items()}


CASES: tuple[Case, ...] = (
    # calls that fail
    Case("error_rate", "2 % for half an hour", FAILING, {3: (), 20: ALL, 40: ()}),
    Case("error_rate", "1 %", {**calls("ok", "0+99x60"), **calls("timeout", "0+1x60")}, {20: (), 50: ()}),
    Case(
        "error_rate",
        "2 % over a restart",
        {**calls("ok", "0+98x12 0+98x20"), **calls("timeout", "0+2x12 0+2x20")},
        {11: ALL, 14: ALL, 20: ALL},
    ),
    Case(
        "error_rate",
        "a third of a dozen",
        {**calls("ok", "0+1x20"), **calls("timeout", "0x4 1 2 3 3 4 4 5 5 6x10")},
        {11: (), 13: ALL},
    ),
    Case(
        "error_rate",
        "the breaker is open, so that nothing fails any more",
        {
            **calls("ok", "0+98x10 980x30 980+98x30"),
            **calls("shed", "0x10 0+98x30 2940x30"),
            **counter("rejections_total", 'lane="standard",reason="breaker_open"', "0x10 0+98x30 2940x30"),
        },
        {10: (), 20: ALL, 40: ALL, 60: ()},
    ),
    Case(
        "error_rate",
        "refused because a lane is full",
        {
            **calls("ok", "0+50x40"),
            **calls("shed", "0+50x40"),
            **counter("rejections_total", 'lane="standard",reason="lane_full"', "0+50x40"),
        },
        {30: ()},
    ),
    Case("error_rate", "two of ten", {**calls("ok", "0+1x20"), **calls("timeout", "0x5 1x5 2x10")}, {12: (), 15: ()}),
    Case("error_rate", "callers' own mistakes", {**calls("ok", "0+5x30"), **calls("client_error", "0+9x30")}, {20: ()}),
    Case(
        "error_rate",
        "one instance of two goes",
        {
            **calls("ok", "0+98x10 _x50", more=',instance="a"'),
            **calls("timeout", "0+4x10 _x50", more=',instance="a"'),
            **calls("ok", "0+98x60", more=',instance="b"'),
            **calls("timeout", "0x60", more=',instance="b"'),
        },
        {9: ALL, 13: ALL, 25: ()},
    ),
    Case(
        "error_rate",
        "2 % of what is tolerated up to 3 %",
        FAILING,
        {20: ()},
        settings=AlertRuleConfig(threshold=0.03),
    ),
    Case(
        "error_rate_high",
        "6 % for half an hour",
        {**calls("ok", "0+94x90"), **calls("truncated", "0+6x30 180x60")},
        {20: ALL, 40: ()},
    ),
    Case("error_rate_high", "2 %", FAILING, {20: ()}),
    Case(
        "slo_burn_fast",
        "20 % for an hour and a half",
        {**calls("ok", "0+80x200"), **calls("timeout", "0+20x90 1800x110")},
        {30: ALL, 80: ALL, 110: ()},
    ),
    Case("slo_burn_fast", "10 %", {**calls("ok", "0+90x90"), **calls("timeout", "0+10x90")}, {80: ()}),
    Case(
        "slo_burn_slow",
        "10 % for five hours",
        {**calls("ok", "0+90x400"), **calls("timeout", "0+10x300 3000x100")},
        {120: ALL, 290: ALL, 350: ()},
    ),
    Case("slo_burn_slow", "5 %", {**calls("ok", "0+95x200"), **calls("timeout", "0+5x200")}, {190: ()}),
    Case(
        "slo_burn_steady",
        "2 % for ten hours",
        {**calls("ok", "0+98x300"), **calls("timeout", "0+2x120 240x180")},
        {300: ALL, 1140: ()},
        every_s=300,
    ),
    Case("slo_burn_steady", "1 %", {**calls("ok", "0+99x300"), **calls("timeout", "0+1x300")}, {1140: ()}, every_s=300),
    Case(
        "refusals",
        "2 % for an hour",
        {**calls("ok", "0+98x160"), **calls("refused", "0+2x60 120x100")},
        {20: CHAT, 50: CHAT, 130: ()},
    ),
    Case("refusals", "1 %", {**calls("ok", "0+99x60"), **calls("refused", "0+1x60")}, {50: ()}),
    Case(
        "truncation",
        "2 % for an hour",
        {
            **counter("stop_reasons_total", 'workflow="chat",stop_reason="end_turn"', "0+98x160"),
            **counter("stop_reasons_total", 'workflow="chat",stop_reason="max_tokens"', "0+2x60 120x100"),
        },
        {20: CHAT, 130: ()},
    ),
    Case(
        "truncation",
        "tools are no cut",
        {
            **counter("stop_reasons_total", 'workflow="chat",stop_reason="end_turn"', "0+9x60"),
            **counter("stop_reasons_total", 'workflow="chat",stop_reason="tool_use"', "0+9x60"),
        },
        {50: ()},
    ),
    # structured outputs
    Case(
        "output_unfit",
        "3 %, invalid or truncated, for an hour",
        outputs(valid="0+97x160", invalid="0+2x60 120x100", truncated="0+1x60 60x100"),
        {5: (), 20: CHAT, 130: ()},
    ),
    Case("output_unfit", "2 %", outputs(valid="0+98x60", invalid="0+2x60", truncated="0x60"), {50: ()}),
    Case("output_unfit", "a tenth of a few", outputs(valid="0x20 0+1x36 36x20", invalid="0x20 0+1x4 4x50"), {60: ()}),
    Case("output_unfit", "refusals", outputs(valid="0+9x60", invalid="0x60", skipped="0+5x60"), {50: ()}),
    Case(
        "output_unfit",
        "3 % of what is tolerated up to 5 %",
        outputs(valid="0+97x60", invalid="0+3x60"),
        {50: ()},
        settings=AlertRuleConfig(threshold=0.05),
    ),
    Case(
        "output_unfit_rise",
        "five times as many as in a week, for five hours",
        outputs(
            valid=f"0+998x{WEEK + 160}",
            invalid=f"0+2x{WEEK} {WEEK * 2}+10x60 {WEEK * 2 + 600}+2x100",
        ),
        {(WEEK - 5) * 5: (), (WEEK + 40) * 5: CHAT, (WEEK + 100) * 5: ()},
        every_s=300,
    ),
    Case(
        "output_unfit_rise",
        "the first ten in a week",
        outputs(valid=f"0+100x{WEEK}", invalid=f"0x{WEEK - 100} 0+1x30 30x70"),
        {(WEEK - 95) * 5: (), (WEEK - 78) * 5: CHAT, (WEEK - 20) * 5: ()},
        every_s=300,
    ),
    Case(
        "output_unfit_rise",
        "as many as always",
        outputs(valid=f"0+98x{WEEK}", truncated=f"0+2x{WEEK}"),
        {(WEEK - 5) * 5: ()},
        every_s=300,
    ),
    Case(
        "output_unfit_rise",
        "a workflow of today",
        outputs(valid="0+50x30", invalid="0+50x30"),
        {140: ()},
        every_s=300,
    ),
    # batches
    Case(
        "batch_late",
        "a look after 23 hours, and one when it had ended",
        counter("batch_oldest_age_seconds", "", "3600x20 82800x20 0x20"),
        {10: (), 30: ALL, 50: ()},
    ),
    Case("batch_late", "a look after 22 hours", counter("batch_oldest_age_seconds", "", "79200x20"), {10: ()}),
    Case(
        "batch_results_missing",
        "three items of the first batch, and none after it",
        {
            **process("60+60x120"),
            **counter("batch_items_total", 'result="succeeded"', "_x20 100x100"),
            **counter("batch_items_total", 'result="missing"', "_x20 3x100"),
        },
        {10: (), 25: ('result="missing"',), 70: ('result="missing"',), 90: ()},
    ),
    Case(
        "batch_results_missing",
        "some expire",
        {**process("60+60x120"), **counter("batch_items_total", 'result="expired"', "0x20 7x100")},
        {10: (), 25: ('result="expired"',), 90: ()},
    ),
    Case(
        "batch_results_missing",
        "calls of Headgate's own batches that did not wait",
        {
            **process("60+60x60"),
            **counter("batch_items_total", 'result="given_up"', "0+1x60"),
            **counter("batch_items_total", 'result="missing"', "0x60"),
        },
        {50: ()},
    ),
    # calls that are slow
    Case(
        "interactive_slow",
        "people wait, and a queue is old; then people do not",
        {**took(SLOW, "interactive"), **OLD_QUEUE},
        {1: (), 10: ALL, 40: ()},
    ),
    Case(
        "interactive_slow",
        "exactly 18 s",
        {**took({"18": "0+95x30", "25": "0+100x30", "+Inf": "0+100x30"}, "interactive"), **OLD_QUEUE},
        {10: (), 20: (), 29: ()},
    ),
    Case(
        "interactive_slow",
        "18.01 s",
        {**took({"18": "0+66495x30", "25": "0+70000x30", "+Inf": "0+70000x30"}, "interactive"), **OLD_QUEUE},
        {10: ALL, 20: ALL},
    ),
    Case(
        "interactive_slow",
        "slow, and the queue is 240 s old",
        {**took(SLOW, "interactive"), **counter("queue_oldest_age_seconds", 'lane="bulk"', "240x60")},
        {10: (), 20: ()},
    ),
    Case(
        "interactive_slow",
        "three people",
        {**took({"18": "0x30", "25": "0+3x30", "+Inf": "0+3x30"}, "interactive"), **OLD_QUEUE},
        {20: ()},
    ),
    Case("interactive_slow", "another lane is slow", {**took(SLOW, "bulk"), **OLD_QUEUE}, {10: ()}),
    Case(
        "workflow_p95",
        "a tenth takes over a minute",
        took({"60": "0+90x40 3600+100x30", "90": "0+100x70", "+Inf": "0+100x70"}),
        {8: (), 20: CHAT, 60: ()},
    ),
    Case(
        "workflow_p95",
        "exactly a minute",
        took({"60": "0+95x40", "90": "0+100x40", "+Inf": "0+100x40"}),
        {20: (), 35: ()},
    ),
    Case(
        "workflow_p95",
        "a workflow that may",
        took({"60": "0+90x40", "90": "0+100x40", "+Inf": "0+100x40"}),
        {20: ()},
        settings=AlertRuleConfig(thresholds={"chat": 80.0}),
    ),
    Case(
        "workflow_p95",
        "a workflow that must be faster",
        took({"2": "0+90x40", "4": "0+100x40", "+Inf": "0+100x40"}),
        {20: CHAT},
        settings=AlertRuleConfig(thresholds={"chat": 2.5}),
    ),
    Case(
        "workflow_p99",
        "three of a hundred take over two minutes",
        took({"120": "0+97x40 3880+100x30", "240": "0+100x70", "+Inf": "0+100x70"}),
        {20: CHAT, 60: ()},
    ),
    Case(
        "workflow_p99",
        "three minutes",
        took({"120": "0+98x40", "240": "0+100x40", "+Inf": "0+100x40"}),
        {20: (), 35: ()},
    ),
    Case(
        "workflow_drift",
        "four times as long as last week, for five hours",
        took(
            {
                "1": f"0+20x{WEEK} {WEEK * 20}x60 {WEEK * 20}+20x60",
                "4": f"0+20x{WEEK + 121}",
                "+Inf": f"0+20x{WEEK + 121}",
            }
        ),
        {(WEEK - 5) * 5: (), (WEEK + 40) * 5: CHAT, (WEEK + 100) * 5: ()},
        every_s=300,
    ),
    Case(
        "workflow_drift",
        "as last week",
        took({"1": f"0+20x{WEEK + 60}", "+Inf": f"0+20x{WEEK + 60}"}),
        {(WEEK + 40) * 5: ()},
        every_s=300,
    ),
    Case(
        "queue_age",
        "each lane by its own patience",
        {
            **counter("queue_oldest_age_seconds", 'lane="interactive"', "11x20 9x20"),
            **counter("queue_oldest_age_seconds", 'lane="standard"', "241x20 0x20"),
            **counter("queue_oldest_age_seconds", 'lane="bulk"', "14000x40"),
        },
        {10: ('lane="interactive"', 'lane="standard"'), 30: ()},
    ),
    Case(
        "queue_age", "exactly ten seconds", counter("queue_oldest_age_seconds", 'lane="interactive"', "10x20"), {10: ()}
    ),
    # what Headgate does about it
    Case(
        "retried_success",
        "exactly a tenth, for half an hour",
        {
            **counter("success_by_attempts_total", 'workflow="chat",attempts="1"', "0+90x60"),
            **counter("success_by_attempts_total", 'workflow="chat",attempts="2"', "0+8x30 240x30"),
            **counter("success_by_attempts_total", 'workflow="chat",attempts="4plus"', "0+2x30 60x30"),
        },
        {10: ALL, 29: ALL, 40: ()},
    ),
    Case(
        "retried_success",
        "9 %",
        {
            **counter("success_by_attempts_total", 'workflow="chat",attempts="1"', "0+91x60"),
            **counter("success_by_attempts_total", 'workflow="chat",attempts="2"', "0+9x60"),
        },
        {10: (), 50: ()},
    ),
    Case(
        "retried_success",
        "one of four",
        {
            **counter("success_by_attempts_total", 'workflow="chat",attempts="1"', "0x10 3x20"),
            **counter("success_by_attempts_total", 'workflow="chat",attempts="2"', "0x10 1x20"),
        },
        {12: ()},
    ),
    Case(
        "rejections",
        "6 % for half an hour",
        {
            **calls("ok", "0+94x60"),
            **calls("shed", "0+6x30 180x30"),
            **counter("rejections_total", 'lane="standard",reason="lane_full"', "0+6x30 180x30"),
        },
        {8: (), 20: ('lane="standard"',), 45: ()},
    ),
    Case(
        "rejections",
        "2 % are many where people wait",
        {
            **calls("ok", "0+98x60", "interactive"),
            **calls("shed", "0+2x60", "interactive"),
            **counter("rejections_total", 'lane="interactive",reason="lane_full"', "0+2x60"),
            **calls("ok", "0+98x60"),
            **calls("shed", "0+2x60"),
            **counter("rejections_total", 'lane="standard",reason="lane_full"', "0+2x60"),
        },
        {20: ('lane="interactive"',)},
    ),
    Case(
        "rejections",
        "5 %",
        {
            **calls("ok", "0+95x60"),
            **calls("shed", "0+5x60"),
            **counter("rejections_total", 'lane="standard",reason="lane_full"', "0+5x60"),
        },
        {20: ()},
    ),
    Case(
        "fallbacks",
        "6 % for half an hour",
        {
            **calls("ok", "0+100x70"),
            **counter(
                "fallbacks_total", 'workflow="chat",from_model="a",to_model="b",reason="overloaded"', "0+6x30 180x40"
            ),
        },
        {20: CHAT, 50: ()},
    ),
    Case(
        "fallbacks",
        "5 %",
        {
            **calls("ok", "0+100x70"),
            **counter("fallbacks_total", 'workflow="chat",from_model="a",to_model="b",reason="overloaded"', "0+5x70"),
        },
        {20: ()},
    ),
    Case(
        "first_fallback",
        "begins after half an hour",
        counter("fallbacks_total", 'workflow="chat",from_model="a",to_model="b",reason="timeout"', "_x30 1x60"),
        {29: (), 31: ('from_model="a",to_model="b"',), 50: ()},
    ),
    Case(
        "first_fallback",
        "falls back now and then",
        counter("fallbacks_total", 'workflow="chat",from_model="a",to_model="b",reason="timeout"', "1x30 2x30 3x60"),
        {20: (), 35: (), 65: ()},
    ),
    Case(
        "new_refusal",
        "begins after half an hour",
        counter("refusals_total", 'workflow="chat",category="cyber"', "0x30 1x60"),
        {29: (), 31: ('category="cyber",workflow="chat"',), 50: ()},
    ),
    Case(
        "new_refusal",
        "declined an hour ago too",
        counter("refusals_total", 'workflow="chat",category="cyber"', "0x30 1x60 2x60"),
        {95: ()},
    ),
    # the account and the API
    Case(
        "headroom",
        "95 % for half an hour",
        {
            **counter("limit_used", 'pool="sonnet",dimension="itpm"', "95x30 50x20"),
            **counter("limit_capacity", 'pool="sonnet",dimension="itpm"', "100x50"),
        },
        {10: (), 20: ('dimension="itpm",pool="sonnet"',), 40: ()},
    ),
    Case(
        "headroom",
        "90 %",
        {
            **counter("limit_used", 'pool="sonnet",dimension="itpm"', "90x30"),
            **counter("limit_capacity", 'pool="sonnet",dimension="itpm"', "100x30"),
        },
        {25: ()},
    ),
    Case(
        "breaker_open",
        "open for ten minutes, then half open",
        counter("breaker_state", 'pool="sonnet",credential_slot="1"', "2x10 1x20"),
        {1: (), 5: ('pool="sonnet"',), 15: ()},
    ),
    Case(
        "breaker_open",
        "opens now and then",
        counter("breaker_state", 'pool="sonnet",credential_slot="1"', "2 0 2 0 2 0 2 0 2 0"),
        {4: (), 8: ()},
    ),
    Case(
        "overloaded",
        "30 % for ten minutes",
        {**attempts("ok", "0+70x40"), **attempts("overloaded", "0+30x10 300x30")},
        {8: ('model="m"',), 20: ()},
    ),
    Case("overloaded", "20 %", {**attempts("ok", "0+80x40"), **attempts("overloaded", "0+20x40")}, {20: ()}),
    Case(
        "credential",
        "one 401",
        attempts("authentication", "0x10 1x30"),
        {9: (), 12: ('class="authentication"',), 25: ()},
    ),
    Case(
        "credential",
        "the very first attempt of a process that has run for long",
        {**attempts("authentication", "_x15 1x40"), **process("86400+60x60")},
        {14: (), 16: ('class="authentication"',), 30: ()},
    ),
    Case(
        "credential",
        "the very first attempt of a new process",
        {**attempts("authentication", "_x2 1x40"), **process("_x2 5+60x40")},
        {3: ('class="authentication"',), 20: ()},
    ),
    Case(
        "credential",
        "one of long ago, and nobody looked for a while",
        {**attempts("authentication", "1x30 _x20 1x30"), **process("86400+60x30 _x20 90000+60x30")},
        {28: (), 52: (), 70: ()},
    ),
    Case("credential", "it is the API that fails", attempts("overloaded", "0+5x40"), {20: ()}),
    Case(
        "auth_failures",
        "one address tries 21 keys a minute",
        counter("auth_failures_worst_source", "", "0x5 21x10 3x20"),
        {4: (), 10: ALL, 20: ()},
    ),
    Case(
        "auth_failures",
        "20 a minute are not over 20",
        {
            **counter("auth_failures_worst_source", 'instance="a"', "20x20"),
            **counter("auth_failures_worst_source", 'instance="b"', "20x20"),
        },
        {15: ()},
    ),
    Case(
        "auth_failures_many",
        "thirty a minute, from wherever",
        counter("auth_failures_total", 'reason="caller_unknown"', "0+30x20 600x20"),
        {10: ('reason="caller_unknown"',), 30: ()},
    ),
    Case(
        "auth_failures_many",
        "fifteen a minute",
        counter("auth_failures_total", 'reason="caller_unknown"', "0+15x20"),
        {15: ()},
    ),
    Case(
        "admin_new_address",
        "somebody new, once",
        {**counter("admin_new_addresses_total", "", "0x5 1x40"), **process("86400+60x45")},
        {4: (), 7: ALL, 30: ()},
    ),
    Case(
        "admin_new_address",
        "those who were always there",
        {**counter("admin_new_addresses_total", "", "3x40"), **process("86400+60x45")},
        {20: ()},
    ),
    # tokens and money
    Case(
        "cached_share",
        "half, then nearly all",
        {**calls("ok", "0+2x200"), **tokens("0+50000x80 4000000+900000x120")},
        {40: (), 70: CHAT, 140: ()},
    ),
    Case("cached_share", "three fifths", {**calls("ok", "0+2x100"), **tokens("0+75000x100")}, {90: ()}),
    Case(
        "cached_share",
        "a workflow that has nothing to cache",
        {**calls("ok", "0+2x100"), **tokens("0x100", cache_write_5m="0x100")},
        {90: ()},
    ),
    Case(
        "cached_share",
        "few tokens",
        {**calls("ok", "0+2x100"), **tokens("0+50x100", input="0+50x100", cache_write_5m="0+10x100")},
        {90: ()},
    ),
    Case(
        "token_outlier",
        "one call",
        counter("token_outliers_total", 'workflow="chat"', "0x5 1x80"),
        {4: (), 10: CHAT, 75: ()},
    ),
    Case("token_outlier", "none", counter("token_outliers_total", 'workflow="chat"', "3x30"), {20: ()}),
    Case(
        "token_outliers",
        "a tenth of the calls for half an hour",
        {**calls("ok", "0+10x150"), **counter("token_outliers_total", 'workflow="chat"', "0+1x30 30x120")},
        {20: CHAT, 110: ()},
    ),
    Case(
        "token_outliers",
        "5 %",
        {**calls("ok", "0+20x60"), **counter("token_outliers_total", 'workflow="chat"', "0+1x60")},
        {50: ()},
    ),
    Case(
        "daily_spend_ahead",
        "a third is spent, and it will not last; then less is asked",
        foretold("120x40 90x40", "30x80"),
        {10: (), 20: ('scope="team"',), 50: ()},
    ),
    Case("daily_spend_ahead", "just enough", foretold("100x40", "60x40"), {30: ()}),
    Case("daily_spend_ahead", "the first calls of a morning", foretold("400x40", "24x40"), {30: ()}),
    Case(
        "daily_spend",
        "spent with what is held, then a new day",
        budget("day", "60x10 95x10 0x20", held="10x40"),
        {5: (), 15: ('scope="team"',), 35: ()},
    ),
    Case("daily_spend", "nearly", budget("day", "89x30", held="10x30"), {15: ()}),
    Case("daily_spend", "a month's is spent", budget("month", "100x30"), {15: ()}),
    *month("monthly_budget_50", 50),
    *month("monthly_budget_80", 80),
    *month("monthly_budget_90", 90),
    *month("monthly_budget_100", 100),
    Case(
        "cost_estimated",
        "5 % for hours, then none for a day",
        {
            **counter("cost_usd_total", 'workflow="chat"', "0+1x500"),
            **counter("cost_estimated_usd_total", 'workflow="chat"', "0+0.05x50 2.5x450"),
        },
        {200: ALL, 2000: ()},
        every_s=300,
    ),
    Case(
        "cost_estimated",
        "1 %",
        {
            **counter("cost_usd_total", 'workflow="chat"', "0+0.99x100"),
            **counter("cost_estimated_usd_total", 'workflow="chat"', "0+0.01x100"),
        },
        {450: ()},
        every_s=300,
    ),
    Case(
        "cost_rise",
        "an hour of twice the band",
        counter("cost_rise_bands", 'scope="workflow:chat"', "0x5 2x10 0x10"),
        {4: (), 10: ('scope="workflow:chat"',), 20: ()},
    ),
    Case("cost_rise", "in line", counter("cost_rise_bands", 'scope="all"', "0x10 1x10"), {5: (), 15: ()}),
    Case(
        "cost_rise_steep",
        "four bands",
        counter("cost_rise_bands", 'scope="all"', "0x5 4x10 2x10"),
        {4: (), 10: ('scope="all"',), 20: ()},
    ),
    Case("cost_rise_steep", "two bands", counter("cost_rise_bands", 'scope="all"', "2x20"), {15: ()}),
    Case(
        "cost_fallen",
        "two hours of next to nothing",
        counter("cost_fallen", 'scope="all"', "0x5 1x10 0x10"),
        {4: (), 10: ('scope="all"',), 20: ()},
    ),
    Case("cost_fallen", "as ever", counter("cost_fallen", 'scope="all"', "0x20"), {15: ()}),
    Case(
        "ledger_drift",
        "2 %, then a day that is right",
        counter("ledger_reconcile_drift_ratio", "", "0.02x10 0.001x10"),
        {5: ALL, 15: ()},
    ),
    Case("ledger_drift", "1 %", counter("ledger_reconcile_drift_ratio", "", "0.01x10"), {5: ()}),
    Case(
        "unknown_price",
        "one call",
        counter("unpriced_requests_total", 'workflow="chat"', "0x5 1x80"),
        {4: (), 10: CHAT, 75: ()},
    ),
    Case("unknown_price", "none", counter("unpriced_requests_total", 'workflow="chat"', "4x30"), {20: ()}),
    Case(
        "unknown_model",
        "one call",
        counter("rejections_total", 'lane="standard",reason="no_price"', "0x5 1x80"),
        {4: (), 10: ALL, 75: ()},
    ),
    Case(
        "unknown_model",
        "refused for another reason",
        counter("rejections_total", 'lane="standard",reason="lane_full"', "0+5x30"),
        {20: ()},
    ),
    # Headgate itself
    Case(
        "ledger_errors",
        "three writes",
        counter("store_errors_total", 'store="ledger",op="commit"', "0x5 3x30"),
        {4: (), 8: ('op="commit",store="ledger"',), 25: ()},
    ),
    Case(
        "ledger_errors",
        "another program holds the budgets, once",
        {**counter("store_errors_total", 'store="budgets",op="commit"', "0x5 1x30"), **process("86400+60x35")},
        {4: (), 7: ('store="budgets",op="commit"',), 20: ()},
    ),
    Case("ledger_errors", "none", counter("store_errors_total", 'store="ledger",op="commit"', "7x30"), {20: ()}),
    Case(
        "reservation_age",
        "nine hours",
        counter("reservation_oldest_age_seconds", "", "32400x10 5x10"),
        {3: (), 8: ALL, 15: ()},
    ),
    Case("reservation_age", "eight hours", counter("reservation_oldest_age_seconds", "", "28800x20"), {15: ()}),
    Case("disk_full", "91 %", counter("disk_used_ratio", "", "0.91x10 0.5x10"), {3: (), 8: ALL, 15: ()}),
    Case("disk_full", "90 %", counter("disk_used_ratio", "", "0.9x20"), {15: ()}),
    Case(
        "loop_lag", "most of a second", counter("event_loop_lag_seconds", "", "0.8x10 0.1x10"), {1: (), 5: ALL, 15: ()}
    ),
    Case("loop_lag", "now and then", counter("event_loop_lag_seconds", "", "0.8 0.1 0.8 0.1 0.8 0.1"), {4: ()}),
    Case(
        "telemetry_dropped",
        "seven lines",
        counter("telemetry_dropped_total", 'signal="log"', "0x5 7x40"),
        {4: (), 10: ('signal="log"',), 30: ()},
    ),
    Case("telemetry_dropped", "none", counter("telemetry_dropped_total", 'signal="log"', "7x40"), {20: ()}),
    Case("series_dropped", "some", counter("series_dropped_total", "", "0x5 9x80"), {4: (), 10: ALL, 75: ()}),
    Case("series_dropped", "none", counter("series_dropped_total", "", "9x40"), {20: ()}),
    Case(
        "not_delivered",
        "a receiver is gone for twenty minutes",
        counter("outbox_oldest_age_seconds", 'kind="webhook",sender="pager"', "0+60x20 0x10"),
        {14: (), 18: ('sender="pager"',), 25: ()},
    ),
    Case(
        "not_delivered",
        "a receiver is slow",
        counter("outbox_oldest_age_seconds", 'kind="webhook",sender="pager"', "900x20"),
        {15: ()},
    ),
    Case(
        "version_skew",
        "one of two is restarted with other settings, and later the other",
        {
            **counter("config_info", 'version_short="aa",instance="one"', "1x5 _x60"),
            **counter("config_info", 'version_short="bb",instance="one"', "_x5 1x60"),
            **counter("config_info", 'version_short="aa",instance="two"', "1x30 _x40"),
            **counter("config_info", 'version_short="bb",instance="two"', "_x30 1x40"),
        },
        {14: (), 18: ALL, 30: ALL, 40: ()},
    ),
    Case(
        "version_skew",
        "another version of Headgate",
        {
            **counter("build_info", 'version="1",python="3.11",instance="one"', "1x60"),
            **counter("build_info", 'version="2",python="3.11",instance="two"', "1x20 _x40"),
        },
        {8: (), 12: ALL, 40: ()},
    ),
    Case(
        "version_skew",
        "one after the other within ten minutes",
        {
            **counter("config_info", 'version_short="aa",instance="one"', "1x5 _x40"),
            **counter("config_info", 'version_short="bb",instance="one"', "_x5 1x40"),
            **counter("config_info", 'version_short="aa",instance="two"', "1x8 _x40"),
            **counter("config_info", 'version_short="bb",instance="two"', "_x8 1x40"),
        },
        {7: (), 13: (), 16: (), 25: ()},
    ),
    Case(
        "version_skew",
        "the same settings on another Python",
        {
            **counter("build_info", 'version="1",python="3.11",instance="one"', "1x30"),
            **counter("build_info", 'version="1",python="3.12",instance="two"', "1x30"),
            **counter("config_info", 'version_short="aa",instance="one"', "1x30"),
            **counter("config_info", 'version_short="aa",instance="two"', "1x30"),
        },
        {25: ()},
    ),
    Case(
        "evaluator_stale",
        "stands still for ten minutes",
        {
            **counter("alert_evaluations_total", "", "0+4x10 40x10 40+4x20"),
            **counter("alert_state", 'alert="watchdog"', "2x60"),
        },
        {8: (), 18: ALL, 30: ()},
    ),
    Case("evaluator_stale", "Prometheus alone", counter("alert_evaluations_total", "", "0x40"), {30: ()}),
    Case(
        "secret_in_log",
        "a caller calls itself by its key, once",
        {
            **counter("secrets_in_log_total", 'sink="calls",known_by="form"', "0x5 1x40"),
            **counter("secrets_in_log_total", 'sink="operators",known_by="own"', "0x45"),
            **process("86400+60x45"),
        },
        {4: (), 7: ('sink="calls",known_by="form"',), 30: ()},
    ),
    Case(
        "secret_in_log",
        "the first line of a new process has our own key in it",
        {**counter("secrets_in_log_total", 'sink="operators",known_by="own"', "1x40"), **process("60+60x45")},
        {3: ('sink="operators",known_by="own"',), 30: ()},
    ),
    Case(
        "secret_in_log",
        "long ago",
        {**counter("secrets_in_log_total", 'sink="calls",known_by="form"', "3x40"), **process("86400+60x45")},
        {20: ()},
    ),
    Case(
        "pii_kept",
        "one finding",
        counter("pii_findings_total", 'workflow="chat",type="email",action="kept"', "0x5 1x80"),
        {4: (), 10: ('type="email",workflow="chat"',), 75: ()},
    ),
    Case(
        "pii_kept",
        "scrubbed",
        counter("pii_findings_total", 'workflow="chat",type="email",action="scrubbed"', "0+5x30"),
        {20: ()},
    ),
    Case("watchdog", "always", {}, {0: ALL, 30: ALL}),
)
