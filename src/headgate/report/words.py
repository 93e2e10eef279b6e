"""A day in words: figures, sentences, and sections of tables and bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo

from headgate.core.cost_change import Change
from headgate.core.own_spend import own_line
from headgate.core.price import usd
from headgate.core.shown import counted, dollars, percent, took
from headgate.report.facts import AlertSpan, DayReport, Hour, WorkflowDay
from headgate.report.next_steps import next_steps
from headgate.report.page import Bar, Figure, Page, Section
from headgate.stores.sqlite.day import Ended, Single

__all__ = ["page_of"]

MOST_ROWS = 50
"""Of what callers name there may be any number."""
FAILED_TOLERATED = 0.01
"""Of an hour's calls."""
_FACTORS = {"calls": "calls", "attempts": "attempts a call", "tokens": "tokens an attempt", "price": "price of a token"}


def page_of(report: DayReport) -> Page:
    """Put a day into words.  A section of which there is nothing to say is left out."""
    sections = (
        _budgets(report),
        _cost_by_hour(report),
        _calls_by_hour(report),
        _workflows(report),
        _workflow_costs(report),
        _changes(report),
        _hidden(report),
        _endings("Refused by Headgate", "Calls that were not let in.", report.turned_away, _reason),
        _endings("Answered otherwise", "Calls that a fallback answered.", report.answered_otherwise, _reason),
        _endings("Cut or refused answers", "By max_tokens, or by the model.", report.cut_or_refused, _stop),
        _singles("Slowest calls", report.slowest, report.zone),
        _singles("Dearest calls", report.dearest, report.zone),
        _alerts(report),
    )
    remarks = _remarks(report)
    return Page(
        f"Headgate, {report.day:%A} {report.day.isoformat()}" + ("" if report.over else ", so far"),
        _figures(report),
        [*_summary(report), *remarks],
        remarks,
        [section for section in sections if section.rows or section.bars],
        next_steps(report),
    )


def _figures(report: DayReport) -> list[Figure]:
    total, callers = report.total, report.callers
    expected = report.expected_pico
    by_now = "" if report.over else " by now"
    figures = [
        Figure(
            "Cost",
            _usd(total.cost_pico),
            f"no {report.kind} known to compare with" if expected is None
            else f"{_beside(total.cost_pico, expected)} {_usd(expected)}, expected of a {report.kind}{by_now}",
        ),
        Figure("Calls", f"{total.calls:,}", f"{_share(total.answered, total.calls)} answered"),
    ]  # fmt: skip
    if total.per_answer_pico is not None:
        figures.append(Figure("An answer", _usd(total.per_answer_pico), "on average"))
    if report.p95_ms is not None:
        figures.append(
            Figure("Answer time, p95", _s(report.p95_ms), f"p50 {_s(report.p50_ms)}, p99 {_s(report.p99_ms)}")
        )
    if prompt := callers.prompt_tokens:
        figures.append(Figure("Read from cache", _share(callers.cache_read_tokens, prompt), f"of {prompt:,} tokens in"))
    return figures


def _summary(report: DayReport) -> list[str]:
    total = report.total
    answered = f", {_share(total.answered, total.calls)} of them answered" if total.calls else ""
    lines = [f"{_usd(total.cost_pico)} for {counted(total.calls, 'call')}{answered}."]
    if total.per_answer_pico is not None:
        lines[0] += f"  {_usd(total.per_answer_pico)} an answer."
    if report.expected_pico is not None:
        should = "should have cost" if report.over else "should by now have cost"
        beside = _beside(total.cost_pico, report.expected_pico)
        lines.append(f"A {report.kind} {should} {_usd(report.expected_pico)}; this is {beside} that.")
    else:
        lines.append(f"What a {report.kind} should cost is not known yet.")
    if report.p95_ms is not None:
        paces = ", ".join(f"{name} {_s(ms)}" for name, ms in _percentiles(report.p50_ms, report.p95_ms, report.p99_ms))
        lines.append(f"Answers took, waits included: {paces}.")
    callers = report.callers
    prompt = callers.prompt_tokens
    if prompt:
        cached = _share(callers.cache_read_tokens, prompt)
        lines.append(f"{prompt:,} tokens in, {cached} of them from the prompt cache; {callers.output_tokens:,} out.")
    return lines


def _remarks(report: DayReport) -> list[str]:
    total, lines = report.total, []
    if (own := own_line(report.own)) is not None:
        lines.append(f"{own}.")
    if total.unconfirmed_pico:
        lines.append(f"Not in it: about {_usd(total.unconfirmed_pico)} of attempts that nothing tells the usage of.")
    if total.unpriced:
        lines.append(f"Not in it: {counted(total.unpriced, 'call')} without a known price.")
    return lines


