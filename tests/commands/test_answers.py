"""`engine show`, `tree`, `models` and `lint` on real folders."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest

from engine.policy import load_or_raise
from tests.commands.running import DEFAULT, FOLDERS, GUIDE, Shell, valid
from tests.decision.read_back import read_back
from tests.decision.worlds import facts_of
from tests.reference.generator import random_facts, random_world

every_folder = pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS.keys())


# --- show -----------------------------------------------------------------------------------------------


@every_folder
def test_show_prints_every_rule_with_its_place(shell: Shell, folder: str) -> None:
    """User rules, lowered YAML and base rules, in the order that decides."""
    ran = shell("show", "--config", folder)
    assert (ran.code, ran.err) == (0, "")
    policy = load_or_raise(Path(folder))
    places = [ran.out.index(f" {rule.name}") for rule in policy.checked.rules]
    assert len(places) >= 8
    assert ran.out.startswith("language 1.1\n")
    for rule in policy.checked.rules:
        assert f"# {rule.span.source.name}:" in ran.out


@every_folder
def test_what_show_prints_decides_the_same(shell: Shell, folder: str) -> None:
    """Its text, read back in place of the folder's rules, gives the same chains and scores."""
    policy = load_or_raise(Path(folder))
    again = read_back(shell("show", "--config", folder).out, policy.folder.models.text, _policies(policy))
    rng = Random(3)
    types = policy.names.task_types or ("qa", "planning")
    for _ in range(200):
        given = {
            "task.type": rng.choice(types),
            "task.criticality": rng.choice(["low", "medium", "high", "critical"]),
            "task.budget_sensitivity": rng.choice(["low", "medium", "high"]),
            "task.context_size": rng.choice([0, 9000, 50_000]),
            "mode": rng.choice(list(policy.names.modes)),
        }
        one, other = policy.explain(given, {}), again.explain(given, {})
        assert one.chain == other.chain
        assert [c.score and c.score.total for c in one.candidates] == [
            c.score and c.score.total for c in other.candidates
        ]
        assert {c.model.key: [r.name for r in c.blockers] for c in one.candidates} == {
            c.model.key: [r.name for r in c.blockers] for c in other.candidates
        }


def test_what_show_prints_of_random_policies_decides_the_same() -> None:
    """Every form of the language survives being printed and read again."""
    from engine.language.formatter import print_statement
    from tests.decision.worlds import compiled

    for seed in range(60):
        rng = Random(40_000 + seed)
        world = random_world(rng)
        policy = compiled(world)
        shown = "language 1.1\n" + "\n".join(f"# place\n{print_statement(one)}" for one in policy.statements)
        again = read_back(shown, world.models_yaml, world.policies_yaml)
        for _ in range(20):
            drawn = random_facts(rng, world)
            if not any(text.startswith("language 1.1") for text in world.route_files.values()):
                drawn["session.warm"] = frozenset()  # what is shown is of 1.1, which prices a warm cache
            facts = facts_of(drawn)
            one, other = policy.evaluator.decide(facts), again.evaluator.decide(facts)
            assert one.chain == other.chain, shown
            assert [total * 10**again.compiled.scale for total in one.totals] == [
                total * 10**policy.compiled.scale for total in other.totals
            ]
            assert (one.route and one.route.name) == (other.route and other.route.name)


def _policies(policy) -> str | None:  # type: ignore[no-untyped-def]
    return None if policy.folder.policies is None else policy.folder.policies.text


# --- tree -----------------------------------------------------------------------------------------------


@every_folder
@pytest.mark.parametrize("form", ["text", "html", "mermaid", "dot", "svg", "json"])
def test_every_form_of_the_tree_is_drawn(shell: Shell, folder: str, form: str) -> None:
    """The tree of every shipped folder is drawn, or refused as too large; with a mode fixed it is drawn."""
    mode = next(iter(load_or_raise(Path(folder)).names.modes))
    for words in ([], [f"mode={mode}"], ["--depth", "2"]):
        ran = shell("tree", "--config", folder, "--format", form, *words)
        assert (ran.code, ran.err) == (0, ""), words
        CHECKS[form](ran.out)


def _is_text(out: str) -> None:
    lines = out.splitlines()
    assert lines[0].startswith("What leaves the house, and which rule says so: ")
    assert max(map(len, lines)) <= 110
    assert re.search(r"^rules  [a-z]", out, re.MULTILINE)


def _is_html(out: str) -> None:
    assert out.startswith("<!DOCTYPE html>\n")
    assert set(re.findall(r'href="#([^"]*)"', out)) <= set(re.findall(r'id="([^"]*)"', out))
    assert re.findall(r"<script|https?://|url\(|@import", out) == []


