"""Every setting: its name, type, default and meaning.  Values are checked while loading (load.py), never later.

The docstring under a field is its documentation: docs/reference/configuration.md prints it.  A unit stands last in a
name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from headgate.core.retry import RetryPolicy
from headgate.core.shape import ModelRule
from headgate.secret import Secret

__all__ = [
    "AdminConfig",
    "AlertRuleConfig",
    "AlertSenderConfig",
    "AlertsConfig",
    "BudgetConfig",
    "CalendarConfig",
    "CallerKey",
    "Config",
    "CredentialConfig",
    "DayKindConfig",
    "EstimatesConfig",
    "GatewayConfig",
    "LaneConfig",
    "LedgerConfig",
    "LimitsConfig",
    "LogConfig",
    "MemoConfig",
    "PoolCeiling",
    "PricesConfig",
    "ReportConfig",
    "RetryConfig",
    "TelemetryConfig",
    "UpstreamConfig",
    "WorkflowConfig",
]


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


@dataclass(frozen=True, kw_only=True)
class CallerKey:
    """A key that callers of the gateway present.  `headgate keys new` makes one and prints what to write here."""

    name: str
    """What logs and tables call it."""
    sha256: str
    """SHA-256 of the key, in hex.  The key itself is stored nowhere."""
    workflow: str | None = None
    """If set, calls with this key belong to this workflow whatever their header says."""
    user: str | None = None
    """If set, calls with this key belong to this user."""
    session: str | None = None
    """If set, calls with this key belong to this session."""
    team: str | None = None
    """If set, calls with this key belong to this team."""
    tags: tuple[str, ...] = ()
    """Calls with this key have these tags, beside those that they bring."""
    lane: str | None = None
    """If set, calls with this key run in this lane."""
    lanes: tuple[str, ...] = ()
    """Lanes a caller may ask for by header.  Empty: all of them."""


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """The listener that speaks the Claude API to your applications."""

    host: str = "127.0.0.1"
    """Address to listen on.  Any other than a loopback address needs caller keys."""
    port: int = 8787
    """Port to listen on; 0 picks a free one."""
    keys: tuple[CallerKey, ...] = ()
    """Caller keys: `[[gateway.keys]]`.  Without any, callers on this machine may present any credential."""
    hosts: tuple[str, ...] = ()
    """Values of the Host header to serve beside the address itself, for a gateway on loopback; a gateway with
    caller keys on another address serves every name unless some are listed here."""
    public_url: str | None = None
    """How callers reach the gateway, where a proxy in front changes that: used in links that the API returns."""
    max_body_mb: int = 32
    """Largest body of a message or a token count."""
    max_batch_mb: int = 256
    """Largest body of a Message Batch."""
    max_file_mb: int = 500
    """Largest uploaded file."""
    buffered_mb: int = 1024
    """Request bodies held in memory at the same time."""
    max_connections: int = 10_000
    """Open connections from callers."""
    max_connections_per_address: int = 4_096
    """Open connections from one address."""
    head_timeout_s: float = 10.0
    """A caller must send all headers within this time."""
    body_bytes_per_s: int = 256
    """A caller that sends its body slower than this is refused."""
    stall_timeout_s: float = 60.0
    """A caller that takes no byte of its answer for this long is cut off."""
    ping_interval_s: float = 15.0
    """A stream that has been silent for this long gets a ping event."""
    drain_s: float = 30.0
    """After SIGTERM, calls under way have this long to finish."""
    unmetered_paths: tuple[str, ...] = ()
    """Path prefixes under /v1/ to pass on although their answers do not tell what they cost, such as "/v1/sessions"."""


@dataclass(frozen=True, kw_only=True)
class AdminConfig:
    """The listener for operators: the dashboard, its API, metrics, health."""

    host: str = "127.0.0.1"
    """Address to listen on.  Any other than a loopback address needs a token."""
    port: int = 8788
    """Port to listen on; 0 picks a free one."""
    token: Secret | None = None
    """If set, required as `Authorization: Bearer`; the dashboard asks for it once and keeps a session of eight
    hours."""
    token_file: str | None = None
    """A file whose first line is the token; readable by its owner only."""


@dataclass(frozen=True, kw_only=True)
class LaneConfig:
    """One class of traffic: its share, how long it may wait, and how long each step may take."""

    weight: float = 1.0
    """Share against other lanes that have calls waiting; 2.0 gets twice what 1.0 gets.  From 0.001 to 1000."""
    headroom: float = 0.0
    """Share of what may go at once that other lanes leave alone, so that a call of this one finds room when they are
    busy.  It takes nothing from their rate.  A lane that has been quiet for ten minutes lends it."""
    max_wait_s: float = 60.0
    """Longest a call may wait for its turn.  0 refuses at once."""
    max_queue: int = 10_000
    """Calls that may wait at the same time, in each pool of models.  When the places are taken, a call of a workflow
    that has less than an even share of them takes the place of the call that came last of one that has more, which is
    refused: one that floods its lane does not keep the others out."""
    open: tuple[str, ...] = ()
    """When calls of this lane are sent, such as `["Mon-Fri 20:00-06:00", "Sat,Sun 00:00-24:00"]`: days and times on the
    clock of `time_zone`.  A window belongs to the day on which it begins; without days it is every day's.  Empty:
    always.  While a lane is closed its calls wait, those whose patience ends before it opens are refused at once."""
    time_zone: str = "UTC"
    """Whose clock `open` is read by: `Europe/Berlin`, `America/New_York`."""
    holidays: tuple[str, ...] = ()
    """Dates, such as `"2026-12-25"`, on which the windows of a Sunday are in force instead of the day's own.  A window
    that began the evening before still lasts until its end."""
    connect_timeout_s: float = 5.0
    """Finding the address, connecting and the TLS handshake together."""
    first_byte_timeout_s: float = 120.0
    """From the request to the headers of a streamed answer."""
    answer_timeout_s: float = 600.0
    """From the request to the headers of an answer that is not streamed: the whole generation lies before them."""
    idle_timeout_s: float = 120.0
    """A stream that sends no byte, not even a ping, for this long is given up."""
    progress_timeout_s: float = 300.0
    """A stream that sends nothing but pings for this long is given up."""
    total_timeout_s: float = 7200.0
    """The call's deadline, over waiting, all attempts and the whole stream."""


