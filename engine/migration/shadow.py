"""`Shadow`: run the legacy call as it is, and record what the router would have done and saved.

    shadow = Shadow(ModelRouter())
    response = await shadow.run(task, lambda: client.messages.create(...))     # an async client
    response = shadow.run(task, lambda: client.messages.create(...))           # a sync one

The caller gets what the legacy call returns or raises, without delay: the router plans on a thread of its
own, from the task and from token counts, never from content. A failure of the router goes to the record or
the log, never to the caller. Each call is one line of JSON (schemas/shadow.schema.json) whose columns have
the names that `engine replay` expects, so the same calls can be decided again under another policy.
"""

import atexit
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from inspect import isawaitable
from pathlib import Path
from typing import Any, TypeVar

from engine.budget import Rates, TokenPrices, Usage, cost_micro_usd
from engine.decision.fact_json import exact_json
from engine.environment import Environment
from engine.execution.policy_snapshot import token_prices
from engine.execution.whole_lines import append_whole
from engine.language.vocabulary import FactOrigin, given_by
from engine.model_router import Choice, ModelRouter, NoEligibleModel
from engine.task_profiles import TaskProfile

try:
    import fcntl
except ImportError:  # a system without it: one process a log
    fcntl = None  # type: ignore[assignment]

VERSION = 1
FILE_NAME = "shadow.jsonl"
MOST_BYTES = 64 * 1024 * 1024
MOST_WAITING = 10_000
FLUSH_AT_EXIT_S = 2.0
_LOGGER = logging.getLogger("engine.migration")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class ShadowSummary:
    """The totals of the records. Money is in US dollars; `priced` calls have both costs known."""

    calls: int
    failed: int
    local: int
    cloud: int
    refused: int
    not_planned: int
    priced: int
    legacy_usd: Decimal
    router_usd: Decimal
    saved_usd: Decimal

    @property
    def local_share(self) -> float | None:
        """The share of planned calls that would have stayed on this machine."""
        planned = self.local + self.cloud + self.refused
        return self.local / planned if planned else None


@dataclass(frozen=True, slots=True)
class _LegacyCall:
    """One legacy call, without content."""

    task: TaskProfile
    at: datetime
    duration_s: float
    model: str | None
    usage: Usage | None
    error: str | None


