"""What each word of the language does, in one line: for hovers and completions."""

from engine.language.statement_forms import STATEMENT_FORMS

KEYWORDS: dict[str, str] = {
    **{form.keyword: form.meaning for form in STATEMENT_FORMS},
    "when": "the rule applies when the condition holds",
    "unless": "the rule applies unless the condition holds",
    "because": "why; shown in every explanation",
    "use": "the models of the first tier",
    "then": "the models of the next tier",
    "by": "how many points",
    "watch": "the guard is traced and counted, and never blocks",
    "given": "the facts of a case; the rest is as usual",
    "expect": "what is decided for them",
    "refused": "no model may have the task",
    "chain": "the models in order; `...` leaves the end open",
    "only": "every member of the chain",
    "never": "no member of the chain",
    "some": "at least one member of the chain",
    "any": "every model; after `has`, at least one of a list",
    "all": "after `has`, every one of a list",
    "local": "models declared local",
    "cloud": "models that are not local",
    "and": "both; binds closer than `or`",
    "or": "at least one",
    "not": "the opposite; binds closer than `and`",
    "is": "equals",
    "in": "is one of a list, or within a range",
    "has": "a set has this member",
    "empty": "a set has no members",
}
