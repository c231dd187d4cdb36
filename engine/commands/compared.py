"""Two policies, and a log where there is one -> all that `engine diff` and `engine review` say of them, and
the exit code for it."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.analysis.judgement import Judgement, judge
from engine.analysis.policy_diff import Difference, compare
from engine.policy import Policy

if TYPE_CHECKING:
    from engine.replay.report import Report

DIFFERENT, UNKNOWN = 1, 4
Verdict: TypeAlias = Literal["looser", "not known", "not looser", "stricter", "same"]


@dataclass(frozen=True, slots=True)
class Compared:
    """A policy and what is to replace it."""

    old: Policy
    new: Policy
    difference: Difference
    judgement: Judgement
    report: "Report | None"

    @property
    def verdict(self) -> Verdict:
        """What goes out to the cloud, the worst first; `not looser` when it may be less."""
        looser = (self.difference.looser, self.judgement.lets_more_out)
        if True in looser:
            return "looser"
        if None in looser:
            return "not known"
        if self.difference.stricter is None:
            return "not looser"
        return "stricter" if self.difference.stricter else "same"

    def exit_code(self, fail_on: str) -> int:
        """1 for what `--fail-on` names: looser, also costlier, or any difference; 4 for what is not known."""
        difference, judgement = self.difference, self.judgement
        if fail_on != "never" and self.verdict == "looser":
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


def compared(sides: Sequence[tuple[str, Policy]], arguments: argparse.Namespace, most_work: int) -> Compared:
    """Raises UnreadableLog and InvalidFact, before it searches."""
    report = None if arguments.log is None else _replayed(sides, arguments)
    old, new = (policy for _, policy in sides)
    return Compared(old, new, compare(old, new, most_work), judge(old, new, most_work), report)


def _replayed(sides: Sequence[tuple[str, Policy]], arguments: argparse.Namespace) -> "Report":
    from engine.commands.replay import column_options
    from engine.replay.report import replay

    return replay(Path(arguments.log), sides, column_options(arguments, sides[0][1]))
