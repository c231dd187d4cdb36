"""Hints about a word or sign after which a value is missing."""

from engine.language.error_context import CLAUSES, Edit, Lexeme, Place
from engine.language.messages import syntax as messages
from engine.language.syntax_hints.hint import SyntaxHint

# What an author must write after a word or sign that cannot stand last: what it is, an example, a
# placeholder.
_CONDITION = ("a condition", "task.type is planning", "x")
_MODELS = ("a choice of models", "cloud", "x")
_VALUE = ("a value", "", "x")
_NEEDED_AFTER: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys(("when", "unless", "and", "or", "not", "("), _CONDITION),
    **dict.fromkeys((":", "use", "then", "never", "only", "some", "expect"), _MODELS),
    **dict.fromkeys(("is", "has", "in", "<", "<=", ">", ">=", "any", "all", "="), _VALUE),
    "because": ("a reason", 'because "customer data stays here"', '""'),
    "by": ("a number of points", "by 5", "1"),
    "chain": ("a model", "chain llama3.1:8b", "x"),
    "given": ("a fact", "given task.type is planning", "x"),
}
_VALUE_EXAMPLES = {
    "has": "task.labels has pii",
    "any": "task.labels has any [pii, secret]",
    "all": "task.labels has all [pii, secret]",
    "in": "task.type in [planning, qa]",
    "=": "let sensitive = task.labels has pii",
}
_MISREAD = frozenset((*CLAUSES, "and", "or", "by", "then", "expect"))


def missing_value(place: Place) -> SyntaxHint | None:
    """Nothing after `is`, `when`, `:` ...; also where the next clause's word was read as the value."""
    before = place.previous
    if before.text in _MISREAD and place.at(-2).text in _NEEDED_AFTER:
        return _missing_after(place, place.at(-2), place.at(-3), before)
    if before.text in _NEEDED_AFTER and place.ends_here():
        return _missing_after(place, before, place.at(-2), place.here)
    return None


def _missing_after(place: Place, word: Lexeme, left: Lexeme, following: Lexeme) -> SyntaxHint | None:
    what, example, placeholder = _NEEDED_AFTER[word.text]
    if "RULE_NAME" in place.accepts:
        what, example, placeholder = ("the name of a rule", "because private-stays-home", "x")
    if word.text == ":" and place.keyword in ("weigh", "test", "route"):
        return None
    if word.text == "not" and left.text == "is":
        what, example, placeholder = ("a value", "task.type is not planning", "x")
    elif word.text in ("has", "any", "all", "in", "="):
        example = _VALUE_EXAMPLES[word.text]
    elif what == "a value":
        example = f"{left.text if left.kind == 'word' else 'task.type'} {word.text} VALUE"
    elif word.text not in (":", "(", "because", "by", "chain", "given"):
        example = f"{word.text} {example}"
    edit = Edit(following.start, following.start, f" {placeholder} ")
    return SyntaxHint(messages.missing_value(place.span(word), what, example), edit, is_fix=False)
