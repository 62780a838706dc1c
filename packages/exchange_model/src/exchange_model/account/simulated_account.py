"""The simulated account: money, legs, margin. The paper exchange keeps its accounts with it too.

Wallet = deposits + realised profit - fees - funding, to the last decimal.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from exchange_model.account.liquidation import Edges, bankruptcy_price, liquidation_range
from exchange_model.account.position_tracker import BacktestPositionTracker
from gridcore import (
    DirectionType,
    LegMargin,
    MMTiers,
    PositionState,
    WalletSnapshot,
    calc_order_margin,
    calc_pair_fees_to_close,
    calc_pair_initial_line,
    calc_pair_margins,
)
from gridcore.sides import LONG, SHORT

ZERO = Decimal(0)
NO_MARGINS = LegMargin(ZERO, ZERO), LegMargin(ZERO, ZERO)
NO_PRICES: tuple[Decimal | None, Decimal | None] = (None, None)


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Share of the notional paid per fill; a negative one is a rebate."""

    maker: Decimal = Decimal("0.0002")
    taker: Decimal = Decimal("0.00055")


class Booking(NamedTuple):
    """What one fill brought: realised profit before fees, and the fee paid, both USDT."""

    realised_pnl: Decimal
    fee: Decimal


class _AtMark(NamedTuple):
    mark: Decimal
    long: LegMargin
    short: LegMargin
    unrealised_pnl: Decimal
    maintenance_margin: Decimal


class MarginTotals(NamedTuple):
    """Sums over all pairs of an account at their mark prices, USDT."""

    unrealised_pnl: Decimal
    position_margin: Decimal  # initial
    order_margin: Decimal
    maintenance_margin: Decimal


class SimulatedPair:
    """Both legs of one symbol, and the margin that resting orders on it hold.

    `mark_price` (USDT) values the legs; whoever runs the market sets it before asking for values.
    """

    def __init__(self, symbol: str, leverage: Decimal, tiers: MMTiers, taker_rate: Decimal) -> None:
        self.symbol = symbol
        self.tiers = tiers
        self.taker_rate = taker_rate
        self.mark_price: Decimal | None = None
        self.order_margin = ZERO
        self.long = BacktestPositionTracker(LONG, leverage)
        self.short = BacktestPositionTracker(SHORT, leverage)
        self.is_open = False  # whether either leg holds anything
        self.net_size = ZERO
        self.net_cost = ZERO  # USDT: cost of the long leg less that of the short one
        self._states: tuple[PositionState, PositionState] | None = None
        self._fees_to_close: Decimal | None = None
        self._initial_line: tuple[Decimal, Decimal] | None = None
        self._at_mark: _AtMark | None = None

    def leg(self, direction: DirectionType) -> BacktestPositionTracker:
        """Return one leg."""
        return self.long if direction is LONG else self.short

    def order_margin_of(self, direction: DirectionType, qty: Decimal, price: Decimal) -> Decimal:
        """Return the margin in USDT that an opening order of `qty` (base coin) holds."""
        leverage = self.leg(direction).leverage
        return calc_order_margin(direction, qty, price, leverage, self.taker_rate)

    def changed(self) -> None:
        """Take note that a leg's size, entry or leverage changed."""
        long, short = self.long, self.short
        self.is_open = bool(long.size or short.size)
        self.net_size = long.size - short.size
        self.net_cost = long.cost - short.cost
        self._states = self._fees_to_close = self._initial_line = self._at_mark = None

    def states(self) -> tuple[PositionState, PositionState]:
        """Return both legs for the margin formulas."""
        if self._states is None:
            self._states = self.long.state(), self.short.state()
        return self._states

    def mark(self) -> Decimal:
        """Return the mark price in USDT. Raises ValueError before the market has one."""
        if self.mark_price is None:
            raise ValueError(f"{self.symbol}: there is no mark price yet to value the legs with")
        return self.mark_price

    def unrealised_pnl(self) -> Decimal:
        """Return the profit in USDT of both legs at the mark price."""
        if not self.is_open:
            return ZERO
        return self.net_size * (self.mark_price or self.mark()) - self.net_cost

    def initial_margin(self) -> Decimal:
        """Return the initial margin in USDT that both legs hold at the mark price."""
        if not self.is_open:
            return ZERO
        fixed, per_price = self._initial_line or self.initial_line()
        return fixed + per_price * (self.mark_price or self.mark())

    def fees_to_close(self) -> Decimal:
        """Return what both legs reserve for closing them, USDT."""
        if self._fees_to_close is None:
            self._fees_to_close = calc_pair_fees_to_close(*self.states(), self.taker_rate)
        return self._fees_to_close

    def initial_line(self) -> tuple[Decimal, Decimal]:
        """Return (a, b): the legs hold a + b x mark price of initial margin, USDT."""
        if self._initial_line is None:
            self._initial_line = calc_pair_initial_line(
                *self.states(), fees_to_close=self.fees_to_close()
            )
        return self._initial_line

    def margins(self) -> tuple[LegMargin, LegMargin]:
        """Return the margins (long, short) at the mark price."""
        if not self.is_open:
            return NO_MARGINS
        values = self.at_mark()
        return values.long, values.short

    def maintenance_margin(self) -> Decimal:
        """Return the maintenance margin in USDT of both legs at the mark price."""
        return self.at_mark().maintenance_margin if self.is_open else ZERO

    def at_mark(self) -> _AtMark:
        """Return what legs that hold something are worth and need at the mark price.

        Kept until the legs or the mark price change: accounts ask for it again and again.
        """
        known, mark = self._at_mark, self.mark()
        if known is None or known.mark != mark:
            states = self.states()
            long, short = calc_pair_margins(
                *states, mark, self.tiers, taker_fee_rate=self.taker_rate
            )
            known = self._at_mark = _AtMark(
                mark,
                long,
                short,
                self.net_size * mark - self.net_cost,
                long.maintenance + short.maintenance,
            )
        return known


