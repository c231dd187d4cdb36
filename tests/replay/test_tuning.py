"""Tune finds a gain where there is one, scores it on held-out rows, and finds nothing where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import numpy as np
import pytest

from engine.cli import main
from engine.replay.proposal import route_file
from engine.replay.tuning import Table, Wanted, tune
from tests.replay import worlds
from tests.replay.figures import STRONG, WEAK, Bench, data_folder, local

DATA = data_folder()
HARD = {"proofs": 0.6, "physics": 0.5, "chat": 0.0, "lookup": -0.05, "code": 0.3, "letters": 0.02}


def table(rows: int, seed: int, *, by_type: bool = True, by_label: bool = False) -> Table:
    """Outcomes whose gain hangs on the type, on the label `long`, or on nothing."""
    rng = np.random.default_rng(seed)
    types = tuple(sorted(HARD))
    type_of = rng.integers(0, len(types), rows)
    has = rng.random((rows, 2)) < 0.4
    gain = np.array([HARD[name] for name in types])[type_of] if by_type else np.full(rows, 0.2)
    if by_label:
        gain = gain + np.where(has[:, 0], 0.35, -0.1)
    weak = rng.random(rows) < 0.35
    strong = rng.random(rows) < np.clip(0.35 + gain, 0, 1)
    return Table(types, type_of, ("long", "red"), has, weak.astype(float), strong.astype(float))


def test_it_finds_the_types_that_need_the_strong_model() -> None:
    """Types with a large gain go to the strong model, those without do not; the held-out rows show it."""
    found = tune(table(6_000, 1), Wanted(quality=0.95), seed=1)
    strong = {cell.type for cell in found.cells if cell.strong}
    assert {"proofs", "physics"} <= strong
    assert not strong & {"chat", "lookup", "letters"}
    assert found.beats_chance
    assert found.share_at_quality is not None
    assert found.coin_share is not None
    assert found.share_at_quality < found.coin_share - 0.1


def test_it_says_nothing_where_there_is_nothing() -> None:
    """Where the gain hangs on nothing, at most one of twenty tables looks like more than a coin."""
    better = [
        tune(table(1_500, seed, by_type=False), Wanted(quality=0.95), seed).beats_chance for seed in range(20)
    ]
    assert sum(better) <= 1


def test_the_held_out_part_is_not_looked_at() -> None:
    """Outcomes of held-out rows change the reported score, never the proposal."""
    one = table(2_000, 4)
    found = tune(one, Wanted(quality=0.9), seed=3)
    rng = np.random.default_rng(3)
    held = np.sort(rng.permutation(one.rows)[1_000:])
    strong = one.strong.copy()
    strong[held] = 1 - strong[held]
    other = tune(
        Table(one.types, one.type_of, one.labels, one.has, one.weak, strong), Wanted(quality=0.9), seed=3
    )
    assert [(cell.type, cell.strong, cell.gain) for cell in found.cells] == [
        (cell.type, cell.strong, cell.gain) for cell in other.cells
    ]
    assert found.held_out != other.held_out


def test_a_label_is_used_when_it_helps_and_only_then() -> None:
    """`long` moves the gain by half and is found; `red` moves nothing and is not."""
    assert tune(table(4_000, 2, by_label=True), Wanted(quality=0.95), seed=1).labels == ("long",)
    assert tune(table(4_000, 2), Wanted(quality=0.95), seed=1).labels == ()


@pytest.mark.parametrize("budget", [0.1, 0.35, 0.8])
def test_a_budget_is_kept_on_the_fitting_rows(budget: float) -> None:
    """No more than the wanted share of calls goes to the strong model."""
    found = tune(table(4_000, 5), Wanted(budget=budget), seed=1)
    assert found.fitted.share <= budget
    assert found.held_out.share <= budget + 0.05


def test_the_same_seed_proposes_the_same() -> None:
    """Every random draw comes from the seed."""
    assert tune(table(1_000, 6), Wanted(quality=0.9), 8) == tune(table(1_000, 6), Wanted(quality=0.9), 8)


# --- The command ------------------------------------------------------------------------------------------


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """A CSV of types, a label, and how two models did; one type has a name that is a word of the language."""
    rng = Random(2)
    lines = ["kind,has_long,s,b"]
    for _ in range(1_200):
        kind = rng.choice(["proofs", "chat", "when", 'say "hi"'])
        gain = {"proofs": 0.5, "when": 0.3}.get(kind, 0.0)
        lines.append(
            f"{_csv(kind)},{rng.randrange(2)},{int(rng.random() < 0.4)},{int(rng.random() < 0.4 + gain)}"
        )
    path = tmp_path / "outcomes.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _csv(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


SAID = [
    "--map",
    "type=kind",
    "score.small=s",
    "score.sonnet=b",
    "label.long=has_long",
    "--weak",
    "small",
    "--strong",
    "sonnet",
]


def test_the_proposed_file_is_a_policy(
    outcomes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file lints, is in canonical layout, and its replay gives tune's calls and score on the held-out
    rows."""
    folder = worlds.write_folder(tmp_path / "policy", "", "routing:\n  default_mode: balanced\n")
    routes = folder / "00-tuned.route"
    words = [str(outcomes), "--config", str(folder), *SAID]
    assert main(["tune", *words, "--out", str(routes), "--format", "json"]) in (0, 1)
    tuned: dict[str, Any] = json.loads(capsys.readouterr().out)
    schema = Path(__file__).parents[2] / "schemas" / "tune.schema.json"
    jsonschema.validate(tuned, json.loads(schema.read_text(encoding="utf-8")))
    assert main(["lint", str(folder)]) == 0
    assert main(["fmt", str(routes), "--check"]) == 0
    capsys.readouterr()
    assert main(["replay", *words, "--set", "context_size=1", "--format", "json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    fitted, held = tuned["proposal"]["fitted"], tuned["proposal"]["held_out"]
    rows = fitted["rows"] + held["rows"]
    share = (fitted["share"] * fitted["rows"] + held["share"] * held["rows"]) / rows
    score = (_fitted_score(fitted) * fitted["rows"] + held["score"]["value"] * held["rows"]) / rows
    replayed = report["policies"][0]["outcomes"]
    assert replayed["strong_share"] == pytest.approx(share, abs=1e-5)
    assert replayed["score"]["value"] == pytest.approx(score, abs=1e-5)


def _fitted_score(fitted: dict[str, Any]) -> float:
    value: float = fitted["score"]["value"]
    return value


def test_the_text_shows_every_control(
    outcomes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The coin and the shuffled types stand beside the proposal, with and without a type that is left out."""
    folder = worlds.write_folder(tmp_path / "policy")
    assert main(["tune", str(outcomes), "--config", str(folder), *SAID, "--without", "proofs"]) in (0, 1)
    text = capsys.readouterr().out
    assert text.count("a coin, same share") == text.count("types shuffled, same share") == 2
    assert "without proofs" in text
    assert "route tuned-strong" in text
    assert "Shown" in text


def test_a_label_reads_as_a_rule() -> None:
    """Types that need the strong model with a label only are one condition, in canonical layout."""
    text = route_file(
        tune(table(4_000, 2, by_label=True), Wanted(quality=0.95), 1), "small", "sonnet", "log.csv", 1
    )
    assert "task.labels has long" in text
    assert worlds.policy(routes=text, settings="routing:\n  default_mode: balanced\n").checked


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weak", "small", "--strong", "big"], "no score of 'big'"),
        (["--weak", "small", "--strong", "nobody"], "no model 'nobody'"),
        ([], "--weak MODEL --strong MODEL"),
        (["--weak", "small", "--strong", "sonnet", "--quality", "120%"], "no share"),
        (["--weak", "small", "--strong", "sonnet", "--without", "nothing"], "leaves 1200 of 1200 rows"),
    ],
)
def test_what_is_missing_is_said(
    words: list[str], message: str, outcomes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and an error message."""
    folder = worlds.write_folder(tmp_path / "policy")
    assert main(["tune", str(outcomes), "--config", str(folder), *SAID[:5], *words]) == 2
    assert message in capsys.readouterr().err


# --- The shared half of MMLU ------------------------------------------------------------------------------


@pytest.mark.skipif(DATA is None, reason="the replay data is not here (ENGINE_TEST_DATA)")
def test_on_the_mmlu_half_it_needs_no_more_than_one_rule_a_subject(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 95 % of GPT-4's accuracy, on rows it was not fitted on, in the middle of twenty cuts: no larger a
    share of strong calls than the first row of the data notes that reaches 95 %; a coin needs far more; and
    it is reported without the noted subject too."""
    assert DATA is not None
    bench = Bench(DATA, tmp_path)
    folder = bench.folder([local(WEAK), bench.cloud(STRONG)], "")
    code = main(
        [
            *("tune", str(DATA / "outcomes/routellm_mmlu.csv"), "--config", str(folder), "--format", "json"),
            *("--map", "type=subject", f"score.{WEAK}=weak_correct", f"score.{STRONG}=strong_correct"),
            *("--weak", WEAK, "--strong", STRONG, "--quality", "95%", "--without", "high_school_mathematics"),
        ]
    )
    assert code == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    rows = bench.expected["routellm_mmlu_shared"]["policy_strong_iff_subject_gain_gt"]
    noted = min(row["strong_share"] for row in rows if row["pct_of_strong"] >= 0.95)
    whole, without = report["proposal"], report["without"]["proposal"]
    assert whole["share_at_quality"] <= noted
    assert whole["other_cuts"]["value"] <= noted
    for proposal in (whole, without):
        assert proposal["share_at_quality"] < proposal["coin_share"] - 0.1
        assert proposal["share_at_quality"] < proposal["shuffled"]["share_at_quality"]["value"]
        assert proposal["beats_chance"]
