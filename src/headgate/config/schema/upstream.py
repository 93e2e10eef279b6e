"""`[upstream]`: where the API is, and with which keys it is asked."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.secret import Secret

__all__ = ["CredentialConfig", "UpstreamConfig"]


@dataclass(frozen=True, kw_only=True)
class CredentialConfig:
    """One more API key, tried in the order of the file when an earlier one is refused or spent."""

    name: str
    """What logs and tables call it."""
    api_key: Secret | None = None
    """The key itself.  Better: one of the next two."""
    api_key_file: str | None = None
    """A file whose first line is the key; readable by its owner only."""
    api_key_command: str | None = None
    """A command that prints the key, for example a secret manager's; run once at start, without a shell."""
    workspace: str | None = None
    """The workspace that the key belongs to (`wrkspc_…`); unset, the default one.  Only used with an admin key, to ask
    for the workspace's own limits."""
    api_key_id: str | None = None
    """As `upstream.api_key_id`, of this key."""


@dataclass(frozen=True, kw_only=True)
class UpstreamConfig:
    """The Claude API, and the key for it."""

    base_url: str = "https://api.anthropic.com"
    """Where calls go.  Plain http is only taken for a loopback address, such as the simulator's."""
    api_key: Secret | None = None
    """The API key.  If neither this nor the next two are set, the environment variable ANTHROPIC_API_KEY is read."""
    api_key_file: str | None = None
    """A file whose first line is the key; readable by its owner only."""
    api_key_command: str | None = None
    """A command that prints the key; run once at start, without a shell."""
    workspace: str | None = None
    """The workspace that the key belongs to (`wrkspc_…`); unset, the default one.  Only used with an admin key, to ask
    for the workspace's own limits, of which responses do not tell."""
    admin_key: Secret | None = None
    """An admin key of the organisation (`sk-ant-admin…`).  With one, the Rate Limits API is asked every ten minutes
    what the account may use.  It is sent nowhere else, and calls do not depend on it."""
    admin_key_file: str | None = None
    """A file whose first line is the admin key; readable by its owner only."""
    admin_key_command: str | None = None
    """A command that prints the admin key; run once at start, without a shell."""
    api_key_id: str | None = None
    """The id of the API key (`apikey_…`, as the Console shows it), so that `headgate cost reconcile` compares what was
    done with it and not what others use of the account.  All keys have one or none has; without them the ledger is
    compared with the whole organisation."""
    credentials: tuple[CredentialConfig, ...] = ()
    """More keys, in order: `[[upstream.credentials]]`."""
    tier: str = "start"
    """The account's usage tier until responses tell the real limits: start, build or scale."""
    max_connections: int = 1024
    """Open connections to the upstream.  A call that finds none free waits its turn, within its deadline."""
    keepalive_s: float = 50.0
    """How long an idle connection is kept for reuse."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's, in PEM."""
    allow_private_addresses: bool = False
    """Whether the name of the upstream may resolve to a private or loopback address.  Off, because a name that suddenly
    does is how a key is stolen; an address written in base_url itself is always taken."""
