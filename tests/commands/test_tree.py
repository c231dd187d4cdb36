"""`engine tree`: how much it draws, what it says of the rest, and that no name escapes from the picture."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.commands.running import DEFAULT, FOLDERS, Shell

every_folder = pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS.keys())
SCREEN = 1280, 900
"""Width and height of a screen in pixels, at the size at which the text is 12 pixels high."""

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<img src=x onerror=alert(1)>"
MODELS = f"""
providers:
  here:
    type: local
    api: ollama
    models:
      - id: "{HOSTILE}"
        capabilities: []
        max_context: 8192
        quality_tier: high
        latency_tier: low
        cost_profile: {{type: local_gpu, relative_cost: 1.0}}
  vendor:
    type: cloud
    api: openai
    base_url: https://vendor.example/v1
    api_key_env: VENDOR_KEY
    models:
      - id: "\\"]; click n0 '{HOSTILE}'"
        capabilities: []
        max_context: 100000
        quality_tier: high
        latency_tier: low
        cost_profile: {{type: paid, currency: USD, input_per_1m: 1, output_per_1m: 2}}
"""
POLICY = f"""language 1

forbid kept: cloud
    when task.labels has "{HOSTILE}"
    because "</pre></style><script>alert(1)</script> --> ]]>"

route first: use cloud, then local
    when task.type is "{HOSTILE}"
"""


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """A folder in which every name that an author may choose freely is markup."""
    folder = tmp_path / "&<b>"
    folder.mkdir()
    (folder / "models.yaml").write_text(MODELS, encoding="utf-8")
    (folder / "main.route").write_text(POLICY, encoding="utf-8")
    return str(folder)


@every_folder
def test_the_picture_fits_three_screens(shell: Shell, folder: str) -> None:
    """At reading size, in width and in height."""
    root = ElementTree.fromstring(shell("tree", "--config", folder, "--format", "svg").out)
    assert float(root.attrib["width"]) <= SCREEN[0]
    assert float(root.attrib["height"]) <= 3 * SCREEN[1]


@every_folder
@pytest.mark.parametrize("lines", [24, 50])
def test_text_takes_two_screens_and_says_how_to_see_the_rest(
    shell: Shell, folder: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The depth that it names shows every row."""
    monkeypatch.setenv("LINES", str(lines))
    shown = shell("tree", "--config", folder).out.splitlines()
    assert len(shown) <= 2 * lines
    cut = re.fullmatch(r"\d+ of (\d+) questions deep; --depth (\d+) shows all (\d+) rows", shown[-1])
    whole = shell("tree", "--config", folder, "--depth", cut[2] if cut else "99").out.splitlines()
    assert "more rows)" not in "\n".join(whole)
    if cut is None:
        assert whole == shown


def test_the_default_policy_is_cut_on_a_small_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the cut says what lies behind it."""
    monkeypatch.setenv("LINES", "24")
    ran = shell("tree", "--config", DEFAULT)
    assert "--depth 6 shows all 36 rows" in ran.out
    assert re.search(r"mode\? \.\.\. here; out; refused \(2 more rows\)", ran.out)


def test_a_rule_is_linked_to_its_line(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a picture saved where the command ran: the file, and the line on which the rule begins."""
    monkeypatch.chdir(Path(DEFAULT).parent)
    root = ElementTree.fromstring(shell("tree", "--config", "default", "--format", "svg").out)
    links = {link.text: link.attrib["href"] for link in root.iter(f"{SVG}a") if link.text}
    assert links["private-stays-home"].startswith("default/main.route#L")
    assert links["context-window"].startswith("base.route#L")
    for name, href in links.items():
        file, line = href.split("#L")
        text = Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
        assert name in text or file.endswith(".yaml"), (name, text)


def test_the_day_can_be_given(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH makes a picture that can be made again, byte for byte."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert shell("tree", "--config", DEFAULT).out.splitlines()[0].endswith(", 2023-11-14")


def test_the_page_shows_each_rule_as_it_is_written(shell: Shell) -> None:
    """Every rule that the tree names is on the page with its place and its text, and nothing else of a
    file."""
    page = shell("tree", "--config", DEFAULT, "--format", "html").out
    assert "what is private does not leave this machine" in page
    assert "The default policy, and a first lesson" not in page
    assert len(re.findall(r'class="rule" id="rule-\d+"', page)) == 11


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.met: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_no_name_escapes_from_the_page(shell: Shell, hostile: str) -> None:
    """Only the page's own elements and attributes are there."""
    tags = Tags()
    tags.feed(shell("tree", "--config", hostile, "--format", "html").out)
    assert tags.met <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "code", "div", "span"),
        *("b", "ul", "li", "details", "summary", "a", "small", "pre", "i"),
    }
    assert tags.attributes <= {
        *("lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "title", "open"),
        "tabindex",
    }


def test_no_name_escapes_from_the_svg(shell: Shell, hostile: str) -> None:
    """It parses, and holds the picture's own elements only; the name is there as text."""
    root = ElementTree.fromstring(shell("tree", "--config", hostile, "--format", "svg").out)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "style", "rect", "text", "path", "g", "a", "title")
    }
    assert any(HOSTILE in text for text in root.itertext())


@pytest.mark.parametrize("form", ["mermaid", "dot"])
def test_no_name_escapes_from_a_graph(shell: Shell, hostile: str, form: str) -> None:
    """Quotes are even, and no line begins but with the graph's own words."""
    out = shell("tree", "--config", hostile, "--format", form).out
    for line in out.splitlines():
        assert len(re.findall(r'(?<!\\)"', line)) % 2 == 0, line
        assert re.match(r"flowchart|digraph|\}|  (n\d+|rankdir|node|class|classDef)\b", line), line
    if form == "mermaid":
        assert "<img" not in out