def _budgets(report: DayReport) -> Section:
    rows = []
    for line in report.budgets:
        its = line.budget
        ahead = "-" if line.forecast is None else _usd(line.forecast.expected)
        share = _share(line.known, its.cap_pico)
        rows.append(
            (its.name, line.state.key.who or "-", line.state.key.window, _usd(its.cap_pico), _usd(line.state.settled),
             share, line.level, ahead)
        )  # fmt: skip
    head = ("budget", "whose", "window", "cap", "spent", "share", "level", "expected at its end")
    shares = [line.known / line.budget.cap_pico for line in report.budgets]
    note = "Of a budget that is split, its fullest account."
    return Section("Budgets", note, head, rows, (3, 4, 5, 7), shares=shares)


def _cost_by_hour(report: DayReport) -> Section:
    hours = _begun(report)
    most = max((max(hour.cost_pico, hour.expected_pico or 0) for hour in hours), default=0)
    if not most:
        return Section("Cost by the hour")
    bars = [_cost_bar(hour, most, report.zone) for hour in hours]
    note = f"The full height is {_usd(most)}."
    if any(bar.mark is not None for bar in bars):
        note += "  A line marks what such an hour should cost."
    return Section("Cost by the hour", note, bars=bars)


def _cost_bar(hour: Hour, most: float, zone: tzinfo) -> Bar:
    label = f"{_clock(hour.start_ms, zone):%H}"
    words = f"{label}:00  {_usd(hour.cost_pico)}, {counted(hour.calls, 'call')}"
    odd = False
    if hour.expected_pico is not None and hour.band_pico is not None:
        words += f"; expected {_usd(hour.expected_pico)}"
        odd = hour.cost_pico > hour.expected_pico + hour.band_pico
    mark = None if hour.expected_pico is None else hour.expected_pico / most
    return Bar(label, hour.cost_pico / most, mark, words, odd)


def _calls_by_hour(report: DayReport) -> Section:
    hours = _begun(report)
    most = max((hour.calls for hour in hours), default=0)
    if not most:
        return Section("Calls by the hour")
    bars = [_calls_bar(hour, most, report.zone) for hour in hours]
    note = f"The full height is {counted(most, 'call')}."
    if any(bar.odd for bar in bars):
        note += f"  Marked are hours in which more than {percent(FAILED_TOLERATED)} of them failed."
    return Section("Calls by the hour", note, bars=bars)


def _calls_bar(hour: Hour, most: int, zone: tzinfo) -> Bar:
    label = f"{_clock(hour.start_ms, zone):%H}"
    failed = f", {hour.failed:,} failed" if hour.failed else ""
    odd = hour.failed > FAILED_TOLERATED * hour.calls
    return Bar(label, hour.calls / most, None, f"{label}:00  {counted(hour.calls, 'call')}{failed}", odd)


def _begun(report: DayReport) -> list[Hour]:
    return [hour for hour in report.hours if hour.start_ms < report.until_ms]


def _workflows(report: DayReport) -> Section:
    head = ("workflow", "calls", "errors", "p50", "p95", "p99", "retries", "refused by us", "fallbacks", "cut",
            "refusals", "unfit outputs")  # fmt: skip
    rows = [_went(each) for each in _each_workflow(report)]
    return Section("How workflows did", head=head, rows=rows, right=range(1, len(head)))


def _went(each: WorkflowDay) -> tuple[str, ...]:
    pace = each.pace
    if pace is None:
        return (each.spend.name, *["-"] * 11)
    times = (_s(ms) for _, ms in _percentiles(pace.p50_ms, pace.p95_ms, pace.p99_ms))
    counts = (pace.retries, pace.shed, pace.fallbacks, each.truncated, each.refused)
    failed = _share(pace.failed, pace.counted)
    unfit = _share(pace.unfit, pace.judged)
    return (each.spend.name, f"{pace.calls:,}", failed, *times, *(f"{count:,}" for count in counts), unfit)


def _workflow_costs(report: DayReport) -> Section:
    compared = "change" if report.compared is None else f"against {report.compared.isoformat()}"
    head = ("workflow", "cost", "share", compared, "tokens in", "cached", "tokens out")
    costs = [each.spend.cost_pico / (report.total.cost_pico or 1) for each in _each_workflow(report)]
    rows = [_costs(each, share) for each, share in zip(_each_workflow(report), costs, strict=True)]
    return Section("What workflows cost", head=head, rows=rows, right=range(1, len(head)), shares=costs)


def _costs(each: WorkflowDay, share: float) -> tuple[str, ...]:
    row, prompt = each.spend, each.spend.prompt_tokens
    change = "-" if each.before_pico is None else _against(row.cost_pico, each.before_pico)
    tokens = (f"{prompt:,}", _share(row.cache_read_tokens, prompt), f"{row.output_tokens:,}")
    return (row.name, _usd(row.cost_pico), percent(share), change, *tokens)


def _each_workflow(report: DayReport) -> list[WorkflowDay]:
    return [each for each in (*report.workflows, report.others) if each is not None]


