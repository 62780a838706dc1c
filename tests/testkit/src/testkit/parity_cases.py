"""Worlds for the comparison: contracts as the exchange lists them, prices, steps, counts."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from gridcore import GridConfig, InstrumentInfo

REST_FOLDER = "shared/data/real/rest"  # beside the repository, where recordings are present
RECORDED = (
    "instruments-info_linear_selected_2026-08-09.json",
    "instruments-info_linear_all_2026-08-09.json.gz",
)
LOWEST_PRICE, HIGHEST_PRICE = Decimal("0.0001"), Decimal("999999")
FEWEST_TICKS, MOST_TICKS = 500, 10_000_000  # price / tick size of contracts in real life

# symbol, tick size, qty step, min qty, max qty: one of every scale
BUILT_IN = (
    ("BTCUSDT", "0.10", "0.001", "0.001", "1190"),
    ("ETHUSDT", "0.01", "0.01", "0.01", "7240"),
    ("SOLUSDT", "0.010", "0.1", "0.1", "79770"),
    ("LTCUSDT", "0.01", "0.1", "0.1", "11690"),
    ("XRPUSDT", "0.0001", "0.1", "0.1", "2786300"),
    ("DOGEUSDT", "0.00001", "1", "1", "13715000"),
    ("1000PEPEUSDT", "0.0000001", "100", "100", "1000000000"),
    ("YFIUSDT", "1", "0.0001", "0.0001", "100"),
    ("TINYUSDT", "0.00000001", "10", "10", "500000000"),
)
# ticks and prices at which a float has no ten decimals left, so that noise is not printed away
NOISY_TICKS = ("0.2", "0.1", "0.7", "0.3", "0.6")
NOISY_PRICES = Decimal(524_288), Decimal(999_999)
NOISY_PRICE = Decimal("717037.2")  # on the tick 0.2; as a float 717037.2000000001


@dataclass(frozen=True, slots=True)
class Contract:
    """Trading rules of one contract, and the prices (USDT) it is compared at."""

    info: InstrumentInfo
    lowest: Decimal
    highest: Decimal

    def price(self, rng: random.Random, *, least_ticks: int = FEWEST_TICKS) -> Decimal:
        """Return a price on the tick, drawn evenly over the orders of magnitude."""
        tick = self.info.tick_size
        low = max(int(self.lowest / tick), least_ticks, 1)
        high = max(low, min(int(self.highest / tick), MOST_TICKS))
        ratio: float = (high / low) ** rng.random()
        return tick * min(high, max(low, round(low * ratio)))


def _contract(info: InstrumentInfo, lowest: Decimal, highest: Decimal) -> Contract:
    return Contract(info, max(lowest, LOWEST_PRICE), min(highest, HIGHEST_PRICE))


def built_in_contracts() -> list[Contract]:
    """Return the contracts that need no file."""
    return [
        _contract(
            InstrumentInfo(
                symbol, Decimal(tick), Decimal(step), Decimal(least), Decimal(5), Decimal(most)
            ),
            Decimal(tick),
            HIGHEST_PRICE,
        )
        for symbol, tick, step, least, most in BUILT_IN
    ]


def noisy_contracts() -> list[Contract]:
    """Return contracts whose prices floats cannot tell to the tenth decimal, tick 0.2 first."""
    return [
        Contract(
            InstrumentInfo(
                "NOISYUSDT", Decimal(tick), Decimal("0.0001"), Decimal("0.0001"), Decimal(5),
                Decimal(100),
            ),
            *NOISY_PRICES,
        )
        for tick in NOISY_TICKS
    ]  # fmt: skip


@cache
def contracts() -> tuple[list[Contract], str]:
    """Return the contracts to compare at, and where they come from in words."""
    recorded = recorded_contracts()
    if recorded:
        return recorded, f"{len(recorded)} recorded ones"
    built_in = built_in_contracts()
    return built_in, (
        f"{len(built_in)} built-in ones; skipped: the recorded instruments-info is absent"
    )


def rest_folder() -> Path | None:
    """Return the folder of recorded answers, None where it is not present."""
    for parent in Path(__file__).resolve().parents:
        folder = parent / REST_FOLDER
        if folder.is_dir():
            return folder
    return None


def recorded_contracts() -> list[Contract]:
    """Return every contract of the recorded instruments-info, [] without the files."""
    folder = rest_folder()
    found: dict[str, Contract] = {}
    for name in RECORDED if folder else ():
        assert folder is not None
        if (path := folder / name).exists():
            found |= {contract.info.symbol: contract for contract in _parse(path)}
    return list(found.values())


def _parse(path: Path) -> Iterator[Contract]:
    raw = path.read_bytes()
    content = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    for row in content["result"]["list"]:
        prices, lots = row["priceFilter"], row["lotSizeFilter"]
        info = InstrumentInfo(
            row["symbol"],
            Decimal(prices["tickSize"]),
            Decimal(lots["qtyStep"]),
            Decimal(lots["minOrderQty"]),
            Decimal(lots["minNotionalValue"]),
            Decimal(lots["maxOrderQty"]),
        )
        contract = _contract(info, Decimal(prices["minPrice"]), Decimal(prices["maxPrice"]))
        if contract.lowest < contract.highest:
            yield contract


def shape(rng: random.Random, *, thresholds: Sequence[str] = ("0.3",)) -> GridConfig:
    """Return grid parameters from the whole space: 10-200 levels, 0.05-1 %."""
    count = rng.choice((10, 20, 50, 100, 200, rng.randint(10, 200), rng.randint(10, 60)))
    thousandths = rng.choice((50, 100, 200, 250, 500, 1000, rng.randint(50, 1000)))
    return GridConfig(count, Decimal(thousandths) / 1000, Decimal(rng.choice(thresholds)))


def roomy_price(rng: random.Random, contract: Contract, config: GridConfig) -> Decimal:
    """Return a price at which the levels of a grid stay apart, also after a long fall."""
    least = int(3 / config.step_fraction) * 4
    return contract.price(rng, least_ticks=max(FEWEST_TICKS, least))
