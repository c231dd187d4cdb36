"""`ModelRouter`: a policy folder and this machine's circumstances -> a plan for each task, and the task
carried out.

It reads the environment once, at construction; clock and chance come from `engine.execution.runtime`.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack

from engine.budget import Ledger, LedgerUnavailable, Limits, open_ledger
from engine.budget.sessions import SessionBook
from engine.decision.explanation import Explanation
from engine.environment import Environment
from engine.errors import EngineError
from engine.execution import health, log_events
from engine.execution.async_ledger import AsyncLedger
from engine.execution.attempts import SharedState
from engine.execution.concurrency import Slots
from engine.execution.decision_log import DecisionLog
from engine.execution.model_listing import listed_models
from engine.execution.planning import PlannedModel, Planner, mode_in_force
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.prompt import Prompt
from engine.execution.provider_factory import Given
from engine.execution.provider_health import HealthTracker
from engine.execution.reload import Reloader, ReloadStatus
from engine.execution.requests import Order, dry_run, execute, log_refusal
from engine.execution.retries import RetryBudget
from engine.execution.runtime import Runtime, ledger_clock, machine_runtime
from engine.execution.runtime_facts import RuntimeFacts, RuntimeFactsCache
from engine.execution.session_calls import SessionBooks
from engine.execution.telemetry import open_telemetry
from engine.language.checked_policy import FactValue
from engine.policy import Policy, find_folder, load_or_raise
from engine.providers.options import RequestFields
from engine.synchronous import LoopThread, synchronous, synchronous_stream
from engine.task_profiles import InvalidTask, TaskProfile

__all__ = ["Choice", "ModelRouter", "NoEligibleModel", "PlannedModel"]

LONGEST_DEADLINE_S = 86_400
_MONEY = ("budget.", "session.used", "agent.used", "group.")


class NoEligibleModel(EngineError):  # noqa: N818
    """No model may have this task. `explanation` says for every model what blocks it."""

    def __init__(self, explanation: Explanation) -> None:
        # Whether a budget is spent, closed or unreachable, and what helps, stands with the facts; it is what
        # a reader wants first.
        money = [
            f"{name} {value}: {source}"
            for name, value, source in explanation.stated_facts
            if name.startswith(_MONEY) and "ledger" in source
        ]
        headline, *rest = str(explanation).split("\n")
        super().__init__("\n".join([headline, *money, *rest]))
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan: the chosen model, what stands behind it in order, and why.

    `score` is the chosen model's exact total.
    """

    model: PlannedModel
    fallbacks: tuple[PlannedModel, ...]
    explanation: Explanation

    @property
    def score(self) -> Decimal:
        score = self.explanation.candidates[0].score
        assert score is not None, "the chosen model has a score"
        return score.total


