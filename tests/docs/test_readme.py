"""README.md and what ships beside it: every command and the program run as they are printed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli import main
from tests.docs.test_pages import generator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVERS = ("lsp", "mcp")
"""Commands that serve until their input ends."""
MACHINE = ("health", "doctor")
"""Commands that say with exit code 1 what this machine has not got."""


def printed(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The words of every `engine ...`, in order, comments and continued lines read as a shell does."""
    lines = "".join(printed("console")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [one[one.index("engine") + 1 :] for one in words if "engine" in one]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that holds what the commands name, on the branch `main`, and no variable of ours."""
    for name in list(os.environ):
        if name.startswith(generator().NO_SUCH_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9")
    folder = tmp_path / "checkout"
    for name in ("samples", "policies"):
        shutil.copytree(ROOT / name, folder / name)
    monkeypatch.chdir(folder)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-qb", "main"], ["add", "-A"], ["commit", "-qm", "as it ships"]):
        subprocess.run([*git, *words], check=True)
    return folder


def test_every_command_runs_as_printed(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From top to bottom, each with exit code 0, but for what this machine has not got."""
    for words in commands():
        if words[0] not in SERVERS:
            code = main(words)
            ran = capsys.readouterr()
            assert code == 0 or (code == 1 and words[0] in MACHINE), (
                f"{shlex.join(words)}: {code}\n{ran.out}\n{ran.err}"
            )
    assert Path("page.html").is_file()


def test_every_command_is_shown() -> None:
    """The README leaves none out but those that only other tools call."""
    from engine.cli import COMMANDS

    assert set(COMMANDS) - {words[0] for words in commands()} <= {"comment"}


def test_the_program_runs(checkout: Path) -> None:
    """As a file of its own, and it prints the decision."""
    (program,) = printed("python")
    Path("program.py").write_text(program, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "program.py"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "qwen3:32b" in ran.stdout


def test_its_pictures_are_small_and_there() -> None:
    """Two of them, of less than 50 kB, that name no address on the network."""
    pictures = re.findall(r"!\[[^]]+\]\((\S+)\)", README)
    assert len(pictures) == 2
    for picture in pictures:
        drawn = (ROOT / picture).read_text(encoding="utf-8")
        assert len(drawn) < 50_000
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", drawn) == []