def _is_mermaid(out: str) -> None:
    lines = out.splitlines()
    assert lines[0] == "flowchart LR"
    nodes = {found[1] for line in lines if (found := re.match(r'  (n\d+)(?:\{\{"|\[")', line))}
    edges = [re.fullmatch(r'  (n\d+) -->\|"[^"]*"\| (n\d+)', line) for line in lines[1:] if "-->|" in line]
    assert all(edges)
    ends = {end for edge in edges if edge for end in edge.groups()}
    assert ends <= nodes
    styles = [line for line in lines if re.match(r"  class(Def)? ", line)]
    assert len(nodes) + len(edges) + len(styles) == len(lines) - 1


def _is_dot(out: str) -> None:
    lines = out.splitlines()
    assert (lines[0], lines[-1]) == ("digraph policy {", "}")
    nodes = {found[1] for line in lines if (found := re.match(r"  (n\d+) \[label=", line))}
    edges = [found.groups() for line in lines if (found := re.match(r"  (n\d+) -> (n\d+) \[label=\"", line))]
    assert {end for edge in edges for end in edge} <= nodes
    assert len(nodes) + len(edges) == len(lines) - 4
    assert all(line.count('"') % 2 == 0 for line in lines)


def _is_svg(out: str) -> None:
    root = ElementTree.fromstring(out)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(box.attrib.get("x", 0)) + float(box.attrib["width"]) <= width
        assert float(box.attrib.get("y", 0)) + float(box.attrib["height"]) <= height


def _is_json(out: str) -> None:
    tree = valid("tree", json.loads(out))
    ids = [node["id"] for node in tree["nodes"]]
    assert len(set(ids)) == len(ids)
    reached = {tree["root"]} | {branch["to"] for node in tree["nodes"] for branch in node.get("branches", ())}
    assert reached == set(ids)


CHECKS = {
    "text": _is_text,
    "html": _is_html,
    "mermaid": _is_mermaid,
    "dot": _is_dot,
    "svg": _is_svg,
    "json": _is_json,
}


@pytest.mark.parametrize("depth", ["0", "-1"])
def test_a_depth_below_one_is_refused(shell: Shell, depth: str) -> None:
    """A tree that is too large is refused with a sentence that says so."""
    ran = shell("tree", "--config", DEFAULT, "--depth", depth)
    assert (ran.code, ran.out) == (2, "")
    assert "--depth" in ran.err


# --- models and lint ------------------------------------------------------------------------------------


@every_folder
def test_models_lists_the_catalogue(shell: Shell, folder: str) -> None:
    """Every model once, as a table and as JSON."""
    keys = [model.key for model in load_or_raise(Path(folder)).catalogue.models]
    ran = shell("models", "--config", folder)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[0] for line in ran.out.splitlines()[1 : len(keys) + 1]] == keys
    answer = shell("models", "--config", folder, "--format", "json").json
    assert [model["model"] for model in answer["models"]] == keys
    assert answer["version"] == 1


@every_folder
def test_what_ships_has_no_error(shell: Shell, folder: str) -> None:
    """The shipped folders lint without error, and their findings fit the schema."""
    ran = shell("lint", folder, "--format", "json")
    assert ran.code == 0
    assert [
        one["message"] for one in valid("findings", ran.json)["findings"] if one["level"] == "error"
    ] == []


def test_lint_reports_every_problem_in_one_run(shell: Shell, tmp_path: Path) -> None:
    """A slip, an unknown name and a wrong key in three files are all reported, with place and help; exit code
    1."""
    for name in ("models", "policies"):
        (tmp_path / f"{name}.yaml").write_text((GUIDE / f"{name}.yaml").read_text())
    (tmp_path / "a.route").write_text("forbid x: cloud when task.type == qa\n")
    (tmp_path / "b.route").write_text("forbid y: clowd\n")
    with (tmp_path / "policies.yaml").open("a") as file:
        file.write("timeout: {}\n")
    ran = shell("lint", str(tmp_path), "--format", "json")
    findings = valid("findings", ran.json)["findings"]
    assert ran.code == 1
    assert {"a.route", "b.route", "policies.yaml"} <= {
        one["file"] for one in findings if one["level"] == "error"
    }
    text = shell("lint", str(tmp_path))
    assert text.code == 1
    assert "error" in text.out


def test_the_fail_level_decides_the_exit_code(shell: Shell, tmp_path: Path) -> None:
    """A warning is a finding only on request. The migration guide limits a provider that its catalogue lacks,
    which is a warning; its price, as printed, is an error."""
    assert shell("lint", str(GUIDE)).code == 1
    for name in ("models", "policies"):
        text = (GUIDE / f"{name}.yaml").read_text()
        (tmp_path / f"{name}.yaml").write_text(text.replace("put_per_1k", "put_per_1m"))
    assert shell("lint", str(tmp_path)).code == 0
    assert shell("lint", str(tmp_path), "--fail-level", "warning").code == 1
