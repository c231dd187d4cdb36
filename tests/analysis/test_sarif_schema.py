"""SARIF as the standard has it. Its schema is not ours to ship: ENGINE_TEST_SARIF_SCHEMA names a copy of
sarif-2.1.0.json (one travels in the npm package `@microsoft/jest-sarif`); without it these tests are
skipped, and the structure alone is tested."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jsonschema import validators

from engine.bundled import bundled_path
from engine.cli import main

SCHEMA = os.environ.get("ENGINE_TEST_SARIF_SCHEMA")
GUIDE = Path(__file__).parents[1] / "conformance" / "guide"
BAD_POLICY = 'forbid a: clod when task.kind == x  # \x1b]0;\u202e\nprefer b: local 5\nlet c = "unclosed\n'

pytestmark = pytest.mark.skipif(SCHEMA is None, reason="ENGINE_TEST_SARIF_SCHEMA names no copy of the schema")


@pytest.mark.parametrize(
    "folder", [bundled_path("policies", "default"), GUIDE, None], ids=["default", "guide", "bad"]
)
def test_findings_are_valid_sarif(
    folder: Path | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every finding of sound, doubtful and broken folders."""
    if folder is None:
        folder = tmp_path
        (folder / "models.yaml").write_text(
            (GUIDE / "models.yaml").read_text(encoding="utf-8"), encoding="utf-8"
        )
        (folder / "main.route").write_text(BAD_POLICY, encoding="utf-8")
    main(["lint", str(folder), "--format", "sarif"])
    document = json.loads(capsys.readouterr().out)
    assert SCHEMA is not None
    schema = json.loads(Path(SCHEMA).read_text(encoding="utf-8"))
    assert document["runs"][0]["results"]
    assert [error.message for error in validators.validator_for(schema)(schema).iter_errors(document)] == []
