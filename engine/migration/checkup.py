"""A policy folder and this machine -> the migration guide's validation checklist, as checks that ran.

Each check is one function that answers with findings: ok, warn or fail, what was seen, and what to do. A check that itself
breaks is a failed check, not a failed run. Only `health` goes to the network, and only when asked for.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeAlias

from engine.decision.explanation import Explanation
from engine.environment import Environment
from engine.errors import EngineError
from engine.execution.provider_factory import missing_variable
from engine.language.diagnostics import Level, Problems, visible
from engine.model_router import ModelRouter
from engine.policy import Policy, find_folder, load
from engine.provider_apis import sdk_packages

Verdict: TypeAlias = Literal["ok", "warn", "fail", "skipped"]
GUIDE_TYPES = ("qa", "planning", "routing")
CRITICALITIES = ("low", "medium", "high", "critical")
NEARLY_SPENT = Decimal(90)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `todo` is empty where nothing is to be done."""

    name: str
    verdict: Verdict
    seen: str
    todo: str = ""


@dataclass(slots=True)
class Patient:
    """What is looked at: filled in by the first checks, used by the later ones."""

    config_dir: str | None
    variables: Mapping[str, str]
    live: bool
    environment: Environment | None = None
    policy: Policy | None = None
    router: ModelRouter | None = None
    problems: Problems = field(default_factory=Problems)


def examine(config_dir: str | None, variables: Mapping[str, str], *, live: bool) -> list[Check]:
    """Every check, in the order of the checklist."""
    patient = Patient(config_dir, variables, live)
    found: list[Check] = []
    for name, check, needs in CHECKS:
        missing = [what for what in needs if getattr(patient, what) is None]
        if missing:
            found.append(Check(name, "skipped", f"needs a sound {missing[0]}"))
            continue
        try:
            found += check(patient)
        except EngineError as error:
            found.append(
                Check(
                    name,
                    "fail",
                    visible(str(error).partition("\n")[0]),
                    "mend this, then run the doctor again",
                )
            )
        except OSError as error:
            found.append(
                Check(
                    name,
                    "fail",
                    (error.strerror or "unknown error").lower(),
                    "mend this, then run the doctor again",
                )
            )
    return found


def _environment(patient: Patient) -> Iterator[Check]:
    patient.environment = environment = Environment.read(patient.variables)
    said = [f"mode {environment.mode}"] if environment.mode else []
    said += [
        f"{name} limit ${limit}"
        for name, limit in (
            ("daily", environment.daily_limit_usd),
            ("monthly", environment.monthly_limit_usd),
        )
        if limit is not None
    ]
    yield Check("environment", "ok", ", ".join(said) or "nothing overrides the policy folder")
    if environment.dry_run:
        yield Check(
            "environment", "warn", "DRY_RUN_MODE is on: no call is made", "unset it when the tests are done"
        )


def _configuration(patient: Patient) -> Iterator[Check]:
    assert patient.environment is not None
    folder = find_folder(patient.config_dir, patient.environment.config_dir)
    problems = Problems()
    policy = load(folder, problems)
    counts = {level: sum(problem.level is level for problem in problems) for level in Level}
    shown = visible(str(folder))
    if policy is None:
        first = next(problem for problem in problems if problem.level is Level.ERROR)
        place = f"{first.span.source.name}:{first.span.line}: {first.message}"
        more = counts[Level.ERROR] - 1
        yield Check(
            "configuration",
            "fail",
            f"{visible(place)}" + (f", and {more} more" if more else ""),
            f"engine lint {shown}",
        )
        return
    patient.policy = policy
    seen = f"{shown}: {len(policy.catalogue.models)} models, {len(policy.checked.rules)} rules"
    if counts[Level.WARNING]:
        yield Check(
            "configuration", "warn", f"{seen}, {counts[Level.WARNING]} warnings", f"engine lint {shown}"
        )
    else:
        yield Check("configuration", "ok", seen)
    patient.router = ModelRouter.of(policy)


