"""Every format by itself: made from its own rules, for every country and maker that has one, and what is none."""

from __future__ import annotations

import string
from ipaddress import IPv4Address, IPv6Address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.safety.scrub import find, scrub
from headgate.safety.scrub.checksums import luhn
from headgate.safety.scrub.iban import LENGTHS

ALPHANUMERIC = string.ascii_letters + string.digits


def types(text: str) -> list[str]:
    return [finding.type for finding in find(text)]


def taken(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in find(text)]


# -- mail ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "a@b.co",
        "ada.lovelace+news@mail.example.co.uk",
        "o'brien@example.ie",
        "1234@qq.com",
        "a_b-c@ex-ample.museum",
        "ada@[192.168.0.1]",
        '"ada lovelace"@example.org',
        "юля@пример.рф",
        "用户@例子.公司",
        "ADA@EXAMPLE.ORG",
        "ada@xn--fsq.xn--55qx5d",
    ],
)
def test_mail_addresses_of_any_script(address: str):
    assert taken(f"Write to <{address}>, please.") == [address]


@pytest.mark.parametrize(
    "text", ["logo@2x.png", "git@github.com:a/b.git", "@app.route", "react@18.2.0", "a @ b", "me@localhost"]
)
def test_what_only_looks_like_an_address_stays(text: str):
    assert scrub(text) == text


# -- money ---------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(sorted(LENGTHS)), st.randoms(use_true_random=False), st.sampled_from(["", " ", "-"]), st.booleans()
)
def test_ibans_of_every_country(country: str, rng: Random, between: str, small: bool):
    """Made with the right check digits, in groups of four or none."""
    account = "".join(rng.choices(string.digits, k=LENGTHS[country] - 4))
    check = 98 - int("".join(str(int(c, 36)) for c in account + country + "00")) % 97
    iban = f"{country}{check:02}{account}"
    written = between.join(iban[at : at + 4] for at in range(0, len(iban), 4))
    written = written.lower() if small else written

    assert taken(f"Pay to {written}, today") == [written]


def test_an_iban_that_does_not_add_up_is_one_only_after_its_name():
    assert types("code DE00370400440532013000") == []
    assert types("IBAN: DE00370400440532013000") == ["iban"]


BRANDS = {
    "visa": ("4", 16),
    "visa 13": ("4", 13),
    "visa 19": ("4", 19),
    "mastercard": ("53", 16),
    "mastercard 2": ("2720", 16),
    "amex": ("37", 15),
    "diners": ("36", 14),
    "discover": ("6011", 16),
    "jcb": ("3528", 16),
    "unionpay": ("62", 16),
    "maestro": ("6759", 16),
    "mir": ("2202", 16),
}


@given(st.sampled_from(sorted(BRANDS)), st.randoms(use_true_random=False), st.sampled_from(["", " ", "-"]))
def test_cards_of_every_brand_need_no_word_before(brand: str, rng: Random, between: str):
    prefix, length = BRANDS[brand]
    number = prefix + "".join(rng.choices(string.digits, k=length - len(prefix) - 1))
    number += next(digit for digit in string.digits if luhn([int(c) for c in number + digit]))
    groups = (4, 6, 5) if length == 15 else (4,) * 5
    written, at = [], 0
    for size in groups:
        written.append(number[at : at + size])
        at += size
    text = between.join(part for part in written if part)

    assert taken(f"I paid with {text} on Monday") == [text]


@pytest.mark.parametrize(
    "text", ["order 4111111111111112", "at 1700000000000 ms", "0.4111111111111111", "id a4111111111111111"]
)
def test_other_long_numbers_are_no_cards(text: str):
    assert types(text) == []


def test_a_mistyped_card_is_one_near_the_word():
    assert types("My card is 4111 1111 1111 1112.") == ["card"]


def test_an_expiry_date_behind_a_card_stays():
    assert scrub("4111 1111 1111 1111 12/27") == "[card] 12/27"


# -- telephones ----------------------------------------------------------------------------------------------------

