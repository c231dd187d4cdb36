"""Every lint rule, by listing this folder: each module has a `RULE`, and its examples are its tests and
its page."""

from importlib import import_module
from pkgutil import iter_modules

from engine.analysis.lint_rule import LintRule

RULES: tuple[LintRule, ...] = tuple(
    import_module(f"{__name__}.{module.name}").RULE
    for module in sorted(iter_modules(__path__), key=lambda each: each.name)
)
BY_SLUG: dict[str, LintRule] = {rule.slug: rule for rule in RULES}
