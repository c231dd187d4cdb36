"""A fact that exists only here passes through every record, added as a contributor adds it: a row, and a
field that holds it.

The engine is copied, those two lines are written into the copy, `docs/generate.py` runs there, and one
process of the copy makes every record. A record that lists facts by hand loses the new one, and its test says
so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
COPIED = ("docs", "samples", "editors", "engine", "grammar", "policies", "schemas")
ROW = '    Fact("task.urgency", Kind.ORDERED, "how soon it is due", "scale", FOUR_LEVELS, "low"),\n'
FIELD = '    urgency: str = "low"\n'

PROGRAM = """
import asyncio, json, os, sys
from pathlib import Path

from engine import ModelRouter, TaskProfile
from engine.commands.fact_arguments import given_facts
from engine.commands.invoke import _task
from engine.cli import main
from engine.migration import Shadow
from engine.replay.columns import columns_of
from engine.replay.logs import open_log

state = Path(os.environ["ENGINE_STATE_DIR"])
router = ModelRouter(dry_run=True)
names = router.policy.names
task = TaskProfile("qa", urgency="high")
messages = [{"role": "user", "content": "hello"}]
explanation = router.plan(task).explanation
async def answer():
    await router.select_and_invoke(task, messages)
    await router.aclose()
asyncio.run(answer())
shadow = Shadow(router, log=state / "shadow.jsonl")
shadow.run(task, lambda: None)
shadow.flush(20)
log = open_log(state)
given = given_facts(["type=qa", "urgency=high"], names)
try:
    TaskProfile("qa", urgency="extreme")
    complaint = ""
except ValueError as error:
    complaint = str(error)
(state / "batch.jsonl").write_text('{"type": "qa", "urgency": "high"}')
print(json.dumps({
    "profile": complaint,
    "explanation JSON": explanation.to_json()["facts"]["task.urgency"]["value"],
    "explanation text": str(explanation),
    "decision log": json.loads((state / "decisions.jsonl").read_text().splitlines()[0]),
    "shadow line": json.loads((state / "shadow.jsonl").read_text()),
    "command line": given["task.urgency"],
    "invoke": _task(given).urgency,
    "replay's reading of the log": next(log.chunks(list(log.names))).get_column("task.urgency").to_list(),
    "replay's columns": columns_of(["urgency"], [], [], []).by_field,
    "decision log schema": json.loads(Path("schemas/decision-log.schema.json").read_text()),
    "shadow schema": json.loads(Path("schemas/shadow.schema.json").read_text()),
    "language reference": Path("docs/language.md").read_text(),
    "TextMate grammar": Path("editors/vscode/syntaxes/route.tmLanguage.json").read_text(),
}))
sys.stdout.flush()
main(["explain", "--batch", str(state / "batch.jsonl")])
"""


def add(path: Path, before: str, line: str) -> None:
    """Writes a line before another, which must be there once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, line + before), encoding="utf-8")


