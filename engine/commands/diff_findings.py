"""What two policies decide differently -> findings at the lines of the new policy that make the difference,
for the formats that a code host shows beside them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.analysis.answer_text import task_text
from engine.analysis.changed_rules import ChangedRule, changed_models, changed_rules
from engine.analysis.judgement import Change, Judgement
from engine.analysis.policy_diff import Difference, Region
from engine.commands.diff_formats import given_of
from engine.config.catalogue import Model
from engine.language.diagnostics import Diagnostic, Level
from engine.language.source import Span
from engine.language.wording import listed
from engine.policy import Policy


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding, as SARIF describes it."""

    slug: str
    level: Level
    summary: str
    why: str


LOOSER = Kind(
    "looser",
    Level.ERROR,
    "more goes out to the cloud",
    "A cloud model joins a chain that it was kept out of, or requests go to another place.",
)
COSTLIER = Kind(
    "costlier",
    Level.WARNING,
    "more may be spent",
    "A limit rises or goes, a price falls, or tasks that a local model took go to a cloud model first.",
)
UNKNOWN = Kind(
    "not-known",
    Level.WARNING,
    "the work allowed did not suffice to know",
    "The search is cut off after a number of steps; what it did not decide is not known to be harmless.",
)
STRICTER = Kind(
    "stricter", Level.INFO, "less goes out to the cloud", "A cloud model leaves a chain, and none joins it."
)
OTHERWISE = Kind(
    "decided-otherwise",
    Level.INFO,
    "tasks are decided otherwise",
    "Local models join or leave a chain, or its order is another; no cloud model joins or leaves it.",
)
KINDS = (LOOSER, COSTLIER, UNKNOWN, STRICTER, OTHERWISE)


@dataclass(frozen=True, slots=True)
class Cause:
    """What was done to a rule or a model, and where; the name is empty where nothing in particular was."""

    name: str
    did: str
    span: Span

    @property
    def text(self) -> str:
        return f"`{self.name}` {self.did}" if self.name else self.did


@dataclass(slots=True)
class _Effect:
    """What one cause does to the regions of one kind; `example` is the plainest task of them."""

    kind: Kind
    cause: Cause
    example: str
    chains: tuple[list[str], list[str]]
    joining: dict[str, None] = field(default_factory=dict)
    leaving: dict[str, None] = field(default_factory=dict)
    regions: int = 0


def diff_findings(difference: Difference, judgement: Judgement, old: Policy, new: Policy) -> list[Diagnostic]:
    """One finding a changed line and kind, in file and line order."""
    causes = Causes(old, new)
    effects: dict[tuple[str, Cause], _Effect] = {}
    for region in difference.regions:
        for cause in causes.of(region):
            kind = _kind(region)
            effect = effects.setdefault(
                (kind.slug, cause),
                _Effect(kind, cause, task_text(given_of(region, difference)), chains_of(region)),
            )
            joining, leaving = moves_of(region)
            effect.joining |= dict.fromkeys(joining)
            effect.leaving |= dict.fromkeys(leaving)
            effect.regions += 1
    found = [_finding(effect) for effect in effects.values()]
    found += _judged(judgement, difference, causes, new)
    if not difference.is_complete:
        text = (
            "there may be more differences than these: the search stops after a number of them, or of steps"
        )
        found.append(Diagnostic(UNKNOWN.slug, Level.INFO, text, _start(new)))
    return sorted(found, key=lambda finding: finding.sort_key)


class Causes:
    """The lines of the new policy that make the difference for a region."""

    def __init__(self, old: Policy, new: Policy) -> None:
        self._new = new
        self._rules: tuple[ChangedRule, ...] = changed_rules(old, new)
        self._models: dict[str, Model] = changed_models(old, new)

    def of(self, region: Region) -> Iterator[Cause]:
        """Rules that bear on its plainest task, else a model that differs, else the rule that decides."""
        rules = [rule for rule in self._rules if rule.bears_on(region.facts)]
        for rule in rules:
            yield Cause(rule.name, f"was {rule.verb}", rule.span)
        if rules:
            return
        chains = chains_of(region)
        models = [self._models[key] for key in dict.fromkeys(chains[1] + chains[0]) if key in self._models]
        if models:
            yield Cause(models[0].key, "was changed or added", models[0].span)
        elif (deciding := region.new.rule) is not None and self._is_mine(deciding.span):
            yield Cause(deciding.name, "decides now", deciding.name_span)
        else:
            yield Cause("", "something that no rule says was changed", _start(self._new))

    def _is_mine(self, span: Span) -> bool:
        folder = self._new.folder
        return span.source in (*folder.routes, folder.policies)


def chains_of(region: Region) -> tuple[list[str], list[str]]:
    """The models of both chains, by key."""
    old, new = ([model.key for model in side.decision.chain] for side in (region.old, region.new))
    return old, new


def moves_of(region: Region) -> tuple[list[str], list[str]]:
    """The models that join the chain, and those that leave it."""
    old, new = chains_of(region)
    return [key for key in new if key not in old], [key for key in old if key not in new]


def _kind(region: Region) -> Kind:
    return LOOSER if region.looser else STRICTER if region.stricter else OTHERWISE


def _finding(effect: _Effect) -> Diagnostic:
    parts = []
    if effect.joining:
        parts.append(f"more tasks may go to {listed(effect.joining)}")
    if effect.leaving:
        parts.append(f"fewer tasks go to {listed(effect.leaving)}")
    if not parts:
        before, after = (", ".join(chain) for chain in effect.chains)
        parts.append(f"the order is now {after}, and was {before}")
    more = f", and {effect.regions - 1} more kinds of tasks" if effect.regions > 1 else ""
    message = f"{effect.cause.text}: {'; '.join(parts)}"
    return _of(effect.kind, effect.cause.span, message, f"for example {effect.example}{more}")


def _judged(
    judgement: Judgement, difference: Difference, causes: Causes, new: Policy
) -> Iterator[Diagnostic]:
    """What the judgement knows beyond the regions: places, limits, prices, new names, the default mode."""
    seen = [(given_of(region, difference), region) for region in difference.regions]
    for change in judgement.leaks:
        if change.modes or not any(region.looser and given == change.given for given, region in seen):
            yield _of(LOOSER, _place(change, new), change.text)
    for change in judgement.spending:
        same = [region for given, region in seen if given == change.given]
        spans = [cause.span for region in same[:1] for cause in causes.of(region)]
        yield _of(COSTLIER, spans[0] if spans else _place(change, new), change.text)
    for text in judgement.undecided:
        yield _of(UNKNOWN, _start(new), text)


def _place(change: Change, new: Policy) -> Span:
    if change.span is not None:
        return change.span
    if change.modes is not None and new.settings.default_mode_span is not None:
        return new.settings.default_mode_span
    if change.given is None and new.folder.policies is not None:
        return new.folder.policies.span(0, 0)
    return _start(new)


def _start(new: Policy) -> Span:
    """Where what has no line of its own is shown: the beginning of the first file."""
    return (*new.folder.routes, new.folder.models)[0].span(0, 0)


def _of(kind: Kind, span: Span, message: str, help: str | None = None) -> Diagnostic:
    return Diagnostic(kind.slug, kind.level, message, span, help)
