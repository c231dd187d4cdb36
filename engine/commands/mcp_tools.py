"""A tool of `engine mcp`, a policy folder and a tool's arguments -> its answer, as text and as plain values.

Each tool asks what a command asks, of the folder or of the folder with a draft over it. Only `propose`
writes. Nothing outside the folder is read, no provider is called, and texts are shown without what looks like
a key.
"""

import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from engine.analysis import search
from engine.analysis.judgement import MOST_WORK, judge
from engine.analysis.linter import lint
from engine.analysis.policy_diff import compare
from engine.analysis.policy_tests import run_tests
from engine.analysis.proofs import prove
from engine.analysis.proposal import Draft, drafted, unfit_files
from engine.analysis.why_not import why_not
from engine.authoring.saving import judged, save
from engine.bundled import bundled_path
from engine.commands.case_formats import report_json, report_text
from engine.commands.diff_formats import difference_json, difference_text
from engine.commands.fact_arguments import facts_of_json, given_facts
from engine.commands.findings import findings_json
from engine.commands.loading import summary
from engine.commands.proposal_formats import proposal_json, proposal_text
from engine.commands.prove import proofs_json, proofs_text
from engine.commands.why_not_text import why_not_json, why_not_text
from engine.config.folder import PolicyFolder, read_folder
from engine.config.redaction import without_secrets
from engine.decision.explanation import Explanation
from engine.decision.explanation_text import explanation_text
from engine.errors import EngineError
from engine.language.diagnostics import Diagnostic, Level, Problems
from engine.language.rendering import render
from engine.language.wording import listed, nearest
from engine.policy import Policy

Arguments: TypeAlias = Mapping[str, Any]
Schema: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool says: for a model to read, and for a program."""

    text: str
    data: dict[str, Any]


class ToolFailed(EngineError):  # noqa: N818 - what the client reads is the message
    """A question that cannot be answered; the message says what to ask instead."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `properties` are the JSON Schemas of its arguments."""

    name: str
    about: str
    properties: Mapping[str, Schema]
    run: Callable[[Path, Arguments], Answer]
    required: tuple[str, ...] = ()
    writes: bool = False

    @property
    def input_schema(self) -> Schema:
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }


# --- The folder, and a draft over it --------------------------------------------------------------------


def _files(folder: Path, arguments: Arguments, problems: Problems) -> PolicyFolder | None:
    """The folder, or the folder with the draft over it. Raises ToolFailed for a draft that no folder may
    have."""
    current = read_folder(folder, problems)
    if current is None or "draft" not in arguments:
        return current
    for objection in unfit_files(current, _draft(arguments)):
        raise ToolFailed(objection.text)
    return drafted(current, _draft(arguments), problems)


def _draft(arguments: Arguments) -> Draft:
    draft: Draft = arguments["draft"]
    return draft


def _policy(folder: Path, arguments: Arguments) -> Policy:
    """Raises ToolFailed with every error."""
    problems = Problems()
    report = lint(_files(folder, arguments, problems), problems)
    if report.context is None:
        errors = tuple(each for each in report.findings if each.level is Level.ERROR)
        raise ToolFailed(f"the policy has errors\n\n{_rendered(errors)}")
    return report.context.policy


def _rendered(findings: tuple[Diagnostic, ...]) -> str:
    return "\n\n".join(render(finding) for finding in findings)


# --- Tools ----------------------------------------------------------------------------------------------


def _read_policy(folder: Path, arguments: Arguments) -> Answer:
    problems = Problems()
    files = read_folder(folder, problems)
    if files is None:
        raise ToolFailed(_rendered(tuple(problems)))
    sources = [files.models, *([files.policies] if files.policies else []), *files.routes, files.base]
    texts = {source.name: without_secrets(source).text for source in sources}
    wanted = arguments.get("file")
    if wanted is None:
        texts.pop(files.base.name)
    elif wanted in texts:
        texts = {wanted: texts[wanted]}
    else:
        raise ToolFailed(f"there is no file {wanted!r}; the files are {listed(list(texts), most=30)}")
    if wanted is None and sum(map(len, texts.values())) > MOST_TEXT:
        lines = [f"{name}: {len(text):,} characters" for name, text in texts.items()]
        shown = "\n".join(["the folder is large; read its files one by one, by `file`", *lines])
        return Answer(shown, {"files": dict.fromkeys(texts)})
    shown = "\n".join(f"=== {name} ===\n{text}" for name, text in texts.items())
    return Answer(shown, {"files": texts})


