"""Presidio as one more family: what it finds is named and placed as ours."""

from __future__ import annotations

import sys
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from headgate.clock import SystemClock
from headgate.config.schema import Config, LogConfig
from headgate.engine.content import content_desk
from headgate.errors import ConfigError
from headgate.safety.scrub import FAMILIES, Scrubber
from headgate.safety.scrub.presidio import presidio
from headgate.stores.sqlite.content import SqliteContent
from support.records import call


@pytest.fixture
def analyzer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Presidio that knows two names: its real one needs a language model."""

    class AnalyzerEngine:
        def __init__(self, supported_languages: list[str]) -> None:
            assert supported_languages == ["en"]

        def analyze(self, text: str, **_: Any) -> list[SimpleNamespace]:
            found = []
            for name, score in (("Ada Lovelace", 0.85), ("May", 0.3)):
                at = text.find(name)
                if at >= 0:
                    found.append(SimpleNamespace(entity_type="PERSON", start=at, end=at + len(name), score=score))
            return found

    module = ModuleType("presidio_analyzer")
    module.AnalyzerEngine = AnalyzerEngine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)


@pytest.mark.usefixtures("analyzer")
def test_what_presidio_is_sure_of_goes_too():
    scrubber = Scrubber(families=(*FAMILIES, presidio("en")))

    text = scrubber.feed("Yesterday Ada Lovelace wrote to ada@example.org in May") + scrubber.close()

    assert text == "Yesterday [name] wrote to [email] in May"


@pytest.mark.usefixtures("analyzer")
def test_a_setting_asks_it_of_all_text_that_is_kept():
    config = Config(log=LogConfig(content="scrubbed", presidio="en"))
    desk = content_desk(config, None, SystemClock(), Random(1), on_disk=False)
    assert desk is not None

    desk.take(call("call_1"), b'{"messages": "Yesterday Ada Lovelace wrote"}', b"", streamed=False)

    assert isinstance(desk.store, SqliteContent)
    kept = desk.store.text_of("call_1")
    assert kept is not None
    assert kept.request == '{"messages":"Yesterday [name] wrote"}'


def test_without_the_extra_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)

    with pytest.raises(ConfigError, match=r"pip install 'headgate\[pii\]'"):
        presidio()
