"""What `engine show` prints -> a policy made of that text alone."""

from __future__ import annotations

from engine.config.catalogue import load_catalogue
from engine.config.folder import folder_in_memory
from engine.config.lowering import names_of
from engine.config.settings import load_settings
from engine.config.yaml_source import read_yaml
from engine.decision.cache_prices import with_cache_prices
from engine.decision.compiler import compile_policy
from engine.decision.decision_tree import DecisionTree
from engine.decision.evaluator import Evaluator
from engine.decision.explanation import Explainer
from engine.language.diagnostics import Problems
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.type_checker import check
from engine.policy import Policy, assume


def read_back(shown: str, models: str, policies: str | None) -> Policy:
    """The shown rules under the names of the two YAML files, with nothing lowered and no base.route beside
    them."""
    problems = Problems()
    folder = folder_in_memory(models, policies, {}, problems=problems)
    assert folder is not None
    document = read_yaml(folder.models, problems)
    assert document is not None
    catalogue = load_catalogue(document, problems)
    written = None if folder.policies is None else read_yaml(folder.policies, problems)
    settings = load_settings(written, catalogue, problems)
    names = names_of(catalogue, settings)
    checked = check([parse(Source("shown.route", shown), problems)], [], [], names, problems)
    checked = with_cache_prices(checked, catalogue.models)  # what is shown is of language 1.1
    compiled = compile_policy(checked, catalogue.models, names, problems)
    assert not problems.has_errors, [f"{problem.span.line} {problem.message}" for problem in problems]
    evaluator, tree = Evaluator(compiled), DecisionTree(compiled)
    return Policy(
        folder=folder,
        catalogue=catalogue,
        settings=settings,
        names=names,
        statements=(),
        checked=checked,
        compiled=compiled,
        evaluator=evaluator,
        tree=tree,
        explainer=Explainer(evaluator, tree),
        problems=problems,
        assumed=assume(settings),
    )
