"""The documentation: generated parts are up to date, and everything shown runs."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import anthropic
import pytest
import yaml

from engine.bundled import bundled_path
from engine.cli import main
from engine.config.catalogue import load_catalogue
from engine.config.settings import load_settings
from engine.config.yaml_source import read_yaml
from engine.language.diagnostics import Level, Problems
from engine.language.parser import parse
from engine.language.source import Source
from engine.migration.flags import read_flags
from tests.migration.fixtures import vendor

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GUIDE = ROOT / "tests" / "conformance" / "guide"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```(?P<language>[a-z-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
GENERATED = re.compile(r"<!-- generated: .*?<!-- end -->", re.DOTALL)
LANGUAGES = {"console", "json", "python", "yaml", "route", "route-part", "sh", "text"}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str, *, written: bool = True) -> list[str]:
    text = page.read_text(encoding="utf-8")
    if written:
        text = GENERATED.sub("", text)
    return [block["text"] for block in BLOCK.finditer(text) if block["language"] == language]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = generator()
    for name in list(os.environ):
        if name.startswith(made.NO_SUCH_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9")
    work = tmp_path / "work"
    work.mkdir()
    made.furnish(work)
    monkeypatch.chdir(work)


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_generated_blocks_are_up_to_date(page: Path) -> None:
    """Tables, grammar, policies and outputs are those of today's code; `python docs/generate.py` writes
    them."""
    text = page.read_text(encoding="utf-8")
    assert generator().brought_up_to_date(text) == text


@each_page
def test_every_block_says_what_it_is(page: Path) -> None:
    """So that none escapes the tests below; `sh` and `text` are illustrations."""
    assert {block["language"] for block in BLOCK.finditer(page.read_text(encoding="utf-8"))} <= LANGUAGES


@each_page
def test_every_command_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each `$ engine ...` that the page shows, in order; exit code 1 only where findings are the point."""
    for block in blocks(page, "console"):
        for line in block.splitlines():
            assert line.startswith("$ engine "), line
            words = shlex.split(line.partition(" > ")[0])[2:]
            code = main(words)
            printed = capsys.readouterr()
            may_find = words[0] in ("diff", "review")
            assert code == 0 or (code == 1 and may_find), f"{line}: {code}\n{printed}"


def test_tune_is_shown_finding_something_and_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the two commands on the page the second exits with 1, and `tuned-policy/` holds the first one's
    proposal."""
    examples = blocks(DOCS / "evidence.md", "console", written=False)
    found, nothing = (
        shlex.split(block.splitlines()[0])[2:]
        for block in examples
        if block.startswith("$ engine tune ") and len(block.splitlines()) > 4
    )
    assert main(found) == 0
    assert Path("tuned-policy", "00-tuned.route").read_text(encoding="utf-8") in capsys.readouterr().out
    assert main(nothing) == 1


@pytest.mark.filterwarnings("ignore:The model 'claude-3-sonnet-20240229' is deprecated")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
async def test_every_snippet_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of a page runs from top to bottom as one program.

    ./config holds the migration guide's two files, the router runs dry, and the vendor's SDK calls a loopback
    server.
    """
    Path("config").mkdir()
    for name in ("models.yaml", "policies.yaml"):
        Path("config", name).write_text((GUIDE / name).read_text())
    monkeypatch.setenv("DRY_RUN_MODE", "true")
    clients: list[Any] = []

    class Client(anthropic.AsyncAnthropic):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            clients.append(self)

    monkeypatch.setattr(anthropic, "AsyncAnthropic", Client)
    async with vendor() as served:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", served.url)
        names: dict[str, Any] = {}
        for number, text in enumerate(blocks(page, "python"), 1):
            code = compile(text, f"{page.name}, block {number}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            running = eval(code, names)
            if running is not None:
                await running
        for client in clients:
            await client.close()


@each_page
def test_every_policy_text_parses(page: Path) -> None:
    """Blocks of rules, written and generated."""
    for language in ("route", "route-part"):
        for text in blocks(page, language, written=False):
            problems = Problems()
            parse(Source("block.route", text), problems)
            found = [problem.message for problem in problems if problem.level is Level.ERROR]
            assert language == "route-part" or not found, (text, found)


@each_page
def test_every_yaml_reads(page: Path, tmp_path: Path) -> None:
    """Catalogues, settings and flags have no error."""
    models = load_catalogue(_document((GUIDE / "models.yaml").read_text()), Problems())
    for text in blocks(page, "yaml"):
        problems = Problems()
        if text.startswith("use_model_router"):
            (tmp_path / "flags.yaml").write_text(text)
            assert read_flags(tmp_path / "flags.yaml")
        elif text.startswith("providers:"):
            load_catalogue(_document(text), problems)
        elif text.startswith("routing:"):
            load_settings(_document(text), models, problems)
        else:  # somebody else's file
            yaml.safe_load(text)
        assert not problems.has_errors, [problem.message for problem in problems]


@each_page
def test_every_json_reads(page: Path) -> None:
    """Somebody else's file."""
    for text in blocks(page, "json"):
        assert json.loads(text)


def _document(text: str) -> Any:
    return read_yaml(Source("block.yaml", text), Problems())


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    """Pages and sections."""
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text)):
        target, _, section = link.partition("#")
        there = (page.parent / target) if target else page
        assert there.is_file(), link
        if section:
            assert f"\n## {section}\n" in there.read_text(encoding="utf-8"), link


