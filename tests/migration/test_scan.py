"""`engine scan` as a whole: its JSON, its command, and that no input can hurt it."""

from __future__ import annotations

import ast
import json
import random
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from engine.bundled import bundled_text
from engine.cli import main
from engine.migration.scan import CannotScan, ScanReport, report_json, scan

from .marked import CORPUS, apply_patch


def test_the_json_has_a_schema(report: ScanReport) -> None:
    """The JSON is what schemas/scan.schema.json says, with and without the patch."""
    schema = json.loads(bundled_text("schemas", "scan.schema.json"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(report_json(report))
    validator.validate({**report_json(report), "patch": report.patch})


def test_control_characters_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file name, a model and a function full of escapes are printed escaped."""
    (tmp_path / "a\x1b[31m.py").write_text(
        "import openai\nopenai.OpenAI().chat.completions.create(model='\\x1b[2J\\u202e', messages=[])\n"
    )
    assert main(["scan", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err
    assert "\u202e" not in output.out


def test_the_command_prints_calls_checklist_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    """Text names file and line, the call, the proposal, and the checklist."""
    assert main(["scan", str(CORPUS / "small_agent.py")]) == 0
    assert capsys.readouterr().out.splitlines()[:5] == [
        "small_agent.py:9: anthropic, claude-3-sonnet-20240229, max_tokens 1000, async",
        "    self.anthropic.messages.create(...) in MyAgent.process",
        '  > task = TaskProfile(task_type="qa", criticality="medium")',
        (
            "  > result = await self.model_router.select_and_invoke("
            'task, [{"role": "user", "content": text}], max_tokens=1000)'
        ),
        "    task type: nothing says otherwise",
    ]


def test_the_command_prints_a_patch(unmarked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--diff` prints the patch alone on standard output, and what is not in it on standard error."""
    assert main(["scan", str(unmarked), "--diff"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("--- a/")
    assert "not in the patch: sync_script.py:15: it is synchronous" in output.err
    assert main(["scan", str(unmarked), "--format", "json", "--diff"]) == 0
    assert json.loads(capsys.readouterr().out)["patch"] == output.out


def test_a_path_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No such path, or no Python file: exit code 2 and a sentence."""
    with pytest.raises(CannotScan):
        scan(tmp_path / "nowhere")
    assert main(["scan", str(tmp_path)]) == 2
    assert "there is no Python file in" in capsys.readouterr().err


def test_mutilated_files_raise_nothing(tmp_path: Path) -> None:
    """Corpus files with pieces cut out and words put in: what still parses is scanned, and every patch
    applies and leaves Python behind."""
    drawn = random.Random(7)
    files = [path.read_bytes() for path in sorted(CORPUS.rglob("*.py"))]
    rewritable = (CORPUS / "small_agent.py").read_bytes()
    words = [
        b"(",
        b")",
        b":",
        b"\n",
        b"lambda ",
        b"**",
        b"self",
        b".create",
        b"await ",
        b"=",
        b"class A(A): ",
        b"yield ",
    ]
    for number in range(200):
        text = bytearray(drawn.choice(files) if number % 2 else rewritable)
        for _ in range(drawn.randrange(1, 4)):
            place = drawn.randrange(len(text) + 1)
            if drawn.random() < 0.5:
                text[place : place + drawn.randrange(1, 12)] = b""
            else:
                text[place:place] = drawn.choice(words)
        (tmp_path / f"m{number}.py").write_bytes(re.sub(b"  #= .*", b"", bytes(text)))
    report = scan(tmp_path)
    assert report.files + len({note.file for note in report.notes if "not Python" in note.text}) == 200
    report_json(report)
    assert report.patch
    apply_patch(report.patch, tmp_path)
    for site in report.sites:
        ast.parse((tmp_path / site.file).read_bytes())
