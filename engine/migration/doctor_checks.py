"""The checks of `engine doctor`: is this policy folder, on this machine, ready to route?

`CHECKS` lists them in order. Each is a function of the `DoctorContext` that yields findings; one that raises
is a failed check, and the next one runs. Only `health` uses the network, and only with `live`.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias, TypeVar

from engine.budget.errors import LedgerReplaced
from engine.decision.explanation import Explanation
from engine.environment import Environment
from engine.errors import EngineError
from engine.execution.provider_factory import missing_variable
from engine.language.diagnostics import Level, Problems, visible
from engine.model_router import ModelRouter
from engine.policy import Policy, find_folder, load
from engine.provider_apis import sdk_packages

Verdict: TypeAlias = Literal["ok", "warn", "fail", "skipped"]
COMMON_TYPES = ("qa", "planning", "routing")
CRITICALITIES = ("low", "medium", "high", "critical")
NEARLY_SPENT = Decimal(90)
# What only a person can check.
MANUAL_CHECKS = (
    "the project's own tests pass",
    "answers are fast enough (`engine.migration.Shadow` records how long the legacy call took)",
    "documentation is updated",
    "the team knows the new system",
)
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `advice` is empty where nothing needs to be done, `name` for the check's own."""

    verdict: Verdict
    detail: str
    advice: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    verdict: Verdict
    detail: str
    advice: str


class _Unavailable(Exception):  # noqa: N818
    """A check needs something that an earlier check could not make."""


@dataclass(slots=True)
class DoctorContext:
    """What the checks examine. The first ones set `environment`, `policy` and `router` for the later ones.

    A check that reads one of these too early, or after its check failed, is skipped.
    """

    config_dir: str | None
    variables: Mapping[str, str]
    live: bool
    probe_cloud: bool = False
    loaded_environment: Environment | None = None
    loaded_policy: Policy | None = None
    loaded_router: ModelRouter | None = None

    @property
    def environment(self) -> Environment:
        return _available("environment", self.loaded_environment)

    @property
    def policy(self) -> Policy:
        return _available("policy", self.loaded_policy)

    @property
    def router(self) -> ModelRouter:
        return _available("router", self.loaded_router)


def run_checks(
    config_dir: str | None, variables: Mapping[str, str], *, live: bool, probe_cloud: bool = False
) -> list[Check]:
    """Run every check, in order."""
    context = DoctorContext(config_dir, variables, live, probe_cloud)
    return [
        Check(finding.name or name, finding.verdict, finding.detail, finding.advice)
        for name, check in CHECKS
        for finding in _run(check, context)
    ]


def _run(check: Callable[[DoctorContext], Iterator[Finding]], context: DoctorContext) -> Iterator[Finding]:
    try:
        yield from check(context)
    except _Unavailable as missing:
        yield Finding("skipped", f"needs a sound {missing}")
    except LedgerReplaced as replaced:
        yield _fail(visible(str(replaced)), "engine ledger adopt")
    except EngineError as error:
        yield _fail(visible(str(error).partition("\n")[0]), "mend this, then run the doctor again")
    except OSError as error:
        yield _fail(_reason(error), "mend this, then run the doctor again")


def _available(name: str, part: _Part | None) -> _Part:
    if part is None:
        raise _Unavailable(name)
    return part


def _ok(detail: str) -> Finding:
    return Finding("ok", detail)


def _warn(detail: str, advice: str) -> Finding:
    return Finding("warn", detail, advice)


def _fail(detail: str, advice: str) -> Finding:
    return Finding("fail", detail, advice)


def _reason(error: OSError) -> str:
    return (error.strerror or "unknown error").lower()


def _environment(context: DoctorContext) -> Iterator[Finding]:
    context.loaded_environment = environment = Environment.read(context.variables)
    overrides = [f"mode {environment.mode}"] if environment.mode else []
    overrides += [
        f"{name} limit ${limit}"
        for name, limit in (
            ("daily", environment.daily_limit_usd),
            ("monthly", environment.monthly_limit_usd),
        )
        if limit is not None
    ]
    yield _ok(", ".join(overrides) or "nothing overrides the policy folder")
    if environment.dry_run:
        yield _warn("DRY_RUN_MODE is on: no call is made", "unset it when the tests are done")