MOST_TEXT = 200_000
"""Characters of the files that are shown together."""


def _explain(folder: Path, arguments: Arguments) -> Answer:
    explanation = _explanation(_policy(folder, arguments), arguments)
    return Answer(explanation_text(explanation, full=arguments.get("full", False)), explanation.to_json())


def _explanation(policy: Policy, arguments: Arguments) -> Explanation:
    given = facts_of_json(arguments["facts"], policy.names)
    return policy.explain(given, dict.fromkeys(given, "given"))


def _why_not(folder: Path, arguments: Arguments) -> Answer:
    policy = _policy(folder, arguments)
    keys, wanted = [model.key for model in policy.catalogue.models], arguments["model"]
    if wanted not in keys:
        near = nearest(wanted, keys)
        hint = f"did you mean {near}" if near else f"models are {listed(keys, most=30)}"
        raise ToolFailed(f"there is no model {wanted!r}; {hint}")
    explanation = _explanation(policy, arguments)
    answer = why_not(policy.explainer, explanation, wanted)
    return Answer(why_not_text(answer, explanation), why_not_json(answer, explanation))


def _lint(folder: Path, arguments: Arguments) -> Answer:
    problems = Problems()
    report = lint(_files(folder, arguments, problems), problems)
    shown = _rendered(report.findings)
    parts = [*([shown] if shown else []), summary(report.findings)]
    if report.is_open:
        parts.append("the work allowed did not suffice to look for everything")
    return Answer("\n\n".join(parts), findings_json(report.findings))


def _test(folder: Path, arguments: Arguments) -> Answer:
    reports = run_tests(_policy(folder, arguments))
    return Answer(report_text(reports), report_json(reports, None))


def _prove(folder: Path, arguments: Arguments) -> Answer:
    policy = _policy(folder, arguments)
    answers = prove(policy, search.MOST_WORK // (len(policy.checked.proofs) + 1))
    return Answer(proofs_text(answers, policy), proofs_json(answers, policy))


def _diff(folder: Path, arguments: Arguments) -> Answer:
    old, new = _policy(folder, {}), _policy(folder, arguments)
    difference, judgement = compare(old, new, MOST_WORK), judge(old, new)
    return Answer(difference_text(difference, judgement), difference_json(difference, judgement))


def _replay(folder: Path, arguments: Arguments) -> Answer:
    from engine.commands.replay_text import replay_text
    from engine.replay.report import Options, replay

    log = _log_inside(folder, arguments["log"])
    sides = [("folder", _policy(folder, {}))]
    if "draft" in arguments:
        sides.append(("draft", _policy(folder, arguments)))
    given = given_facts(arguments.get("set", []), sides[0][1].names)
    options = Options(tuple(arguments.get("map", [])), given, datetime(2024, 1, 1, tzinfo=UTC))
    report = replay(log, sides, options)
    return Answer(replay_text(report), report.to_json())


def _log_inside(folder: Path, name: str) -> Path:
    """A log below the folder: no link on the way, no pattern, nothing hidden. Raises ToolFailed."""
    place, parts = folder, name.split("/")
    for part in parts:
        if _PLAIN.fullmatch(part) is None:
            raise ToolFailed(f"{name!r} is no path of a log inside the policy folder, such as logs/calls.csv")
        place = place / part
    for each in (*(folder.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)), *_members(place)):
        try:
            mode = each.lstat().st_mode
        except OSError:
            raise ToolFailed(f"there is no log {name!r} in the policy folder") from None
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise ToolFailed(f"{name!r} is a link, and only what is inside the policy folder is read")
    return place


_PLAIN = re.compile(r"(?!\.)[\w.-]+")