def _policy_tests(patient: Patient) -> Iterator[Check]:
    from engine.analysis.policy_tests import run_tests

    assert patient.policy is not None
    reports = run_tests(patient.policy)
    failed = [report for report in reports if not report.passed]
    if failed:
        yield Check(
            "policy tests",
            "fail",
            f"{len(failed)} of {len(reports)} fail, first: {visible(failed[0].test.title)}",
            "engine test",
        )
    elif reports:
        yield Check("policy tests", "ok", f"{len(reports)} pass")
    else:
        yield Check(
            "policy tests",
            "warn",
            "the policy has none",
            'write down what must hold: test "...": given ... expect ...',
        )


def _proofs(patient: Patient) -> Iterator[Check]:
    from engine.analysis.proofs import prove

    assert patient.policy is not None
    answers = prove(patient.policy)
    bad = [answer for answer in answers if answer.verdict != "proved"]
    if bad:
        yield Check(
            "policy proofs",
            "fail" if any(answer.verdict == "refuted" for answer in bad) else "warn",
            f"{bad[0].proof.name} is {bad[0].verdict}",
            "engine prove",
        )
    elif answers:
        yield Check("policy proofs", "ok", f"{len(answers)} proved")
    else:
        yield Check(
            "policy proofs",
            "warn",
            "the policy has none",
            "prove what must never happen: prove NAME: never cloud when ...",
        )


def _selection(patient: Patient) -> Iterator[Check]:
    """On paper: everything up, nothing spent. Then now, on this machine."""
    policy, router = patient.policy, patient.router
    assert policy is not None
    assert router is not None
    types = task_types(policy)
    refused: list[str] = []
    for task_type in types:
        for criticality in CRITICALITIES:
            if not _decided(policy, task_type, criticality).chain:
                refused.append(f"{task_type} of {criticality} criticality")
    if refused:
        yield Check(
            "selection",
            "fail",
            f"refused with everything up: {_listed(refused)}",
            f"engine explain type={refused[0].split()[0]} criticality={refused[0].split()[2]}",
        )
    else:
        yield Check("selection", "ok", f"a model for every task type: {_listed(types, most=12)}")
    now = [task_type for task_type in types if not router.explain({"task.type": task_type}).chain]
    if now:
        yield Check(
            "selection now",
            "warn",
            f"refused on this machine now: {_listed(now)}",
            f"engine explain --live type={now[0]}",
        )
    else:
        yield Check(
            "selection now", "ok", "a model for every task type, with this machine's keys, budgets and clock"
        )


def _fallbacks(patient: Patient) -> Iterator[Check]:
    policy = patient.policy
    assert policy is not None
    types = task_types(policy)
    alone = [task_type for task_type in types if len(_decided(policy, task_type, "high").chain) < 2]
    if alone:
        yield Check(
            "fallbacks",
            "warn",
            f"only one model at high criticality: {_listed(alone)}",
            "list more models, or add a tier to the route: ..., then any",
        )
    else:
        yield Check("fallbacks", "ok", "every task type of high criticality has a second model")
    lost: dict[str, list[str]] = {}
    for provider in policy.names.providers:
        for task_type in types:
            facts = {"provider.down": frozenset({provider})}
            if not _decided(policy, task_type, "high", facts).chain:
                lost.setdefault(provider, []).append(task_type)
    for provider, stranded in lost.items():
        yield Check(
            "fallbacks",
            "warn",
            f"without {provider} nobody takes {_listed(stranded)}",
            "configure a second provider for them",
        )


