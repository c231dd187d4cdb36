"""`engine completion`, and the hooks for pre-commit: what they name is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from engine.cli import COMMANDS, parser
from tests.commands.running import Shell

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["bash", "zsh", "tcsh"])
def test_a_script_names_every_command(shell: Shell, kind: str) -> None:
    """Only the script is printed."""
    ran = shell("completion", kind)
    assert (ran.code, ran.err) == (0, "")
    assert [name for name in COMMANDS if name not in ran.out] == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [("fm", ["fmt"]), ("test --co", ["--config", "--coverage"]), ("test --format js", ["json"])],
)
def test_bash_completes(shell: Shell, tmp_path: Path, words: str, expected: list[str]) -> None:
    """Bash completes commands, options and their choices with the script."""
    script = tmp_path / "engine.bash"
    script.write_text(shell("completion", "bash").out)
    ask = (
        f"source {script}; COMP_WORDS=(engine {words}); COMP_CWORD={len(words.split())}; _shtab_engine; echo "
        f'"${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == expected


def test_every_hook_is_a_command() -> None:
    """With arguments that the command takes."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for hook in hooks:
        program, *words = hook["entry"].split()
        assert program == "engine"
        assert hook["language"] == "python"
        parser(words).parse_args([*words, "folder"])
