"""A log with outcomes -> the table for tuning; a proposal of tuning -> a `.route` file for people to read.

The file reports only results of the held-out part. It holds one pair of routes: tasks for the strong model,
and the other types that the log has. Types that the log does not have are left to the policy's other routes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.decision.facts import Facts
from engine.language.diagnostics import Problems, visible
from engine.language.formatter import print_file
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.wording import quoted, written_name
from engine.policy import Policy
from engine.replay.columns import columns_of
from engine.replay.encoding import Chunk, Numbers
from engine.replay.errors import UnreadableLog
from engine.replay.logs import open_log
from engine.replay.outcomes import format_interval
from engine.replay.report import Options
from engine.replay.tuning import Proposal, Table

FILE_NAME = "00-tuned.route"
FEWEST_ROWS = 50


def read_table(path: Path, policy: Policy, options: Options) -> Table:
    """The rows of a log in which both models of `options.pair` have a score. Raises UnreadableLog."""
    assert options.pair is not None
    log = open_log(path)
    models = [model.key for model in policy.catalogue.models]
    columns = columns_of(log.names, log.numeric, options.mappings, models)
    for model in options.pair:
        if model not in models:
            raise UnreadableLog(f"there is no model {model!r} in models.yaml")
        if f"score.{model}" not in columns.by_field:
            raise UnreadableLog(f"the log has no score of {model!r}: --map score.{model}=COLUMN")
    parts, first = [], 0
    assumed: Facts = policy.assumed.facts
    for frame in log.chunks(sorted(set(columns.by_field.values())), options.chunk_rows):
        chunk = Chunk(
            first, frame.height, frame, columns, options.start, assumed, options.given, policy.names
        )
        parts.append(_part(chunk, options.pair))
        first += frame.height
    table = _joined(parts)
    if table.rows < FEWEST_ROWS:
        raise UnreadableLog(
            f"{path} has {table.rows} rows with both scores; tuning on fewer than {FEWEST_ROWS} is guessing"
        )
    return table


def _part(chunk: Chunk, pair: tuple[str, str]) -> Table:
    if "task.type" in chunk.columns.by_field or "task.type" in chunk.given:
        types = chunk.factor("task.type", "")
    else:
        types = None
    labels = chunk.factor("task.labels", "")
    weak, strong = (chunk.scores(model) for model in pair)
    assert weak is not None
    assert strong is not None
    names = [""] if types is None else [str(value) for value in types.values]
    type_of = np.zeros(chunk.rows, np.int64) if types is None or types.codes is None else types.codes
    sets = [value if isinstance(value, frozenset) else frozenset() for value in labels.values]
    every = sorted(frozenset().union(*sets))
    member = np.array([[label in one for label in every] for one in sets], bool).reshape(
        len(sets), len(every)
    )
    codes = np.zeros(chunk.rows, np.int64) if labels.codes is None else labels.codes
    known = np.flatnonzero(~np.isnan(weak) & ~np.isnan(strong))
    return Table(tuple(names), type_of[known], tuple(every), member[codes[known]], weak[known], strong[known])


def _joined(parts: Sequence[Table]) -> Table:
    types = sorted({name for part in parts for name in part.types})
    labels = sorted({name for part in parts for name in part.labels})
    place = {name: number for number, name in enumerate(types)}
    type_of = [np.array([place[name] for name in part.types], np.int64)[part.type_of] for part in parts]
    has = []
    for part in parts:
        wide = np.zeros((part.rows, len(labels)), bool)
        for number, label in enumerate(part.labels):
            wide[:, labels.index(label)] = part.has[:, number]
        has.append(wide)
    none: list[Numbers] = [np.zeros(0)]
    return Table(
        tuple(types),
        np.concatenate([*type_of, np.zeros(0, np.int64)]),
        tuple(labels),
        np.concatenate([*has, np.zeros((0, len(labels)), bool)]),
        np.concatenate([*(part.weak for part in parts), *none]),
        np.concatenate([*(part.strong for part in parts), *none]),
    )


# --- The file ---------------------------------------------------------------------------------------------


def route_file(proposal: Proposal, weak: str, strong: str, log: str, seed: int) -> str:
    """The proposal as a `.route` file in canonical layout, under a comment with the evidence of the held-out
    part."""
    evidence = "".join(f"# {line}\n" for line in _evidence(proposal, weak, strong, log, seed))
    for all_quoted in (False, True):
        problems = Problems()
        parsed = parse(Source(FILE_NAME, _routes(proposal, weak, strong, _Writer(all_quoted))), problems)
        if not problems.has_errors:
            return f"{evidence}\n{print_file(parsed)}"
    raise AssertionError([problem.message for problem in problems])


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes names bare where that is allowed, or all quoted when one of them is a word of the language."""

    all_quoted: bool

    def name(self, name: str) -> str:
        return quoted(name) if self.all_quoted else written_name(name)

    def clause(self, types: Sequence[str], labelled: str) -> str:
        """One condition; the empty type stands for a log without types."""
        named = "" if list(types) == [""] else f"task.type in [{', '.join(map(self.name, types))}]"
        if named and labelled:
            return f"({named} and {labelled})"
        return named or labelled

    def has(self, label: str, present: bool) -> str:
        return f"{'' if present else 'not '}task.labels has {self.name(label)}"

    def labelled(self, patterns: frozenset[tuple[bool, ...]], labels: Sequence[str]) -> str:
        """A condition on labels that holds for just these patterns."""
        spelled = [
            " and ".join(self.has(label, present) for label, present in zip(labels, pattern, strict=True))
            for pattern in sorted(patterns, reverse=True)
        ]
        return spelled[0] if len(spelled) == 1 else f"({' or '.join(f'({one})' for one in spelled)})"


