"""The page of a replay: whole, harmless, and readable in a real browser (skipped where no chromium is
installed)."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from engine.cli import main
from engine.replay.charts import text
from tests.replay import worlds

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&\x1b[31m"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two policies over a fortnight, scores known, and names that would like to be code."""
    folder = tmp_path_factory.mktemp("page")
    rich = (
        worlds.SETTINGS.replace("1.50", "20")
        .replace("4.00", "90")
        .replace("0.90", "12")
        .replace("2.20", "70")
    )
    before = worlds.write_folder(folder / "<b>before", settings=rich)
    after = worlds.write_folder(folder / "after&co", worlds.ROUTES.replace("[pii, secret]", "[pii]"), rich)
    rows = pl.DataFrame(worlds.as_log(worlds.rows(4_000, seed=2, step_s=600)))
    scored = rows.with_columns(
        **{
            model: pl.Series([float(row % 10 < right) for row in range(rows.height)])
            for model, right in (("small", 5), ("big", 6), ("haiku", 8), ("sonnet", 9), ("luna", 8))
        }
    ).rename({"time": HOSTILE})
    scored.write_parquet(folder / "log<i>.parquet")
    file = folder / "page.html"
    words = [
        str(folder / "log<i>.parquet"),
        "--config",
        str(before),
        "--against",
        str(after),
        "--html",
        str(file),
    ]
    assert main(["replay", *words, "--map", f"time={HOSTILE}"]) == 0
    return file


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]


def test_the_page_needs_and_runs_nothing(page: Path) -> None:
    """No script, no handler, no address, no inline style; a policy that forbids them; every name escaped."""
    html = page.read_text(encoding="utf-8")
    read = Elements()
    read.feed(html)
    assert not {"script", "img", "link", "iframe", "object", "b" + "ase", "form"} & set(read.tags)
    assert not [name for name in read.attributes if name.startswith("on") or name == "style"]
    assert read.addresses == []
    assert "default-src 'none'" in html
    assert "<b>before" not in html
    assert "&lt;b&gt;before" in html
    assert "http" not in re.sub(r"http-equiv", "", html)


def test_text_is_escaped_and_control_characters_are_shown() -> None:
    """Characters that mean something to HTML or to a terminal are escaped."""
    assert not re.search(r"[<>\"\x1b]", text(HOSTILE))


def test_the_same_report_is_the_same_page(page: Path) -> None:
    """A page holds no date and no path of the machine that made it."""
    assert str(page.parent) not in page.read_text(encoding="utf-8")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_browser_shows_it(page: Path, tmp_path: Path) -> None:
    """Headless chromium draws it without a warning: charts in the DOM, colours in the picture, title
    untouched."""
    assert CHROMIUM is not None
    common = [
        *(
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ),
        *(
            f"--user-data-dir={tmp_path / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--window-size=800,2600",
            "--force-device-scale-factor=0.4",
        ),
    ]
    dom = subprocess.run(
        [*common, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=600, check=True
    )
    assert "CONSOLE" not in dom.stderr, dom.stderr
    assert "<title>log&lt;i&gt;.parquet: &lt;b&gt;before against after&amp;co</title>" in dom.stdout
    assert dom.stdout.count("<figure>") >= 6
    shot = tmp_path / "page.png"
    subprocess.run(
        [*common, f"--screenshot={shot}", page.as_uri()], capture_output=True, timeout=600, check=True
    )
    seen = colours(shot)
    # The first policy's line, a local and a paid model of the shares, and the style sheet's own grey cards.
    assert {(15, 118, 110), (234, 88, 12), (246, 247, 249)} <= seen


def colours(picture: Path) -> set[tuple[int, int, int]]:
    """Every colour of an 8-bit PNG (its five filters undone by hand)."""
    data = picture.read_bytes()
    wide, high, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8
    step = {2: 3, 6: 4}[kind]
    packed, at = b"", 8
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        packed += data[at + 8 : at + 8 + size] if name == b"IDAT" else b""
        at += size + 12
    raw, above = zlib.decompress(packed), bytearray(wide * step)
    seen: set[tuple[int, int, int]] = set()
    for row in range(high):
        start = row * (wide * step + 1)
        way, line = raw[start], bytearray(raw[start + 1 : start + 1 + wide * step])
        for place in range(len(line)):
            left = line[place - step] if place >= step else 0
            corner = above[place - step] if place >= step else 0
            match way:
                case 1:
                    line[place] = (line[place] + left) & 255
                case 2:
                    line[place] = (line[place] + above[place]) & 255
                case 3:
                    line[place] = (line[place] + (left + above[place]) // 2) & 255
                case 4:
                    guess = left + above[place] - corner
                    nearest = min((left, above[place], corner), key=lambda value: abs(guess - value))
                    line[place] = (line[place] + nearest) & 255
        above = line
        seen |= {(line[p], line[p + 1], line[p + 2]) for p in range(0, len(line), step)}
    return seen
