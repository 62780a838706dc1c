"""The calls that this package makes: path, pybit's name for it, urgency and rate limit.

Source: docs/exchange.md, "Calls".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Priority(IntEnum):
    """Who goes first when calls have to wait: what takes risk away, then what adds it.

    A look-up tells whether an order exists whose answer was lost, which comes before new ones.
    """

    CANCEL = 0
    LOOK_UP = 1
    PLACE = 2
    QUERY = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One REST call. per_second is the account's limit, None where only the address counts."""

    method: str
    path: str
    pybit_name: str
    per_second: int | None
    priority: Priority = Priority.QUERY

    @property
    def is_write(self) -> bool:
        """Whether the call changes something, so that repeating it is not harmless."""
        return self.method == "POST"

    @property
    def is_signed(self) -> bool:
        """Whether the call needs keys."""
        return not self.path.startswith("/v5/market/")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _market(path: str, pybit_name: str) -> Endpoint:
    return Endpoint("GET", f"/v5/market/{path}", pybit_name, None)


def _query(
    path: str, pybit_name: str, per_second: int = 50, priority: Priority = Priority.QUERY
) -> Endpoint:
    return Endpoint("GET", f"/v5/{path}", pybit_name, per_second, priority)


def _write(path: str, pybit_name: str, priority: Priority, per_second: int = 10) -> Endpoint:
    return Endpoint("POST", f"/v5/{path}", pybit_name, per_second, priority)


SERVER_TIME = _market("time", "get_server_time")
INSTRUMENTS = _market("instruments-info", "get_instruments_info")
TICKERS = _market("tickers", "get_tickers")
KLINES = _market("kline", "get_kline")
RECENT_TRADES = _market("recent-trade", "get_public_trade_history")
FUNDING_HISTORY = _market("funding/history", "get_funding_rate_history")
RISK_LIMIT = _market("risk-limit", "get_risk_limit")

OPEN_ORDERS = _query("order/realtime", "get_open_orders")
ORDER_HISTORY = _query("order/history", "get_order_history")
LOOK_UP_OPEN = _query("order/realtime", "get_open_orders", priority=Priority.LOOK_UP)
LOOK_UP_ENDED = _query("order/history", "get_order_history", priority=Priority.LOOK_UP)
EXECUTIONS = _query("execution/list", "get_executions")
POSITIONS = _query("position/list", "get_positions")
WALLET = _query("account/wallet-balance", "get_wallet_balance")
ACCOUNT_INFO = _query("account/info", "get_account_info")
API_KEY = _query("user/query-api", "get_api_key_information", 10)
FEE_RATE = _query("account/fee-rate", "get_fee_rates", 5)
TRANSACTION_LOG = _query("account/transaction-log", "get_transaction_log", 25)

PLACE = _write("order/create", "place_order", Priority.PLACE)
AMEND = _write("order/amend", "amend_order", Priority.PLACE)
CANCEL = _write("order/cancel", "cancel_order", Priority.CANCEL)
CANCEL_ALL = _write("order/cancel-all", "cancel_all_orders", Priority.CANCEL)
PLACE_BATCH = _write("order/create-batch", "place_batch_order", Priority.PLACE)
CANCEL_BATCH = _write("order/cancel-batch", "cancel_batch_order", Priority.CANCEL)
SET_LEVERAGE = _write("position/set-leverage", "set_leverage", Priority.PLACE)
SWITCH_MODE = _write("position/switch-mode", "switch_position_mode", Priority.PLACE)
SET_DCP = _write("order/disconnected-cancel-all", "set_dcp", Priority.CANCEL, 5)
