"""The corpus and its marks: `#= LIBRARY MODEL MAX_TOKENS flags...` on the first line of each call."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
MARK = re.compile(r"#= (.*)$")


@dataclass(frozen=True, order=True)
class Marked:
    """One call, as marked or as found."""

    file: str
    line: int
    library: str
    models: str
    max_tokens: str
    flags: tuple[str, ...]


def marks() -> tuple[set[Marked], dict[tuple[str, int], str]]:
    """Every marked call, and the task types that marks name."""
    marked: set[Marked] = set()
    types: dict[tuple[str, int], str] = {}
    for path in sorted(CORPUS.rglob("*.py")):
        file = path.relative_to(CORPUS).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := MARK.search(line):
                library, models, max_tokens, *flags = found[1].split()
                task_type = [flag for flag in flags if flag.startswith("type=")]
                if task_type:
                    types[file, number] = task_type[0].removeprefix("type=")
                kept = tuple(sorted(set(flags) - set(task_type)))
                marked.add(Marked(file, number, library, models, max_tokens, kept))
    return marked, types


def apply_patch(patch: str, folder: Path) -> None:
    """Apply a patch as `git apply` does; it must fit."""
    done = subprocess.run(
        ["git", "apply", "-"], cwd=folder, input=patch, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
