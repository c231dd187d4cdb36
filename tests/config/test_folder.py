"""A policy folder on disk -> its files in memory."""

import hashlib
import os
from pathlib import Path

import pytest

from engine.config import folder as folder_module
from engine.config.folder import PolicyFolder, locate_folder, read_folder
from engine.language.diagnostics import Problems

from .loading import ONE_MODEL


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "models.yaml").write_text(ONE_MODEL)
    return tmp_path


def read(path: Path) -> tuple[PolicyFolder | None, list[str]]:
    problems = Problems()
    return read_folder(path, problems), [f"{each.span.source.name}: {each.slug}" for each in problems]


def test_models_yaml_alone_is_a_policy_folder(policy: Path) -> None:
    """policies.yaml and rules are optional; the engine's own guards are always there."""
    folder, found = read(policy)
    assert found == []
    assert folder is not None
    assert (folder.models.name, folder.models.text) == ("models.yaml", ONE_MODEL)
    assert (folder.policies, folder.routes) == (None, ())
    assert folder.base.text.startswith("language 1")


def test_routes_are_read_in_the_order_of_the_bytes_of_their_names(policy: Path) -> None:
    """`10-a` before `9-b`, `Z` before `a`; no dot files, nothing of a subfolder."""
    for name in ("9-b.route", "10-a.route", "a.route", "Z.route", ".hidden.route", "notes.txt", "ü.route"):
        (policy / name).write_text("")
    (policy / "sub").mkdir()
    (policy / "sub" / "x.route").write_text("")
    folder, found = read(policy)
    assert found == []
    assert folder is not None
    assert [route.name for route in folder.routes] == [
        "10-a.route",
        "9-b.route",
        "Z.route",
        "a.route",
        "ü.route",
    ]


def test_base_route_among_the_users_files_is_an_error(policy: Path) -> None:
    """It cannot replace the engine's own guards."""
    (policy / "base.route").write_text("language 1\n")
    folder, found = read(policy)
    assert found == ["base.route: base-route"]
    assert folder is not None
    assert folder.routes == ()


def test_a_folder_without_models_yaml_is_an_error(tmp_path: Path) -> None:
    """A name that is nearly right is offered."""
    (tmp_path / "models.yml").write_text(ONE_MODEL)
    problems = Problems()
    assert read_folder(tmp_path, problems) is None
    assert [each.help for each in problems if each.slug == "no-catalogue"] == ["rename `models.yml`"]


@pytest.mark.parametrize("name", ["policies.yml", "Policies.yaml", "Main.ROUTE"])
def test_a_file_that_looks_like_one_of_the_policy_and_is_not_read_is_said(policy: Path, name: str) -> None:
    """A guard in a file that nobody reads protects no one."""
    (policy / name).write_text("")
    folder, found = read(policy)
    assert found == [f"{name}: file-overlooked"]
    assert folder is not None


@pytest.mark.parametrize("where", ["nowhere", "models.yaml"])
def test_what_is_no_folder_is_an_error(policy: Path, where: str) -> None:
    """Also a file in its place."""
    folder, found = read(policy / where)
    assert folder is None
    assert [each.rpartition(": ")[2] for each in found] == ["no-folder"]


def make_link(path: Path) -> None:
    (path.parent.parent / "outside").write_text("language 1\n")
    path.symlink_to(path.parent.parent / "outside")


def make_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [make_link, make_link_to_a_device, make_pipe, make_folder])
@pytest.mark.parametrize("name", ["main.route", "policies.yaml", "models.yaml"])
def test_only_plain_files_are_opened(policy: Path, name: str, make: object) -> None:
    """Links, pipes, devices and folders are refused, and nothing hangs."""
    (policy / name).unlink(missing_ok=True)
    make(policy / name)  # type: ignore[operator]
    _, found = read(policy)
    assert found == [f"{name}: no-regular-file"]


