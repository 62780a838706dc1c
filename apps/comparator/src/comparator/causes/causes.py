"""Why a trade has no partner: the first decision at which the two sides parted, from the records.

For every trade without a partner the records are asked in the order of the lists below; the first
one that answers names the cause. A trade for which none answers follows from the latest earlier
difference of its symbol, if there is one, and is unexplained otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np
import polars as pl

from comparator.causes.evidence import Evidence
from comparator.causes.market import AROUND_US, Hole, Reach
from comparator.columns.exact import Rows
from comparator.columns.order_lives import OrderLife
from comparator.columns.trades import GRID_KIND, NormalizedTrade, Source
from comparator.match.matcher import MatchResult
from comparator.money.split import Leg
from grid_db import CaptureStream
from market_data.basics.quality import utc_text


class Cause(StrEnum):
    """Why the sides differ in one trade."""

    NOT_OF_STRATEGY = "not an order of the strategy"
    OUTSIDE_RANGE = "partner outside the range"
    MARKET_GAP = "gap in the recorded market"
    PRIVATE_GAP = "gap in the recorded account"
    EXECUTION_NOT_RECORDED = "execution not recorded"
    EXECUTION_WITHOUT_ORDER = "execution without an order"
    EXECUTION_BEYOND_ORDER = "more executed than the order"
    NEVER_PLACED = "order never placed"
    REFUSED = "order refused"
    PLACED_LATER = "order placed later"
    CANCELLED_BEFORE = "order cancelled before"
    TOUCHED_ONLY = "price touched, not crossed"
    NO_TRADE_AT_PRICE = "no trade at the price"
    STARTING_POSITION = "other starting position"
    ON_ITS_WAY = "decision on its way"
    FOLLOWS = "follows from an earlier difference"
    UNEXPLAINED = "unexplained"


# what happened to the order says how the sides parted; an earlier difference may say why
CONSEQUENCES = frozenset({Cause.NEVER_PLACED, Cause.PLACED_LATER, Cause.CANCELLED_BEFORE})
# the records differ, the accounts do not: nothing follows from these
OF_THE_RECORDS = frozenset(
    {
        Cause.OUTSIDE_RANGE,
        Cause.PRIVATE_GAP,
        Cause.EXECUTION_NOT_RECORDED,
        Cause.EXECUTION_WITHOUT_ORDER,
        Cause.EXECUTION_BEYOND_ORDER,
    }
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The cause and the record that shows it, in words. `parted_us` is when the sides parted."""

    cause: Cause
    detail: str
    parted_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanations:
    """One explanation per row of MatchResult.live_only_rows and backtest_only_rows."""

    live_only: tuple[Explanation, ...]
    backtest_only: tuple[Explanation, ...]

    def counts(self) -> dict[Cause, tuple[int, int]]:
        """Return (live only, backtest only) trades by cause, the most frequent first."""
        found: dict[Cause, list[int]] = {}
        for side, explanations in enumerate((self.live_only, self.backtest_only)):
            for explanation in explanations:
                found.setdefault(explanation.cause, [0, 0])[side] += 1
        ordered = sorted(found.items(), key=lambda item: (-sum(item[1]), item[0].value))
        return {cause: (live, backtest) for cause, (live, backtest) in ordered}

    @property
    def unexplained(self) -> int:
        """Return how many trades have no cause."""
        every = (*self.live_only, *self.backtest_only)
        return sum(one.cause is Cause.UNEXPLAINED for one in every)


def explain(
    result: MatchResult,
    evidence: Evidence,
    outside: Mapping[Source, Rows],
    starts: tuple[Mapping[Leg, Decimal], Mapping[Leg, Decimal]] = ({}, {}),
) -> Explanations:
    """Return why each unmatched trade has no partner.

    `outside` are unmatched rows whose partner filled outside the range, `starts` the legs of live
    and backtest at the start.
    """
    unmatched = [
        *_unmatched(result.live_only, result.live_only_rows, outside[Source.LIVE]),
        *_unmatched(result.backtest_only, result.backtest_only_rows, outside[Source.BACKTEST]),
    ]
    ids = {trade.client_order_id for trade, _ in unmatched}
    named = result.live.frame.filter(pl.col("client_order_id").is_in(list(ids)))
    symbols = {trade.symbol for trade, _ in unmatched}
    fills = {symbol: _fill_times(result, symbol) for symbol in symbols}
    judge = _Judge(evidence, starts, frozenset(named["order_id"].to_list()), fills)
    sides: dict[Source, list[Explanation]] = {source: [] for source in Source}
    for trade, is_edge in sorted(unmatched, key=lambda one: one[0].ts_us):
        sides[trade.source].append(judge.explain(trade, is_edge=is_edge))
    return Explanations(
        live_only=tuple(sides[Source.LIVE]), backtest_only=tuple(sides[Source.BACKTEST])
    )