def _budgets(patient: Patient) -> Iterator[Check]:
    policy, router = patient.policy, patient.router
    assert policy is not None
    assert router is not None
    limits = router.get_usage_summary()["limits"]
    clouds = {model.provider for model in policy.catalogue.models if model.locality == "cloud"}
    limited = [limit for limit in limits if limit["limit_usd"] is not None]
    if clouds and not limited:
        yield Check(
            "budgets",
            "warn",
            "cloud models, and no limit on spending",
            "set budgets.daily.total_usd in policies.yaml, or DAILY_BUDGET_LIMIT",
        )
        return
    if not clouds:
        yield Check("budgets", "ok", "no cloud model, nothing to spend")
        return
    for limit in limited:
        used = Decimal(str(limit["used_percent"]))
        seen = f"{limit['budget']}: {used:.0f}% of ${Decimal(str(limit['limit_usd'])):.2f} used"
        if Decimal(str(limit["limit_usd"])) == 0:
            yield Check(
                "budgets",
                "warn",
                f"{limit['budget']}: the limit is zero, so nothing is spent",
                "raise it where cloud is wanted",
            )
        elif used >= 100:
            yield Check("budgets", "fail", seen, "wait for the reset, or raise the limit; local models go on")
        elif used >= NEARLY_SPENT:
            yield Check("budgets", "warn", seen, "engine usage")
        else:
            yield Check("budgets", "ok", seen)


def _keys(patient: Patient) -> Iterator[Check]:
    policy, environment = patient.policy, patient.environment
    assert policy is not None
    assert environment is not None
    providers = policy.catalogue.providers
    missing = {one.name: variable for one in providers if (variable := missing_variable(one, environment))}
    usable = any(one.name not in missing and (one.locality == "cloud" or one.models) for one in providers)
    clouds = [one for one in providers if one.locality == "cloud"]
    for name, variable in missing.items():
        yield Check(
            "keys",
            "warn" if usable else "fail",
            f"{name}: {variable} is not set, so it counts as down",
            f"set {variable}, or take {name} out of models.yaml",
        )
    there = [provider.name for provider in clouds if provider.name not in missing]
    if there or not clouds:
        yield Check("keys", "ok", f"set for {_listed(there)}" if there else "no cloud provider, none needed")


