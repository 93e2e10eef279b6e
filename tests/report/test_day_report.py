"""The report of a day: its facts are the ledger's, its words say what follows, and what callers named stays text."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from headgate.config.budgets import budget_of
from headgate.config.schema import BudgetConfig
from headgate.core.budget import AccountKey
from headgate.core.day_class import DayClasses, DaySpan
from headgate.core.grants import State
from headgate.core.printable import no_formula, printable
from headgate.report.document import facts_of
from headgate.report.facts import AlertSpan, DayReport, Sources, gather
from headgate.report.html import html_of
from headgate.report.markdown import markdown_of
from headgate.report.words import page_of
from headgate.stores.sqlite.queries import spend, total_of
from support.records import DAY_MS, FIRST_DAY_MS, spent

HOUR_MS = 3_600_000
USD = 10**12
MONDAY = date(2026, 2, 16)
"""The day at FIRST_DAY_MS."""


def ledger_of(folder: Path, *calls: dict[str, Any]) -> Path:
    return spent(folder / "ledger.db", *calls)


def report_of(
    ledger: Path,
    day: date = MONDAY,
    *,
    now_ms: int = FIRST_DAY_MS + 40 * DAY_MS,
    classes: DayClasses | None = None,
    settled: int = 0,
    alerts: tuple[AlertSpan, ...] = (),
) -> DayReport:
    budget = budget_of("team-day", BudgetConfig(usd="10", window="day"))
    state = State(AccountKey("team-day", "", day.isoformat()), settled, 0, 0, end_ms=FIRST_DAY_MS + 400 * DAY_MS)
    sources = Sources(
        ledger, {"team-day": budget}, lambda at_ms: [state], str, classes or DayClasses(), lambda since, until: alerts
    )
    return gather(sources, day, now_ms)


def days(count: int, **fields: Any) -> list[dict[str, Any]]:
    """A call an hour for so many days."""
    return [{"started_ms": FIRST_DAY_MS + hour * HOUR_MS, "cost_pico": USD} | fields for hour in range(count * 24)]


# -- facts -----------------------------------------------------------------------------------------------------------


def test_its_totals_are_those_of_the_ledger(tmp_path: Path):
    """One definition of what was spent: the report's total, the sum of its workflows, and `headgate cost`."""
    path = ledger_of(
        tmp_path,
        {"workflow": "chat", "cost_pico": 3 * USD, "cache_read_tokens": 70, "input_tokens": 30},
        {"workflow": "nightly", "cost_pico": 2 * USD, "outcome": "timeout"},
        {"workflow": "chat", "cost_pico": 9 * USD, "started_ms": FIRST_DAY_MS + DAY_MS},
    )

    told = report_of(path)

    its = total_of(spend(path, "workflow", since_ms=FIRST_DAY_MS, until_ms=FIRST_DAY_MS + DAY_MS))
    assert told.total == its
    assert its.cost_pico == sum(each.spend.cost_pico for each in told.workflows) == 5 * USD
    assert sum(hour.cost_pico for hour in told.hours) == 5 * USD


def test_what_headgate_asked_of_its_own_accord_is_told_apart(tmp_path: Path):
    """Its money is in the total and in a line that says what for; what is told of calls is told of calls."""
    of_tokens = {"workflow": "chat", "total_ms": 100.0, "input_tokens": 75, "cache_read_tokens": 25}
    path = ledger_of(
        tmp_path,
        of_tokens | {"cost_pico": 3 * USD},
        of_tokens | {"cost_pico": USD, "own": "keep_alive", "total_ms": 9000.0, "stop_reason": "max_tokens"},
    )

    told = report_of(path)

    assert (told.total.cost_pico, told.total.calls, told.callers.cost_pico) == (4 * USD, 1, 3 * USD)
    assert [(each.spend.name, each.pace is None) for each in told.workflows] == [("chat", False), ("(headgate)", True)]
    assert (told.p99_ms, told.cut_or_refused, [each.workflow for each in told.slowest]) == (100, [], ["chat"])
    assert sum(hour.calls for hour in told.hours) == 1
    tokens, own_words = page_of(told).summary[-2:]
    assert tokens.startswith("100 tokens in, 25")
    assert own_words == "Headgate's own requests: 1, $1.00: kept caches alive."
    assert page_of(told).summary[0].endswith("$3.00 an answer.")
    (own,) = facts_of(told)["own"]
    assert own == {"own": "keep_alive", "workflow": "chat", "requests": 1, "cost_usd": "1.000000000000"}


