"""Pages of a list: `limit`, `after_id`, `before_id`, as models and batches take them (claude-api.md §10, §11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from headgate.sim.errors import invalid

__all__ = ["Query", "limit_of", "page"]

DEFAULT_LIMIT = 20
MOST = 1_000

T = TypeVar("T")
Query = Mapping[str, Sequence[str]]


def limit_of(query: Query) -> int:
    """`limit`, from 1 to 1,000.

    Raises:
        ApiError: 400 for anything else.
    """
    text = query.get("limit", (str(DEFAULT_LIMIT),))[-1]
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise invalid(f"limit: Input should be from 1 to {MOST}")
    return int(text)


def page(items: Sequence[T], query: Query, tell: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """One page of `items`, each told as an object with an `id`.

    Raises:
        ApiError: 400 for a cursor that names nothing in the list.
    """
    limit = limit_of(query)
    told = [tell(item) for item in items]
    ids = [item["id"] for item in told]
    if "before_id" in query:
        end = _place(ids, query["before_id"][-1], "before_id")
        begin = max(0, end - limit)
        more = begin > 0
    else:
        begin = _place(ids, query["after_id"][-1], "after_id") + 1 if "after_id" in query else 0
        end = begin + limit
        more = end < len(ids)
    shown = told[begin:end]
    return {
        "data": shown,
        "has_more": more,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


def _place(ids: list[str], cursor: str, name: str) -> int:
    try:
        return ids.index(cursor)
    except ValueError:
        raise invalid(f"{name}: there is no such object in this list") from None
