"""A changed policy folder -> the next snapshot, or what keeps it from being one.

The folder is read once and whole, compiled and checked beside the running snapshot, and swapped in as one
reference. A bad candidate changes nothing and is remembered in the status. Nothing is ever written to the
folder.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from engine.analysis.judgement import Judgement, judge
from engine.config.folder import read_folder
from engine.decision.facts import DEFAULTS
from engine.errors import EngineError
from engine.execution import log_events
from engine.execution.planning import Planner
from engine.execution.policy_snapshot import PolicySnapshot
from engine.forks import after_fork
from engine.language.diagnostics import Level, Problems
from engine.policy import Policy, build


@dataclass(frozen=True, slots=True)
class ReloadStatus:
    """What runs, and what became of the last candidate. Digests are of policy and catalogue together.

    `candidate` and `error` are None when the folder holds what runs; `since` is when the answer last changed;
    `widened` says, a sentence each, how the candidate lets more out or spends more than what runs, or what
    of that is not known; `judgement` says it by kind, with the tasks that show it.
    """

    running: str
    candidate: str | None
    error: str | None
    since: datetime
    widened: tuple[str, ...] = ()
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder as it was read: its digest, and its policy or why there is none."""

    digest: str | None
    policy: Policy | None
    error: str | None = None


def read_candidate(folder: Path, running: Policy) -> Candidate:
    """Read and build what the folder holds now. The running policy comes back when nothing changed."""
    problems = Problems()
    files = read_folder(folder, problems)
    if files is None:
        return Candidate(None, None, _told(problems))
    digest = f"{files.policy_digest}+{files.catalogue_digest}"
    if digest == digest_of(running):
        return Candidate(digest, running)
    policy = build(files, problems)
    if policy is None:
        return Candidate(digest, None, _told(problems))
    leak = next(leaks(policy), None)
    return Candidate(digest, policy if leak is None else None, leak)


def digest_of(policy: Policy) -> str:
    """The digest of a policy and its catalogue together."""
    return f"{policy.folder.policy_digest}+{policy.folder.catalogue_digest}"


def leaks(policy: Policy) -> Iterator[str]:
    """Decisions of a mode without cloud whose chain holds a cloud model: there is none, or the engine is
    broken."""
    types = [placed.name for placed in policy.settings.task_types or ()] or ["any", *_mentioned_types(policy)]
    for mode in policy.settings.modes.values():
        if mode.allow_cloud:
            continue
        for task_type in types:
            for criticality in ("low", "critical"):
                for used in (Decimal(0), Decimal(100)):
                    facts = DEFAULTS._replace(
                        task_type=task_type, criticality=criticality, mode=mode.name, budget_daily_used=used
                    )
                    if any(model.locality == "cloud" for model in policy.evaluator.decide(facts).chain):
                        yield f"mode {mode.name} lets {task_type} out to the cloud"


def _mentioned_types(policy: Policy) -> list[str]:
    return [override.task_type for override in policy.settings.overrides]


def _told(problems: Problems) -> str:
    errors = [problem for problem in problems if problem.level is Level.ERROR]
    first = errors[0] if errors else None
    if first is None:
        return "it cannot be read"
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{first.span.source.name}:{first.span.line}: {first.message}{more}"


class Reloader:
    """The policy in force, and its replacement by what the folder holds. Thread-safe.

    `planner` is replaced whole; whoever reads it once keeps one policy. `make_planner` may raise EngineError;
    `on_change` is told of the snapshot that has come into force.
    """

    def __init__(
        self,
        policy: Policy,
        make_planner: Callable[[Policy], Planner],
        now: Callable[[], datetime],
        on_change: Callable[[PolicySnapshot], None],
    ) -> None:
        self.planner = make_planner(policy)
        self.status = ReloadStatus(self.planner.snapshot.digest, None, None, now())
        self._make_planner, self._now, self._on_change = make_planner, now, on_change
        self._last_judged: tuple[str, str | None, Judgement] | None = None
        self._begin_again()
        after_fork(self, Reloader._begin_again)
        self.retired: list[PolicySnapshot] = []

    def _begin_again(self) -> None:
        self._lock = threading.Lock()
        self._retiring = threading.Lock()

    def reload(self, *, allow_widen: bool) -> ReloadStatus:
        """Read the folder whole and put it in force when it is sound, else say why not in the status."""
        with self._lock:
            running = self.planner.snapshot
            candidate = read_candidate(Path(running.policy.folder.name), running.policy)
            self._take(running, candidate, allow_widen=allow_widen)
            return self.status

    async def close_retired(self) -> None:
        """Close the connections of replaced policies whose last request is over."""
        for snapshot in self._taken_from_retired():
            await snapshot.aclose()

    def _taken_from_retired(self) -> list[PolicySnapshot]:
        with self._retiring:
            idle = [snapshot for snapshot in self.retired if snapshot.is_idle]
            self.retired = [snapshot for snapshot in self.retired if snapshot not in idle]
        return idle

    async def aclose(self) -> None:
        """Close the connections of the policy in force and of those it replaced."""
        await self.planner.snapshot.aclose()
        await self.close_retired()

    def _take(self, running: PolicySnapshot, candidate: Candidate, *, allow_widen: bool) -> None:
        now = self._now()
        if candidate.policy is running.policy:
            if self.status.candidate is not None or self.status.error is not None:
                self.status = ReloadStatus(running.digest, None, None, now)
            return
        error, planner, judgement = candidate.error, None, None
        if candidate.policy is not None:
            judgement = self._judged(running, candidate.digest, candidate.policy)
            if judgement.reasons and not allow_widen:
                error = f"it lets more through: {'; '.join(judgement.reasons)}"
            else:
                try:
                    planner = self._make_planner(candidate.policy)
                except EngineError as refused:
                    error = str(refused)
        wider = judgement.reasons if judgement else ()
        if planner is None:
            if (candidate.digest, error) != (self.status.candidate, self.status.error):
                self.status = ReloadStatus(running.digest, candidate.digest, error, now, wider, judgement)
                log_events.not_reloaded(running.digest, error or "")
            return
        self.planner = planner
        with self._retiring:
            self.retired = [*self.retired, running]
        self._on_change(planner.snapshot)
        self.status = ReloadStatus(planner.snapshot.digest, None, None, now, wider, judgement)
        log_events.reloaded(planner.snapshot.digest)

    def _judged(self, running: PolicySnapshot, digest: str | None, policy: Policy) -> Judgement:
        """The judgement of a candidate; one that stays in the folder is judged once."""
        last = self._last_judged
        if last is None or last[:2] != (running.digest, digest):
            last = self._last_judged = running.digest, digest, judge(running.policy, policy)
        return last[2]
