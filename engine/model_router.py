"""`ModelRouter`: a policy folder and this machine's circumstances -> a plan for each task, and the task carried out.

The one place that reads the environment, the clock and chance, once, at construction, and hands them to `engine.execution`.
"""

import asyncio
import os
import random
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.budget import Clock, Ledger, LedgerUnavailable, Limits, open_ledger
from engine.config.catalogue import Model
from engine.decision.explanation import Explanation
from engine.environment import Environment
from engine.errors import EngineError
from engine.execution import health, log_events
from engine.execution.async_ledger import AsyncLedger
from engine.execution.attempts import SharedState
from engine.execution.concurrency import Slots
from engine.execution.decision_log import DecisionLog
from engine.execution.model_listing import listed_models
from engine.execution.planning import Planner, mode_in_force
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.prompt import Prompt
from engine.execution.provider_factory import Given
from engine.execution.provider_health import HealthTracker
from engine.execution.reload import Candidate, ReloadStatus, read_candidate, widened
from engine.execution.requests import Order, dry_run, execute, log_refusal
from engine.execution.retries import RetryBudget
from engine.execution.runtime import Runtime
from engine.execution.runtime_facts import RuntimeFacts, RuntimeFactsCache
from engine.execution.telemetry import open_telemetry
from engine.language.checked_policy import FactValue
from engine.policy import Policy, find_folder, load_or_raise
from engine.task_profiles import InvalidTask, TaskProfile

__all__ = ["Choice", "ModelRouter", "NoEligibleModel", "PlannedModel"]

MAX_TOKENS = 1000
LONGEST_DEADLINE_S = 86_400
_LOOK_AGAIN_S = 10.0


