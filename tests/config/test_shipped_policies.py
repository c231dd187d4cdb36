"""The folders that travel with the engine: the default set and the examples."""

from pathlib import Path

import pytest

from engine.bundled import bundled_path
from engine.config.catalogue import load_catalogue
from engine.config.folder import PolicyFolder, read_folder
from engine.config.lowering import lower, names_of
from engine.config.settings import load_settings
from engine.config.yaml_source import read_yaml
from engine.language.checked_policy import CheckedPolicy
from engine.language.diagnostics import Problems
from engine.language.formatter import print_statement
from engine.language.parser import parse
from engine.language.type_checker import check
from tests.reference.interpreter import Policy, check_test
from tests.reference.yaml_words import read_yaml as words

FOLDERS = [bundled_path("policies", "default"), *sorted(bundled_path("policies", "examples").iterdir())]

each_folder = pytest.mark.parametrize("path", FOLDERS, ids=lambda path: path.name)


def folder(path: Path) -> PolicyFolder:
    read = read_folder(path, Problems())
    assert read is not None
    return read


def checked(path: Path, problems: Problems) -> CheckedPolicy:
    files = folder(path)
    models = read_yaml(files.models, problems)
    policies = files.policies and read_yaml(files.policies, problems)
    assert models
    assert policies
    catalogue = load_catalogue(models, problems)
    settings = load_settings(policies, catalogue, problems)
    routes = [parse(route, problems) for route in files.routes]
    base = [parse(files.base, problems)]
    return check(routes, lower(settings), base, names_of(catalogue, settings), problems)


@each_folder
def test_nothing_is_found_in_it(path: Path) -> None:
    """No error and no warning, in YAML and in rules."""
    problems = Problems()
    checked(path, problems)
    assert [(str(each.span), each.message) for each in problems] == []


@each_folder
def test_its_tests_hold_in_the_reference(path: Path) -> None:
    """Each `given ... expect ...`, decided by the naive interpreter."""
    files = folder(path)
    assert files.policies
    routes = {route.name: route.text for route in files.routes}
    policy = Policy(routes, words(files.models.text), words(files.policies.text), files.base.text)
    verdicts = {test.title: check_test(policy, test) for test in policy.tests}
    assert verdicts
    assert all(all(verdict) for verdict in verdicts.values()), verdicts


@each_folder
def test_it_has_tests_proofs_and_closed_labels(path: Path) -> None:
    """A model of how to write one."""
    policy = checked(path, Problems())
    assert policy.tests
    assert policy.proofs
    assert "labels: [" in folder(path).policies.text  # type: ignore[union-attr]


@each_folder
def test_every_statement_is_laid_out_as_the_formatter_prints_it(path: Path) -> None:
    """Comments apart; neighbouring lets and proofs may be aligned."""
    for route in folder(path).routes:
        for statement in parse(route, Problems()).statements:
            assert " ".join(statement.span.text.split()) == " ".join(print_statement(statement).split())


@each_folder
def test_it_names_no_model_that_is_about_to_go(path: Path) -> None:
    """Deprecated at the snapshot, or within weeks of it."""
    going = ("claude-sonnet-4-5", "gpt-4o", "gpt-4.1", "gpt-5:", "gpt-5-", "o3", "o4-mini", "gpt-3.5")
    text = folder(path).models.text
    assert not any(f"id: {name}" in text for name in going)
