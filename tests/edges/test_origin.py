"""Where a URL leads, and how that is said to whoever is there."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from headgate.net.http import Origin


@pytest.mark.parametrize(
    ("url", "port", "authority"),
    [
        ("http://api.example/v1", 80, "api.example"),
        ("https://api.example:443", 443, "api.example"),
        ("https://api.example:80", 80, "api.example:80"),
        ("http://[::1]:8080", 8080, "[::1]:8080"),
        ("https://b\u00fccher.example", 443, "xn--bcher-kva.example"),
        ("https://b\u00fccher.example:8443", 8443, "xn--bcher-kva.example:8443"),
    ],
)
def test_a_host_header_names_the_host_in_ascii_and_the_port_if_it_is_not_the_usual(url: str, port: int, authority: str):
    origin = Origin.of(urlsplit(url))

    assert (origin.port, origin.authority) == (port, authority)
    assert str(origin) == f"{origin.scheme}://{authority}"
