"""What follows from a move of a market: orders fill, legs are valued, accounts are ruined."""

from __future__ import annotations

from collections.abc import Mapping

from exchange_model.fills.fill_simulator import FillModel, MarketTrade
from exchange_model.fills.registry import FillPlace
from gridcore import SideType
from gridcore.sides import TAKER_BUY, TAKER_SELL
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.book.account import PaperAccount
from paper_exchange.book.listeners import Outbox
from paper_exchange.book.order_entry import OrderEntry
from paper_exchange.book.takeover import TakeOver
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade, Market


class PriceMoves:
    """Carries the events of feeds into the books of all accounts."""

    def __init__(
        self,
        settings: MatchingSettings,
        models: dict[str, FillModel],
        accounts: Mapping[str, PaperAccount],
        order_entry: OrderEntry,
        take_over: TakeOver,
        outbox: Outbox,
    ) -> None:
        self._settings = settings
        self._models = models
        self._accounts = accounts
        self._order_entry = order_entry
        self._take_over = take_over
        self._outbox = outbox

    def use_rules(self, market: Market) -> None:
        """Make what depends on the rules of a contract: fill model, tiers of the legs."""
        step = market.listing.instrument.qty_step
        self._models[market.symbol] = self._settings.fills.fill_model_at(
            FillPlace(qty_step=step, visible=market.quotes.visible_at)
        )
        for account in self._accounts.values():
            book = account.books.get(market.symbol)
            if book is not None:
                book.pair.tiers = market.listing.tiers
                book.pair.changed()
                account.money.version += 1

    def move(self, market: Market, event: FeedEvent) -> None:
        """Let a market move, and everything that follows from it."""
        stopped = market.stopped
        if stopped is not None:
            if not stopped.prices_move:
                return
            if isinstance(event, FeedTrade):
                # nobody trades, but there is a price
                event = FeedQuote(symbol=event.symbol, ts_ms=event.ts_ms, last_price=event.price)
        if isinstance(event, FeedTrade):
            trade = market.apply_trade(event)
            self._outbox.trade(market, trade)
            side = TAKER_BUY if trade.side is SideType.BUY else TAKER_SELL
            self._fill_resting(market, MarketTrade(trade.ticks, side, trade.qty, trade.seq))
        else:
            market.apply_quote(event)
        self._mark(market)
        self._outbox.market(market)
        self._outbox.flush()

    def _fill_resting(self, market: Market, trade: MarketTrade) -> None:
        model = self._models[market.symbol]
        for account in self._accounts.values():
            book = account.books.get(market.symbol)
            if book is None or not len(book.orders):
                continue
            low, high = model.quiet_range(book.orders)
            if low <= trade.price_ticks <= high:
                continue
            for order, qty in model.fills(book.orders, trade):
                self._order_entry.fill_resting(account, market, order, qty)

    def _mark(self, market: Market) -> None:
        """Value all legs at the mark price, and take over those of accounts that it ruins."""
        mark = market.mark
        for account in self._accounts.values():
            book = account.books.get(market.symbol)
            if book is None:
                continue
            book.pair.mark_price = mark
            if book.pair.is_open and self._take_over.must_liquidate(account, market):
                self._take_over.liquidate(account)
