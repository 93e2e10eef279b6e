"""The seam to the job store: a call that cannot be answered now becomes work that will be."""

from __future__ import annotations

from typing import Protocol

from headgate.call import Call

__all__ = ["JobQueue"]


class JobQueue(Protocol):
    """Takes calls as jobs."""

    async def submit(self, call: Call) -> str:
        """Take the request of `call`, as its caller sent it.  When this returns it is durable, and the store owns it.

        Returns:
            A ticket: plain ASCII of at most 128 characters, by which its caller can ask for the answer.

        Raises:
            Refused: it is not taken.
        """
        ...