@dataclass(frozen=True, kw_only=True)
class RetryConfig(RetryPolicy):
    """The one layer that retries."""

    hold_s: float = 5.0
    """A stream's opening frames are held until its content starts, so that a failure before can be retried unseen;
    at most this long."""
    buffer_mb: int = 64
    """Memory for the streams of all workflows with `stream = "buffered"`.  A stream that finds none left goes out as it
    comes."""


@dataclass(frozen=True, kw_only=True)
class PoolCeiling:
    """Limits of one pool that no response header raises, for each API key; unset: as the tier or the headers say.

    They bound the rate.  How much goes at once is the API's to say, and no more than a minute (`burst_s`) of them."""

    rpm: int | None = None
    """Requests a minute."""
    itpm: int | None = None
    """Input tokens a minute, cache reads not counted."""
    otpm: int | None = None
    """Output tokens a minute."""


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """How admission treats the account's limits."""

    first_burst_s: float = 1.0
    """How many seconds of refill may go at once, to begin with.  The API does not publish the depth of its own buckets;
    while calls wait a little more is tried at a time, until the API says that it is too much."""
    burst_s: float = 60.0
    """The most that is ever tried.  A lower one keeps traffic smooth; the rate is the same."""
    ramp_growth: float | None = None
    """How many times as much input a pool may take in one minute as in the minute before, after it was idle.  Unset:
    any, until the API says that traffic grows too fast (`ramp_limit_exceeded`); then 1.5, for an hour."""
    share_by: Literal["workflow", "caller", "user"] = "workflow"
    """Who shares a lane fairly: workflows, caller keys or users.  Within one of them first come is first served, but
    for prompts whose beginning the prompt cache holds."""
    per_user_rpm: int | None = None
    """Calls a minute that each user may make; more are refused at once.  So many may be made together, and one more
    every 60 s divided by it.  Unset: any number.  Calls that name no user are not counted."""
    per_session_rpm: int | None = None
    """The same for each session."""
    pools: dict[str, PoolCeiling] = field(default_factory=dict)
    """Ceilings by pool: `[limits.pools."sonnet-5.5"]`.  `headgate limits` and limits.md name the pools; fast mode has
    its own, with `:fast` behind the name, and a model that Headgate does not know is a pool of its own."""


