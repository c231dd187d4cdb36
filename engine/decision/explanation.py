"""A decision and the facts it fell on -> why: every model's verdict, score and blockers, the route, the path.

An `Explainer` belongs to one policy and prepares what all its explanations share (each rule's place, each
model's score parts). An `Explanation` works out the rest when it is printed or serialised, so that deciding
stays cheap.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from engine.config.catalogue import Model
from engine.decision.candidate import Candidate, Score
from engine.decision.decision_tree import DecisionTree, Step
from engine.decision.evaluator import Decision, Evaluator
from engine.decision.explanation_text import explanation_text
from engine.decision.fact_json import json_number, json_value
from engine.decision.facts import DEFAULTS, INDEX, Facts, FactsWithSources, format_value
from engine.decision.partitions import bits_of
from engine.decision.scoring import Parts, parts_of
from engine.language.checked_policy import FactValue, Prefer, Rule
from engine.language.vocabulary import GIVEN, Kind

VERSION = 1
"""The version of the JSON form; see schemas/explanation.schema.json."""

MOST_CANDIDATES = 1024
"""Decisions whose candidates are remembered before the memory starts afresh."""


class Explainer:
    """Explains the decisions of one policy."""

    def __init__(
        self, evaluator: Evaluator, tree: DecisionTree, policy_digest: str = "", catalogue_digest: str = ""
    ) -> None:
        self.evaluator, self.tree = evaluator, tree
        self.policy = evaluator.policy
        self.policy_digest, self.catalogue_digest = policy_digest, catalogue_digest
        self.parts = {model.key: parts_of(model) for model in self.policy.models}
        self.asked = frozenset(column.fact for column in self.policy.columns)
        """The facts that some rule asks for."""
        self._places: dict[str, dict[str, Any]] = {}
        self._candidates: dict[int, tuple[Candidate, ...]] = {}

    def explain(self, facts_with_sources: FactsWithSources) -> "Explanation":
        """Decides, and keeps what is needed to say why."""
        return Explanation(self, facts_with_sources, self.evaluator.decide(facts_with_sources.facts))

    def place(self, rule: Rule) -> dict[str, Any]:
        """A rule as JSON names it: `{"rule", "file", "line", "because"}`."""
        place = self._places.get(rule.name)
        if place is None:
            span = rule.span
            place = {"rule": rule.name, "file": span.source.name, "line": span.line, "because": rule.because}
            self._places[rule.name] = place
        return place

    def candidates(self, decision: Decision) -> tuple[Candidate, ...]:
        """Every model of the catalogue as this decision sees it; decisions with the same live cubes see the
        same."""
        found = self._candidates.get(decision.live)
        if found is None:
            if len(self._candidates) >= MOST_CANDIDATES:
                self._candidates.clear()
            models = self.policy.models
            place = {model.key: number for number, model in enumerate(decision.chain)}
            order = sorted(
                range(len(models)), key=lambda index: (place.get(models[index].key, len(models)), index)
            )
            found = tuple(self._candidate(decision, index, place.get(models[index].key)) for index in order)
            self._candidates[decision.live] = found
        return found

    def _candidate(self, decision: Decision, index: int, place: int | None) -> Candidate:
        policy, live = self.policy, decision.live
        model = policy.models[index]
        guards, watched = live & policy.guards[index], live & policy.watched[index]
        blockers = self.rules(guards) if guards else ()
        watching = self.rules(watched) if watched else ()
        if place is None:
            return Candidate(model, "blocked" if blockers else "unused", None, blockers, watching)
        favours = live & policy.favours[index].mask
        preferences = tuple(
            (rule, rule.effect.points)
            for rule in (self.rules(favours) if favours else ())
            if isinstance(rule.effect, Prefer)
        )
        total = Decimal(decision.totals[place]).scaleb(-policy.scale)
        score = Score(total, self.parts[model.key], preferences)
        return Candidate(model, "fallback" if place else "chosen", score, (), watching)

    def rules(self, live: int) -> tuple[Rule, ...]:
        """The rules that own these bits, in file order, each once."""
        owners = self.policy.owners
        return tuple(self.policy.rules[index] for index in sorted({owners[bit] for bit in bits_of(live)}))


class Explanation:
    """The reasons of one decision. Prints as text for a person, serialises as schemas/explanation.schema.json
    says."""

    def __init__(
        self, explainer: Explainer, facts_with_sources: FactsWithSources, decision: Decision
    ) -> None:
        self._explainer, self.decision = explainer, decision
        self.facts_with_sources = facts_with_sources

    @property
    def facts(self) -> Facts:
        return self.facts_with_sources.facts

    @property
    def outcome(self) -> Literal["chosen", "refused"]:
        return "chosen" if self.decision.chain else "refused"

    @property
    def model(self) -> Model | None:
        """The chosen model; None for a refusal."""
        return self.decision.chain[0] if self.decision.chain else None

    @property
    def chain(self) -> tuple[Model, ...]:
        return self.decision.chain

    @property
    def route(self) -> Rule | None:
        return self.decision.route

    @cached_property
    def path(self) -> list[Step]:
        return self._explainer.tree.path(self.facts)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every model of the catalogue: the chain in order, then the rest as the catalogue lists them."""
        return self._explainer.candidates(self.decision)

    @cached_property
    def tie_break(self) -> str | None:
        """How a tie for the first place was broken, or None when there was none."""
        decision = self.decision
        first = next((count for count in decision.tiers if count), 0)
        if first < 2 or decision.totals[0] != decision.totals[1]:
            return None
        one, other = decision.chain[0], decision.chain[1]
        if one.locality != other.locality:
            return f"{one.key} and {other.key} score alike; local comes before cloud"
        effort = one.locality == "local" and one.relative_cost != other.relative_cost
        if effort or (one.locality == "cloud" and one.price != other.price):
            return f"{one.key} and {other.key} score alike; the cheaper comes first"
        return f"{one.key} and {other.key} score alike; the order of models.yaml decides"

    def mattered(self, name: str) -> bool:
        """Whether a rule mattered in this decision, as `because NAME` asks of a test: it weighed, routed,
        blocked a model that the route's tiers would hold, or moved a score of the chain."""
        decision = self.decision
        if name in (decision.weigh.name, decision.route.name if decision.route else None):
            return True
        tiers = self._tier_members
        return any(
            (any(rule.name == name for rule in candidate.blockers) and candidate.model.key in tiers)
            or (
                candidate.score is not None
                and any(rule.name == name for rule, _ in candidate.score.preferences)
            )
            for candidate in self.candidates
        )

    @cached_property
    def _tier_members(self) -> set[str]:
        policy, decision = self._explainer.policy, self.decision
        route = next((index for index, rule in enumerate(policy.rules) if rule is decision.route), None)
        tiers = policy.default if route is None else policy.tiers[route]
        return {policy.models[index].key for tier in tiers for index in tier.members(decision.live)}

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain values, as `explain --format json` prints it."""
        decision, place = self.decision, self._explainer.place
        model = self.model
        values: tuple[FactValue, ...] = self.facts
        result: dict[str, Any] = {
            "version": VERSION,
            "outcome": self.outcome,
            "model": model and model.key,
            "provider": model and model.provider,
            "locality": model and model.locality,
            "chain": [member.key for member in decision.chain],
            "route": None,
            "weigh": place(decision.weigh)["rule"],
            "tie_break": self.tie_break,
            "candidates": [_candidate_json(candidate, place) for candidate in self.candidates],
            "path": [
                {
                    "fact": step.question.title,
                    "value": json_value(values[INDEX[step.question.fact]]),
                    "branch": step.branch.label,
                }
                for step in self.path
            ],
            "facts": {
                fact.name: {
                    "value": json_value(value),
                    "source": self.facts_with_sources.sources.get(fact.name, "default"),
                }
                for fact, value in zip(GIVEN, values, strict=True)
            },
            "policy_digest": self._explainer.policy_digest,
            "catalogue_digest": self._explainer.catalogue_digest,
        }
        if decision.route is not None:
            route = place(decision.route)
            result["route"] = {
                "name": route["rule"],
                "file": route["file"],
                "line": route["line"],
                "because": route["because"],
            }
        return result

    def __str__(self) -> str:
        return explanation_text(self)

    def __repr__(self) -> str:
        return f"<Explanation {self.outcome} {[model.key for model in self.chain]}>"

    @property
    def stated_facts(self) -> list[tuple[str, str, str]]:
        """Name, value and source of every fact that differs from a test's default or was given, and of
        `task.bucket` where a rule asks for it: it is 0 unless it is given, and nobody would see that."""
        sources: Mapping[str, str] = self.facts_with_sources.sources
        values: tuple[FactValue, ...] = self.facts
        return [
            (fact.name, format_value(value), sources.get(fact.name, "default"))
            for fact, value, default in zip(GIVEN, values, DEFAULTS, strict=True)
            if value != default
            or fact.name in sources
            or (fact.kind is Kind.BUCKET and fact.name in self._explainer.asked)
        ]


def _candidate_json(candidate: Candidate, place: Any) -> dict[str, Any]:
    score = candidate.score
    return {
        "model": candidate.model.key,
        "provider": candidate.model.provider,
        "verdict": candidate.verdict,
        "score": None
        if score is None
        else {
            "total": json_number(score.total),
            **{part: json_number(value) for part, value in zip(Parts._fields, score.parts, strict=True)},
            "preferences": [
                {"rule": rule.name, "points": json_number(points)} for rule, points in score.preferences
            ],
        },
        "blockers": [place(rule) for rule in candidate.blockers],
        "watched": [place(rule) for rule in candidate.watched],
    }