def test_the_folder_itself_may_be_a_link(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever names the folder has chosen it."""
    link = tmp_path_factory.mktemp("links") / "config"
    link.symlink_to(policy)
    folder, found = read(link)
    assert found == []
    assert folder is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said(policy: Path) -> None:
    """With the system's reason."""
    (policy / "main.route").write_text("")
    (policy / "main.route").chmod(0)
    assert read(policy)[1] == ["main.route: unreadable-file"]


def test_a_file_over_the_limit_is_refused(policy: Path) -> None:
    """1 MiB each, whatever its kind."""
    (policy / "main.route").write_bytes(b"#" * (1024 * 1024 + 1))
    folder, found = read(policy)
    assert (folder, found) == (None, ["main.route: file-too-big"])


def test_a_folder_over_the_limit_is_refused(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files together."""
    monkeypatch.setattr(folder_module, "MOST_BYTES_TOGETHER", 1000)
    (policy / "main.route").write_bytes(b"#" * 1000)
    folder, found = read(policy)
    assert folder is None
    assert [each.rpartition(": ")[2] for each in found] == ["folder-too-big"]


def test_the_catalogue_digest_is_the_files_own(policy: Path) -> None:
    """Anyone can check it with sha256sum."""
    folder, _ = read(policy)
    assert folder is not None
    assert folder.catalogue_digest == "sha256:" + hashlib.sha256(ONE_MODEL.encode()).hexdigest()


def test_the_policy_digest_changes_with_every_byte_and_name_of_the_rules(policy: Path) -> None:
    """policies.yaml, each route, its name and the order; not models.yaml, which has its own."""

    def digest() -> str:
        folder, _ = read(policy)
        assert folder is not None
        return folder.policy_digest

    seen = [digest()]
    (policy / "models.yaml").write_text(ONE_MODEL + "# more\n")
    assert digest() == seen[0]
    (policy / "a.route").write_text("language 1\n")
    seen.append(digest())
    (policy / "a.route").write_text("language 1 \n")
    seen.append(digest())
    (policy / "a.route").rename(policy / "b.route")
    seen.append(digest())
    (policy / "policies.yaml").write_text("labels: [pii]\n")
    seen.append(digest())
    assert len(set(seen)) == len(seen)
    assert digest() == seen[-1]


def test_what_is_named_is_taken_even_when_it_cannot_be_used(tmp_path: Path) -> None:
    """An explicit folder before ENGINE_CONFIG_DIR, and neither is passed over in silence."""
    default = tmp_path / "default"
    assert locate_folder("x", "y", tmp_path, default) == Path("x")
    assert locate_folder(None, "y", tmp_path, default) == Path("y")


def test_config_comes_before_policies_when_they_hold_a_catalogue(tmp_path: Path) -> None:
    """Each only with a models.yaml; else the default set."""
    default = tmp_path / "default"
    (tmp_path / "config").mkdir()
    (tmp_path / "policies").mkdir()
    assert locate_folder(None, None, tmp_path, default) == default
    assert locate_folder(None, "", tmp_path, default) == default
    (tmp_path / "policies" / "models.yaml").write_text("")
    assert locate_folder(None, None, tmp_path, default) == tmp_path / "policies"
    (tmp_path / "config" / "models.yaml").write_text("")
    assert locate_folder(None, None, tmp_path, default) == tmp_path / "config"


RULES = "forbid a: cloud when task.type is qa\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("main.routes", RULES),
        ("main.route.txt", RULES),
        ("main.rules", RULES),
        (".main.route", RULES),
        ("MAIN.ROUTE", RULES),
        ("main", RULES),
        ("rules/main.route", RULES),
        ("rules/eu/main.route", RULES),
        ("policies.yml", "budgets: {daily: {total_usd: 5}}\n"),
        ("budgets.yaml", "# ours\nbudgets: {daily: {total_usd: 5}}\n"),
    ],
)
def test_what_holds_rules_or_settings_and_is_not_read_is_an_error(policy: Path, name: str, text: str) -> None:
    """It is named, whatever it is called and however deep it lies."""
    (policy / name).parent.mkdir(parents=True, exist_ok=True)
    (policy / name).write_text(text)
    problems = Problems()
    read_folder(policy, problems)
    assert [(each.span.source.name, each.slug) for each in problems] == [(name, "file-overlooked")]
    assert problems.has_errors


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", RULES),
        ("main.route.bak", RULES),
        ("main.route~", RULES),
        ("notes.txt", "we forbid a lot: see the page\n"),
        ("docker-compose.yaml", "services: {}\n"),
        (".git/main.route", RULES),
    ],
)
def test_pages_and_copies_are_not_meant_to_be_read(policy: Path, name: str, text: str) -> None:
    """Neither they nor what holds no rule is reported."""
    (policy / name).parent.mkdir(parents=True, exist_ok=True)
    (policy / name).write_text(text)
    assert read(policy)[1] == []


def test_a_policy_folder_below_is_one_of_its_own(policy: Path) -> None:
    """Its rules belong to its own models.yaml."""
    (policy / "other").mkdir()
    (policy / "other" / "models.yaml").write_text(ONE_MODEL)
    (policy / "other" / "main.route").write_text(RULES)
    assert read(policy)[1] == []