@dataclass(frozen=True, kw_only=True)
class EstimatesConfig:
    """How much a call will use, before it is made."""

    count_from_tokens: int = 50_000
    """A prompt estimated at so many tokens is counted by the API before it is admitted, as long as little is known of
    calls like it.  Counting is free and has a limit of its own.  0 counts none."""


@dataclass(frozen=True, kw_only=True)
class MemoConfig:
    """Answers kept in memory for the workflows with `memo`, and for those whose fallbacks list `stale`."""

    max_mb: int = 64
    """Most memory for them, and for the streams on their way of which some may be kept; those take half of it at most,
    and one that finds no room is not kept.  The longest unused go first."""
    stale_max_age_s: float = 86_400.0
    """No answer older than this is given as a fallback."""


@dataclass(frozen=True, kw_only=True)
class PromptCacheConfig:
    """Claude's prompt cache, where callers do not ask for it themselves."""

    mode: Literal["auto", "off"] = "auto"
    """With `auto`, prompts are marked for the cache where what was seen of calls like them says that it pays; a request
    that has markers of its own, or comes from Claude Code, is never touched."""
    keep_alive: bool = True
    """Whether a prompt that Headgate marked is asked once more, for no answer, shortly before it would be dropped: only
    where enough of those like it came again in the minutes after.  Such a request is no call of anybody's (`own`
    in the ledger), counts against the limits as a request with hardly any input, and waits behind all others, in lane
    `bulk`."""
    diagnostics: bool = False
    """Whether the API is asked to compare each call of a session with the one before and to say what changed, for
    `headgate cache lint`.  It adds the field `diagnostics` to requests and to their answers; not in workflows with
    `join_max` or `memo`."""


@dataclass(frozen=True, kw_only=True)
class BatchesConfig:
    """How the calls of workflows with `batch = true` are answered through Message Batches.  Their callers wait on the
    line, so a call goes into a batch only if it says that it can wait: by its deadline, or by its lane's."""

    min_patience_s: float = 3600.0
    """A call with less time than this is asked at once, by itself."""
    collect_s: float = 600.0
    """Longest a call waits for others to share its batch; never longer than a tenth of the time it has."""
    max_requests: int = 10_000
    """Requests of one batch: it goes when it has so many."""
    max_mb: int = 64
    """Bytes of one batch, likewise.  The API takes 256 MB."""
    poll_s: float = 60.0
    """How often the API is asked which batches have ended: one request for all of them, and not before a twentieth of
    the time is over that the calls of one have left."""
    reserve_s: float = 600.0
    """So long before a call's time is up its batch is cancelled; what is not answered by then is asked by itself."""


@dataclass(frozen=True, kw_only=True)
class LedgerConfig:
    """Where every call is recorded."""

    path: str = "~/.local/state/headgate/ledger.db"
    """The SQLite file.  A journal folder stands beside it."""
    commit_interval_s: float = 0.05
    """Rows are committed together this often.  They are safe from a crash of the process before that, in the
    journal."""
    max_backlog_mb: int = 256
    """Rows waiting to be committed, in the journal.  Beyond it new calls are refused: what is not recorded must not be
    spent."""


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """One JSON line a call."""

    path: str = "-"
    """A file, or "-" for standard output, or "off"."""
    content: Literal["off", "hashed", "scrubbed", "full"] = "off"
    """What is kept of the text of requests and answers.  `hashed`: a digest of each in the log line; equal texts have
    equal digests, and who knows a text can recognise it.  `scrubbed`: also the text, in `content.db` beside the ledger,
    without the personal data and secrets that are found in it.  `full`: the text as it is; leave that unless you must.
    The log line itself never holds text."""
    content_chars: int = 4000
    """Longest text kept of each."""
    keep_days: float = 30.0
    """After so many days kept text and samples are deleted, for good.  `headgate forget` deletes a user's at once."""
    presidio: str | None = None
    """A spaCy model (`en_core_web_lg`, `de_core_news_lg`) or its folder: text that is kept is also scrubbed of what
    Microsoft Presidio finds with it, which knows names and places where no word announces them.  Needs `pip install
    "headgate[pii]"` and the model (`python -m spacy download en_core_web_lg`), and is slow."""


