"""Rules of contracts: cache, exchange, old cache, defaults, in this order, and said which."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from backtest.run.contracts import KnownContracts
from market_data.rules.instrument_info import (
    ExchangeRows,
    InstrumentInfoProvider,
    RulesSource,
    default_rules,
)
from market_data.store.rules_store import RulesStore
from testkit.backtests import ticks

START = datetime(2026, 1, 5, tzinfo=UTC)


def rows(symbol: str = "ABCUSDT", tick: str = "0.5") -> ExchangeRows:
    return ExchangeRows(
        {
            "symbol": symbol,
            "priceFilter": {"tickSize": tick},
            "lotSizeFilter": {
                "qtyStep": "0.1",
                "minOrderQty": "0.1",
                "maxOrderQty": "100",
                "minNotionalValue": "5",
            },
            "fundingInterval": 240,
        },
        [
            {
                "symbol": symbol,
                "riskLimitValue": "1000",
                "maintenanceMargin": "0.01",
                "initialMargin": "0.02",
                "maxLeverage": "50",
                "mmDeduction": "",
            }
        ],
    )


class Exchange:
    """Answers, or is down; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_down = False
        self.tick = "0.5"

    def __call__(self, symbol: str) -> ExchangeRows | None:
        self.asked += 1
        if self.is_down:
            raise ConnectionError("no way to the exchange")
        return rows(symbol, self.tick) if symbol == "ABCUSDT" else None


class World:
    def __init__(self, cache: Path) -> None:
        self.now = START
        self.exchange = Exchange()
        self.cache = cache
        self.provider = InstrumentInfoProvider(cache, self.exchange, lambda: self.now)

    def found(self, symbol: str = "ABCUSDT") -> tuple[RulesSource, Decimal, datetime | None]:
        rules = self.provider.get(symbol)
        assert rules is not None
        return rules.source, rules.instrument.tick_size, rules.as_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_exchange_is_asked_once_a_day(world: World) -> None:
    assert world.found() == (RulesSource.EXCHANGE, Decimal("0.5"), START)
    world.exchange.tick = "0.25"
    world.now += timedelta(hours=24)
    assert world.found() == (RulesSource.FRESH_CACHE, Decimal("0.5"), START)
    assert world.exchange.asked == 1
    world.now += timedelta(seconds=1)
    assert world.found() == (RulesSource.EXCHANGE, Decimal("0.25"), world.now)


def test_an_old_answer_is_better_than_none(world: World) -> None:
    world.found()
    world.exchange.is_down = True
    world.now += timedelta(days=30)
    assert world.found() == (RulesSource.STALE_CACHE, Decimal("0.5"), START)


def test_defaults_come_last(world: World) -> None:
    world.exchange.is_down = True
    assert world.provider.get("ABCUSDT") is None
    assert world.found("BTCUSDT") == (RulesSource.DEFAULTS, Decimal("0.10"), None)


def test_a_symbol_that_the_exchange_does_not_know(world: World) -> None:
    assert world.provider.get("XYZUSDT") is None
    assert world.found("ETHUSDT")[0] is RulesSource.DEFAULTS


@pytest.mark.parametrize(
    "contents", ["", "{", "[]", '{"as_of": "2026-01-05"}', '{"as_of": "2026-01-05T00:00:00+00:00"}']
)
def test_an_unreadable_cache_is_kept_aside(world: World, contents: str) -> None:
    (world.cache / "ABCUSDT.json").write_text(contents)
    assert world.found()[0] is RulesSource.EXCHANGE
    assert (world.cache / "ABCUSDT.unreadable").read_text() == contents
    assert json.loads((world.cache / "ABCUSDT.json").read_text())["as_of"] == START.isoformat()


def test_a_cache_of_another_symbol_is_not_believed(world: World) -> None:
    world.found()
    (world.cache / "ABCUSDT.json").rename(world.cache / "BTCUSDT.json")
    assert world.found("BTCUSDT")[0] is RulesSource.DEFAULTS


def test_a_symbol_cannot_name_a_file_elsewhere(world: World) -> None:
    with pytest.raises(ValueError, match="is no symbol of Bybit"):
        world.provider.get("../BTCUSDT")


def test_without_a_cache_every_run_asks(tmp_path: Path) -> None:
    exchange = Exchange()
    provider = InstrumentInfoProvider(None, exchange, lambda: START)
    for _ in range(2):
        found = provider.get("ABCUSDT")
        assert found is not None
        assert found.funding_interval_min == 240
    assert exchange.asked == 2
    assert not list(tmp_path.iterdir())


def test_default_tiers_join_without_a_jump() -> None:
    for symbol in ("BTCUSDT", "DOGEUSDT"):
        rules = default_rules(symbol)
        assert rules is not None
        tiers = rules.tiers.tiers
        for low, high in itertools.pairwise(tiers):
            below = low.limit * low.maintenance_rate - low.deduction
            above = low.limit * high.maintenance_rate - high.deduction
            assert below == above


def test_saved_answers_come_before_the_store_before_the_provider(tmp_path: Path) -> None:
    columns = ticks([600_000], symbol="BTCUSDT")
    store = tmp_path / "store"
    store.mkdir()
    RulesStore(store).put_instruments([dict(rows("BTCUSDT", "0.2").instrument)])
    saved = tmp_path / "saved.json"
    answer = {"retCode": 0, "result": {"list": [dict(rows("BTCUSDT", "0.3").instrument)]}}
    saved.write_text(json.dumps(answer))
    found = {
        "built-in defaults": KnownContracts().contract("BTCUSDT", columns),
        "the store": KnownContracts(store=store).contract("BTCUSDT", columns),
        "saved.json": KnownContracts([saved], store=store).contract("BTCUSDT", columns),
    }
    assert [c.instrument.tick_size for c in found.values()] == [
        Decimal("0.10"),
        Decimal("0.2"),
        Decimal("0.3"),
    ]
    for name, contract in found.items():
        assert contract.source == f"rules: {name}; risk tiers: built-in defaults"
        assert "risk tiers" in contract.warnings[0]
    assert "contract rules and risk tiers" in found["built-in defaults"].warnings[0]


def test_an_unknown_contract_is_read_off_the_data_and_said_so() -> None:
    columns = ticks([600_000], symbol="NEWUSDT", tick_size="0.02")
    contract = KnownContracts().contract("NEWUSDT", columns)
    assert contract.instrument.tick_size == Decimal("0.02")
    assert contract.instrument.qty_step == columns.size_step
    assert "nobody knows its contract; tick 0.02" in contract.warnings[0]
