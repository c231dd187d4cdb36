"""Lint verdicts, proofs and differences against brute force, on as many random policies as asked for.

python -m tests.analysis.agreement --worlds 2000

The test run asks 1,000 worlds of lint, 2,000 of proofs and 800 pairs of `diff`; this draws others, which
`--seed` names. Every task of a world is decided by the reference. Prints each disagreement with what repeats
it, and exits with 1 when there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from random import Random

from tests.analysis.small_worlds import SmallWorld, changed_world, worlds
from tests.analysis.test_linter import check_lint
from tests.analysis.test_policy_diff import check_diff
from tests.analysis.test_proofs import check_proofs


def _check_diff(number: int, world: SmallWorld) -> None:
    check_diff(number, world, changed_world(Random(-number), world))


# Tiers that depend on the task are left to the questions whose enumeration knows them.
QUESTIONS: dict[str, tuple[Callable[[int, SmallWorld], None], bool]] = {
    "lint": (check_lint, False),
    "prove": (check_proofs, True),
    "diff": (_check_diff, True),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(QUESTIONS)} (all)")
    parser.add_argument("--worlds", type=int, default=2000, help="of each question (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=50_000, help="draws the worlds (default: %(default)s)")
    arguments = parser.parse_args()
    wrong = 0
    for question in arguments.questions or QUESTIONS:
        check, may_cross = QUESTIONS[question]
        began, disagreements, half = time.process_time(), 0, arguments.worlds // 2 if may_cross else 0
        drawn = (
            *worlds(arguments.worlds - half, arguments.seed),
            *worlds(half, arguments.seed + 1, cross=True),
        )
        for number, world in drawn:
            try:
                check(number, world)
            except AssertionError as error:
                disagreements += 1
                print(f"{question}: {error}\n")
        seconds = time.process_time() - began
        print(
            f"{question}: {len(drawn):,} worlds, {disagreements} disagreements, {seconds:.0f} s of CPU",
            flush=True,
        )
        wrong += disagreements
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
