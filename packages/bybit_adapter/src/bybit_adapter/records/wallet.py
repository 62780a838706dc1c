"""The balances of an account.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from bybit_adapter.basics.row import Row
from gridcore import WalletSnapshot

USDT = "USDT"
_SMALLEST_UNIT = Decimal("1E-8")  # USDT; balances have no finer one


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinBalance:
    """What a wallet holds of one coin, in that coin."""

    coin: str
    wallet_balance: Decimal | None
    equity: Decimal | None
    usd_value: Decimal | None
    unrealised_pnl: Decimal | None
    cum_realised_pnl: Decimal | None
    locked: Decimal | None
    order_initial_margin: Decimal | None
    position_initial_margin: Decimal | None
    position_maintenance_margin: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """The unified account at as_of. Totals are USD, not USDT; ratios are fractions.

    A wallet frame of the stream may list the coins that changed only.
    """

    as_of: datetime
    account_type: str | None
    total_equity_usd: Decimal | None
    total_wallet_balance_usd: Decimal | None
    total_margin_balance_usd: Decimal | None
    total_available_balance_usd: Decimal | None
    total_initial_margin_usd: Decimal | None
    total_maintenance_margin_usd: Decimal | None
    initial_margin_ratio: Decimal | None
    maintenance_margin_ratio: Decimal | None
    coins: tuple[CoinBalance, ...]
    raw_json: str = field(repr=False)

    def coin(self, name: str = USDT) -> CoinBalance | None:
        """Return the balance of one coin, None when the frame does not list it."""
        return next((coin for coin in self.coins if coin.coin == name), None)

    @property
    def snapshot(self) -> WalletSnapshot | None:
        """The part of an AccountEvent; None when USDT is not listed, which means unchanged."""
        usdt = self.coin()
        if usdt is None or usdt.wallet_balance is None:
            return None
        return WalletSnapshot(
            wallet_balance=usdt.wallet_balance, available_balance=self._available_usdt(usdt)
        )

    def _available_usdt(self, usdt: CoinBalance) -> Decimal | None:
        """Return what new orders may bind, in USDT, rounded down; None when it is not told.

        The account tells it in USD; equity and USD value of the USDT balance give the rate. An
        answer without USD value still has the margins of USDT itself.
        """
        if self.total_available_balance_usd is None or usdt.equity is None:
            return None
        if usdt.usd_value is not None:
            if usdt.equity <= 0 or usdt.usd_value <= 0:
                return None
            available = self.total_available_balance_usd * usdt.equity / usdt.usd_value
            return available.quantize(_SMALLEST_UNIT, ROUND_DOWN)
        if usdt.order_initial_margin is None or usdt.position_initial_margin is None:
            return None
        return usdt.equity - usdt.order_initial_margin - usdt.position_initial_margin


def parse_wallet(row: Row, as_of: datetime) -> Wallet:
    """Parse one account with its coins. The row has no time: `as_of` is the frame's."""
    return Wallet(
        as_of=as_of,
        account_type=row.opt_text("accountType"),
        total_equity_usd=row.opt_number("totalEquity"),
        total_wallet_balance_usd=row.opt_number("totalWalletBalance"),
        total_margin_balance_usd=row.opt_number("totalMarginBalance"),
        total_available_balance_usd=row.opt_number("totalAvailableBalance"),
        total_initial_margin_usd=row.opt_number("totalInitialMargin"),
        total_maintenance_margin_usd=row.opt_number("totalMaintenanceMargin"),
        initial_margin_ratio=row.opt_number("accountIMRate"),
        maintenance_margin_ratio=row.opt_number("accountMMRate"),
        coins=tuple(_parse_coin(coin) for coin in row.rows("coin")),
        raw_json=row.raw_json(),
    )


def _parse_coin(row: Row) -> CoinBalance:
    return CoinBalance(
        coin=row.text("coin"),
        wallet_balance=row.opt_number("walletBalance"),
        equity=row.opt_number("equity"),
        usd_value=row.opt_number("usdValue"),
        unrealised_pnl=row.opt_number("unrealisedPnl"),
        cum_realised_pnl=row.opt_number("cumRealisedPnl"),
        locked=row.opt_number("locked"),
        order_initial_margin=row.opt_number("totalOrderIM"),
        position_initial_margin=row.opt_number("totalPositionIM"),
        position_maintenance_margin=row.opt_number("totalPositionMM"),
    )
