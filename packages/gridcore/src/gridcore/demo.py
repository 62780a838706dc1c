"""A first look: `python -m gridcore.demo --symbol BTCUSDT` prints a grid and its orders.

Reads nothing but its arguments; places nothing. Exit code 0, or 2 for arguments that make no grid.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from gridcore.commands import AdoptOrders
from gridcore.config import GridConfig
from gridcore.errors import GridcoreError
from gridcore.events import AccountEvent, LegSnapshot, TickerEvent, WalletSnapshot
from gridcore.grid import Grid
from gridcore.instrument import InstrumentInfo
from gridcore.intents import PlaceLimitIntent
from gridcore.position import RiskConfig
from gridcore.qty import AmountSpec
from gridcore.sides import DirectionType
from gridcore.strategy import GridStrategy
from gridcore.strategy_config import StrategyConfig

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)  # any moment does: nothing depends on it


def decimal_argument(text: str) -> Decimal:
    """Parse a number of the command line exactly."""
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m gridcore.demo",
        description="Print the grid around a price and the orders a strategy would place there.",
        epilog="Exit codes: 0 done; 2 the arguments make no grid."
        " Example: python -m gridcore.demo --symbol BTCUSDT --price 65000. More: docs/gridcore.md",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("--symbol", required=True, help="name of the contract, for example BTCUSDT")
    add("--price", type=decimal_argument, default=Decimal(60000), help="last price in USDT")
    add("--tick-size", type=decimal_argument, default=Decimal("0.1"), help="USDT")
    add("--qty-step", type=decimal_argument, default=Decimal("0.001"), help="base coin")
    add("--min-notional", type=decimal_argument, default=Decimal(5), help="USDT")
    add("--max-qty", type=decimal_argument, default=Decimal(1000), help="base coin")
    add("--grid-count", type=int, default=20, help="levels besides the centre")
    add("--grid-step", type=decimal_argument, default=Decimal("0.2"), help="percent")
    add("--amount", default="100", help='"100" USDT, "x0.001" of the wallet or "b0.001" base coin')
    add("--wallet", type=decimal_argument, default=Decimal(10000), help="balance in USDT")
    add("--leverage", type=decimal_argument, default=Decimal(10), help="of both legs")
    add("--long-size", type=decimal_argument, default=Decimal(0), help="long leg held, base coin")
    add("--short-size", type=decimal_argument, default=Decimal(0), help="short leg held, base coin")
    return made


def first_orders(args: argparse.Namespace) -> tuple[GridStrategy, list[PlaceLimitIntent]]:
    """Feed a fresh strategy its account and one ticker. Raises GridcoreError."""
    instrument = InstrumentInfo(
        args.symbol,
        args.tick_size,
        args.qty_step,
        args.qty_step,
        args.min_notional,
        args.max_qty,
    )
    strategy = GridStrategy(
        StrategyConfig(
            strat_id="demo",
            instrument=instrument,
            amount=AmountSpec.parse(args.amount),
            risk=RiskConfig(0.8, 1.2, 8, 0.15),
            grid=GridConfig(args.grid_count, args.grid_step),
            leverage=args.leverage,
        )
    )
    price = instrument.round_price(args.price)
    if price <= 0:
        raise GridcoreError(f"the price is {args.price}; it is at least one tick")
    shape = strategy.config.grid
    grid = Grid(instrument.tick_size, shape.grid_count, shape.grid_step)
    grid.build_grid(price)  # says what is wrong with the arguments, if anything
    base = {"symbol": args.symbol, "exchange_ts": MOMENT, "local_ts": MOMENT}
    strategy.handle(
        AccountEvent(
            **base,
            long=LegSnapshot(size=args.long_size, entry_price=price),
            short=LegSnapshot(size=args.short_size, entry_price=price),
            wallet=WalletSnapshot(wallet_balance=args.wallet, available_balance=args.wallet),
        )
    )
    strategy.handle(AdoptOrders(orders=(), as_of=MOMENT))
    decision = strategy.handle(TickerEvent(**base, last_price=price))
    return strategy, [intent for intent in decision.intents if isinstance(intent, PlaceLimitIntent)]


def table(strategy: GridStrategy, orders: Sequence[PlaceLimitIntent]) -> str:
    """Return levels and orders as aligned text, highest price first."""
    by_level = {(order.direction, order.grid_level): order for order in orders}
    lines = [f"{'price':>14}  {'level':<5}  {'long leg':<22}  {'short leg':<22}"]
    for index, level in reversed(list(enumerate(strategy.view.levels))):
        cells = [_cell(by_level.get((direction, index))) for direction in DirectionType]
        line = f"{level.price:>14}  {level.side:<5}  {cells[0]:<22}  {cells[1]:<22}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _cell(order: PlaceLimitIntent | None) -> str:
    if order is None:
        return "-"
    return f"{order.side} {order.qty}{' (closing)' if order.reduce_only else ''}"


def summary(strategy: GridStrategy, orders: Sequence[PlaceLimitIntent]) -> str:
    """Return what the orders add up to."""
    opening = [order for order in orders if not order.reduce_only]
    notional = sum((order.qty * order.price for order in opening), Decimal(0))
    margin = notional / strategy.config.leverage
    what = f"{len(orders)} orders, {len(opening)} of them opening"
    lines = [f"{what}: {notional:.2f} USDT in all, {margin:.2f} USDT of margin"]
    for refusal, count in sorted(strategy.view.refused.items()):
        lines.append(f"{count} wanted orders wait: {refusal.value.replace('_', ' ')}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().parse_args(argv)
    try:
        strategy, orders = first_orders(args)
    except GridcoreError as error:
        print(f"gridcore.demo: {error}", file=sys.stderr)
        return 2
    print(table(strategy, orders))
    print(summary(strategy, orders))
    return 0


if __name__ == "__main__":
    sys.exit(main())
