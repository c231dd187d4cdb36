"""`engine prove`: every `prove` statement decided for all facts, with the simplest counterexample where one
fails."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.analysis.proofs import Answer
    from engine.policy import Policy

SUMMARY = "decide the policy's proofs for all facts"
DESCRIPTION = """Decides every `prove` statement for all facts there can be, not for samples: proved, refuted
with the simplest counterexample (as facts, and as a test to paste), or unknown when the allowed work did not
suffice. An unknown proof is no success: the exit code is then 4."""
REFUTED, UNKNOWN = 1, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="the policy folder (default: as for --config)"
    )
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument(
        "--max-work",
        type=steps,
        metavar="N",
        help="steps each proof may take before its verdict is unknown (default: 10 million)",
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.analysis.proofs import prove
    from engine.analysis.search import MOST_WORK

    arguments.config = arguments.path or arguments.config
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    answers = prove(policy, arguments.max_work or MOST_WORK)
    if arguments.format == "json":
        terminal.say(json.dumps(proofs_json(answers, policy), indent=1))
    else:
        terminal.say(proofs_text(answers, policy))
    verdicts = {answer.verdict for answer in answers}
    return REFUTED if "refuted" in verdicts else UNKNOWN if "unknown" in verdicts else 0


def proofs_text(answers: "Sequence[Answer]", policy: "Policy") -> str:
    """One line a proof, and under a refuted one its counterexample."""
    from engine.language.diagnostics import visible

    if not answers:
        return "no proofs: write `prove NAME: never SELECTOR when CONDITION` in a .route file"
    lines = []
    for answer in answers:
        span = answer.proof.span
        verdict = "proved (vacuously)" if answer.vacuous else answer.verdict
        lines.append(f"{verdict:<8} {answer.proof.name} ({visible(span.source.name)}:{span.line})")
        lines += _details(answer, policy)
    watched = _watched(policy)
    if watched:
        lines.append(f"on watch, so left out of every proof: {', '.join(watched)}")
    counts = [
        (sum(answer.verdict == word for answer in answers), word) for word in ("proved", "refuted", "unknown")
    ]
    lines.append(", ".join(f"{count} {word}" for count, word in counts if count))
    return "\n".join(lines)


def _details(answer: "Answer", policy: "Policy") -> list[str]:
    from engine.language.diagnostics import visible

    if answer.vacuous:
        return ["    warning: its condition can never hold, so it says nothing"]
    if answer.verdict == "unknown":
        if not answer.work:
            return ["    its condition is too complex to be decided; split the proof"]
        return [
            (
                f"    stopped after {answer.work:,} steps; no task with fewer than {answer.differing} "
                "unusual facts breaks it"
            ),
            "    allow more with --max-work N",
        ]
    found = answer.counterexample
    if found is None:
        return []
    from engine.analysis.answer_text import task_text

    route = found.decision.route
    return [
        *([] if found.before is None else [f"    after a call: {task_text(found.before)}"]),
        f"    counterexample: {_facts_text(answer)}",
        "    chain: "
        f"{', '.join(visible(model.key) for model in found.decision.chain) or 'none, it is refused'}"
        + (f" (route {route.name})" if route else ""),
        "    as a test:",
        *(f"        {visible(line)}" for line in _test(answer, policy).split("\n")),
    ]


def _facts_text(answer: "Answer") -> str:
    from engine.analysis.answer_text import task_text

    assert answer.counterexample is not None
    return task_text(answer.counterexample.given)


def _test(answer: "Answer", policy: "Policy") -> str:
    from engine.analysis.answer_text import test_of_proof
    from engine.language.checked_policy import Answered
    from engine.language.syntax_tree import Prove

    assert answer.counterexample is not None
    written = next(
        statement
        for statement in policy.statements
        if isinstance(statement, Prove) and statement.name.text == answer.proof.name
    )
    return test_of_proof(
        written, answer.counterexample.given, is_chain=not isinstance(answer.proof.expectation, Answered)
    )


def proofs_json(answers: "Sequence[Answer]", policy: "Policy") -> dict[str, Any]:
    """Every verdict as plain values (schemas/proofs.schema.json)."""
    return {
        "version": 1,
        "proofs": [_answer_json(answer, policy) for answer in answers],
        "watched": _watched(policy),
    }


def _answer_json(answer: "Answer", policy: "Policy") -> dict[str, Any]:
    from engine.decision.fact_json import json_value

    found = answer.counterexample
    return {
        "name": answer.proof.name,
        "file": answer.proof.span.source.name,
        "line": answer.proof.span.line,
        "verdict": answer.verdict,
        "vacuous": answer.vacuous,
        **(
            {}
            if found is None or found.before is None
            else {"before": {name: json_value(value) for name, value in found.before.items()}}
        ),
        "counterexample": None
        if found is None
        else {name: json_value(value) for name, value in found.given.items()},
        "chain": None if found is None else [model.key for model in found.decision.chain],
        "test": None if found is None else _test(answer, policy),
        "work": answer.work,
    }


def _watched(policy: "Policy") -> list[str]:
    return [rule.name for rule in policy.checked.rules if rule.watch]


def steps(text: str) -> int:
    """A number of steps on the command line: `2000000`, `2_000_000`."""
    digits = text.replace("_", "").replace(",", "")
    if not (digits.isascii() and digits.isdecimal() and int(digits) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps")
    return int(digits)
