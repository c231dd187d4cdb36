"""Probes and discovery, all providers at once -> how each is, and what it has. No probe carries anybody's
words."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from engine.execution.concurrency import Slots
from engine.execution.needs import untold
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.provider_health import HealthTracker
from engine.forks import after_fork
from engine.provider_apis import APIS
from engine.providers.base import Health, Provider
from engine.providers.errors import EgressRefused, ProviderError, Unreachable

PROBE_S = 5.0
DISCOVER_S = 2.0
LOADING_S = 30.0
"""How long an SDK may take to load before the providers are asked at all, in seconds."""

_CHECK_EVERY_S = 10.0


async def check(
    snapshot: PolicySnapshot, tracker: HealthTracker, slots: Slots, *, probe_cloud: bool = False
) -> dict[str, dict[str, Any]]:
    """Every provider's status, latency and models. One that is down, or cannot even be asked, is a row like
    any other. In a mode that forbids the cloud none is asked there, unless `probe_cloud`."""

    async def row(name: str) -> dict[str, Any]:
        if snapshot.is_silent(name) and not probe_cloud:
            why = "not asked: the mode forbids the cloud (--probe-cloud asks it once)"
            return _row(snapshot, name, "unknown", error=why)
        return await _check_one(snapshot, tracker, slots, name)

    rows = await asyncio.gather(*map(row, snapshot.configured))
    return dict(zip(snapshot.configured, rows, strict=True))


def not_checked(snapshot: PolicySnapshot) -> dict[str, dict[str, Any]]:
    """The same without looking, for a dry run."""
    return {
        name: _row(snapshot, name, "unknown", error="dry run: nothing is called")
        for name in snapshot.configured
    }


async def discover(
    snapshot: PolicySnapshot,
    tracker: HealthTracker,
    *,
    own_connections: bool = False,
    probe_cloud: bool = False,
) -> None:
    """Ask every provider that is to be asked for its models; what fails leaves what was known.
    `own_connections`: with adapters of its own, for another event loop than the router's."""

    await asyncio.gather(
        *(
            _ask(snapshot, tracker, name, own_connections=own_connections)
            for name, configured in snapshot.configured.items()
            if configured.discover and (probe_cloud or not snapshot.is_silent(name))
        )
    )


async def _ask(
    snapshot: PolicySnapshot, tracker: HealthTracker, name: str, *, own_connections: bool = False
) -> None:
    try:
        provider = snapshot.new_provider(name) if own_connections else snapshot.provider(name)
        try:
            found = await provider.discover(snapshot.permit(name), timeout_s=DISCOVER_S)
            tracker.record_models(name, found)
        finally:
            if own_connections and not snapshot.is_given(name):
                await provider.aclose()
    except Unreachable as gone:
        tracker.record_probe(name, Health("down", error=gone))
    except ProviderError:
        return


async def look_again(snapshot: PolicySnapshot, tracker: HealthTracker, name: str) -> None:
    """Probe one provider that was given up on, so that it is back as soon as it is up."""
    try:
        health = await snapshot.provider(name).probe(snapshot.permit(name), timeout_s=PROBE_S)
    except ProviderError:
        return
    if health.status == "up":
        tracker.record_probe(name, health)


def discover_from_sync_code(
    snapshot: PolicySnapshot, tracker: HealthTracker, *, probe_cloud: bool = False
) -> None:
    """Discover from synchronous code, which may itself run inside an event loop."""
    thread = threading.Thread(
        target=lambda: asyncio.run(
            discover(snapshot, tracker, own_connections=True, probe_cloud=probe_cloud)
        ),
        name="engine-discovery",
        daemon=True,
    )
    thread.start()
    thread.join(LOADING_S + DISCOVER_S)


