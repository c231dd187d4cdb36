"""The answer to `explain --why-not` -> text and JSON."""

from typing import Any

from engine.analysis.answer_text import task_text
from engine.analysis.why_not import WhyNot
from engine.decision.explanation import Explanation
from engine.decision.fact_json import json_value
from engine.language.diagnostics import visible


def why_not_text(answer: WhyNot, explanation: Explanation) -> str:
    candidate = answer.candidate
    key = visible(candidate.model.key)
    if candidate.verdict == "chosen":
        return f"{key} is chosen"
    lines = [f"{key} is not chosen: {_reason(answer, explanation)}"]
    for rule in candidate.blockers:
        because = f': "{visible(rule.because)}"' if rule.because else ""
        lines.append(f"  {visible(rule.name)} ({visible(rule.span.source.name)}:{rule.span.line}){because}")
    if answer.change is not None:
        lines.append(f"it would be chosen with {visible(' and '.join(answer.conditions.values()))}")
        lines.append(f"for example: {task_text(answer.change)}")
    elif answer.is_complete:
        lines.append("no change of the task, the mode or the clock would choose it")
    else:
        lines.append("no change was found within the work allowed; there may be one")
    return "\n".join(lines)


def _reason(answer: WhyNot, explanation: Explanation) -> str:
    candidate = answer.candidate
    if candidate.verdict == "blocked":
        count = len(candidate.blockers)
        return f"{count} guards block it" if count > 1 else "1 guard blocks it"
    if candidate.verdict == "unused":
        assert explanation.route is not None, "only a route leaves an eligible model out"
        return f"no tier of the route {visible(explanation.route.name)} selects it"
    keys = [model.key for model in explanation.chain]
    place = keys.index(candidate.model.key)
    first = explanation.candidates[0]
    assert first.score is not None
    assert candidate.score is not None
    if place >= explanation.decision.tiers[0] > 0:
        return f"it is fallback {place}, in a later tier than {visible(keys[0])}"
    return (
        f"it is fallback {place}: it scores {candidate.score.total:.2f}, {visible(keys[0])} scores "
        f"{first.score.total:.2f}"
    )


def why_not_json(answer: WhyNot, explanation: Explanation) -> dict[str, Any]:
    candidate = answer.candidate
    change = answer.change
    return {
        "version": 1,
        "model": candidate.model.key,
        "verdict": candidate.verdict,
        "reason": "" if candidate.verdict == "chosen" else _reason(answer, explanation),
        "blockers": [
            {
                "rule": rule.name,
                "file": rule.span.source.name,
                "line": rule.span.line,
                "because": rule.because,
            }
            for rule in candidate.blockers
        ],
        "change": None if change is None else {fact: json_value(value) for fact, value in change.items()},
        "conditions": dict(answer.conditions),
        "complete": answer.is_complete,
    }
