"""A name in a policy -> what it means there, as Markdown; of a rule also which models it speaks of."""

from engine.config.catalogue import Model
from engine.decision.cubes import ALWAYS, Distributor, Elements, TooManyCubes
from engine.editor.occurrences import Occurrence
from engine.editor.view import View
from engine.editor.words import KEYWORDS
from engine.language import syntax_tree as tree
from engine.language.checked_policy import (
    ChainIs,
    Condition,
    Constant,
    FirstIs,
    Forbid,
    In,
    Prefer,
    Require,
    Rule,
    Use,
    Weigh,
)
from engine.language.diagnostics import visible
from engine.language.formatter import print_statement
from engine.language.known_names import Names
from engine.language.vocabulary import TERMS, Fact
from engine.language.wording import listed

_PROBE = "\0editor"


def hover(view: View, occurrence: Occurrence) -> str | None:
    """What to show over a name; None where there is nothing to say."""
    text = occurrence.text
    match occurrence.role:
        case "declaration" | "rule" | "list":
            return _declared(view, text)
        case "term":
            return _term(text, view.names)
        case "value":
            return _value(view, text, occurrence.of)
        case "model":
            return _model_or_provider(view, text)
        case "name":
            if text in ("local", "cloud", "any"):
                return f"**{text}**: {KEYWORDS[text]}\n\n{_models_line(view, _where(view, text))}"
            return _term(text, view.names) or _declared(view, text) or _model_or_provider(view, text)


def keyword(word: str) -> str | None:
    """What a word of the language does."""
    meaning = KEYWORDS.get(word)
    return None if meaning is None else f"**{word}**: {meaning}"


# --- Facts, attributes and their values -----------------------------------------------------------------


def _term(name: str, names: Names) -> str | None:
    term = TERMS.get(name)
    if term is None:
        return None
    lines = [f"**{name}**: {term.meaning}", f"{term.kind.value}"]
    values = names.known_values(term)
    if values:
        lines.append(f"one of {visible(listed(values, most=30))}")
    if isinstance(term, Fact) and term.follows:
        lines.append(f"follows from {' and '.join(term.follows)}")
    return "\n\n".join(lines)


def _value(view: View, text: str, of: str | None) -> str | None:
    term = TERMS.get(of or "")
    if term is None:
        return None
    if term.universe in ("models", "providers"):
        return _model_or_provider(view, text)
    if term.name == "mode" and text in view.names.modes:
        mode = view.names.modes[text]
        allowed = f"cloud usage {mode.cloud_usage}" if mode.allow_cloud else "no cloud"
        return f"**{visible(text)}**: a mode, {allowed}"
    return f"**{visible(text)}**: a value of {term.name}, {term.meaning}"


# --- Models and providers -------------------------------------------------------------------------------


def _model_or_provider(view: View, text: str) -> str | None:
    if view.catalogue is None:
        return None
    found = [model for model in view.catalogue.models if text in (model.key, model.id)]
    if found:
        return "\n\n".join(map(_model, found))
    served = [model.key for model in view.catalogue.models if model.provider == text]
    if text in view.names.providers:
        return (
            f"**{visible(text)}**: a provider of {visible(listed(served, most=20)) if served else 'no model'}"
        )
    return None


def _model(model: Model) -> str:
    price = (
        "local"
        if model.locality == "local"
        else "no price"
        if model.price is None
        else f"${float(model.price):.2f} per million tokens"
    )
    about = (
        f"{model.locality}, {price}, window {model.max_context:,}, quality {model.quality}, "
        f"latency {model.latency}, tools {model.tools}"
    )
    capabilities = f"; good at {', '.join(model.capabilities)}" if model.capabilities else ""
    return f"**{visible(model.key)}** ({visible(model.provider)}): {about}{visible(capabilities)}"


# --- Rules and lets -------------------------------------------------------------------------------------


def _declared(view: View, name: str) -> str | None:
    declared = view.declared.get(name)
    if declared is None:
        return None
    span = declared.name.span
    lines = [
        f"```route\n{print_statement(declared.statement)}\n```",
        f"{visible(span.source.name)}:{span.line}",
    ]
    match declared.statement:
        case tree.Let(value=tree.List()) | tree.Language() | tree.Test():
            pass
        case tree.Let():
            selector = _let_selector(view, declared.statement)
            if selector is not None:
                lines.append(_models_line(view, selector))
        case tree.Prove():
            proof = next((proof for proof in view.checked.proofs if proof.name == name), None)
            if proof is not None and isinstance(proof.expectation, ChainIs | FirstIs):
                lines.append(_models_line(view, proof.expectation.selector))
        case _:
            rule = next((rule for rule in view.checked.rules if rule.name == name), None)
            if rule is not None:
                lines += _rule_lines(view, rule)
    return "\n\n".join(lines)


def _rule_lines(view: View, rule: Rule) -> list[str]:
    match rule.effect:
        case Forbid(selector) | Require(selector) | Prefer(selector, _):
            return [_models_line(view, selector)]
        case Use(tiers):
            return [
                f"tier {number}: {_models_line(view, tier)}" for number, tier in enumerate(tiers, start=1)
            ]
        case Weigh():
            return []


def _let_selector(view: View, let: tree.Let) -> Condition | None:
    """What the let selects, when it may stand as a selector: a guard of the editor's own asks the checker."""
    place = tree.Word(let.name.text, let.name.span)
    guard = tree.Guard(
        "forbid",
        tree.Identifier(_PROBE, let.name.span),
        False,
        tree.Name(place, let.name.span),
        tree.Clauses(),
        let.span,
    )
    found = next((rule for rule in view.checked_with(guard).rules if rule.name == _PROBE), None)
    return found.effect.selector if found is not None and isinstance(found.effect, Forbid) else None


def _where(view: View, locality: str) -> Condition:
    place = view.base.source.span(0, 0)
    if locality == "any":
        return Constant(True, place)
    return In("locality", frozenset({locality}), place)


def _models_line(view: View, selector: Condition) -> str:
    """`selects a, b; depending on the task c`."""
    if view.catalogue is None:
        return "no models are known"
    distributor = Distributor(Elements({}))
    always: list[str] = []
    depending: list[str] = []
    for model in view.catalogue.models:
        try:
            cubes = distributor.cubes(selector, model)
        except TooManyCubes:  # an error of its own where a rule is made of it
            depending.append(visible(model.key))
            continue
        if cubes:
            (always if cubes is ALWAYS else depending).append(visible(model.key))
    parts = [f"selects {', '.join(always)}"] if always else []
    parts += [f"depending on the task {', '.join(depending)}"] if depending else []
    return "; ".join(parts) or "selects no model"