INTERNATIONAL = """
+1 415 555 2671|+1-415-555-2671|+1 (415) 555-2671|+14155552671|+44 20 7946 0958|+44 (0)20 7946 0958|
+447911123456|+49 30 901820|+49 (0) 151 12345678|+49-89-636-48018|+33 1 42 68 53 00|+33 (0)6 12 34 56 78|
+34 912 34 56 78|+39 06 6982|+31 20 794 0958|+32 2 555 12 12|+41 44 668 18 00|+43 1 58858-0|+46 8 123 456 78|
+47 22 12 34 56|+45 32 12 34 56|+358 9 1234567|+48 22 123 45 67|+420 224 371 111|+36 1 234 5678|+40 21 123 4567|
+30 210 123 4567|+351 21 123 4567|+353 1 234 5678|+7 495 123-45-67|+380 44 123 4567|+90 212 123 45 67|
+972 3-123-4567|+971 4 123 4567|+966 11 123 4567|+91 98765 43210|+91-22-12345678|+86 10 1234 5678|
+86 138 0013 8000|+81 3-1234-5678|+82 2-123-4567|+65 6123 4567|+852 2123 4567|+886 2 1234 5678|+60 3-1234 5678|
+62 21 12345678|+63 2 8123 4567|+66 2 123 4567|+84 24 1234 5678|+61 2 9374 4000|+64 9 123 4567|+27 11 123 4567|
+234 1 234 5678|+254 20 1234567|+20 2 12345678|+212 522-123456|+55 11 91234-5678|+54 11 1234-5678|
+52 55 1234 5678|+57 1 234 5678|+56 2 1234 5678|+51 1 123 4567|00 49 30 901820|0044 20 7946 0958|
001-518-640-0854|(415) 555-2671|415-555-2671|415.555.2671|1-800-555-0199|(898)666-3621x0135|020 7946 0958|
07911 123456|01 42 68 53 00|06.12.34.56.78|030 901820|0151/12345678|089-63648018|0471 12 34 56|03-1234-5678|
090-1234-5678|02-123-4567|0412 345 678|(02) 9374 4000|(64) 3591-3246|28-64-66-98|(0221) 12345678
""".replace("\n", "").split("|")  # fmt: skip


@pytest.mark.parametrize("number", INTERNATIONAL)
def test_a_number_in_an_international_or_a_usual_national_form_needs_no_word(number: str):
    assert taken(f"It is {number}, all day.") == [number]


@pytest.mark.parametrize(
    "number", ["4155552671", "22 12 34 56", "912 345 678", "54039268", "1234-5678", "555 0199", "98765 43210"]
)
@pytest.mark.parametrize(
    "sentence",
    [
        "My phone number is {}",
        "call me on {}",
        "Tel.: {}",
        "téléphone : {}",
        "Telefon {}",
        "mi móvil es {}",
        "{} office",
        "send a text to {}",
        "電話は{}です",
        "тел. {}",
    ],
)
def test_any_number_near_a_word_about_telephones_is_one(number: str, sentence: str):
    assert types(sentence.format(number)) == ["phone"]


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-21 at 12:30",
        "between 12.05.2024 and 13.05.2024",
        "order no. 4155552671",
        "invoice 2024-000123",
        "ticket 98765 43210",
        "pi is 3.14159265",
        "costs 1 234 567 EUR",
        "used 208310 tokens of 200000",
        "in 2019-20",
        "room 12-14",
        "v1.2.345.6789",
        "ISBN 978-3-16-148410-0",
        "score 21-15 21-18",
        "request req_011CQ12345678",
        "1,234,567.89",
    ],
)
def test_dates_orders_prices_and_counts_are_no_telephones(text: str):
    assert "phone" not in types(text)


# -- machines ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_ipv4(number: int):
    assert taken(f"from {IPv4Address(number)}:443 it") == [str(IPv4Address(number))]


@given(st.integers(2**96, 2**128 - 1), st.booleans())
def test_ipv6_short_and_long(number: int, long: bool):
    written = IPv6Address(number).exploded if long else str(IPv6Address(number))

    assert taken(f"host {written} is up") == [written]


@pytest.mark.parametrize(
    "text", ["version 1.2.3.4", "std::vector", "at 12:30:45", "256.1.1.1", "a::b", "1.2.3", "section 4.2.1.1"]
)
def test_versions_times_and_names_are_no_addresses(text: str):
    assert types(text) == []


