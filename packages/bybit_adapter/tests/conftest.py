"""Frames and rows in Bybit's own form, and where the recorded ones lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of recorded data; skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip("the folder of recorded market data is absent")
    return REAL


@pytest.fixture
def execution_row() -> dict[str, Any]:
    return {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": "9aac161b",
        "orderLinkId": "0123456789abcdef-x",
        "side": "Sell",
        "orderPrice": "94942.5",
        "orderQty": "0.5",
        "leavesQty": "0.1",
        "orderType": "Limit",
        "stopOrderType": "UNKNOWN",
        "execId": "0ab1bdf7",
        "execPrice": "95900.1",
        "execQty": "0.4",
        "execValue": "38360.04",
        "execType": "Trade",
        "execTime": "1746270400353",
        "execFee": "26.3725275",
        "feeRate": "0.00055",
        "feeCurrency": "",
        "isMaker": False,
        "markPrice": "95901.48",
        "closedSize": "0.4",
        "execPnl": "12.5",
        "seq": 140612148849382,
        "indexPrice": "",
    }


@pytest.fixture
def order_row() -> dict[str, Any]:
    return {
        "category": "linear",
        "symbol": "ETHUSDT",
        "orderId": "5cf98598",
        "orderLinkId": "",
        "side": "Buy",
        "orderType": "Limit",
        "price": "1600.00",
        "qty": "0.10",
        "leavesQty": "0.04",
        "cumExecQty": "0.06",
        "cumExecValue": "96",
        "avgPrice": "1600",
        "cumFeeDetail": {"USDT": "0.0192"},
        "timeInForce": "PostOnly",
        "positionIdx": 1,
        "orderStatus": "PartiallyFilled",
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "reduceOnly": False,
        "triggerPrice": "0.00",
        "stopOrderType": "UNKNOWN",
        "createType": "CreateByUser",
        "createdTime": "1684738540559",
        "updatedTime": "1684738540561",
    }


@pytest.fixture
def position_row() -> dict[str, Any]:
    return {
        "category": "linear",
        "positionIdx": 2,
        "symbol": "BTCUSDT",
        "side": "Sell",
        "size": "0.010",
        "entryPrice": "60000",
        "leverage": "10",
        "positionValue": "600",
        "markPrice": "60100",
        "liqPrice": "81000.5",
        "positionIM": "60.43",
        "positionMM": "3.33",
        "unrealisedPnl": "-1.0",
        "curRealisedPnl": "-0.33",
        "cumRealisedPnl": "-25.06",
        "positionStatus": "Normal",
        "seq": 5723621632,
        "createdTime": "1694402496913",
        "updatedTime": "1697682317038",
    }


@pytest.fixture
def wallet_row() -> dict[str, Any]:
    return {
        "accountType": "UNIFIED",
        "totalEquity": "2002",
        "totalWalletBalance": "2002",
        "totalMarginBalance": "2002",
        "totalAvailableBalance": "1501.5",
        "totalPerpUPL": "0",
        "totalInitialMargin": "500.5",
        "totalMaintenanceMargin": "50",
        "accountIMRate": "0.25",
        "accountMMRate": "0.025",
        "coin": [
            {
                "coin": "USDT",
                "equity": "2000",
                "usdValue": "2002",
                "walletBalance": "1990",
                "unrealisedPnl": "10",
                "cumRealisedPnl": "-3",
                "locked": "0",
                "totalOrderIM": "100",
                "totalPositionIM": "400",
                "totalPositionMM": "",
                "availableToWithdraw": "",
            }
        ],
    }
