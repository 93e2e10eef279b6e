"""An attempt that failed, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.events import ErrorClass

__all__ = ["Failure"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that did not give an answer."""

    error: ErrorClass
    status: int | None = None
    """The HTTP status, or None if there was none."""
    type: str | None = None
    code: str | None = None
    """`error.type` and `error.details.error_code` as the API gave them, shortened to an identifier's length."""
    retry_after_s: float | None = None
    should_retry: bool | None = None
    """The API's `x-should-retry`."""
    sent: bool = True
    """Whether the API may have seen the request."""

    @property
    def may_have_run(self) -> bool:
        """Whether the API may have worked on the request, and may bill it.

        An error that it put into words is not billed, but one that says it took too long does not say how far it came.
        A server error without such words is of somebody in between, who knows nothing of it; 4xx and 529 let nothing
        through.
        """
        if self.type is not None:
            told = self.error is not ErrorClass.TIMEOUT_ERROR
        else:
            told = self.status is not None and (self.status < 500 or self.status == 529)
        return self.sent and not told
