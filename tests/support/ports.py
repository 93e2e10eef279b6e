"""Ports for servers that cannot choose one themselves, or that come only later."""

from __future__ import annotations

import os
import socket
from itertools import count

__all__ = ["free_port"]

FIRST, COUNT = 16_384, 16_384
"""Below those that a system hands out by itself, or another test could be given one before it is used."""
APART = 97
"""Processes that run side by side begin this far from each other."""
_next = count(os.getpid() * APART)


def free_port() -> int:
    """One on which nobody listens, and that no test in this process was given lately."""
    while True:
        port = FIRST + next(_next) % COUNT
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