@dataclass(frozen=True, kw_only=True)
class TelemetryConfig:
    """What monitors are told."""

    max_series: int = 20_000
    """Most series in `/metrics`, each bucket of a histogram counted.  What comes beyond is booked under `other`."""
    otlp_endpoint: str | None = None
    """Where an OpenTelemetry collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`: traces and metrics go
    there.  Unset: where OpenTelemetry's own variables say (`OTEL_EXPORTER_OTLP_ENDPOINT`), and nowhere without them."""
    semconv: Literal["new", "legacy", "both"] = "both"
    """Whose names the GenAI attributes and metrics have: the conventions' own repository, what they were called before,
    or both.  `OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental` goes before it, and means the new ones."""
    trace_upstream: bool = False
    """Whether the API is told the trace: `traceparent` and `tracestate` on every attempt."""


@dataclass(frozen=True, kw_only=True)
class DayKindConfig:
    """A kind of day that is not like others, such as `[calendar.kinds.shutdown]`."""

    days: tuple[str, ...] = ()
    """Dates, such as `"2026-12-24"` or, with both ends, `"2026-12-24..2027-01-02"`.  Those of the calendar's file come
    on top."""
    like: float = 1.0
    """What such a day costs in parts of a workday, for as long as none has been seen: 0.2 for a shutdown, 2.5 for an
    audit."""


@dataclass(frozen=True, kw_only=True)
class CalendarConfig:
    """Which days can be compared with which, so that a shutdown or an audit is no alarm and a rise inside one is."""

    time_zone: str = "UTC"
    """Whose days, such as `Europe/Amsterdam`."""
    weekend: tuple[str, ...] = ("Sat", "Sun")
    """Of `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat`, `Sun`."""
    file: str | None = None
    """A calendar as other programs export it (iCalendar, `.ics`): its whole-day events whose category or title is a
    kind's name are days of that kind."""
    kinds: dict[str, DayKindConfig] = field(default_factory=dict)
    """Of day, by name.  Where two claim a day, the one that is written first has it."""


@dataclass(frozen=True, kw_only=True)
class AlertRuleConfig:
    """What is different about one alert rule, such as `[alerts.rules.error_rate]`.  Unset: as it ships."""

    off: bool = False
    """Whether it is not looked at."""
    threshold: float | None = None
    """How much is too much, in the rule's own unit: 0.02 is 2 %, times are in seconds, money in dollars."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """Others, for values of the label that the rule goes by: of workflow_p95 `{ "support-chat" = 20.0 }`."""
    minimum: float | None = None
    """How much there must be to judge by: calls, tokens, dollars."""
    for_s: float | None = None
    """How long it must last."""
    severity: Literal["page", "ticket", "info"] | None = None
    """Whether somebody is woken, somebody has something to do, or it is only told."""


@dataclass(frozen=True, kw_only=True)
class AlertSenderConfig:
    """One receiver of notifications, such as `[alerts.senders.oncall]`."""

    kind: Literal["webhook", "slack", "smtp", "pagerduty", "alertmanager"]
    """An address of your own, a channel of Slack, mail, an incident of PagerDuty (Events API v2), or Prometheus'
    Alertmanager."""
    severities: tuple[str, ...] = ("page", "ticket")
    """What it is told: page, ticket, info; and none, which is the rule `watchdog`, for a receiver that wakes somebody
    when nothing comes."""
    url: Secret | None = None
    """Where to post to; of Slack its incoming webhook, of Alertmanager its address without a path.  PagerDuty needs one
    only for accounts in the EU (`https://events.eu.pagerduty.com/v2/enqueue`).  Redirects are not followed, and plain
    http is only taken to this machine or with allow_private."""
    url_file: str | None = None
    """A file whose first line is the url; readable by its owner only."""
    url_command: str | None = None
    """A command that prints the url; run once at start, without a shell."""
    secret: Secret | None = None
    """What a webhook is signed with, PagerDuty's routing key, the password for mail, Alertmanager's bearer token."""
    secret_file: str | None = None
    """A file whose first line is the secret; readable by its owner only."""
    secret_command: str | None = None
    """A command that prints the secret; run once at start, without a shell."""
    host: str | None = None
    """The mail server."""
    port: int | None = None
    """Its port.  Unset: 587, with `tls = "tls"` 465, with `tls = "off"` 25."""
    tls: Literal["starttls", "tls", "off"] = "starttls"
    """How mail is kept from being read on its way: encrypted after a greeting, or from the first byte.  `off` is only
    taken to this machine, or with allow_private."""
    user: str | None = None
    """Who logs in at the mail server, with `secret`."""
    from_address: str | None = None
    """Whom mail is from."""
    to: tuple[str, ...] = ()
    """Who gets mail."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's, in PEM."""
    allow_private: bool = False
    """Whether the receiver's name may lead to a private or loopback address, and an address be link-local, where clouds
    keep secrets.  An address of another kind that is written in url or host itself is always taken."""


