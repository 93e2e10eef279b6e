"""The families of rules, in the order in which one names what several find."""

from __future__ import annotations

from headgate.safety.scrub.addresses import find_addresses
from headgate.safety.scrub.announced_secrets import find_announced_secrets
from headgate.safety.scrub.api_keys import find_api_keys
from headgate.safety.scrub.birth_date import find_birth_dates
from headgate.safety.scrub.card import find_cards
from headgate.safety.scrub.documents import find_documents
from headgate.safety.scrub.email import find_emails
from headgate.safety.scrub.finding import Family
from headgate.safety.scrub.iban import find_ibans
from headgate.safety.scrub.names import find_names
from headgate.safety.scrub.national_ids import find_national_ids
from headgate.safety.scrub.network import find_network_addresses
from headgate.safety.scrub.phone import find_phones
from headgate.safety.scrub.url import find_url_credentials

__all__ = ["FAMILIES"]

FAMILIES: tuple[Family, ...] = (
    find_api_keys,
    find_url_credentials,
    find_announced_secrets,
    find_emails,
    find_ibans,
    find_cards,
    find_national_ids,
    find_documents,
    find_network_addresses,
    find_birth_dates,
    find_phones,
    find_names,
    find_addresses,
)
