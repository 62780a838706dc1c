"""Small files of trades."""

import gzip
from decimal import Decimal
from pathlib import Path

from market_data.columns.ticks import TickColumns

START_S = 1_735_689_600  # 2025-01-01


HEADER = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
    "foreignNotional"
)


def line(n: int, price: str = "100.5", side: str = "Buy", size: str = "1", **parts: str) -> str:
    ts, symbol = parts.get("ts", f"{START_S + n}.25"), parts.get("symbol", "ABCUSDT")
    trade_id = parts.get("id", f"id{n}")
    return f"{ts},{symbol},{side},{size},{price},PlusTick,{trade_id},0,0,0"


def write(path: Path, *lines: str, header: str | None = HEADER, end: str = "\n") -> Path:
    text = end.join([*([header] if header else []), *lines]) + end
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def prices(columns: TickColumns) -> list[Decimal]:
    return [columns.price(row) for row in range(len(columns))]
