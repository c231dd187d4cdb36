"""`tests/lowest_versions.py` reads every lower bound of pyproject.toml."""

import tomllib

from tests.lowest_versions import PYPROJECT, lowest


def test_a_lower_bound_becomes_a_pin() -> None:
    """Extras and upper bounds are left out, an exact version stays, no bound is no line."""
    project = {
        "dependencies": ["a>=1.2,<2", "b-c[x]>=3"],
        "optional-dependencies": {"dev": ["d==4.5", "types-e", "here[dev]"]},
    }
    assert list(lowest(project)) == ["a==1.2", "b-c==3", "d==4.5"]


def test_every_dependency_at_run_time_has_a_lower_bound() -> None:
    """So that the lowest versions are known."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    assert len(list(lowest({**project, "optional-dependencies": {}}))) == len(project["dependencies"])
