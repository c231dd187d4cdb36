"""What a caller says of a task -> a checked `TaskProfile`."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from engine.errors import EngineError

CRITICALITIES = ("low", "medium", "high", "critical")
SENSITIVITIES = ("low", "medium", "high")
MOST_TOKENS = 10**12


class InvalidTask(EngineError, ValueError):  # noqa: N818
    """A TaskProfile with a value that it cannot have; the message lists the values that exist."""


@dataclass(frozen=True, slots=True)
class TaskProfile:
    """One task, as the policy sees it.

    `context_size` counts tokens the exchange needs in the window, prompt and reply; the router raises it to its own
    estimate of the messages. `labels` may be any iterable of names. `key` (a tenant, a session) makes `task.bucket` stable, so
    that a gradual move treats one key always alike; it is never stored.

    Raises InvalidTask for a value outside the lists below; whether the policy knows the task type and the labels
    is checked when the task is planned.
    """

    task_type: str
    criticality: str = "medium"
    latency_sensitivity: str = "medium"
    context_size: int = 0
    tool_use_required: bool = False
    budget_sensitivity: str = "medium"
    labels: Iterable[str] = frozenset()
    key: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.task_type, str) or not self.task_type:
            raise InvalidTask(f"task_type is the name of a task type, not {_short(self.task_type)}")
        if self.criticality not in CRITICALITIES:
            raise InvalidTask(_not_one_of("criticality", self.criticality, CRITICALITIES))
        if self.latency_sensitivity not in SENSITIVITIES:
            raise InvalidTask(_not_one_of("latency_sensitivity", self.latency_sensitivity, SENSITIVITIES))
        if self.budget_sensitivity not in SENSITIVITIES:
            raise InvalidTask(_not_one_of("budget_sensitivity", self.budget_sensitivity, SENSITIVITIES))
        if type(self.context_size) is not int or not 0 <= self.context_size <= MOST_TOKENS:
            raise InvalidTask(
                f"context_size is a whole number of tokens from 0 to {MOST_TOKENS:,}, not {_short(self.context_size)}"
            )
        if type(self.tool_use_required) is not bool:
            raise InvalidTask(f"tool_use_required is True or False, not {_short(self.tool_use_required)}")
        if type(self.labels) is not frozenset or self.labels:
            object.__setattr__(self, "labels", _labels(self.labels))
        if self.key is not None and not isinstance(self.key, str):
            raise InvalidTask(f"key is text, such as a tenant or a session, not {_short(self.key)}")

    @property
    def bucket(self) -> int | None:
        """0 to 99, the same for the same key on every machine and in every version; None without a key."""
        if self.key is None:
            return None
        return (
            int.from_bytes(hashlib.sha256(self.key.encode(errors="surrogatepass")).digest()[:8], "big") % 100
        )


def _labels(labels: object) -> frozenset[str]:
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise InvalidTask(f"labels is a list of names, not {_short(labels)}")
    names = list(labels)
    for name in names:
        if not isinstance(name, str) or not name:
            raise InvalidTask(f"labels is a list of names, and {_short(name)} is none")
    return frozenset(names)


def _not_one_of(field: str, value: object, known: tuple[str, ...]) -> str:
    return f"{field} is one of {', '.join(known)}, not {_short(value)}"


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) > MOST_TOKENS:
        return "a number beyond that"
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:70]}..."
