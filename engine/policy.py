"""START HERE. A policy folder -> a policy that decides: read, parse, resolve and check, lower, compile.

Every phase is a function from value to value that adds what it finds to `problems` and goes on, so that one
run tells everything. A policy with an error decides nothing: half a policy could let out what the other half
forbids.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.bundled import bundled_path
from engine.config.catalogue import Catalogue, load_catalogue
from engine.config.folder import PolicyFolder, locate_folder, read_folder
from engine.config.lowering import lower, names_of
from engine.config.settings import Settings, load_settings
from engine.config.yaml_source import read_yaml
from engine.decision.cache_prices import with_cache_prices
from engine.decision.compiler import CompiledPolicy, compile_policy
from engine.decision.decision_tree import DecisionTree
from engine.decision.evaluator import Evaluator
from engine.decision.explanation import Explainer, Explanation
from engine.decision.facts import DEFAULTS, FactsWithSources, facts_from
from engine.errors import EngineError
from engine.language.checked_policy import CheckedPolicy, FactValue
from engine.language.diagnostics import Diagnostic, Level, Problems, Replacement
from engine.language.known_names import Names
from engine.language.one_note_a_cause import one_note_a_cause
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.syntax_tree import File, Language, Statement
from engine.language.type_checker import check
from engine.language.versions import is_newer


class ConfigurationError(EngineError):
    """A policy folder that cannot be found, or whose policy has errors; `problems` holds them all."""

    def __init__(self, message: str, problems: Problems | None = None) -> None:
        super().__init__(message)
        self.problems = problems or Problems()


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy without errors, ready to decide. `problems` holds its warnings."""

    folder: PolicyFolder
    catalogue: Catalogue
    settings: Settings
    names: Names
    statements: tuple[Statement, ...]
    checked: CheckedPolicy
    compiled: CompiledPolicy
    evaluator: Evaluator
    tree: DecisionTree
    explainer: Explainer
    problems: Problems
    assumed: FactsWithSources
    """What a test assumes here: nothing spent, everything up. Its task type is empty."""

    def explain(self, given: Mapping[str, FactValue], sources: Mapping[str, str]) -> Explanation:
        """Decides on the given facts and a test's defaults for the rest; never looks at the machine.

        Raises InvalidFact when `task.type` is not given.
        """
        facts = facts_from(given, self.names, self.assumed.facts)
        return self.explainer.explain(FactsWithSources(facts, {**self.assumed.sources, **sources}))

    @property
    def default_mode_source(self) -> str:
        """Where the default mode is written: `policies.yaml:3`."""
        return _mode_source(self.settings)


def load(folder: Path, problems: Problems) -> Policy | None:
    """Reads a folder, once and whole, and builds its policy."""
    files = read_folder(folder, problems)
    return None if files is None else build(files, problems)


def build(files: PolicyFolder, problems: Problems) -> Policy | None:
    """All phases in order. None when there are errors; warnings are in `problems` of the result."""
    policy = _phases(files, problems)
    if problems.has_errors:
        _withdraw_misleading_help(files, problems)
    one_note_a_cause(problems)
    return policy


def _phases(files: PolicyFolder, problems: Problems) -> Policy | None:
    user = [parse(source, problems) for source in files.routes]
    base = [parse(files.base, problems)]

    models = read_yaml(files.models, problems)
    policies = None if files.policies is None else read_yaml(files.policies, problems)
    if models is None or (files.policies is not None and policies is None):
        return None  # without its YAML nothing in a rule has a meaning
    catalogue = load_catalogue(models, problems)
    settings = load_settings(policies, catalogue, problems)

    lowered = lower(settings)
    names = names_of(catalogue, settings)
    checked = check(user, lowered, base, names, problems)
    if problems.has_errors:
        return None
    if any(is_newer(file) for file in user):
        checked = with_cache_prices(checked, catalogue.models)

    compiled = compile_policy(checked, catalogue.models, names, problems)
    if problems.has_errors:
        return None
    evaluator = Evaluator(compiled)
    tree = DecisionTree(compiled)
    explainer = Explainer(evaluator, tree, files.policy_digest, files.catalogue_digest)
    statements = (*_statements(user), *lowered, *_statements(base))
    return Policy(
        files,
        catalogue,
        settings,
        names,
        statements,
        checked,
        compiled,
        evaluator,
        tree,
        explainer,
        problems,
        assume(settings),
    )


_MOST_HELPS_TRIED = 10


def _withdraw_misleading_help(files: PolicyFolder, problems: Problems) -> None:
    """Takes text back that an error proposes when following it leads to another error."""
    helps = [each for each in problems if each.fix is not None and each.level is Level.ERROR]
    if not helps or _is_helped(files, problems, helps):
        return
    good = [each for each in helps[:_MOST_HELPS_TRIED] if _is_helped(files, problems, [each])]
    if good and not _is_helped(files, problems, good):
        good = []
    problems.found[:] = [
        each if each not in helps or each in good else replace(each, help=None, fix=None) for each in problems
    ]


def _is_helped(files: PolicyFolder, problems: Problems, helps: Sequence[Diagnostic]) -> bool:
    """Whether the errors go when their help is followed, and no other comes."""
    after = Problems()
    _phases(_followed(files, [each.fix for each in helps if each.fix is not None]), after)
    left = {(each.slug, each.span.text) for each in problems if each not in helps}
    return all((each.slug, each.span.text) in left for each in after if each.level is Level.ERROR)


def _followed(files: PolicyFolder, fixes: Sequence[Replacement]) -> PolicyFolder:
    def mended(source: Source) -> Source:
        text, end = source.text, len(source.text) + 1
        here = [fix for fix in fixes if fix.span.source.name == source.name]
        for fix in sorted(here, key=lambda fix: fix.span.start, reverse=True):
            if fix.span.end <= end:
                text, end = text[: fix.span.start] + fix.text + text[fix.span.end :], fix.span.start
        return source if text == source.text else Source(source.name, text)

    return replace(
        files,
        models=mended(files.models),
        policies=files.policies and mended(files.policies),
        routes=tuple(map(mended, files.routes)),
    )


def assume(settings: Settings) -> FactsWithSources:
    """A test's defaults: nothing spent, everything up, the default mode."""
    facts = DEFAULTS._replace(mode=settings.default_mode)
    return FactsWithSources(facts, {"mode": _mode_source(settings)})


def _mode_source(settings: Settings) -> str:
    span = settings.default_mode_span
    return "built in" if span is None else f"{span.source.name}:{span.line}"


def _statements(files: Iterable[File]) -> Iterator[Statement]:
    return (
        statement for file in files for statement in file.statements if not isinstance(statement, Language)
    )


def load_or_raise(folder: Path) -> Policy:
    """As `load`. Raises ConfigurationError with every error rendered."""
    problems = Problems()
    policy = load(folder, problems)
    if policy is None:
        from engine.language.rendering import render

        errors = "\n\n".join(render(problem) for problem in problems if problem.level is Level.ERROR)
        raise ConfigurationError(f"the policy in {folder} has errors\n\n{errors}", problems)
    return policy


def find_folder(explicit: str | Path | None, from_environment: str | None) -> Path:
    """The policy folder in force: the explicit one, the environment's, `./config`, `./policies`, the default
    set.

    Raises ConfigurationError when a named one is not there.
    """
    return locate_folder(explicit, from_environment, Path.cwd(), bundled_path("policies", "default"))
