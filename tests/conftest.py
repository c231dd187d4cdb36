"""What every test runs under: a state folder of its own, so that no test reads or writes anybody's ledger,
and an environment that it leaves as it found it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


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
def _environment() -> Iterator[None]:
    """A test that leaves a variable behind fails itself, instead of one that runs after it."""
    before = dict(os.environ)
    yield
    after = dict(os.environ)
    for variables in (before, after):
        variables.pop("PYTEST_CURRENT_TEST", None)
    left = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    left -= {name for name in left if name.startswith("_")}  # a library's own, set when it is loaded
    for name in left:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]
    assert not left, f"left behind in the environment: {', '.join(sorted(left))}"