def _changes(report: DayReport) -> Section:
    rows = [
        (change.workflow, change.model, _signed(change.pico), _why(change), _cached(change))
        for change in report.changes
        if abs(change.pico) >= 10**10
    ]
    since = "" if report.compared is None else f"Against {report.compared.isoformat()}, the last {report.kind}"
    since += "." if report.over or not since else ", until the same hour."
    return Section("What changed most", since, ("workflow", "model", "cost", "because of", "cached"), rows, (2,))


def _why(change: Change) -> str:
    parts = sorted(change.parts.items(), key=lambda part: -abs(part[1]))
    told = [f"{_FACTORS[name]} {_signed(pico)}" for name, pico in parts if abs(pico) >= 0.1 * abs(change.pico)]
    return ", ".join(told)


def _cached(change: Change) -> str:
    shares = (change.cached_share_before, change.cached_share_after)
    return " to ".join("-" if share is None else percent(share) for share in shares)


def _hidden(report: DayReport) -> Section:
    rows = [(each.error, each.workflow, each.model, f"{each.calls:,}") for each in report.hidden[:MOST_ROWS]]
    note = "Failures that nobody saw, because a later attempt was answered."
    return Section("What retries hid", note, ("error", "workflow", "model", "answers"), rows, (3,))


def _endings(title: str, note: str, ways: Sequence[Ended], cause: Callable[[Ended], str]) -> Section:
    counts = Counter[tuple[str, str]]()
    for each in ways:
        counts[cause(each), each.workflow] += each.calls
    rows = [(name, workflow, f"{calls:,}") for (name, workflow), calls in counts.most_common(MOST_ROWS)]
    if len(counts) > MOST_ROWS:
        note = f"{note}  The {MOST_ROWS} of {len(counts):,} with most calls."
    return Section(title, note, ("why", "workflow", "calls"), rows, (2,))


def _reason(each: Ended) -> str:
    return each.reason or each.outcome


def _stop(each: Ended) -> str:
    return f"{each.stop_reason} ({each.refusal_category})" if each.refusal_category else each.stop_reason or "-"


def _singles(title: str, calls: Sequence[Single], zone: tzinfo) -> Section:
    rows = [
        (f"{_clock(each.started_ms, zone):%H:%M:%S}", each.workflow, each.model or "-", _s(each.total_ms),
         _s(each.queue_ms), f"{each.input_tokens:,}", f"{each.output_tokens:,}", _usd(each.cost_pico), each.call_id)
        for each in calls
    ]  # fmt: skip
    head = ("at", "workflow", "model", "took", "waited", "tokens in", "tokens out", "cost", "call")
    return Section(title, head=head, rows=rows, right=(3, 4, 5, 6, 7))


def _alerts(report: DayReport) -> Section:
    """One line for each alert, however often it came and went."""
    spans: dict[tuple[str, str], list[AlertSpan]] = {}
    for each in report.alerts:
        whose = ", ".join(f"{name}={value}" for name, value in each.labels.items()) or "-"
        spans.setdefault((each.id, whose), []).append(each)
    rows = []
    for (id, whose), fired in spans.items():
        began = f"{_clock(min(each.started_ms for each in fired), report.zone):%H:%M}"
        lasted = sum(each.ended_ms - each.started_ms for each in fired if each.ended_ms is not None)
        still = any(each.ended_ms is None for each in fired)
        rows.append((id, fired[0].title, fired[0].severity, whose, began, "still" if still else _s(lasted),
                     f"{len(fired):,}"))  # fmt: skip
    head = ("alert", "what", "severity", "whose", "began", "lasted", "times")
    return Section("Alerts", "headgate alerts explain ID tells what to do.", head, rows, (4, 5, 6))


def _percentiles(*values: float | None) -> list[tuple[str, float | None]]:
    return list(zip(("p50", "p95", "p99"), values, strict=True))


def _usd(pico: float | None) -> str:
    return "unknown" if pico is None else dollars(usd(round(pico)))


def _signed(pico: float) -> str:
    return f"{'+' if pico >= 0 else '-'}{_usd(abs(pico))}"


def _against(now: float, before: float) -> str:
    if not before:
        return "new" if now else "as before"
    change = round(now / before - 1, 2) or 0.0
    return f"{'+' if change > 0 else ''}{percent(change)}"


def _beside(now: float, expected: float) -> str:
    """`50 % less than`, to be followed by what is expected."""
    change = round(now / expected - 1, 2) if expected else 0
    if not change:
        return "as much as" if expected or not now else "more than"
    return f"{percent(abs(change))} {'more' if change > 0 else 'less'} than"


def _share(part: float, whole: float) -> str:
    return percent(part / whole) if whole else "-"


def _s(ms: float | None) -> str:
    return "-" if ms is None else took(ms)


def _clock(unix_ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone(zone)
