"""A report on mutants -> text and JSON."""

from typing import Any

from engine.analysis.answer_text import pasteable_test, task_text
from engine.analysis.mutation import Mutant, MutationReport
from engine.decision.evaluator import Decision
from engine.decision.fact_json import json_value
from engine.language.diagnostics import visible
from engine.language.source import Source
from engine.language.syntax_tree import Expectation, ExpectModels, ExpectRefused, Word

_NOWHERE = Source("", "").span(0, 0)


def mutation_text(report: MutationReport) -> str:
    """The score, and each change that no test or proof notices, with the simplest task that it decides
    otherwise."""
    killed, survived = report.count("killed"), report.count("survived")
    undecided, equivalent = report.count("undecided"), report.count("equivalent")
    mattering = killed + survived + undecided
    lines = [f"mutation score {score_text(report)}: {killed} of {mattering} changes would be noticed"]
    if equivalent:
        lines.append(f"{equivalent} more change no decision and are left out")
    if undecided:
        lines.append(f"{undecided} could not be decided within the work allowed and count as not noticed")
    if report.possible > len(report.mutants) and report.possible > mattering + equivalent:
        left = report.possible - len(report.mutants)
        lines.append(
            f"{left} were not tried: they make no sense, or are beyond what is tried of so large a policy"
        )
    lines += [f"left out, since it does not hold as it is: {visible(each)}" for each in report.ignored]
    for mutant in report.mutants:
        if mutant.fate in ("survived", "undecided"):
            lines += ["", *_mutant_lines(mutant)]
    return "\n".join(lines)


def score_text(report: MutationReport) -> str:
    """Rounded down, so that 100% means all."""
    return f"{int(report.score * 100)}%"


def _mutant_lines(mutant: Mutant) -> list[str]:
    edit = mutant.change.edit
    place = f"{visible(edit.span.source.name)}:{edit.span.line}:{edit.span.column}"
    after = visible(edit.after) if edit.after else "(left out)"
    lines = [f"{place} {mutant.fate}", f"    - {visible(edit.before)}", f"    + {after}"]
    if mutant.given is not None:
        lines.append(f"    for example {task_text(mutant.given)}")
        lines.append(f"    now {_beginning(mutant.before, mutant.after)}")
        lines.append(f"    changed {_beginning(mutant.after, mutant.before)}")
    return lines


def _beginning(decision: Decision | None, other: Decision | None) -> str:
    """A chain as far as the first model in which it differs from the other."""
    keys, others = _keys(decision), _keys(other)
    same = next((n for n, pair in enumerate(zip(keys, others, strict=False)) if pair[0] != pair[1]), None)
    shown = keys if same is None else keys[: same + 1]
    if same is None and len(keys) > len(others):
        shown = keys[: len(others) + 1]
    more = ", ..." if len(shown) < len(keys) else ""
    return (", ".join(map(visible, shown)) + more) or "refused"


def mutation_json(report: MutationReport) -> dict[str, Any]:
    """Plain values (schemas/test-report.schema.json); noticed changes are counted, not listed."""
    return {
        "score": int(report.score * 10_000) / 10_000,
        "possible": report.possible,
        "killed": report.count("killed"),
        "survived": report.count("survived"),
        "equivalent": report.count("equivalent"),
        "undecided": report.count("undecided"),
        "ignored": list(report.ignored),
        "unnoticed": [
            _mutant_json(mutant) for mutant in report.mutants if mutant.fate in ("survived", "undecided")
        ],
    }


def _mutant_json(mutant: Mutant) -> dict[str, Any]:
    edit = mutant.change.edit
    return {
        "file": edit.span.source.name,
        "line": edit.span.line,
        "column": edit.span.column,
        "statement": mutant.change.statement.name.text,
        "fate": mutant.fate,
        "before": edit.before,
        "after": edit.after,
        "witness": None
        if mutant.given is None
        else {
            "facts": {fact: json_value(value) for fact, value in mutant.given.items()},
            "now": _keys(mutant.before),
            "changed": _keys(mutant.after),
            "test": _test(mutant),
        },
    }


def _keys(decision: Decision | None) -> list[str]:
    return [] if decision is None else [model.key for model in decision.chain]


def _test(mutant: Mutant) -> str:
    """A test that holds as the policy is and would notice the change."""
    assert mutant.given is not None
    edit, keys = mutant.change.edit, _keys(mutant.before)
    models = tuple(Word(key, _NOWHERE) for key in keys)
    expectation: Expectation = ExpectModels(models, False, _NOWHERE) if models else ExpectRefused(_NOWHERE)
    after = f"not {edit.after}" if edit.after else "kept"
    title = f"{mutant.change.statement.name.text}: {edit.before}, {after}"
    return pasteable_test(title, mutant.given, expectation)