def run(house: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    environment |= {"PYTHONPATH": str(house), "ENGINE_STATE_DIR": str(house / "state"), "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=house,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the engine without the new fact."""
    folder = tmp_path_factory.mktemp("house")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "state").mkdir()
    return folder


@pytest.fixture(scope="module")
def records(house: Path) -> dict[str, Any]:
    """What every record makes of a task whose urgency is high."""
    add(house / "engine" / "language" / "vocabulary.py", '    Fact("task.labels"', ROW)
    add(house / "engine" / "task_profiles.py", "    labels: Iterable[str]", FIELD)
    written = run(house, "docs/generate.py")
    assert written.returncode == 0, written.stderr
    made = run(house, "-c", PROGRAM)
    assert made.returncode == 0, made.stderr
    first, *batch = made.stdout.splitlines()
    return {**json.loads(first), "batch": json.loads("".join(batch))}


def test_the_profile_checks_it(records: dict[str, Any]) -> None:
    """Its values are those of the row's scale."""
    assert records["profile"] == "urgency is one of low, medium, high, critical, not 'extreme'"


@pytest.mark.parametrize("record", ["explanation JSON", "command line", "invoke"])
def test_it_keeps_its_value(record: str, records: dict[str, Any]) -> None:
    """From the profile or from `urgency=high`, without its prefix."""
    assert records[record] == "high"


def test_the_explanation_names_it(records: dict[str, Any]) -> None:
    """Beside the other facts that are no defaults."""
    assert "urgency" in records["explanation text"]


def test_a_batch_reads_it(records: dict[str, Any]) -> None:
    """A key of the JSON object, without its prefix."""
    assert records["batch"]["facts"]["task.urgency"]["value"] == "high"


@pytest.mark.parametrize(("record", "facts"), [("decision log", "facts"), ("shadow line", None)])
def test_a_log_holds_it_as_its_schema_says(record: str, facts: str | None, records: dict[str, Any]) -> None:
    """The line holds it, and the schema that `docs/generate.py` wrote, which allows no stranger, allows
    it."""
    line = records[record]
    assert (line if facts is None else line[facts])["task.urgency"] == "high"
    schema = records[f"{record.removesuffix(' line')} schema"]
    assert list(Draft202012Validator(schema).iter_errors(line)) == []


@pytest.mark.parametrize("schema", ["decision log schema", "shadow schema"])
def test_a_schema_knows_its_values(schema: str, records: dict[str, Any]) -> None:
    """The scale of the row, nothing else."""
    properties = records[schema]["properties"]
    known = properties["facts"]["properties"] if "facts" in properties else properties
    assert known["task.urgency"] == {"enum": ["low", "medium", "high", "critical"]}


def test_replay_reads_it_back(records: dict[str, Any]) -> None:
    """From the decision log, and from a column of any log that is called as it is."""
    assert records["replay's reading of the log"] == ["high"]
    assert records["replay's columns"] == {"task.urgency": "urgency"}


def test_the_language_reference_lists_it(records: dict[str, Any]) -> None:
    """With its type, its values and its meaning."""
    row = "| `task.urgency` | a name on a scale | low, medium, high, critical | how soon it is due |"
    assert row in records["language reference"]


def test_editors_know_it(records: dict[str, Any]) -> None:
    """The TextMate grammar lists the names of facts."""
    assert r"task\\.urgency" in records["TextMate grammar"]


@pytest.mark.parametrize(
    ("file", "before", "line", "complaint"),
    [
        ("task_profiles.py", "    labels: Iterable[str]", FIELD, "TaskProfile.urgency is no fact"),
        (
            "language/vocabulary.py",
            '    Fact("task.labels"',
            ROW,
            "task.urgency: TaskProfile has no field urgency",
        ),
        (
            "language/vocabulary.py",
            '    Fact("task.labels"',
            ROW.replace('"low"', '"never"'),
            "task.urgency: 'never' is not a name on a scale",
        ),
        (
            "language/vocabulary.py",
            '    Fact("task.labels"',
            ROW.replace(', "low"', ""),
            "task.urgency: needs a default",
        ),
        (
            "language/vocabulary.py",
            '    Fact("task.labels"',
            '    Fact("task.owner", Kind.NAME, "who pays", default="me"),\n',
            "task.owner: a name needs a universe",
        ),
        (
            "language/vocabulary.py",
            '    Fact("task.labels"',
            '    Fact("disk.full", Kind.FLAG, "no room", default=False, origin=FactOrigin.RUNTIME),\n',
            "RuntimeFacts and the fact table differ in disk_full",
        ),
        (
            "language/vocabulary.py",
            '    Fact("task.labels"',
            '    Fact("clock.night", Kind.FLAG, "dark", default=False, origin=FactOrigin.CLOCK),\n',
            "clock.night: the planner and the fact table differ in what is read off the clock",
        ),
    ],
    ids=["no row", "no field", "off its scale", "no default", "no universe", "no runtime field", "no clock"],
)
def test_what_is_half_added_fails_at_import(
    file: str, before: str, line: str, complaint: str, tmp_path: Path
) -> None:
    """And the error names the row or the field."""
    shutil.copytree(ROOT / "engine", tmp_path / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    add(tmp_path / "engine" / file, before, line)
    imported = run(tmp_path, "-c", "import engine.model_router")
    assert imported.returncode == 1
    assert complaint in imported.stderr.splitlines()[-1]
