"""The files of a first policy folder -> tests of it: what it decides for a few plain tasks.

So an edit that changes one of these is noticed, and a mutation score says how much would not be.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from engine.analysis.answer_text import pasteable_test
from engine.config.folder import folder_in_memory
from engine.language.checked_policy import FactValue
from engine.language.diagnostics import Problems
from engine.language.source import Source
from engine.language.syntax_tree import (
    Expectation,
    ExpectChain,
    ExpectModels,
    ExpectRefused,
    Name,
    Text,
    Word,
)
from engine.policy import Policy, build

_NOWHERE = Source("", "").span(0, 0)
_ONLY_LOCAL = ExpectChain("only", Name(Word("local", _NOWHERE), _NOWHERE), _NOWHERE)

_PRIVATE: dict[str, dict[str, FactValue]] = {
    f"{label} stays home": {"task.type": "qa", "task.labels": frozenset({label}), "mode": "performance"}
    for label in ("pii", "secret", "customer-data")
}
_LOCAL: dict[str, dict[str, FactValue]] = {
    **_PRIVATE,
    "the mode local-only is local": {"task.type": "coding", "mode": "local-only"},
    "a spent budget means local": {
        "task.type": "coding",
        "mode": "performance",
        "budget.daily.used": Decimal(100),
    },
}
_PLAIN: dict[str, dict[str, FactValue]] = {
    "a question": {"task.type": "qa"},
    "a question that somebody waits for": {"task.type": "qa", "task.latency_sensitivity": "high"},
    "a small job": {"task.type": "classification"},
    "code": {"task.type": "coding"},
    "critical code": {"task.type": "coding", "task.criticality": "critical"},
    "a plan": {"task.type": "planning", "task.criticality": "high"},
    "a critical plan": {"task.type": "planning", "task.criticality": "critical"},
    "a critical plan with the last fifth": {
        "task.type": "planning",
        "task.criticality": "critical",
        "mode": "balanced",
        "budget.daily.used": Decimal(80),
    },
    "a plan with the last fifth": {
        "task.type": "planning",
        "task.criticality": "high",
        "mode": "balanced",
        "budget.daily.used": Decimal(80),
    },
    "an agent": {"task.type": "agent"},
}


def starter_tests(models: str, policies: str, rules: str) -> str:
    """Tests that hold, behind a heading; each in the canonical layout."""
    files = folder_in_memory(models, policies, {"main.route": rules}, problems=Problems())
    policy = None if files is None else build(files, Problems())
    assert policy is not None, "what is written to a first folder has no errors"
    heading = "# --- Tests: what is decided today "
    return "\n".join([heading.ljust(104, "-"), *_tests(policy)])


def _tests(policy: Policy) -> Iterator[str]:
    for title, given in _LOCAL.items():
        yield pasteable_test(title, given, _ONLY_LOCAL)
    for title, given in _PLAIN.items():
        yield pasteable_test(title, given, _decided(policy, given))


def _decided(policy: Policy, given: Mapping[str, FactValue]) -> Expectation:
    chain = policy.explain(given, {}).decision.chain
    if not chain:
        return ExpectRefused(_NOWHERE)
    first = tuple(Text(model.key, _NOWHERE) for model in chain[:3])
    return ExpectModels(first, len(chain) > len(first), _NOWHERE)
