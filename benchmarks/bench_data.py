"""Market data: archives to columns, archives to the store, the store to columns.

    python benchmarks/bench_data.py [--rows 40000000] [--folder DIR]

Writes gzip archives of random trades in Bybit's layout (1.4 million rows a day), then measures each
step in a process of its own, so that its peak memory is its own. Two threads read.
"""

import argparse
import gzip
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from market_data.providers.data_provider import ArchiveDataProvider
from market_data.providers.store_provider import StoreDataProvider
from market_data.providers.synthetic import RandomWalk
from market_data.store.store_import import Importer

DEFAULT_ROWS = 2_000_000
ROWS_A_DAY = 1_400_000
SYMBOL = "BTCUSDT"
TICK = Decimal("0.1")
WORKERS = 2

Row = tuple[str, float, str, str]


def write_archives(folder: Path, rows: int) -> list[Path]:
    """Write `rows` trades as day files; return their paths in time order."""
    folder.mkdir(parents=True, exist_ok=True)
    first_day = datetime(2025, 1, 1, tzinfo=UTC)
    counts = [min(ROWS_A_DAY, rows - done) for done in range(0, rows, ROWS_A_DAY)]
    ids = pl.Series([_trade_id(n) for n in range(max(counts))])

    def one(number: int) -> Path:
        day = first_day + timedelta(days=number)
        path = folder / f"{SYMBOL}{day:%Y-%m-%d}.csv.gz"
        if not path.exists():
            text = _day_text(day, counts[number], ids, seed=number)
            path.write_bytes(gzip.compress(text, compresslevel=6))
        return path

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(one, range(len(counts))))


def _trade_id(number: int) -> str:
    # Multiplying by an odd constant scatters the digits as in a real UUID.
    high, low = number * 0x9E3779B97F4A7C15, number * 0xD6E8FEB86659FD93
    text = f"{high & (2**64 - 1):016x}{low & (2**64 - 1):016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _day_text(day: datetime, rows: int, ids: pl.Series, seed: int) -> bytes:
    walk = RandomWalk(start=day, trades_per_s=rows / 86_300).generate(rows, seed)
    random = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "t": np.minimum(walk.ts_us, walk.ts_us[0] + 86_390_000_000) // 100,
            "s": walk.size,
            "p": walk.price_ticks,
            "buy": walk.side == 1,
            "id": ids.gather(random.permutation(rows)),
        }
    )
    size, price = pl.col("s"), pl.col("p")
    text = frame.select(
        timestamp=_fixed(pl.col("t"), 10_000, 4),
        symbol=pl.lit(SYMBOL),
        side=pl.when("buy").then(pl.lit("Buy")).otherwise(pl.lit("Sell")),
        size=_fixed(size, 1_000, 3),
        price=_fixed(price, 10, 1),
        tickDirection=pl.lit("ZeroPlusTick"),
        trdMatchID="id",
        grossValue=(size * price).cast(pl.String) + "e+04",
        homeNotional=_fixed(size, 1_000, 3),
        foreignNotional=_fixed(size * price, 10_000, 4),
    )
    return text.write_csv().encode()


def _fixed(units: pl.Expr, scale: int, decimals: int) -> pl.Expr:
    fraction = (units % scale).cast(pl.String).str.zfill(decimals)
    return (units // scale).cast(pl.String) + "." + fraction


def measure_columns(folder: Path) -> int:
    """Archives to columns in memory; return the rows."""
    files = sorted((folder / "archives").glob("*.csv.gz"))
    return len(ArchiveDataProvider(files, tick_sizes=TICK, workers=WORKERS).load(SYMBOL))


def measure_import(folder: Path) -> int:
    """Archives into the store; return the files."""
    files = sorted((folder / "archives").glob("*.csv.gz"))
    results = Importer(folder / "store").add_all(files, workers=WORKERS)
    assert not any(result.error or result.faults for result in results), results
    return len(results)


def measure_load(folder: Path) -> int:
    """The store to columns; return the rows."""
    return len(StoreDataProvider(folder / "store", tick_sizes=TICK).load(SYMBOL))


def measure_walk(_folder: Path) -> int:
    """Ten million synthetic ticks; return the rows."""
    return len(RandomWalk().generate(10_000_000, seed=1))


STEPS = {
    "columns": ("archives (CSV.GZ) to columns", measure_columns),
    "import": ("archives (CSV.GZ) to store", measure_import),
    "load": ("store to columns", measure_load),
    "walk": ("synthetic ticks", measure_walk),
}


def peak_mb() -> float:
    """Return the peak memory of this process in MB.

    From the kernel's own account of this program: getrusage would report what the parent held
    when it started this process.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _measured(step: str, folder: Path) -> tuple[float, float]:
    """Return seconds and peak MB of one step in its own process."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - this file
    seconds, peak_mb = output.split()
    return float(seconds), float(peak_mb)


def rows(total: int = DEFAULT_ROWS, folder: Path | None = None) -> list[Row]:
    """Return (name, value, unit, input) of every figure, for archives of `total` trades."""
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        files = write_archives(place / "archives", total)
        size_mb = sum(file.stat().st_size for file in files) / 1e6
        table: list[Row] = []
        for step, (name, _) in STEPS.items():
            count = 10_000_000 if step == "walk" else total
            source = (
                f"{count:,} ticks"
                if step == "walk"
                else f"{count:,} trades, {len(files)} files, {size_mb:,.0f} MB"
            )
            seconds, peak_mb = _measured(step, place)
            table += [
                (name, seconds, "s", source),
                (f"{name}, speed", count / seconds / 1e6, "M rows/s", source),
                (f"{name}, peak memory", peak_mb, "MB", source),
            ]
        return table


def main() -> None:
    """Measure one step (in a process of its own), or all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)
    parser.add_argument("--folder", type=Path, help="keep archives and store here")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        begin = time.perf_counter()
        STEPS[arguments.step][1](arguments.folder)
        seconds = time.perf_counter() - begin
        print(seconds, peak_mb())
        return
    for name, value, unit, source in rows(arguments.rows, arguments.folder):
        print(f"{name:45} {value:10,.2f} {unit:9} {source}")


if __name__ == "__main__":
    main()