def test_j02_names_without_end_are_a_page_and_their_sum(tmp_path: Path):
    """Callers name workflows as they like; who gets the report by mail can still read it, and no cent is lost."""
    names = [f"job-{number}" for number in range(400)]
    calls = [
        {"workflow": name, "cost_pico": USD, "outcome": "upstream_error", "stop_reason": "max_tokens"} for name in names
    ]
    told = report_of(ledger_of(tmp_path, *calls))

    facts = facts_of(told)

    shown = [*told.workflows, told.others]
    assert sum(each.spend.cost_pico for each in shown if each is not None) == told.total.cost_pico == 400 * USD
    assert (facts["others"]["name"], facts["others"]["calls"]) == ("300 others", 300)
    assert len(markdown_of(page_of(told)).splitlines()) < 400


def test_a_day_is_that_of_the_calendars_zone(tmp_path: Path):
    """A call at half past midnight in Kiritimati is of the 17th there and of the 16th in UTC."""
    from zoneinfo import ZoneInfo

    path = ledger_of(tmp_path, {"started_ms": FIRST_DAY_MS + 10 * HOUR_MS + HOUR_MS // 2, "cost_pico": USD})

    there = report_of(path, date(2026, 2, 17), classes=DayClasses(zone=ZoneInfo("Pacific/Kiritimati")))

    assert (there.total.calls, there.hours[0].calls) == (1, 1)


def test_it_says_what_such_a_day_should_have_cost(tmp_path: Path):
    """By days of its own kind: five ordinary weekdays before it."""
    calls = days(8)
    risen = [call | {"cost_pico": 3 * USD} for call in calls if call["started_ms"] >= FIRST_DAY_MS + 7 * DAY_MS]
    path = ledger_of(tmp_path, *calls[: 7 * 24], *risen)

    told = report_of(path, date(2026, 2, 23))

    assert (told.kind, told.compared) == ("workday", date(2026, 2, 20))
    assert told.expected_pico == 24 * USD
    assert told.total.cost_pico == 72 * USD


def test_a_day_is_compared_with_the_last_of_its_kind(tmp_path: Path):
    path = ledger_of(tmp_path, *days(10))
    audit = DayClasses(
        spans=(
            DaySpan(date(2026, 2, 18), date(2026, 2, 18), "audit"),
            DaySpan(date(2026, 2, 24), date(2026, 2, 24), "audit"),
        )
    )

    assert report_of(path, date(2026, 2, 24), classes=audit).compared == date(2026, 2, 18)
    assert report_of(path, date(2026, 2, 23)).compared == date(2026, 2, 20)
    assert report_of(path, MONDAY).compared is None


def test_of_a_day_that_is_not_over_only_the_past_is_told_and_expected(tmp_path: Path):
    path = ledger_of(tmp_path, *days(8))

    told = report_of(path, date(2026, 2, 23), now_ms=FIRST_DAY_MS + 7 * DAY_MS + 6 * HOUR_MS)

    assert not told.over
    assert told.total.calls == 6
    assert told.expected_pico == 6 * USD
    assert "so far" in page_of(told).title


def test_of_a_day_that_is_not_over_only_as_much_of_another_is_compared(tmp_path: Path):
    """Six hours of today beside a whole day would be a collapse every morning."""
    path = ledger_of(tmp_path, *days(8))

    told = report_of(path, date(2026, 2, 23), now_ms=FIRST_DAY_MS + 7 * DAY_MS + 6 * HOUR_MS)

    assert [each.before_pico for each in told.workflows] == [6 * USD]
    assert told.changes == []


def test_what_retries_hid_is_told_by_error(tmp_path: Path):
    import apsw

    path = ledger_of(tmp_path, {"attempts": 2}, {"attempts": 3, "outcome": "upstream_error"}, {"attempts": 1})
    db = apsw.Connection(str(path))
    db.execute("UPDATE attempts SET error = 'overloaded' WHERE status = 529")
    db.close()

    told = report_of(path)

    assert [(each.error, each.calls) for each in told.hidden] == [("overloaded", 1)]


# -- words -----------------------------------------------------------------------------------------------------------


def steps_of(told: DayReport) -> list[str]:
    return [step.command for step in page_of(told).steps]


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        ({"outcome": "upstream_error"}, "headgate limits"),
        ({"attempts": 2}, "headgate limits"),
        ({"input_tokens": 10_000}, "headgate cache advise"),
        ({"stop_reason": "max_tokens"}, "headgate cost max-tokens"),
        ({"validation": "truncated"}, "headgate alerts explain output_unfit"),
        ({"cost_pico": None, "cost_problem": "geo:eu"}, "headgate prices"),
        ({"outcome": "shed", "reason": "wait_too_long", "attempts": 0}, "headgate plan --help"),
        ({"outcome": "shed", "reason": "budget", "attempts": 0}, "headgate budget"),
        ({"unconfirmed_pico": USD}, "headgate cost reconcile"),
    ],
)
def test_each_trouble_names_the_command_that_goes_on_from_there(tmp_path: Path, fields: dict[str, Any], command: str):
    path = ledger_of(tmp_path, *({"cost_pico": USD} | fields for _ in range(60)))

    assert command in steps_of(report_of(path))


