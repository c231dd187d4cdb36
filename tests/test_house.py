"""The house rules that a machine can check: style, types, imports, and the content of the wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CITING = ("docs", "engine", "grammar", "policies", "schemas", "editors", "tests", "*.md", "*.toml", "*.yml")
"""Where citations are looked for; the guide and the code to be scanned are not ours."""
NOT_OURS = (":!tests/data", ":!tests/migration/corpus")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
    ],
    ids=" ".join,
)
def test_the_code_is_clean(command: tuple[str, ...]) -> None:
    """Style, layout and types are clean everywhere."""
    done = run(sys.executable, "-m", *command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_wing_imports_downwards_only() -> None:
    """The import contracts of pyproject.toml hold."""
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    """500 lines at most; a longer one has two ideas."""
    lines = {path: path.read_text("utf-8").count("\n") for path in (ROOT / "engine").rglob("*.py")}
    assert [(path.name, count) for path, count in lines.items() if count > 500] == []


def test_nothing_cites_a_document_that_is_not_here() -> None:
    """A page named in code or prose exists in the repository, unless it has an address of its own, and no
    numbered ruling is cited."""
    listed = run("git", "grep", "-nIE", r"[Rr]ulings? [0-9]|[A-Za-z-]+\.md", "--", *CITING, *NOT_OURS).stdout
    tracked = {Path(path).name for path in run("git", "ls-files").stdout.split()}
    cited = [
        line
        for line in listed.splitlines()
        if not {
            Path(name).name
            for name in re.findall(r"[\w./-]+\.md\b", re.sub(r"https?://\S+", "", line.split(":", 2)[2]))
        }
        <= tracked
        or re.search(r"\b[Rr]ulings? \d", line)
    ]
    assert cited == []


def test_importing_the_engine_loads_nothing_heavy() -> None:
    """No SDK, no HTTP library, no jsonschema, no SQL driver, and not even the parser."""
    script = "import sys, json, engine; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(run(sys.executable, "-c", script).stdout))
    assert not loaded & {
        "anthropic",
        "openai",
        "httpx",
        "httpx2",
        "jsonschema",
        "psycopg",
        "lark",
        "yaml",
        "rich",
    }


def test_linting_loads_no_provider() -> None:
    """Policies are checked without anything that could call out."""
    script = (
        "import sys, json; from engine.cli import main; main(['lint', 'policies/default']);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(run(sys.executable, "-c", script).stdout.splitlines()[-1]))
    assert not loaded & {"anthropic", "openai", "httpx", "httpx2", "socket", "ssl", "psycopg"}


def test_the_wheel_carries_what_git_tracks(tmp_path: Path) -> None:
    """grammar/, policies/ and schemas/ travel whole, and nothing else slips in with them."""
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path))
    assert built.returncode == 0, built.stdout + built.stderr
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    data = {name.removeprefix("engine/_data/") for name in names if name.startswith("engine/_data/")}
    tracked = run("git", "ls-files", "grammar", "policies", "schemas").stdout.split()
    assert data == set(tracked)
    assert not [name for name in names if name.endswith(".pth") or name.startswith(("tests/", "."))]