def test_mac_addresses():
    assert types("eth0 00:1A:2b:3c:4d:5e and 001a.2b3c.4d5e") == ["mac", "mac"]


# -- secrets -------------------------------------------------------------------------------------------------------


def made(rng: Random, *parts: str | tuple[str, int]) -> str:
    """A key of fixed parts and characters drawn from an alphabet, so that none stands in this file."""
    return "".join(part if isinstance(part, str) else "".join(rng.choices(part[0], k=part[1])) for part in parts)


HEX, URL, UPPER = "0123456789abcdef", ALPHANUMERIC + "_-", string.ascii_uppercase + string.digits
KEYS: dict[str, tuple[str | tuple[str, int], ...]] = {
    "Anthropic": ("sk-", "ant-api03-", (URL, 93), "AA"),
    "Anthropic admin": ("sk-", "ant-admin01-", (URL, 93)),
    "Headgate": ("headgate", "_A1", (URL, 41)),
    "OpenAI": ("sk-", "proj-", (URL, 74)),
    "OpenAI old": ("sk-", (ALPHANUMERIC, 48)),
    "AWS id": ("AKIA", (UPPER, 16)),
    "AWS session": ("ASIA", (UPPER, 16)),
    "Google": ("AIza", (ALPHANUMERIC, 35)),
    "Google OAuth": ("GOCSPX-", (URL, 28)),
    "GitHub": ("ghp_", (ALPHANUMERIC, 36)),
    "GitHub app": ("ghs_", (ALPHANUMERIC, 36)),
    "GitHub fine": ("github_pat_", (ALPHANUMERIC, 22), "_", (ALPHANUMERIC, 59)),
    "GitLab": ("glpat-", (URL, 20)),
    "Slack": ("xoxb-", (string.digits, 12), "-", (string.digits, 12), "-", (ALPHANUMERIC, 24)),
    "Slack app": ("xapp-1-", (URL, 60)),
    "Stripe": ("sk_live_", (ALPHANUMERIC, 24)),
    "Stripe restricted": ("rk_test_", (ALPHANUMERIC, 24)),
    "Stripe hook": ("whsec_", (ALPHANUMERIC, 32)),
    "npm": ("npm_", (ALPHANUMERIC, 36)),
    "npm, of any registry": (
        "//npm.example.com/:_authToken=",
        (HEX, 8),
        "-",
        (HEX, 4),
        "-",
        (HEX, 4),
        "-",
        (HEX, 4),
        "-",
        (HEX, 12),
    ),
    "SendGrid": ("SG.", (URL, 22), ".", (URL, 43)),
    "PyPI": ("pypi-AgEIcHlwaS5vcmc", (URL, 100)),
    "Hugging Face": ("hf_", (string.ascii_letters, 34)),
    "Mailchimp": ((HEX, 32), "-us12"),
    "Twilio": ("SK", (HEX, 32)),
    "Square": ("sq0atp-", (URL, 22)),
    "Shopify": ("shpat_", (HEX, 32)),
    "DigitalOcean": ("dop_v1_", (HEX, 64)),
    "Vault": ("hvs.", (URL, 90)),
    "Databricks": ("dapi", (HEX, 32)),
    "Linear": ("lin_api_", (ALPHANUMERIC, 40)),
    "Notion": ("ntn_", (ALPHANUMERIC, 46)),
    "Figma": ("figd_", (URL, 40)),
    "Telegram": ((string.digits[1:], 10), ":AA", (URL, 33)),
    "JWT": ("eyJhbGciOiJIUzI1NiJ9.eyJ", (URL, 40), ".", (URL, 43)),
    "Azure AD": ((ALPHANUMERIC, 3), "8Q~", (ALPHANUMERIC, 34)),
    "Atlassian": ("ATATT3", (URL, 186)),
    "Docker": ("dckr_pat_", (URL, 27)),
    "Grafana": ("glsa_", (ALPHANUMERIC, 32), "_", (HEX, 8)),
    "New Relic": ("NRAK-", (UPPER, 27)),
    "Sentry": ("sntrys_", (ALPHANUMERIC, 64)),
    "Postman": ("PMAK-", (HEX, 24), "-", (HEX, 34)),
    "Pulumi": ("pul-", (HEX, 40)),
    "RubyGems": ("rubygems_", (HEX, 48)),
    "Groq": ("gsk_", (ALPHANUMERIC, 52)),
    "xAI": ("xai-", (ALPHANUMERIC, 80)),
    "Replicate": ("r8_", (ALPHANUMERIC, 37)),
    "Supabase": ("sbp_", (HEX, 40)),
    "Alibaba": ("LTAI", (ALPHANUMERIC, 20)),
    "age": ("AGE-SECRET-KEY-1", ("023456789ACDEFGHJKLMNPQRSTUVWXYZ", 58)),
}


