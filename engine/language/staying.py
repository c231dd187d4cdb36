"""Tests of `task.labels` -> tests of the labels that hold for a call: its own, and those of its session that
stay.

A label that `sessions.labels_stay` names and that an earlier call carried is as good as one of this call's.
So the guards that a team has cover its sessions, and a proof about labels is one about sessions too.
"""

from typing import assert_never

from engine.language.checked_policy import All, Any, Condition, CrossName, CrossSets, Has, In, IsEmpty, Not
from engine.language.known_names import Names
from engine.language.source import Span
from engine.language.vocabulary import ATTRIBUTES, Kind

LABELS, EARLIER = "task.labels", "session.labels"


class StayingLabels:
    """The labels that stay, of one policy."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._all = names.staying is None
        self._some = sorted(names.staying or ())

    def of(self, test: Has | IsEmpty | CrossName | CrossSets) -> Condition:
        """What a test says once the labels that stay count as the call's own."""
        if not self._all and not self._some:
            return test
        match test:
            case Has(subject, element) if subject == LABELS:
                if not self._stays(element):
                    return test
                return Any((test, Has(EARLIER, element, test.span)), test.span)
            case IsEmpty(subject) if subject == LABELS:
                return All((test, *(Not(each, test.span) for each in self._earlier(test.span))), test.span)
            case CrossName(fact, attribute) if fact == LABELS:
                return self._any_common(test, attribute, CrossName(EARLIER, attribute, test.span))
            case CrossSets(fact, relation, attribute) if fact == LABELS:
                match relation:
                    case "meets":
                        earlier = CrossSets(EARLIER, "meets", attribute, test.span)
                        return self._any_common(test, attribute, earlier)
                    case "within":
                        return self._within(test)
                    case "covers":
                        return self._covers(test)
                    case _:
                        assert_never(relation)
            case _:
                return test

    def _stays(self, label: str) -> bool:
        return self._all or label in self._some

    def _earlier(self, span: Span) -> tuple[Condition, ...]:
        """Tests of which one holds when the session had a label that stays."""
        if self._all:
            return (Not(IsEmpty(EARLIER, span), span),)
        return tuple(Has(EARLIER, label, span) for label in self._some)

    def _any_common(self, test: CrossName | CrossSets, attribute: str, earlier: Condition) -> Condition:
        if self._all:
            return Any((test, earlier), test.span)
        span = test.span
        common = (All((Has(EARLIER, one, span), _has(attribute, one, span)), span) for one in self._some)
        return Any((test, *common), span)

    def _within(self, test: CrossSets) -> Condition:
        span, attribute = test.span, test.attribute
        if self._all:
            return All((test, CrossSets(EARLIER, "within", attribute, span)), span)
        return All(
            (
                test,
                *(
                    Any((Not(Has(EARLIER, one, span), span), _has(attribute, one, span)), span)
                    for one in self._some
                ),
            ),
            span,
        )

    def _covers(self, test: CrossSets) -> Condition:
        """Each name that the model has there is a label of the call or one that stays."""
        span, attribute = test.span, test.attribute
        parts: list[Condition] = []
        for name in self._names.known_values(ATTRIBUTES[attribute]) or ():
            mine: list[Condition] = [Has(LABELS, name, span)]
            if self._stays(name):
                mine.append(Has(EARLIER, name, span))
            parts.append(Any((Not(Has(attribute, name, span), span), *mine), span))
        return All(tuple(parts), span)


def _has(attribute: str, name: str, span: Span) -> Condition:
    if ATTRIBUTES[attribute].kind is Kind.SET:
        return Has(attribute, name, span)
    return In(attribute, frozenset({name}), span)
