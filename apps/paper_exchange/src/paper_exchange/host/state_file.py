"""Accounts kept in a file between starts: money, legs, open orders, records.

One JSON document, written beside the file and moved over it, so that a crash leaves the old one.
Numbers are texts, so that nothing is rounded.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from exchange_model.rules.codes import RetCode
from market_data.files.column_folder import write_atomically
from paper_exchange.book.account import KEPT_RECORDS, MarginMode, MntWallet, PaperAccount
from paper_exchange.book.book_state import BookState, Text, restore_book, saved_book
from paper_exchange.book.orders import (
    ClosedPnl,
    ExecType,
    LedgerEntry,
    PaperExecution,
    PaperOrder,
    Status,
)
from paper_exchange.exchange.contract_life import DeliveryPlan
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.market.listing import listing_of_rows
from paper_exchange.market.market import Market, Pause

log = logging.getLogger(__name__)
VERSION = 2
READABLE = (1, VERSION)  # 1 knows neither contracts that change nor MNT nor margin modes
KEPT = 10_000  # records of each kind that outlive a start


class StateFileError(Exception):
    """A state file that cannot be used. The text names the file."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class MntState:
    """MNT of an account."""

    deposits: Text
    fees_paid: Text
    price: Text
    pays_fees: bool


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class StoredAccount:
    """One account."""

    deposits: Text
    wallet: Text
    realised_pnl: Text
    fees_paid: Text
    funding_paid: Text
    insured: Text
    moves_price: bool
    dcp_window_s: int | None
    books: dict[str, BookState]
    open_orders: list[PaperOrder]
    closed_orders: list[PaperOrder]
    executions: list[PaperExecution]
    ledger: list[LedgerEntry]
    closed_pnl: list[ClosedPnl]
    margin_mode: MarginMode = MarginMode.CROSS
    margin_mode_ms: int | None = None
    mnt: MntState | None = None


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class PlanState:
    """How a contract ends whose end is announced or begun."""

    settling_ms: int
    exec_type: ExecType
    closed_after_ms: int


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class MarketState:
    """A contract that is not what it was configured to be, or that is halted."""

    row: dict[str, Any] | None = None  # of instruments-info; None: as configured
    risk_rows: list[dict[str, Any]] | None = None
    price_places: int = 0
    qty_places: int = 0
    pause_code: int | None = None
    pause_why: str = ""
    prices_move: bool = False
    mark: Text | None = None  # USDT
    closes_ms: int | None = None
    plan: PlanState | None = None


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class ExchangeState:
    """All accounts. `epoch` counts the starts, so that ids never repeat."""

    version: int
    epoch: int
    last_number: int
    saved_ms: int
    insurance_fund: Text
    sequences: dict[str, int]
    accounts: dict[str, StoredAccount]
    markets: dict[str, MarketState] = field(default_factory=dict)


ADAPTER: TypeAdapter[ExchangeState] = TypeAdapter(ExchangeState)


def read_state(path: str | Path) -> ExchangeState | None:
    """Return what was saved, None where there is no file. Raises StateFileError."""
    path = Path(path)
    if not path.exists():
        return None
    try:
        state = ADAPTER.validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise StateFileError(
            f"{path}: no state of this exchange ({type(error).__name__}); move it away to begin"
            " afresh"
        ) from error
    if state.version not in READABLE:
        raise StateFileError(
            f"{path}: written by version {state.version}, this is {VERSION}; move it away to begin"
            " afresh"
        )
    return state