def _configuration(context: DoctorContext) -> Iterator[Finding]:
    folder = find_folder(context.config_dir, context.environment.config_dir)
    problems = Problems()
    policy = load(folder, problems)
    counts = {level: sum(problem.level is level for problem in problems) for level in Level}
    shown = visible(str(folder))
    if policy is None:
        first = next(problem for problem in problems if problem.level is Level.ERROR)
        place = f"{first.span.source.name}:{first.span.line}: {first.message}"
        more = counts[Level.ERROR] - 1
        yield _fail(
            f"{visible(place)}" + (f", and {more} more" if more else ""),
            f"engine lint {shown}",
        )
        return
    context.loaded_policy = policy
    detail = f"{shown}: {len(policy.catalogue.models)} models, {len(policy.checked.rules)} rules"
    if counts[Level.WARNING]:
        yield _warn(f"{detail}, {counts[Level.WARNING]} warnings", f"engine lint {shown}")
    else:
        yield _ok(detail)
    context.loaded_router = ModelRouter.of(policy)


def _policy_tests(context: DoctorContext) -> Iterator[Finding]:
    from engine.analysis.policy_tests import run_tests

    reports = run_tests(context.policy)
    failed = [report for report in reports if not report.passed]
    if failed:
        yield _fail(
            f"{len(failed)} of {len(reports)} fail, first: {visible(failed[0].test.title)}",
            "engine test",
        )
    elif reports:
        yield _ok(f"{len(reports)} pass")
    else:
        yield _warn(
            "the policy has none",
            'write down what must hold: test "...": given ... expect ...',
        )


def _proofs(context: DoctorContext) -> Iterator[Finding]:
    from engine.analysis.proofs import prove

    answers = prove(context.policy)
    bad = [answer for answer in answers if answer.verdict != "proved"]
    if bad:
        yield Finding(
            "fail" if any(answer.verdict == "refuted" for answer in bad) else "warn",
            f"{bad[0].proof.name} is {bad[0].verdict}",
            "engine prove",
        )
    elif answers:
        yield _ok(f"{len(answers)} proved")
    else:
        yield _warn(
            "the policy has none",
            "prove what must never happen: prove NAME: never cloud when ...",
        )


def _selection(context: DoctorContext) -> Iterator[Finding]:
    """First with every provider up and nothing spent, then on this machine now. An ordinary task is as a test
    assumes it, but for its type and criticality."""
    policy, router = context.policy, context.router
    types = task_types(policy)
    refused: list[str] = []
    for task_type in types:
        for criticality in CRITICALITIES:
            if not _explain(policy, task_type, criticality).chain:
                refused.append(f"{task_type} of {criticality} criticality")
    if refused:
        yield _fail(
            f"ordinary tasks are refused with everything up: {_listed(refused)}",
            f"engine explain type={refused[0].split()[0]} criticality={refused[0].split()[2]}",
        )
    else:
        yield _ok(f"a model for an ordinary task of every type: {_listed(types, most=12)}")
    now = [task_type for task_type in types if not router.explain({"task.type": task_type}).chain]
    if now:
        finding = _warn(
            f"ordinary tasks are refused on this machine now: {_listed(now)}",
            f"engine explain --live type={now[0]}",
        )
    else:
        finding = _ok(
            "a model for an ordinary task of every type, with this machine's keys, budgets and clock"
        )
    yield replace(finding, name="selection now")