class Shadow:
    """Watches legacy calls for one router.

    `log` is the file of the records (default: `shadow.jsonl` in the state folder; without such a folder
    nothing is written). `legacy_prices` are the prices of legacy models that the catalogue lacks, as (input,
    output) US dollars per million tokens. `router` may be a function that makes one: its failure then only
    shows in the records.
    """

    def __init__(
        self,
        router: ModelRouter | Callable[[], ModelRouter],
        *,
        log: str | Path | None = None,
        legacy_prices: Mapping[str, tuple[str | int | Decimal, str | int | Decimal]] | None = None,
    ) -> None:
        self._router: ModelRouter | None = router if isinstance(router, ModelRouter) else None
        self._make_router = router if not isinstance(router, ModelRouter) else None
        self._prices = {
            model: TokenPrices(Rates.from_usd(Decimal(into), Decimal(out)))
            for model, (into, out) in (legacy_prices or {}).items()
        }
        self.log = _default_log() if log is None else Path(log)
        self.dropped = 0
        """The number of calls that were not recorded because too many waited."""
        self._waiting: queue.Queue[_LegacyCall | threading.Event] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        atexit.register(self.flush, FLUSH_AT_EXIT_S)

    def run(self, task: TaskProfile, legacy: Callable[[], _Answer]) -> _Answer:
        """Call `legacy` and return what it returns; an awaitable comes back as an awaitable."""
        at, began = datetime.now(UTC), time.perf_counter()
        try:
            answer = legacy()
        except BaseException as error:
            self._observe(task, at, began, None, error)
            raise
        if isawaitable(answer):
            return self._awaited(task, at, began, answer)  # type: ignore[return-value]
        self._observe(task, at, began, answer, None)
        return answer

    async def _awaited(self, task: TaskProfile, at: datetime, began: float, answer: Awaitable[Any]) -> Any:
        try:
            given = await answer
        except BaseException as error:
            self._observe(task, at, began, None, error)
            raise
        self._observe(task, at, began, given, None)
        return given

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until every call so far is recorded; False after `timeout_s` seconds without that."""
        if self._thread is None or not self._thread.is_alive():
            return True
        done = threading.Event()
        try:
            self._waiting.put(done, timeout=timeout_s)
        except queue.Full:
            return False
        return done.wait(timeout_s)

    def summary(self) -> ShadowSummary:
        """What the records say so far."""
        self.flush(FLUSH_AT_EXIT_S)
        return summarise(self.log) if self.log is not None else _summed(iter(()))

    # -- the caller's thread: nothing here may raise, or take long

    def _observe(
        self, task: TaskProfile, at: datetime, began: float, answer: object, error: BaseException | None
    ) -> None:
        try:
            duration_s = time.perf_counter() - began
            model, usage = _counted(answer)
            name = None if error is None else type(error).__name__
            self._waiting.put_nowait(_LegacyCall(task, at, duration_s, model, usage, name))
            if self._thread is None or not self._thread.is_alive():
                self._start()
        except queue.Full:
            self.dropped += 1
        except Exception:
            _LOGGER.exception("a call was not recorded")

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="engine-shadow", daemon=True)
                self._thread.start()

    # -- a thread of its own

    def _work(self) -> None:
        while True:
            call = self._waiting.get()
            if isinstance(call, threading.Event):
                call.set()
                continue
            try:
                record = self._record(call)
                if self.log is not None:
                    _append(self.log, record)
            except Exception as error:
                _LOGGER.error("a shadow record was not written: %s", type(error).__name__)

    def _record(self, call: _LegacyCall) -> dict[str, Any]:
        task, usage = call.task, call.usage
        if usage is not None:
            task = replace(
                task, context_size=max(task.context_size, usage.prompt_tokens + usage.output_tokens)
            )
        legacy_micro_usd: int | None = None
        router_micro_usd: int | None = None
        try:
            router = self._router_now()
            router_json, choice = _planned(router, task)
            if usage is not None:
                legacy_micro_usd = self._legacy_cost(router, call.model, usage)
                router_micro_usd = _planned_cost(router, choice, usage)
        except Exception as error:
            router_json = {"outcome": "failed", "error": type(error).__name__}
        saved = (
            None
            if legacy_micro_usd is None or router_micro_usd is None
            else _dollars(legacy_micro_usd - router_micro_usd)
        )
        return {
            "version": VERSION,
            "time": call.at.isoformat(),
            **{fact.name: exact_json(getattr(task, fact.field)) for fact in given_by(FactOrigin.PROFILE)},
            "tokens.input": None if usage is None else usage.prompt_tokens,
            "tokens.cached": None if usage is None else usage.cached_input_tokens,
            "tokens.output": None if usage is None else usage.output_tokens,
            "legacy.outcome": "answered" if call.error is None else "failed",
            "legacy.error": call.error,
            "legacy.model": call.model,
            "legacy.duration_s": round(call.duration_s, 6),
            "legacy.cost_usd": None if legacy_micro_usd is None else _dollars(legacy_micro_usd),
            **{f"router.{name}": value for name, value in (_NOTHING_PLANNED | router_json).items()},
            "router.cost_usd": None if router_micro_usd is None else _dollars(router_micro_usd),
            "saved_usd": saved,
        }

    def _router_now(self) -> ModelRouter:
        if self._router is None:
            assert self._make_router is not None
            self._router = self._make_router()
        return self._router

    def _legacy_cost(self, router: ModelRouter, model: str | None, usage: Usage) -> int | None:
        if model is None:
            return None
        prices = self._prices.get(model)
        if prices is None:
            known = next((one for one in router.policy.catalogue.models if model in (one.id, one.key)), None)
            prices = None if known is None else token_prices(known)
        return None if prices is None else cost_micro_usd(prices, usage)


_NOTHING_PLANNED: dict[str, Any] = dict.fromkeys(
    ("outcome", "error", "model", "provider", "locality", "chain", "route", "policy_digest")
)


def _planned(router: ModelRouter, task: TaskProfile) -> tuple[dict[str, Any], Choice | None]:
    digest = router.policy.folder.policy_digest
    try:
        choice = router.plan(task)
    except NoEligibleModel:
        return {"outcome": "refused", "chain": [], "policy_digest": digest}, None
    route = choice.explanation.decision.route
    return {
        "outcome": "chosen",
        "model": choice.model.model_id,
        "provider": choice.model.provider_name,
        "locality": choice.model.locality,
        "chain": [model.key for model in choice.explanation.chain],
        "route": None if route is None else route.name,
        "policy_digest": digest,
    }, choice


def _planned_cost(router: ModelRouter, choice: Choice | None, usage: Usage) -> int | None:
    """What the same tokens would cost at the chosen model; a refusal would have had no answer to pay for."""
    if choice is None:
        return None
    prices = token_prices(choice.explanation.chain[0])
    return None if prices is None else cost_micro_usd(prices, usage)


def _counted(answer: object) -> tuple[str | None, Usage | None]:
    """Model and tokens of an answer of the Anthropic or OpenAI SDK, LiteLLM, or a dict like theirs."""
    model = _part(answer, "model")
    usage = _part(answer, "usage")
    read = _whole(_part(usage, "input_tokens"))
    if read is not None:
        # Anthropic counts cached tokens apart from the input; OpenAI's responses count them as input.
        details = _part(usage, "input_tokens_details")
        cached = _whole(_part(usage, "cache_read_input_tokens")) or 0
        stored = _whole(_part(usage, "cache_creation_input_tokens")) or 0
        within = _whole(_part(details, "cached_tokens")) or 0
        counts = Usage(
            max(0, read - within), _whole(_part(usage, "output_tokens")) or 0, cached + within, stored
        )
    else:
        read = _whole(_part(usage, "prompt_tokens"))
        if read is None:
            return model if isinstance(model, str) else None, None
        within = _whole(_part(_part(usage, "prompt_tokens_details"), "cached_tokens")) or 0
        counts = Usage(max(0, read - within), _whole(_part(usage, "completion_tokens")) or 0, within)
    return model if isinstance(model, str) else None, counts


def _part(thing: object, name: str) -> object:
    if isinstance(thing, Mapping):
        return thing.get(name)
    # Only plain attributes: a lazy property could do anything, and an awaitable must not be made and dropped.
    try:
        return vars(thing).get(name)
    except TypeError:
        return None


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _dollars(micro_usd: int) -> str:
    return f"{Decimal(micro_usd).scaleb(-6):f}"


def _default_log() -> Path | None:
    folder = Environment.read(os.environ).state_dir
    return None if folder is None else folder / FILE_NAME


def _append(path: Path, record: Mapping[str, Any]) -> None:
    """Append one whole line. A file of MOST_BYTES is renamed first, over the one renamed before.
    Raises OSError."""
    line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    file = os.open(path, flags, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_size >= MOST_BYTES:
            os.replace(path, path.with_suffix(".old.jsonl"))
            os.close(file)
            file = os.open(path, flags, 0o600)
        append_whole(file, line)
    finally:
        os.close(file)


def summarise(log: Path) -> ShadowSummary:
    """The records of a file added up. Lines that are none are passed over."""
    return _summed(_records(log))


def _records(log: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict) and record.get("version") == VERSION:
                    yield record
    except FileNotFoundError:
        return


def _summed(records: Iterator[dict[str, Any]]) -> ShadowSummary:
    counts = dict.fromkeys(("calls", "failed", "local", "cloud", "refused", "not_planned", "priced"), 0)
    legacy_usd, router_usd = Decimal(0), Decimal(0)
    for record in records:
        counts["calls"] += 1
        counts["failed"] += record["legacy.outcome"] == "failed"
        outcome = record["router.outcome"]
        counts[
            record["router.locality"]
            if outcome == "chosen"
            else "refused"
            if outcome == "refused"
            else "not_planned"
        ] += 1
        if record["saved_usd"] is not None:
            counts["priced"] += 1
            legacy_usd += Decimal(record["legacy.cost_usd"])
            router_usd += Decimal(record["router.cost_usd"])
    return ShadowSummary(
        **counts, legacy_usd=legacy_usd, router_usd=router_usd, saved_usd=legacy_usd - router_usd
    )
