"""Runs a command in this process and returns what a shell would see; checks answers against their schemas."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.bundled import bundled_path, bundled_text
from engine.cli import main

DEFAULT = str(bundled_path("policies", "default"))
EXAMPLES = sorted(path.name for path in bundled_path("policies", "examples").iterdir() if path.is_dir())
FOLDERS = {"default": DEFAULT} | {name: str(bundled_path("policies", "examples", name)) for name in EXAMPLES}
GUIDE = Path(__file__).parents[1] / "conformance" / "guide"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """`shell("explain", "type=qa")`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> Ran:
        self._capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as exit:  # argparse, for --help and wrong usage
            code = exit.code if isinstance(exit.code, int) else 1
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads(bundled_text("schemas", f"{name}.schema.json"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def valid(name: str, value: Any) -> Any:
    """The value, which fits its schema."""
    errors = [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(value)]
    assert errors == []
    return value
