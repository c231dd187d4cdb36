"""`engine prove`: the policies' own invariants, counterexamples that can be pasted, exit codes, and the
cap."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.analysis.answer_text import test_of_proof as pasted_test
from engine.analysis.condition_fold import keeps
from engine.analysis.proofs import prove
from engine.cli import main
from engine.decision.facts import facts_from
from engine.language.checked_policy import ChainIs
from engine.language.syntax_tree import Prove
from engine.policy import load_or_raise
from tests.commands.running import valid

POLICIES = Path(__file__).parents[2] / "policies"
FOLDERS = [POLICIES / "default", *sorted((POLICIES / "examples").iterdir())]
WRONG = """
prove planning-stays: only local when task.type is planning
prove pii-is-answered: some local when task.labels has pii
prove no-quality: never model.quality >= high when budget.daily.used > 80% and task.tool_use_required
prove nights: only cloud when clock.hour in 22..6 and provider.down is not empty
"""


@pytest.fixture
def default(tmp_path: Path) -> Path:
    return Path(shutil.copytree(POLICIES / "default", tmp_path / "policy"))


def add(folder: Path, text: str) -> None:
    file = folder / "main.route"
    file.write_text(file.read_text() + text)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_invariants_of_the_policies_are_proved(folder: Path) -> None:
    """Each has proofs, and each is proved, not vacuously, in few steps of the search."""
    policy = load_or_raise(folder)
    answers = prove(policy)
    assert answers
    assert max(answer.work for answer in answers) < 20_000
    assert [
        (answer.proof.name, answer.vacuous)
        for answer in answers
        if answer.verdict != "proved" or answer.vacuous
    ] == []


def test_a_counterexample_pasted_as_a_test_fails(default: Path) -> None:
    """What `prove` prints parses, gives exactly the facts found, and expects what does not hold."""
    add(default, WRONG)
    policy = load_or_raise(default)
    written = {each.name.text: each for each in policy.statements if isinstance(each, Prove)}
    refuted = [answer for answer in prove(policy) if answer.verdict == "refuted"]
    assert [answer.proof.name for answer in refuted] == [
        "planning-stays",
        "pii-is-answered",
        "no-quality",
        "nights",
    ]
    for answer in refuted:
        assert answer.counterexample is not None
        add(
            default,
            "\n" + pasted_test(written[answer.proof.name], answer.counterexample.given, is_chain=True) + "\n",
        )
    again = load_or_raise(default)
    for answer, test in zip(refuted, again.checked.tests[-len(refuted) :], strict=True):
        assert answer.counterexample is not None
        facts = facts_from(test.cases[0].given, again.names)
        assert facts == answer.counterexample.facts
        assert isinstance(test.cases[0].expectation, ChainIs)
        assert not keeps(test.cases[0].expectation, again.evaluator.decide(facts), facts)


def test_text_and_exit_codes(default: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 when all are proved, 1 when one is refuted, 4 when the work allowed did not suffice, 2 for a
    policy with errors."""
    assert main(["prove", str(default)]) == 0
    assert capsys.readouterr().out.endswith("\n5 proved\n")
    assert main(["prove", str(default), "--max-work", "100"]) == 4
    assert "allow more with --max-work N" in capsys.readouterr().out
    add(
        default,
        WRONG
        + "prove nothing: never any when task.bucket < 5 and task.bucket > 5\nforbid try (watch): local\n",
    )
    assert main(["prove", str(default)]) == 1
    out = capsys.readouterr().out
    assert "refuted  planning-stays (main.route:" in out
    assert "    counterexample: type=planning criticality=high\n" in out
    assert (
        "            given task.type is planning, task.criticality is high\n            expect only local\n"
        in out
    )
    assert "proved (vacuously) nothing" in out
    assert "on watch, so left out of every proof: try\n6 proved, 4 refuted\n" in out
    add(default, "forbid oops\n")
    assert main(["prove", str(default)]) == 2


def test_json(default: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a proof."""
    add(default, WRONG)
    assert main(["prove", str(default), "--format", "json"]) == 1
    told = valid("proofs", json.loads(capsys.readouterr().out))
    assert told["version"] == 1
    by_name = {proof["name"]: proof for proof in told["proofs"]}
    assert by_name["private-never-leaves"]["verdict"] == "proved"
    wrong = by_name["planning-stays"]
    assert (wrong["verdict"], wrong["vacuous"], wrong["file"]) == ("refuted", False, "main.route")
    assert wrong["counterexample"] == {"task.type": "planning", "task.criticality": "high"}
    assert "claude-sonnet-5-5" in wrong["chain"]


def test_a_set_with_hundreds_of_labels_is_not_enumerated(default: Path) -> None:
    """Labels are mended one at a time: 300 of them, 2**300 sets, take less than a million steps."""
    names = [f"team-{number}" for number in range(300)]
    (default / "policies.yaml").write_text(
        (default / "policies.yaml").read_text().replace("labels: [", f"labels: [{', '.join(names)}, ")
    )
    add(default, "".join(f"forbid no-{name}: cloud when task.labels has {name}\n" for name in names))
    add(default, f"prove teams-stay: only local when task.labels has any [{', '.join(names)}]\n")
    add(default, f"prove all-stay: only local when task.labels has all [{', '.join(names)}]\n")
    answers = {answer.proof.name: answer for answer in prove(load_or_raise(default))}
    assert (answers["teams-stay"].verdict, answers["all-stay"].verdict) == ("proved", "proved")
    assert max(answer.work for answer in answers.values()) < 1_000_000


def test_a_provider_whose_limit_is_zero_is_proved_never_to_be_called(default: Path) -> None:
    """A limit of zero lowers to a guard, so the proof needs no assumption about what was spent."""
    add(default, "\nprove no-anthropic: never anthropic\n")
    (default / "policies.yaml").write_text("budgets: {daily: {per_provider: {anthropic: 0}}}\n")
    verdicts = {answer.proof.name: answer.verdict for answer in prove(load_or_raise(default))}
    assert verdicts["no-anthropic"] == "proved"
