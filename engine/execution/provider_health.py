"""What is known of each target's health -> whether it may be called now, and why not.

Two circuits for each member of a chain: its provider's, which only nobody-there failures count for, and its model's, which
everything else counts for that says the target is failing; so one model that does not load leaves its neighbours in reach. Beside them: a spent
quota closes a provider until its window is over, a leak shuts a model out until a person looked, a health check that
found a provider down counts for half a minute. All of it outlives a reload.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from engine.execution.breaker import Circuit, State, Ticket, Verdict
from engine.execution.runtime import Runtime
from engine.providers.base import DiscoveredModel, Health
from engine.providers.conduct import ErrorClass, HealthMark
from engine.providers.errors import ProviderError

SEEN_DOWN_S = 30.0
# A model stays loaded for five minutes after its last use unless the server is told otherwise.
WARM_S = 240.0
DISCOVERED_S = 60.0

Key = tuple[str, str]
"""A provider's name and one of its models' ids."""


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
    """Thread-safe. `changed` is called when something a decision is told of may have moved."""

    def __init__(self, surroundings: Runtime, changed: Callable[[], None]) -> None:
        self._surroundings = surroundings
        self._changed = changed
        self._lock = threading.Lock()
        self._providers: dict[str, Circuit] = {}
        self._models: dict[Key, Circuit] = {}
        self._closed_until: dict[str, float] = {}
        self._seen_down: dict[str, tuple[float, str]] = {}
        self._quarantined: set[Key] = set()
        self._warm_until: dict[Key, float] = {}
        self._discovered: dict[str, _Discovery] = {}

    # -- before a call

    def why_not(self, key: Key) -> str | None:
        """Why this member may not be called now; None when it may."""
        now = self._surroundings.monotonic()
        if key in self._quarantined:
            return "it answered through a remote host and is quarantined"
        down = self._down(key[0], now)
        if down is not None:
            return down
        circuit = self._models.get(key)
        if circuit is not None and not circuit.admits(now):
            return _resting(circuit, now)
        return None

    def admit(self, key: Key, lease_s: float) -> Admission | str:
        """The right to make one call that lasts no longer than `lease_s`, or why there is none."""
        with self._lock:
            reason = self.why_not(key)
            if reason is not None:
                return reason
            now = self._surroundings.monotonic()
            of_provider = self._circuit_of(key[0]).admit(now, lease_s)
            of_model = self._circuit_of_model(key).admit(now, lease_s)
            assert of_provider is not None
            assert of_model is not None
            admission = Admission(key, of_provider, of_model)
        if admission.is_probe:
            self._changed()
        return admission

    # -- after a call

    def answered(self, admission: Admission) -> None:
        """The call went well."""
        provider, _ = admission.key
        self._report(admission, Verdict.WELL, Verdict.WELL)
        self._warm_until[admission.key] = self._surroundings.monotonic() + WARM_S
        if self._seen_down.pop(provider, None):
            self._changed()

    def failed(
        self, admission: Admission, error: ProviderError, window_over_in_s: Callable[[], float]
    ) -> None:
        """The call failed; the taxonomy says what that means for its target."""
        provider, _ = admission.key
        match error.conduct.health:
            case HealthMark.FAILING if error.kind is ErrorClass.UNREACHABLE:
                self._report(admission, Verdict.FAILED, Verdict.NOTHING)
            case HealthMark.FAILING:
                reached = Verdict.NOTHING if error.kind is ErrorClass.UNKNOWN else Verdict.WELL
                self._report(admission, reached, Verdict.FAILED)
            case HealthMark.NEUTRAL | HealthMark.MISCONFIGURED:
                self.gave_up(admission)
            case HealthMark.CLOSED:
                closed_s = error.retry_after_s if error.retry_after_s is not None else window_over_in_s()
                self._closed_until[provider] = self._surroundings.monotonic() + closed_s
                self.gave_up(admission)
            case HealthMark.QUARANTINED:
                self._quarantined.add(admission.key)
                self.gave_up(admission)
        self._changed()

    def gave_up(self, admission: Admission) -> None:
        """The call says nothing about its target: the caller's own mistake, or a cancel. A probe's lease is free again."""
        self._report(admission, Verdict.NOTHING, Verdict.NOTHING)

    # -- what others have seen

    def heard(self, provider: str, health: Health) -> None:
        """A probe's result: one that is up is tried again at once, one that is down is left alone for half a minute."""
        now = self._surroundings.monotonic()
        with self._lock:
            self._seen_down.pop(provider, None)
            match health.status:
                case "up":
                    self._circuit_of(provider).retry_now()
                case "down":
                    self._seen_down[provider] = now + SEEN_DOWN_S, "its health check failed"
                case "misconfigured":
                    pass  # it is there; each call will say what is wrong with the key
        self._changed()

    def discovered(self, provider: str, models: Iterable[DiscoveredModel]) -> None:
        """The models a provider says it has."""
        now = self._surroundings.monotonic()
        found = {model.id: model for model in models}
        with self._lock:
            self._discovered[provider] = _Discovery(now, found)
            for key in [key for key in self._warm_until if key[0] == provider]:
                del self._warm_until[key]
            for model in found.values():
                if model.warm:
                    self._warm_until[provider, model.id] = now + WARM_S
        self._changed()

    # -- for decisions, health and lists

    def down(self, provider: str) -> str | None:
        """Why nothing at this provider may be called now; None when it is up."""
        return self._down(provider, self._surroundings.monotonic())

    def resting(self, key: Key) -> str | None:
        """Why this one model may not be called now, its provider aside."""
        if key in self._quarantined:
            return "it answered through a remote host and is quarantined"
        circuit, now = self._models.get(key), self._surroundings.monotonic()
        return None if circuit is None or circuit.admits(now) else _resting(circuit, now)

    def state(self, provider: str) -> State:
        """The provider's circuit."""
        circuit = self._providers.get(provider)
        return "closed" if circuit is None else circuit.state(self._surroundings.monotonic())

    def warm(self) -> list[Key]:
        """The models known to be loaded."""
        now = self._surroundings.monotonic()
        return [key for key, until in tuple(self._warm_until.items()) if now < until]

    def models_at(self, provider: str) -> Mapping[str, DiscoveredModel] | None:
        """What was last discovered there; None when nothing was, or long ago."""
        found = self._discovered.get(provider)
        if found is None or self._surroundings.monotonic() - found.at > DISCOVERED_S:
            return None
        return found.models

    def _down(self, provider: str, now: float) -> str | None:
        until = self._closed_until.get(provider, 0.0)
        if now < until:
            return f"its quota is spent; closed for another {round(until - now)} s"
        circuit = self._providers.get(provider)
        if circuit is not None and not circuit.admits(now):
            return _resting(circuit, now)
        seen = self._seen_down.get(provider)
        if seen is not None and now < seen[0]:
            return seen[1]
        return None

    def _circuit_of(self, provider: str) -> Circuit:
        return self._providers.setdefault(provider, Circuit(self._surroundings.chance))

    def _circuit_of_model(self, key: Key) -> Circuit:
        return self._models.setdefault(key, Circuit(self._surroundings.chance))

    def _report(self, admission: Admission, of_provider: Verdict, of_model: Verdict) -> None:
        now = self._surroundings.monotonic()
        with self._lock:
            provider, model = self._circuit_of(admission.key[0]), self._circuit_of_model(admission.key)
            before = provider.state(now), model.state(now)
            provider.report(admission.of_provider, of_provider, now)
            model.report(admission.of_model, of_model, now)
            moved = before != (provider.state(now), model.state(now)) or admission.is_probe
        if moved:
            self._changed()


def _resting(circuit: Circuit, now: float) -> str:
    if circuit.state(now) == "open":
        return f"it failed again and again; tried again in {round(circuit.opens_in_s(now))} s"
    return "it failed again and again; one call is trying it now"
