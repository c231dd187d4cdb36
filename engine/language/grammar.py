"""`grammar/route.lark` -> the parser Lark makes of it.

Working out the parse tables takes Lark a quarter of a second, which every `engine explain` would pay. So the
finished tables lie beside the grammar, under the digest of the grammar and the version of Lark they were made
with. When the digest does not fit, because the grammar is being worked on or another Lark is installed, Lark
reads the grammar itself: slower, never different.

`python -m engine.language.grammar` writes the tables anew; a test says when that was forgotten.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from engine.bundled import bundled_path, bundled_text

_START = "file"


def load_grammar(tree_builder: object | None) -> lark.Lark:
    """A parser that builds its tree with the methods of `tree_builder`, named as the rules; Lark's own
    without."""
    grammar = bundled_text("grammar", "route.lark")
    tables = _read_tables(digest(grammar))
    if tables is None:
        return compile_grammar(grammar, transformer=tree_builder)
    # What Lark's own generated parsers call; the version in the digest keeps it to a Lark this was tried
    # with.
    load: Callable[..., lark.Lark] = lark.Lark._load_from_dict
    return load(tables["data"], tables["memo"], transformer=tree_builder)


def compile_grammar(grammar: str, **options: Any) -> lark.Lark:
    """What Lark makes of the grammar's text, without the tables."""
    return lark.Lark(grammar, parser="lalr", lexer="contextual", start=_START, **options)


def digest(grammar: str) -> str:
    """What the tables depend on: the grammar's text and Lark's version."""
    return hashlib.sha256(f"{lark.__version__}\n{grammar}".encode()).hexdigest()


def tables_path() -> Path:
    return bundled_path("grammar", "route.tables.json")


def _read_tables(wanted: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(tables_path().read_bytes())
    except (OSError, ValueError):
        return None
    if found["digest"] != wanted:
        return None
    # JSON keys are strings; Lark's tables are keyed by number.
    table = found["data"]["parser"]["parser"]
    table["tokens"] = _by_number(table["tokens"])
    table["states"] = {int(state): _by_number(row) for state, row in table["states"].items()}
    found["memo"] = _by_number(found["memo"])
    return found


def _by_number(table: dict[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in table.items()}


def write_tables() -> None:
    grammar = bundled_text("grammar", "route.lark")
    data, memo = compile_grammar(grammar).memo_serialize([TerminalDef, Rule])
    tables = {"digest": digest(grammar), "data": data, "memo": memo}
    tables_path().write_text(json.dumps(tables, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_tables()
