"""What can be done to the exchange from outside: faults and actions, for tests and for drills.

The same actions come from the control endpoint and from a scenario file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from backtest.yaml_config import load_yaml_config
from gridcore import SideType
from paper_exchange.account import PaperAccount
from paper_exchange.control_guard import why_forbidden
from paper_exchange.exchange import PaperExchange
from paper_exchange.faults import FaultDesk, FaultRule
from paper_exchange.market import FeedTrade
from paper_exchange.ret_codes import RefusalError, parameter_error
from paper_exchange.wire import Row, money, plain

if TYPE_CHECKING:
    from paper_exchange.server import PaperServer

Channels = Annotated[str, Field(pattern=r"^(\*|public|private|trade)$")]


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(FaultRule):
    """Put a rule into force."""

    do: Literal["fault"] = "fault"


class Heal(_Action):
    """Take one rule out of force, or all of them."""

    do: Literal["heal"]
    number: int | None = None


class Disconnect(_Action):
    """Cut the connections of a channel, with a close frame or without a word."""

    do: Literal["disconnect"]
    channel: Channels = "*"
    reset: bool = False


class Restart(_Action):
    """Be gone for a while; the accounts and the market stay."""

    do: Literal["restart"]
    down_s: Annotated[float, Field(ge=0, le=3600)] = 1.0


class SkewClock(_Action):
    """Let the clock that clients are checked against run ahead (+) or behind (-)."""

    do: Literal["skew_clock"]
    ms: int


class RevokeKey(_Action):
    """Revoke a key, or give it back."""

    do: Literal["revoke_key"]
    key: str
    revoked: bool = True


class JumpPrice(_Action):
    """Let a market jump by percent, and stay there: later prices of its feed are moved too."""

    do: Literal["jump_price"]
    symbol: str
    percent: Annotated[Decimal, Field(gt=-99, lt=1000)]


class Halt(_Action):
    """Stop trading in a symbol, or let it go on."""

    do: Literal["halt"]
    symbol: str
    halted: bool = True


class TickSize(_Action):
    """Change a tick size."""

    do: Literal["tick_size"]
    symbol: str
    tick_size: Annotated[Decimal, Field(gt=0)]


class Liquidate(_Action):
    """Liquidate an account."""

    do: Literal["liquidate"]
    account: str


class Adl(_Action):
    """Close a part of a leg by auto-deleveraging."""

    do: Literal["adl"]
    account: str
    symbol: str
    direction: Literal["long", "short"]
    qty: Annotated[Decimal, Field(gt=0)]


class Deposit(_Action):
    """Put USDT into a wallet, or take it out when negative."""

    do: Literal["deposit"]
    account: str
    amount: Decimal


class CancelBehind(_Action):
    """Cancel all orders of an account in a symbol behind its back."""

    do: Literal["cancel_orders"]
    account: str
    symbol: str


Action = Annotated[
    Fault | Heal | Disconnect | Restart | SkewClock | RevokeKey | JumpPrice | Halt | TickSize
    | Liquidate | Adl | Deposit | CancelBehind,
    Field(discriminator="do"),
]  # fmt: skip
ACTION: TypeAdapter[Action] = TypeAdapter(Action)


class ScenarioStep(BaseModel):
    """One step of a scenario: what to do, seconds after the start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_s: Annotated[float, Field(ge=0)]
    action: Action


class Scenario(BaseModel):
    """Faults and actions by time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: tuple[ScenarioStep, ...]


class Control:
    """Carries actions out. Without a server those on connections and clocks are refused."""

    def __init__(
        self, exchange: PaperExchange, faults: FaultDesk, server: PaperServer | None = None
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self.server = server

    def plan(self, scenario: Scenario) -> None:
        """Plan all steps of a scenario, from now."""
        for step in scenario.steps:
            self._exchange.after(int(step.at_s * 1000), self._step(step))

    def _step(self, step: ScenarioStep) -> Callable[[], None]:
        return lambda: void(self.run(step.action))

    def run(self, action: Action) -> Row:
        """Carry out one action; return what there is to say. Raises RefusalError."""
        match action:
            case Fault():
                return {"number": self._faults.add(FaultRule(**action.model_dump(exclude={"do"})))}
            case Heal(number=number):
                return {"removed": self._faults.remove(number)}
            case Disconnect(channel=channel, reset=reset):
                return {"disconnected": self._server().disconnect(channel, reset=reset)}
            case Restart(down_s=down_s):
                self._server().restart(down_s)
                return {}
            case SkewClock(ms=ms):
                self._server().driver.skew_ms = ms
                return {}
            case RevokeKey(key=key, revoked=revoked):
                self._revoke(key, revoked=revoked)
                return {}
            case _:
                return self._market_action(action)

    def _market_action(self, action: Action) -> Row:
        exchange = self._exchange
        match action:
            case JumpPrice(symbol=symbol, percent=percent):
                return self._jump(symbol, percent)
            case Halt(symbol=symbol, halted=halted):
                exchange.halt(symbol, halted=halted)
            case TickSize(symbol=symbol, tick_size=tick_size):
                exchange.change_tick_size(symbol, tick_size)
            case Liquidate(account=name):
                exchange.liquidate(self._account(name))
            case Adl(account=name, symbol=symbol, direction=direction, qty=qty):
                closed = exchange.deleverage(self._account(name), symbol, direction, qty)
                return {"closed": plain(closed)}
            case Deposit(account=name, amount=amount):
                exchange.deposit(self._account(name), amount)
            case CancelBehind(account=name, symbol=symbol):
                exchange.market(symbol)
                orders = exchange.cancel_all(self._account(name), [symbol], "CancelByAdmin")
                return {"cancelled": len(orders)}
        return {}

    def _jump(self, symbol: str, percent: Decimal) -> Row:
        market = self._exchange.market(symbol)
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

    def _account(self, name: str) -> PaperAccount:
        account = self._exchange.accounts.get(name)
        if account is None:
            raise parameter_error(f"there is no account {name[:50]!r}")
        return account

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
                    "halted": one.halted,
                    "seq": one.seq,
                }
                for one in exchange.markets.values()
            },
            "accounts": {
                account.name: {
                    "uid": account.uid,
                    "wallet": money(account.money.wallet),
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


def void(_: object) -> None:
    """Make nothing of a result."""


def _json(content: Row, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")


def read_scenario(path: Path) -> Scenario:
    """Return the scenario in a YAML file. Raises ConfigFileError."""
    return load_yaml_config(path, Scenario)
