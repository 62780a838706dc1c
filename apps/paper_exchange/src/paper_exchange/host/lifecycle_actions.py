"""Actions on a contract: its life and its rules."""

from __future__ import annotations

from exchange_model.rules.codes import RetCode
from paper_exchange.basics.wire import Row
from paper_exchange.book.orders import ExecType
from paper_exchange.exchange.contract_life import DeliveryPlan
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.exchange.rule_change import RuleChange
from paper_exchange.host import actions as do

LifecycleAction = (
    do.ListContract
    | do.Halt
    | do.AnnounceDelisting
    | do.Settle
    | do.Deliver
    | do.ChangeRules
    | do.TickSize
)


def run_lifecycle(exchange: PaperExchange, action: LifecycleAction) -> Row:
    """Carry out one action; return what there is to say. Raises RefusalError."""
    market, life = exchange.market(action.symbol), exchange.life
    match action:
        case do.ListContract():
            life.list_contract(market)
        case do.Halt(halted=True, code=code, tickers=tickers):
            life.halt(market, RetCode(code), tickers=tickers)
        case do.Halt():
            life.resume(market)
        case do.AnnounceDelisting(in_s=in_s, settling_s=settling_s):
            life.announce(market, ms(in_s), _plan(action, settling_s))
            return {"delivery_ms": market.listing.delivery_ms}
        case do.Settle(tickers=tickers):
            life.settle(market, tickers=tickers)
        case do.Deliver(price=price):
            life.deliver(market, price, _plan(action))
        case do.ChangeRules(symbol=symbol):
            changes = action.model_dump(exclude={"do", "symbol"})
            exchange.operator.change_rules(symbol, RuleChange(**changes))
        case do.TickSize(symbol=symbol, tick_size=tick_size):
            exchange.operator.change_tick_size(symbol, tick_size)
    return {}


def _plan(action: do.AnnounceDelisting | do.Deliver, settling_s: float = 0) -> DeliveryPlan:
    return DeliveryPlan(
        settling_ms=ms(settling_s),
        exec_type=ExecType(action.exec_type),
        closed_after_ms=ms(action.closed_after_s),
    )


def ms(seconds: float) -> int:
    """Return seconds in ms."""
    return round(seconds * 1000)