def test_a_day_without_trouble_asks_for_nothing(tmp_path: Path):
    calls = [{"cost_pico": USD, "input_tokens": 100, "cache_read_tokens": 9_900} for _ in range(60)]

    assert steps_of(report_of(ledger_of(tmp_path, *calls))) == []


def test_a_budget_beyond_a_threshold_is_said_first(tmp_path: Path):
    path = ledger_of(tmp_path, *days(1))

    told = report_of(path, settled=9 * USD)

    assert page_of(told).steps[0].why == "Budget team-day is at 90 % of the $10.00 for its day."


def test_a_budget_that_will_not_last_is_said_before_it_is_spent(tmp_path: Path):
    """At six o'clock, of $10 for a day that costs a dollar an hour."""
    path = ledger_of(tmp_path, *days(8))

    told = report_of(path, date(2026, 2, 23), now_ms=FIRST_DAY_MS + 7 * DAY_MS + 6 * HOUR_MS, settled=4 * USD)

    assert page_of(told).steps[0].why.startswith("Budget team-day will not last its day: $")


def test_alerts_of_the_day_are_told_with_how_long_they_lasted(tmp_path: Path):
    alert = AlertSpan(
        "error_rate", "Errors", "page", {"workflow": "chat"}, FIRST_DAY_MS + HOUR_MS, FIRST_DAY_MS + 2 * HOUR_MS
    )

    text = markdown_of(page_of(report_of(ledger_of(tmp_path, {}), alerts=(alert,))))

    assert "| error_rate | Errors | page | workflow=chat | 01:00 | 60 min |" in text


def test_an_alert_that_comes_and_goes_is_one_line(tmp_path: Path):
    spans = tuple(
        AlertSpan(
            "queue_age", "Calls wait", "ticket", {}, FIRST_DAY_MS + hour * HOUR_MS, FIRST_DAY_MS + (hour + 1) * HOUR_MS
        )
        for hour in (3, 7)
    )

    text = markdown_of(page_of(report_of(ledger_of(tmp_path, {}), alerts=spans)))

    assert "| queue_age | Calls wait | ticket | - | 03:00 | 120 min | 2 |" in text


