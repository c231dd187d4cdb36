"""The judgement of edits against brute force: every single edit that the mutation operators make of small
policies, judged, proposed and reloaded, and decided by the reference for every task there is.

python -m tests.analysis.judgement --edits 500

An edit loosens when the reference finds a task for which a cloud model joins the chain, or one that goes to
a cloud model first and went to a local one. It must be named as such, with a task that the reference
confirms, and neither a proposal nor a reload takes it unasked; any other edit must be taken, or left
undecided with the work said. Lint alone may keep a proposal from being taken: such edits are counted apart.
Prints each disagreement with what repeats it, and exits with 1 when there was one.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from engine.analysis.changes import Change, changes
from engine.analysis.judgement import Change as Widening
from engine.analysis.judgement import judge
from engine.analysis.objection import Objection
from engine.analysis.proposal import propose
from engine.bundled import bundled_text
from engine.decision.facts import DEFAULTS, INDEX
from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.formatter import print_statement
from engine.language.parser import parse
from engine.language.source import Source
from engine.model_router import ModelRouter
from tests.analysis.small_worlds import SmallWorld, worlds
from tests.reference.interpreter import Policy, decide

Kind = Literal["leak", "costs more", "neither"]
EDITS_A_WORLD = 6


def edits(seed: int) -> Iterator[tuple[int, SmallWorld, SmallWorld]]:
    """Worlds without end, each with one edit of it that the mutation operators make."""
    batch = 0
    while True:
        for number, world in worlds(100, seed + batch, cross=batch % 2 == 1):
            statements = _statements(world)
            tried = list(changes(statements))
            before = replace(world, statements=tuple(map(print_statement, statements)))
            for change in Random(number).sample(tried, min(EDITS_A_WORLD, len(tried))):
                yield number, before, replace(world, statements=tuple(_edited(statements, change)))
        batch += 1


def _statements(world: SmallWorld) -> Sequence[tree.Statement]:
    problems = Problems()
    statements = parse(Source("a.route", world.text()), problems).statements
    assert not problems.has_errors
    return [each for each in statements if not isinstance(each, tree.Prove)]


def _edited(statements: Sequence[tree.Statement], change: Change) -> Iterator[str]:
    for each in statements:
        if each is change.ahead_of:
            yield print_statement(change.statement)
        if each is not change.statement:
            yield print_statement(each)
        elif change.replacement is not None and change.ahead_of is None:
            yield print_statement(change.replacement)


def is_valid(world: SmallWorld) -> bool:
    """Whether an edit left a policy at all."""
    try:
        world.engine()
    except AssertionError:
        return False
    return True


def enumerated(old: SmallWorld, new: SmallWorld) -> Kind:
    """What the reference finds, task by task."""
    found: Kind = "neither"
    policies = old.reference(), new.reference()
    for point in old.points:
        kind = _kind_of(policies, point)
        if kind == "leak":
            return kind
        found = kind if kind == "costs more" else found
    return found


def _kind_of(policies: tuple[Policy, Policy], point: Mapping[str, Any]) -> Kind:
    before, after = (decide(policy, dict(point)).chain for policy in policies)
    clouds = {model.name for model in policies[0].models if not model.attributes["model.local"]}
    if clouds & {*after} - {*before}:
        return "leak"
    moved = before and after and before[0] not in clouds and after[0] in clouds
    return "costs more" if moved else "neither"


def check_edit(number: int, old: SmallWorld, new: SmallWorld) -> Kind:
    """Judges one edit; what the reference says of it. Raises AssertionError where the judgement differs."""
    policies = old.reference(), new.reference()
    kind = enumerated(old, new)
    judgement = judge(old.engine(), new.engine())
    where = f"world {number}: {kind}, {judgement}\n{old.text()}---\n{new.text()}{old.base}"
    for widening, expected in (
        *((each, "leak") for each in judgement.leaks),
        *((each, "costs more") for each in judgement.spending),
    ):
        assert _confirmed(policies, widening) in (expected, "leak"), where
    # A task at a boundary that the enumeration does not have is a task all the same.
    if judgement.leaks:
        kind = "leak"
    elif judgement.spending and kind == "neither":
        kind = "costs more"
    if judgement.undecided:
        assert all("steps" in text for text in judgement.undecided), where
        return kind
    if kind == "leak":
        assert judgement.leaks, where
    else:
        assert not judgement.leaks, where
        assert bool(judgement.spending) is (kind == "costs more"), where
    return kind


def _confirmed(policies: tuple[Policy, Policy], widening: Widening | Objection) -> Kind:
    assert widening.given is not None
    usual = dict(zip(INDEX, DEFAULTS._replace(mode="balanced"), strict=True))
    return _kind_of(policies, {**usual, **widening.given})


def check_proposal(number: int, old: SmallWorld, new: SmallWorld, kind: Kind) -> bool:
    """Proposes one edit. Raises AssertionError where it is taken and loosens, or refused and does not;
    False where lint alone keeps it from being taken."""
    policies = old.reference(), new.reference()
    proposal = propose(old.folder(), {"a.route": new.text()})
    where = f"world {number}: {kind}, {proposal.objections}\n{old.text()}---\n{new.text()}{old.base}"
    objections = [each for each in proposal.objections if each.kind != "policy"]
    if new.text() == old.text():
        return False
    for objection in objections:
        match objection.kind:
            case "leak":
                assert _confirmed(policies, objection) == "leak", where
            case "spending":
                assert _confirmed(policies, objection) != "neither", where
            case other:
                assert other == "unknown", where
                assert "steps" in objection.text, where
    assert kind == "neither" or objections, where
    assert kind != "neither" or all(each.kind == "unknown" for each in objections), where
    return len(objections) == len(proposal.objections)


def check_reload(number: int, old: SmallWorld, new: SmallWorld, kind: Kind, folder: Path) -> None:
    """Writes one edit into a folder in force, with the engine's own guards. Raises AssertionError where a
    reload takes what loosens, or refuses another without a task that the reference confirms."""
    base = bundled_text("policies", "base.route")
    policies = tuple(
        Policy({"a.route": world.text()}, world.models_dict, world.policies_dict, base)
        for world in (old, new)
    )
    files = old.folder()
    assert files.policies is not None
    for source in (files.models, files.policies, *files.routes):
        (folder / source.name).write_text(source.text)
    router = ModelRouter(folder, dry_run=True)
    (folder / "a.route").write_text(new.text())
    status = router.reload(allow_widen=False)
    where = f"world {number}: {kind}, {status}\n{old.text()}---\n{new.text()}"
    assert kind == "neither" or status.error is not None, where
    if status.error is not None:
        judgement = status.judgement
        assert judgement is not None, where
        shown = [*judgement.leaks, *judgement.spending]
        assert shown or judgement.undecided, where
        assert all(_confirmed((policies[0], policies[1]), each) != "neither" for each in shown), where


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--edits", type=int, default=500, help="that loosen, and as many that do not")
    parser.add_argument("--seed", type=int, default=70_000, help="draws the policies (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # of each reload that is not taken
    began, seen, linted, wrong = time.process_time(), Counter[Kind](), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for number, old, new in edits(arguments.seed):
            if min(seen["leak"], seen["neither"]) >= arguments.edits:
                break
            if not is_valid(new) or new.text() == old.text():
                continue
            try:
                kind = check_edit(number, old, new)
                check_reload(number, old, new, kind, Path(folder))
                if check_proposal(number, old, new, kind) or kind != "neither":
                    seen[kind] += 1
                else:
                    linted += 1
            except AssertionError as error:
                wrong += 1
                print(f"{error}\n")
    print(
        f"{seen['leak']:,} edits that let more out, {seen['costs more']:,} that only move tasks to the cloud "
        f"first, {seen['neither']:,} that do neither, {linted:,} more with a lint error alone: {wrong} "
        f"judged, proposed or reloaded wrongly, {time.process_time() - began:.0f} s of CPU"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
