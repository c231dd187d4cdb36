"""`Flags`: by task type and share, from the environment or a file, stable by key, and back at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import TaskProfile
from engine.environment import InvalidEnvironment
from engine.migration import Flags, InvalidFlags


def on(variables: dict[str, str], task_type: str = "qa") -> int:
    return Flags(variables=variables).share(task_type)


@pytest.mark.parametrize(
    ("variables", "share"),
    [
        ({}, 0),
        ({"USE_MODEL_ROUTER": "true"}, 100),
        ({"USE_MODEL_ROUTER": "True"}, 100),
        ({"USE_MODEL_ROUTER": "false"}, 0),
        ({"USE_MODEL_ROUTER": "25%"}, 25),
        ({"USE_MODEL_ROUTER": ""}, 0),
        ({"USE_ROUTER_FOR_QA": "true"}, 100),
        ({"USE_ROUTER_FOR_QA": "25%"}, 25),
        ({"USE_ROUTER_FOR_PLANNING": "true"}, 0),
        ({"USE_MODEL_ROUTER": "true", "USE_ROUTER_FOR_QA": "false"}, 0),
        ({"USE_MODEL_ROUTER": "10%", "USE_ROUTER_FOR_QA": "90%"}, 90),
        ({"USE_MODEL_ROUTER": "false", "USE_ROUTER_FOR_QA": "true"}, 0),
    ],
)
def test_the_way_back_wins_then_the_type_then_everything(variables: dict[str, str], share: int) -> None:
    """USE_MODEL_ROUTER=false beats all; else the type's own flag, else USE_MODEL_ROUTER, else nothing."""
    assert on(variables) == share


@pytest.mark.parametrize("text", ["maybe", "125%", "25", "-1%", "2.5%", "tru"])
def test_a_variable_with_another_value_is_refused_when_read_first(text: str) -> None:
    """A typing error is refused at the start, not guessed at."""
    with pytest.raises(InvalidEnvironment, match="is true, false or a share such as 25%"):
        Flags(variables={"USE_ROUTER_FOR_QA": text})


def test_a_variable_that_turns_bad_later_counts_as_false() -> None:
    """A running program falls back to the call that works, and does not raise."""
    variables = {"USE_MODEL_ROUTER": "true"}
    flags = Flags(variables=variables)
    variables["USE_MODEL_ROUTER"] = "nonsense"
    assert not flags.use_router("qa")


def test_the_name_of_a_variable() -> None:
    """What is no letter or digit becomes an underscore."""
    assert on({"USE_ROUTER_FOR_MULTI_AGENT_ORCHESTRATION": "true"}, "multi-agent.orchestration") == 100


def test_a_share_goes_by_the_bucket_of_the_profile_and_only_grows() -> None:
    """With 25 % exactly the keys of buckets 0 to 24; with 50 % the same and more."""
    keys = [f"tenant-{number}" for number in range(400)]
    quarter = Flags(variables={"USE_ROUTER_FOR_QA": "25%"})
    half = Flags(variables={"USE_ROUTER_FOR_QA": "50%"})
    chosen = {key for key in keys if quarter.use_router("qa", key)}
    assert chosen == {key for key in keys if (TaskProfile("qa", key=key).bucket or 0) < 25}
    assert chosen < {key for key in keys if half.use_router(TaskProfile("qa", key=key))}


def test_without_a_key_the_share_falls_by_chance() -> None:
    """About a quarter of many calls."""
    flags = Flags(variables={"USE_ROUTER_FOR_QA": "25%"})
    assert 150 < sum(flags.use_router("qa") for _ in range(1000)) < 350


def write(file: Path, text: str) -> None:
    """A new version, which a stat can tell from the last."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    os.utime(file, ns=(before + 10_000_000, before + 10_000_000))


def test_a_file_says_the_same_and_is_looked_at_again(tmp_path: Path) -> None:
    """A change applies from the next call on; a deleted file sets nothing; a broken one changes nothing."""
    file = tmp_path / "migration.yaml"
    flags = Flags(file, variables={})
    assert flags.share("qa") == 0
    write(file, "use_model_router: true\nuse_router_for:\n  planning: 25%\n")
    assert (flags.share("qa"), flags.share("planning")) == (100, 25)
    write(file, "use_model_router: [\n")
    assert flags.share("qa") == 100
    write(file, "use_model_router: no\n")
    assert (flags.share("qa"), flags.share("planning")) == (0, 0)
    write(file, "use_model_router: true\n")
    assert flags.share("qa") == 100
    file.unlink()
    assert flags.share("qa") == 0


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    """Rollback by the environment needs no file to be edited."""
    file = tmp_path / "migration.yaml"
    file.write_text("use_model_router: true\nuse_router_for: {qa: true}\n")
    assert Flags(file, variables={"USE_MODEL_ROUTER": "false"}).share("qa") == 0
    assert Flags(file, variables={"USE_ROUTER_FOR_QA": "10%"}).share("qa") == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("use_model_router: maybe\n", "USE_MODEL_ROUTER is true, false or a share"),
        ("use_router_for: [qa]\n", "use_router_for lists task types"),
        ("use_router: true\n", "nothing else"),
        ("use_router_for: {qa: 25}\n", "USE_ROUTER_FOR_QA is true, false or a share"),
        ("a: 1\na: 2\n", "line 2"),
    ],
)
def test_a_bad_file_is_refused_when_read_first(tmp_path: Path, text: str, message: str) -> None:
    """With the place or the name."""
    file = tmp_path / "migration.yaml"
    file.write_text(text)
    with pytest.raises(InvalidFlags, match=message):
        Flags(file, variables={})


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `variables`, at each question anew."""
    monkeypatch.delenv("USE_MODEL_ROUTER", raising=False)
    flags = Flags()
    monkeypatch.setenv("USE_MODEL_ROUTER", "true")
    assert flags.use_router("qa")
    monkeypatch.setenv("USE_MODEL_ROUTER", "false")
    assert not flags.use_router("qa")
