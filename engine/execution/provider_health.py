"""What is known of each target's health -> whether it may be called now, and why not.

Two circuits for each member of a chain: its provider's, which only nobody-there failures count for, and its
model's, which everything else counts for that says the target is failing; so one model that does not load
leaves its neighbours in reach. Beside them: a provider that named a time is left alone to its end, a spent
quota closes one until its window is over, a leak shuts a model out until a person looked, a health check that
found a provider down counts for half a minute, and what a target cannot take is remembered. All of it
outlives a reload.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import assert_never

from engine.execution.breaker import Circuit, State, Ticket, Verdict
from engine.execution.runtime import Runtime
from engine.execution.target_memory import Asked, Bounds, Key, TargetMemory
from engine.forks import after_fork
from engine.providers.base import DiscoveredModel, Health
from engine.providers.conduct import ErrorClass, Fault, HealthMark
from engine.providers.errors import ProviderError

SEEN_DOWN_S = 30.0
SHORT_PAUSE_S = 1.0
"""What a 429 that names no time asks for."""

# A model stays loaded for five minutes after its last use unless the server is told otherwise.
WARM_S = 240.0
DISCOVERED_S = 60.0

NOTHING_ASKED = Asked()


@dataclass(frozen=True, slots=True)
class Admission:
    """The right to make one call: a ticket of the provider's circuit and one of the model's."""

    key: Key
    of_provider: Ticket
    of_model: Ticket

    @property
    def is_probe(self) -> bool:
        """True for the one call a half-open circuit lets through."""
        return self.of_provider.is_probe or self.of_model.is_probe


@dataclass(frozen=True, slots=True)
class _Discovery:
    at: float
    models: Mapping[str, DiscoveredModel]


class HealthTracker:
    """Thread-safe: every read and write of its state holds the lock. `changed` is called, without the lock,
    when a fact of a decision may have changed."""

    def __init__(self, runtime: Runtime, changed: Callable[[], None]) -> None:
        self._runtime = runtime
        self._changed = changed
        self._begin_again()
        after_fork(self, HealthTracker._begin_again)
        self._providers: dict[str, Circuit] = {}
        self._models: dict[Key, Circuit] = {}
        self._closed_until: dict[str, tuple[float, str]] = {}
        self._memory = TargetMemory(runtime.monotonic)
        self._seen_down: dict[str, tuple[float, str]] = {}
        self._quarantined: set[Key] = set()
        self._warm_until: dict[Key, float] = {}
        self._discovered: dict[str, _Discovery] = {}

    def _begin_again(self) -> None:
        self._lock = threading.Lock()

    # -- before a call

    def why_not(self, key: Key, asked: Asked = NOTHING_ASKED) -> str | None:
        """Why this member may not be called now, or need not be with such a request; None when it may."""
        with self._lock:
            now = self._runtime.monotonic()
            return self._down(key[0], now) or self._resting(key, now) or self._memory.why_not(key, asked)

    def bounds(self, key: Key, asked: Asked) -> Bounds:
        """Within what this member has said it takes such a request."""
        with self._lock:
            return self._memory.bounds(key, asked)

    def admit(self, key: Key, lease_s: float) -> Admission | str:
        """The right to make one call that lasts no longer than `lease_s`, or why there is none."""
        with self._lock:
            now = self._runtime.monotonic()
            reason = self._down(key[0], now) or self._resting(key, now)
            if reason is not None:
                return reason
            of_provider = self._circuit_of(key[0]).admit(now, lease_s)
            of_model = self._circuit_of_model(key).admit(now, lease_s)
            assert of_provider is not None
            assert of_model is not None
            admission = Admission(key, of_provider, of_model)
        if admission.is_probe:
            self._changed()
        return admission

    # -- after a call

    def record_success(self, admission: Admission, asked: Asked = NOTHING_ASKED) -> None:
        """The call went well, with such a request."""
        with self._lock:
            self._memory.forget(admission.key, asked)
            now = self._runtime.monotonic()
            has_changed = self._report(admission, Verdict.WELL, Verdict.WELL, now)
            self._warm_until[admission.key] = now + WARM_S
            was_down = self._seen_down.pop(admission.key[0], None) is not None
        if has_changed or was_down:
            self._changed()

    def record_failure(
        self,
        admission: Admission,
        error: ProviderError,
        window_over_in_s: Callable[[], float],
        asked: Asked = NOTHING_ASKED,
    ) -> None:
        """The call failed; the taxonomy says what that means for its target.

        What the target cannot take is remembered for requests like this one.

        `window_over_in_s` gives the seconds for which a spent quota closes a provider that does not say so
        itself.
        """
        provider, _ = admission.key
        of_provider = of_model = Verdict.NOTHING
        closed_s = _rest_s(error, window_over_in_s)
        match error.conduct.health:
            case HealthMark.FAILING if error.kind is ErrorClass.UNREACHABLE:
                of_provider = Verdict.FAILED
            case HealthMark.FAILING:
                of_provider = Verdict.NOTHING if error.kind is ErrorClass.UNKNOWN else Verdict.WELL
                of_model = Verdict.FAILED
            case HealthMark.CLOSED | HealthMark.NEUTRAL | HealthMark.MISCONFIGURED | HealthMark.QUARANTINED:
                pass
            case _:
                assert_never(error.conduct.health)
        with self._lock:
            now = self._runtime.monotonic()
            self._report(admission, of_provider, of_model, now)
            if closed_s is not None:
                before, _ = self._closed_until.get(provider, (0.0, ""))
                self._closed_until[provider] = max(before, now + closed_s), error.sentence
            self._memory.remember(admission.key, error, asked)
            if error.conduct.health is HealthMark.QUARANTINED:
                self._quarantined.add(admission.key)
        self._changed()

    def release(self, admission: Admission) -> None:
        """The call says nothing about its target: the caller's own mistake, or a cancel. A probe's lease is
        free again."""
        with self._lock:
            now = self._runtime.monotonic()
            has_changed = self._report(admission, Verdict.NOTHING, Verdict.NOTHING, now)
        if has_changed:
            self._changed()

    # -- results of probes and discovery

    def record_probe(self, provider: str, health: Health) -> None:
        """A provider that is up is tried again at once; one that is not there rests for half a minute.

        One that answers is there, however badly it answers this: its calls will say how it is.
        """
        with self._lock:
            self._seen_down.pop(provider, None)
            match health.status:
                case "up":
                    self._circuit_of(provider).retry_now()
                case "down" if health.error is None or health.error.status is None:
                    until = self._runtime.monotonic() + SEEN_DOWN_S
                    self._seen_down[provider] = until, "its health check failed"
                case "down" | "misconfigured":
                    pass  # it is there; each call will say what is wrong
        self._changed()

    def record_models(self, provider: str, models: Iterable[DiscoveredModel]) -> None:
        """Remember the models that a provider lists, and which of them are loaded."""
        found = {model.id: model for model in models}
        with self._lock:
            now = self._runtime.monotonic()
            self._discovered[provider] = _Discovery(now, found)
            self._memory.forget_missing(provider, found)
            for key in [key for key in self._warm_until if key[0] == provider]:
                del self._warm_until[key]
            for model in found.values():
                if model.warm:
                    self._warm_until[provider, model.id] = now + WARM_S
        self._changed()

    # -- for decisions, health and lists

    def down(self, provider: str) -> str | None:
        """Why nothing at this provider may be called now; None when it is up."""
        with self._lock:
            return self._down(provider, self._runtime.monotonic())

    def resting(self, key: Key) -> str | None:
        """Why this one model may not be called now, its provider aside."""
        with self._lock:
            return self._resting(key, self._runtime.monotonic())

    def state(self, provider: str) -> State:
        """The state of the provider's circuit."""
        with self._lock:
            circuit = self._providers.get(provider)
            return "closed" if circuit is None else circuit.state(self._runtime.monotonic())

    def warm(self) -> list[Key]:
        """The models known to be loaded."""
        with self._lock:
            now = self._runtime.monotonic()
            return [key for key, until in self._warm_until.items() if now < until]

    def models_at(self, provider: str) -> Mapping[str, DiscoveredModel] | None:
        """The models last discovered there; None when none were, or more than a minute ago."""
        with self._lock:
            found = self._discovered.get(provider)
            if found is None or self._runtime.monotonic() - found.at > DISCOVERED_S:
                return None
            return found.models

    # -- under the lock, all of them

    def _down(self, provider: str, now: float) -> str | None:
        until, said = self._closed_until.get(provider, (0.0, ""))
        if now < until:
            return f"it {said}; left alone for another {ceil(until - now)} s"
        circuit = self._providers.get(provider)
        if circuit is not None and not circuit.admits(now):
            return _resting(circuit, now)
        seen = self._seen_down.get(provider)
        if seen is not None and now < seen[0]:
            return seen[1]
        return None

    def _resting(self, key: Key, now: float) -> str | None:
        if key in self._quarantined:
            return "it answered through a remote host and is quarantined"
        circuit = self._models.get(key)
        return None if circuit is None or circuit.admits(now) else _resting(circuit, now)

    def _circuit_of(self, provider: str) -> Circuit:
        circuit = self._providers.get(provider)
        if circuit is None:
            circuit = self._providers[provider] = Circuit(self._runtime.chance)
        return circuit

    def _circuit_of_model(self, key: Key) -> Circuit:
        circuit = self._models.get(key)
        if circuit is None:
            circuit = self._models[key] = Circuit(self._runtime.chance)
        return circuit

    def _report(self, admission: Admission, of_provider: Verdict, of_model: Verdict, now: float) -> bool:
        """Tell both circuits; True when one of them has changed, or the call was a probe."""
        provider, model = self._circuit_of(admission.key[0]), self._circuit_of_model(admission.key)
        before = provider.state(now), model.state(now)
        provider.report(admission.of_provider, of_provider, now)
        model.report(admission.of_model, of_model, now)
        return before != (provider.state(now), model.state(now)) or admission.is_probe


def _rest_s(error: ProviderError, window_over_in_s: Callable[[], float]) -> float | None:
    """Seconds to leave the provider alone: the time it named, else what its class asks for."""
    if error.conduct.fault is not Fault.PROVIDER:
        return None
    if error.retry_after_s is not None:
        return error.retry_after_s
    if error.conduct.health is HealthMark.CLOSED:
        return window_over_in_s()
    return SHORT_PAUSE_S if error.kind is ErrorClass.THROTTLED else None


def _resting(circuit: Circuit, now: float) -> str:
    if circuit.state(now) == "open":
        return f"it failed again and again; tried again in {round(circuit.opens_in_s(now))} s"
    return "it failed again and again; one call is trying it now"
