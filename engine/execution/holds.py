"""How much is held for a call: its worst case by what is known, and for a stream one slice of output after
the other.

The input is held at a token a byte, or at what was learnt of the model (`budget.learning`). The output is
held whole, or in slices where three things are known: the answer is a stream, its provider documents that it
stops billing when a stream is left, and the model shows all that it bills. The first slice is held before the
first byte is sent and the next one before the one in hand is used up; where it cannot be had the stream ends
cleanly.

A stream that is held in slices is read ahead of its caller, so that what is counted is what has come and not
what somebody found time to look at. INVARIANT: AHEAD tokens are held beyond what was counted; that is room
for what a provider makes while the next slice is asked for and until it sees that the stream was left.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from math import ceil

from engine.budget import (
    Attempt,
    Basis,
    BudgetError,
    BudgetExceeded,
    LedgerUnavailable,
    Observation,
    Reservation,
    TokenPrices,
    UnboundedInput,
    Usage,
    affordable_max_tokens,
    worst_case_micro_usd,
)
from engine.budget.learning import MILLION, OUTPUT_ALLOWANCE, Learnt, measured_input, measured_output
from engine.config.catalogue import Model
from engine.execution.async_ledger import AsyncLedger
from engine.execution.attempt_record import AttemptRecord
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.prompt import Prompt
from engine.execution.settlement import (
    Settlement,
    Terms,
    of_abandoned,
    of_free_reply,
    of_reply,
    shown_bytes,
)
from engine.providers.reply import Chunk, Reply

# An answer cut to less than this is no answer; the budget says no instead.
LEAST_SHARE = 4
LEAST_TOKENS = 256

AHEAD = 512
SLICE = 1_024
FIRST_SLICE = 3_072
"""Most answers are shorter: so many calls as are admitted at once come to their own end."""
SHARE_OF_USED = 4
"""Slices grow with the answer, to a quarter of it, so that a long one asks the ledger seldom."""
SLICE_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Hold:
    """What is held for: tokens of input, and of output up to `output_tokens` of the `max_tokens` sent.

    `output_ppm` is how many tokens a million bytes of the answer count for; None where the output is held
    whole.
    """

    input_tokens: int
    output_tokens: int
    max_tokens: int
    output_ppm: int | None = None


@dataclass(slots=True)
class HeldCall:
    """A reservation, what it is for, and what has come of the answer; it grows while a stream runs.
    `asked` is the most output that was asked for, in tokens, whatever the budget allowed of it."""

    reservation: Reservation
    hold: Hold
    asked: int
    is_cut: bool = False
    _settled_bytes: int = 0
    _unseen_bytes: int = 0
    _pieces: list[Chunk] = field(default_factory=list, repr=False)

    def count(self, piece: Chunk) -> None:
        """Take in a piece that has come."""
        self._unseen_bytes += piece.unseen_bytes
        if piece.is_content:
            self._pieces.append(piece)
        called = () if piece.tool_call is None else piece.tool_call["function"].values()
        if piece.tool_call is not None:
            self._unseen_bytes = 0  # they were its arguments
        texts = (piece.text, piece.reasoning, *map(str, called))
        self._settled_bytes += sum(len(text.encode("utf-8", "replace")) for text in texts)

    @property
    def used_tokens(self) -> int:
        """The most output tokens that what has come can be billed at, by what was learnt."""
        size = self._settled_bytes + self._unseen_bytes
        return OUTPUT_ALLOWANCE + -(-size * (self.hold.output_ppm or MILLION) // MILLION)

    @property
    def wanted_tokens(self) -> int | None:
        """Output tokens to hold in all now; None when those in hand suffice."""
        hold, used = self.hold, self.used_tokens
        if hold.output_tokens >= hold.max_tokens or used + AHEAD <= hold.output_tokens:
            return None
        return min(hold.max_tokens, used + AHEAD + max(SLICE, used // SHARE_OF_USED))

    def cut_reply(self, model_id: str) -> Reply:
        """What has come, as an answer that ends here."""
        return Reply(
            model_id,
            "".join(piece.text for piece in self._pieces),
            tuple(piece.tool_call for piece in self._pieces if piece.tool_call is not None),
            "length",
            reasoning="".join(piece.reasoning for piece in self._pieces),
            usage_is_final=False,
        )


class Holds:
    """The holds of one request, at any member of its chain. `remaining_s` is what is left of its deadline."""

    def __init__(
        self,
        ledger: AsyncLedger,
        snapshot: PolicySnapshot,
        prompt: Prompt,
        max_tokens: int,
        remaining_s: Callable[[], float],
    ) -> None:
        self._ledger, self._snapshot, self._prompt = ledger, snapshot, prompt
        self._max_tokens, self._remaining_s = max_tokens, remaining_s

    async def reserve(
        self,
        record: AttemptRecord,
        attempt_of: Callable[[AttemptRecord, int], Attempt],
        most_output: int | None = None,
        *,
        streamed: bool,
    ) -> HeldCall:
        """Hold what the call can cost, of a shorter answer when its model gives no more than `most_output`
        tokens, or the budget has less left. Raises BudgetError."""
        model, wanted = record.model, self._max_tokens
        if most_output is not None and most_output < wanted:
            wanted = most_output
            record.notes.append(f"max_tokens was sent as {wanted}, the most that the target gives")
        asked = wanted
        prices = self._snapshot.prices[model.key]
        is_free = prices is not None and prices.free and model.locality == "local"
        while True:
            hold, amount = Hold(0, wanted, wanted), 0
            if prices is not None and not is_free:
                hold = self._hold(model, wanted, streamed=streamed)
                amount = self._price(prices, hold.input_tokens, hold.output_tokens)
            exceeded: BudgetExceeded | None = None
            try:
                reservation = await self._ledger.reserve(
                    attempt_of(record, amount), max(0.001, self._remaining_s())
                )
            except BudgetExceeded as error:
                exceeded = error
            except TimeoutError:
                raise LedgerUnavailable("the ledger did not answer in time") from None
            if exceeded is None:
                record.max_tokens, record.reserved_micro_usd = wanted, amount
                if wanted < asked:
                    record.notes.append(f"the budget allowed {wanted} tokens of the {asked} asked for")
                return HeldCall(reservation, hold, asked)
            assert prices is not None, "the ledger refuses an unknown price before it looks at budgets"
            wanted = affordable_max_tokens(
                prices,
                hold.input_tokens,
                hold.output_tokens - 1,
                exceeded.left_micro_usd,
                writes_cache=self._prompt.writes_cache,
            )
            if wanted < min(LEAST_TOKENS, ceil(asked / LEAST_SHARE)):
                raise exceeded

    def guarded(
        self, held: HeldCall, record: AttemptRecord, pieces: AsyncGenerator[Chunk, None]
    ) -> AsyncGenerator[Chunk, None]:
        """The pieces of an answer; of one that is held in slices no more than what is held for."""
        if held.hold.output_ppm is None:
            return pieces

        async def is_covered(piece: Chunk) -> bool:
            return await self._is_covered(held, record, piece)

        return _read_ahead(pieces, is_covered, lambda: held.cut_reply(record.model.id))

    def terms(self, held: HeldCall, record: AttemptRecord) -> Terms:
        """What bounds its bill."""
        is_sliced = held.hold.output_ppm is not None
        return Terms(
            self.most_input,
            record.max_tokens or 0,
            is_paid=held.reservation.amount_micro_usd > 0,
            # Of a stream in slices little more is held than was shown: all of that is charged.
            stops_on_abort=self._stops_on_abort(record.model) and not is_sliced,
            held_input=held.hold.input_tokens or None,
        )

    def of_reply(self, held: HeldCall, record: AttemptRecord, reply: Reply) -> Settlement:
        """How an answer is settled, and what it says of its model. A stream that was cut is charged as held,
        or as counted when more came at once than was held."""
        hold = held.hold
        if held.is_cut and held.used_tokens > hold.output_tokens:
            used = Usage(hold.input_tokens, min(hold.max_tokens, held.used_tokens))
            return Settlement("settle", used, Basis.ESTIMATED, served=True)
        if reply.finish_reason == "length" and hold.max_tokens < held.asked:
            record.budget_cut = True
        if held.reservation.free_and_local and (settled := of_free_reply(reply)) is not None:
            return settled
        settled = of_reply(reply, self.terms(held, record))
        return replace(settled, observed=self._observed(record.model, reply, settled))

    def of_abandoned(self, held: HeldCall, record: AttemptRecord, shown: int) -> Settlement:
        """How a call is settled whose caller went away."""
        # What was not shown yet was on its way.
        on_its_way = AHEAD if shown else 0
        return of_abandoned(record.dispatched, shown + on_its_way, self.terms(held, record))

    @property
    def most_input(self) -> int:
        """The most input that a provider can bill, in tokens."""
        try:
            return self._prompt.most_tokens
        except UnboundedInput:  # then only local models were asked, and nothing is charged
            return self._prompt.expected_tokens

    def _hold(self, model: Model, max_tokens: int, *, streamed: bool) -> Hold:
        most = self._prompt.most_tokens
        if not self._snapshot.learns_holds:
            return Hold(most, max_tokens, max_tokens)
        learnt = self._learnt(model)
        input_ppm, output_ppm = learnt.input.bound_ppm, learnt.output.bound_ppm
        tokens = most if input_ppm is None else min(most, self._prompt.size.tokens_at(input_ppm))
        if not streamed or output_ppm is None or output_ppm >= MILLION or not self._stops_on_abort(model):
            return Hold(tokens, max_tokens, max_tokens)
        return Hold(tokens, min(FIRST_SLICE, max_tokens), max_tokens, output_ppm)

    def _price(self, prices: TokenPrices, input_tokens: int, output_tokens: int) -> int:
        return worst_case_micro_usd(
            prices, input_tokens, output_tokens, writes_cache=self._prompt.writes_cache
        )

    def _learnt(self, model: Model) -> Learnt:
        return self._ledger.last_snapshot.learnt.get((model.provider, model.id), Learnt())

    def _stops_on_abort(self, model: Model) -> bool:
        return self._snapshot.configured[model.provider].on_abort == "as-shown"

    async def _is_covered(self, held: HeldCall, record: AttemptRecord, piece: Chunk) -> bool:
        """Count a piece and hold the next slice when it is time; False when that cannot be had."""
        held.count(piece)
        wanted = None if piece.reply is not None else held.wanted_tokens
        if wanted is None:
            return True
        prices = self._snapshot.prices[record.model.key]
        assert prices is not None
        amount = self._price(prices, held.hold.input_tokens, wanted)
        try:
            within_s = max(0.001, min(SLICE_WAIT_S, self._remaining_s()))
            held.reservation = await self._ledger.grow(held.reservation, amount, within_s)
        except (BudgetError, TimeoutError):
            held.is_cut = record.budget_cut = True
            record.notes.append(f"the budget ended it after about {held.used_tokens} tokens")
            return False
        held.hold = replace(held.hold, output_tokens=wanted)
        record.reserved_micro_usd = amount
        return True

    def _observed(self, model: Model, reply: Reply, settled: Settlement) -> Observation | None:
        """What a measured answer says of its model; None when that changes nothing."""
        if settled.basis is not Basis.MEASURED or settled.act != "settle" or not self._snapshot.learns_holds:
            return None
        if self._snapshot.prices[model.key] is None or model.locality == "local":
            return None
        size = self._prompt.size
        counted = measured_input(settled.usage.prompt_tokens, size.allowance, size.plain, size.dense)
        if size.images:
            counted = None
        observed = Observation(counted, measured_output(settled.usage.output_tokens, shown_bytes(reply)))
        known = self._learnt(model)
        return None if known.after(observed) == known else observed


def worst_case(snapshot: PolicySnapshot, model: Model, prompt: Prompt, max_tokens: int) -> int | None:
    """The most that a call can cost whatever was learnt, in micro-dollars; None when nobody can say."""
    prices = snapshot.prices[model.key]
    if prices is None:
        return None
    if prices.free:
        return prices.request_micro_usd
    try:
        return worst_case_micro_usd(prices, prompt.most_tokens, max_tokens, writes_cache=prompt.writes_cache)
    except BudgetError:
        return None


async def _read_ahead(
    pieces: AsyncGenerator[Chunk, None],
    is_covered: Callable[[Chunk], Awaitable[bool]],
    cut_reply: Callable[[], Reply],
) -> AsyncGenerator[Chunk, None]:
    """The pieces, read as they come by a task of its own, up to the first one that nothing more is held
    behind."""
    come: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    goes_on = await is_covered(piece)
                    come.put_nowait(piece)
                    if not goes_on:
                        come.put_nowait(Chunk(reply=cut_reply()))
                        break
        except Exception as error:
            come.put_nowait(error)
        else:
            come.put_nowait(None)

    reading = asyncio.create_task(read())
    try:
        while (piece := await come.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        reading.cancel()
        await asyncio.wait((reading,))