def write_state(path: str | Path, exchange: PaperExchange, epoch: int) -> None:
    """Save all accounts. Raises OSError."""
    path = Path(path)
    state = ExchangeState(
        version=VERSION,
        epoch=epoch,
        last_number=exchange.ids.last,
        saved_ms=exchange.now_ms,
        insurance_fund=exchange.take_over.insurance_fund,
        sequences={symbol: market.seq for symbol, market in exchange.markets.items()},
        accounts={name: _saved(account) for name, account in exchange.accounts.items()},
        markets={
            symbol: _saved_market(exchange, market)
            for symbol, market in exchange.markets.items()
            if market.is_changed or market.pause is not None
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, ADAPTER.dump_json(state, exclude={"accounts": {"__all__": {
        "open_orders": {"__all__": {"resting"}}, "closed_orders": {"__all__": {"resting"}},
    }}}))  # fmt: skip


def _saved(account: PaperAccount) -> StoredAccount:
    funds = account.money
    return StoredAccount(
        deposits=funds.deposits,
        wallet=funds.wallet,
        realised_pnl=funds.realised_pnl,
        fees_paid=funds.fees_paid,
        funding_paid=funds.funding_paid,
        insured=account.insured,
        moves_price=account.moves_price,
        dcp_window_s=account.dcp_window_s,
        books={symbol: saved_book(book) for symbol, book in account.books.items()},
        open_orders=list(account.open_orders.values()),
        closed_orders=list(account.closed_orders)[-KEPT:],
        executions=list(account.executions)[-KEPT:],
        ledger=list(account.ledger)[-KEPT:],
        closed_pnl=list(account.closed_pnl.values())[-KEPT:],
        margin_mode=account.margin_mode,
        margin_mode_ms=account.margin_mode_ms,
        mnt=MntState(**asdict(account.mnt)),
    )


def _saved_market(exchange: PaperExchange, market: Market) -> MarketState:
    listing, pause = market.listing, market.pause
    plan = exchange.life.plans.get(market.symbol)
    state = MarketState(
        mark=market.mark,
        closes_ms=market.closes_ms,
        plan=None if plan is None else PlanState(**asdict(plan)),
    )
    if market.is_changed:
        state.row, state.risk_rows = listing.row, list(listing.risk_rows)
        state.price_places, state.qty_places = listing.price_places, listing.qty_places
    if pause is not None:
        state.pause_code, state.pause_why = int(pause.code), pause.why
        state.prices_move = pause.prices_move
    return state


def restore(exchange: PaperExchange, state: ExchangeState) -> None:
    """Put what was saved into an exchange that has just been made.

    Accounts of the file that the configuration does not have are left out, with a warning; the
    money of the others is that of the file, not the deposit of the configuration. Raises
    StateFileError for legs in a symbol that is not listed any more.
    """
    exchange.ids.last = state.last_number
    exchange.take_over.insurance_fund = state.insurance_fund
    for symbol, market_state in state.markets.items():
        if symbol in exchange.markets:
            _restore_market(exchange, exchange.markets[symbol], market_state)
    for symbol, seq in state.sequences.items():
        if symbol in exchange.markets:
            exchange.markets[symbol].seq = seq
    for name, saved in state.accounts.items():
        account = exchange.accounts.get(name)
        if account is None:
            log.warning("account %s of the state file is not in the configuration; left out", name)
            continue
        _restore_account(exchange, account, saved)


def _restore_market(exchange: PaperExchange, market: Market, saved: MarketState) -> None:
    if saved.row is not None:
        listing = listing_of_rows(saved.row, saved.risk_rows or [])
        market.use(listing.with_places(saved.price_places, saved.qty_places))
        exchange.price_moves.use_rules(market)
    if saved.pause_code is not None:
        market.pause = Pause(RetCode(saved.pause_code), saved.pause_why, saved.prices_move)
    market.mark, market.closes_ms = saved.mark, saved.closes_ms
    if saved.plan is not None:
        exchange.life.plans[market.symbol] = DeliveryPlan(**asdict(saved.plan))
    exchange.life.take_up(market)


def _restore_account(exchange: PaperExchange, account: PaperAccount, saved: StoredAccount) -> None:
    funds = account.money
    funds.deposits, funds.wallet = saved.deposits, saved.wallet
    funds.realised_pnl, funds.fees_paid = saved.realised_pnl, saved.fees_paid
    funds.funding_paid = saved.funding_paid
    account.insured, account.moves_price = saved.insured, saved.moves_price
    account.dcp_window_s = saved.dcp_window_s
    account.margin_mode = saved.margin_mode
    if saved.margin_mode_ms is not None:
        account.margin_mode_ms = saved.margin_mode_ms
    if saved.mnt is not None:
        account.mnt = MntWallet(**asdict(saved.mnt))
    for symbol, book_state in saved.books.items():
        market = exchange.markets.get(symbol)
        if market is None:
            if any(leg.size for leg in book_state.legs.values()):
                raise StateFileError(
                    f"account {account.name} holds {symbol}, which is not listed any more; list it"
                    " again or move the state file away"
                )
            continue
        restore_book(account.book(market.listing), book_state)
    funds.version += 1
    account.executions = deque(saved.executions, maxlen=KEPT_RECORDS)
    account.ledger = deque(saved.ledger, maxlen=KEPT_RECORDS)
    account.closed_pnl = {one.order_id: one for one in saved.closed_pnl}
    for order in saved.closed_orders:
        account.closed_orders.append(order)
        account.closed_by_id[order.order_id] = order
        if order.link_id:
            account.by_link[order.link_id] = order
    for order in saved.open_orders:
        market = exchange.markets.get(order.symbol)
        if market is not None:
            # what had only been accepted arrives now
            order.status = Status.PARTIALLY_FILLED if order.filled_qty else Status.NEW
            account.add_order(order)
            exchange.order_entry.put_back(account, market, order)