def _fallbacks(context: DoctorContext) -> Iterator[Finding]:
    policy = context.policy
    types = task_types(policy)
    alone = [task_type for task_type in types if len(_explain(policy, task_type, "high").chain) < 2]
    if alone:
        yield _warn(
            f"only one model for an ordinary task of high criticality: {_listed(alone)}",
            "list more models, or add a tier to the route: ..., then any",
        )
    else:
        yield _ok("an ordinary task of high criticality has a second model, whatever its type")
    lost: dict[str, list[str]] = {}
    for provider in policy.names.providers:
        for task_type in types:
            facts = {"provider.down": frozenset({provider})}
            if not _explain(policy, task_type, "high", facts).chain:
                lost.setdefault(provider, []).append(task_type)
    for provider, stranded in lost.items():
        yield _warn(
            f"without {provider} nobody takes an ordinary task of high criticality: {_listed(stranded)}",
            "configure a second provider for them",
        )


def _budgets(context: DoctorContext) -> Iterator[Finding]:
    policy, router = context.policy, context.router
    limits = router.get_usage_summary()["limits"]
    clouds = {model.provider for model in policy.catalogue.models if model.locality == "cloud"}
    limited = [limit for limit in limits if limit["limit_usd"] is not None]
    if clouds and not limited:
        yield _warn(
            "cloud models, and no limit on spending",
            "set budgets.daily.total_usd in policies.yaml, or DAILY_BUDGET_LIMIT",
        )
        return
    if not clouds:
        yield _ok("no cloud model, nothing to spend")
        return
    for limit in limits:
        if limit["closed"]:
            account = limit["budget"]
            yield _fail(f"{account}: closed after a breach", f"engine ledger reopen {account}")
    for limit in limited:
        used = Decimal(str(limit["used_percent"]))
        detail = f"{limit['budget']}: {used:.0f}% of ${Decimal(str(limit['limit_usd'])):.2f} used"
        if Decimal(str(limit["limit_usd"])) == 0:
            yield _warn(
                f"{limit['budget']}: the limit is zero, so nothing is spent",
                "raise it where cloud is wanted",
            )
        elif used >= 100:
            yield _fail(detail, "wait for the reset, or raise the limit; local models go on")
        elif used >= NEARLY_SPENT:
            yield _warn(detail, "engine usage")
        else:
            yield _ok(detail)


def _keys(context: DoctorContext) -> Iterator[Finding]:
    policy, environment = context.policy, context.environment
    providers = policy.catalogue.providers
    missing = {one.name: variable for one in providers if (variable := missing_variable(one, environment))}
    usable = any(one.name not in missing and (one.locality == "cloud" or one.models) for one in providers)
    clouds = [one for one in providers if one.locality == "cloud"]
    for name, variable in missing.items():
        yield Finding(
            "warn" if usable else "fail",
            f"{name}: {variable} is not set, so it counts as down",
            f"set {variable}, or take {name} out of models.yaml",
        )
    there = [provider.name for provider in clouds if provider.name not in missing]
    if there or not clouds:
        yield _ok(f"set for {_listed(there)}" if there else "no cloud provider, none needed")


