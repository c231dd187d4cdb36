"""What every execution test runs under: the socket audit, a state folder of its own and no variable that
matters."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ..providers.socket_audit import AUDIT, Audit
from .virtual_time import run_virtually

AUDIT.install()
T = TypeVar("T")


@pytest.fixture(autouse=True)
def socket_audit() -> Iterator[Audit]:
    """Fails a test that connected, or tried to, beyond loopback."""
    AUDIT.reset()
    yield AUDIT
    assert not AUDIT.outside, f"connects beyond loopback: {AUDIT.outside}"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the machine's user moves a test, and each test has a state folder of its own."""
    for name in tuple(os.environ):
        if name.startswith(
            ("OLLAMA", "ANTHROPIC", "OPENAI", "ENGINE", "MODEL_ROUTING", "DAILY_", "MONTHLY_")
        ):
            monkeypatch.delenv(name)
    for name in ("DRY_RUN_MODE", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def virtually() -> Iterator[Callable[[Callable[[Path], Coroutine[Any, Any, T]]], T]]:
    """Runs a test's coroutine in virtual time, with a folder in memory for its ledger: thousands of requests
    need no disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield lambda main: run_virtually(lambda _: main(Path(folder)))
