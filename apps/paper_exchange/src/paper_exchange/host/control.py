"""What can be done to the exchange from outside: carries out the actions, serves the endpoint.

The same actions come from the control endpoint and from a scenario file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import orjson
from aiohttp import web
from pydantic import ValidationError

from exchange_model.rules.codes import RefusalError, parameter_error
from gridcore import SideType
from paper_exchange.basics.wire import Row, money, plain
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.host import actions as do
from paper_exchange.host.actions import ACTION, Action, Scenario, ScenarioStep, read_scenario
from paper_exchange.host.control_guard import why_forbidden
from paper_exchange.host.faults import FaultDesk, FaultRule
from paper_exchange.host.hand import Hand
from paper_exchange.host.lifecycle_actions import run_lifecycle
from paper_exchange.market.market import FeedTrade

if TYPE_CHECKING:
    from paper_exchange.host.server import PaperServer

__all__ = ["ACTION", "Control", "Scenario", "read_scenario"]
log = logging.getLogger(__name__)


class Control:
    """Carries actions out. Without a server those on connections and clocks are refused."""

    def __init__(
        self, exchange: PaperExchange, faults: FaultDesk, server: PaperServer | None = None
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._hand = Hand(exchange)
        self.server = server

    def plan(self, scenario: Scenario) -> None:
        """Plan all steps of a scenario, from now."""
        for step in scenario.steps:
            self._exchange.after(int(step.at_s * 1000), self._step(step))

    def _step(self, step: ScenarioStep) -> Callable[[], None]:
        def take() -> None:
            try:
                self.run(step.action)
            except RefusalError as refusal:
                # the exchange goes on, and so do the steps after it
                log.warning(
                    "scenario: %s at %s s is refused: %s",
                    step.action.do, step.at_s, refusal.message,
                )  # fmt: skip

        return take

    def run(self, action: Action) -> Row:
        """Carry out one action; return what there is to say. Raises RefusalError."""
        match action:
            case do.Fault():
                return {"number": self._faults.add(FaultRule(**action.model_dump(exclude={"do"})))}
            case do.Heal(number=number):
                return {"removed": self._faults.remove(number)}
            case do.Disconnect(channel=channel, reset=reset):
                return {"disconnected": self._server().disconnect(channel, reset=reset)}
            case do.Restart(down_s=down_s):
                self._server().restart(down_s)
                return {}
            case do.SkewClock(ms=ms):
                self._server().driver.skew_ms = ms
                return {}
            case do.RevokeKey(key=key, revoked=revoked):
                self._revoke(key, revoked=revoked)
                return {}
            case do.JumpPrice(symbol=symbol, percent=percent):
                return self._jump(symbol, percent)
            case (
                do.ListContract() | do.Halt() | do.AnnounceDelisting() | do.Settle()
                | do.Deliver() | do.ChangeRules() | do.TickSize()
            ):  # fmt: skip
                return run_lifecycle(self._exchange, action)
            case do.Liquidate() | do.Adl() | do.Deposit() | do.FeeCoin():
                return self._to_account(action)
            case _:
                return self._hand.run(action)

    def _to_account(self, action: do.Liquidate | do.Adl | do.Deposit | do.FeeCoin) -> Row:
        """Do to an account what only the exchange can do, or only its owner's bank."""
        exchange = self._exchange
        account = exchange.account(action.account)
        match action:
            case do.Liquidate(by="takeover"):
                exchange.operator.liquidate(account)
            case do.Liquidate(ratio=ratio, symbol=symbol, direction=direction):
                share = ratio or Decimal("0.5")
                closed = exchange.operator.reduce_by_liquidation(account, share, symbol, direction)
                return {"closed": plain(closed)}
            case do.Adl(symbol=symbol, direction=direction, qty=qty):
                return {
                    "closed": plain(exchange.operator.deleverage(account, symbol, direction, qty))
                }
            case do.Deposit(amount=amount, coin=coin):
                exchange.operator.deposit(account, amount, coin)
            case do.FeeCoin(coin=coin, price=price):
                exchange.operator.pay_fees_in(account, coin, price)
        return {}

    def _jump(self, symbol: str, percent: Decimal) -> Row:
        market = self._exchange.market(symbol)
        if market.status != "Trading":
            raise parameter_error(f"{symbol} is {market.status}; its price does not move any more")
        if market.last_ticks is None:
            raise parameter_error(f"{symbol} has no price yet")
        market.shift_by(1 + percent / 100)
        # the market's own price, which the feed's factor is taken off again
        price = market.price(market.last_ticks) * (1 + percent / 100) / market.factor
        self._exchange.feed(
            FeedTrade(
                symbol=symbol,
                ts_ms=self._exchange.now_ms,
                price=price,
                qty=market.listing.instrument.min_qty,
                side=SideType.BUY if percent > 0 else SideType.SELL,
                trade_id=self._exchange.ids.uuid(),
            )
        )
        return {"price": plain(market.price(market.last_ticks))}

    def _revoke(self, text: str, *, revoked: bool) -> None:
        found = self._exchange.key(text)
        if found is None:
            raise parameter_error("there is no such key")
        account, key = found
        self._exchange.replace_key(account, replace(key, revoked=revoked))
        if revoked and self.server is not None:
            self.server.disconnect_account(account)

    def _server(self) -> PaperServer:
        if self.server is None:
            raise parameter_error("this needs an exchange on sockets")
        return self.server

    # the endpoint

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve /control/...: POST action, GET status, GET faults."""
        server = self._server()
        refused = why_forbidden(request, server.port)
        if refused is not None:
            status, text = refused
            return _json({"error": text}, status)
        path = request.path.removeprefix("/control/").strip("/")
        server.driver.catch_up()
        if request.method == "GET" and path == "status":
            return _json(self.status())
        if request.method == "GET" and path == "faults":
            rules = [
                {"number": number, "times": times, **rule.model_dump(mode="json")}
                for number, rule, times in self._faults.rules()
            ]
            return _json({"seed": self._faults.seed, "rules": rules})
        if request.method != "POST" or path != "action":
            return _json(
                {"error": "there is POST /control/action, GET /control/status and /control/faults"},
                404,
            )
        try:
            action = ACTION.validate_json(await request.read())
            answer = self.run(action)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            return _json({"error": f"{where}: {first['msg']}"}, 400)
        except RefusalError as refusal:
            return _json({"error": refusal.message}, 400)
        server.driver.catch_up()
        return _json({"ok": True, **answer})

    def status(self) -> Row:
        """Return what the exchange holds, for whoever compares books with it."""
        exchange = self._exchange
        return {
            "now_ms": exchange.now_ms,
            "insurance_fund": money(exchange.take_over.insurance_fund),
            "markets": {
                one.symbol: {
                    "last": None if one.last_ticks is None else plain(one.price(one.last_ticks)),
                    "mark": None if one.mark is None else plain(one.mark),
                    "status": one.status,
                    "halted": one.halted,
                    "seq": one.seq,
                }
                for one in exchange.markets.values()
            },
            "accounts": {
                account.name: {
                    "uid": account.uid,
                    "margin_mode": account.margin_mode.value,
                    "wallet": money(account.money.wallet),
                    "mnt": money(account.mnt.balance),
                    "deposits": money(account.money.deposits),
                    "realised": money(account.money.realised_pnl),
                    "fees": money(account.money.fees_paid),
                    "funding": money(account.money.funding_paid),
                    "open_orders": len(account.open_orders),
                    "executions": len(account.executions),
                    "legs": {
                        symbol: [plain(book.pair.long.size), plain(book.pair.short.size)]
                        for symbol, book in account.books.items()
                    },
                }
                for account in exchange.accounts.values()
            },
            "connections": self._server().hub.told(),
        }


def _json(content: Row, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")