def test_every_page_is_in_the_site() -> None:
    """The navigation of docs/conf.py lists each, and nothing else; the start page links to each too."""
    conf = ast.parse((DOCS / "conf.py").read_text(encoding="utf-8"))
    (navigation,) = (
        ast.literal_eval(node.value)
        for node in conf.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NAVIGATION"
    )
    listed = [page for pages in navigation.values() for page in pages]
    assert sorted([*listed, "index"]) == [page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES]
    linked = re.findall(r"^- \[[^]]+\]\((\S+)\.md\)", (DOCS / "index.md").read_text("utf-8"), re.MULTILINE)
    assert linked == listed


RECIPES = [
    *sorted(path for path in (DOCS / "cookbook").iterdir() if path.is_dir()),
    *sorted(bundled_path("policies", "examples").iterdir()),
]


def test_there_are_eleven_recipes() -> None:
    """And the cookbook shows each of them."""
    text = (DOCS / "cookbook.md").read_text(encoding="utf-8")
    assert len(RECIPES) == 11
    assert all(f"<!-- generated: policy {path.name} -->" in text for path in RECIPES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_holds(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No warning, laid out, its tests pass, its proofs hold."""
    assert main(["lint", str(path), "--fail-level", "warning"]) == 0, capsys.readouterr().out
    assert main(["fmt", "--check", str(path)]) == 0
    assert main(["test", str(path)]) == 0, capsys.readouterr().out
    assert main(["prove", str(path)]) == 0, capsys.readouterr().out
    printed = capsys.readouterr().out
    assert "0 failed" in printed
    assert re.search(r"\d+ proved", printed)


def test_the_site_is_built_without_a_warning_and_names_nothing_outside(tmp_path: Path) -> None:
    """`sphinx-build -W docs site`: policies are highlighted in the pages, and no page loads anything from
    elsewhere."""
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", str(DOCS), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    pages = {page.name: page.read_text(encoding="utf-8") for page in (tmp_path / "site").glob("*.html")}
    assert {page.with_suffix(".html").name for page in PAGES} <= set(pages)
    assert '<div class="highlight-route notranslate">' in pages["index.html"]
    assert '<span class="kd">forbid</span>' in pages["index.html"]
    loaded = [
        address
        for page in pages.values()
        for address in re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)="([^"]+)""", page)
    ]
    assert [address for address in loaded if re.match(r"(https?:)?//", address)] == []
