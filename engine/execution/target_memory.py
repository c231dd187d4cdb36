"""What targets have said they cannot take -> why one need not be asked again.

A model that is gone, a key that may not use it, a parameter or part that is not supported, a prompt that was
too long. Nothing here is about health: the target is well, and takes other requests. It is forgotten
after five minutes, when the target answers such a request after all, and when its provider lists the model.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from engine.providers.conduct import ErrorClass
from engine.providers.errors import ContextTruncated, ProviderError

REMEMBERED_S = 300.0

Key: TypeAlias = tuple[str, str]
"""A provider's name and one of its models' ids."""

ANYTHING = "anything"
"""The feature of every request: what is remembered under it keeps the target from being asked at all."""

_ALWAYS = (ErrorClass.MISSING, ErrorClass.DENIED)


class TargetMemory:
    """Not thread-safe: `HealthTracker` holds its lock around every call. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._cannot: dict[tuple[Key, str], tuple[float, str]] = {}
        self._too_long: dict[Key, tuple[float, int]] = {}

    def remember(self, key: Key, error: ProviderError, features: Mapping[str, str], tokens: int) -> None:
        """Keep what a failure said of the target; `features` and `tokens` are those of the request."""
        until = self._monotonic() + REMEMBERED_S
        if error.kind in _ALWAYS:
            self._cannot[key, ANYTHING] = until, error.sentence
        elif error.kind is ErrorClass.UNFIT and (feature := features.get(error.feature or "")):
            self._cannot[key, feature] = until, f"{error.sentence} with {feature}"
        elif error.kind is ErrorClass.OVERFLOW and not isinstance(error, ContextTruncated):
            least = min(tokens, self._too_long.get(key, (0.0, tokens))[1])
            self._too_long[key] = until, least

    def forget(self, key: Key, features: Mapping[str, str], tokens: int) -> None:
        """The target has answered a request with these features and of this size."""
        if self._cannot:
            for feature in (ANYTHING, *features.values()):
                self._cannot.pop((key, feature), None)
        if self._too_long and key in self._too_long and self._too_long[key][1] <= tokens:
            del self._too_long[key]

    def forget_missing(self, provider: str, models: Iterable[str]) -> None:
        """The provider lists these models."""
        if self._cannot:
            for model in models:
                for name in (model, model.removesuffix(":latest")):
                    self._cannot.pop(((provider, name), ANYTHING), None)

    def why_not(self, key: Key, features: Mapping[str, str], tokens: int) -> str | None:
        """Why such a request need not be sent there; None when it may."""
        if not self._cannot and not self._too_long:
            return None
        now = self._monotonic()
        for feature in (ANYTHING, *features.values()):
            until, said = self._cannot.get((key, feature), (0.0, ""))
            if now < until:
                return f"it {said}, as it said before; asked again in {round(until - now)} s"
        until, least = self._too_long.get(key, (0.0, 0))
        if now < until and tokens >= least:
            return f"a prompt of about {least} tokens was too long for it"
        return None


def features_of(needs: Iterable[str], **parameters: object) -> dict[str, str]:
    """What of a request a target may be unable to take: the name an error calls it by -> what is remembered.

    A parameter is remembered with its value: a model that takes only the default takes that.
    """
    features = {need: need for need in needs} | {"max_tokens": "max_tokens"}
    return features | {name: f"{name} {value!r}" for name, value in parameters.items() if value is not None}