def test_what_is_looked_at_first_is_a_handful_of_figures(tmp_path: Path):
    """Each beside what it should be or is made of."""
    calls = days(8, input_tokens=100, cache_read_tokens=300)
    path = ledger_of(
        tmp_path,
        *(
            {**call, "cost_pico": 2 * USD} if call["started_ms"] >= FIRST_DAY_MS + 7 * DAY_MS else call
            for call in calls
        ),
    )

    figures = {each.name: (each.value, each.note) for each in page_of(report_of(path, date(2026, 2, 23))).figures}

    assert figures["Cost"] == ("$48.00", "100 % more than $24.00, expected of a workday")
    assert figures["Calls"] == ("24", "100 % answered")
    assert figures["Read from cache"] == ("75 %", "of 9,600 tokens in")


# -- files -----------------------------------------------------------------------------------------------------------

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[click](https://evil.example)",
    "https://evil.example/x",
    "=HYPERLINK(1)|a|b",
    "a\r\n# b",
    "\x1b[31mred",
)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


NOTHING_ACTIVE = {"script", "img", "a", "iframe", "link", "form", "em", "strong"}


@pytest.mark.parametrize("name", EVIL)
def test_j05_j07_what_callers_named_stays_text(tmp_path: Path, name: str):
    """In a browser, and in Markdown once a program has made a page of it."""
    page = page_of(report_of(ledger_of(tmp_path, {"workflow": name, "cost_pico": USD})))
    markdown = markdown_of(page)

    html, rendered = Tags(html_of(page)), Tags(MarkdownIt("commonmark").enable("table").render(markdown))

    assert html.tags.isdisjoint(NOTHING_ACTIVE)
    assert rendered.tags.isdisjoint(NOTHING_ACTIVE)
    assert no_formula(name) in html.words
    assert rendered.words.count(printable(no_formula(name))) == html.words.count(no_formula(name))
    assert "s://" not in markdown


FORMULAS = ("=1+1", "=HYPERLINK(1)", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "=", "+x", "-x")


@pytest.mark.parametrize("name", FORMULAS)
def test_j07_no_cell_of_a_report_is_a_formula(tmp_path: Path, name: str):
    """A spreadsheet opens HTML, and takes a table that is pasted; figures stay figures."""
    page = page_of(report_of(ledger_of(tmp_path, {"workflow": name, "cost_pico": USD}, {"cost_pico": USD})))
    of_markdown = MarkdownIt("commonmark").enable("table").render(markdown_of(page))

    assert f"'{name}" in Tags(html_of(page)).words
    assert f"'{printable(name)}" in Tags(of_markdown).words
    assert {name, printable(name)}.isdisjoint((*Tags(html_of(page)).words, *Tags(of_markdown).words))


@pytest.mark.parametrize("figure", ["-", "+12%", "-3.5 %", "-$1,200.50", "+4 min", "$3", "12", "a=b", ""])
def test_j07_a_figure_is_no_formula(figure: str):
    assert no_formula(figure) == figure


def test_one_html_file_asks_nobody_for_anything(tmp_path: Path):
    """No script, no image, no style sheet: it is the same in ten years, and in a mail program."""
    html = html_of(page_of(report_of(ledger_of(tmp_path, *days(1)))))

    assert Tags(html).tags.isdisjoint({"script", "link", "img", "iframe"})
    assert "http" not in html
    assert "var(" not in html  # mail programs drop what is coloured by a name


def test_its_json_has_exact_money(tmp_path: Path):
    facts = facts_of(report_of(ledger_of(tmp_path, {"cost_pico": 1}, {"cost_pico": 10**12})))

    assert facts["total"]["cost_usd"] == "1.000000000001"
    assert facts["workflows"][0]["cost_usd"] == "1.000000000001"
