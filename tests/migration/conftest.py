"""The corpus, scanned as it is and copied without its marks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.migration.scan import ScanReport, scan

from .marked import CORPUS


@pytest.fixture(scope="session")
def report() -> ScanReport:
    return scan(CORPUS)


@pytest.fixture
def unmarked(tmp_path: Path) -> Path:
    """The corpus without its marks: a call with a comment inside is left to a person."""
    for path in CORPUS.rglob("*.py"):
        there = tmp_path / path.relative_to(CORPUS)
        there.parent.mkdir(exist_ok=True)
        there.write_text(re.sub("  #= .*", "", path.read_text(encoding="utf-8")), encoding="utf-8")
    return tmp_path
