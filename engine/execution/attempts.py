"""START HERE: one request and its decided chain -> an answer, or the one error that says why there is none.

Each attempt holds its worst case at the ledger before its first byte is sent, and ends its reservation
exactly once. Whether a failure is met by the same target, the next one or nobody is read from the taxonomy
(`ProviderError.conduct`); a stream and a whole answer go through the same lines. One deadline holds for the
whole chain: every wait below is cut to it.

INVARIANT: only members of `chain` are called, in its order, each under a permit of the snapshot that decided
it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from math import ceil
from typing import Any, assert_never

from engine.budget import (
    Attempt,
    BudgetError,
    BudgetExceeded,
    Reservation,
)
from engine.budget.accounts import NOBODY, Owner
from engine.config.catalogue import Model
from engine.execution import log_events
from engine.execution.async_ledger import AsyncLedger
from engine.execution.attempt_record import AttemptRecord
from engine.execution.concurrency import Slots
from engine.execution.errors import ChainExhausted, DeadlineExceeded
from engine.execution.holds import HeldCall, Holds
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.prompt import Prompt
from engine.execution.provider_health import SHORT_PAUSE_S, Admission, HealthTracker
from engine.execution.retries import RetryBudget, jittered_pause_s
from engine.execution.runtime import Runtime
from engine.execution.settlement import Settlement, of_failure
from engine.execution.target_memory import NO_BOUNDS, Asked, Bounds
from engine.execution.telemetry import Telemetry
from engine.providers.base import Provider, Request, find_model
from engine.providers.conduct import ErrorClass, NextTarget, SameTarget
from engine.providers.errors import ProviderError
from engine.providers.field_table import FIELDS, WhenRefused
from engine.providers.reply import Chunk, Reply

MOST_ATTEMPTS = 6
MOST_TARGETS = 4
LEAST_S = 1.0
"""No attempt after the first is begun with less time than this left, in seconds."""

LEASE_GRACE_S = 5


@dataclass(frozen=True, slots=True)
class SharedState:
    """What all requests of one router share."""

    tracker: HealthTracker
    slots: Slots
    async_ledger: AsyncLedger
    retries: RetryBudget
    telemetry: Telemetry
    runtime: Runtime


@dataclass(slots=True)
class _Call:
    """One call that holds a reservation, and what its caller has been shown."""

    held: HeldCall
    record: AttemptRecord
    reply: Reply | None = None
    pieces: int = 0
    bytes: int = field(default=0, repr=False)

    @property
    def reservation(self) -> Reservation:
        """The receipt, of all that is held by now."""
        return self.held.reservation

    def show(self, piece: Chunk) -> None:
        """Count a piece that is about to be shown."""
        self.pieces += 1
        texts = [piece.text, piece.reasoning]
        if piece.tool_call is not None:
            texts.append(piece.tool_call["function"]["arguments"])
        self.bytes += sum(len(text.encode("utf-8", "replace")) for text in texts)


class RequestExecution:
    """One request on its way along its chain. `attempts` tells what happened, `reply` and `served_by` who
    answered."""

    def __init__(
        self,
        shared: SharedState,
        snapshot: PolicySnapshot,
        chain: Sequence[Model],
        prompt: Prompt,
        *,
        decision_id: str,
        deadline_s: float,
        max_tokens: int,
        owner: Owner = NOBODY,
    ) -> None:
        self._shared, self._snapshot, self._prompt = shared, snapshot, prompt
        self._chain = tuple(chain)
        self._alternative = snapshot.alternative(self._chain)
        self._decision_id = decision_id
        self._max_tokens = max_tokens
        self._owner = owner
        self._holds = Holds(shared.async_ledger, snapshot, prompt, max_tokens, lambda: self.remaining_s)
        self._now = shared.runtime.monotonic
        self._began_at = self._now()
        self._deadline_at = self._began_at + deadline_s
        self._lease_s = ceil(deadline_s) + 2 * LEASE_GRACE_S
        self._asked = Asked(prompt.needs, prompt.expected_tokens, prompt.options)
        self._larger_than = 0
        self._passed_over: dict[str, str] = {}
        self._calls = 0
        self._pauses = 0
        self._failures: list[BudgetError | ProviderError] = []
        self.attempts: list[AttemptRecord] = []
        self.reply: Reply | None = None
        self.served_by: Model | None = None
        self.first_token_s: float | None = None

    @property
    def remaining_s(self) -> float:
        """What is left of the deadline."""
        return self._deadline_at - self._now()

    @property
    def charge_micro_usd(self) -> int:
        """What was charged for all attempts together."""
        return sum(attempt.charge_micro_usd for attempt in self.attempts)

    async def run(self, *, streamed: bool) -> AsyncGenerator[Chunk, None]:
        """The answer, piece by piece when `streamed`, else as its last piece alone; the last one carries the
        reply.

        Raises the provider's error where the next member may not be asked, a BudgetError when only money was
        missing, DeadlineExceeded, else ChainExhausted.
        """
        self._shared.retries.deposit()
        tried = 0
        for place, model in enumerate(self._chain):
            is_followed = any(self._unfit(behind) is None for behind in self._chain[place + 1 :])
            reason = self._unfit(model) or self._lost(model, is_followed)
            if reason is None and (tried == MOST_TARGETS or self._calls >= MOST_ATTEMPTS):
                reason = "enough others were tried"
            if reason is not None:
                self._skip(model, reason)
                continue
            tried += 1
            is_last_try = False
            while True:
                admission = await self._admitted(model, is_followed)
                if admission is None:
                    break
                failure: BudgetError | ProviderError | None = None
                try:
                    async with aclosing(self._attempt(admission, model, is_followed, streamed)) as pieces:
                        async for piece in pieces:
                            yield piece
                except (BudgetError, ProviderError) as error:
                    failure = error
                # Outside the handler, so that no error carries another one's frames.
                if failure is None:
                    return
                self._failures.append(failure)
                self._stop_if_final(failure)
                if self._goes_without(model, failure, is_followed):
                    continue
                pause_s = None if is_last_try else self._pause_s(failure, is_followed)
                if pause_s is None:
                    self._pass_on(model, failure)
                    break
                is_last_try = True
                if pause_s > 0:
                    await self._shared.runtime.sleep(pause_s)
        raise self._exhausted()

    # -- who may be called

    def _unfit(self, model: Model) -> str | None:
        """Why this member of the chain is passed over; None when it may be asked."""
        if model.provider in self._passed_over:
            return self._passed_over[model.provider]
        if model.max_context <= self._larger_than:
            return "its window is no larger than the one that was too small"
        if self._snapshot.asks_for_models(model.provider):
            known = self._shared.tracker.models_at(model.provider)
            if known is not None and find_model(known, model.id) is None:
                return "its provider does not have it"
        return self._shared.tracker.why_not((model.provider, model.id), self._asked)

    def _lost(self, model: Model, is_followed: bool) -> str | None:
        """What this member refuses and the answer cannot do without, as the reason to pass it over; None when
        there is nothing."""
        bounds = self._bounds(model)
        if bounds is NO_BOUNDS:
            return None
        most = bounds.most_output
        if is_followed and most is not None and most < self._max_tokens:
            return f"it gives at most {most} tokens of output, as it said before"
        for name in bounds.refused & set(self._prompt.options.wanted()):
            match FIELDS[name].when_refused:
                case WhenRefused.WITHOUT:
                    continue
                case WhenRefused.WITHOUT_AS_LAST if not is_followed:
                    continue
                case WhenRefused.WITHOUT_AS_LAST | WhenRefused.NEXT:
                    return f"it does not take {name}, as it said before"
                case never:
                    assert_never(never)
        return None

    def _bounds(self, model: Model) -> Bounds:
        return self._shared.tracker.bounds((model.provider, model.id), self._asked)

    async def _admitted(self, model: Model, is_followed: bool) -> Admission | None:
        """The right to call it now, and a place at its provider. Raises DeadlineExceeded when there is no
        time left."""
        left = self.remaining_s
        if left <= 0 or (self._calls and left < LEAST_S):
            raise DeadlineExceeded(self._told(), self._decision_id)
        if self._calls >= MOST_ATTEMPTS:
            return None
        tracker, slots = self._shared.tracker, self._shared.slots
        admission = tracker.admit((model.provider, model.id), left + LEASE_GRACE_S)
        if isinstance(admission, str):
            self._skip(model, admission)
            return None
        has_turn = False
        try:
            limit = self._snapshot.configured[model.provider].max_concurrent
            has_turn = await slots.take(model.provider, limit, self._share_s(is_followed))
        finally:
            if not has_turn:
                tracker.release(admission)
        if not has_turn:
            self._skip(model, "every place at its provider was taken, and no turn came in time")
            return None
        return admission

    def _skip(self, model: Model, reason: str) -> None:
        self.attempts.append(AttemptRecord(model, "skipped", reason=reason))

    def _share_s(self, is_followed: bool) -> float:
        """Seconds one attempt may take: all that is left, or half of it when somebody stands behind."""
        return max(0.001, self.remaining_s / 2 if is_followed else self.remaining_s)

    # -- one attempt

    async def _attempt(
        self, admission: Admission, model: Model, is_followed: bool, streamed: bool
    ) -> AsyncGenerator[Chunk, None]:
        """Reserve, call, settle; gives back the admission and the place. Raises BudgetError, then nothing was
        sent, or ProviderError."""
        shared, began_at = self._shared, self._now()
        self._calls += 1
        record = AttemptRecord(model, attempt_id=f"{self._decision_id}-{self._calls}")
        self.attempts.append(record)
        span = shared.telemetry.attempt(
            model, self._max_tokens, self._prompt.options.temperature, streamed=streamed
        )
        is_reported = False
        try:
            bounds = self._bounds(model)
            held = await self._holds.reserve(record, self._attempt_of, bounds.most_output, streamed=streamed)
            call = _Call(held, record)
            failure: ProviderError | None = None
            try:
                request = self._request(call, bounds.refused, is_followed)
                provider = self._snapshot.provider(model.provider)
                answer = _answers(provider, request, streamed=streamed)
                async with aclosing(self._holds.guarded(held, record, answer)) as pieces:
                    async for piece in pieces:
                        if piece.reply is not None:
                            call.reply = piece.reply
                            continue
                        if piece.is_content:
                            self._note_content(call, piece, began_at)
                            yield piece
            except ProviderError as error:
                failure = error
            except BaseException:
                # The caller went away (or a bug): nobody waits, and the reservation ends all the same.
                self._abandon(call)
                raise
            is_reported = True
            if failure is None:
                assert call.reply is not None, "an answer that ends without an error ends with its reply"
                shared.tracker.record_success(admission, self._asked)
                self._end(call, self._holds.of_reply(call.held, record, call.reply))
                self._note_answer(record, call.reply)
            else:
                shared.tracker.record_failure(admission, failure, self._window_over_in_s, self._asked)
                record.failed_with(failure)
                record.outcome = "interrupted" if call.pieces else "failed"
                if failure.kind is ErrorClass.LEAK:
                    log_events.quarantined(record)
                self._end(call, of_failure(failure, self._holds.terms(call.held, record)))
        except BudgetError as refused:
            record.outcome = "unaffordable"
            record.failed_with(refused)
            raise
        finally:
            record.duration_s = self._now() - began_at
            if not is_reported:
                shared.tracker.release(admission)
            shared.slots.give_back(model.provider)
            log_events.attempted(self._decision_id, record)
            span.end(record, self.reply)
        if failure is not None:
            raise failure
        yield Chunk(reply=self.reply)

    def _request(self, call: _Call, refused: frozenset[str], is_followed: bool) -> Request:
        model = call.record.model

        def on_dispatch() -> None:
            # A free local attempt has no row yet, and none that could forbid it.
            if not call.reservation.free_and_local:
                self._shared.async_ledger.ledger().dispatched(call.reservation)
            call.record.dispatched = True

        return Request(
            model=model.id,
            permit=self._snapshot.permit(model.provider),
            messages=self._prompt.messages,
            tools=self._prompt.tools,
            max_tokens=call.record.max_tokens,
            options=self._prompt.options,
            deadline_s=max(0.001, self.remaining_s),
            timeouts=self._snapshot.timeouts(model, self._share_s(is_followed), is_followed=is_followed),
            context_tokens=self._prompt.expected_tokens,
            refused=refused,
            on_dispatch=on_dispatch,
            turns=self._prompt.turns,
        )

    def _note_content(self, call: _Call, piece: Chunk, began_at: float) -> None:
        if call.record.first_token_s is None:
            call.record.first_token_s = self._now() - began_at
            self.first_token_s = self._now() - self._began_at
        call.show(piece)

    def _note_answer(self, record: AttemptRecord, reply: Reply) -> None:
        record.outcome = "answered"
        record.request_id, record.cold = reply.request_id, reply.cold
        record.notes.extend(reply.notes)
        self.reply, self.served_by = reply, record.model

    # -- money

    def _attempt_of(self, record: AttemptRecord, amount: int) -> Attempt:
        assert record.attempt_id is not None
        model, alternative = record.model, self._alternative
        return Attempt(
            attempt_id=record.attempt_id,
            decision_id=self._decision_id,
            provider=model.provider,
            model=model.id,
            local=model.locality == "local",
            amount_micro_usd=amount,
            prices=self._snapshot.prices[model.key],
            lease_s=self._lease_s,
            alternative_model=None if alternative is None else alternative.key,
            alternative_prices=None if alternative is None else self._snapshot.prices[alternative.key],
            policy_digest=self._snapshot.policy.folder.policy_digest,
            owner=self._owner,
        )

    def _end(self, call: _Call, settlement: Settlement) -> None:
        """End the reservation, by nobody waited for: the ledger writes down what is known here already."""
        record, reservation = call.record, call.reservation
        prices = self._snapshot.prices[record.model.key]
        is_counted = settlement.act == "settle" or settlement.served
        record.usage = settlement.usage if is_counted else None
        record.basis = settlement.charged_by
        record.charge_micro_usd = settlement.expected_charge(reservation.amount_micro_usd, prices)
        if settlement.note is not None and reservation.amount_micro_usd:
            record.notes.append(settlement.note)
        is_over = record.charge_micro_usd > reservation.amount_micro_usd
        if is_over or settlement.over_report is not None:
            record.breach = True
            what = "it cost more than its reservation" if is_over else settlement.over_report
            closed = _closed(
                self._shared.async_ledger.limits.closed_by_breach(record.model.provider, self._owner)
            )
            record.notes.append(closed if not is_over else f"{what}; {closed}")
            log_events.breached(record, f"{what}; {closed}")
        self._shared.async_ledger.post(
            lambda ledger: settlement.apply(ledger, reservation),
            # The reservation stays held then, and is charged when its lease ends.
            lambda error: log_events.unsettled(record, type(error).__name__),
            behind=reservation.free_and_local,
        )

    def _abandon(self, call: _Call) -> None:
        record = call.record
        record.outcome, record.reason = "cancelled", "the caller went away"
        self._end(call, self._holds.of_abandoned(call.held, record, call.bytes))

    def _window_over_in_s(self) -> float:
        """Seconds until the budget's next day, which stands in for the provider's own window."""
        ends = [account.window.end_s for account in self._shared.async_ledger.last_snapshot.accounts]
        left_s = min(ends) - self._shared.runtime.now().timestamp() if ends else 3600.0
        return max(60.0, left_s)

    # -- after a failure

    def _stop_if_final(self, failure: BudgetError | ProviderError) -> None:
        """Raise what must be seen now, because the taxonomy lets no other member answer."""
        if not isinstance(failure, ProviderError):
            return
        if failure.kind is ErrorClass.CANCELLED and self.first_token_s is None:
            raise DeadlineExceeded(self._told(), self._decision_id)
        if failure.conduct.next_target is NextTarget.NO:
            raise failure

    def _goes_without(self, model: Model, failure: BudgetError | ProviderError, is_followed: bool) -> bool:
        """Whether the same target is asked again at once, without what it has just refused, or for less."""
        return (
            isinstance(failure, ProviderError)
            and (bool(failure.refused) or failure.most_output is not None)
            and self._calls < MOST_ATTEMPTS
            and self._lost(model, is_followed) is None
        )

    def _pause_s(self, failure: BudgetError | ProviderError, is_followed: bool) -> float | None:
        """Seconds to wait before the same target is asked again; None when it is not."""
        if not isinstance(failure, ProviderError) or self._calls >= MOST_ATTEMPTS:
            return None
        match failure.conduct.same_target:
            case SameTarget.NEVER:
                return None
            case SameTarget.AT_ONCE:
                pause_s = 0.0
            case SameTarget.WITH_JITTER:
                pause_s = jittered_pause_s(self._pauses, self._shared.runtime.chance)
                pause_s = max(pause_s, failure.retry_after_s or 0.0)
            case SameTarget.AFTER_RETRY_AFTER:
                if failure.retry_after_s is None and is_followed:
                    return None
                pause_s = SHORT_PAUSE_S if failure.retry_after_s is None else failure.retry_after_s
        if self.remaining_s - pause_s < LEAST_S or not self._shared.retries.withdraw():
            return None
        self._pauses += 1
        return pause_s

    def _pass_on(self, model: Model, failure: BudgetError | ProviderError) -> None:
        """What the failure says of the members behind."""
        if not isinstance(failure, ProviderError):
            return
        if failure.conduct.next_target in (NextTarget.LARGER_WINDOW, NextTarget.LARGER_LIMIT):
            self._larger_than = max(self._larger_than, model.max_context)
        if failure.conduct.passes_over:
            self._passed_over[model.provider] = f"its provider {failure.sentence}"

    def _told(self) -> list[dict[str, Any]]:
        return [attempt.to_json() for attempt in self.attempts]

    def _exhausted(self) -> Exception:
        """What the end of a chain without an answer is called."""
        if self._failures and all(isinstance(failure, BudgetError) for failure in self._failures):
            named = [failure for failure in self._failures if isinstance(failure, BudgetExceeded)]
            return (named or self._failures)[0].with_traceback(None)
        return ChainExhausted(self._told(), self._decision_id)


def _closed(account: str | None) -> str:
    """What a breach comes to."""
    if account is None:
        return "no budget of its provider has a limit, so none is closed"
    return f"budget {account} is closed until somebody looks and runs `engine ledger reopen {account}`"


async def _answers(provider: Provider, request: Request, *, streamed: bool) -> AsyncGenerator[Chunk, None]:
    """A stream's pieces, or a whole answer as one piece."""
    if not streamed:
        yield Chunk(reply=await provider.complete(request))
        return
    # Every provider's stream is an async generator; the protocol asks for no more than an iterator.
    pieces: AsyncIterator[Chunk] = provider.stream(request)
    try:
        async for piece in pieces:
            yield piece
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
