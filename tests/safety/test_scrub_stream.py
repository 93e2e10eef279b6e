"""A text in pieces, in disguise, or of a size meant to hurt (J14, J15, J16)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.safety.scrub import Placeholders, Scrubber, find, scrub
from headgate.safety.scrub.families import FAMILIES
from headgate.safety.scrub.finding import Finding, Window
from headgate.safety.scrub.scrubber import BLOCK, MARGIN_BEFORE, MARGIN_BEHIND

PARTS = (
    "ada@example.org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "+44 20 7946 0958", "phone ", "card ",
    "\n", " ",
    "\\u0061da\\u0040example.org", "192.168.7.12", "Regards,\nAda Lovelace\n", "x" * 500, "sk-ant-" + "a1B2" * 9,
    "-----BEGIN PRIVATE KEY-----\n" + "MIIE" * 300 + "\n-----END PRIVATE KEY-----", "\u200b", "é", "my name is Ada ",
)  # fmt: skip


def in_pieces(text: str, cuts: Iterable[int]) -> str:
    scrubber = Scrubber()
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return "".join(scrubber.feed(text[a:b]) for a, b in pairwise(places)) + scrubber.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), max_size=40),
    st.integers(0, 3),
    st.lists(st.integers(0, 200_000), max_size=30),
)
def test_j14_what_comes_in_pieces_is_scrubbed_as_the_whole(parts: list[str], blocks: int, cuts: list[int]):
    """However it is cut: in the middle of a number, of an escape, of a key; also where a block ends."""
    text = "word " * (blocks * BLOCK // 5 - 40 if blocks else 0) + "".join(parts)

    assert in_pieces(text, cuts) == scrub(text)


def test_j14_a_value_where_a_block_ends_is_found_whole():
    for offset in range(-26, 2, 2):
        text = "a " * ((BLOCK + offset) // 2) + "mail ada@example.org now" + " z" * 100

        assert "example.org" not in scrub(text), offset


def test_j14_one_character_at_a_time_is_the_same():
    text = "Card 4111 1111 1111 1111, mail ada@example.org, from 10.1.2.3"

    assert in_pieces(text, range(len(text))) == "Card [card], mail [email], from [ip]"


@pytest.mark.parametrize(
    "disguised",
    [
        "ada@example.org".replace("@", "\\u0040"),
        json.dumps({"text": json.dumps("ada\u0040example.org").replace("@", "\\u0040")}),
        "аda@exаmple.org",  # Cyrillic letters
        "ａｄａ＠ｅｘａｍｐｌｅ．ｏｒｇ",
        "𝖺𝖽𝖺@𝖾𝗑𝖺𝗆𝗉𝗅𝖾.𝗈𝗋𝗀",
        "a\u200bd\u200da@exa\ufeffmple.o\u00adrg",
        "ada%40example.org",
        "ada&#64;example&#x2e;org",
        "ada (at) example (dot) org",
    ],
)
def test_j14_a_disguise_does_not_hide_an_address(disguised: str):
    """Escapes, look-alikes, wide letters, characters that are not seen: rules read what a reader reads."""
    assert [finding.type for finding in find(f"write to {disguised} soon")] == ["email"]


@pytest.mark.parametrize(
    "digits",
    [
        "٤١١١١١١١١١١١١١١١",
        "４１１１１１１１１１１１１１１１",
        "४१११११११११११११११",
        "4\u200b111\u200b1111\u200b1111\u200b1111",
    ],
)
def test_j14_digits_of_any_script_are_digits(digits: str):
    assert scrub(f"card {digits}.") == "card [card]."


def test_what_is_around_a_disguised_value_stays_as_it_was():
    """Only what was found is replaced, at its place in the original."""
    assert (
        scrub("Größe \u200b5 \\u00e9 ä, ada\\u0040example.org ｗｉｄｅ") == "Größe \u200b5 \\u00e9 ä, [email] ｗｉｄｅ"
    )


def test_json_stays_json():
    """What is replaced in a string does not reach beyond its quotes."""
    document = {
        "to": "ada@example.org",
        "text": 'call +44 20 7946 0958\nor "none"',
        "card": "4111111111111111",
        "n": [1, 2],
    }

    assert json.loads(scrub(json.dumps(document))) == {
        "to": "[email]", "text": "call [phone]\nor \"none\"", "card": "[card]", "n": [1, 2],
    }  # fmt: skip


def test_one_value_has_one_placeholder():
    """So that it stays readable who is who; in another disguise it is the same value."""
    assert scrub("a@x.org, b@x.org, A@X.ORG, a\u200b@x.org") == "[email], [email-2], [email], [email]"


def test_j16_nothing_leads_back_from_a_placeholder():
    """Numbers begin anew with each text, so that those of two callers are never related; no value is kept."""
    assert scrub("b@x.org") == scrub("a@x.org") == "[email]"
    assert not any(hasattr(Placeholders(), name) for name in ("values", "restore", "value_of"))


# -- J15 -----------------------------------------------------------------------------------------------------------


def test_j15_each_character_is_looked_at_a_bounded_number_of_times():
    """Ten megabytes are scanned in blocks that overlap by little, whatever they hold: counted, not timed."""
    seen: list[int] = []

    def watching(window: Window) -> Iterable[Finding]:
        seen.append(len(window.text))
        return ()

    text = "a@" * 5_000_000
    assert len(Scrubber(families=[watching]).feed(text)) > len(text) - BLOCK - MARGIN_BEHIND

    assert max(seen) <= BLOCK + MARGIN_BEFORE + MARGIN_BEHIND
    assert sum(seen) <= len(text) * (BLOCK + MARGIN_BEFORE + MARGIN_BEHIND) / BLOCK


HOSTILE = (
    "a", "1", "1 ", "12-", "0", "00 ", "@", "a@", "a.", "a@a.", "'a", ":", "a:", "1:", "f:", "1.", "sk-", "sk-ant-",
    "xoxb-", "-eyJ", "eyJhb.", "-----BEGIN PRIVATE KEY-----", "a://a:", "://:@", "?key=", "password: ",
    "password is ", "bearer ", "A ", "Mr. A ", "my name is ", "Dear ", "1 a b c ", "12 st ", "rue a ", "weg 1",
    "unit 1 box ", "apt. ", "born 1.1.", "DE89 ", "passport number ",
    "+1 ", "(0", "1 x ", '"', "a (at) ", "token=", "Mabc.", "\\u0061", "\\", "%41", "\u200b", "ａ", "zip ",
    "&#", "cookie: ", "account number ", "PuTTY-User-Key-File-2: ", "A'", "regards\n", "Aaaa-", "id 123456789 ", "8Q~",
)  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_j15_no_text_makes_a_rule_slow(family):
    """Within a block too: four times the text costs about four times as much, not sixteen, for texts that repeat what a
    rule begins with.  Compared are loops of the same kind in CPU time, the least of several."""

    def cpu_s(unit: str, length: int, rounds: int) -> float:
        window = Window((unit * length)[:length], 0, length)
        least = float("inf")
        for _ in range(rounds):
            began_s = time.process_time()
            for _ in family(window):
                pass
            least = min(least, time.process_time() - began_s)
        return least

    slow = {}
    for unit in HOSTILE:
        if cpu_s(unit, 8_000, 1) > 0.02 and (ratio := cpu_s(unit, 8_000, 3) / cpu_s(unit, 2_000, 3)) > 9:
            slow[unit] = ratio

    assert not slow
