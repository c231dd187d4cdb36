"""Decisions and attempts -> OpenTelemetry spans and metrics in the GenAI conventions, when its API package is
installed.

All names are in this module. Content is never recorded. Spans are not made current: an async generator may be
resumed in another context than it was begun in.
"""

import importlib
from types import ModuleType
from typing import Any

from engine.budget import Basis, BudgetExceeded
from engine.budget.accounts import NOBODY, Owner
from engine.config.catalogue import Model
from engine.decision.explanation import Explanation
from engine.execution.attempt_record import AttemptRecord
from engine.providers.reply import Reply

SCOPE = "engine"
ROUTE_SPAN = "route"

RULE = "engine.rule.id"
DECISION = "engine.decision"
DECISION_ID = "engine.decision.id"
MODE = "engine.mode"
COST_USD = "engine.cost.usd"
SESSION = "engine.session.key"
AGENT = "engine.agent.key"
GROUP = "engine.group"
FULL_ACCOUNT = "engine.budget.account"
ATTEMPT_OUTCOME = "engine.attempt.outcome"

OPERATION = "gen_ai.operation.name"
CHAT = "chat"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
ERROR_TYPE = "error.type"
TOKEN_TYPE = "gen_ai.token.type"

DURATION_METRIC = "gen_ai.client.operation.duration"
TOKENS_METRIC = "gen_ai.client.token.usage"
FIRST_CHUNK_METRIC = "gen_ai.client.operation.time_to_first_chunk"
DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS = tuple(4**power for power in range(14))


class AttemptSpan:
    """The span of one attempt; without OpenTelemetry it does nothing."""

    def end(self, record: AttemptRecord, reply: Reply | None) -> None:
        """The attempt is over."""


class RouteSpan:
    """The span of one decision and everything done for it."""

    context: Any = None

    def end(self, decision_id: str, charge_micro_usd: int, error: BaseException | None) -> None:
        """The request is over."""


class Telemetry:
    """Does nothing: the OpenTelemetry API is not installed."""

    def route(self, explanation: Explanation, owner: Owner = NOBODY) -> RouteSpan:
        """A decision fell, for a call of `owner`."""
        return RouteSpan()

    def attempt(
        self, model: Model, max_tokens: int, temperature: float | None, *, streamed: bool
    ) -> AttemptSpan:
        """An attempt begins."""
        return AttemptSpan()

    def within(self, route: RouteSpan) -> "Telemetry":
        """The same, for the attempts of one decision."""
        return self


def open_telemetry() -> Telemetry:
    """Telemetry over the OpenTelemetry API when it is installed; without an SDK its calls do nothing,
    cheaply."""
    try:
        return OpenTelemetry(
            importlib.import_module("opentelemetry.trace"), importlib.import_module("opentelemetry.metrics")
        )
    except ImportError:
        return Telemetry()


