"""One decision -> its result, in pieces: the chain walked, the request's log line written, its span ended,
whatever happens.

A dry run walks nothing: it says who would be called and what that could cost.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from engine.budget import Usage as Charged
from engine.budget import usd
from engine.config.catalogue import Model
from engine.decision.explanation import Explanation
from engine.execution import log_events
from engine.execution.attempt_record import AttemptRecord
from engine.execution.attempts import RequestExecution, SharedState
from engine.execution.decision_log import DecisionLog, decision_json
from engine.execution.holds import worst_case
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.prompt import Prompt
from engine.execution.session_calls import SessionCall
from engine.providers.reply import Chunk, Reply
from engine.providers.reply import Usage as Reported


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller wants done. `deadline_s` bounds the whole chain, in seconds."""

    prompt: Prompt
    max_tokens: int
    deadline_s: float
    streamed: bool
    session: SessionCall


async def execute(
    shared: SharedState,
    snapshot: PolicySnapshot,
    explanation: Explanation,
    order: Order,
    *,
    log: DecisionLog | None,
    on_charge: Callable[[], None],
) -> AsyncGenerator[dict[str, Any], None]:
    """The pieces of the answer (`piece_of`), then one that carries the whole `result`. Raises as
    `RequestExecution.run`."""
    decision_id = shared.runtime.new_id()
    log_events.decided(decision_id, explanation.chain, explanation.facts.mode)
    route = shared.telemetry.route(explanation, order.session.owner)
    exchange = RequestExecution(
        replace(shared, telemetry=shared.telemetry.within(route)),
        snapshot,
        explanation.chain,
        order.prompt,
        decision_id=decision_id,
        deadline_s=order.deadline_s,
        max_tokens=order.max_tokens,
        owner=order.session.owner,
    )
    ended_by: BaseException | None = None
    try:
        await order.session.begin(decision_id)
        async with aclosing(exchange.run(streamed=order.streamed)) as pieces:
            async for piece in pieces:
                if piece.reply is None:
                    yield piece_of(piece)
    except BaseException as error:
        ended_by = error
        raise
    finally:
        if exchange.charge_micro_usd:
            on_charge()
        route.end(decision_id, exchange.charge_micro_usd, ended_by)
        log_decision(
            log, shared, snapshot, explanation, order, decision_id, exchange.attempts, _outcome(ended_by)
        )
    assert exchange.reply is not None
    assert exchange.served_by is not None
    order.session.answered(exchange.served_by)
    yield piece_of(Chunk(), result_of(exchange, exchange.reply, exchange.served_by, decision_id))


async def dry_run(
    shared: SharedState,
    snapshot: PolicySnapshot,
    explanation: Explanation,
    order: Order,
    *,
    log: DecisionLog | None,
) -> AsyncGenerator[dict[str, Any], None]:
    """A dry run: nothing is called, nothing is held, and the result says what would be."""
    decision_id = shared.runtime.new_id()
    log_events.decided(decision_id, explanation.chain, explanation.facts.mode)
    costs = [worst_case(snapshot, model, order.prompt, order.max_tokens) for model in explanation.chain]
    attempts = []
    for model, cost in zip(explanation.chain, costs, strict=True):
        record = AttemptRecord(model, "skipped", max_tokens=order.max_tokens)
        record.reason = f"dry run: {_at_most(model, cost)}"
        attempts.append(record)
    log_decision(log, shared, snapshot, explanation, order, decision_id, attempts, "dry_run")
    first, *behind = explanation.chain
    told = f"dry run: {first.key} ({first.provider}) would be called, {_at_most(first, costs[0])}"
    if behind:
        told += "; behind it " + ", ".join(
            f"{model.key} ({model.provider}), {_at_most(model, cost)}"
            for model, cost in zip(behind, costs[1:], strict=True)
        )
    result = {
        "content": told,
        "model": first.id,
        "provider": first.provider,
        "tool_calls": [],
        "reasoning": "",
        "citations": [],
        "message": {"role": "assistant", "content": told},
        "finish_reason": "dry_run",
        "budget_cut": False,
        "usage": _usage_json(None, None),
        "cost_usd": Decimal(0),
        "attempts": [attempt.to_json() for attempt in attempts],
        "decision_id": decision_id,
    }
    if order.streamed:
        yield piece_of(Chunk(text=told))
    yield piece_of(Chunk(), result)


def log_refusal(
    shared: SharedState,
    snapshot: PolicySnapshot,
    explanation: Explanation,
    order: Order,
    *,
    log: DecisionLog | None,
) -> None:
    """Write down a decision whose chain is empty."""
    decision_id = shared.runtime.new_id()
    log_events.decided(decision_id, (), explanation.facts.mode)
    log_decision(log, shared, snapshot, explanation, order, decision_id, [], "refused")