def _state_folder(context: DoctorContext) -> Iterator[Finding]:
    folder = context.environment.state_dir
    if folder is None:
        yield _fail("there is none: no home folder is known", "set ENGINE_STATE_DIR")
        return
    shown = visible(str(folder))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".doctor-{os.getpid()}"
        with open(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("ok")
        probe.unlink()
    except OSError as error:
        yield _fail(
            f"{shown}: {_reason(error)}",
            "make it writable, or set ENGINE_STATE_DIR; without it cloud is refused",
        )
        return
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        yield _warn(f"{shown} can be read by others", f"chmod 700 {shown}")
    else:
        yield _ok(f"{shown} is writable")


def _ledger_and_log(context: DoctorContext) -> Iterator[Finding]:
    """The ledger adds up, and the decision log is complete."""
    from engine.budget.usage import verify as verify_ledger
    from engine.execution.decision_log import CUT_SHORT
    from engine.execution.decision_log import verify as verify_log

    verdict = verify_ledger(context.router.ledger)
    if not verdict.ok:
        first = verdict.findings[0]
        yield _fail(visible(f"{first.subject}: {first.problem}"), "engine usage --verify")
    else:
        yield _ok("opens, and adds up")
    folder = context.environment.state_dir
    broken = verify_log(folder) if folder is not None and folder.is_dir() else []
    if broken:
        full = CUT_SHORT in broken[0]
        advice = "make room on the disk" if full else "keep the files, and find out who changed them"
        finding = _fail(visible(broken[0]), advice)
    else:
        finding = _ok("whole")
    yield replace(finding, name="decision log")


def _packages(_: DoctorContext) -> Iterator[Finding]:
    for name, sdk in sdk_packages().items():
        command = f"pip install '{name}>={sdk.first},<{sdk.beyond}'"
        try:
            installed = version(name)
        except PackageNotFoundError:
            yield _fail(f"{name} is not installed", command)
            continue
        if not sdk.first <= int(installed.partition(".")[0]) < sdk.beyond:
            yield _fail(f"{name} {installed} is installed", command)
        else:
            yield _ok(f"{name} {installed}")


def _flags(context: DoctorContext) -> Iterator[Finding]:
    from engine.migration.flags import BY_TYPE, EVERYTHING, Flags

    names = sorted(name for name in context.variables if name == EVERYTHING or name.startswith(BY_TYPE))
    flags = Flags(variables=context.variables)
    if not names:
        yield _ok(
            f"no {EVERYTHING} or {BY_TYPE}*: where flags are asked, nothing goes to the router yet",
        )
        return
    types = COMMON_TYPES if context.loaded_policy is None else task_types(context.loaded_policy)
    yield _ok("to the router: " + ", ".join(f"{name} {flags.share(name)}%" for name in types))


def _health(context: DoctorContext) -> Iterator[Finding]:
    router = context.router
    if not context.live:
        yield Finding("skipped", "not asked", "engine doctor --live")
        return

    async def health() -> dict[str, dict[str, Any]]:
        async with router:
            return await router.health_check(probe_cloud=context.probe_cloud)

    for name, row in asyncio.run(health()).items():
        status = row["status"]
        latency = row["latency_s"]
        if status == "up":
            took = "" if latency is None else f" in {latency * 1000:.0f} ms"
            yield _ok(visible(f"{name} answers{took} at {row['address']}"))
        else:
            yield Finding(
                "warn" if status == "unknown" else "fail",
                visible(f"{name} at {row['address']} is {status}: {row['error'] or 'no reason given'}"),
                f"start {name}, or look at its address and key" if status != "unknown" else "",
            )


def task_types(policy: Policy) -> list[str]:
    """The types to try: the closed list, else those the settings name, else the common ones."""
    if policy.names.task_types is not None:
        return list(policy.names.task_types)
    named = {override.task_type for override in policy.settings.overrides}
    return sorted(named | set(COMMON_TYPES))


def _explain(
    policy: Policy, task_type: str, criticality: str, more: Mapping[str, Any] | None = None
) -> Explanation:
    return policy.explain({"task.type": task_type, "task.criticality": criticality, **(more or {})}, {})


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return visible(shown if len(names) <= most else f"{shown} and {len(names) - most} more")


CHECKS: tuple[tuple[str, Callable[[DoctorContext], Iterator[Finding]]], ...] = (
    ("environment", _environment),
    ("configuration", _configuration),
    ("policy tests", _policy_tests),
    ("policy proofs", _proofs),
    ("selection", _selection),
    ("fallbacks", _fallbacks),
    ("keys", _keys),
    ("state folder", _state_folder),
    ("budgets", _budgets),
    ("ledger", _ledger_and_log),
    ("packages", _packages),
    ("flags", _flags),
    ("health", _health),
)


def report_json(checks: Sequence[Check]) -> dict[str, Any]:
    """Plain values (schemas/doctor.schema.json)."""
    return {
        "version": 1,
        "verdict": worst(checks),
        "checks": [
            {
                "name": check.name,
                "verdict": check.verdict,
                "seen": check.detail,
                "todo": check.advice or None,
            }
            for check in checks
        ],
        "by_hand": list(MANUAL_CHECKS),
    }


def worst(checks: Sequence[Check]) -> Verdict:
    """The worst verdict of any check: fail, then warn, then ok."""
    verdicts = {check.verdict for check in checks}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "ok"