def _members(place: Path) -> list[Path]:
    return sorted(place.iterdir()) if place.is_dir() and not place.is_symlink() else []


def _propose(folder: Path, arguments: Arguments) -> Answer:
    if folder.resolve().is_relative_to(bundled_path("policies").resolve()):
        raise ToolFailed(
            "this folder comes with the engine; make one of your own with `engine init`, and name it by "
            "--config"
        )
    proposal = judged(folder, _draft(arguments))
    is_written = proposal.is_sound and not arguments.get("dry_run", False)
    saved = save(folder, proposal, arguments["title"], arguments.get("reason", "")) if is_written else None
    return Answer(proposal_text(proposal, saved), proposal_json(proposal, saved))


# --- The table ------------------------------------------------------------------------------------------

_DRAFT: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "null"]},
    "description": "Files by name (models.yaml, policies.yaml, NAME.route) with their whole new text; null "
    "takes a file away. Files that are not named stay as they are.",
}
_OPTIONAL_DRAFT = {
    "draft": {**_DRAFT, "description": f"Ask of the folder with this draft over it. {_DRAFT['description']}"}
}
_FACTS: Schema = {
    "type": "object",
    "description": 'The task, such as {"type": "qa", "labels": ["pii"], "mode": "performance"}; the rest '
    "takes a test's defaults.",
}
_STRINGS: Schema = {"type": "array", "items": {"type": "string"}}

TOOLS = (
    Tool(
        "read_policy",
        "The files of the policy folder as they are. `base.route`, the engine's own guards, is read by name.",
        {"file": {"type": "string", "description": "One file; all of the folder's without it."}},
        _read_policy,
    ),
    Tool(
        "explain",
        "Which model a task gets, and why: the chain, the rules that decided, and what blocks the others.",
        {
            "facts": _FACTS,
            "full": {"type": "boolean", "description": "Every model, fact and step."},
            **_OPTIONAL_DRAFT,
        },
        _explain,
        ("facts",),
    ),
    Tool(
        "why_not",
        "What keeps a model from being chosen for a task, and the smallest change that would choose it.",
        {"facts": _FACTS, "model": {"type": "string"}, **_OPTIONAL_DRAFT},
        _why_not,
        ("facts", "model"),
    ),
    Tool("lint", "Everything that is wrong or surprising in the policy.", _OPTIONAL_DRAFT, _lint),
    Tool("test", "Runs the policy's tests.", _OPTIONAL_DRAFT, _test),
    Tool(
        "prove",
        "Decides the policy's proofs over all tasks there can be, with a counterexample where one fails.",
        _OPTIONAL_DRAFT,
        _prove,
    ),
    Tool(
        "diff",
        "Which tasks a draft decides differently from the folder, whether it lets more out, with a task that "
        "shows it, and whether it spends more.",
        {"draft": _DRAFT},
        _diff,
        ("draft",),
    ),
    Tool(
        "replay",
        "Decides the recorded tasks of a log inside the policy folder again: cost, locality, refusals; with "
        "a draft also what it would move.",
        {
            "log": {
                "type": "string",
                "description": "A path below the policy folder, such as logs/calls.csv.",
            },
            "map": {**_STRINGS, "description": "FIELD=COLUMN where a column has another name than its fact."},
            "set": {**_STRINGS, "description": "FACT=VALUE, a fact of every row."},
            **_OPTIONAL_DRAFT,
        },
        _replay,
        ("log",),
    ),
    Tool(
        "propose",
        "Hands in a draft. It is written for a person to merge only when it reads, lints without error, "
        "passes all tests and proofs of the folder and its own, keeps the folder's, and neither lets more "
        "out nor spends more; otherwise the answer is every reason, with a task that shows it.",
        {
            "draft": _DRAFT,
            "title": {"type": "string", "description": "One line: what changes."},
            "reason": {"type": "string", "description": "Why."},
            "dry_run": {"type": "boolean", "description": "Judge it, and write nothing."},
        },
        _propose,
        ("draft", "title"),
        writes=True,
    ),
)
