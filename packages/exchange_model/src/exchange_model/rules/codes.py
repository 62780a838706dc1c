"""The exchange's answers to what it does not do: a code and a sentence.

Source: docs/exchange.md, "Codes". Wire texts vary on the real exchange; clients match on the code.
What a strategy hears of a code is in `gridcore.refusal_codes`.
"""

from __future__ import annotations

from enum import IntEnum


class RetCode(IntEnum):
    """`retCode` of Bybit V5, as far as a simulated exchange answers with it."""

    OK = 0
    PARAMETER_ERROR = 10001
    TIMESTAMP_OUTSIDE_WINDOW = 10002
    INVALID_API_KEY = 10003
    BAD_SIGNATURE = 10004
    PERMISSION_DENIED = 10005
    RATE_LIMIT = 10006
    IP_NOT_BOUND = 10010
    SERVER_ERROR = 10016
    ROUTE_NOT_FOUND = 10017
    WS_UNKNOWN_OP = 10404
    REPEATED_AUTH = 20001
    DUPLICATE_REQ_ID = 20006
    KEY_EXPIRED = 33004
    ORDER_NOT_FOUND = 110001
    PRICE_OUT_OF_RANGE = 110003
    INSUFFICIENT_BALANCE = 110007
    CANNOT_SET_LEVERAGE = 110013
    REDUCE_ONLY_ZERO = 110017
    TOO_MANY_ORDERS = 110020
    POSITION_EXISTS = 110024
    MODE_NOT_MODIFIED = 110025
    MARGIN_MODE_NOT_MODIFIED = 110026
    ORDERS_EXIST = 110028
    LEVERAGE_NOT_MODIFIED = 110043
    SETTLING = 110063
    QTY_BELOW_FILLED = 110064
    TRADING_NOT_ALLOWED = 110066
    DUPLICATE_LINK_ID = 110072
    NOT_LIVE = 110074
    LEVERAGE_ABOVE_TIER = 110090
    NOTIONAL_TOO_SMALL = 110094
    NO_MARKET_PRICE = 110118


class RefusalError(Exception):
    """The exchange says no: the envelope of an answer, or an event of a strategy."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def parameter_error(message: str) -> RefusalError:
    """Return the refusal of a parameter, in the exchange's manner."""
    return RefusalError(RetCode.PARAMETER_ERROR, f"params error: {message}")
