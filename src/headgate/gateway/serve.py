"""Start and stop the listeners on top of an engine."""

from __future__ import annotations

import asyncio
import os

import headgate.safety.content.error_words  # noqa: F401  # a tenth of a second: not in the middle of the first error
from headgate._version import __version__
from headgate.config.version import config_version
from headgate.engine.engine import Engine
from headgate.errors import ConfigError
from headgate.gateway.admin import AdminApp
from headgate.gateway.app import MB, GatewayApp
from headgate.gateway.background import Background
from headgate.gateway.sources import AuthFailures
from headgate.net.server import Server
from headgate.net.server_limits import ServerLimits
from headgate.telemetry.log_line import LogEvent
from headgate.telemetry.metrics.loop_lag import LoopLag
from headgate.telemetry.metrics.pressure import Pressure

__all__ = ["Gateway"]


class Gateway:
    """The gateway and the operators' listener.  `await start()`, then `await stop()` once."""

    def __init__(self, engine: Engine, background: Background | None = None) -> None:
        """`background` is started and stopped with the gateway."""
        self.engine = engine
        self.watch = None if background is None else background.watch
        self._background = background
        config = engine.config.gateway
        self._limits = limits = ServerLimits(
            head_timeout_s=config.head_timeout_s,
            body_bytes_per_s=config.body_bytes_per_s,
            write_stall_s=config.stall_timeout_s,
            connections=config.max_connections,
            connections_per_peer=config.max_connections_per_address,
            buffered_bytes=config.buffered_mb * MB,
        )
        auth_failures = AuthFailures(engine.metrics, engine.clock)
        self.app = GatewayApp(engine, auth_failures)
        self._server = Server(self.app, limits)
        addresses = None if background is None else background.admin_addresses
        self._operators = AdminApp(engine, engine.config.admin, auth_failures, addresses, self.watch)
        self._admin = Server(self._operators, ServerLimits(connections=256))
        self._lag = LoopLag(engine.metrics, engine.clock)
        Pressure(engine.metrics, self._fullness, lambda: self._lag.longest_s)
        self.port = 0
        self.admin_port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: an address cannot be listened on.
        """
        config = self.engine.config
        self.admin_port = await _listen(self._admin, "admin", config.admin.host, config.admin.port)
        self.port = await _listen(self._server, "gateway", config.gateway.host, config.gateway.port)
        self._lag.start()
        if self._background is not None:
            await self._background.start()
        asyncio.get_running_loop().call_soon(self._tell_settings)  # whoever started it may say so first

    def _tell_settings(self) -> None:
        """Names of what operators give and take away by the settings: so that it shows which start changed it."""
        config = self.engine.config
        version = config_version(config)
        facts = {"keys": [key.name for key in config.gateway.keys], "budgets": list(config.budgets)}
        self._operators.trail.started(version, {"version": __version__, **facts})
        self.engine.tell(LogEvent.CONFIG, {"listens": [self.port, self.admin_port], **facts})

    async def stop(self, grace_s: float | None = None) -> None:
        """Drain: nobody new is let in, no probe either; calls under way may finish; then all is written down."""
        await self._server.drain(self.engine.config.gateway.drain_s if grace_s is None else grace_s)
        self._lag.stop()
        if self._background is not None:
            await self._background.stop()
        await self._operators.close()
        await self._admin.drain(0)
        await self.engine.close()

    def _fullness(self) -> tuple[float, ...]:
        """How much is used of what calls are refused at when it is all used."""
        server, limits = self._server, self._limits
        return (
            len(server.connections) / limits.connections,
            server.memory.held_bytes / limits.buffered_bytes,
            self.engine.ledger.state().backlog_bytes / (self.engine.config.ledger.max_backlog_mb * MB),
        )

    @property
    def calls_under_way(self) -> int:
        return self._server.requests_under_way


async def _listen(server: Server, what: str, host: str, port: int) -> int:
    try:
        return await server.start(host, port)
    except OSError as problem:
        why = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else problem.strerror
        raise ConfigError(
            f"{what}: cannot listen on {host}:{port}: {why}; stop what listens there, or set {what}.port"
        ) from None
