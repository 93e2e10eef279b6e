"""What can be found in text, by name.  Apart from the rules, which cost time to load."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["FindingType"]


class FindingType(StrEnum):
    """What was found: a placeholder's name, and a label of `headgate_pii_findings_total`."""

    PRIVATE_KEY = "private_key"
    API_KEY = "api_key"
    PASSWORD = "password"  # noqa: S105  # a name, not one
    URL_CREDENTIALS = "url_credentials"
    EMAIL = "email"
    IBAN = "iban"
    CARD = "card"
    BANK_ACCOUNT = "bank_account"
    IP = "ip"
    MAC = "mac"
    US_SSN = "us_ssn"
    NATIONAL_ID = "national_id"
    PASSPORT = "passport"
    DRIVING_LICENCE = "driving_licence"
    PHONE = "phone"
    BIRTH_DATE = "birth_date"
    NAME = "name"
    ADDRESS = "address"