def _state_folder(patient: Patient) -> Iterator[Check]:
    assert patient.environment is not None
    folder = patient.environment.state_dir
    if folder is None:
        yield Check("state folder", "fail", "there is none: no home folder is known", "set ENGINE_STATE_DIR")
        return
    shown = visible(str(folder))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".doctor-{os.getpid()}"
        with open(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("ok")
        probe.unlink()
    except OSError as error:
        yield Check(
            "state folder",
            "fail",
            f"{shown}: {(error.strerror or 'unknown error').lower()}",
            "make it writable, or set ENGINE_STATE_DIR; without it cloud is refused",
        )
        return
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        yield Check("state folder", "warn", f"{shown} can be read by others", f"chmod 700 {shown}")
    else:
        yield Check("state folder", "ok", f"{shown} is writable")


def _books(patient: Patient) -> Iterator[Check]:
    """Monitoring and logging: the ledger adds up, the decision log is whole."""
    from engine.budget.usage import verify as books_of
    from engine.execution.decision_log import verify

    assert patient.router is not None
    assert patient.environment is not None
    verdict = books_of(patient.router.ledger)
    if not verdict.ok:
        first = verdict.findings[0]
        yield Check("ledger", "fail", visible(f"{first.subject}: {first.problem}"), "engine usage --verify")
    else:
        yield Check("ledger", "ok", "opens, and adds up")
    folder = patient.environment.state_dir
    broken = verify(folder) if folder is not None and folder.is_dir() else []
    if broken:
        yield Check(
            "decision log", "fail", visible(broken[0]), "keep the files, and find out who changed them"
        )
    else:
        yield Check("decision log", "ok", "whole")


def _packages(_: Patient) -> Iterator[Check]:
    for name, sdk in sdk_packages().items():
        wanted = f"pip install '{name}>={sdk.first},<{sdk.beyond}'"
        try:
            there = version(name)
        except PackageNotFoundError:
            yield Check("packages", "fail", f"{name} is not installed", wanted)
            continue
        major = int(there.partition(".")[0])
        if not sdk.first <= major < sdk.beyond:
            yield Check("packages", "fail", f"{name} {there} is installed", wanted)
        else:
            yield Check("packages", "ok", f"{name} {there}")


def _flags(patient: Patient) -> Iterator[Check]:
    from engine.migration.flags import BY_TYPE, EVERYTHING, Flags

    names = sorted(name for name in patient.variables if name == EVERYTHING or name.startswith(BY_TYPE))
    flags = Flags(variables=patient.variables)
    if not names:
        yield Check(
            "flags",
            "ok",
            f"no {EVERYTHING} or {BY_TYPE}*: where flags are asked, nothing goes to the router yet",
        )
        return
    types = GUIDE_TYPES if patient.policy is None else task_types(patient.policy)
    yield Check(
        "flags", "ok", "to the router: " + ", ".join(f"{name} {flags.share(name)}%" for name in types)
    )


def _health(patient: Patient) -> Iterator[Check]:
    if not patient.live:
        yield Check("health", "skipped", "not asked", "engine doctor --live")
        return
    router = patient.router
    assert router is not None

    async def asked() -> dict[str, dict[str, Any]]:
        async with router:
            return await router.health_check()

    for name, row in asyncio.run(asked()).items():
        status = row["status"]
        latency = row["latency_s"]
        if status == "up":
            took = "" if latency is None else f" in {latency * 1000:.0f} ms"
            yield Check("health", "ok", f"{name} answers{took}")
        else:
            yield Check(
                "health",
                "warn" if status == "unknown" else "fail",
                visible(f"{name} is {status}: {row['error'] or 'no reason given'}"),
                f"start {name}, or look at its address and key" if status != "unknown" else "",
            )


def task_types(policy: Policy) -> list[str]:
    """The types to try: the closed list, else those the settings name, else the guide's."""
    if policy.names.task_types is not None:
        return list(policy.names.task_types)
    named = {override.task_type for override in policy.settings.overrides}
    return sorted(named | set(GUIDE_TYPES))


def _decided(
    policy: Policy, task_type: str, criticality: str, more: Mapping[str, Any] | None = None
) -> Explanation:
    return policy.explain({"task.type": task_type, "task.criticality": criticality, **(more or {})}, {})


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return visible(shown if len(names) <= most else f"{shown} and {len(names) - most} more")


CHECKS: tuple[tuple[str, Callable[[Patient], Iterator[Check]], tuple[str, ...]], ...] = (
    ("environment", _environment, ()),
    ("configuration", _configuration, ("environment",)),
    ("policy tests", _policy_tests, ("policy",)),
    ("policy proofs", _proofs, ("policy",)),
    ("selection", _selection, ("policy", "router")),
    ("fallbacks", _fallbacks, ("policy",)),
    ("keys", _keys, ("policy",)),
    ("state folder", _state_folder, ("environment",)),
    ("budgets", _budgets, ("policy", "router")),
    ("ledger", _books, ("router",)),
    ("packages", _packages, ()),
    ("flags", _flags, ()),
    ("health", _health, ("router",)),
)


def report_json(checks: Sequence[Check], folder: Path | None = None) -> dict[str, Any]:
    """Plain values (schemas/doctor.schema.json)."""
    return {
        "version": 1,
        "verdict": worst(checks),
        "checks": [
            {"name": check.name, "verdict": check.verdict, "seen": check.seen, "todo": check.todo or None}
            for check in checks
        ],
        "by_hand": list(BY_HAND),
    }


def worst(checks: Sequence[Check]) -> Verdict:
    """The gravest verdict there is."""
    verdicts = {check.verdict for check in checks}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "ok"


# What the guide's checklist asks and no program can see.
BY_HAND = (
    "the project's own tests pass",
    "answers are fast enough (`engine.migration.Shadow` records how long the legacy call took)",
    "documentation is updated",
    "the team knows the new system",
)
