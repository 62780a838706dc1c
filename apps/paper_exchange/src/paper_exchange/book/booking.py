"""Writes into an account what was executed: legs, money, and every record of it."""

from __future__ import annotations

from decimal import Decimal

from gridcore import DirectionType, SideType
from paper_exchange.basics.ids import Ids
from paper_exchange.book.account import KEPT_RECORDS, PaperAccount, SymbolBook
from paper_exchange.book.orders import (
    ClosedPnl,
    ExecType,
    LedgerEntry,
    PaperExecution,
    PaperOrder,
    Status,
)
from paper_exchange.market.market import Market

ZERO = Decimal(0)
LEDGER_KINDS = {
    ExecType.TRADE: "TRADE",
    ExecType.FUNDING: "SETTLEMENT",
    ExecType.ADL: "ADL",
    ExecType.BUST: "LIQUIDATION",
    ExecType.SETTLE: "DELIVERY",
    ExecType.DELIVERY: "DELIVERY",
}


class Bookkeeper:
    """Keeps wallet = deposits + realised profit - fees - funding, with a record of each change.

    Fees that are paid in MNT leave it alone: MNT = deposits - fees.
    """

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def fill(
        self,
        account: PaperAccount,
        market: Market,
        order: PaperOrder,
        qty: Decimal,
        price: Decimal,
        ts_ms: int,
        *,
        is_maker: bool,
        exec_type: ExecType = ExecType.TRADE,
    ) -> PaperExecution:
        """Book a fill of an order (USDT, base coin); the order's own figures are brought up too.

        Forced closings pay no fee: the exchange takes the leg over at its price.
        """
        book = account.book(market.listing)
        direction, closing = order.direction, order.direction.is_closing(order.side)
        fees = account.money.fees
        rate = fees.maker if is_maker else fees.taker
        if exec_type is not ExecType.TRADE:
            rate = ZERO
        held_before = book.pair.leg(direction).size
        mnt = account.mnt.pay(qty * price * rate)
        pnl, fee = account.money.fill(
            book.pair,
            direction,
            qty,
            price,
            closing=closing,
            fee_rate=rate if mnt is None else ZERO,
        )
        order.filled_qty += qty
        order.filled_value += qty * price
        order.fee += fee
        order.fee_mnt += mnt or ZERO
        order.updated_ms = ts_ms
        full = order.filled_qty >= order.qty
        order.status = Status.FILLED if full else Status.PARTIALLY_FILLED
        seq = market.next_seq()
        open_share = self._leg(book, direction, held_before, qty, fee, pnl, ts_ms, seq, closing)
        if closing:
            order.closed_pnl += pnl - fee - open_share
        execution = PaperExecution(
            number=self._ids.number(),
            exec_id=self._ids.uuid(),
            exec_type=exec_type,
            ts_ms=ts_ms,
            symbol=order.symbol,
            side=order.side,
            direction=direction,
            price=price,
            qty=qty,
            fee=fee if mnt is None else mnt,
            fee_coin="USDT" if mnt is None else "MNT",
            fee_rate=rate,
            is_maker=is_maker,
            closed_size=qty if closing else ZERO,
            pnl=pnl,
            mark_price=market.mark or price,
            seq=seq,
            order_id=order.order_id,
            link_id=order.link_id,
            order_type=order.order_type.value,
            order_price=order.price,
            order_qty=order.qty,
            leaves_qty=order.qty - order.filled_qty,
            create_type=order.create_type,
        )
        account.executions.append(execution)
        self._enter(account, book, execution, cash_flow=pnl, funding=None)
        if mnt is not None:
            self._enter_mnt_fee(account, execution)
        if closing:
            self._closed(account, book, order, execution, open_share, fee)
        return execution

    @staticmethod
    def _leg(
        book: SymbolBook,
        direction: DirectionType,
        held_before: Decimal,
        qty: Decimal,
        fee: Decimal,
        pnl: Decimal,
        ts_ms: int,
        seq: int,
        closing: bool,
    ) -> Decimal:
        """Bring the leg's record up; return the opening fees of what was closed, USDT."""
        record = book.legs[direction]
        if not held_before:
            record.opened_ms, record.realised = ts_ms, ZERO
        record.created_ms = record.created_ms or ts_ms
        record.updated_ms, record.seq = ts_ms, seq
        record.realised += pnl - fee
        record.realised_ever += pnl - fee
        if not closing:
            record.open_fees += fee
            return ZERO
        share = record.open_fees if qty >= held_before else record.open_fees * qty / held_before
        record.open_fees -= share
        if qty >= held_before:
            record.opened_ms = 0
        return share

    def funding(
        self,
        account: PaperAccount,
        market: Market,
        direction: DirectionType,
        rate: Decimal,
        ts_ms: int,
    ) -> PaperExecution:
        """Settle funding of one leg at the mark price. `rate` positive: a long pays."""
        book = account.book(market.listing)
        leg = book.pair.leg(direction)
        price = market.mark or ZERO
        paid = account.money.settle_funding(book.pair, direction, price, rate)
        side = direction.opening_side
        seq = market.next_seq()
        record = book.legs[direction]
        record.realised -= paid
        record.realised_ever -= paid
        record.updated_ms, record.seq = ts_ms, seq
        execution = PaperExecution(
            number=self._ids.number(),
            exec_id=self._ids.uuid(),
            exec_type=ExecType.FUNDING,
            ts_ms=ts_ms,
            symbol=market.symbol,
            side=side,
            direction=direction,
            price=price,
            qty=leg.size,
            fee=paid,
            fee_rate=rate if side is SideType.BUY else -rate,
            is_maker=False,
            closed_size=ZERO,
            pnl=ZERO,
            mark_price=price,
            seq=seq,
            order_id=self._ids.uuid(),
            link_id="",
            order_type="UNKNOWN",
            order_price=ZERO,
            order_qty=ZERO,
            leaves_qty=ZERO,
            create_type="",
        )
        account.executions.append(execution)
        self._enter(account, book, execution, cash_flow=ZERO, funding=-paid)
        return execution

    def transfer(
        self,
        account: PaperAccount,
        amount: Decimal,
        ts_ms: int,
        kind: str | None = None,
        coin: str = "USDT",
    ) -> None:
        """Put USDT or MNT into the wallet, or take it out when negative."""
        if coin == "MNT":
            account.mnt.deposits += amount
        else:
            account.money.deposit(amount)
        account.ledger.append(
            LedgerEntry(
                number=self._ids.number(),
                entry_id=self._ids.uuid(),
                kind=kind or ("TRANSFER_IN" if amount >= 0 else "TRANSFER_OUT"),
                ts_ms=ts_ms,
                symbol="",
                side="None",
                qty=ZERO,
                size=ZERO,
                price=None,
                cash_flow=amount,
                funding=None,
                fee=ZERO,
                fee_rate=None,
                balance=account.mnt.balance if coin == "MNT" else account.money.wallet,
                currency=coin,
            )
        )

    def _enter_mnt_fee(self, account: PaperAccount, execution: PaperExecution) -> None:
        """Record a fee paid in MNT: an entry of its own beside that of the trade."""
        account.ledger.append(
            LedgerEntry(
                number=self._ids.number(),
                entry_id=self._ids.uuid(),
                kind=LEDGER_KINDS[execution.exec_type],
                ts_ms=execution.ts_ms,
                symbol=execution.symbol,
                side=execution.side.value,
                qty=ZERO,
                size=ZERO,
                price=None,
                cash_flow=ZERO,
                funding=None,
                fee=execution.fee,
                fee_rate=execution.fee_rate,
                balance=account.mnt.balance,
                trade_id=execution.exec_id,
                order_id=execution.order_id,
                link_id=execution.link_id,
                currency=execution.fee_coin,
            )
        )

    def _enter(
        self,
        account: PaperAccount,
        book: SymbolBook,
        execution: PaperExecution,
        *,
        cash_flow: Decimal,
        funding: Decimal | None,
    ) -> None:
        size = book.pair.leg(execution.direction).size
        account.ledger.append(
            LedgerEntry(
                number=self._ids.number(),
                entry_id=self._ids.uuid(),
                kind=LEDGER_KINDS[execution.exec_type],
                ts_ms=execution.ts_ms,
                symbol=execution.symbol,
                side=execution.side.value,
                qty=execution.qty,
                size=size if execution.direction is DirectionType.LONG else -size,
                price=execution.price,
                cash_flow=cash_flow,
                funding=funding,
                fee=execution.fee if funding is None and execution.fee_coin == "USDT" else ZERO,
                fee_rate=execution.fee_rate,
                balance=account.money.wallet,
                trade_id=execution.exec_id,
                order_id=execution.order_id,
                link_id=execution.link_id,
            )
        )

    def _closed(
        self,
        account: PaperAccount,
        book: SymbolBook,
        order: PaperOrder,
        execution: PaperExecution,
        open_share: Decimal,
        fee: Decimal,
    ) -> None:
        row = account.closed_pnl.get(order.order_id)
        if row is None:
            if len(account.closed_pnl) >= KEPT_RECORDS:
                del account.closed_pnl[next(iter(account.closed_pnl))]
            row = account.closed_pnl[order.order_id] = ClosedPnl(
                number=self._ids.number(),
                order_id=order.order_id,
                symbol=order.symbol,
                side=order.side,
                order_type=order.order_type,
                order_qty=order.qty,
                order_price=order.price,
                leverage=book.pair.leg(order.direction).leverage,
                exec_type=execution.exec_type,
                created_ms=execution.ts_ms,
                updated_ms=execution.ts_ms,
            )
        value = execution.qty * execution.price
        entry = value - execution.pnl
        if execution.direction is DirectionType.SHORT:
            entry = value + execution.pnl
        row.closed_size += execution.qty
        row.exit_value += value
        row.entry_value += entry
        row.open_fee += open_share
        row.close_fee += fee
        row.pnl += execution.pnl
        row.fills += 1
        row.updated_ms = execution.ts_ms