class ModelRouter:
    """Chooses a model for each task by a policy folder, and calls it.

    `config_dir` as `engine --config`; `mode` overrides MODEL_ROUTING_MODE, which overrides the YAML;
    `dry_run` overrides DRY_RUN_MODE. `ledger` replaces the one in the state folder or at ENGINE_LEDGER_URL,
    and then enforces its own limits; `clock` gives aware datetimes; `providers` replaces adapters: a function
    from a target to a provider, or by name a provider or such a function. Raises ConfigurationError for a
    folder with errors, InvalidEnvironment for a bad variable, InvalidFact for an unknown mode.

    Safe to use from several threads and event loops, and in the child of a fork. `invoke` and `stream_sync`
    are `select_and_invoke` and `stream` for code without an event loop. `async with` it or `with` it,
    `aclose` or `close` it, to close its connections.
    """

    def __init__(
        self,
        config_dir: str | Path | None = None,
        *,
        mode: str | None = None,
        dry_run: bool | None = None,
        ledger: Ledger | None = None,
        clock: Callable[[], datetime] | None = None,
        providers: Given | None = None,
    ) -> None:
        environment = Environment.read(os.environ)
        policy = load_or_raise(find_folder(config_dir, environment.config_dir))
        self._begin(policy, environment, _Options(mode, dry_run, ledger, clock, providers))

    @classmethod
    def of(
        cls,
        policy: Policy,
        *,
        mode: str | None = None,
        dry_run: bool | None = None,
        ledger: Ledger | None = None,
        clock: Callable[[], datetime] | None = None,
        providers: Given | None = None,
        runtime: Runtime | None = None,
    ) -> "ModelRouter":
        """A router for a policy that is loaded already. `runtime` replaces time, chance and sleep too, for
        programs that simulate them; then `clock` is not asked."""
        router = cls.__new__(cls)
        options = _Options(mode, dry_run, ledger, clock, providers, runtime)
        router._begin(policy, Environment.read(os.environ), options)
        return router

    def _begin(self, policy: Policy, environment: Environment, options: "_Options") -> None:
        if environment.log_level is not None:
            log_events.set_level(environment.log_level)
        self.dry_run = environment.dry_run if options.dry_run is None else options.dry_run
        self._environment, self._options = environment, options
        world = options.runtime or machine_runtime(options.clock)
        self._runtime = world
        self._reloader = Reloader(policy, self._planner_of, world.now, self._policy_changed)
        tracker, slots = HealthTracker(world, self._moved), Slots(self._moved)
        async_ledger = AsyncLedger(self._open_ledger, self._reloader.planner.snapshot.limits())
        self._sessions = SessionBooks(async_ledger)
        self._runtime_facts = RuntimeFactsCache(async_ledger, tracker, slots, world.monotonic)
        retries = RetryBudget(world.monotonic)
        self._shared = SharedState(tracker, slots, async_ledger, retries, open_telemetry(), world)
        self._log = None if environment.state_dir is None else DecisionLog(environment.state_dir)
        self._checks = health.BackgroundChecks(tracker, world.monotonic)
        self.loop_thread = LoopThread("engine-calls")

    # -- deciding

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._reloader.planner.snapshot.policy

    def plan(self, task: TaskProfile) -> Choice:
        """The model for this task and the fallbacks behind it; calls nothing.

        Raises NoEligibleModel when nothing is eligible, InvalidTask for a type or label that the policy does
        not know.
        """
        planner = self._reloader.planner
        runtime_facts = self._runtime_facts.known(planner.snapshot) or self._current_facts(planner.snapshot)
        call = self._sessions.call_now(planner.snapshot, task, frozenset())
        explanation = planner.explainer.explain(
            planner.facts_of(call.task, runtime_facts, self._shared.tracker.models_at, call.facts)
        )
        chain = explanation.decision.chain
        if not chain:
            raise NoEligibleModel(explanation)
        planned = planner.planned
        models = [planned[model.key] for model in chain]
        return Choice(models[0], tuple(models[1:]), explanation)

    def explain(self, given: Mapping[str, FactValue]) -> Explanation:
        """The decision for given facts, with this machine's runtime facts for the rest. Raises
        InvalidFact."""
        planner = self._reloader.planner
        return self.policy.explain(*planner.given(given, self._current_facts(planner.snapshot)))

    # -- carrying out

    async def select_and_invoke(
        self,
        task: TaskProfile,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        deadline_s: float | None = None,
        **fields: Unpack[RequestFields],
    ) -> dict[str, Any]:
        """Decide, call, fall back along the decided chain, and answer in one shape for every provider.

        The result has `content`, `model`, `provider`, `tool_calls` (OpenAI's shape), `reasoning`,
        `citations`, `message` (the answer, ready to be appended to the conversation), `finish_reason` (stop,
        length, tool_calls, other; dry_run), `usage` (tokens), `cost_usd` (Decimal; all attempts together),
        `attempts` (with what each left out, under `notes`), `decision_id`. `messages` and `tools` are in
        OpenAI's form or Anthropic's; `fields` are those of `RequestFields`. `max_tokens` bounds the output,
        reasoning included (default: `budgets.default_max_output`, else 1000). `deadline_s` bounds the whole
        chain, in seconds (default: `timeouts` of policies.yaml by the task's latency sensitivity, else 120).

        Raises NoEligibleModel (a refusal), BudgetExceeded (its message names the budget), the provider's
        error where nobody else may answer (InvalidRequest, Refused, EgressAlarm), DeadlineExceeded,
        ChainExhausted, which lists every member's own reason.
        """
        prompt = Prompt(messages, tools, {**fields, "temperature": temperature})
        # Frames of this module hold no prompt that a traceback with locals could show.
        del messages, tools, fields
        prompt.check()
        result: dict[str, Any] | None = None
        done = self._carried_out(task, prompt, max_tokens, deadline_s, streamed=False)
        async with aclosing(done) as pieces:
            async for piece in pieces:
                result = piece["result"] or result
        assert result is not None, "what ends without an error ends with its result"
        return result

    async def stream(
        self,
        task: TaskProfile,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        deadline_s: float | None = None,
        **fields: Unpack[RequestFields],
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The same, piece by piece: dicts with `content`, `reasoning`, `tool_call` (whole) and `result`,
        which is None in all but the last piece and there what `select_and_invoke` returns.

        Before the first content another member of the chain may take over, after it none: StreamInterrupted
        then carries the partial text. Raises otherwise as `select_and_invoke`.
        """
        prompt = Prompt(messages, tools, {**fields, "temperature": temperature})
        del messages, tools, fields
        prompt.check()
        done = self._carried_out(task, prompt, max_tokens, deadline_s, streamed=True)
        async with aclosing(done) as pieces:
            async for piece in pieces:
                yield piece

    invoke = synchronous(select_and_invoke)
    stream_sync = synchronous_stream(stream)

    async def _carried_out(
        self,
        task: TaskProfile,
        prompt: Prompt,
        max_tokens: int | None,
        deadline_s: float | None,
        *,
        streamed: bool,
    ) -> AsyncGenerator[dict[str, Any], None]:
        # INVARIANT: the snapshot read here is this request's to its end, whatever is loaded meanwhile.
        planner = self._reloader.planner
        snapshot, shared = planner.snapshot, self._shared
        max_tokens = snapshot.default_max_output if max_tokens is None else max_tokens
        if type(max_tokens) is not int or max_tokens < 1:
            raise InvalidTask(f"max_tokens is a whole number from 1 up, not {max_tokens!r}")
        if deadline_s is not None and not 0 < deadline_s <= LONGEST_DEADLINE_S:
            raise InvalidTask(f"deadline_s is a number of seconds above 0, not {deadline_s!r}")
        snapshot.begin()
        try:
            runtime_facts = self._runtime_facts.known(snapshot) or await self._runtime_facts.soon(
                snapshot, needs_keys=not self.dry_run
            )
            if prompt.needs and not self.dry_run:
                await self._checks.ask_what_models_do(snapshot, prompt.needs)
            call = await self._sessions.call(snapshot, task, prompt.labels)
            explanation = planner.explainer.explain(
                planner.facts_of_request(
                    call.task, runtime_facts, prompt, max_tokens, shared.tracker.models_at, call.facts
                )
            )
            limit_s = snapshot.deadline_s(task.latency_sensitivity) if deadline_s is None else deadline_s
            order = Order(prompt, max_tokens, float(limit_s), streamed, call)
            if not self.dry_run:
                self._checks.start_due(
                    snapshot, runtime_facts.provider_down, needs_warm=planner.asks_what_is_warm
                )
            if not explanation.chain:
                log_refusal(shared, snapshot, explanation, order, log=self._log)
                raise NoEligibleModel(explanation)
            if self.dry_run:
                pieces = dry_run(shared, snapshot, explanation, order, log=self._log)
            else:
                pieces = execute(
                    shared,
                    snapshot,
                    explanation,
                    order,
                    log=self._log,
                    on_charge=self._runtime_facts.forget_books,
                )
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        finally:
            snapshot.end()
            if self._reloader.retired:
                await self._reloader.close_retired()

    # -- looking around

    def label_session(self, session: str, labels: Iterable[str]) -> None:
        """Mark a session with labels for all its later calls; on disk when this returns, in milliseconds.

        Raises InvalidTask for a label that the policy does not know, LedgerUnavailable.
        """
        names = frozenset(labels)
        self.check_labels(names)
        self.sessions.label(session, names)

    def check_labels(self, labels: Iterable[str]) -> None:
        """Raises InvalidTask for a label that the policy does not know."""
        self._reloader.planner.check_names("labels", frozenset(labels))

    @property
    def sessions(self) -> SessionBook:
        """What is known of sessions. Raises LedgerUnavailable."""
        return self._sessions.book()

    async def health_check(self, *, probe_cloud: bool = False) -> dict[str, dict[str, Any]]:
        """Every provider's `status` (up, down, misconfigured; unknown when it is not asked), `latency_s`,
        `models`, `version`, `address` and `error`, all asked at once. Never raises because one is down.

        In a dry run none is asked, and in a mode that forbids the cloud no cloud, unless `probe_cloud`.
        """
        snapshot = self._reloader.planner.snapshot
        if self.dry_run:
            return health.not_checked(snapshot)
        return await health.check(snapshot, self._shared.tracker, self._shared.slots, probe_cloud=probe_cloud)

    def get_available_models(
        self, *, discover: bool = True, probe_cloud: bool = False
    ) -> list[dict[str, Any]]:
        """Every model of the catalogue and what was discovered beside it, as plain values: prices in US
        dollars per million tokens, window, tools, tiers, `eligible` or `why_not`.

        Providers with `discover: true` are asked unless they were within a minute; this waits for up to two
        seconds. In a mode that forbids the cloud no cloud is asked, unless `probe_cloud`.
        """
        snapshot, tracker = self._reloader.planner.snapshot, self._shared.tracker
        unknown = [
            name
            for name, one in snapshot.configured.items()
            if one.discover and tracker.models_at(name) is None
        ]
        if discover and unknown and not self.dry_run:
            health.discover_from_sync_code(snapshot, tracker, probe_cloud=probe_cloud)
        return listed_models(snapshot, tracker, self._current_facts(snapshot))

    def addresses(self) -> dict[str, str]:
        """Where each provider is, with whether the environment or models.yaml says so."""
        snapshot = self._reloader.planner.snapshot
        return {name: snapshot.address_text(name) for name in snapshot.configured}

    def get_usage_summary(self) -> dict[str, Any]:
        """What was spent and saved today and this month, by provider, against every limit, and when it
        resets.

        Raises LedgerUnavailable.
        """
        from engine.budget.usage import summarise
        from engine.execution.usage_values import usage_values

        return usage_values(summarise(self.ledger))

    @property
    def ledger(self) -> Ledger:
        """The ledger this router books on, with all that is done written down. Raises LedgerUnavailable."""
        self._shared.async_ledger.flush()
        return self._shared.async_ledger.ledger()

    # -- the policy's own changes

    @property
    def reload_status(self) -> ReloadStatus:
        """What runs, and what became of the last changed folder."""
        return self._reloader.status

    def reload(self, *, allow_widen: bool = True) -> ReloadStatus:
        """Read the policy folder again, whole, and put it in force when it is sound; else the running policy
        stays and the status says why. Requests under way keep the policy they began with. Without
        `allow_widen` a policy that lets more out, or spends more, is not taken."""
        return self._reloader.reload(allow_widen=allow_widen)

    async def watch(self, every_s: float = 2.0, *, allow_widen: bool = False) -> None:
        """Reload whenever the folder has changed, until cancelled."""
        while True:
            await self._runtime.sleep(every_s)
            await asyncio.to_thread(self.reload, allow_widen=allow_widen)

    # -- its own life

    async def aclose(self) -> None:
        """Close every connection and finish what is being written. The router may be used again."""
        await self._finish()
        await asyncio.to_thread(self.loop_thread.stop)

    def close(self) -> None:
        """The same, for code without an event loop."""
        self.loop_thread.run(self._finish())
        self.loop_thread.stop()

    async def _finish(self) -> None:
        self._checks.cancel()
        await self._reloader.aclose()
        await self._shared.async_ledger.aclose(close_ledger=self._options.ledger is None)

    async def __aenter__(self) -> "ModelRouter":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> "ModelRouter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _moved(self) -> None:
        self._runtime_facts.forget()

    def _current_facts(self, snapshot: PolicySnapshot) -> RuntimeFacts:
        return self._runtime_facts.now(snapshot, needs_keys=not self.dry_run)

    def _policy_changed(self, snapshot: PolicySnapshot) -> None:
        if self._options.ledger is None:
            self._shared.async_ledger.use_limits(snapshot.limits())
        self._runtime_facts.forget_books()

    def _planner_of(self, policy: Policy) -> Planner:
        mode = mode_in_force(policy, self._environment, self._options.mode)
        snapshot = PolicySnapshot(
            policy, self._environment, self._options.providers, self._runtime.monotonic, mode[0]
        )
        return Planner(snapshot, mode, self._runtime)

    def _open_ledger(self, limits: Limits) -> Ledger:
        if self._options.ledger is not None:
            return self._options.ledger
        if self._environment.state_dir is None:
            raise LedgerUnavailable("there is no state folder for the ledger: set ENGINE_STATE_DIR")
        return open_ledger(
            state_dir=self._environment.state_dir,
            url=self._environment.ledger_url,
            limits=limits,
            clock=ledger_clock(self._runtime.now),
        )


@dataclass(frozen=True, slots=True)
class _Options:
    """What the caller chose at construction."""

    mode: str | None
    dry_run: bool | None
    ledger: Ledger | None
    clock: Callable[[], datetime] | None
    providers: Given | None
    runtime: Runtime | None = None