class SimulatedAccount:
    """A wallet in USDT under the legs of any number of pairs, cross margin."""

    def __init__(self, deposit: Decimal, fees: FeeRates | None = None) -> None:
        self.deposits = deposit
        self.wallet = deposit
        self.fees = fees or FeeRates()
        self.pairs: dict[str, SimulatedPair] = {}
        self.realised_pnl = ZERO
        self.fees_paid = ZERO
        self.funding_paid = ZERO
        self.version = 0  # grows with every change of wallet or legs
        self._liquidation: dict[str, tuple[list[Decimal | None], Edges]] = {}
        self._liquidation_version = -1

    def add_pair(self, name: str, symbol: str, leverage: Decimal, tiers: MMTiers) -> SimulatedPair:
        """Open a pair of legs under `name`. Raises ValueError if there is one."""
        if name in self.pairs:
            raise ValueError(f"the account has legs called {name!r} already")
        pair = SimulatedPair(symbol, leverage, tiers, self.fees.taker)
        self.pairs[name] = pair
        return pair

    def deposit(self, amount: Decimal) -> None:
        """Add `amount` (USDT) to the wallet; a negative one is withdrawn."""
        self.deposits += amount
        self.wallet += amount
        self.version += 1

    # bookings

    def fill(
        self,
        pair: SimulatedPair,
        direction: DirectionType,
        qty: Decimal,
        price: Decimal,
        *,
        closing: bool,
        fee_rate: Decimal | None = None,
    ) -> Booking:
        """Book one fill; `fee_rate` is the maker's unless given. Raises ValueError for closing
        more than the leg holds.
        """
        leg = pair.long if direction is LONG else pair.short
        pnl = ZERO
        if closing:
            pnl = leg.close(qty, price)
        else:
            leg.open(qty, price)
        fee = qty * price * (self.fees.maker if fee_rate is None else fee_rate)
        self.realised_pnl += pnl
        self.fees_paid += fee
        self.wallet += pnl - fee
        self.version += 1
        pair.changed()
        return Booking(pnl, fee)

    def settle_funding(
        self, pair: SimulatedPair, direction: DirectionType, mark_price: Decimal, rate: Decimal
    ) -> Decimal:
        """Settle funding of one leg; return what it paid in USDT (negative: received).

        Longs pay size x mark price x rate, shorts receive it. Source: docs/exchange.md,
        "Funding".
        """
        paid = pair.leg(direction).size * mark_price * rate
        if direction is SHORT:
            paid = -paid
        self.funding_paid += paid
        self.wallet -= paid
        self.version += 1
        return paid

    # values at the mark prices

    def unrealised_pnl(self) -> Decimal:
        """Return the profit in USDT of all legs."""
        total = ZERO
        for pair in self.pairs.values():
            if pair.is_open:
                total += pair.unrealised_pnl()
        return total

    def equity(self) -> Decimal:
        """Return wallet balance plus unrealised profit in USDT."""
        return self.wallet + self.unrealised_pnl()

    def initial_margin(self) -> Decimal:
        """Return the initial margin in USDT of all legs and of all resting orders."""
        total = ZERO
        for pair in self.pairs.values():
            total += pair.order_margin
            if pair.is_open:
                total += pair.initial_margin()
        return total

    def available(self) -> Decimal:
        """Return the free margin in USDT; negative when more is held than there is."""
        profit = margin = ZERO
        for pair in self.pairs.values():
            margin += pair.order_margin
            if pair.is_open:
                profit += pair.unrealised_pnl()
                margin += pair.initial_margin()
        return self.wallet + profit - margin

    def maintenance_margin(self) -> Decimal:
        """Return the maintenance margin in USDT of all legs."""
        return sum((pair.maintenance_margin() for pair in self.pairs.values()), ZERO)

    def totals(self) -> MarginTotals:
        """Return everything that sums up over the pairs."""
        profit = positions = orders = maintenance = ZERO
        for pair in self.pairs.values():
            orders += pair.order_margin
            if pair.is_open:
                values = pair.at_mark()
                profit += values.unrealised_pnl
                positions += pair.initial_margin()
                maintenance += values.maintenance_margin
        return MarginTotals(profit, positions, orders, maintenance)

    def wallet_snapshot(self) -> WalletSnapshot:
        """Return the wallet as an exchange reports it."""
        return WalletSnapshot(wallet_balance=self.wallet, available_balance=self.available())

    # liquidation

    def is_liquidatable(self) -> bool:
        """Tell whether the legs' maintenance margin has reached equity."""
        return self.equity() <= self.maintenance_margin() and any(
            pair.is_open for pair in self.pairs.values()
        )

    def liquidation_range(self, symbol: str) -> Edges:
        """Return the mark prices (low, high) of `symbol` at which the account is liquidated.

        In USDT; None where no price does it. Other symbols stay at their marks.
        """
        if self._liquidation_version != self.version:
            self._liquidation.clear()
            self._liquidation_version = self.version
        # it moves with the marks of the other symbols
        marks: list[Decimal | None] = []
        if len(self.pairs) > 1:
            marks = [pair.mark_price for pair in self.pairs.values() if pair.symbol != symbol]
        known = self._liquidation.get(symbol)
        if known is None or known[0] != marks:
            edges = liquidation_range(self._pairs_of(symbol), self._equity_behind(symbol))
            known = self._liquidation[symbol] = marks, edges
        return known[1]

    def liquidation_price(self, pair: SimulatedPair, direction: DirectionType) -> Decimal | None:
        """Return the liquidation price in USDT of a leg, None for a leg without one."""
        is_long = direction is LONG
        if not (pair.net_size > 0 if is_long else pair.net_size < 0):
            return None
        low, high = self.liquidation_range(pair.symbol)
        return low if is_long else high

    def bankruptcy_price(self, symbol: str) -> Decimal | None:
        """Return the price in USDT of `symbol` at which equity is nothing, None without one."""
        behind = self.wallet + sum(
            (pair.unrealised_pnl() for pair in self.pairs.values() if pair.symbol != symbol), ZERO
        )
        return bankruptcy_price(self._pairs_of(symbol), behind)

    def _pairs_of(self, symbol: str) -> list[SimulatedPair]:
        return [pair for pair in self.pairs.values() if pair.symbol == symbol]

    def _equity_behind(self, symbol: str) -> Decimal:
        """Return what stands behind the legs of one symbol: wallet and all other legs' surplus."""
        surplus = ZERO
        for pair in self.pairs.values():
            if pair.is_open and pair.symbol != symbol:
                values = pair.at_mark()
                surplus += values.unrealised_pnl - values.maintenance_margin
        return self.wallet + surplus
