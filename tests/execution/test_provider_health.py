"""The tracker of provider health under several threads: its state is read and written under its lock
alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import pytest

from engine.execution.provider_health import NOTHING_ASKED, HealthTracker
from engine.execution.runtime import Runtime
from engine.providers.base import DiscoveredModel, Health
from engine.providers.errors import Unreachable

KEY = ("house", "small")


def tracker() -> HealthTracker:
    """A tracker whose clock stands still."""
    noon = datetime(2030, 1, 15, 12, tzinfo=UTC)
    runtime = Runtime(lambda: noon, lambda: 1000.0, asyncio.sleep, lambda: 0.5, lambda: "id")
    return HealthTracker(runtime, lambda: None)


def guarded(kind: type, lock: Lock) -> Any:
    """A subclass of `kind` (dict or set) that fails whenever it is touched without the lock."""

    def checked(name: str) -> Callable[..., Any]:
        def method(self: Any, *given: Any, **more: Any) -> Any:
            assert lock.locked(), f"{kind.__name__}.{name} without the lock"
            return getattr(kind, name)(self, *given, **more)

        return method

    spared = ("__class__", "__new__", "__init__", "__getattribute__", "__repr__", "__init_subclass__")
    methods = [name for name in vars(kind) if callable(getattr(kind, name)) and name not in spared]
    return type(f"Guarded{kind.__name__}", (kind,), {name: checked(name) for name in methods})


def _admitted(health: HealthTracker) -> Any:
    admission = health.admit(KEY, 60.0)
    assert not isinstance(admission, str), admission
    return admission


USES: dict[str, Callable[[HealthTracker], object]] = {
    "why_not": lambda health: health.why_not(KEY),
    "bounds": lambda health: health.bounds(KEY, NOTHING_ASKED),
    "admit": _admitted,
    "record_success": lambda health: health.record_success(_admitted(health)),
    "record_failure": lambda health: health.record_failure(
        _admitted(health), Unreachable(dispatched=False), lambda: 60.0
    ),
    "release": lambda health: health.release(_admitted(health)),
    "record_probe": lambda health: health.record_probe("house", Health("up")),
    "record_models": lambda health: health.record_models("house", [DiscoveredModel("small", warm=True)]),
    "down": lambda health: health.down("house"),
    "resting": lambda health: health.resting(KEY),
    "state": lambda health: health.state("house"),
    "warm": lambda health: health.warm(),
    "models_at": lambda health: health.models_at("house"),
}


def test_every_public_method_is_among_the_uses() -> None:
    """A method that is added must be held to the lock, too."""
    assert {name for name in vars(HealthTracker) if not name.startswith("_")} == {*USES}


@pytest.mark.parametrize("name", USES)
def test_state_is_touched_under_the_lock_alone(name: str) -> None:
    """No method reads or writes a dictionary or a set of the tracker without its lock, whatever the state
    before it."""
    health = tracker()
    for prepare in USES.values():
        prepare(health)
    for attribute, value in vars(health).items():
        if isinstance(value, dict | set):
            setattr(health, attribute, guarded(type(value), health._lock)(value))
    USES[name](health)


def test_a_callback_may_ask_the_tracker() -> None:
    """`changed` is called without the lock, so that who is told of a change may read at once."""
    answers: list[str | None] = []
    health = tracker()
    health._changed = lambda: answers.append(health.why_not(KEY))
    health.record_probe("house", Health("down"))
    assert answers == ["its health check failed"]
