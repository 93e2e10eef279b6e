"""Watch what breaks the prompt cache."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from headgate.call import Call, Kind, Reply
from headgate.core.prefix_lint import PrefixLint
from headgate.engine.filter import Proceed

__all__ = ["Lint"]


class Lint:
    """Shows every prompt to the linter.  Above all that changes a request: what is judged is what callers send."""

    def __init__(self, lint: PrefixLint) -> None:
        self._lint = lint

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        if call.kind is Kind.MESSAGES and call.document is not None:
            self._lint.observe(call.record.workflow, call.document, len(call.body))
        return proceed(call)
