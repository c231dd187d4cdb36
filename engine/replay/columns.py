"""The columns of a log and the user's mapping -> which column is which fact, token count or score.

A field is a fact (`task.type`), or one of: `time`, `key`, `tokens.input` (the whole prompt), `tokens.output`,
`tokens.cached` (the part of the prompt read from the provider's cache), `recorded.model`; for one model M
`score.M`, `tokens.input.M`, `tokens.output.M`; and for a label L `label.L`, a column of yes and no.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.decision.facts import INDEX, InvalidFact, fact_named
from engine.language.wording import listed, nearest
from engine.replay.errors import UnreadableLog

PLAIN_FIELDS = ("time", "key", "tokens.input", "tokens.output", "tokens.cached", "recorded.model")
FIELD_OF_LABELS = "label."
FIELDS_OF_MODELS = ("score.", "tokens.input.", "tokens.output.")

_ALSO_CALLED = {
    "task_type": "task.type",
    "timestamp": "time",
    "t_s": "time",
    "input_tokens": "tokens.input",
    "prompt_tokens": "tokens.input",
    "output_tokens": "tokens.output",
    "completion_tokens": "tokens.output",
    "cached_input_tokens": "tokens.cached",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the log holds which field."""

    by_field: Mapping[str, str]

    def after(self, prefix: str) -> dict[str, str]:
        """Columns by model, for `score.`, `tokens.input.` or `tokens.output.`; by label, for `label.`."""
        return {
            field.removeprefix(prefix): column
            for field, column in self.by_field.items()
            if field.startswith(prefix)
        }


def columns_of(
    names: Iterable[str], numeric: Iterable[str], mappings: Sequence[str], models: Sequence[str]
) -> Columns:
    """The columns that `mappings` (`FIELD=COLUMN`) name, and every other column that has the name of a field.

    A numeric column with the name of a model holds that model's score. Raises UnreadableLog.
    """
    names, numeric = list(names), set(numeric)
    found: dict[str, str] = {}
    for written in mappings:
        name, equals, column = written.partition("=")
        if not equals:
            raise UnreadableLog(
                f"--map {written!r}: write FIELD=COLUMN, such as task.context_size=context_tokens"
            )
        field = field_named(name.strip(), models)
        if field in found:
            raise UnreadableLog(f"--map: {field} is mapped twice")
        found[field] = _known_column(column.strip(), names)
    taken = set(found.values())
    for name in names:
        guessed = _guess(name, models, name in numeric)
        if guessed is not None and name not in taken:
            found.setdefault(guessed, name)
    return Columns(found)


def field_named(name: str, models: Sequence[str]) -> str:
    """The field with this name, or with its short form. Raises UnreadableLog, which lists the fields."""
    if name in PLAIN_FIELDS or (name.startswith(FIELD_OF_LABELS) and name != FIELD_OF_LABELS):
        return name
    for prefix in FIELDS_OF_MODELS:
        if name.startswith(prefix):
            model = name.removeprefix(prefix)
            if model not in models:
                near = nearest(model, models)
                hint = f"did you mean {near}" if near else f"models are {listed(models, most=30)}"
                raise UnreadableLog(f"--map {name}: there is no model {model!r}; {hint}")
            return name
    try:
        return fact_named(name).name
    except InvalidFact as wrong:
        also = listed(
            [*PLAIN_FIELDS, *(f"{prefix}MODEL" for prefix in FIELDS_OF_MODELS), "label.NAME"], most=20
        )
        raise UnreadableLog(f"--map {name}: {wrong}; or one of {also}") from None


def _known_column(column: str, names: Sequence[str]) -> str:
    if column in names:
        return column
    near = nearest(column, names)
    hint = f"did you mean {near}" if near else f"columns are {listed(names, most=30)}"
    raise UnreadableLog(f"the log has no column {column!r}; {hint}")


def _guess(name: str, models: Sequence[str], is_numeric: bool) -> str | None:
    if name in PLAIN_FIELDS or name in INDEX or name.startswith(FIELD_OF_LABELS):
        return name
    if f"task.{name}" in INDEX:
        return f"task.{name}"
    if name in _ALSO_CALLED:
        return _ALSO_CALLED[name]
    if name in models:
        return f"score.{name}" if is_numeric else None
    if any(name.startswith(prefix) and name.removeprefix(prefix) in models for prefix in FIELDS_OF_MODELS):
        return name
    return None
