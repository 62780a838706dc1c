"""Who is told what happens on the exchange."""

from __future__ import annotations

from typing import Protocol

from gridcore import DirectionType
from paper_exchange.book.account import PaperAccount
from paper_exchange.book.orders import PaperExecution, PaperOrder
from paper_exchange.market.market import Market, PublicTrade


class Listener(Protocol):
    """Told of everything, in the order in which it happens."""

    def on_order(self, account: PaperAccount, order: PaperOrder) -> None:
        """An order has a new state."""

    def on_execution(self, account: PaperAccount, execution: PaperExecution) -> None:
        """Something was executed."""

    def on_position(
        self, account: PaperAccount, symbol: str, legs: tuple[DirectionType, ...]
    ) -> None:
        """Legs, or the orders on them, changed; told once at the end of a step."""

    def on_wallet(self, account: PaperAccount) -> None:
        """Money or margin of an account changed; told once at the end of a step."""

    def on_trade(self, market: Market, trade: PublicTrade) -> None:
        """The market traded."""

    def on_market(self, market: Market) -> None:
        """Prices, quotes or rates of a market may have changed."""


class Outbox:
    """Tells all listeners; holds positions and wallets back until the step is over."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._legs: dict[tuple[str, str], tuple[PaperAccount, dict[DirectionType, None]]] = {}
        self._wallets: dict[str, PaperAccount] = {}

    def order(self, account: PaperAccount, order: PaperOrder) -> None:
        """Tell of an order; its leg and the account's margin follow."""
        for listener in self.listeners:
            listener.on_order(account, order)
        self.position(account, order.symbol, order.direction)
        self.wallet(account)

    def execution(self, account: PaperAccount, execution: PaperExecution) -> None:
        """Tell of an execution."""
        for listener in self.listeners:
            listener.on_execution(account, execution)

    def position(self, account: PaperAccount, symbol: str, direction: DirectionType) -> None:
        """Note that a leg is to be told."""
        _, legs = self._legs.setdefault((account.name, symbol), (account, {}))
        legs[direction] = None

    def wallet(self, account: PaperAccount) -> None:
        """Note that a wallet is to be told."""
        self._wallets[account.name] = account

    def trade(self, market: Market, trade: PublicTrade) -> None:
        """Tell of a trade of the market."""
        for listener in self.listeners:
            listener.on_trade(market, trade)

    def market(self, market: Market) -> None:
        """Tell of a market."""
        for listener in self.listeners:
            listener.on_market(market)

    def flush(self) -> None:
        """Tell of the positions and wallets that the step changed."""
        if self._legs:
            changed, self._legs = self._legs, {}
            for (_, symbol), (account, legs) in changed.items():
                for listener in self.listeners:
                    listener.on_position(account, symbol, tuple(legs))
        if self._wallets:
            wallets, self._wallets = self._wallets, {}
            for account in wallets.values():
                for listener in self.listeners:
                    listener.on_wallet(account)