class OpenTelemetry(Telemetry):
    """Telemetry over the two API modules."""

    def __init__(self, trace: ModuleType, metrics: ModuleType, parent: Any = None) -> None:
        self._trace, self._metrics, self._parent = trace, metrics, parent
        self._tracer = trace.get_tracer(SCOPE)
        meter = metrics.get_meter(SCOPE)
        self._duration = meter.create_histogram(
            DURATION_METRIC, unit="s", explicit_bucket_boundaries_advisory=DURATION_BUCKETS
        )
        self._tokens = meter.create_histogram(
            TOKENS_METRIC, unit="{token}", explicit_bucket_boundaries_advisory=TOKEN_BUCKETS
        )
        self._first_chunk = meter.create_histogram(
            FIRST_CHUNK_METRIC, unit="s", explicit_bucket_boundaries_advisory=DURATION_BUCKETS
        )

    def route(self, explanation: Explanation, owner: Owner = NOBODY) -> RouteSpan:
        span = self._tracer.start_span(ROUTE_SPAN)
        if span.is_recording():
            route = explanation.route
            span.set_attribute(MODE, explanation.facts.mode)
            span.set_attribute(DECISION, explanation.outcome)
            if route is not None:
                span.set_attribute(RULE, route.name)
            whose = {SESSION: owner.session, AGENT: next(iter(owner.agents), None), GROUP: owner.group}
            span.set_attributes({name: value for name, value in whose.items() if value is not None})
        return _OpenRoute(span, self._trace.set_span_in_context(span))

    def within(self, route: RouteSpan) -> Telemetry:
        made = OpenTelemetry.__new__(OpenTelemetry)
        made.__dict__.update(self.__dict__, _parent=route.context)
        return made

    def attempt(
        self, model: Model, max_tokens: int, temperature: float | None, *, streamed: bool
    ) -> AttemptSpan:
        span = self._tracer.start_span(
            f"{CHAT} {model.id}", context=self._parent, kind=self._trace.SpanKind.CLIENT
        )
        if span.is_recording():
            span.set_attributes(
                {
                    OPERATION: CHAT,
                    PROVIDER: model.provider,
                    REQUEST_MODEL: model.id,
                    REQUEST_MAX_TOKENS: max_tokens,
                    REQUEST_STREAM: streamed,
                }
            )
            if temperature is not None:
                span.set_attribute(REQUEST_TEMPERATURE, temperature)
        return _OpenAttempt(self, span)

    def measure(self, record: AttemptRecord) -> None:
        """The metrics of an attempt that was made."""
        about = {OPERATION: CHAT, PROVIDER: record.model.provider, REQUEST_MODEL: record.model.id}
        failed = {ERROR_TYPE: record.error_class or record.error} if record.error else {}
        self._duration.record(record.duration_s, about | failed)
        if record.first_token_s is not None:
            self._first_chunk.record(record.first_token_s, about)
        if record.usage is not None and record.basis is not Basis.RESERVED:
            self._tokens.record(record.usage.prompt_tokens, about | {TOKEN_TYPE: "input"})
            self._tokens.record(record.usage.output_tokens, about | {TOKEN_TYPE: "output"})


class _OpenRoute(RouteSpan):
    def __init__(self, span: Any, context: Any) -> None:
        self._span, self.context = span, context

    def end(self, decision_id: str, charge_micro_usd: int, error: BaseException | None) -> None:
        if self._span.is_recording():
            self._span.set_attribute(DECISION_ID, decision_id)
            self._span.set_attribute(COST_USD, charge_micro_usd / 1_000_000)
            if error is not None:
                self._span.set_attribute(ERROR_TYPE, type(error).__name__)
            if isinstance(error, BudgetExceeded):
                self._span.set_attribute(FULL_ACCOUNT, error.account_id)
        self._span.end()


class _OpenAttempt(AttemptSpan):
    def __init__(self, telemetry: OpenTelemetry, span: Any) -> None:
        self._telemetry, self._span = telemetry, span

    def end(self, record: AttemptRecord, reply: Reply | None) -> None:
        span = self._span
        if span.is_recording():
            span.set_attribute(ATTEMPT_OUTCOME, record.outcome)
            span.set_attribute(COST_USD, record.charge_micro_usd / 1_000_000)
            if record.error is not None:
                span.set_attribute(ERROR_TYPE, record.error_class or record.error)
            if record.first_token_s is not None:
                span.set_attribute(TIME_TO_FIRST_CHUNK, record.first_token_s)
            if reply is not None:
                span.set_attributes(_of_reply(reply))
        span.end()
        self._telemetry.measure(record)


def _of_reply(reply: Reply) -> dict[str, Any]:
    told = {
        RESPONSE_MODEL: reply.model,
        RESPONSE_ID: reply.request_id,
        FINISH_REASONS: [reply.finish_reason],
        INPUT_TOKENS: reply.usage.input_tokens,
        OUTPUT_TOKENS: reply.usage.output_tokens,
        CACHED_READ_TOKENS: reply.usage.cached_read_tokens,
        CACHE_WRITE_TOKENS: reply.usage.cache_write_tokens,
        REASONING_TOKENS: reply.usage.reasoning_tokens,
    }
    return {name: value for name, value in told.items() if value is not None}