@dataclass(frozen=True, kw_only=True)
class AlertsConfig:
    """Who is told when something is wrong."""

    enabled: bool = True
    """Whether the gateway watches itself.  Switch it off where Prometheus evaluates the rules."""
    cost_floor_usd: str = "5.00"
    """An hour that costs so little more than expected is nobody's alarm."""
    rules: dict[str, AlertRuleConfig] = field(default_factory=dict)
    """By the rule's id: `headgate alerts --all` names them."""
    senders: dict[str, AlertSenderConfig] = field(default_factory=dict)
    """By a name of your choice: `headgate alerts test NAME` tries one."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Who is told every day how the day before was, and what it cost: `headgate report`."""

    at: str | None = None
    """When, by the clock of `calendar.time_zone`: `07:00`.  Unset: it is not sent."""
    senders: tuple[str, ...] = ()
    """To whom, by the names of `[alerts.senders]`: mail gets it whole, Slack what matters most, a webhook its JSON."""


@dataclass(frozen=True, kw_only=True)
class PricesConfig:
    """What tokens cost."""

    file: str | None = None
    """Your own price rows, in the format of `headgate prices --toml`; they win over the ones that ship."""
    unknown_model: Literal["refuse", "record"] = "refuse"
    """A model without a price row is refused, or sent and recorded with an error instead of a cost; never as free."""


