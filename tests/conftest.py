"""What every test runs under: a state folder of its own, so that no test reads or writes anybody's ledger."""

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
