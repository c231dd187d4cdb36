"""With open labels, one that only looks like a label of the policy is refused, with the right spelling."""

from __future__ import annotations

import pytest

from engine.language.lookalikes import looks
from engine.model_router import ModelRouter
from engine.task_profiles import InvalidTask, TaskProfile

from .worlds import IN_ORDER, policy_of

GUARD = "forbid g: cloud when task.labels has pii or task.labels has credit-card\n"


def _router(policies: str = "routing: {default_mode: balanced}\n") -> ModelRouter:
    return ModelRouter.of(policy_of(routes=GUARD + IN_ORDER, policies=policies), dry_run=True)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("PII", "pii"),
        ("pIi", "pii"),
        ("p-ii", "pii"),
        ("p ii", "pii"),
        (" pii\t", "pii"),
        ("\uff50\uff49\uff49", "pii"),  # full width
        ("\u0440ii", "pii"),  # a Cyrillic er
        ("\u03c1\u03b9\u03b9", "pii"),  # Greek rho, iota, iota
        ("p\u0456\u0456", "pii"),  # Ukrainian i
        ("pi\u200bi", "pii"),  # a space of no width
        ("pi\u00adi", "pii"),  # a soft hyphen
        ("\U0001d429ii", "pii"),  # a mathematical bold p
        ("credit_card", "credit-card"),
        ("Credit Card", "credit-card"),
        ("creditcard", "credit-card"),
        ("credit\u2010card", "credit-card"),  # another hyphen
    ],
)
def test_a_label_that_only_looks_like_the_policy_s_is_refused(written: str, meant: str) -> None:
    """It would slip past the guard; the refusal says how to write it."""
    with pytest.raises(InvalidTask, match=f"write '{meant}'"):
        _router().plan(TaskProfile("qa", labels=["other", written]))


@pytest.mark.parametrize(
    "written", ["pii", "credit-card", "piid", "pin", "customer-7", "r\u00e9sum\u00e9", "\u540d"]
)
def test_every_other_label_may_stand(written: str) -> None:
    """Labels are open: one that looks like none of the policy's is nobody's mistake."""
    assert _router().plan(TaskProfile("qa", labels=[written])).explanation.chain


def test_a_spelling_that_the_policy_has_itself_is_right() -> None:
    """A policy that looks for both spellings means both."""
    both = "forbid g: cloud when task.labels has pii or task.labels has PII\n"
    router = ModelRouter.of(policy_of(routes=both + IN_ORDER), dry_run=True)
    assert router.plan(TaskProfile("qa", labels=["PII", "pii"])).model.locality == "local"


def test_closed_labels_are_refused_as_before() -> None:
    """A list of labels in policies.yaml knows each by its exact name."""
    router = _router("routing: {default_mode: balanced}\nlabels: [pii, credit-card]\n")
    with pytest.raises(InvalidTask, match="there is no label 'PII'"):
        router.plan(TaskProfile("qa", labels=["PII"]))


def test_looks_do_not_join_what_differs() -> None:
    """Letters that only resemble each other in some hands stay apart."""
    assert not looks("mail") & looks("mall")
    assert not looks("\u0915\u093f") & looks("\u0915\u0940"), "vowel signs of Hindi are letters"
