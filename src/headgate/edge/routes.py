"""Which paths are passed on.  A path is normalised once, here; what is routed is exactly what is sent.

An allow-list: what is not here does not reach the API.  Two parts of the API are left out on purpose.  The Admin API
(/v1/organizations) takes another kind of key.  Managed agents, sessions and the like spend money that no answer tells;
`gateway.unmetered_paths` lets them through for those who accept that; their cost is then recorded as not known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from headgate.call import Kind
from headgate.errors import NotAllowed
from headgate.events import Reason

__all__ = ["METHODS", "ROUTES", "Match", "Route", "Router", "check_query", "normalise"]

_SEGMENT = re.compile(r"[A-Za-z0-9._:@~-]{1,256}")
_QUERY = re.compile(r"[A-Za-z0-9._:@~!$'()*+,;=/?%&\[\]-]{0,4096}")


@dataclass(frozen=True, slots=True)
class Route:
    """One way in."""

    template: str
    methods: tuple[str, ...]
    kind: Kind
    upload: str | None = None
    """POST bodies are passed on while they arrive, up to the limit of this name: `batch` or `file`."""


ROUTES = (
    Route("/v1/messages", ("POST",), Kind.MESSAGES),
    Route("/v1/messages/count_tokens", ("POST",), Kind.COUNT_TOKENS),
    Route("/v1/messages/batches", ("GET", "POST"), Kind.BATCHES, "batch"),
    Route("/v1/messages/batches/{id}", ("GET", "DELETE"), Kind.BATCHES),
    Route("/v1/messages/batches/{id}/cancel", ("POST",), Kind.BATCHES),
    Route("/v1/messages/batches/{id}/results", ("GET",), Kind.BATCHES),
    Route("/v1/models", ("GET",), Kind.MODELS),
    Route("/v1/models/{id}", ("GET",), Kind.MODELS),
    Route("/v1/files", ("GET", "POST"), Kind.FILES, "file"),
    Route("/v1/files/{id}", ("GET", "DELETE"), Kind.FILES),
    Route("/v1/files/{id}/content", ("GET",), Kind.FILES),
    Route("/v1/skills", ("GET", "POST"), Kind.OTHER, "file"),
    Route("/v1/skills/{id}", ("GET", "POST", "DELETE"), Kind.OTHER),
    Route("/v1/skills/{id}/versions", ("GET", "POST"), Kind.OTHER, "file"),
    Route("/v1/skills/{id}/versions/{version}", ("GET", "DELETE"), Kind.OTHER),
    Route("/v1/skills/{id}/versions/{version}/content", ("GET",), Kind.OTHER),
    Route("/v1/user_profiles", ("GET", "POST"), Kind.OTHER),
    Route("/v1/user_profiles/{id}", ("GET", "POST", "PATCH", "DELETE"), Kind.OTHER),
    Route("/v1/user_profiles/{id}/enrollment_url", ("POST",), Kind.OTHER),
    Route("/v1/user_profiles/{id}/action_urls", ("GET", "POST"), Kind.OTHER),
)

METHODS = tuple(sorted({method for route in ROUTES for method in route.methods}))
"""All that any path takes."""
KEPT_BY_ONE_ACCOUNT = frozenset((Kind.BATCHES, Kind.FILES))


@dataclass(frozen=True, slots=True)
class Match:
    """A request that may be passed on."""

    route: Route
    path: str
    """Normalised."""
    resource_id: str | None


class Router:
    """Finds the route of a request, once its path is normal."""

    def __init__(self, unmetered: Sequence[str]) -> None:
        self._exact = {
            route.template: Match(route, route.template, None) for route in ROUTES if "{" not in route.template
        }
        self._templates = [(route.template.split("/"), route) for route in ROUTES if "{" in route.template]
        self._unmetered = tuple(unmetered)

    def match(self, method: str, raw_path: str) -> Match:
        """The route of a request.

        Raises:
            NotAllowed: 400 for a path no client sends, 404 for one that is not passed on, 405 for the wrong method.
        """
        found = self._exact.get(raw_path)
        if found is None:
            path = normalise(raw_path)
            found = self._find(path)
            if found is None:
                raise NotAllowed(_missing(path), reason=Reason.NO_SUCH_PATH, status=404)
        if method not in found.route.methods:
            raise NotAllowed(
                f"{found.route.template} takes {' and '.join(found.route.methods)}, not this method",
                reason=Reason.METHOD_NOT_ALLOWED,
                status=405,
                allow=found.route.methods,
            )
        return found

    def _find(self, path: str) -> Match | None:
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        segments = path.split("/")
        for template, route in self._templates:
            if len(template) == len(segments) and all(
                ours == theirs or ours.startswith("{") for ours, theirs in zip(template, segments, strict=True)
            ):
                return Match(
                    route, path, segments[template.index("{id}")] if route.kind in KEPT_BY_ONE_ACCOUNT else None
                )
        for prefix in self._unmetered:
            if path == prefix or path.startswith(prefix + "/"):
                methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
                return Match(Route(prefix + "/…", methods, Kind.UNMETERED, "file"), path, None)
        return None


def normalise(raw_path: str) -> str:
    """The one spelling of a path: percent-encoding of plain characters undone, nothing else changed.

    Raises:
        NotAllowed: the path is not absolute, has empty or dot segments, or holds anything that two parsers could read
            in two ways (an encoded slash, a backslash, a NUL, bytes that are not ASCII).
    """
    try:
        path = unquote_to_bytes(raw_path).decode("ascii") if "%" in raw_path else raw_path
    except UnicodeDecodeError:
        path = ""
    segments = path.split("/")
    encoded_slash = path.count("/") != raw_path.count("/")
    if (
        not path.startswith("/")
        or encoded_slash
        or any(not _SEGMENT.fullmatch(s) or set(s) == {"."} for s in segments[1:])
    ):
        if raw_path.rstrip("/") != raw_path and raw_path.startswith("/v1/"):
            raise NotAllowed("the path ends in a slash; take it off", reason=Reason.NO_SUCH_PATH, status=404)
        if raw_path == "/":
            raise NotAllowed(_missing(raw_path), reason=Reason.NO_SUCH_PATH, status=404)
        raise NotAllowed("the path is malformed", reason=Reason.BAD_REQUEST, status=400)
    return path


def check_query(query: str) -> str:
    """The query, if it holds only what a URL may.

    Raises:
        NotAllowed: it does not.
    """
    if not _QUERY.fullmatch(query):
        raise NotAllowed("the query string is malformed", reason=Reason.BAD_REQUEST, status=400)
    return query


def _missing(path: str) -> str:
    if path.startswith("/v1/v1/"):
        return "the path holds /v1 twice: the base URL must not end in /v1"
    if path in ("/messages", "/messages/count_tokens", "/models"):
        return f"the path is /v1{path}: point the base URL at the gateway's root"
    if path.startswith("/v1/organizations"):
        return "the Admin API is not passed on: it takes an admin key, which Headgate does not hold"
    if path == "/":
        return "this is Headgate, a gateway for the Claude API: POST /v1/messages"
    if path.startswith("/v1/"):
        return (
            "Headgate does not pass this path on. If it is a part of the Claude API whose cost you accept not to see, "
            "add its first step to gateway.unmetered_paths"
        )
    return "not found"
