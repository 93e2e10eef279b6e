"""Presidio as one more family: what it finds is named and placed as ours.

The models it is used with come from no package registry, so these tests make one that knows two names.
"""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path
from random import Random

import pytest

from headgate.clock import SystemClock
from headgate.config.schema import Config, LogConfig
from headgate.engine.content import content_desk
from headgate.errors import ConfigError
from headgate.safety.scrub import FAMILIES, Scrubber
from headgate.safety.scrub.presidio import presidio
from headgate.stores.sqlite.content import SqliteContent
from headgate.telemetry.log_line import LogEntry
from support.records import call

needs_presidio = pytest.mark.skipif(
    importlib.util.find_spec("presidio_analyzer") is None, reason="Presidio is not installed; get it with: make pii"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of spaCy's, as `spacy download` would bring it, for German."""
    import spacy

    pipeline = spacy.blank("de")
    pipeline.add_pipe("entity_ruler").add_patterns(
        [{"label": "PER", "pattern": "Ada Lovelace"}, {"label": "LOC", "pattern": "Köln"}]
    )
    folder = tmp_path_factory.mktemp("models") / "de_two_names"
    pipeline.to_disk(folder)
    return folder


@needs_presidio
def test_what_presidio_finds_goes_too(model: Path):
    scrubber = Scrubber(families=(*FAMILIES, presidio(str(model))))

    text = scrubber.feed("Gestern schrieb Ada Lovelace aus Köln an ada@example.org") + scrubber.close()

    assert text == "Gestern schrieb [name] aus [address] an [email]"


@needs_presidio
def test_what_it_is_not_sure_of_is_left(model: Path):
    """Presidio gives what a model names 0.85."""
    scrubber = Scrubber(families=(presidio(str(model), least_score=0.9),))

    assert scrubber.feed("Ada Lovelace") + scrubber.close() == "Ada Lovelace"


@needs_presidio
def test_it_asks_nobody_on_the_internet(model: Path, monkeypatch: pytest.MonkeyPatch):
    """Text with personal data is read here, and no list or model is fetched for it."""

    def nobody(*_: object, **__: object) -> None:
        raise AssertionError("Presidio asks the internet")

    monkeypatch.setattr(socket.socket, "connect", nobody)
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    scrubber = Scrubber(families=(presidio(str(model)),))

    assert scrubber.feed("Ada Lovelace, ada@example.org") + scrubber.close() == "[name], ada@example.org"


@needs_presidio
def test_a_setting_asks_it_of_all_text_that_is_kept(model: Path):
    config = Config(log=LogConfig(content="scrubbed", presidio=str(model)))
    desk = content_desk(config, None, SystemClock(), Random(1), on_disk=False)
    assert desk is not None

    desk.take(LogEntry(record=call("call_1")), b'{"messages": "Gestern schrieb Ada Lovelace"}', b"", streamed=False)

    assert isinstance(desk.store, SqliteContent)
    kept = desk.store.text_of("call_1")
    assert kept is not None
    assert kept.request == '{"messages":"Gestern schrieb [name]"}'


@needs_presidio
def test_a_model_that_is_not_there_is_told_how_to_get_it():
    with pytest.raises(ConfigError, match="python -m spacy download en_core_web_lg"):
        presidio("en_core_web_lg")


def test_without_the_extra_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)

    with pytest.raises(ConfigError, match=r"pip install 'headgate\[pii\]'"):
        presidio("en_core_web_lg")
