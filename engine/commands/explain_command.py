"""A task of an analysis -> the command line that explains it, to be pasted into a shell."""

import json
import shlex
from collections.abc import Mapping, Sequence

from engine.decision.fact_json import exact_json
from engine.decision.facts import InvalidFact, format_value, read_text
from engine.language.checked_policy import FactValue
from engine.language.diagnostics import visible
from engine.language.known_names import Names
from engine.language.vocabulary import FACTS


def explain_command(given: Mapping[str, FactValue], names: Names, options: Sequence[str] = ()) -> str:
    """`engine explain type=qa labels=pii`. What a command line cannot hold, such as a comma in a label, is
    written as JSON; either has one line, and nothing in it that a terminal would act on."""
    words = [f"{name.removeprefix('task.')}={format_value(value)}" for name, value in given.items()]
    if all(_is_read_back(name, value, names) for name, value in given.items()):
        return shlex.join(["engine", "explain", *options, *words])
    facts = json.dumps({name: exact_json(value) for name, value in given.items()})
    batch = shlex.join(["engine", "explain", *options, "--batch", "-"])
    return f"printf '%s\\n' {shlex.quote(facts)} | {batch}"


def _is_read_back(name: str, value: FactValue, names: Names) -> bool:
    text = format_value(value)
    if visible(text) != text or text != text.strip():
        return False
    try:
        return read_text(FACTS[name], text, names) == value
    except InvalidFact:
        return False
