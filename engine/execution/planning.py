"""A task, the runtime facts and a snapshot -> the facts one decision falls on, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from zoneinfo import ZoneInfo

from engine.decision.facts import INDEX, Facts, FactsWithSources, InvalidFact
from engine.environment import Environment
from engine.execution.mentioned_names import MentionedNames
from engine.execution.needs import ModelsAt, capable
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.prompt import Prompt
from engine.execution.runtime import Runtime
from engine.execution.runtime_facts import RuntimeFacts
from engine.execution.session_facts import NO_SESSION, SessionFacts
from engine.language.checked_policy import FactValue
from engine.language.vocabulary import WEEKDAYS, Day, Fact, FactOrigin, Kind, given_by
from engine.language.wording import listed, nearest
from engine.policy import Policy
from engine.task_profiles import InvalidTask, TaskProfile

_SETS = tuple(fact.field for fact in given_by(FactOrigin.PROFILE) if fact.kind is Kind.SET)
_of_profile = attrgetter(*(fact.field for fact in given_by(FactOrigin.PROFILE)))
_RUNTIME = tuple(fact.name for fact in given_by(FactOrigin.RUNTIME))
_SESSION = tuple(fact.name for fact in given_by(FactOrigin.SESSION))
_CLOCK = ("clock.hour", "clock.weekday", "clock.day", "clock.date", "clock.minute")
"""What `_read_clock` gives, in the order of the fact table."""
for _name in {fact.name for fact in given_by(FactOrigin.CLOCK)} ^ {*_CLOCK}:
    raise TypeError(f"{_name}: the planner and the fact table differ in what is read off the clock")
assert tuple(fact.name for fact in given_by(FactOrigin.CLOCK)) == _CLOCK
_BUCKET, _CONTEXT_SIZE = INDEX["task.bucket"], INDEX["task.context_size"]
_TOOL_USE_REQUIRED = INDEX["task.tool_use_required"]
_NEEDS, _CAPABLE = INDEX["task.needs"], INDEX["models.capable"]
_ALWAYS_STATED = ("task.type", "task.criticality", "task.latency_sensitivity", "task.budget_sensitivity")
"""Facts whose source is the task even where it leaves them at their default: a reader looks for these
first."""


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """One model of a chain: how its provider knows it, and whether it is local or cloud."""

    model_id: str
    provider_name: str
    locality: str
    display_name: str


class Planner:
    """Gathers facts for one snapshot. Raises InvalidFact for a mode it does not have."""

    def __init__(self, snapshot: PolicySnapshot, mode: tuple[str, str], runtime: Runtime) -> None:
        self.snapshot = snapshot
        policy = snapshot.policy
        self.explainer = policy.explainer
        self.planned = {
            model.key: PlannedModel(model.id, model.provider, model.locality, model.display_name)
            for model in policy.catalogue.models
        }
        self.mode, mode_source = mode
        if self.mode not in policy.settings.modes:
            raise InvalidFact(f"{_unknown('mode', self.mode, policy.settings.modes)} (from {mode_source})")
        self._runtime = runtime
        self._zone = ZoneInfo(policy.settings.budgets.time_zone)
        closed = [
            (fact, known)
            for fact in given_by(FactOrigin.PROFILE)
            if fact.universe != "scale" and (known := policy.names.known_values(fact)) is not None
        ]
        self._closed_names = [
            (fact.field, frozenset(known), fact) for fact, known in closed if fact.kind is not Kind.SET
        ]
        self._closed_sets = {
            fact.field: (frozenset(known), fact) for fact, known in closed if fact.kind is Kind.SET
        }
        self._open_sets = {
            fact.field: (mentioned, fact)
            for fact in given_by(FactOrigin.PROFILE)
            if fact.kind is Kind.SET
            and policy.names.known_values(fact) is None
            and (mentioned := MentionedNames(policy.checked.rules, fact.name))
        }
        self._sources = dict.fromkeys(_ALWAYS_STATED, "task") | {
            "mode": mode_source,
            **dict.fromkeys(_CLOCK, "clock"),
        }
        warm = INDEX["models.warm"]
        self.asks_what_is_warm = any(column.position == warm for column in policy.compiled.columns)
        self._merged: tuple[RuntimeFacts, Mapping[str, str]] | None = None

    def facts_of(
        self,
        task: TaskProfile,
        runtime_facts: RuntimeFacts,
        models_at: ModelsAt,
        session_facts: SessionFacts = NO_SESSION,
    ) -> FactsWithSources:
        """The facts when a task is planned. Raises InvalidTask for a name that the policy does not know."""
        facts = self._facts(task, runtime_facts, session_facts)
        sources = self._sources_with(runtime_facts, session_facts)
        if not facts.needs:
            return FactsWithSources(facts, sources)
        return self._with_needs(facts, dict(sources), facts.needs, frozenset(), models_at)

    def facts_of_request(
        self,
        task: TaskProfile,
        runtime_facts: RuntimeFacts,
        prompt: Prompt,
        max_tokens: int,
        models_at: ModelsAt,
        session_facts: SessionFacts = NO_SESSION,
    ) -> FactsWithSources:
        """The same for a task that is to be carried out: its window is raised to what the prompt needs, and
        what the prompt shows is added to its needs."""
        needed = prompt.context_size(max_tokens)
        sources = {**self._sources_with(runtime_facts, session_facts), "task.context_size": "task"}
        if needed > task.context_size:
            sources["task.context_size"] = "estimate of messages, tools and max_tokens"
        if prompt.tools:
            sources["task.tool_use_required"] = "tools were passed"
        facts = self._facts(
            task,
            runtime_facts,
            session_facts,
            max(needed, task.context_size),
            task.tool_use_required or bool(prompt.tools),
        )
        shown = prompt.needs
        if not shown and not facts.needs:
            return FactsWithSources(facts, sources)
        if not shown <= facts.needs:
            sources["task.needs"] = "shown by the request"
        return self._with_needs(facts, sources, facts.needs | shown, shown, models_at)

    def _with_needs(
        self,
        facts: Facts,
        sources: dict[str, str],
        needs: frozenset[str],
        shown: frozenset[str],
        models_at: ModelsAt,
    ) -> FactsWithSources:
        values = list(facts)
        values[_NEEDS] = needs
        values[_CAPABLE] = capable(self.snapshot.policy.catalogue.models, needs, shown, models_at)
        if values[_CAPABLE]:
            sources["models.capable"] = "told by their providers, or nothing is known of them"
        return FactsWithSources(tuple.__new__(Facts, values), sources)

    def given(
        self,
        given: Mapping[str, FactValue],
        runtime_facts: RuntimeFacts,
        session_facts: SessionFacts = NO_SESSION,
    ) -> tuple[dict[str, FactValue], dict[str, str]]:
        """Given facts, with this machine's for the rest, and their sources."""
        here: dict[str, FactValue] = {"mode": self.mode}
        here |= zip(_RUNTIME, runtime_facts[:-1], strict=True)
        here |= zip(_SESSION, session_facts[:-1], strict=True)
        here |= zip(_CLOCK, self._read_clock(), strict=True)
        sources = {
            fact: source
            for fact, source in self._sources_with(runtime_facts, session_facts).items()
            if fact in here
        }
        return {**here, **given}, sources | dict.fromkeys(given, "command line")

    def _facts(
        self,
        task: TaskProfile,
        runtime_facts: RuntimeFacts,
        session_facts: SessionFacts,
        context_size: int | None = None,
        uses_tools: bool | None = None,
    ) -> Facts:
        """The task's facts, less those that a prompt has raised, and this machine's."""
        for field, known, fact in self._closed_names:
            if (name := getattr(task, field)) not in known:
                raise InvalidTask(self._unknown_name(fact, name))
        for field in _SETS:
            if names := getattr(task, field):
                self.check_names(field, names)
        # In the order of `GIVEN`: profile, mode, runtime and session (whose last field is no fact), clock.
        values = [
            *_of_profile(task),
            self.mode,
            *runtime_facts[:-1],
            *session_facts[:-1],
            *self._read_clock(),
        ]
        if values[_BUCKET] is None:
            values[_BUCKET] = int(self._runtime.chance() * 100)
        if context_size is not None:
            values[_CONTEXT_SIZE], values[_TOOL_USE_REQUIRED] = context_size, uses_tools
        return tuple.__new__(Facts, values)

    def check_names(self, field: str, names: frozenset[str]) -> None:
        """Raises InvalidTask when the policy does not know one of the names of a profile's set."""
        if (closed := self._closed_sets.get(field)) is not None and not names <= closed[0]:
            raise InvalidTask(self._unknown_name(closed[1], min(names - closed[0])))
        if (mentioned := self._open_sets.get(field)) is not None and (found := mentioned[0].misspelt(names)):
            written, meant = found
            raise InvalidTask(
                f"{_what(mentioned[1])} {written!r} only looks like one of the policy's: write {meant!r}"
            )

    def _unknown_name(self, fact: Fact, name: str) -> str:
        """`task.type` and `task.labels` name a task type and a label."""
        return _unknown(_what(fact), name, self.snapshot.policy.names.known_values(fact) or ())

    def _read_clock(self) -> tuple[int, str, int, Day, int]:
        now = self._runtime.now().astimezone(self._zone)
        return now.hour, WEEKDAYS[now.weekday()], now.day, Day(now.toordinal()), now.minute

    def _sources_with(self, runtime_facts: RuntimeFacts, session_facts: SessionFacts) -> Mapping[str, str]:
        merged = self._merged
        if merged is None or merged[0] is not runtime_facts:
            merged = self._merged = runtime_facts, {**self._sources, **runtime_facts.sources}
        return {**merged[1], **session_facts.sources} if session_facts.sources else merged[1]


def mode_in_force(policy: Policy, environment: Environment, mode: str | None) -> tuple[str, str]:
    """The mode and where it comes from: the call, then the environment, then the YAML."""
    if mode is not None:
        return mode, "call"
    if environment.mode is not None:
        return environment.mode, "MODEL_ROUTING_MODE"
    return policy.settings.default_mode, policy.default_mode_source


def _what(fact: Fact) -> str:
    """What a value of the fact is called: a task type, a label."""
    return (fact.universe or "name").replace("_", " ").removesuffix("s")


def _unknown(what: str, name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = nearest(name, known)
    return f"there is no {what} {name!r}; " + (
        f"did you mean {near}" if near else f"there are {listed(known, most=30)}"
    )
