"""The lowest version of every direct dependency that pyproject.toml allows, as a file of constraints for pip.

    python tests/lowest_versions.py > lowest.txt
    pip install --constraint lowest.txt -e '.[dev]'

The suite then runs against the oldest releases that the project says it works with; without the constraint
pip takes the newest. A dependency without a lower bound is left out.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:>=|==)\s*(?P<version>[0-9][^,;\s]*)")


def lowest(project: dict[str, Any]) -> Iterator[str]:
    """A line `name==version` for each requirement with a lower bound."""
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = (REQUIREMENT.match(requirement) for group in groups for requirement in group)
    return (f"{one['name']}=={one['version']}" for one in found if one is not None)


def main() -> None:
    """Prints them, each once."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    print("\n".join(sorted(set(lowest(project)))))


if __name__ == "__main__":
    main()