@pytest.mark.parametrize("maker", KEYS)
@pytest.mark.parametrize("sentence", ["use {} there", '{{"k": "{}"}}', "X={}", "({})", "\n{}\n"])
@pytest.mark.parametrize("seed", range(5))
def test_keys_of_every_maker(maker: str, sentence: str, seed: int):
    key = made(Random(seed), *KEYS[maker])

    assert key not in scrub(sentence.format(key))
    assert len(set(types(sentence.format(key))) & {"api_key", "private_key"}) == 1


@pytest.mark.parametrize(
    "label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
)
@pytest.mark.parametrize("newline", ["\n", "\\n", "\r\n"])
def test_private_keys_whole_also_with_escaped_lines(label: str, newline: str):
    rng = Random(1)
    body = newline.join(made(rng, (ALPHANUMERIC + "+/", 64)) for _ in range(50))
    key = f"-----BEGIN {label}-----{newline}{body}==\n-----END {label}-----"

    assert scrub(f"here: {key} done") == "here: [private_key] done"


def test_a_private_key_that_was_cut_is_gone_as_far_as_it_goes():
    assert scrub("-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA") == "[private_key]"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abcDEF123456ghiJKL789", "Authorization: Bearer [api_key]"),
        ("password: hunter2!", "password: [password]"),
        ('"db_password": "s3cr3t-Value"', '"db_password": "[password]"'),
        ("Passwort ist Sommer2024", "Passwort ist [password]"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYq3vK8L2mN0", "AWS_SECRET_ACCESS_KEY=[api_key]"),
        ("client_secret = 'a91f25cf8e0d191b6a57421349aff0cc'", "client_secret = '[api_key]'"),
        ("https://ada:hunter2@db.local/x", "https://[url_credentials]@db.local/x"),
        ("postgres://app:p%40ss%2Fw@10.0.0.1:5432/db", "postgres://[url_credentials]@[ip]:5432/db"),
        ("https://a.io/cb?code=4/0AX4XfWh&state=1", "https://a.io/cb?code=[url_credentials]&state=1"),
        ("https://s3.io/f?X-Amz-Signature=5ab1cd&x=1", "https://s3.io/f?X-Amz-Signature=[url_credentials]&x=1"),
        ("Cookie: sid=31d4d96e407aad42; a=b", "Cookie: [api_key]"),
        ("curl -u admin:S3cret! https://x.org", "curl -u [url_credentials] https://x.org"),
        ("card 4111 1111 1111 1111, cvv 123", "card [card], cvv [card-2]"),
        ("account number 12345678, sort code 20-00-00", "account number [bank_account], sort code [bank_account-2]"),
    ],
)
def test_secrets_that_a_word_announces(text: str, left: str):
    """The value goes, what it was stays readable."""
    assert scrub(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "token: ${API_TOKEN}",
        "password: ********",
        "api_key = <your-key>",
        "secret: REDACTED",
        "password is required",
        "The password must be changed",
        "tokens = 4096",
        "key: value",
        "commit 9e107d9d372bb6826bd81d3542a419d6aaaaaaaa",
        "sha256:5a67f98f7527e4c503111fe0f898cf329cd6742963b847bb53369721ac6b2eea",
        "id=7664180e-e569-4425-955d-56d8a47da075",
        "request_id req_011JV5DCzqNg2t2JNzqlw4Im",
        "the token bucket is empty",
        "sk-learn and task-force",
        "x-api-key: msg_01scA6t7iqbCyDZrD2pcbVDl",
    ],
)
def test_placeholders_ids_and_talk_about_secrets_stay(text: str):
    assert scrub(text) == text


