"""Sentences about policies.yaml: modes, overrides, budgets."""

from collections.abc import Iterable

from engine.language.diagnostics import Diagnostic, Note, visible
from engine.language.sentences import error, proposal, warning
from engine.language.source import Span
from engine.language.spelling import misspelt
from engine.language.wording import listed, similar_or


def no_default_mode(built_in: str, modes: Iterable[str], span: Span) -> Diagnostic:
    return error(
        "missing-key",
        span,
        f"`routing` has no `default_mode`, and `{built_in}`, which would be it, is not among the modes",
        f"add `default_mode:` with one of: {listed(modes)}",
    )


def unknown_default_mode(mode: str, modes: Iterable[str], span: Span) -> Diagnostic:
    return _unknown_mode(f"`default_mode` is `{visible(mode)}`, and there is no such mode", mode, modes, span)


def weights_of_unknown_mode(mode: str, modes: Iterable[str], span: Span) -> Diagnostic:
    return _unknown_mode(f"there is no mode `{visible(mode)}` to weigh", mode, modes, span)


def _unknown_mode(message: str, mode: str, modes: Iterable[str], span: Span) -> Diagnostic:
    modes = list(modes)
    return _unknown("unknown-mode", span, message, mode, modes, f"the modes are: {listed(modes)}")


def _unknown(
    slug: str, span: Span, message: str, name: str, known: Iterable[str], otherwise: str
) -> Diagnostic:
    """An error about a name that is not known; the one that is a slip away is named, and may be the wrong one
    of the two."""
    near = _near(name, known)
    return error(slug, span, message, otherwise if near is None else f"`{visible(near)}` is a similar name")


def _near(name: str, known: Iterable[str]) -> str | None:
    known = list(known)
    same = tuple(each for each in known if each.casefold() == name.casefold())
    near = same or misspelt(name, known)
    return near[0] if len(near) == 1 else None


def mode_weights_sum(mode: str, total: str, span: Span) -> Diagnostic:
    return error(
        "weights-sum",
        span,
        f"the weights of `{visible(mode)}` sum to {total}, not to 1",
        "change one of cost, quality and latency so that the three make 1",
    )


def strategy_without_cloud(mode: str, strategy: str, span: Span, forbidden: Span) -> Diagnostic:
    return error(
        "strategy-without-cloud",
        span,
        f"`{visible(mode)}` does not allow cloud, so the strategy `{strategy}` says nothing",
        "delete this line, or write `allow_cloud: true`",
        (Note(forbidden, "cloud is forbidden here"),),
    )


def cloud_without_strategy(mode: str, span: Span) -> Diagnostic:
    return error(
        "strategy-without-cloud",
        span,
        f"`{visible(mode)}` allows cloud, and its strategy says none",
        "write `allow_cloud: false`, or one of: fallback_critical_only, balanced, aggressive",
    )


def override_of_unknown_type(task_type: str, known: Iterable[str], span: Span) -> Diagnostic:
    message = f"`{visible(task_type)}` is not among `task_types`"
    return _unknown("unknown-task-type", span, message, task_type, known, "add it to `task_types`")


def unknown_provider_here(provider: str, where: str, known: Iterable[str], span: Span) -> Diagnostic:
    return warning(
        "unknown-provider",
        span,
        f"models.yaml has no provider `{visible(provider)}`; this {where} has no effect",
        similar_or(provider, known, "add the provider to models.yaml, or delete the name"),
    )


def limit_of_no_provider(provider: str, known: Iterable[str], span: Span, is_vendor: bool) -> Diagnostic:
    """Only a warning for a vendor that is well known: models.yaml may be behind."""
    known = list(known)
    message = f"models.yaml has no provider `{visible(provider)}`, so this limit limits nothing"
    near = misspelt(provider.casefold(), known)
    if len(near) == 1:
        return proposal("unknown-provider", span, message, near[0])
    said = warning if is_vendor else error
    return said("unknown-provider", span, message, f"the providers are {listed(known)}")


def month_below_day(month: str, day: str, span: Span, other: Span) -> Diagnostic:
    return warning(
        "month-below-day",
        span,
        f"the limit of a month, {month}, is below that of a day, {day}, which is never reached",
        "look whether the two are swapped",
        (Note(other, "the day's"),),
    )


def nothing_but_comments(span: Span) -> Diagnostic:
    return warning(
        "nothing-limited",
        span,
        "this file says nothing: the built-in modes hold, and nothing limits what is spent",
        "write what is to hold, or delete the file",
    )


def timeout_of_unknown_model(model: str, known: Iterable[str], span: Span) -> Diagnostic:
    return warning(
        "unknown-model",
        span,
        f"models.yaml has no model `{visible(model)}`; this time limit has no effect",
        similar_or(model, known, "add the model to models.yaml, or delete the name"),
    )


def capability_no_model_has(capability: str, known: Iterable[str], span: Span) -> Diagnostic:
    return warning(
        "unknown-capability",
        span,
        f"no model has the capability `{visible(capability)}`, so its points go to none",
        similar_or(capability, known, "add it to a model in models.yaml, or delete the name"),
    )


def listed_twice(name: str, span: Span, first: Span) -> Diagnostic:
    return warning(
        "listed-twice",
        span,
        f"`{visible(name)}` is listed twice",
        "delete one of the two",
        (Note(first, "first listed here"),),
    )


def differs_in_case_only(name: str, other: str, span: Span, first: Span) -> Diagnostic:
    return warning(
        "case-only",
        span,
        f"`{visible(name)}` and `{visible(other)}` differ in case only, and are two names",
        f"keep one spelling, such as `{visible(other)}`",
        (Note(first, "the other one"),),
    )


def no_limit(window: str, span: Span) -> Diagnostic:
    return error(
        "no-limit",
        span,
        f"`{window}` names no maximum, so nothing would be limited",
        "add `total_usd:` or `per_provider:`, or delete the section",
    )


def unknown_time_zone(name: str, known: Iterable[str], span: Span) -> Diagnostic:
    message = f"there is no time zone `{visible(name)}`"
    example = "an IANA name is wanted, such as `Europe/Berlin` or `UTC`"
    near = _near(name, known)
    found = "unknown-time-zone", span, message
    return error(*found, example) if near is None else proposal(*found, near)


def group_called_none(place: Span) -> Diagnostic:
    return error(
        "group-called-none",
        place,
        "no group can be called `none`: a task without a group has this one",
        "give it another name",
    )


def unknown_label_stays(name: str, known: list[str], place: Span) -> Diagnostic:
    return error(
        "unknown-label",
        place,
        f"`{visible(name)}` stays, and is not among `labels`",
        similar_or(name, known, f"the labels are: {listed(known)}"),
    )


def limit_of_unknown_group(name: str, known: list[str], place: Span) -> Diagnostic:
    return error(
        "unknown-group",
        place,
        f"there is a limit for `{visible(name)}`, which is not among `groups`",
        similar_or(name, known, f"the groups are: {listed(known)}") if known else f"write `groups: [{name}]`",
    )


def labels_stay_is_a_list(written: str, place: Span) -> Diagnostic:
    return error(
        "labels-stay",
        place,
        f"`labels_stay` is a list of labels or `all`, not `{visible(written)}`",
        f"write `labels_stay: [{visible(written)}]`",
    )
