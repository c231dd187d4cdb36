"""What two policies decide differently -> Markdown for a pull request: the verdict, what it lets out and
spends, what moves of a log, and each kind of task that moves with one to try."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from engine.analysis.answer_text import task_text
from engine.analysis.judgement import Change
from engine.analysis.policy_diff import MOST_REGIONS, Region
from engine.commands.compared import Compared, Verdict
from engine.commands.diff_findings import Cause, Causes, chains_of, moves_of
from engine.commands.diff_formats import condition_text, given_of
from engine.commands.explain_command import explain_command
from engine.commands.findings import path_in
from engine.commands.markdown import block, code, codes, folded, page, whole_code
from engine.language.checked_policy import FactValue
from engine.language.known_names import Names

CUT = "*The rest does not fit here; `engine diff` shows all of it.*"
_MOST_SHOWN = 20
_MOST_OF_A_KIND = 10
_MOST_OF_A_COMMAND = 2_000

_SENTENCES: Mapping[Verdict, str] = {
    "looser": "Cloud models join chains that they were kept out of, or requests go to other places.",
    "not known": "The work allowed did not suffice to know whether more goes out. It may be looser.",
    "not looser": "Nothing more goes out. Whether less does is not known.",
    "stricter": "Cloud models leave chains, and none joins one.",
    "same": "No cloud model joins or leaves a chain.",
}


def difference_markdown(result: Compared, folder: Path) -> str:
    """The whole page. `folder` is where the new policy lies."""
    parts = [f"## Policy diff: {result.verdict}", verdict_text(result), *change_parts(result, folder)]
    return page(parts, CUT)


def verdict_text(result: Compared) -> str:
    """What goes out, and what is spent, in two sentences."""
    text = _SENTENCES[result.verdict]
    if result.verdict == "looser" and result.difference.stricter:
        text += " Elsewhere cloud models leave chains."
    judgement = result.judgement
    if judgement.spending:
        return f"{text} **More may be spent.**"
    return f"{text} {'Whether more is spent is not known.' if judgement.undecided else 'No more is spent.'}"


def change_parts(result: Compared, folder: Path) -> Iterator[str]:
    """What the change does, what matters most first."""
    yield from _judged("What may go out", result.judgement.leaks, result, folder)
    yield from _judged("What may be spent", result.judgement.spending, result, folder)
    yield from _unknown(result)
    yield from _log(result)
    yield from _one_sided(result)
    yield from _moving(result, folder)


def command(given: Mapping[str, FactValue], names: Names, folder: Path) -> str:
    """A block with the command line that explains a task under the new policy."""
    shown = path_in(folder, "")
    text = explain_command(given, names, () if shown == "config" else ("--config", shown))
    if len(text) > _MOST_OF_A_COMMAND:
        return "*(The task is too long to be shown here.)*"
    return block([text], "console")


# --- Sections -------------------------------------------------------------------------------------------


def _judged(title: str, changes: Sequence[Change], result: Compared, folder: Path) -> Iterator[str]:
    if not changes:
        return
    yield f"### {title}"
    plain = [f"- {code(change.text)}" for change in changes if change.given is None]
    if plain:
        yield "\n".join(plain[:_MOST_SHOWN])
    if len(plain) > _MOST_SHOWN:
        yield f"And {len(plain) - _MOST_SHOWN} more like these."
    for change in changes:
        if change.given is not None:
            yield f"{_sentence(change, result)}:"
            yield command(change.given, result.new.names, folder)


def _sentence(change: Change, result: Compared) -> str:
    cloud = {model.key for model in result.new.catalogue.models if model.locality == "cloud"}
    joining = [key for key in change.after if key in cloud and key not in change.before]
    if change in result.judgement.spending:
        return f"{code(change.after[0])} comes first for this task, where {code(change.before[0])} did"
    if change.modes is not None:
        old, new = change.modes
        return (
            f"The default mode is {code(new)} and was {code(old)}: {codes(joining)} may get this task, which "
            "names no mode"
        )
    if not change.before and change.text.startswith("the "):
        return f"{code(change.text)}, such as this task"
    return f"{codes(joining or change.after)} may get this task"


def _unknown(result: Compared) -> Iterator[str]:
    texts = [f"- {text}" for text in result.judgement.undecided]
    if not result.difference.is_complete:
        capped = len(result.difference.regions) >= MOST_REGIONS
        texts.append(
            f"- more tasks may move than are shown: only the first {MOST_REGIONS} kinds are looked for"
            if capped
            else "- more tasks may move than are shown: the work allowed did not suffice"
        )
    if texts:
        yield "### Not known"
        yield "\n".join(texts)


def _one_sided(result: Compared) -> Iterator[str]:
    lines = [
        f"- only {side} has the {one.kind} {codes(names)}"
        for one in result.difference.one_sided
        for side, names in (("the old policy", one.old), ("the new policy", one.new))
        if names
    ]
    if lines:
        yield "### Names\n\nTasks with these names are not compared below."
        yield "\n".join(lines)


# --- A log ----------------------------------------------------------------------------------------------


def _log(result: Compared) -> Iterator[str]:
    from engine.commands.replay_text import dollars

    report = result.report
    if report is None:
        return
    budgets = "played from zero" if report.simulated else "as recorded"
    yield f"### On the recorded log\n\n{report.rows:,} tasks of {code(report.log)}, with budgets {budgets}."
    old, new = report.sides
    rows = [
        ("cost", f"`{dollars(old.usd)}`", f"`{dollars(new.usd)}`"),
        ("stay local", _share(old.local_share), _share(new.local_share)),
        ("refused", f"{old.refused:,}", f"{new.refused:,}"),
    ]
    yield table(rows)
    yield from _moves(result)
    if report.notes:
        yield f"Note: {', '.join(whole_code(note) for note in report.notes)}."


def table(rows: Sequence[tuple[str, str, str]]) -> str:
    """Figures before and after; the cells are texts of ours."""
    lines = [("", "before", "after"), ("---", "--:", "--:"), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _share(share: float | None) -> str:
    return "none answered" if share is None else f"{share:.1%}"


def _moves(result: Compared) -> Iterator[str]:
    from engine.commands.replay_text import difference_text

    assert result.report is not None
    moves, rows = result.report.moves, result.report.rows
    moved = sum(move.rows for move in moves)
    if not moved:
        yield "Nothing moves."
        return
    yield f"{moved:,} of them move ({moved / rows:.1%}):"
    lines = []
    for move in moves[:_MOST_SHOWN]:
        before, after = (code(key) if key else "refused" for key in (move.before, move.after))
        rules = dict.fromkeys(f"{code(why.rule)} ({code(why.place)})" for why in move.reasons if why.rule)
        because = f", by {', '.join(rules)}" if rules else ""
        lines.append(f"- {move.rows:,} from {before} to {after}, `{difference_text(move)}`{because}")
    if len(moves) > _MOST_SHOWN:
        rest = sum(move.rows for move in moves[_MOST_SHOWN:])
        lines.append(f"- {rest:,} more in {len(moves) - _MOST_SHOWN:,} other ways")
    yield "\n".join(lines)


# --- Tasks that move ------------------------------------------------------------------------------------


def _moving(result: Compared, folder: Path) -> Iterator[str]:
    difference = result.difference
    if not difference.regions:
        if difference.is_complete:
            yield "No task is decided differently."
        return
    causes = Causes(result.old, result.new)
    kinds: dict[tuple[str, tuple[Cause, ...]], list[Region]] = {}
    for region in difference.regions:
        kinds.setdefault((_word(region), tuple(causes.of(region))), []).append(region)
    yield "### Tasks that move"
    for (word, why), regions in kinds.items():
        yield f"**{word.capitalize()}**: {', '.join(map(_cause_text, why))}; {_how(regions)}, such as:"
        yield command(given_of(regions[0], difference), result.new.names, folder)
        lines = [_line(region, result) for region in regions[:_MOST_OF_A_KIND]]
        if len(regions) > _MOST_OF_A_KIND:
            lines.append(f"- and {len(regions) - _MOST_OF_A_KIND} more kinds of tasks")
        yield folded(f"which tasks, exactly: {_counted(len(regions), 'kind')}", "\n".join(lines))


def _line(region: Region, result: Compared) -> str:
    before, after = (code(chain[0]) if chain else "refused" for chain in chains_of(region))
    task = code(task_text(given_of(region, result.difference)))
    condition = whole_code(condition_text(region, result.difference) or "every task")
    first = f"still {after}" if before == after else f"{after} instead of {before}"
    return f"- {condition}; for example {task}: {first}"


def _word(region: Region) -> str:
    if region.order_only:
        return "another order"
    if region.looser:
        return "looser and stricter" if region.stricter else "looser"
    return "stricter" if region.stricter else "local models only"


def _how(regions: Sequence[Region]) -> str:
    """What happens in regions of one kind, all together."""
    moves = [moves_of(region) for region in regions]
    joining, leaving = ([key for move in moves for key in move[side]] for side in (0, 1))
    parts = [f"more tasks may go to {codes(dict.fromkeys(joining))}"] if joining else []
    parts += [f"fewer tasks go to {codes(dict.fromkeys(leaving))}"] if leaving else []
    if not parts:
        before, after = chains_of(regions[0])
        parts = (
            [f"{code(after[0])} instead of {code(before[0])} comes first for some"]
            if before[:1] != after[:1]
            else [f"the order of some is {codes(after)}, and was {codes(before)}"]
        )
    return "; ".join(parts)


def _cause_text(cause: Cause) -> str:
    place = code(f"{cause.span.source.name}:{cause.span.line}")
    return f"{code(cause.name)} {cause.did} ({place})" if cause.name else cause.did


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
