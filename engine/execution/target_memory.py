"""What targets have said they cannot take -> why one need not be asked again, or what to leave out there.

A model that is gone, a key that may not use it, a need that it does not meet and a prompt that was too long
keep a request away; a field that it refuses is left out. Nothing here is about health: the target is well,
and takes other requests. It is forgotten after five minutes, when the target answers such a request after
all, and when its provider lists the model.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from engine.providers.conduct import ErrorClass
from engine.providers.errors import ContextTruncated, ProviderError
from engine.providers.options import NO_OPTIONS, RequestOptions

REMEMBERED_S = 300.0

MOST_VALUES = 8
"""A field of which so many values were refused is refused whatever its value."""

Key: TypeAlias = tuple[str, str]
"""A provider's name and one of its models' ids."""

ANYTHING = "anything"
"""What every request needs: what is remembered under it keeps the target from being asked at all."""

_ALWAYS = (ErrorClass.MISSING, ErrorClass.DENIED)
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request bears on whether a target can take it; `tokens` is its expected size."""

    needs: frozenset[str] = _NOTHING
    tokens: int = 0
    options: RequestOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class Bounds:
    """Within what a target has said it takes a request: without the `refused` fields, for at most so many
    tokens of output."""

    refused: frozenset[str] = _NOTHING
    most_output: int | None = None


NO_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A field is refused until then: these values of it, or any when `values` is None."""

    until: float
    values: tuple[object, ...] | None


class TargetMemory:
    """Not thread-safe: `HealthTracker` holds its lock around every call. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._cannot: dict[tuple[Key, str], tuple[float, str]] = {}
        self._too_long: dict[Key, tuple[float, int]] = {}
        self._refused: dict[Key, dict[str, _Refusal]] = {}
        self._most_output: dict[Key, tuple[float, int]] = {}

    def remember(self, key: Key, error: ProviderError, asked: Asked) -> None:
        """Keep what a failure said of the target."""
        until = self._monotonic() + REMEMBERED_S
        if error.kind in _ALWAYS:
            self._cannot[key, ANYTHING] = until, error.sentence
        elif error.kind is ErrorClass.UNFIT and error.feature in asked.needs:
            self._cannot[key, error.feature] = until, f"{error.sentence} with {error.feature}"
        elif error.kind is ErrorClass.OVERFLOW and not isinstance(error, ContextTruncated):
            least = min(asked.tokens, self._too_long.get(key, (0.0, asked.tokens))[1])
            self._too_long[key] = until, least
        if error.most_output is not None:
            self._most_output[key] = until, error.most_output
        for field in error.refused:
            known = self._refused.setdefault(key, {})
            values = self._values(known.get(field.name), asked, field.name) if field.only_value else None
            known[field.name] = _Refusal(until, values)

    def _values(self, known: _Refusal | None, asked: Asked, name: str) -> tuple[object, ...] | None:
        before = known.values if known is not None and self._monotonic() < known.until else ()
        if before is None or len(before) == MOST_VALUES:
            return None
        return (*before, getattr(asked.options, name, None))

    def forget(self, key: Key, asked: Asked) -> None:
        """The target has answered such a request."""
        if self._cannot:
            for need in (ANYTHING, *asked.needs):
                self._cannot.pop((key, need), None)
        if self._too_long and key in self._too_long and self._too_long[key][1] <= asked.tokens:
            del self._too_long[key]

    def forget_missing(self, provider: str, models: Iterable[str]) -> None:
        """The provider lists these models."""
        if self._cannot:
            for model in models:
                for name in (model, model.removesuffix(":latest")):
                    self._cannot.pop(((provider, name), ANYTHING), None)

    def why_not(self, key: Key, asked: Asked) -> str | None:
        """Why such a request need not be sent there; None when it may."""
        if not self._cannot and not self._too_long:
            return None
        now = self._monotonic()
        for need in (ANYTHING, *asked.needs):
            until, said = self._cannot.get((key, need), (0.0, ""))
            if now < until:
                return f"it {said}, as it said before; asked again in {round(until - now)} s"
        until, least = self._too_long.get(key, (0.0, 0))
        if now < until and asked.tokens >= least:
            return f"a prompt of about {least} tokens was too long for it"
        return None

    def bounds(self, key: Key, asked: Asked) -> Bounds:
        """Within what the target takes such a request."""
        if not self._refused and not self._most_output:
            return NO_BOUNDS
        now = self._monotonic()
        until, most = self._most_output.get(key, (0.0, None))
        refused = (
            name
            for name, refusal in self._refused.get(key, {}).items()
            if now < refusal.until
            and (refusal.values is None or getattr(asked.options, name, None) in refusal.values)
        )
        return Bounds(frozenset(refused), most if now < until else None)