class NoEligibleModel(EngineError):  # noqa: N818
    """No model may have this task. `explanation` says for every model what blocks it."""

    def __init__(self, explanation: Explanation) -> None:
        super().__init__(str(explanation))
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """One model of a chain: how its provider knows it, and whether it is local or cloud."""

    model_id: str
    provider_name: str
    locality: str
    display_name: str


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

    `config_dir` as `engine --config`; `mode` overrides MODEL_ROUTING_MODE, which overrides the YAML; `dry_run` overrides
    DRY_RUN_MODE. `ledger` replaces the one in the state folder or at ENGINE_LEDGER_URL, and then enforces its own limits;
    `clock` gives aware datetimes; `providers` replaces adapters: a function from a target to a provider, or by name a
    provider or such a function. Raises ConfigurationError for a folder with errors, InvalidEnvironment for a bad
    variable, InvalidFact for an unknown mode.

    Safe to use from several threads and event loops. `async with` it, or `aclose` it, to close its connections.
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
        """A router for a policy that is loaded already. `runtime` replaces time, chance and sleep too, for programs
        that simulate them; then `clock` is not asked."""
        router = cls.__new__(cls)
        options = _Options(mode, dry_run, ledger, clock, providers, runtime)
        router._begin(policy, Environment.read(os.environ), options)
        return router

    def _begin(self, policy: Policy, environment: Environment, options: "_Options") -> None:
        if environment.log_level is not None:
            log_events.set_level(environment.log_level)
        self.dry_run = environment.dry_run if options.dry_run is None else options.dry_run
        self._environment, self._options = environment, options
        world = options.runtime or _runtime(options.clock or _now)
        self._runtime, self._now = world, world.now
        snapshot = PolicySnapshot(policy, environment, options.providers, world.monotonic)
        tracker, slots = HealthTracker(world, self._moved), Slots(self._moved)
        async_ledger = AsyncLedger(self._open_ledger, snapshot.limits())
        self._runtime_facts = RuntimeFactsCache(async_ledger, tracker, slots, world.monotonic)
        self._shared = SharedState(
            tracker, slots, async_ledger, RetryBudget(world.monotonic), open_telemetry(), world
        )
        self._log = None if environment.state_dir is None else DecisionLog(environment.state_dir)
        self._planner = self._planner_of(snapshot)
        self._reloading = threading.Lock()
        self._status = ReloadStatus(snapshot.digest, None, None, world.now())
        self._retired: list[PolicySnapshot] = []
        self._looked_at: dict[str, float] = {}
        self._errands: set[asyncio.Task[None]] = set()

    # -- deciding

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._planner.snapshot.policy

    def plan(self, task: TaskProfile) -> Choice:
        """The model for this task and the fallbacks behind it; calls nothing.

        Raises NoEligibleModel when nothing is eligible, InvalidTask for a type or label that the policy does not know.
        """
        planner = self._planner
        runtime_facts = self._runtime_facts.known(planner.snapshot) or self._current_facts(planner.snapshot)
        explanation = planner.explainer.explain(planner.facts_of(task, runtime_facts))
        chain = explanation.decision.chain
        if not chain:
            raise NoEligibleModel(explanation)
        planned = planner.planned
        models = [planned[model.key] for model in chain]
        return Choice(models[0], tuple(models[1:]), explanation)

    def explain(self, given: Mapping[str, FactValue]) -> Explanation:
        """The decision for given facts, with this machine's runtime facts for the rest. Raises InvalidFact."""
        planner = self._planner
        return self.policy.explain(*planner.given(given, self._current_facts(planner.snapshot)))

    # -- carrying out

    async def select_and_invoke(
        self,
        task: TaskProfile,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int | None = MAX_TOKENS,
        tools: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        deadline_s: float | None = None,
    ) -> dict[str, Any]:
        """Decide, call, fall back along the decided chain, and answer in one shape for every provider.

        The result has `content`, `model`, `provider`, `tool_calls` (OpenAI's shape), `finish_reason` (stop, length,
        tool_calls, other; dry_run), `usage` (tokens), `cost_usd` (Decimal; all attempts together), `attempts`, `decision_id`.
        `messages` and `tools` are OpenAI-style. `deadline_s` bounds the whole chain, in seconds (default: `timeouts` of
        policies.yaml by the task's latency sensitivity, else 120).

        Raises NoEligibleModel (a refusal), BudgetExceeded (its message names the budget), the provider's error where nobody
        else may answer (InvalidRequest, Refused, AuthFailed, EgressAlarm), DeadlineExceeded, ChainExhausted.
        """
        prompt = Prompt(messages, tools)
        # Frames of this module hold no prompt that a traceback with locals could show.
        del messages, tools
        prompt.check()
        result: dict[str, Any] | None = None
        done = self._carried_out(task, prompt, max_tokens, temperature, deadline_s, streamed=False)
        async with aclosing(done) as pieces:
            async for piece in pieces:
                result = piece["result"] or result
        assert result is not None, "what ends without an error ends with its result"
        return result

    async def stream(
        self,
        task: TaskProfile,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int | None = MAX_TOKENS,
        tools: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The same, piece by piece: dicts with `content`, `reasoning`, `tool_call` (whole) and `result`, which is None in all
        but the last piece and there what `select_and_invoke` returns.

        Before the first content another member of the chain may take over, after it none: StreamInterrupted then carries
        the partial text. Raises otherwise as `select_and_invoke`.
        """
        prompt = Prompt(messages, tools)
        del messages, tools
        prompt.check()
        done = self._carried_out(task, prompt, max_tokens, temperature, deadline_s, streamed=True)
        async with aclosing(done) as pieces:
            async for piece in pieces:
                yield piece

    async def _carried_out(
        self,
        task: TaskProfile,
        prompt: Prompt,
        max_tokens: int | None,
        temperature: float | None,
        deadline_s: float | None,
        *,
        streamed: bool,
    ) -> AsyncGenerator[dict[str, Any], None]:
        max_tokens = MAX_TOKENS if max_tokens is None else max_tokens
        if type(max_tokens) is not int or max_tokens < 1:
            raise InvalidTask(f"max_tokens is a whole number from 1 up, not {max_tokens!r}")
        if deadline_s is not None and not 0 < deadline_s <= LONGEST_DEADLINE_S:
            raise InvalidTask(f"deadline_s is a number of seconds above 0, not {deadline_s!r}")
        # INVARIANT: the snapshot read here is this request's to its end, whatever is loaded meanwhile.
        planner = self._planner
        snapshot, shared = planner.snapshot, self._shared
        snapshot.begin()
        try:
            runtime_facts = self._runtime_facts.known(snapshot) or await self._runtime_facts.soon(
                snapshot, needs_keys=not self.dry_run
            )
            explanation = planner.explainer.explain(
                planner.facts_of_request(task, runtime_facts, prompt, max_tokens)
            )
            limit_s = snapshot.deadline_s(task.latency_sensitivity) if deadline_s is None else deadline_s
            order = Order(prompt, max_tokens, temperature, float(limit_s), streamed)
            if not self.dry_run:
                self._send_errands(planner, runtime_facts)
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
            if self._retired:
                await self._close_retired()

    # -- looking around

    async def health_check(self) -> dict[str, dict[str, Any]]:
        """Every provider's `status` (up, down, misconfigured; unknown in a dry run), `latency_s`, `models`, `version` and
        `error`, all asked at once. Never raises because one is down."""
        snapshot = self._planner.snapshot
        if self.dry_run:
            return health.not_checked(snapshot)
        return await health.check(snapshot, self._shared.tracker, self._shared.slots)

    def get_available_models(self, *, discover: bool = True) -> list[dict[str, Any]]:
        """Every model of the catalogue and what was discovered beside it, as plain values: prices in US dollars per million
        tokens, window, tools, tiers, `eligible` or `why_not`.

        Providers with `discover: true` are asked unless they were within a minute; this waits for up to two seconds.
        """
        snapshot, tracker = self._planner.snapshot, self._shared.tracker
        unknown = [
            name
            for name, one in snapshot.configured.items()
            if one.discover and tracker.models_at(name) is None
        ]
        if discover and unknown and not self.dry_run:
            _in_a_loop_of_its_own(snapshot, tracker)
        return listed_models(snapshot, tracker, self._current_facts(snapshot))

    def get_usage_summary(self) -> dict[str, Any]:
        """What was spent and saved today and this month, by provider, against every limit, and when it resets.

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
        return self._status

    def reload(self, *, allow_widen: bool = True) -> ReloadStatus:
        """Read the policy folder again, whole, and put it in force when it is sound; else the running policy stays and
        the status says why. Requests under way keep the policy they began with. Without `allow_widen` a policy that
        lets more out, or spends more, is not taken."""
        with self._reloading:
            running = self._planner.snapshot
            candidate = read_candidate(Path(running.policy.folder.name), running.policy)
            self._take(running, candidate, allow_widen=allow_widen)
            return self._status

    async def watch(self, every_s: float = 2.0, *, allow_widen: bool = False) -> None:
        """Reload whenever the folder has changed, until cancelled."""
        while True:
            await self._shared.runtime.sleep(every_s)
            await asyncio.to_thread(self.reload, allow_widen=allow_widen)

    def _take(self, running: PolicySnapshot, candidate: Candidate, *, allow_widen: bool) -> None:
        now = self._shared.runtime.now()
        if candidate.policy is running.policy:
            if self._status.candidate is not None or self._status.error is not None:
                self._status = ReloadStatus(running.digest, None, None, now)
            return
        error, wider, planner = candidate.error, tuple[str, ...](), None
        if candidate.policy is not None:
            wider = tuple(widened(running.policy, candidate.policy))
            if wider and not allow_widen:
                error = f"it lets more through: {'; '.join(wider)}"
            else:
                try:
                    planner = self._planner_of(self._snapshot_of(candidate.policy))
                except EngineError as refused:
                    error = str(refused)
        if planner is None:
            if (candidate.digest, error) != (self._status.candidate, self._status.error):
                self._status = ReloadStatus(running.digest, candidate.digest, error, now, wider)
                log_events.not_reloaded(running.digest, error or "")
            return
        self._planner = planner
        self._retired.append(running)
        if self._options.ledger is None:
            self._shared.async_ledger.use_limits(planner.snapshot.limits())
        self._runtime_facts.forget_books()
        self._status = ReloadStatus(planner.snapshot.digest, None, None, now, wider)
        log_events.reloaded(planner.snapshot.digest)

    # -- its own life

    async def aclose(self) -> None:
        """Close every connection and finish what is being written. The router may be used again."""
        for errand in tuple(self._errands):
            errand.cancel()
        await self._planner.snapshot.aclose()
        await self._close_retired()
        await self._shared.async_ledger.aclose(close_ledger=self._options.ledger is None)

    async def __aenter__(self) -> "ModelRouter":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _close_retired(self) -> None:
        for snapshot in [snapshot for snapshot in self._retired if snapshot.is_idle]:
            self._retired.remove(snapshot)
            await snapshot.aclose()

    def _moved(self) -> None:
        self._runtime_facts.forget()

    def _current_facts(self, snapshot: PolicySnapshot) -> RuntimeFacts:
        return self._runtime_facts.now(snapshot, needs_keys=not self.dry_run)

    def _send_errands(self, planner: "_Planner", runtime_facts: RuntimeFacts) -> None:
        """Look, beside the request, whether a provider that was given up on is back, and what is loaded if a rule asks."""
        tracker, now = self._shared.tracker, self._shared.runtime.monotonic()
        snapshot = planner.snapshot
        for name in runtime_facts.provider_down:
            if (
                tracker.state(name) != "closed"
                and now - self._looked_at.get(name, -_LOOK_AGAIN_S) >= _LOOK_AGAIN_S
            ):
                self._looked_at[name] = now
                self._send(health.look_again(snapshot, tracker, name))
        if planner.asks_what_is_warm and now - self._looked_at.get("", -_LOOK_AGAIN_S) >= _LOOK_AGAIN_S:
            self._looked_at[""] = now
            self._send(health.discover(snapshot, tracker))

    def _send(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _snapshot_of(self, policy: Policy) -> PolicySnapshot:
        return PolicySnapshot(
            policy, self._environment, self._options.providers, self._shared.runtime.monotonic
        )

    def _planner_of(self, snapshot: PolicySnapshot) -> "_Planner":
        mode = mode_in_force(snapshot.policy, self._environment, self._options.mode)
        return _Planner(snapshot, mode, self._runtime)

    def _open_ledger(self, limits: Limits) -> Ledger:
        if self._options.ledger is not None:
            return self._options.ledger
        if self._environment.state_dir is None:
            raise LedgerUnavailable("there is no state folder for the ledger: set ENGINE_STATE_DIR")
        return open_ledger(
            state_dir=self._environment.state_dir,
            url=self._environment.ledger_url,
            limits=limits,
            clock=_ledger_clock(self._now),
        )


class _Planner(Planner):
    """A planner that also knows how its models are shown."""

    def __init__(self, snapshot: PolicySnapshot, mode: tuple[str, str], runtime: Runtime) -> None:
        super().__init__(snapshot, mode, runtime)
        self.planned = {model.key: _planned(model) for model in snapshot.policy.catalogue.models}


@dataclass(frozen=True, slots=True)
class _Options:
    """What the caller chose at construction."""

    mode: str | None
    dry_run: bool | None
    ledger: Ledger | None
    clock: Callable[[], datetime] | None
    providers: Given | None
    runtime: Runtime | None = None


def _runtime(now: Callable[[], datetime]) -> Runtime:
    return Runtime(now, time.monotonic, asyncio.sleep, random.random, lambda: uuid.uuid4().hex)


def _now() -> datetime:
    return datetime.now(UTC)


def _ledger_clock(now: Callable[[], datetime]) -> Clock:
    """This machine's clocks. A clock that was handed in is both: then no jump can be told from time going by."""
    if now is not _now:
        epoch, microsecond = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

        def wall_ns() -> int:
            return (now() - epoch) // microsecond * 1000

        return Clock(wall_ns, wall_ns, "")
    # The clock that goes on while the machine sleeps, where there is one.
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    uptime_ns = time.monotonic_ns if boot is None else lambda: time.clock_gettime_ns(boot)
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot_id = ""
    return Clock(time.time_ns, uptime_ns, boot_id)


def _in_a_loop_of_its_own(snapshot: PolicySnapshot, tracker: HealthTracker) -> None:
    """Discover from synchronous code, which may itself run inside an event loop."""
    thread = threading.Thread(
        target=lambda: asyncio.run(health.discover(snapshot, tracker, own_connections=True)),
        name="engine-discovery",
        daemon=True,
    )
    thread.start()
    thread.join(health.DISCOVER_S + 1.0)


def _planned(model: Model) -> PlannedModel:
    return PlannedModel(model.id, model.provider, model.locality, model.display_name)
