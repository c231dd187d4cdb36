"""`ModelRouter`: a policy folder and this machine's circumstances -> a plan for each task.

The one place that gathers live facts: the environment once, at construction; the clock and the rest for each plan.
"""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from engine.config.catalogue import Model
from engine.config.model_values import model_values
from engine.decision.explanation import Explanation
from engine.decision.facts import Facts, Gathered, InvalidFact
from engine.environment import Environment
from engine.errors import EngineError
from engine.language.checked_policy import FactValue
from engine.language.messages import listed, nearest
from engine.language.vocabulary import WEEKDAYS
from engine.policy import Policy, find_folder, load_or_raise
from engine.task_profiles import InvalidTask, TaskProfile

__all__ = ["Choice", "ModelRouter", "NoEligibleModel", "PlannedModel"]


class NoEligibleModel(EngineError):  # noqa: N818
    """No model may have this task. `explanation` says for every model what blocks it."""

    def __init__(self, explanation: Explanation) -> None:
        super().__init__(str(explanation))
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """One model of a chain: how its provider knows it, and whether it is local or cloud."""

    model_id: str
    provider_name: str
    locality: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan: the chosen model, what stands behind it in order, and why.

    `score` is the chosen model's exact total.
    """

    model: PlannedModel
    fallbacks: tuple[PlannedModel, ...]
    explanation: Explanation

    @property
    def score(self) -> Decimal:
        score = self.explanation.candidates[0].score
        assert score is not None, "the chosen model has a score"
        return score.total


class ModelRouter:
    """Chooses a model for each task by a policy folder.

    `config_dir` as `engine --config`; `mode` overrides MODEL_ROUTING_MODE, which overrides the YAML. `clock` gives aware
    datetimes. Raises ConfigurationError for a folder with errors, InvalidEnvironment for a bad variable, InvalidFact for an
    unknown mode.
    """

    def __init__(
        self,
        config_dir: str | Path | None = None,
        *,
        mode: str | None = None,
        dry_run: bool | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        environment = Environment.read(os.environ)
        self._begin(
            load_or_raise(find_folder(config_dir, environment.config_dir)), environment, mode, dry_run, clock
        )

    @classmethod
    def of(cls, policy: Policy) -> "ModelRouter":
        """A router for a policy that is loaded already."""
        router = cls.__new__(cls)
        router._begin(policy, Environment.read(os.environ), None, None, None)
        return router

    def _begin(
        self,
        policy: Policy,
        environment: Environment,
        mode: str | None,
        dry_run: bool | None,
        clock: Callable[[], datetime] | None,
    ) -> None:
        self.policy = policy
        self.dry_run = environment.dry_run if dry_run is None else dry_run
        self._zone = ZoneInfo(policy.settings.budgets.time_zone)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._mode, mode_source = _mode_in_force(policy, environment, mode)
        self._task_types = None if policy.names.task_types is None else frozenset(policy.names.task_types)
        self._labels = None if policy.names.labels is None else frozenset(policy.names.labels)
        self._planned = {model.key: _planned(model) for model in policy.catalogue.models}
        self._down, down_source = self._without_a_key(environment)
        self._sources = dict.fromkeys(
            ("task.type", "task.criticality", "task.latency_sensitivity", "task.budget_sensitivity"), "task"
        ) | {"mode": mode_source, "clock.hour": "clock", "clock.weekday": "clock"}
        if self._down:
            self._sources["provider.down"] = down_source

    def plan(self, task: TaskProfile) -> Choice:
        """The model for this task and the fallbacks behind it; calls nothing.

        Raises NoEligibleModel when nothing is eligible, InvalidTask for a type or label that the policy does not know.
        """
        explanation = self.policy.explainer.explain(Gathered(self._facts(task), self._sources))
        chain = explanation.decision.chain
        if not chain:
            raise NoEligibleModel(explanation)
        planned = self._planned
        models = [planned[model.key] for model in chain]
        return Choice(models[0], tuple(models[1:]), explanation)

    def explain(self, given: Mapping[str, FactValue]) -> Explanation:
        """The decision for given facts, with this machine's live facts for the rest. Raises InvalidFact."""
        now = self._clock().astimezone(self._zone)
        live: dict[str, FactValue] = {
            "mode": self._mode,
            "provider.down": self._down,
            "clock.hour": now.hour,
            "clock.weekday": WEEKDAYS[now.weekday()],
        }
        return self.policy.explain(
            {**live, **given},
            {
                **{fact: self._sources.get(fact, "") for fact in live if fact in self._sources},
                **dict.fromkeys(given, "command line"),
            },
        )

    def get_available_models(self) -> list[dict[str, Any]]:
        """Every model of the catalogue as plain values: prices in US dollars per million tokens, window, tools, tiers."""
        return [model_values(model) for model in self.policy.catalogue.models]

    def _facts(self, task: TaskProfile) -> Facts:
        if self._task_types is not None and task.task_type not in self._task_types:
            raise InvalidTask(_unknown("task type", task.task_type, self.policy.names.task_types or ()))
        labels = task.labels
        assert isinstance(labels, frozenset), "a profile makes its labels a frozenset"
        if labels and self._labels is not None and not labels <= self._labels:
            raise InvalidTask(_unknown("label", min(labels - self._labels), self.policy.names.labels or ()))
        now = self._clock().astimezone(self._zone)
        bucket = task.bucket
        return Facts(
            task_type=task.task_type,
            criticality=task.criticality,
            latency_sensitivity=task.latency_sensitivity,
            budget_sensitivity=task.budget_sensitivity,
            context_size=task.context_size,
            tool_use_required=task.tool_use_required,
            labels=labels,
            bucket=random.randrange(100) if bucket is None else bucket,
            mode=self._mode,
            provider_down=self._down,
            clock_hour=now.hour,
            clock_weekday=WEEKDAYS[now.weekday()],
        )

    def _without_a_key(self, environment: Environment) -> tuple[frozenset[str], str]:
        """Cloud providers whose key is not set cannot be reached; a dry run calls nobody and needs none."""
        missing = {
            provider.name: provider.api_key_env
            for provider in self.policy.catalogue.providers
            if provider.locality == "cloud"
            and provider.api_key_env
            and not environment.value(provider.api_key_env)
        }
        if self.dry_run or not missing:
            return frozenset(), ""
        return frozenset(missing), f"not set: {', '.join(sorted(set(missing.values())))}"


def _mode_in_force(policy: Policy, environment: Environment, mode: str | None) -> tuple[str, str]:
    """The mode and where it comes from: the call, then the environment, then the YAML."""
    if mode is not None:
        chosen, source = mode, "call"
    elif environment.mode is not None:
        chosen, source = environment.mode, "MODEL_ROUTING_MODE"
    else:
        return policy.settings.default_mode, policy.default_mode_source
    if chosen not in policy.settings.modes:
        raise InvalidFact(f"{_unknown('mode', chosen, policy.settings.modes)} (from {source})")
    return chosen, source


def _planned(model: Model) -> PlannedModel:
    return PlannedModel(model.id, model.provider, model.locality, model.display_name)


def _unknown(what: str, name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = nearest(name, known)
    return f"there is no {what} {name!r}; " + (
        f"did you mean {near}" if near else f"there are {listed(known, most=30)}"
    )
