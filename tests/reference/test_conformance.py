"""Every backend decides the hand-computed cases as they are written."""

from __future__ import annotations

import pytest

from .conformance import Backend, Case, cases, differences, reference, worlds, written_verdicts
from .interpreter import check_proof, check_test

BACKENDS: dict[str, Backend] = {"reference": reference}
CASES = cases()
WORLDS = worlds()


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
@pytest.mark.parametrize("case", CASES, ids=[case.place for case in CASES])
def test_a_case_is_decided_as_written(case: Case, backend: Backend) -> None:
    """The claim is the case's own."""
    assert differences(case.expect, backend(case.world)(case.facts)) == [], case.claim


@pytest.mark.parametrize(
    "case", [case for case in CASES if "proofs" in case.expect], ids=lambda case: case.place
)
def test_a_proof_holds_at_these_facts_as_written(case: Case) -> None:
    """A proof's claim can be replayed at single facts."""
    policy = case.world.policy()
    assert case.expect["proofs"] == {
        proof.name: check_proof(policy, proof, case.facts) for proof in policy.proofs
    }


@pytest.mark.parametrize(("name", "verdicts"), written_verdicts().items(), ids=written_verdicts().keys())
def test_test_statements_get_the_verdicts_written(name: str, verdicts: dict[str, list[bool]]) -> None:
    """`test` statements hold and fail where the file says they do."""
    policy = WORLDS[name].policy()
    assert verdicts == {test.title: check_test(policy, test) for test in policy.tests}


def test_every_case_makes_a_claim_of_its_own() -> None:
    """At least eighty cases, no claim said twice."""
    assert len(CASES) >= 80
    assert len({case.claim for case in CASES}) == len(CASES)


def test_the_guide_is_copied_with_both_files() -> None:
    """A file without YAML of its own stands on the migration guide's."""
    assert {"ollama", "anthropic"} == set(WORLDS["guide_modes"].models["providers"])
    assert WORLDS["guide_modes"].policies["routing"]["default_mode"] == "local-preferred"
