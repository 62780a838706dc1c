"""The simulated account: money, both legs, margin. The paper exchange keeps its accounts with it.

Wallet = deposits + realised profit - fees - funding, to the last decimal.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from backtest.position_tracker import BacktestPositionTracker
from gridcore import (
    DirectionType,
    MMTiers,
    WalletSnapshot,
    calc_pair_margins,
    estimate_liquidation_prices,
)

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Share of the notional paid per fill; a negative one is a rebate."""

    maker: Decimal = Decimal("0.0002")
    taker: Decimal = Decimal("0.00055")


class SimulatedAccount:
    """One symbol's two legs on one wallet, cross margin, USDT."""

    def __init__(
        self, deposit: Decimal, leverage: Decimal, tiers: MMTiers, fees: FeeRates | None = None
    ) -> None:
        self.deposit = deposit
        self.wallet = deposit
        self.tiers = tiers
        self.fees = fees or FeeRates()
        self.legs = {
            direction: BacktestPositionTracker(direction, leverage) for direction in DirectionType
        }
        self.realised_pnl = ZERO
        self.fees_paid = ZERO
        self.funding_paid = ZERO

    def fill(
        self, direction: DirectionType, qty: Decimal, price: Decimal, *, closing: bool
    ) -> tuple[Decimal, Decimal]:
        """Book one maker fill; return (realised profit, fee) in USDT."""
        leg = self.legs[direction]
        pnl = ZERO
        if closing:
            pnl = leg.close(qty, price)
        else:
            leg.open(qty, price)
        fee = qty * price * self.fees.maker
        self.realised_pnl += pnl
        self.fees_paid += fee
        self.wallet += pnl - fee
        return pnl, fee

    def settle_funding(self, mark_price: Decimal, rate: Decimal) -> Decimal:
        """Pay funding at `rate` on both legs; return what was paid (negative: received)."""
        net = self.legs[DirectionType.LONG].size - self.legs[DirectionType.SHORT].size
        paid = net * mark_price * rate
        self.funding_paid += paid
        self.wallet -= paid
        return paid

    def unrealised_pnl(self, price: Decimal) -> Decimal:
        """Return the profit in USDT of both legs at `price`."""
        return sum((leg.unrealised_pnl(price) for leg in self.legs.values()), ZERO)

    def equity(self, price: Decimal) -> Decimal:
        """Return wallet balance plus unrealised profit in USDT."""
        return self.wallet + self.unrealised_pnl(price)

    def available(self, mark_price: Decimal, order_margin: Decimal) -> Decimal:
        """Return the free margin in USDT with this much held by resting orders."""
        long, short = (self.legs[direction].state() for direction in DirectionType)
        margins = calc_pair_margins(
            long, short, mark_price, self.tiers, taker_fee_rate=self.fees.taker
        )
        return self.equity(mark_price) - sum((m.initial for m in margins), ZERO) - order_margin

    def maintenance_margin(self, mark_price: Decimal) -> Decimal:
        """Return the maintenance margin in USDT of both legs."""
        long, short = (self.legs[direction].state() for direction in DirectionType)
        margins = calc_pair_margins(
            long, short, mark_price, self.tiers, taker_fee_rate=self.fees.taker
        )
        return sum((margin.maintenance for margin in margins), ZERO)

    def liquidation_prices(self) -> dict[DirectionType, Decimal | None]:
        """Return the liquidation price of each leg in USDT, None for a leg without one."""
        long, short = (self.legs[direction].state() for direction in DirectionType)
        prices = estimate_liquidation_prices(
            long, short, self.wallet, self.tiers, taker_fee_rate=self.fees.taker
        )
        return dict(zip(DirectionType, prices, strict=True))

    def wallet_snapshot(self, mark_price: Decimal, order_margin: Decimal) -> WalletSnapshot:
        """Return the wallet as an exchange reports it."""
        return WalletSnapshot(
            wallet_balance=self.wallet,
            available_balance=self.available(mark_price, order_margin),
        )
