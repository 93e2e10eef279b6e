"""The daily report is sent once to each receiver, when it is due and not before."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from headgate.clock import Clock
from headgate.core.day_class import DayClasses
from headgate.report.facts import DayReport, Sources, gather
from headgate.report.letter import Letter
from headgate.report.schedule import ReportSchedule
from headgate.stores.sqlite.telemetry import Telemetry
from support.records import FIRST_DAY_MS, spent

USD = 10**12
CLASSES = DayClasses(zone=ZoneInfo("Europe/Amsterdam"))


class At(Clock):
    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self.at_ms = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)

    def unix_ms(self) -> int:
        return self.at_ms


class Box:
    def __init__(self, name: str) -> None:
        self.name = name
        self.got: list[str] = []
        self.is_down = False

    async def post(self, letter: Letter) -> None:
        if self.is_down:
            raise ConnectionError("nobody listens there")
        self.got.append(letter.title)


class Office:
    """A ledger with a call on 16 February, a clock, and two receivers."""

    def __init__(self, folder: Path, *, leads: bool = True) -> None:
        self.ledger = spent(folder / "ledger.db", {"cost_pico": USD, "started_ms": FIRST_DAY_MS + 3_600_000})
        self.telemetry = Telemetry(folder / "telemetry.db")
        self.clock = At("2026-02-17 00:00")
        self.mail, self.chat = Box("mail"), Box("chat")
        self.gathered: list[date] = []
        self.leads = leads
        self.restart()

    def restart(self) -> None:
        self.schedule = ReportSchedule(
            time(7), self.gather, [self.mail, self.chat], self.telemetry, CLASSES, self.clock, lambda: self.leads
        )

    async def gather(self, day: date) -> DayReport:
        self.gathered.append(day)
        sources = Sources(self.ledger, {}, lambda at_ms: [], str, CLASSES, lambda since, until: [])
        return gather(sources, day, self.clock.unix_ms())

    async def look(self, *at: str) -> None:
        for each in at:
            self.clock.set(each)
            await self.schedule.look()


TITLE = "Headgate, Monday 2026-02-16"


def test_the_day_before_is_told_from_seven_on_by_the_clock_on_the_wall(tmp_path: Path):
    """06:00 UTC is seven in Amsterdam."""
    office = Office(tmp_path)

    asyncio.run(office.look("2026-02-17 05:59", "2026-02-17 06:00"))

    assert office.mail.got == office.chat.got == [TITLE]
    assert office.gathered == [date(2026, 2, 16)]


def test_nobody_is_told_twice_also_after_a_restart(tmp_path: Path):
    office = Office(tmp_path)

    async def main() -> None:
        await office.look("2026-02-17 06:00", "2026-02-17 06:01")
        office.restart()
        await office.look("2026-02-17 09:00")

    asyncio.run(main())

    assert office.mail.got == [TITLE]


def test_who_does_not_take_it_is_tried_again_and_the_others_are_not(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    office = Office(tmp_path)
    office.mail.is_down = True

    async def main() -> None:
        await office.look("2026-02-17 06:00", "2026-02-17 06:01")
        office.mail.is_down = False
        await office.look("2026-02-17 11:00")

    asyncio.run(main())

    assert (office.mail.got, office.chat.got) == ([TITLE], [TITLE])
    assert [line for line in caplog.messages if "not taken" in line] == [
        "the report of 2026-02-16 was not taken by mail: nobody listens there"
    ]


def test_a_day_on_which_nothing_happened_is_not_told(tmp_path: Path):
    office = Office(tmp_path)

    asyncio.run(office.look("2026-02-19 06:00", "2026-02-19 06:01"))

    assert office.mail.got == []
    assert office.gathered == [date(2026, 2, 18)]


def test_of_several_processes_one_tells(tmp_path: Path):
    office = Office(tmp_path, leads=False)

    asyncio.run(office.look("2026-02-17 06:00"))

    assert office.gathered == []


def test_a_ledger_that_cannot_be_read_is_said_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    office = Office(tmp_path)
    good = office.ledger
    office.ledger = tmp_path / "gone.db"

    async def main() -> None:
        await office.look("2026-02-17 06:00")
        office.ledger = good
        await office.look("2026-02-17 06:01")

    asyncio.run(main())

    assert "the report of 2026-02-16 waits" in caplog.text
    assert office.mail.got == [TITLE]
