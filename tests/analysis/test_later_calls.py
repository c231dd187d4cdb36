"""Proofs with `after`, and of the first model, a refusal and a route, against the enumeration of every pair
of calls of a session, decided by the reference."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from itertools import product
from random import Random
from typing import Any

import pytest

from engine.analysis import later_calls, proofs
from engine.analysis.proofs import prove
from engine.decision.facts import DEFAULTS, INDEX
from tests.analysis.small_worlds import SmallWorld, difference, subsets
from tests.reference.interpreter import all_facts, check_expectation, follows

LABELS = ("pii", "secret", "misc")
POOLS: dict[str, tuple[Any, ...]] = {
    "mode": ("balanced", "local-only"),
    "task.labels": tuple(subsets(LABELS)),
    "session.labels": tuple(subsets(LABELS)),
    "session.calls": (0, 1, 2, 3, 4),
    "session.used": (0, 79, 80, 81, 100),
    "task.group": ("red", "blue", "none"),
}
CONDITIONS = {
    "mode": ("mode is balanced", "not mode.allow_cloud"),
    "task.labels": ("task.labels has pii", "task.labels is not empty", "not task.labels has secret"),
    "session.labels": ("session.labels has secret", "session.labels is empty"),
    "session.calls": ("session.calls >= 2", "session.calls < 1", "session.calls is 3"),
    "session.used": ("session.used > 80%", "session.used >= 80%", "session.used < 80%"),
    "task.group": ("task.group is red", "task.group is not blue"),
}
SELECTORS = ("local", "cloud", "gpt", "model.quality >= high", "any")


class SessionWorld(SmallWorld):
    """Two models, closed labels of which one stays, groups, and a budget of sessions."""

    @property
    def policies_dict(self) -> dict[str, Any]:
        return {
            **super().policies_dict,
            "groups": ["red", "blue"],
            "sessions": {"labels_stay": ["pii"]},
            "budgets": {"session": {"total_usd": 2}},
        }

    @cached_property
    def points(self) -> list[dict[str, Any]]:
        usual = dict(zip(INDEX, DEFAULTS._replace(mode="balanced", task_type="qa"), strict=True))
        pools = [POOLS[fact] for fact in self.varied]
        return [{**usual, **dict(zip(self.varied, values, strict=True))} for values in product(*pools)]


def random_world(rng: Random) -> SessionWorld:
    facts = tuple(rng.sample(list(POOLS), 3))
    conditions = [text for fact in facts for text in CONDITIONS[fact]]

    def condition() -> str:
        return rng.choice(["", "not "]) + f" {rng.choice(['and', 'or'])} ".join(
            f"({text})" for text in rng.sample(conditions, rng.randint(1, 2))
        )

    rules = [f"route r: use {rng.choice(SELECTORS)} when {condition()}"]
    for number in range(rng.randint(1, 4)):
        kind = rng.choice(["forbid", "require", "prefer", "route"])
        use, by = ("use " if kind == "route" else ""), (" by 30" if kind == "prefer" else "")
        rules.append(f"{kind} r{number}: {use}{rng.choice(SELECTORS)}{by} when {condition()}")
    for number in range(4):
        selector = rng.choice(SELECTORS)
        claim = rng.choice(
            ["refused", "never refused", "route r", f"first {selector}"]
            + [f"{word} {selector}" for word in ("never", "only", "some")]
        )
        after = f" after {condition()}" if rng.random() < 0.7 else ""
        rules.append(
            f"prove p{number}: {claim}{after}" + (f" when {condition()}" if rng.random() < 0.4 else "")
        )
    varied = tuple(dict.fromkeys((*facts, "session.labels", "session.calls", "session.used")))
    return SessionWorld(("language 1.1", *rules), varied, ("small", "gpt"))


def check_proofs(world: SessionWorld) -> Iterator[str]:
    """Verdict, vacuity and the simplest counterexample of every proof; the verdicts that came up."""
    naive = world.reference()
    proofs = {proof.name: proof for proof in naive.proofs}
    for answer in prove(world.engine()):
        proof = proofs[answer.proof.name]
        where = f"proof {proof.name} of\n{world.text()}"
        inside = [point for point in world.points if proof.when(all_facts(naive, point))]
        if proof.after is not None:
            earlier = [point for point in world.points if proof.after(all_facts(naive, point))]
            inside = [later for later in inside if any(follows(later, point) for point in earlier)]
        broken = [point for point in inside if not check_expectation(naive, proof.expectation, point)]
        assert answer.verdict == ("refuted" if broken else "proved"), where
        assert answer.vacuous == (not inside), where
        found = answer.counterexample
        if found is not None:
            later = dict(zip(INDEX, found.facts, strict=True))
            assert not check_expectation(naive, proof.expectation, later), where
            assert difference(later) == min(map(difference, broken)), where
            assert (found.before is None) == (proof.after is None), where
            if proof.after is not None and found.before is not None:
                usual = dict(zip(INDEX, DEFAULTS._replace(mode="balanced"), strict=True))
                before = {**usual, **found.before}
                assert proof.after(all_facts(naive, before)), where
                assert follows(later, before), where
        yield answer.verdict


@pytest.mark.parametrize("seed", range(4))
def test_every_verdict_agrees_with_the_enumeration_of_pairs(seed: int) -> None:
    """Both verdicts come up."""
    verdicts = {
        verdict for number in range(4) for verdict in check_proofs(random_world(Random(10 * seed + number)))
    }

    assert verdicts == {"proved", "refuted"}


PLANTED = {
    "calls are not counted": ("calls + 1, _NOWHERE", "calls, _NOWHERE", 0),
    "one call too many": ("calls + 1, _NOWHERE", "calls + 2, _NOWHERE", 18),
    "the call's own labels forgotten": ('"task.labels" | "session.labels", str', '"session.labels", str', 4),
    "absent labels handed on": ("str(element)), True:", "str(element)), bool():", 7),
    "what was used forgotten": ("Interval(low) if low != LOWEST:", "Interval(low) if False:", 2),
    "at least instead of more": ('">" if low[1] else ">="', '">="', 17),
    "the group forgotten": ("NameSet(inside, members):", "NameSet(inside, members) if False:", 2),
    "the group turned round": ("named if inside else Not(named, _NOWHERE)", "Not(named, _NOWHERE)", 2),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_seen(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projections that are too weak or too strong, each in the first world that tells."""
    right, wrong, seed = PLANTED[bug]
    source = inspect.getsource(later_calls)
    assert source.count(right) == 1
    planted: dict[str, Any] = {"__name__": "planted"}
    exec(source.replace(right, wrong), planted)
    monkeypatch.setattr(proofs, "LaterCalls", planted["LaterCalls"])

    with pytest.raises(AssertionError):
        list(check_proofs(random_world(Random(seed))))


if __name__ == "__main__":
    import sys

    worlds = int(sys.argv[1]) if sys.argv[1:] else 500
    found = [verdict for seed in range(worlds) for verdict in check_proofs(random_world(Random(seed)))]
    counts = {verdict: found.count(verdict) for verdict in sorted(set(found))}
    print(f"{worlds} worlds, {counts}, all as enumerated")
