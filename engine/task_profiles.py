"""What a caller says of a task -> a checked `TaskProfile`."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from engine.errors import EngineError

CRITICALITIES = ("low", "medium", "high", "critical")
SENSITIVITIES = ("low", "medium", "high")


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
            raise InvalidTask(f"task_type is the name of a task type, not {self.task_type!r}")
        if self.criticality not in CRITICALITIES:
            raise InvalidTask(_not_one_of("criticality", self.criticality, CRITICALITIES))
        if self.latency_sensitivity not in SENSITIVITIES:
            raise InvalidTask(_not_one_of("latency_sensitivity", self.latency_sensitivity, SENSITIVITIES))
        if self.budget_sensitivity not in SENSITIVITIES:
            raise InvalidTask(_not_one_of("budget_sensitivity", self.budget_sensitivity, SENSITIVITIES))
        if type(self.context_size) is not int or self.context_size < 0:
            raise InvalidTask(
                f"context_size is a whole number of tokens from 0 up, not {self.context_size!r}"
            )
        if type(self.tool_use_required) is not bool:
            raise InvalidTask(f"tool_use_required is True or False, not {self.tool_use_required!r}")
        if type(self.labels) is not frozenset:
            object.__setattr__(self, "labels", _labels(self.labels))

    @property
    def bucket(self) -> int | None:
        """0 to 99, the same for the same key on every machine and in every version; None without a key."""
        if self.key is None:
            return None
        return int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:8], "big") % 100


def _labels(labels: object) -> frozenset[str]:
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise InvalidTask(f"labels is a list of names, not {labels!r}")
    names = frozenset(labels)
    if not all(isinstance(name, str) and name for name in names):
        raise InvalidTask("labels is a list of names")
    return names


def _not_one_of(field: str, value: object, known: tuple[str, ...]) -> str:
    return f"{field} is one of {', '.join(known)}, not {value!r}"
