"""The books of a simulated bot and of its exchange, held against each other."""

from __future__ import annotations

from decimal import Decimal

from testkit.bot_world import BotWorld


def disagreements(world: BotWorld) -> list[str]:
    """Return how the bot's books differ from the exchange's."""
    if world.session is None:
        return ["the bot does not run"]
    account = world.paper.account
    found = []
    for runner in world.session.runners.values():
        view, symbol = runner.strategy.view, runner.symbol
        book = account.books[symbol]
        for leg in (view.long, view.short):
            real = book.pair.leg(leg.direction).size
            if leg.size != real:
                found.append(f"{symbol} {leg.direction}: {leg.size} here, {real} there")
        mine = {order.order_id: order.leaves_qty for order in view.orders}
        theirs = {one.order_id: one.leaves_qty for one in account.orders_of(symbol) if one.link_id}
        if mine != theirs:
            only_here, only_there = mine.keys() - theirs.keys(), theirs.keys() - mine.keys()
            found.append(f"{symbol}: orders only here {only_here}, only there {only_there}")
        if view.wallet_balance != account.money.wallet:
            found.append(f"wallet {view.wallet_balance} here, {account.money.wallet} there")
    return found


def broken_promises(world: BotWorld) -> list[str]:
    """Return which invariants the exchange's own books show to be broken."""
    account = world.paper.account
    found = []
    for symbol, book in account.books.items():
        places: dict[tuple[str, Decimal, str], int] = {}
        for order in account.orders_of(symbol):
            if not order.link_id:
                continue  # somebody's own order
            key = order.direction.value, order.price, order.side.value
            places[key] = places.get(key, 0) + 1
        found += [f"{symbol}: {count} orders at {key}" for key, count in places.items()
                  if count > 1]  # fmt: skip
        for direction, covered in book.orders.closing_qty.items():
            size = book.pair.leg(direction).size
            waiting = book.arriving_closing[direction]
            if covered + waiting > size:
                found.append(f"{symbol} {direction}: {covered + waiting} closing of {size}")
    return found
