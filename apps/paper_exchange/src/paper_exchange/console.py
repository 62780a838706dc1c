"""What a person sees of a running exchange: where it is, which keys work, how it goes."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from paper_exchange.basics.loopback import is_loopback
from paper_exchange.config import PaperConfig
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.host.server import PaperServer


def print_start(console: Console, server: PaperServer, config: PaperConfig) -> None:
    """Print addresses, markets and the keys of the accounts."""
    console.print(f"paper exchange at {server.base_url} (REST) and {server.ws_url} (WebSocket)")
    reach = "this machine only" if is_loopback(config.host) else "EVERY machine that finds it"
    console.print(f"reachable from {reach}; seed {config.seed}, speed {config.speed:g}")
    if config.control:
        console.print(f"faults and actions: POST {server.base_url}/control/action (as JSON)")
    markets = Table(title="markets", title_justify="left")
    for name in ("symbol", "feed", "tick size", "qty step", "fills"):
        markets.add_column(name)
    for one, market in zip(config.symbols, server.hub.exchange.markets.values(), strict=True):
        rules = market.listing.instrument
        markets.add_row(
            one.symbol, one.feed.kind, f"{rules.tick_size:f}", f"{rules.qty_step:f}",
            config.matching.fill_model.value,
        )  # fmt: skip
    console.print(markets)
    keys = Table(title="accounts", title_justify="left")
    for name in ("account", "wallet USDT", "API key", "secret", ""):
        keys.add_column(name, overflow="fold")
    for account in config.accounts:
        wallet = server.hub.exchange.accounts[account.name].money.wallet
        for key in account.all_keys():
            # keys of the configuration are known to whoever wrote them; made-up ones are not
            secret = "as configured" if account.keys else key.secret.get_secret_value()
            keys.add_row(
                account.name, f"{wallet:f}", key.key, secret, "read only" if key.read_only else ""
            )
    console.print(keys)


class StatusLine:
    """One line on how it goes: prices, connections, rates since the line before."""

    def __init__(self, server: PaperServer) -> None:
        self._server = server
        self._at = time.monotonic()
        self._counts = self._totals()

    def _totals(self) -> tuple[int, int, int]:
        return self._server.calls, self._server.hub.subscriptions.frames, self._server.driver.events

    def text(self) -> Text:
        """Return the line."""
        now, totals = time.monotonic(), self._totals()
        passed = max(now - self._at, 1e-3)
        calls, frames, events = (
            (after - before) / passed for before, after in zip(self._counts, totals, strict=True)
        )
        self._at, self._counts = now, totals
        exchange = self._server.hub.exchange
        moment = datetime.fromtimestamp(exchange.now_ms / 1000, UTC)
        parts = [
            f"{moment:%Y-%m-%d %H:%M:%S}",
            _prices(exchange),
            f"{len(self._server.connections)} streams",
            f"{calls:.0f} calls/s",
            f"{frames:.0f} frames/s",
            f"{events:.0f} events/s",
            _accounts(exchange),
        ]
        if self._server.driver.feed_ended:
            parts.append("the feed has ended")
        return Text(" | ".join(part for part in parts if part))


def _prices(exchange: PaperExchange) -> str:
    shown = []
    for market in list(exchange.markets.values())[:3]:
        last = market.last_ticks
        price = "-" if last is None else market.listing.price_text(market.price(last))
        shown.append(f"{market.symbol} {price}{' halted' if market.halted else ''}")
    return ", ".join(shown)


def _accounts(exchange: PaperExchange) -> str:
    return "; ".join(
        f"{account.name} {account.money.equity():.2f} USDT, {len(account.open_orders)} orders"
        for account in list(exchange.accounts.values())[:3]
        if all(p.mark_price is not None or not p.is_open for p in account.money.pairs.values())
    )
