"""The engine: everything a call needs, wired once.  Both edges, gateway and library, use exactly this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from headgate.call import Call
from headgate.clock import Clock, SystemClock, utc_day
from headgate.config.opening_hours import warm_hours
from headgate.config.schema import Config
from headgate.config.secrets import resolve
from headgate.core.audit import AuditRow
from headgate.core.catalog import Catalog
from headgate.core.error_words import ApiErrorText
from headgate.core.estimate import Estimator, Habit
from headgate.core.fallback import BUDGET, REFUSAL
from headgate.core.grants import Account
from headgate.core.memo import Memo
from headgate.core.prefix_lint import PrefixLint
from headgate.core.price import PriceBook
from headgate.engine.admit import Admit
from headgate.engine.affinity import Affinity
from headgate.engine.batch_desk import BatchDesk
from headgate.engine.budget import Budget
from headgate.engine.budget_each import BudgetEach
from headgate.engine.budgets import Budgets
from headgate.engine.check_output import CheckOutput
from headgate.engine.content import content_desk
from headgate.engine.deadline import Deadline
from headgate.engine.defer import Defer
from headgate.engine.fallback import Fallback, FallbackUnpaid, fallback_policies
from headgate.engine.filter import compose
from headgate.engine.gates import Gates
from headgate.engine.guard import Guard
from headgate.engine.jobs import JobQueue
from headgate.engine.join import Join, joins
from headgate.engine.keep_alive import KeepAlive
from headgate.engine.keep_warm import KeepWarm
from headgate.engine.limit_poller import LimitPoller
from headgate.engine.lint import Lint
from headgate.engine.load import load_catalog, load_credentials, load_prices
from headgate.engine.memo import KeepAnswers, memo_terms
from headgate.engine.meter import Meter
from headgate.engine.observe import Observe
from headgate.engine.open_stores import open_stores
from headgate.engine.oracle import Oracle, ask_through
from headgate.engine.pipeline import path
from headgate.engine.pool_gate import PoolGate
from headgate.engine.prompt_cache import PromptCache
from headgate.engine.quota import Quota
from headgate.engine.retry import Retry
from headgate.engine.shape import Shape, shape_policies
from headgate.engine.spent import TellSpent
from headgate.engine.watch_batches import WatchBatches
from headgate.net.client import Dial
from headgate.safety.log_sweep import LogSweep, secrets_in
from headgate.secret import Secret
from headgate.stores.base import BudgetStore, Ledger
from headgate.stores.memory import MemoryBudgets
from headgate.telemetry.call_log import CallLog
from headgate.telemetry.log_line import LogEvent
from headgate.telemetry.metrics.batch_state import BatchState
from headgate.telemetry.metrics.calls import Calls
from headgate.telemetry.metrics.known_labels import known_labels
from headgate.telemetry.metrics.registry import Registry
from headgate.telemetry.metrics.state import EngineState
from headgate.telemetry.metrics.store_ops import StoreOps
from headgate.telemetry.otel.settings import read_settings
from headgate.telemetry.otel.tracing import OpenTelemetry
from headgate.upstream.dial import TcpDial
from headgate.upstream.keyring import Keyring
from headgate.upstream.send import Upstream, parse_base_url

if TYPE_CHECKING:
    from headgate.safety.content.desk import ContentDesk

__all__ = ["Engine"]


class Engine:
    """Takes calls to the Claude API.  Lives on the event loop it is made on; `close` it there."""

    def __init__(
        self,
        config: Config,
        *,
        keyring: Keyring,
        prices: PriceBook,
        catalog: Catalog,
        ledger: Ledger,
        log: CallLog | None,
        clock: Clock,
        rng: Random,
        dial: Dial,
        jobs: JobQueue | None = None,
        admin_key: Secret | None = None,
        budget_store: BudgetStore | None = None,
        content: ContentDesk | None = None,
        environ: Mapping[str, str] | None = None,
        threaded: bool = False,
    ) -> None:
        """
        Args:
            content: keeps the text of calls; without one it is kept in memory, if it is to be kept.
            environ: where OpenTelemetry's own variables are.
            threaded: long answers are looked at on a thread; else at once, for runs in virtual time.
        """
        self.config = config
        self.clock = clock
        self.ledger = ledger
        self.prices = prices
        self.keyring = keyring
        self.catalog = catalog
        self.api_error_text = ApiErrorText(
            {n: w.api_error_text for n, w in config.workflows.items() if w.api_error_text is not None}
        )
        self._log = log
        self.operators_log = LogSweep()
        """Looks over what the process says to those who run it; whoever sets up logging uses it."""
        keys = [each.key for each in keyring.all()]
        self.keep_out_of_logs([*secrets_in(config), *keys, *([admin_key] if admin_key is not None else [])])
        self._rng = rng
        estimator = Estimator()
        retry = config.retry
        self.content = content or content_desk(config, log, clock, rng, on_disk=False)
        """Keeps the text of calls; None: no text of any call is kept in any form."""
        self._upstream = Upstream(
            config.upstream.base_url,
            dial,
            clock,
            config.lanes,
            max_connections=config.upstream.max_connections,
            keepalive_s=config.upstream.keepalive_s,
            traced=config.telemetry.trace_upstream,
        )
        self._gates = Gates(keyring, catalog, clock, rng, config)
        self._admit = Admit(
            self._gates, keyring, catalog, estimator, clock, config.lanes, share_by=config.limits.share_by
        )
        priced = [row.model for row in prices.rows()]
        self.metrics = Registry(known_labels(config, catalog, priced), max_series=config.telemetry.max_series)
        tally = Calls(self.metrics, catalog, config.workflows)
        self.store_ops = StoreOps(self.metrics)
        ledger.took = self.store_ops.of("ledger")
        self._otel: OpenTelemetry | None = None
        otel = read_settings(config.telemetry, environ or {})
        if otel.sends_something:
            self._otel = OpenTelemetry(
                otel,
                self.metrics,
                clock,
                rng,
                lambda ca_file: TcpDial(ca_file=ca_file, allow_private=True),
                server=parse_base_url(config.upstream.base_url)[0][1:],
                models=[*catalog.ids, *priced],
                asked=tally.asked,
            )
        if self.content is not None:
            self.content.on_findings = tally.found
            if content is not None and content.store is not None:  # on a disk
                content.store.took = self.store_ops.of("content")
        observe = Observe(ledger, log, tally, clock, self.content, self._otel)
        oracle = Oracle(
            ask_through(compose([self._admit], self._upstream.send), clock),
            estimator,
            catalog,
            clock,
            from_tokens=config.estimates.count_from_tokens,
            observer=tally,
        )
        self.prefix_lint = PrefixLint()
        quota = Quota(config.limits, config.workflows, clock)
        policies = fallback_policies(config, prices, utc_day(clock.unix_ms()), jobs=jobs)
        answers = KeepAnswers(
            Memo(config.memo.max_mb * 1024 * 1024),
            memo_terms(config.workflows),
            frozenset(name for name, policy in policies.items() if policy.lists("stale")),
            clock,
            stale_max_age_s=config.memo.stale_max_age_s,
        )
        batched = [name for name, workflow in config.workflows.items() if workflow.batch]
        self._keep_alive = KeepAlive(clock, self.new_call_id)
        hours = {name: hours for name, each in config.workflows.items() if (hours := warm_hours(each)) is not None}
        self._keep_warm = KeepWarm(hours, clock, self.new_call_id)
        prompt_cache = PromptCache(
            prices,
            catalog,
            estimator,
            clock,
            auto=config.prompt_cache.mode == "auto",
            workflows=config.workflows,
            made_below=frozenset((*batched, *(name for name, each in config.workflows.items() if joins(each)))),
            keep_alive=self._keep_alive if config.prompt_cache.keep_alive else None,
            keep_warm=self._keep_warm if self._keep_warm.workflows else None,
            on_not_marked=tally.not_marked,
        )
        self._check_output = CheckOutput(threaded=threaded)
        self._join = Join(config.workflows, config.lanes, prices, clock, rng, prompt_cache)
        meter = Meter(
            prices,
            ledger,
            clock,
            hold_s=retry.hold_s,
            api_error_text=self.api_error_text,
            estimates=tally,
        )
        again = Retry(
            retry,
            keyring,
            clock,
            rng,
            config.lanes,
            buffered=[name for name, workflow in config.workflows.items() if workflow.stream == "buffered"],
            buffer_bytes=retry.buffer_mb * 1024 * 1024,
        )

        def habit_of(call: Call) -> Habit:
            model = call.record.model or ""
            return estimator.habit(call.record.workflow, model, catalog.model(model).tokenizer)

        self._defer = Defer(
            batched,
            config.batches,
            BatchDesk(
                compose([again, self._admit], self._upstream.send),
                clock,
                self.new_call_id,
                poll_s=config.batches.poll_s,
            ),
            meter,
            habit_of,
            clock,
            prompt_cache,
            falls_back=[name for name, policy in policies.items() if policy.steps_for(REFUSAL)],
        )

        def can_slow(to: str) -> bool:
            kind, _, name = to.partition(":")
            if kind == "lane":
                return name in config.lanes
            return kind == "model" and prices.find(name, utc_day(clock.unix_ms())) is not None

        self.budgets: Budgets | None = None
        """What may be spent; None: no budget is configured."""
        count = oracle.tokens_of if config.estimates.count_from_tokens else None
        budget: Budget | None = None
        if config.budgets:
            budget_store = budget_store or MemoryBudgets()
            budget_store.took = self.store_ops.of("budgets")
            self.budgets = Budgets(
                config.budgets,
                budget_store,
                clock,
                same_model=lambda name: catalog.model(name).id,
                can_slow=can_slow,
            )
            self.budgets.desk.on_announced = self._budget_passed
            budget = Budget(self.budgets, prices, catalog, estimator, clock, config.lanes, count)
        shape = Shape(
            shape_policies(config, prices, utc_day(clock.unix_ms())),
            catalog,
            estimator,
            budgets=self.budgets,
            count=count,
        )
        guard = Guard(prices, unknown_model=config.prices.unknown_model)
        budget_each = BudgetEach(self.budgets, budget) if self.budgets is not None and budget is not None else None
        self._tell_spent = TellSpent(ledger, clock)
        of_the_cache = (observe, guard, self._tell_spent, prompt_cache, budget, again, budget_each, self._admit, meter)
        fill = compose([each for each in of_the_cache if each is not None], self._upstream.send)
        self._keep_alive.connect(fill)
        self._keep_warm.connect(fill)
        fallback = Fallback(policies, config.workflows, answers, jobs, catalog, clock) if policies else None
        falls_back_unpaid = any(policy.steps_for(BUDGET) for policy in policies.values())
        watch_batches = WatchBatches(clock, tally)
        filters = path(
            observe,
            Deadline(config.lanes, {n: w.deadline_s for n, w in config.workflows.items() if w.deadline_s is not None}),
            guard,
            None if quota.limits_nobody else quota,
            self._tell_spent,
            Affinity(ledger, keyring, clock),
            watch_batches,
            Lint(
                self.prefix_lint,
                ask=config.prompt_cache.diagnostics,
                equal=frozenset(n for n, w in config.workflows.items() if w.join_max > 1 or w.memo),
            ),
            self._check_output,
            None if shape.does_nothing else shape,
            answers if answers.workflows else None,
            None if prompt_cache.does_nothing else prompt_cache,
            FallbackUnpaid(fallback) if fallback is not None and budget is not None and falls_back_unpaid else None,
            budget,
            self._defer if self._defer.workflows else None,
            fallback,
            self._join if self._join.workflows else None,
            oracle if config.estimates.count_from_tokens else None,
            again,
            budget_each,
            self._admit,
            meter,
        )
        self.call = compose(filters, self._upstream.send)
        """`await call(Call) -> Reply`; raises `Refused` for a call that is not sent."""
        self.record_refusal = observe.record_refusal
        """`record_refusal(CallRecord, status, Reason)`: for an edge, of a call that it refused itself."""
        BatchState(self.metrics, clock, lambda: self._defer.batches, watch_batches.seen)
        EngineState(
            self.metrics,
            config,
            clock,
            gates=lambda: [(each.pool, each.gate) for each in self._gates],
            budgets=lambda: (self.budgets.budgets, self.budgets.desk.accounts()) if self.budgets else ({}, ()),
            ledger=ledger,
            budget_store=budget_store,
            log=log,
            operators_log=self.operators_log,
            content=self.content,
        )
        self._poller: LimitPoller | None = None
        if admin_key is not None:
            upstream = config.upstream
            self._poller = LimitPoller(
                upstream.base_url,
                admin_key,
                [upstream.workspace, *(credential.workspace for credential in upstream.credentials)],
                dial,
                clock,
                rng,
                pool_of=lambda model: catalog.model(model).pool,
                tell=self._gates.tell,
            )
            self._poller.start()

    @classmethod
    def from_config(cls, config: Config, environ: Mapping[str, str], *, in_process: bool = False) -> Engine:
        """The engine that a configuration describes, on real time, sockets and files.

        Args:
            in_process: callers are code in this process.  They bring their own API keys, so none need be configured,
                and choose the address, so a private one is meant.

        Raises:
            ConfigError, PriceError, LedgerError: nothing was started.
        """
        clock = SystemClock()
        keyring = Keyring(load_credentials(config, environ, required=not in_process), clock)
        upstream = config.upstream
        admin_key = resolve(
            "upstream.admin_key", upstream.admin_key, upstream.admin_key_file, upstream.admin_key_command
        )
        prices = load_prices(config.prices.file)
        fallback_policies(config, prices, utc_day(clock.unix_ms()), jobs=None)  # before anything is opened
        shape_policies(config, prices, utc_day(clock.unix_ms()))
        dial = TcpDial(
            ca_file=config.upstream.ca_file, allow_private=in_process or config.upstream.allow_private_addresses
        )
        stores = open_stores(config, prices, clock)
        return cls(
            config,
            keyring=keyring,
            prices=prices,
            catalog=load_catalog(),
            ledger=stores.ledger,
            log=stores.log,
            clock=clock,
            rng=Random(),  # noqa: S311  # jitter and ids, not secrets
            dial=dial,
            admin_key=admin_key,
            budget_store=stores.budgets,
            content=stores.content,
            environ=environ,
            threaded=True,
        )

    def new_call_id(self, now_ms: int) -> str:
        """Unique, and in the order of time: `call_`, eleven hex digits of Unix milliseconds, sixteen of chance."""
        return f"call_{now_ms:011x}{self._rng.getrandbits(64):016x}"

    def audited(self, row: AuditRow) -> None:
        """Have the log tell of a new row of the audit trail."""
        self.tell(LogEvent.AUDIT, row._asdict())

    def _budget_passed(self, account: Account, threshold: str) -> None:
        """Whose account it is, is not said: a budget may be split by user."""
        facts = {
            "budget": account.budget.name, "window": account.key.window, "threshold": threshold,
            "spent_pico": account.really_spent, "cap_pico": account.budget.cap_pico,
        }  # fmt: skip
        self.tell(LogEvent.BUDGET, facts, level="error" if threshold == "refuse" else "warn")

    def tell(self, event: LogEvent, facts: Mapping[str, Any], *, level: str = "info") -> None:
        """Have the log tell of something that is no call."""
        if self._log is not None:
            self._log.tell(event, self.clock.unix_ms(), facts, level)

    def keep_out_of_logs(self, secrets: Iterable[Secret]) -> None:
        """This process holds them too; no log may say so."""
        held = list(secrets)
        self.operators_log.watch_for(held)
        if self._log is not None:
            self._log.sweep.watch_for(held)

    def gates(self) -> list[PoolGate]:
        """The state of admission, for those who look."""
        return list(self._gates)

    async def close(self) -> None:
        """Write down what there is and let go of everything."""
        if self._poller is not None:
            await self._poller.close()
        await self._keep_alive.close()
        await self._keep_warm.close()
        await self._defer.close()
        await self._join.close()
        await self._tell_spent.close()
        self._upstream.close()
        await self._check_output.close()
        if self.budgets is not None:
            await self.budgets.close()
        await self.ledger.close()
        if self._otel is not None:
            await self._otel.close()
        if self.content is not None:
            self.content.close()
        if self._log is not None:
            self._log.close()

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
