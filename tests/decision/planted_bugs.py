"""Plants one bug in the engine itself, and says how many random triples the harness needs to see it.

A bug is a one-place edit of a module's text: what it replaces must stand there exactly once, so an edit that
no longer fits fails loudly. The whole engine is loaded afresh with the edit and is gone afterwards. A crash
counts as seen: what an edit makes of the engine's own assertions is a disagreement too.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from unittest.mock import patch

from tests.decision.differential import Sample, sample

ROOT = Path(__file__).parents[2]
FACTS_A_WORLD = 20
AFRESH = ("engine", "engine.", "tests.decision.worlds", "tests.decision.differential")


@dataclass(frozen=True)
class Bug:
    """`module` is a path below the repository: `engine/decision/cubes.py`."""

    name: str
    module: str
    old: str
    new: str


def triples_until_seen(bug: Bug, budget: int) -> int | None:
    """How many triples it takes the harness to see the bug; None when the budget does not suffice."""
    with engine_with(bug) as differential:
        for number in range(budget // FACTS_A_WORLD):
            done = number * FACTS_A_WORLD
            try:
                for disagreement in differential.compared([_drawn(number)]):
                    done += 1
                    if disagreement is not None:
                        return done
            except Exception:
                return done + 1
    return None


@cache
def _drawn(number: int) -> Sample:
    return sample(900_000_000 + number, FACTS_A_WORLD)


@contextmanager
def engine_with(bug: Bug) -> Iterator[ModuleType]:
    """The harness, bound to an engine that has the bug."""
    text = (ROOT / bug.module).read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.name}: {bug.old!r} must stand in {bug.module} exactly once")
    edited = {bug.module.removesuffix(".py").replace("/", "."): text.replace(bug.old, bug.new)}
    kept = {name: module for name, module in sys.modules.items() if not name.startswith(AFRESH)}
    finder = _Finder(edited)
    with patch.dict(sys.modules, kept, clear=True):
        sys.meta_path.insert(0, finder)
        try:
            yield importlib.import_module("tests.decision.differential")
        finally:
            sys.meta_path.remove(finder)
    # Importing bound the fresh modules to their parents; the ones that are in force again take their places.
    for name, module in list(sys.modules.items()):
        parent, _, last = name.rpartition(".")
        if name.startswith(AFRESH) and parent in sys.modules:
            setattr(sys.modules[parent], last, module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, edited: dict[str, str]) -> None:
        self._edited = edited

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._edited:
            return None
        place = str(ROOT.joinpath(*fullname.split(".")).with_suffix(".py"))
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, place, self._edited[fullname]))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, text: str) -> None:
        super().__init__(fullname, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._text, f"{fullname} with a planted bug", "exec", dont_inherit=True)
        return code


def _in(module: str, name: str, old: str, new: str) -> Bug:
    return Bug(name, f"engine/{module}.py", old, new)


BUGS = (
    # conditions to cubes
    _in(
        "decision/cubes",
        "at-most-stops-below",
        'case ("<=", False) | (">", True):\n            return _intervals(fact, (LOWEST, above))',
        'case ("<=", False) | (">", True):\n            return _intervals(fact, (LOWEST, below))',
    ),
    _in(
        "decision/cubes",
        "more-begins-at",
        'case (">", False) | ("<=", True):\n            return _intervals(fact, (above, None))',
        'case (">", False) | ("<=", True):\n            return _intervals(fact, (below, None))',
    ),
    _in(
        "decision/cubes",
        "percents-are-whole",
        "if FACTS[fact].kind is Kind.PERCENT else (value + 1, 0)",
        "if False else (value + 1, 0)",
    ),
    _in(
        "decision/cubes",
        "is-not-forgets-what-is-above",
        "return _intervals(fact, (LOWEST, below), (above, None))",
        "return _intervals(fact, (LOWEST, below))",
    ),
    _in(
        "decision/cubes",
        "negation-forgets-de-morgan",
        "isinstance(condition, All) is not negated",
        "isinstance(condition, All)",
    ),
    _in("decision/cubes", "not-is-dropped", "negated=not negated)", "negated=negated)"),
    _in(
        "decision/cubes",
        "empty-asks-one-element",
        "return ({(fact, element): False for element in members},)",
        "return ({(fact, element): False for element in members[:1]},)",
    ),
    _in(
        "decision/cubes",
        "others-do-not-fill-a-set",
        "return (*sorted(self._mentioned.get(fact, ())), OTHER)",
        "return tuple(sorted(self._mentioned.get(fact, ()))) or (OTHER,)",
    ),
    _in(
        "decision/cubes",
        "names-met-as-joined",
        "both = mine & other if inside else mine - other",
        "both = mine | other if inside else mine - other",
    ),
    _in(
        "decision/cubes",
        "exclusions-met-as-common",
        "return NameSet(False, mine | other)",
        "return NameSet(False, mine & other)",
    ),
    _in(
        "decision/cubes",
        "intervals-met-at-the-lower-low",
        "low = max(left.low, right.low)",
        "low = min(left.low, right.low)",
    ),
    _in(
        "decision/cubes",
        "intervals-met-at-the-higher-end",
        "high = min(ends) if ends else None",
        "high = max(ends) if ends else None",
    ),
    _in(
        "decision/cubes",
        "absorption-turned-round",
        "any(other < key for other in keys)",
        "any(key < other for other in keys)",
    ),
    _in(
        "decision/cubes",
        "an-unknown-price-is-zero",
        "model.price is not None and in_order(model.price",
        "in_order(model.price or Fraction(0)",
    ),
    _in(
        "decision/cubes",
        "call-cost-is-the-price",
        "    if price:\n        return _on_context_size(cost, price)",
        "    if False:\n        return _on_context_size(cost, price)",
    ),
    _in("decision/cubes", "call-cost-rounded-up", "whole = floor(tokens)", "whole = floor(tokens) + 1"),
    _in(
        "decision/cubes",
        "zones-are-providers",
        "return () if model.zone is None else (model.zone,)",
        "return (model.provider,)",
    ),
    _in(
        "decision/cubes",
        "tags-are-capabilities",
        "return model.tags",
        "return model.capabilities",
    ),
    _in(
        "decision/cubes",
        "the-model-is-forgotten",
        "key = (id(condition), model.key if model and self.speaks_of_model(condition) else None, negated)",
        "key = (id(condition), None, negated)",
    ),
    _in(
        "decision/cubes",
        "the-sign-is-forgotten",
        "key = (id(condition), model.key if model and self.speaks_of_model(condition) else None, negated)",
        "key = (id(condition), model.key if model and self.speaks_of_model(condition) else None, False)",
    ),
    # cells
    _in(
        "decision/partitions",
        "numbers-off-by-one-cell",
        "bisect_right(below, value) + bisect_left(above, value)",
        "bisect_left(below, value) + bisect_left(above, value)",
    ),
    _in(
        "decision/partitions",
        "an-interval-outlives-its-end",
        "alive = (alive | mask_of(began)) & ~mask_of(ended)",
        "alive = alive | mask_of(began)",
    ),
    _in("decision/partitions", "sets-ignore-rejections", "alive &= ~self._rejecting.get(element, 0)", "pass"),
    _in(
        "decision/partitions",
        "one-of-several-elements-suffices",
        "if elements <= cell:",
        "if elements & cell:",
    ),
    _in(
        "decision/partitions",
        "unmentioned-elements-vanish",
        "if OTHER in self._mentioned and len(projected) < len(value):",
        "if False:",
    ),
    _in("decision/partitions", "other-names-survive-everywhere", "full & ~confined &", "full &"),
    _in("decision/partitions", "flags-turned-round", '{name == "yes": cell', '{name == "no": cell'),
    # rules to tables
    _in("decision/compiler", "require-as-forbid", "numbering, negated=True)", "numbering, negated=False)"),
    _in(
        "decision/compiler",
        "watched-guards-block",
        "blocked = self._watched if rule.watch else self._guards",
        "blocked = self._guards",
    ),
    _in(
        "decision/compiler",
        "preferences-counted-by-cube",
        "apart = disjoint(cubes) if len(cubes) > 1 else cubes",
        "apart = cubes",
    ),
    # deciding
    _in(
        "decision/evaluator",
        "the-last-rule-wins",
        "policy.owners[(live & -live).bit_length() - 1]",
        "policy.owners[live.bit_length() - 1]",
    ),
    _in(
        "decision/evaluator",
        "a-model-stands-in-every-tier",
        "if eligible[model] and model not in placed:",
        "if eligible[model]:",
    ),
    _in(
        "decision/evaluator",
        "ranking-forgets-eligibility",
        "if eligible[model] and model not in placed:",
        "if model not in placed:",
    ),
    _in(
        "decision/evaluator",
        "the-memo-forgets-a-fact",
        'cells = ({", ".join(cells)},)',
        'cells = (None, {", ".join(cells[1:])},)',
    ),
    _in(
        "decision/evaluator",
        "ties-turned-round",
        "ranked.append((-total, ties[model], model))",
        "ranked.append((-total, -ties[model], model))",
    ),
    _in(
        "decision/evaluator",
        "worst-first",
        "ranked.append((-total, ties[model], model))",
        "ranked.append((total, ties[model], model))",
    ),
    _in("decision/scoring", "half-down", "+ Fraction(1, 2))", "+ Fraction(49, 100))"),
    _in(
        "decision/scoring",
        "fast-is-slow",
        '{"low": Decimal(100), "medium": Decimal(50), "high": Decimal(0)}',
        '{"low": Decimal(0), "medium": Decimal(50), "high": Decimal(100)}',
    ),
    _in(
        "decision/scoring",
        "local-effort-undivided",
        "Fraction(model.relative_cost) / 10 if",
        "Fraction(model.relative_cost) if",
    ),
    _in(
        "decision/scoring",
        "cloud-before-local",
        'return model.locality == "cloud", Fraction',
        'return model.locality == "local", Fraction',
    ),
    _in(
        "decision/scoring",
        "dearer-first",
        "Fraction(10**12) if price is None else price, index",
        "Fraction(10**12) if price is None else -price, index",
    ),
    # the tree
    _in(
        "decision/decision_tree",
        "nodes-shared-whatever-is-blocked",
        "key = (position, kept, blocked)",
        "key = (position, kept, 0)",
    ),
    _in(
        "decision/decision_tree",
        "preferences-do-not-matter",
        "matters |= guard | policy.favours[model].mask",
        "matters |= guard",
    ),
    _in(
        "decision/decision_tree",
        "guards-do-not-matter",
        "matters |= guard | policy.favours[model].mask",
        "matters |= policy.favours[model].mask",
    ),
    _in(
        "decision/decision_tree", "depending-tiers-do-not-matter", "matters |= self._tier_bits[route]", "pass"
    ),
    _in(
        "decision/decision_tree",
        "settled-too-early",
        "settled = live & ~self._later[position]",
        "settled = live & ~self._later[min(position + 1, len(self.questions))]",
    ),
    _in(
        "decision/decision_tree",
        "the-first-open-route-wins",
        "return live & ((first & -first) * 2 - 1) if first else live",
        "return live & -live",
    ),
    # explaining
    _in(
        "decision/explanation",
        "blockers-by-name",
        "for index in sorted({owners[bit] for bit in bits_of(live)}))",
        "for index in sorted({owners[bit] for bit in bits_of(live)}, reverse=True))",
    ),
    _in(
        "decision/explanation",
        "the-first-blocker-only",
        "blockers = self.rules(guards) if guards else ()",
        "blockers = self.rules(guards)[:1] if guards else ()",
    ),
    # the YAML
    _in(
        "config/lowering",
        "overrides-not-shared",
        "share = (POINTS / count).quantize",
        "share = (POINTS / 1).quantize",
    ),
    _in(
        "config/lowering",
        "aggressive-avoids-the-cloud",
        '"prefer", name, _word_alone("cloud", place)',
        '"avoid", name, _word_alone("cloud", place)',
    ),
)
