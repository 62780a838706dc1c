"""The format of the spool: which values a row of each kind has, and in which order.

A line names the number of its format; a line without one is of format 1, which was written before
there were numbers. Whoever adds, removes or moves a field of a record adds a format here, with the
next number and all names in the order in which they are written from then on; the formats before
it stay as they are, for what an older version left on disk is read by them. A field that an older
format does not have gets the default of the record, so a new field needs one.

Format 1 alone may have shorter rows: fields were added at its end before there were numbers. From
format 2 on the rows stand under a name of their own, so that a program of before the numbers, which
looks for the name of format 1, refuses the line instead of reading it wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

Names = tuple[str, ...]

_GAPS_1 = (
    "account_id", "stream", "symbol", "gap_start", "gap_end", "status", "reason", "attempts",
    "last_attempt_at", "detected_at",
)  # fmt: skip
_EXECUTIONS_1 = (
    "account_id", "run_id", "symbol", "exec_id", "order_id", "order_link_id", "exec_type",
    "side", "direction", "exec_price", "exec_qty", "exec_fee", "fee_rate", "closed_pnl",
    "closed_size", "leaves_qty", "is_maker", "seq", "exchange_ts", "local_ts", "raw_json",
    "fee_currency",
)  # fmt: skip
_ORDERS_1 = (
    "account_id", "run_id", "symbol", "order_id", "order_link_id", "side", "direction",
    "order_type", "time_in_force", "status", "price", "qty", "leaves_qty", "cum_exec_qty",
    "avg_price", "reduce_only", "reject_reason", "cancel_type", "created_ts", "exchange_ts",
    "local_ts", "raw_json",
)  # fmt: skip
_POSITIONS_1 = (
    "account_id", "run_id", "symbol", "direction", "source", "size", "entry_price",
    "mark_price", "liq_price", "unrealised_pnl", "realised_pnl", "cum_realised_pnl",
    "position_value", "initial_margin", "maintenance_margin", "leverage", "seq", "exchange_ts",
    "local_ts", "raw_json",
)  # fmt: skip
_WALLET_1 = (
    "account_id", "run_id", "coin", "wallet_balance", "equity", "unrealised_pnl",
    "cum_realised_pnl", "locked", "total_order_im", "total_position_im", "total_position_mm",
    "account_equity_usd", "account_wallet_balance_usd", "account_margin_balance_usd",
    "account_available_balance_usd", "account_initial_margin_usd",
    "account_maintenance_margin_usd", "account_im_ratio", "account_mm_ratio", "exchange_ts",
    "local_ts", "raw_json",
)  # fmt: skip
_TRADES_1 = (
    "symbol", "trade_id", "exchange_ts", "local_ts", "side", "price", "size",
)  # fmt: skip
_TICKERS_1 = (
    "symbol", "exchange_ts", "local_ts", "last_price", "mark_price", "index_price",
    "bid1_price", "bid1_size", "ask1_price", "ask1_size", "funding_rate", "next_funding_ts",
)  # fmt: skip

# the formats of each kind, the first one first
FORMATS: Mapping[str, tuple[Names, ...]] = MappingProxyType(
    {
        "gaps": (_GAPS_1,),
        "executions": (_EXECUTIONS_1,),
        "orders": (_ORDERS_1,),
        "positions": (_POSITIONS_1,),
        "wallet": (_WALLET_1,),
        "trades": (_TRADES_1,),
        "tickers": (_TICKERS_1,),
    }
)


def rows_name(number: int) -> str:
    """Return under which name a line of a format has its rows."""
    return "rows" if number == 1 else f"rows_{number}"


def check_formats(kind: str, record_type: type[Any], formats: tuple[Names, ...]) -> None:
    """Raise TypeError unless the newest format is the record as it is, and all can be read."""
    told = tuple(field.name for field in fields(record_type) if field.name != "id")
    number = len(formats)
    advice = f"add format {number + 1} of {kind} to event_saver/spool/formats.py"
    if told != formats[-1]:
        wrong = sorted(set(told) ^ set(formats[-1])) or ["the order"]
        raise TypeError(
            f"{record_type.__name__} is not what format {number} of the spool has"
            f" ({', '.join(wrong)}); {advice}"
        )
    gone = sorted({name for names in formats for name in names} - set(told))
    if gone:
        raise TypeError(
            f"{record_type.__name__} has no {', '.join(gone)}, which an older format of the spool"
            " has; let event_saver/spool/codec.py say what becomes of it"
        )