def _unmatched(
    trades: list[NormalizedTrade], rows: Rows, outside: Rows
) -> list[tuple[NormalizedTrade, bool]]:
    """Return the trades, each with whether its partner filled outside the range."""
    at_edge = np.isin(rows, outside).tolist()
    return list(zip(trades, at_edge, strict=True))


class _Judge:
    """Explains trades of both sides in time order, and remembers where they parted."""

    def __init__(
        self,
        evidence: Evidence,
        starts: tuple[Mapping[Leg, Decimal], Mapping[Leg, Decimal]],
        recorded: frozenset[str],
        fill_times: Mapping[str, Rows],
    ) -> None:
        self._evidence = evidence
        self._starts = starts
        self._recorded = recorded  # order ids of live trades
        self._fill_times = fill_times
        self._roots: dict[str, Explanation] = {}

    def explain(self, trade: NormalizedTrade, *, is_edge: bool) -> Explanation:
        if is_edge:
            side = "backtest" if trade.source is Source.LIVE else "live run"
            text = f"filled in the {side} just outside the compared range"
            return Explanation(Cause.OUTSIDE_RANGE, text, trade.ts_us)
        asked = self._live if trade.source is Source.LIVE else self._backtest
        found = asked(trade)
        root = self._root(trade)
        if found is None:
            found = (
                root
                or self._start_differs(trade)
                or self._on_its_way(trade)
                or self._unknown(trade)
            )
        elif found.cause in CONSEQUENCES and root is not None:
            found = Explanation(found.cause, f"{found.detail}; {root.detail}", root.parted_us)
        is_follower = found.cause is Cause.FOLLOWS or (found.cause in CONSEQUENCES and root)
        if not is_follower and found.cause not in OF_THE_RECORDS:
            # grids come together again, so the latest parting is the likeliest reason
            self._roots[trade.symbol] = found
        return found

    def _live(self, trade: NormalizedTrade) -> Explanation | None:
        """Explain a trade that the backtest does not have."""
        if trade.kind != GRID_KIND:
            return Explanation(Cause.NOT_OF_STRATEGY, _kind_text(trade), trade.ts_us)
        return self._without_order(trade) or self._in_market_hole(trade) or self._reach(trade)

    def _backtest(self, trade: NormalizedTrade) -> Explanation | None:
        """Explain a trade that did not take place live."""
        if trade.kind != GRID_KIND:
            return Explanation(Cause.NOT_OF_STRATEGY, _kind_text(trade), trade.ts_us)
        hole = self._evidence.private_hole(trade.ts_us, CaptureStream.EXECUTIONS)
        if hole is not None:
            return Explanation(Cause.PRIVATE_GAP, str(hole), hole.from_us)
        lives = self._evidence.orders.get(trade.client_order_id, [])
        return (
            self._not_recorded(trade, lives)
            or self._in_market_hole(trade)
            or self._order_story(trade, lives)
        )

    def _without_order(self, trade: NormalizedTrade) -> Explanation | None:
        """Doubt an execution whose order is not recorded, or did not execute that much."""
        if not self._evidence.has_orders:
            return None
        life = self._evidence.by_order_id.get(trade.order_id)
        if life is None:
            if self._evidence.private_hole(trade.ts_us, CaptureStream.ORDERS) is not None:
                return None
            text = f"order {trade.order_id} of this execution is not recorded"
            return Explanation(Cause.EXECUTION_WITHOUT_ORDER, text, trade.ts_us)
        if life.executed is not None and life.executed < trade.qty:
            text = (
                f"order {trade.order_id} executed {life.executed:f}, its executions {trade.qty:f}"
            )
            return Explanation(Cause.EXECUTION_BEYOND_ORDER, text, trade.ts_us)
        return None

    def _not_recorded(self, trade: NormalizedTrade, lives: list[OrderLife]) -> Explanation | None:
        """Find the order that executed, though no execution of it is recorded."""
        for life in lives:
            if life.executed and life.order_id not in self._recorded and _near(life, trade):
                text = f"order {life.order_id} executed {life.executed:f}, but no execution of it"
                return Explanation(Cause.EXECUTION_NOT_RECORDED, f"{text} is recorded", trade.ts_us)
        return None

    def _in_market_hole(self, trade: NormalizedTrade) -> Explanation | None:
        market = self._evidence.markets.get(trade.symbol)
        hole = None if market is None else market.hole_at(trade.ts_us)
        return None if hole is None else Explanation(Cause.MARKET_GAP, str(hole), hole.from_us)

    def _reach(self, trade: NormalizedTrade) -> Explanation | None:
        market = self._evidence.markets.get(trade.symbol)
        if market is None:
            return None
        reach = market.reach(trade.side, trade.price, trade.ts_us)
        if reach is Reach.TOUCHED:
            text = f"the market traded at {trade.price:f} but not beyond; the fill model decides"
            return Explanation(Cause.TOUCHED_ONLY, text, trade.ts_us)
        if reach is Reach.AWAY:
            text = f"no recorded trade reached {trade.price:f} within a second"
            return Explanation(Cause.NO_TRADE_AT_PRICE, text, trade.ts_us)
        return None

    def _order_story(self, trade: NormalizedTrade, lives: list[OrderLife]) -> Explanation | None:
        """Tell what the live order did when the backtest's filled."""
        if not self._evidence.has_orders:
            return None
        if self._evidence.private_hole(trade.ts_us, CaptureStream.ORDERS) is not None:
            return None
        if any(life.rests_at(trade.ts_us) for life in lives):
            return self._reach(trade)
        # what executed is the partner of another trade of this id
        idle = [life for life in lives if life.order_id not in self._recorded]
        earlier = [life for life in idle if life.placed_us < trade.ts_us]
        if earlier:
            last = max(earlier, key=lambda life: life.ended_us or life.placed_us)
            why = f" ({last.reason})" if last.reason else ""
            if last.refused:
                text = f"the exchange refused it at {utc_text(last.placed_us)}{why}"
                return Explanation(Cause.REFUSED, text, last.placed_us)
            if not last.executed and last.ended_us is not None:
                text = f"cancelled {_ms(trade.ts_us - last.ended_us)} before the backtest's fill"
                return Explanation(Cause.CANCELLED_BEFORE, text + why, last.ended_us)
        later = [life for life in idle if life.placed_us >= trade.ts_us and not life.refused]
        if later:
            text = f"placed {_ms(later[0].placed_us - trade.ts_us)} after the backtest's fill"
            return Explanation(Cause.PLACED_LATER, text, trade.ts_us)
        before = any(life.placed_us < trade.ts_us for life in lives)
        text = "not placed again after its last fill" if before else "no such order is recorded"
        return Explanation(Cause.NEVER_PLACED, text, trade.ts_us)

    def _root(self, trade: NormalizedTrade) -> Explanation | None:
        """Return the earlier difference that this one may follow from."""
        root = self._roots.get(trade.symbol)
        market = self._evidence.markets.get(trade.symbol)
        hole: Hole | None = None if market is None else market.hole_before(trade.ts_us)
        if hole is not None and (root is None or hole.to_us > root.parted_us):
            text = f"the sides may have parted where {hole}"
            return Explanation(Cause.FOLLOWS, text, hole.from_us)
        if root is None:
            return None
        text = f"the sides parted at {utc_text(root.parted_us)}: {root.cause.value}"
        return Explanation(Cause.FOLLOWS, text, root.parted_us)

    def _start_differs(self, trade: NormalizedTrade) -> Explanation | None:
        live, backtest = self._starts
        legs = {leg for leg in (*live, *backtest) if leg[0] == trade.symbol}
        for leg in sorted(legs, key=str):
            one, other = live.get(leg, Decimal(0)), backtest.get(leg, Decimal(0))
            if one != other:
                text = f"the {leg[1].value} leg held {one:f} live and {other:f} in the backtest"
                return Explanation(Cause.STARTING_POSITION, text, trade.ts_us)
        return None

    def _on_its_way(self, trade: NormalizedTrade) -> Explanation | None:
        """Find a fill less than a second before: what it led to was not yet at the exchange."""
        times = self._fill_times[trade.symbol]
        before = int(np.searchsorted(times, trade.ts_us, side="left")) - 1
        if before < 0 or trade.ts_us - times[before] > AROUND_US:
            return None
        last_us = int(times[before])
        text = (
            f"another order had filled {_ms(trade.ts_us - last_us)} before; what was placed or"
            " cancelled on it could still be on its way"
        )
        return Explanation(Cause.ON_ITS_WAY, text, last_us)

    @staticmethod
    def _unknown(trade: NormalizedTrade) -> Explanation:
        return Explanation(Cause.UNEXPLAINED, "no record shows why", trade.ts_us)


def _fill_times(result: MatchResult, symbol: str) -> Rows:
    """Return when either side traded a symbol, ascending."""
    parts = [
        table.ts_us[(table.frame["symbol"] == symbol).to_numpy()]
        for table in (result.live, result.backtest)
    ]
    return np.sort(np.concatenate(parts))


def _near(life: OrderLife, trade: NormalizedTrade) -> bool:
    ended_us = trade.ts_us if life.ended_us is None else life.ended_us
    return life.placed_us - AROUND_US <= trade.ts_us <= ended_us + AROUND_US


def _kind_text(trade: NormalizedTrade) -> str:
    side = "live" if trade.source is Source.LIVE else "in the backtest"
    return f"{trade.kind.replace('_', ' ')} {side}"


def _ms(span_us: int) -> str:
    return f"{span_us / 1000:,.0f} ms" if span_us < 10_000_000 else f"{span_us / 1e6:,.0f} s"
