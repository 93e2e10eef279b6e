"""What a turn of the loop sends together, it sends in order and whole."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from headgate.net.outbox import Outbox, Writer
from support.patience import HANG_S


def sent(act: Callable[[Writer], None]) -> bytes:
    """Everything the other side of a real socket gets from one turn of the loop in which `act` runs."""

    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        act(Writer(transport, Outbox(loop)))
        theirs.setblocking(False)
        got = b""
        async with asyncio.timeout(HANG_S):
            while data := await loop.sock_recv(theirs, 1 << 16):
                got += data
                if got.endswith(b"."):
                    break
        transport.abort()
        theirs.close()
        return got

    return asyncio.run(main())


def test_what_is_written_soon_leaves_at_the_end_of_the_turn():
    assert sent(lambda out: (out.write_soon(b"a"), out.write_soon(b"b."))) == b"ab."


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(lambda out: out.write(b"later."), id="write"),
        pytest.param(lambda out: (out.write_soon(b"later"), out.write(b".")), id="soon-and-write"),
        pytest.param(lambda out: (out.write_soon(b"later."), out.write_eof()), id="eof"),
        pytest.param(lambda out: (out.write_soon(b"later."), out.close()), id="close"),
    ],
)
def test_nothing_overtakes_it_and_no_orderly_end_loses_it(then: Callable[[Writer], None]):
    def act(out: Writer) -> None:
        out.write_soon(b"first ")
        then(out)

    assert sent(act) == b"first later."


def test_an_abort_drops_it():
    assert sent(lambda out: (out.write_soon(b"a."), out.abort())) == b""


@pytest.mark.parametrize("end", ["abort", "write_eof"])
def test_a_connection_that_takes_nothing_more_does_not_hold_up_the_others(end: str):
    """Neither one that closed in this turn, nor one whose transport raises."""

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        outbox = Outbox(loop)
        pairs = [socket.socketpair() for _ in range(2)]
        transports = [(await loop.create_connection(asyncio.Protocol, sock=ours))[0] for ours, _ in pairs]
        gone, other = (Writer(transport, outbox) for transport in transports)
        if end == "write_eof":
            transports[0].write_eof()
        gone.write_soon(b"lost")
        other.write_soon(b"here")
        if end == "abort":
            transports[0].abort()
        pairs[1][1].setblocking(False)
        got = await loop.sock_recv(pairs[1][1], 100)
        transports[1].abort()
        for _, theirs in pairs:
            theirs.close()
        await asyncio.sleep(0)
        return got

    assert asyncio.run(main()) == b"here"
