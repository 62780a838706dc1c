"""What an execution or an order is, and whether the account's holder wanted it."""

from __future__ import annotations

from enum import StrEnum

from gridcore import ExecutionKind


class ExecutionType(StrEnum):
    """What an execution is: Bybit's execType, and of trades whether the holder wanted them.

    `meaning` is what each is to a strategy.
    """

    TRADE = "Trade"
    FORCED_TRADE = "forced trade"  # a Trade of an order that the exchange made; see create_type
    FUNDING = "Funding"
    ADL = "AdlTrade"
    LIQUIDATION = "BustTrade"
    SETTLEMENT = "Settle"  # a contract that is delisted ends, and its position with it
    DELIVERY = "Delivery"
    BLOCK_TRADE = "BlockTrade"
    MOVE_POSITION = "MovePosition"  # to or from another account
    FUTURE_SPREAD = "FutureSpread"  # one leg of a spread
    CORPORATE_ACTION = "CorporateAction"  # a share that was split changes size and entry
    OTHER = "other"  # a word that is new to us; exec_type keeps it

    @property
    def is_fill(self) -> bool:
        """Whether it filled an order on the book of the symbol."""
        return self in (ExecutionType.TRADE, ExecutionType.FORCED_TRADE)

    @property
    def is_close(self) -> bool:
        """Whether it always takes from its leg, also where the row does not say how much."""
        return self in _CLOSES

    @property
    def meaning(self) -> ExecutionKind:
        """What it is to a strategy."""
        if self is ExecutionType.TRADE:
            return ExecutionKind.TRADE
        return ExecutionKind.FUNDING if self is ExecutionType.FUNDING else ExecutionKind.FORCED

    @property
    def is_forced(self) -> bool:
        """Whether it changed a position without an order of the holder's on the book.

        Somebody must be told, and sizes have to be asked for anew.
        """
        return self not in (ExecutionType.TRADE, ExecutionType.FUNDING)


_CLOSES = frozenset(
    {
        ExecutionType.ADL,
        ExecutionType.LIQUIDATION,
        ExecutionType.SETTLEMENT,
        ExecutionType.DELIVERY,
    }
)


def kind_of(exec_type: str, create_type: str | None) -> ExecutionType:
    """Return what an execution with these words of the exchange is."""
    try:
        kind = ExecutionType(exec_type)
    except ValueError:
        return ExecutionType.OTHER
    if kind is ExecutionType.TRADE and is_created_by_exchange(create_type):
        return ExecutionType.FORCED_TRADE
    return kind


# Bybit's createType of what the holder, or a tool that the holder started, put on the book.
_CREATED_BY_HOLDER = frozenset(
    {
        "CreateByUser",
        "CreateByClosing",  # by hand, in the exchange's own page or app
        "CreateByStopOrder",
        "CreateByTakeProfit",
        "CreateByPartialTakeProfit",
        "CreateByStopLoss",
        "CreateByPartialStopLoss",
        "CreateByTrailingStop",
        "CreateByTrailingProfit",
        "CreateByBboOrder",
        "CreateByIceBerg",
        "CreateByTWAP",
        "CreateByTVSignal",
        "CreateByArbitrage",
        "CreateByFGridBot",
        "CloseByFGridBot",
        "CreateByMartingaleBot",
        "CloseByMartingaleBot",
    }
)


def is_created_by_exchange(create_type: str | None) -> bool:
    """Tell whether an order with this createType was made without the holder asking for it.

    So are a liquidation, a takeover, an ADL, a settlement, a closing at a margin rate. A word that
    is new to us counts as one of them, for an alert too many is better than a loss unseen. None
    (rows of before the field was there, and funding) does not.
    """
    return create_type is not None and create_type not in _CREATED_BY_HOLDER
