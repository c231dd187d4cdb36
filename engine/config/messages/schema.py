"""Sentences about keys and values that the schema does not allow."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.language.diagnostics import Diagnostic, Replacement, visible
from engine.language.sentences import error, proposal
from engine.language.source import Span
from engine.language.spelling import misspelt
from engine.language.wording import listed


def secret_in_file(key: str, span: Span) -> Diagnostic:
    """The value itself is blanked before anything can print it."""
    if key.endswith("_env"):
        message = (
            f"`{visible(key)}` takes the name of a variable, and this is none; it is not printed, in case it "
            "is a key"
        )
        help = f"write the variable's name, such as `{visible(key)}: PROVIDER_API_KEY`"
    else:
        message = f"`{visible(key)}` holds what looks like a secret, and secrets do not belong in this file"
        help = (
            "put it in an environment variable and write the variable's name: `api_key_env: PROVIDER_API_KEY`"
        )
    return error("secret-in-file", span, message, f"{help}; a key that others have seen must be replaced")


def no_variable(key: str, span: Span) -> Diagnostic:
    return error(
        "no-variable",
        span,
        f"`{visible(span.text)}` is no name of a variable",
        f"write letters, digits and underscores: `{key}: PROVIDER_API_KEY`",
    )


def unknown_key(
    key: str,
    parent: str,
    known: Iterable[str],
    span: Span,
    instead: str | None = None,
    missing: Sequence[str] = (),
) -> Diagnostic:
    lacks = f", which has no {' and no '.join(f'`{each}`' for each in missing)}" if missing else ""
    help = instead or f"known here: {listed(known)}"
    return error("unknown-key", span, f"`{visible(key)}` is not known in {parent}{lacks}", help)


def misnamed_key(key: str, parent: str, right: str, fix: Replacement) -> Diagnostic:
    """A key whose right name, and perhaps value, is known: `right` is what to write."""
    found = error(
        "unknown-key", fix.span, f"`{visible(key)}` is not known in {parent}", f"write `{visible(right)}`"
    )
    return replace(found, fix=fix)


def price_by_the_token(key: str, right: str, fix: Replacement) -> Diagnostic:
    message = f"`{visible(key)}` is a price by the token, and prices here are per million tokens"
    return replace(error("unknown-key", fix.span, message, f"write `{right}`"), fix=fix)


def missing_key(key: str, parent: str, span: Span, example: str | None = None) -> Diagnostic:
    return error(
        "missing-key",
        span,
        f"{parent} has no `{key}`",
        f"add `{key}: {example}`" if example else f"add `{key}:`",
    )


def no_value(key: str, span: Span) -> Diagnostic:
    return error("no-value", span, f"`{visible(key)}` has no value", "write one, or delete the line")


def wrong_type(key: str, wanted: str, shown: str, span: Span, instead: str | None = None) -> Diagnostic:
    message = f"{key} must be {wanted}, not {shown}"
    return proposal("wrong-type", span, message, instead) if instead else error("wrong-type", span, message)


def not_one_of(key: str, value: str, allowed: Iterable[str], span: Span) -> Diagnostic:
    allowed = list(allowed)
    near = misspelt(value.lower(), allowed)
    choices = f"one of: {listed(allowed)}" if len(allowed) > 1 else f"it can only be `{allowed[0]}`"
    message = f"`{key}` cannot be `{visible(value)}`"
    if len(near) != 1:
        return error("not-one-of", span, message, choices)
    found = proposal("not-one-of", span, message, near[0])
    return replace(found, help=f"{found.help}; {choices}")


def weights_of_a_hundred(span: Span, right: str) -> Diagnostic:
    return proposal("weights-sum", span, "weights are shares of 1, not of 100", right)


def out_of_bounds(key: str, value: str, bound: str, span: Span) -> Diagnostic:
    return error("out-of-bounds", span, f"{key} is {visible(value)}", f"it must be {bound}")


def too_many_members(key: str, most: int, span: Span) -> Diagnostic:
    return error("too-many", span, f"{key} has more than {most} members")


def empty_section(key: str, span: Span, help: str) -> Diagnostic:
    return error("empty-section", span, f"{key} is empty", help)


def bad_name(key: str, span: Span) -> Diagnostic:
    return error(
        "bad-name", span, f"{key} must have from 1 to 200 characters", "write a shorter name, or any"
    )


def bad_address(key: str, value: str, span: Span) -> Diagnostic:
    return error(
        "bad-address",
        span,
        f"`{key}` is no address: `{visible(value)}`",
        f"write it with its scheme, such as `{key}: http://localhost:11434`",
    )


def other_currency(value: str, span: Span) -> Diagnostic:
    return error(
        "other-currency",
        span,
        f"prices are in US dollars, not in {visible(value)}",
        "write the prices in USD; budgets and scores have no exchange rates",
    )


def ordinal(number: int) -> str:
    """`the 3rd`, for the members of a list."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"the {number}{ending}"