def piece_of(piece: Chunk, result: dict[str, Any] | None = None) -> dict[str, Any]:
    """A piece as callers of `stream` get it: `content`, `reasoning`, one whole `tool_call`; `result` in the
    last."""
    return {
        "content": piece.text,
        "reasoning": piece.reasoning,
        "tool_call": piece.tool_call,
        "result": result,
    }


def result_of(exchange: RequestExecution, reply: Reply, model: Model, decision_id: str) -> dict[str, Any]:
    """The one shape of an answer; `cost_usd` is what all attempts together were charged."""
    return {
        "content": reply.content,
        "model": model.id,
        "provider": model.provider,
        "tool_calls": list(reply.tool_calls),
        "reasoning": reply.reasoning,
        "citations": [dict(one) for one in reply.citations],
        "message": message_of(reply),
        "finish_reason": reply.finish_reason,
        "budget_cut": exchange.attempts[-1].budget_cut,
        "usage": _usage_json(reply, exchange.attempts[-1]),
        "cost_usd": usd(exchange.charge_micro_usd),
        "attempts": [attempt.to_json() for attempt in exchange.attempts],
        "decision_id": decision_id,
    }


def message_of(reply: Reply) -> dict[str, Any]:
    """The answer as a message to append to the conversation: its reasoning and signatures with it, for the
    API that wrote them."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.content, **reply.hand_back}
    if reply.tool_calls:
        message["tool_calls"] = list(reply.tool_calls)
    return message


def _usage_json(reply: Reply | None, record: AttemptRecord | None) -> dict[str, Any]:
    """Token counts as reported; what was not reported is counted high. `basis` says how the charge for them
    is known."""
    usage = Reported() if reply is None else reply.usage
    counted = Charged() if record is None or record.usage is None else record.usage
    basis = None if record is None or record.basis is None else record.basis.value
    return {
        "input_tokens": counted.prompt_tokens if usage.input_tokens is None else usage.input_tokens,
        "output_tokens": counted.output_tokens if usage.output_tokens is None else usage.output_tokens,
        "cached_read_tokens": usage.cached_read_tokens or 0,
        "cache_write_tokens": usage.cache_write_tokens or 0,
        "reasoning_tokens": usage.reasoning_tokens or 0,
        "basis": basis,
    }


def _at_most(model: Model, cost_micro_usd: int | None) -> str:
    if model.locality == "local":
        return "at no cost"
    return "at a cost nobody can bound" if cost_micro_usd is None else f"for at most ${usd(cost_micro_usd):f}"


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "answered"
    return "failed" if isinstance(error, Exception) else "cancelled"


def log_decision(
    log: DecisionLog | None,
    shared: SharedState,
    snapshot: PolicySnapshot,
    explanation: Explanation,
    order: Order,
    decision_id: str,
    attempts: list[AttemptRecord],
    outcome: str,
) -> None:
    """One line for the decision log, by nobody waited for. That it cannot be written is said, and stops
    nothing."""
    if log is None:
        return
    at = shared.runtime.now().isoformat()

    def write() -> None:
        record = decision_json(explanation, snapshot.policy.folder) | {
            "decision_id": decision_id,
            "at": at,
            "outcome": outcome,
            "request": {
                "streamed": order.streamed,
                "messages": len(order.prompt.messages),
                "tools": len(order.prompt.tools or ()),
                "expected_tokens": order.prompt.expected_tokens,
                "max_tokens": order.max_tokens,
                "deadline_s": round(order.deadline_s, 3),
            },
            "attempts": [_attempt_json(attempt) for attempt in attempts],
            "charge_micro_usd": sum(attempt.charge_micro_usd for attempt in attempts),
        }
        owner = order.session.owner
        if owner.session is not None:
            record["session"] = {"key": owner.session, "agents": list(owner.agents)}
        try:
            log.append(record)
        except OSError as error:
            log_events.not_logged(error.strerror or type(error).__name__)

    shared.async_ledger.later(write)


def _attempt_json(record: AttemptRecord) -> dict[str, Any]:
    """An attempt for the log: classes and numbers, none of a provider's own words."""
    usage = record.usage
    return {
        "model": record.model.key,
        "provider": record.model.provider,
        "outcome": record.outcome,
        "attempt_id": record.attempt_id,
        "error": record.error,
        "error_class": record.error_class,
        "status": record.status,
        "max_tokens": record.max_tokens,
        "reserved_micro_usd": record.reserved_micro_usd,
        "charge_micro_usd": record.charge_micro_usd,
        "charged_by": None if record.basis is None else record.basis.value,
        "breach": record.breach,
        "input_tokens": None if usage is None else usage.prompt_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "cold_start": record.cold,
        "duration_ms": round(record.duration_s * 1000),
    }
