"""The site of these pages: `sphinx-build -W docs site` writes it.

Building needs no network, and neither does reading. Policies are highlighted when the site is built, by the
engine's own lexer.
"""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1]))  # the engine of this working copy, installed or not

NAVIGATION = {
    "Write a policy": ["language", "folders", "cookbook", "editor-and-ci", "review", "mcp"],
    "Run it": ["library", "requests", "sessions", "operations"],
    "Move over": ["migration", "evidence"],
    "Look up": ["lint", "grammar"],
}

project = "Local-first router"
html_title = project
html_theme = "furo"
extensions = ["myst_parser"]
exclude_patterns = ["cookbook/*/*"]
myst_heading_anchors = 3
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}


def setup(app: Sphinx) -> None:
    from engine.editor.highlighting import RouteLexer

    for name in RouteLexer.aliases:
        app.add_lexer(name, RouteLexer)
    app.connect("source-read", with_navigation)


def with_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """The table of contents behind the start page, which shows it nowhere else that pages are read."""
    if page == "index":
        for caption, pages in NAVIGATION.items():
            listed = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"
