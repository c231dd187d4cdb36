"""A proposal, and where it was saved -> text for whoever made it, and plain values for JSON."""

from collections.abc import Iterator
from typing import Any

from engine.analysis.answer_text import task_text
from engine.analysis.objection import Kind, Objection
from engine.analysis.proposal import Proposal
from engine.authoring.saving import Saved
from engine.commands.findings import findings_json
from engine.decision.fact_json import json_value
from engine.language.diagnostics import visible

_HEADLINES: dict[Kind, str] = {
    "draft": "these are no files that a draft may have",
    "policy": "the draft has errors",
    "leak": "the draft lets more out",
    "spending": "the draft spends more",
    "unknown": "this was not decided, and counts against the draft",
    "test": "tests fail",
    "proof": "proofs are refuted",
    "dropped": "the draft does not keep what the folder promises",
}


def proposal_text(proposal: Proposal, saved: Saved | None) -> str:
    """The verdict, then every objection with its task and both chains, by kind."""
    if proposal.is_sound:
        return "\n".join(["sound: it may be taken unasked", *_saved_lines(saved)])
    lines = ["refused, and nothing is written:"]
    for kind, headline in _HEADLINES.items():
        of_kind = [each for each in proposal.objections if each.kind == kind]
        if of_kind:
            lines.append(f"{headline}:")
            lines += [f"  {line}" for each in of_kind for line in _objection_lines(each)]
    return "\n".join(lines)


def _saved_lines(saved: Saved | None) -> Iterator[str]:
    if saved is None:
        yield "nothing is written"
    elif saved.kind == "branch":
        yield f"it is on the branch {saved.name}, commit {saved.commit}; a person merges it"
    else:
        yield f"it is in the folder {saved.name}/ below the policy folder; a person copies it"


def _objection_lines(objection: Objection) -> Iterator[str]:
    yield visible(objection.text)
    if objection.given is not None:
        yield f"  task: {task_text(objection.given)}"
        for word, chain in (("now", objection.before), ("with the draft", objection.after)):
            if chain:
                yield f"  {word}: {', '.join(map(visible, chain))}"


def proposal_json(proposal: Proposal, saved: Saved | None) -> dict[str, Any]:
    """Everything as plain values (schemas/proposal.schema.json)."""
    judgement = proposal.judgement
    return {
        "version": 1,
        "sound": proposal.is_sound,
        "objections": [
            {
                "kind": each.kind,
                "text": each.text,
                "witness": None
                if each.given is None
                else {name: json_value(value) for name, value in each.given.items()},
                "old_chain": list(each.before),
                "new_chain": list(each.after),
            }
            for each in proposal.objections
        ],
        "saved": None if saved is None else {"kind": saved.kind, "name": saved.name, "commit": saved.commit},
        "findings": findings_json(proposal.findings)["findings"],
        "work": None if judgement is None else judgement.work,
    }