# -- people --------------------------------------------------------------------------------------------------------


PEOPLE = {
    "us_ssn": (
        "Here's my SSN: 460-89-9847",
        "SSN 460 89 9847",
        "social security number 460899847",
    ),
    "national_id": (
        "NI AB 12 34 56 C",
        "NHS number 943 476 5919",
        "DNI 12345678Z",
        "NIE X1234567L",
        "codice RSSMRA85T10A562S",
        "2 55 08 14 168 025 38",
        "Steuer-ID 86095742719",
        "BSN 111222333",
        "85.07.30-033.28",
        "AHV 756.9217.0769.85",
        "PPS 1234567FA",
        "contribuinte 501964843",
        "PESEL 44051401359",
        "811228-9874",
        "CPR 211062-5629",
        "fødselsnummer 15108695088",
        "311280-888Y",
        "isikukood 37605030299",
        "710319/2745",
        "CNP 1630615123457",
        "EGN 7523169263",
        "OIB 33392005961",
        "AMKA 01013099997",
        "TCKN 17291716060",
        "СНИЛС 112-233-445 95",
        "teudat zehut 039337423",
        "South African ID 7503305044089",
        "Aadhaar 2341 2341 2346",
        "PAN ABCPE1234F",
        "11010519491231002X",
        "주민 880320-1234567",
        "NRIC S1234567D",
        "TFN 123 456 782",
        "Medicare 2123 45670 1",
        "SIN 046 454 286",
        "CPF 390.533.447-05",
        "CURP BOXW310820HNERXN09",
        "CUIT 20-05536168-2",
        "RUT 12.531.909-2",
        "Thai ID 1-2345-45678-78-1",
    ),
    "passport": (
        "passport number C01X00T47",
        "Reisepass Nr. C01X00T47",
        "passport: 533380006",
    ),
    "driving_licence": (
        "my driver's license number is F162823540116",
        "Führerschein B072RRE2I55",
    ),
    "bank_account": (
        "account number 12345678",
        "sort code 12-34-56",
        "routing number 021000021",
    ),
    "birth_date": (
        "born on 10/23/1951",
        "DOB: 1984-02-29",
        "geboren am 3. Mai 1970",
        "née le 14 juillet 1989",
        "date of birth: March 3rd, 1990",
        "生年月日 1990年3月4日",
    ),
    "name": (
        "My name is Ada Lovelace",
        "Dear Dr. Grace Hopper,",
        "Ich heiße Karl-Heinz Müller",
        "Kind regards,\nAda Lovelace\n",
        "je m'appelle Zoé",
        "меня зовут Юлия Иванова",
    ),
    "address": (
        "live at 221B Baker Street, Apt 4",
        "Hauptstraße 12",
        "12 rue de la Paix",
        "Calle de Alcalá 45",
        "P.O. Box 242",
        "ZIP: 48750",
        "12 Mill Lane\n Apt. 5\n Springfield\n, IL 62704",
        "Address: Am Alten Markt 3, 50667 Köln",
    ),
}


@pytest.mark.parametrize(("text", "type"), [(text, type) for type, texts in PEOPLE.items() for text in texts])
def test_what_says_who_somebody_is(text: str, type: str):
    assert types(text) == [type]


@pytest.mark.parametrize(
    "text",
    [
        "943 476 5918 items",
        "12345678A",
        "756.9217.0769.84",
        "390.533.447-06",
        "1234 2341 2346",
        "811228-9875",
        "due on 10/23/2025",
        "This is URGENT",
        "Dear all,",
        "Thanks for everything",
        "name is required",
        "born to run",
        "20 minutes of close work",
        "exit 1 if a row is wrong",
        "in place by March",
        "during 1971",
        "My dear, it is late.",
        "the fifth avenue",
    ],
)
def test_what_says_nothing_of_anybody_stays(text: str):
    assert scrub(text) == text
