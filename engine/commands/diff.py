"""`engine diff`: which tasks two versions of a policy decide differently, and whether more goes out to the
cloud.

With a log, it also replays the log under both (`engine replay`) and reports the tasks that move.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, tell
from engine.commands.prove import steps
from engine.commands.replay import add_column_arguments
from engine.commands.terminal import Terminal
from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.analysis.judgement import Change, Judgement
    from engine.analysis.policy_diff import Difference, Region, Side
    from engine.config.folder import PolicyFolder
    from engine.language.diagnostics import Problems
    from engine.policy import Policy
    from engine.replay.report import Report

SUMMARY = "show which tasks two versions of a policy decide differently"
DESCRIPTION = """Compares two policies over all facts there can be: every region of tasks that is decided
differently, with a condition and an example, and whether the new one lets more out to the cloud. OLD and
NEW are policy folders, or git revisions of the policy folder (HEAD~1, a branch, REV:PATH). With --log also
which recorded tasks, and how many dollars, go to another model. The exit code is 1 when NEW is looser (see
--fail-on), 4 when the work allowed did not suffice to know."""
DIFFERENT, UNKNOWN = 1, 4


class Incomparable(EngineError):  # noqa: N818 - what the user reads is the message
    """A side of the comparison that is neither a folder nor a revision that holds a policy."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="a policy folder or a git revision")
    parser.add_argument("new", metavar="NEW", help="a policy folder or a git revision")
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    parser.add_argument(
        "--fail-on",
        choices=("looser", "costlier", "any", "never"),
        default="looser",
        help="exit with 1 when NEW lets more out than OLD, when it also or only spends more, when anything "
        "differs, or never (default: %(default)s)",
    )
    parser.add_argument(
        "--log",
        metavar="LOG",
        help="also decide this log again under both: anything that `engine replay` reads, such as the "
        "folder of a decision log",
    )
    add_column_arguments(parser)
    parser.add_argument(
        "--max-work", type=steps, metavar="N", help="steps the search may take (default: 10 million)"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.analysis.judgement import judge
    from engine.analysis.policy_diff import compare
    from engine.analysis.search import MOST_WORK

    if arguments.log is None and (arguments.map or arguments.set):
        raise Incomparable("--map and --set say something of a log: give it with --log")
    sides = []
    for name in (arguments.old, arguments.new):
        policy = _policy(name, arguments, terminal)
        if policy is None:
            return COULD_NOT_RUN
        sides.append(policy)
    # Before the search, so that an error in the log is reported at once.
    report = None if arguments.log is None else _replayed(sides, arguments)
    most_work = arguments.max_work or MOST_WORK
    old, new = sides
    difference, judgement = compare(old, new, most_work), judge(old, new, most_work)
    if arguments.format == "json":
        answer = difference_json(difference, judgement)
        if report is not None:
            answer["log"] = _log_json(report)
        terminal.say(json.dumps(answer, indent=1))
    else:
        terminal.say(difference_text(difference, judgement))
        if report is not None:
            terminal.say("\n" + _log_text(report))
    return _exit_code(difference, judgement, arguments.fail_on)


def _replayed(sides: "list[Policy]", arguments: argparse.Namespace) -> "Report":
    """The log under both policies. Raises UnreadableLog, InvalidFact."""
    from engine.commands.replay import column_options
    from engine.replay.report import replay

    named = list(zip((arguments.old, arguments.new), sides, strict=True))
    return replay(Path(arguments.log), named, column_options(arguments, sides[0]))


def _exit_code(difference: "Difference", judgement: "Judgement", fail_on: str) -> int:
    if fail_on != "never" and (difference.looser or judgement.lets_more_out):
        return DIFFERENT
    if fail_on in ("costlier", "any") and judgement.spending:
        return DIFFERENT
    if fail_on == "any" and (difference.regions or difference.one_sided):
        return DIFFERENT
    if difference.looser is None or judgement.lets_more_out is None:
        return UNKNOWN
    if fail_on in ("costlier", "any") and judgement.undecided:
        return UNKNOWN
    if fail_on == "any" and not difference.is_complete:
        return UNKNOWN
    return 0


# --- The two sides --------------------------------------------------------------------------------------


def _policy(name: str, arguments: argparse.Namespace, terminal: Terminal) -> "Policy | None":
    from engine.language.diagnostics import Problems
    from engine.policy import build

    problems = Problems()
    files = _files(name, arguments, problems)
    policy = None if files is None else build(files, problems)
    if policy is None:
        terminal.note(f"engine diff: the policy of {name!r} has errors")
        tell(problems, terminal)
    return policy


def _files(name: str, arguments: argparse.Namespace, problems: "Problems") -> "PolicyFolder | None":
    from engine.config.folder import read_folder

    if Path(name).is_dir():
        return read_folder(name, problems)
    return _files_at(name, _beside(name, arguments), problems)


def _beside(name: str, arguments: argparse.Namespace) -> Path:
    """The folder that a revision belongs to: the other side when that is a folder, else the policy folder in
    force."""
    import os

    from engine.policy import find_folder

    other = arguments.new if name == arguments.old else arguments.old
    if arguments.config is None and Path(other).is_dir():
        return Path(other)
    return find_folder(arguments.config, os.environ.get("ENGINE_CONFIG_DIR"))


def _files_at(revision: str, folder: Path, problems: "Problems") -> "PolicyFolder | None":
    """The policy folder as git has it at a revision.

    Only plain files are read, and nothing is checked out.
    """
    from engine.config.folder import folder_in_memory

    revision, colon, path = revision.partition(":")
    if not revision or revision.startswith("-"):
        raise Incomparable(f"{revision!r} is neither a folder nor a git revision")
    if not colon:
        path = _git(folder, "rev-parse", "--show-prefix").decode("utf-8", "surrogateescape").strip("\n")
    tree = f"{revision}:{path.rstrip('/')}"
    files: dict[str, bytes] = {}
    for entry in _git(folder, "ls-tree", "-z", "--full-tree", "--end-of-options", tree).split(b"\0"):
        about, _, raw = entry.partition(b"\t")
        name = raw.decode("utf-8", "surrogateescape")
        is_wanted = name in ("models.yaml", "policies.yaml") or (
            name.endswith(".route") and not name.startswith(".")
        )
        if is_wanted and about.startswith(b"100"):
            files[name] = _git(folder, "cat-file", "blob", about.split()[2].decode())
    if "models.yaml" not in files:
        raise Incomparable(f"there is no policy in {tree!r}: it has no models.yaml")
    routes: dict[str, str | bytes] = {name: data for name, data in files.items() if name.endswith(".route")}
    return folder_in_memory(
        files["models.yaml"], files.get("policies.yaml"), routes, problems=problems, name=tree
    )


def _git(folder: Path, *words: str) -> bytes:
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Incomparable(f"git could not be asked: {error}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Incomparable(f"git says: {lines[-1] if lines else 'nothing'}")
    return done.stdout


# --- Answers --------------------------------------------------------------------------------------------

_HEADLINES = {
    "equivalent": "exposure: equivalent, no cloud model joins or leaves a chain",
    "stricter": "exposure: stricter, cloud models leave chains and none joins one",
    "looser": "exposure: LOOSER, cloud models join chains they were kept out of",
    "mixed": "exposure: MIXED, cloud models join some chains and leave others",
    None: "exposure: unknown, the work allowed did not suffice (--max-work N allows more)",
}


def difference_text(difference: "Difference", judgement: "Judgement") -> str:
    """The verdict, what lets more out or spends more, then every region with its condition, both decisions
    and an example."""
    from engine.analysis.policy_diff import MOST_REGIONS
    from engine.language.diagnostics import visible

    lines = [_HEADLINES[difference.exposure]]
    for word, texts in (
        ("lets more out", [change.text for change in judgement.leaks]),
        ("spends more", [change.text for change in judgement.spending]),
        ("unknown", judgement.undecided),
    ):
        lines += [f"{word}: {visible(text)}" for text in texts]
    for one in difference.one_sided:
        for side, names in (("old", one.old), ("new", one.new)):
            if names:
                lines.append(f"only the {side} policy knows the {one.kind} {', '.join(map(visible, names))}")
    if not difference.regions and difference.is_complete:
        lines.append("no task is decided differently")
    for number, region in enumerate(difference.regions, start=1):
        lines += ["", *_region_lines(number, region, difference)]
    if not difference.is_complete:
        capped = len(difference.regions) >= MOST_REGIONS
        why = (
            f"only the first {MOST_REGIONS} are shown"
            if capped
            else "the work allowed did not suffice (--max-work N)"
        )
        lines += ["", f"there may be more differences than these: {why}"]
    return "\n".join(lines)


def _region_lines(number: int, region: "Region", difference: "Difference") -> Iterator[str]:
    from engine.language.diagnostics import visible

    kind = "order only" if region.order_only else _word(region)
    yield f"{number}. {kind}: {visible(_condition(region, difference)) or 'every task'}"
    yield f"   old: {_side_text(region.old, whole=region.order_only)}"
    yield f"   new: {_side_text(region.new, whole=region.order_only)}"
    before, after = ([model.key for model in side.decision.chain] for side in (region.old, region.new))
    joined, left = [key for key in after if key not in before], [key for key in before if key not in after]
    for word, keys in (("joins", joined), ("leaves", left)):
        if keys:
            yield f"   {word} the chain: {', '.join(map(visible, keys))}"
    yield f"   for example: {_witness_text(region, difference)}"


def _word(region: "Region") -> str:
    if region.looser:
        return "looser and stricter" if region.stricter else "looser"
    return "stricter" if region.stricter else "local models only"


def _condition(region: "Region", difference: "Difference") -> str:
    """The tasks of a region and no others, to be pasted behind `when`; what is unusual about them first."""
    from engine.analysis.answer_text import conditions
    from engine.language.vocabulary import GIVEN

    space = difference.space
    unusual = {
        GIVEN[axis.fact].name
        for number, cells in region.box.items()
        if (axis := space.axes[number]).usual is None or not cells >> axis.usual & 1
    }
    parts = sorted(conditions(space, region.box), key=lambda part: part[0] not in unusual)
    return " and ".join(text for _, text in parts)


def _side_text(side: "Side", *, whole: bool) -> str:
    """The chosen model and how many fallbacks (or the whole chain), and the rule to look at."""
    from engine.language.diagnostics import visible

    chain = [visible(model.key) for model in side.decision.chain]
    shown = chain if whole else chain[:1]
    more = f" and {len(chain) - len(shown)} more" if len(chain) > len(shown) else ""
    rule = side.rule
    place = f" ({visible(rule.name)}, {visible(rule.span.source.name)}:{rule.span.line})" if rule else ""
    return (", ".join(shown) or "refused") + more + place


def _given(region: "Region", difference: "Difference") -> dict[str, Any]:
    from engine.analysis.answer_text import facts_to_state

    return facts_to_state(region.facts, difference.space.domain.defaults)


def _witness_text(region: "Region", difference: "Difference") -> str:
    from engine.analysis.answer_text import task_text

    return task_text(_given(region, difference))


def difference_json(difference: "Difference", judgement: "Judgement") -> dict[str, Any]:
    """Everything as plain values (schemas/diff.schema.json)."""
    from engine.analysis.answer_text import conditions
    from engine.decision.fact_json import json_value

    return {
        "version": 1,
        "different": bool(difference.regions) or (None if not difference.is_complete else False),
        "exposure": difference.exposure,
        "looser": difference.looser,
        "stricter": difference.stricter,
        "complete": difference.is_complete,
        "one_sided": [
            {"kind": one.kind, "old": list(one.old), "new": list(one.new)} for one in difference.one_sided
        ],
        "regions": [
            {
                "facts": dict(conditions(difference.space, region.box)),
                "witness": {name: json_value(value) for name, value in _given(region, difference).items()},
                "old": _side_json(region.old),
                "new": _side_json(region.new),
                "order_only": region.order_only,
                "looser": region.looser,
                "stricter": region.stricter,
            }
            for region in difference.regions
        ],
        "judgement": {
            "lets_more_out": judgement.lets_more_out,
            "leaks": [_change_json(change) for change in judgement.leaks],
            "spending": [_change_json(change) for change in judgement.spending],
            "undecided": list(judgement.undecided),
            "work": judgement.work,
        },
        "log": None,
    }


def _change_json(change: "Change") -> dict[str, Any]:
    from engine.decision.fact_json import json_value

    given = change.given
    return {
        "text": change.text,
        "witness": None if given is None else {name: json_value(value) for name, value in given.items()},
        "old_chain": list(change.before),
        "new_chain": list(change.after),
    }


def _side_json(side: "Side") -> dict[str, Any]:
    decision, rule = side.decision, side.rule
    return {
        "model": decision.chain[0].key if decision.chain else None,
        "chain": [model.key for model in decision.chain],
        "route": decision.route.name if decision.route else None,
        "rule": None
        if rule is None
        else {"rule": rule.name, "file": rule.span.source.name, "line": rule.span.line},
    }


# --- What moves of a log --------------------------------------------------------------------------------


def _log_text(report: "Report") -> str:
    from engine.commands.replay_text import dollars, moved_text
    from engine.language.diagnostics import visible

    old, new = report.sides
    budgets = "played from zero" if report.simulated else "as recorded"
    costs = f"{dollars(old.usd)} under the old policy, {dollars(new.usd)} under the new"
    lines = [
        f"{visible(report.log)}: {report.rows:,} tasks, {costs} (budgets {budgets})",
        moved_text(report),
        *(f"note: {note}" for note in report.notes),
    ]
    return "\n".join(lines)


def _log_json(report: "Report") -> dict[str, Any]:
    replayed = report.to_json()
    old, new = replayed["policies"]
    return {
        "file": replayed["log"]["file"],
        "rows": replayed["log"]["rows"],
        "budgets": replayed["budgets"],
        "usd_old": old["usd"],
        "usd_new": new["usd"],
        "refused_old": old["refused"],
        "refused_new": new["refused"],
        "moved": replayed["moved"],
        "notes": replayed["notes"],
    }