@dataclass(frozen=True, kw_only=True)
class WorkflowConfig:
    """Policy for one workflow."""

    lane: str | None = None
    """Its lane unless a call says otherwise."""
    log_content: Literal["off", "hashed", "scrubbed", "full"] | None = None
    """Overrides log.content for this workflow."""
    keep_samples: int = 0
    """So many of its answered calls are kept, scrubbed, as material for an eval set: drawn so that each call has the
    same chance.  0 keeps none.  `headgate samples` lists and exports them; log.keep_days deletes them."""
    stream: Literal["live", "buffered"] = "live"
    """With `buffered` a stream goes out only when it is complete, so that a break anywhere in it is tried again and
    never seen; until then its caller gets nothing, not even headers."""
    fallbacks: tuple[str, ...] = ()
    """What to do, in this order, when a call cannot be answered: `stale` (the last good answer to the same request),
    `model:NAME` (ask another model), `canned` (the text below), `queue` (make it a job).  Not for a request that is
    wrong itself, nor for one that a model declines or a budget refuses."""
    fallbacks_on: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Another list for one kind of trouble: an error class (`overloaded`), a reason why Headgate does not send the call
    (`wait_too_long`), `budget` (too little is left of one) or `refusal` (the model declines).  The last two only have
    what is listed here.  An empty list does nothing."""
    canned: str | None = None
    """The text that `canned` answers with."""
    queued: str = "Your request is queued and will be answered later. Ticket: {ticket}"
    """The text that `queue` answers with; `{ticket}` stands for the ticket."""
    api_error_text: bool | None = None
    """Whether callers get the API's own words when it fails.  Unset: only where the request itself is wrong; of errors
    of the service or the account, which may name your organisation, they get Headgate's words."""
    per_user_rpm: int | None = None
    """Instead of limits.per_user_rpm, for calls of this workflow, which are counted by themselves; 0 is any number."""
    per_session_rpm: int | None = None
    """Instead of limits.per_session_rpm, likewise."""
    deadline_s: float | None = None
    """Longest that its calls may take, over waiting, all attempts and the whole stream; a call may ask for less.
    Unset: the lane's `total_timeout_s`, which always holds."""
    model: str | None = None
    """The model that its calls ask, whatever they name.  With `models` beside it: only those that name another one than
    these."""
    models: tuple[str, ...] = ()
    """The models that its calls may name; others are refused, or mapped to `model`.  Empty: any."""
    max_tokens: int | None = None
    """For calls that do not say `max_tokens`.  `headgate cost max-tokens` advises one."""
    max_tokens_ceiling: int | None = None
    """Calls that ask for more get this; where a call has a thinking budget, no less than that and a little."""
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """The effort of calls that say none, and the most for those that do; where the model takes it."""
    max_input_tokens: int | None = None
    """Longer prompts are refused before anything is spent.  Where the estimate leaves a doubt the API counts them."""
    rules: tuple[ModelRule, ...] = ()
    """Cheaper models for simpler tasks: `[[workflows.NAME.rules]]`."""
    history_max_turns: int | None = None
    """Of a longer conversation the oldest turns are left out.  A turn begins with what a user says, and holds the calls
    of tools that follow, with their results.  When the bound is passed, turns go until 0.4 of it is left, so that the
    prompt's beginning then stays the same for many turns.  Never left out is what the API would miss: what comes before
    thinking that is bound to it, and histories that the API or Claude Code look after."""
    history_max_tokens: int | None = None
    """The same by the tokens of all messages, by a rough estimate."""
    shape_shadow: bool = False
    """None of the settings from `model` to here are in force: the ledger tells what they would have done
    (`calls.shaped`)."""
    memo: bool = False
    """Whether a request that has been answered before gets that answer again, at no cost: the same request, however its
    JSON is written, from the same caller key, team and user.  Answers that ask for a tool, or are cut, are not kept."""
    memo_max_age_s: float = 3600.0
    """No answer older than this is given by `memo`."""
    memo_users: bool = False
    """Whether `memo` may give one user what another was answered.  Never across caller keys or teams."""
    max_concurrency: int | None = None
    """Calls of this workflow that may be under way at the same time in one pool of models; more wait their turn, and
    leave the limits to others meanwhile.  Unset: any number."""
    prompt_cache: Literal["auto", "off"] | None = None
    """Instead of prompt_cache.mode, for calls of this workflow."""
    keep_warm: tuple[str, ...] = ()
    """Hours in which the cache holds the workflow's tools and system prompt, whether anybody asks or not, such as
    `["Mon-Fri 08:00-18:00"]`, on the clock of `keep_warm_time_zone`.  When they begin, what two calls had in common is
    written for an hour, at twice its price, and before it would be dropped unused it is read once more, at a tenth, by
    requests of Headgate's own; after twelve of these without a call it is let go.  In the hours of an office
    it pays from four calls a day on, and the first of them waits less."""
    keep_warm_time_zone: str = "UTC"
    """Whose clock `keep_warm` goes by: `Europe/Amsterdam`."""
    join_max: int = 0
    """Up to so many small calls with the same instructions, schema and parameters are asked in one request, and each
    gets its own answer.  0 and 1 ask each by itself."""
    join_window_s: float = 1.0
    """Longest a call waits for others to be asked together with.  It waits half of the time it has at most, and not
    at all while it is not likely that anybody comes."""
    join_within_s: float | None = None
    """How soon answers are wanted, where calls do not say so by a deadline: as many are joined as will be answered by
    then, as far as is known.  Nothing is cut off by it.  Unset: the call's deadline."""
    join_users: bool = False
    """Whether calls of different users may be joined.  Calls of different caller keys never are."""
    traceable: bool = False
    """Each answer must come from a request of its own: nothing is joined, and no answer given twice."""
    batch: bool = False
    """Whether calls that have time are answered through Message Batches, at half the price: see `[batches]`."""


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """How much some calls may cost in some time.  A call is charged to every budget that covers it, in the window in
    which it was admitted."""

    usd: str
    """US dollars in quotes, such as `"25.00"`."""
    window: Literal["call", "session", "hour", "day", "week", "month"] = "month"
    """For how long: one call, one session for as long as it lives, or an hour, day, week (from Monday) or month of the
    calendar in `time_zone`."""
    time_zone: str = "UTC"
    """Whose clock the window goes by: `Europe/Amsterdam`."""
    team: str | None = None
    """Covers the calls of this team only.  This one and the next six go together: a call must match all that are set.
    With none of them a budget covers every call."""
    caller_key: str | None = None
    """Calls with this caller key (its name)."""
    user: str | None = None
    """Calls of this user, as the ledger has it: a mail address is known by its digest, `user-…`."""
    session: str | None = None
    """Calls of this session."""
    workflow: str | None = None
    """Calls of this workflow."""
    model: str | None = None
    """Calls to this model."""
    tag: str | None = None
    """Calls with this tag."""
    per: tuple[str, ...] = ()
    """Gives each its own: `["user"]` is so much for every user by themselves.  Of `team`, `caller_key`, `user`,
    `session`, `workflow`, `model`, `tag`.  Calls that name none share one."""
    mode: Literal["smooth", "strict"] = "smooth"
    """Which calls still fit.  `smooth` sets aside what a call is expected to cost, so that spending may pass the budget
    by what calls under way cost beyond that.  `strict` sets aside the most that a call can cost, so that it never does:
    it lowers `max_tokens` to what is left, has calls wait for others to end, and refuses calls whose cost has no
    bound."""
    warn_at: float = 0.5
    """Share of the budget at which the log says so, once in a window; 0: never."""
    slow_at: float = 0.8
    """Share from which `slow` is in force, not below `warn_at`; 0: never."""
    slow: str | None = None
    """What is done with calls from then on: `lane:bulk` has them run in that lane, `model:claude-haiku-5-5` asks that
    model.  Unset: nothing."""
    refuse_at: float = 1.0
    """Share that spending must not pass, not below `slow_at`: calls for which there is no room are refused.  0: none
    is, so that the budget only watches."""


