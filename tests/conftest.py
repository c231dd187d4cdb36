"""What every test runs under: a state folder of its own, so that no test reads or writes anybody's ledger,
and the variables that the test before it found."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = ("ENGINE_", "MODEL_ROUTING_MODE", "DAILY_BUDGET_", "MONTHLY_BUDGET_", "DRY_RUN_MODE", "LOG_LEVEL")
"""How the names of the variables begin that the engine reads."""


@pytest.fixture(scope="session", autouse=True)
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """ENGINE_STATE_DIR points to a folder of this test process."""
    folder = tmp_path_factory.mktemp("state")
    before = os.environ.get("ENGINE_STATE_DIR")
    os.environ["ENGINE_STATE_DIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["ENGINE_STATE_DIR"]
    else:
        os.environ["ENGINE_STATE_DIR"] = before


@pytest.fixture(autouse=True)
def _variables_stay(_state_folder: Path) -> Iterator[None]:
    """A test that leaves an environment variable behind fails, and not the ones that run after it."""
    before = _variables()
    yield
    left = {name for name, _ in _variables() ^ before}
    assert not left, f"environment variables left changed: {sorted(left)}"


def _variables() -> set[tuple[str, str]]:
    return {(name, value) for name, value in os.environ.items() if name.startswith(OURS)}
