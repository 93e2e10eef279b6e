"""Official SDK clients make the planned calls against one address, and note what came of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import anthropic

from headgate.core.usage import read_usage
from headgate.demo.traffic import WORKFLOWS, Ask
from headgate.usage import MessageFacts

__all__ = ["Answer", "Side", "Tally", "replay"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A call that ended well."""

    took_s: float
    facts: MessageFacts


@dataclass(slots=True)
class Tally:
    """What came of the calls of one workflow so far."""

    asked: int = 0
    answers: list[Answer] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    """By the name of the exception that the SDK raised."""

    @property
    def under_way(self) -> int:
        return self.asked - len(self.answers) - self.failed.total()


class Side:
    """One way to the API: through Headgate or not."""

    def __init__(self, name: str, base_url: str, *, labelled: bool) -> None:
        self.name = name
        self.tallies = {workflow: Tally() for workflow in WORKFLOWS}
        self._clients = {
            # As anybody would make it: the address is all there is to change, and an own proxy is not for the demo.
            workflow: anthropic.AsyncAnthropic(
                base_url=base_url,
                api_key="sk-ant-demo",
                http_client=_without_proxies(),
                default_headers={"x-headgate-workflow": workflow, "x-headgate-lane": lane} if labelled else None,
            )
            for workflow, lane in WORKFLOWS.items()
        }

    def total(self, of: str) -> int:
        """`asked`, `answered`, `under_way`, or the name of an exception, over all workflows."""
        tallies = self.tallies.values()
        if of == "answered":
            return sum(len(tally.answers) for tally in tallies)
        if of in ("asked", "under_way"):
            return sum(getattr(tally, of) for tally in tallies)
        return sum(tally.failed[of] for tally in tallies)

    async def make(self, ask: Ask) -> None:
        """Make one call and note its end."""
        tally = self.tallies[ask.workflow]
        tally.asked += 1
        began_s = monotonic()
        try:
            message = await _call(self._clients[ask.workflow], ask)
        except anthropic.APIError as problem:
            tally.failed[type(problem).__name__] += 1
        except asyncio.CancelledError:
            tally.failed["Unfinished"] += 1
            raise
        else:
            usage = read_usage(message.usage.to_dict(mode="json"))
            tally.answers.append(Answer(monotonic() - began_s, MessageFacts(model=message.model, usage=usage)))

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _without_proxies() -> Any:
    """The SDK's HTTP client, but that the environment's proxies are not asked.

    `DefaultAsyncHttpxClient` reads them whatever `trust_env` says, so this is the class below it: httpx2's, or httpx's
    in the SDK's 0.x line.
    """
    return anthropic.DefaultAsyncHttpxClient.__bases__[0](
        trust_env=False,
        timeout=anthropic.DEFAULT_TIMEOUT,
        limits=anthropic.DEFAULT_CONNECTION_LIMITS,
        follow_redirects=True,
    )


async def _call(client: anthropic.AsyncAnthropic, ask: Ask) -> anthropic.types.Message:
    directive: Any = {"x-sim": f"tokens={ask.output_tokens}"}
    if not ask.stream:
        message: anthropic.types.Message = await client.messages.create(**ask.params, extra_headers=directive)
        return message
    async with client.messages.stream(**ask.params, extra_headers=directive) as stream:
        async for _ in stream.text_stream:
            pass
        return await stream.get_final_message()


async def replay(asks: Sequence[Ask], sides: Sequence[Side], seconds: float, patience_s: float) -> None:
    """Make every call on every side at its time, then wait for the answers, at most `patience_s` past the end."""
    began_s = monotonic()
    calls: list[asyncio.Task[None]] = []
    for ask in asks:
        await asyncio.sleep(max(0.0, began_s + ask.at_s - monotonic()))
        calls += [asyncio.ensure_future(side.make(ask)) for side in sides]
    left_s = began_s + seconds + patience_s - monotonic()
    if calls:
        _, unfinished = await asyncio.wait(calls, timeout=max(0.0, left_s))
        for call in unfinished:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