def _lanes() -> dict[str, LaneConfig]:
    return {
        "interactive": LaneConfig(weight=4.0, headroom=0.25, max_wait_s=30.0, first_byte_timeout_s=60.0),
        "standard": LaneConfig(weight=2.0, max_wait_s=120.0),
        "bulk": LaneConfig(weight=1.0, max_wait_s=3600.0, first_byte_timeout_s=300.0, total_timeout_s=14_400.0),
    }


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that is in force.  A call sees one of these, whole."""

    upstream: UpstreamConfig = field(default_factory=UpstreamConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    admin: AdminConfig = field(default_factory=AdminConfig)
    lanes: dict[str, LaneConfig] = field(default_factory=_lanes)
    """By name.  Naming one of interactive, standard or bulk changes what it says and keeps the rest; other names are
    lanes of your own."""
    default_lane: str = "standard"
    """For calls that name none and whose workflow has none."""
    retry: RetryConfig = field(default_factory=RetryConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    estimates: EstimatesConfig = field(default_factory=EstimatesConfig)
    memo: MemoConfig = field(default_factory=MemoConfig)
    prompt_cache: PromptCacheConfig = field(default_factory=PromptCacheConfig)
    batches: BatchesConfig = field(default_factory=BatchesConfig)
    ledger: LedgerConfig = field(default_factory=LedgerConfig)
    log: LogConfig = field(default_factory=LogConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    calendar: CalendarConfig = field(default_factory=CalendarConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    prices: PricesConfig = field(default_factory=PricesConfig)
    budgets: dict[str, BudgetConfig] = field(default_factory=dict)
    """By name: `[budgets.support-day]`."""
    workflows: dict[str, WorkflowConfig] = field(default_factory=dict)
    """By name: `[workflows.support-chat]`."""