class BackgroundChecks:
    """Looks beside a request whether a provider that was given up on is back, which models are loaded if a
    rule asks, and which there are where `discover: true` asks.

    Each check runs at most once in ten seconds.
    """

    def __init__(self, tracker: HealthTracker, monotonic: Callable[[], float]) -> None:
        self._tracker, self._monotonic = tracker, monotonic
        self._checked_at: dict[str, float] = {}
        self._begin_again()
        after_fork(self, BackgroundChecks._begin_again)

    def _begin_again(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start_due(self, snapshot: PolicySnapshot, down: Iterable[str], *, needs_warm: bool) -> None:
        """Start the checks that are due of the providers in `down`, and discovery when `needs_warm` or the
        last is more than a minute old."""
        for name in down:
            if not snapshot.is_silent(name) and self._tracker.state(name) != "closed" and self._is_due(name):
                self._start(look_again(snapshot, self._tracker, name))
        if needs_warm and self._is_due(""):
            self._start(discover(snapshot, self._tracker))
            return
        for name in snapshot.configured:
            if (
                snapshot.asks_for_models(name)
                and not snapshot.is_silent(name)
                and self._tracker.models_at(name) is None
                and self._is_due(f"list of {name}")
            ):
                self._start(_ask(snapshot, self._tracker, name))

    async def ask_what_models_do(self, snapshot: PolicySnapshot, needs: frozenset[str]) -> None:
        """Ask local providers that can tell, once in a while, when a request needs what the catalogue does
        not say of their models. Waits for their answers."""
        names = untold(
            snapshot.policy.catalogue.models,
            needs,
            self._tracker.models_at,
            lambda name: APIS[snapshot.configured[name].api].tells_capabilities,
        )
        due = [name for name in sorted(names) if self._is_due(f"models of {name}")]
        if due:
            await asyncio.gather(*(_ask(snapshot, self._tracker, name) for name in due))

    def cancel(self) -> None:
        """Cancel every check that is under way."""
        for task in self._tasks.copy():
            try:
                task.get_loop().call_soon_threadsafe(task.cancel)
            except RuntimeError:  # its event loop has ended, and the check with it
                self._tasks.discard(task)

    def _is_due(self, name: str) -> bool:
        now = self._monotonic()
        if now - self._checked_at.get(name, -_CHECK_EVERY_S) < _CHECK_EVERY_S:
            return False
        self._checked_at[name] = now
        return True

    def _start(self, check: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(check)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _check_one(
    snapshot: PolicySnapshot, tracker: HealthTracker, slots: Slots, name: str
) -> dict[str, Any]:
    missing = snapshot.missing_variable(name)
    if missing is not None:
        return _row(snapshot, name, "misconfigured", error=f"{missing} is not set")
    provider: Provider | None = None
    refused: ProviderError | None = None
    try:
        provider = snapshot.provider(name)
        health = await provider.probe(snapshot.permit(name), timeout_s=PROBE_S)
    except EgressRefused as error:  # its address is not taken
        refused = error
    if refused is not None or provider is None:
        health = Health("misconfigured", error=refused)
    tracker.record_probe(name, health)
    row = _row(snapshot, name, health.status, error=None if health.error is None else str(health.error))
    row |= {"latency_s": health.latency_s, "version": health.version, "calls_under_way": slots.taken(name)}
    configured = snapshot.configured[name]
    if (
        provider is not None
        and health.status == "up"
        and (configured.discover or configured.locality == "local")
    ):
        row["models"] = await _models(snapshot, tracker, provider, name)
    return row


async def _models(
    snapshot: PolicySnapshot, tracker: HealthTracker, provider: Provider, name: str
) -> list[str]:
    try:
        found = await provider.discover(snapshot.permit(name), timeout_s=PROBE_S)
    except ProviderError:
        return []
    tracker.record_models(name, found)
    return [model.id for model in found]


def _row(snapshot: PolicySnapshot, name: str, status: str, *, error: str | None) -> dict[str, Any]:
    configured = snapshot.configured[name]
    return {
        "status": status,
        "latency_s": None,
        "models": [model.id for model in configured.models],
        "locality": configured.locality,
        "address": snapshot.address_text(name),
        "version": None,
        "error": error,
        "calls_under_way": 0,
    }