def _routes(proposal: Proposal, weak: str, strong: str, write: _Writer) -> str:
    by_type: dict[str, set[tuple[bool, ...]]] = {}
    for cell in proposal.cells:
        by_type.setdefault(cell.type, set())
        if cell.strong:
            by_type[cell.type].add(cell.with_labels)
    groups: dict[frozenset[tuple[bool, ...]], list[str]] = {}
    for type_, patterns in sorted(by_type.items()):
        groups.setdefault(frozenset(patterns), []).append(type_)
    whole = 1 << len(proposal.labels)
    clauses = [
        write.clause(types, "" if len(patterns) == whole else write.labelled(patterns, proposal.labels))
        for patterns, types in sorted(groups.items(), key=lambda group: (-len(group[0]), group[1]))
        if patterns
    ]
    lines = ["language 1", ""]
    everything = clauses == [""]
    if clauses:
        lines.append(f"route tuned-strong: use {write.name(strong)}, then {write.name(weak)}")
        lines += [] if everything else [f"    when {' or '.join(clauses)}"]
    if not everything:
        rest = write.clause(sorted(by_type), "")
        lines += ["", f"route tuned-weak: use {write.name(weak)}, then {write.name(strong)}"]
        lines += [f"    when {rest}"] if rest else []
    return "\n".join(lines) + "\n"


def _evidence(proposal: Proposal, weak: str, strong: str, log: str, seed: int) -> list[str]:
    held = proposal.held_out
    relative = format_interval(held.percent_of_strong, percent=True)
    better, worse = visible(strong), visible(weak)
    return [
        (
            f"Proposed by engine tune from {visible(log)}: fitted on {proposal.fitted.rows:,} rows,"
            f" scored on {held.rows:,} others (seed {seed})."
        ),
        f"On those others: {held.share:.1%} of calls to {better}, score {format_interval(held.score)},",
        f"which is {relative} of {better}'s {held.strong:.4f}; {worse} alone scores {held.weak:.4f}.",
        (
            f"With the same share a coin scores {held.coin:.4f},"
            f" and shuffled types {format_interval(proposal.shuffled_score)}."
        ),
        *claims(proposal, strong),
        f"Put it before the other routes of the folder (as {FILE_NAME}): the first route that holds decides.",
    ]


def claims(proposal: Proposal, strong: str) -> list[str]:
    """Sentences that say which claims the held-out part supports, and which not."""
    sentences = []
    reached = proposal.reaches_quality
    if reached is not None and proposal.wanted.quality is not None:
        wanted = f"{proposal.wanted.quality:.0%} of {visible(strong)}'s score"
        value, low = proposal.held_out.percent_of_strong.value, proposal.held_out.percent_of_strong.low
        if reached:
            sentences.append(f"Shown: at least {wanted}.")
        elif value >= proposal.wanted.quality:
            sentences.append(
                f"Not shown: {wanted} is reached here, but by no more than luck could ({low:.1%} is within "
                "it)."
            )
        else:
            sentences.append(f"Not shown: {wanted} is not reached on these rows.")
    if proposal.beats_chance:
        sentences.append("Shown: better than a coin with the same share, and than shuffled types.")
    else:
        sentences.append("Not shown: anything that a coin or shuffled types would not also reach.")
    return sentences
