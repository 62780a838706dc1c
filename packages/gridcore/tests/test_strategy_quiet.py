"""GridStrategy: where nothing happens, and that skipping it changes nothing."""

import pickle
import random
from decimal import Decimal

import pytest

from gridcore import (
    Event,
    GridConfig,
    GridStrategy,
    Hold,
    LossReset,
    QuietBand,
    Release,
    SafetyCaps,
    TickerEvent,
)
from gridcore.grid import UNBOUNDED
from testkit.builders import full_account, leg, strategy_config, ticker, wallet
from testkit.world import KIND, World

pytestmark = pytest.mark.untraced


def skippable(band: QuietBand | None, event: TickerEvent, price_ticks: int) -> bool:
    """Tell whether a ticker lies in the band, before any time that matters."""
    if band is None or not band.low_ticks <= price_ticks <= band.high_ticks:
        return False
    return band.until is None or event.exchange_ts < band.until


def state(strategy: GridStrategy) -> dict[str, object]:
    """Return everything that a ticker may not change, the last price apart."""
    kept = strategy.snapshot()
    del kept["last_close"], kept["next_check"]
    return kept


def worlds(seed: int) -> World:
    rng = random.Random(seed)
    caps = SafetyCaps(
        session_loss_limit=rng.choice([None, Decimal(3), Decimal(30)]),
        session_loss_reset=rng.choice(list(LossReset)),
        max_orders_per_minute=rng.choice([None, 5]),
        max_notional=rng.choice([None, Decimal(1000)]),
    )
    grid = GridConfig(rng.choice([6, 10, 20]), rng.choice([0.1, 0.2, 0.4]))
    config = strategy_config(grid=grid, safety_caps=caps)
    return World(rng, config, faults=KIND, deposit=Decimal(rng.choice([200, 10_000])))


@pytest.mark.parametrize("seed", range(15))
def test_inside_nothing_happens_and_at_the_edge_something_does(seed: int) -> None:
    world = worlds(seed)
    checked = 0
    for number in range(400):
        if number % 100 == 0:
            world.resync()
            world.strategy.reset_same_order()
        world.step()
        band = world.strategy.quiet_band()
        due = world.strategy.next_position_check
        if number % 3 or band is None or world.exchange.now >= min(due, band.until or due):
            continue
        kept = pickle.dumps(world.strategy)  # much faster to copy from than deepcopy
        for price_ticks in {
            band.low_ticks,
            min(band.high_ticks, band.low_ticks * 3),
            (band.low_ticks + min(band.high_ticks, band.low_ticks * 3)) // 2,
        }:
            inside = pickle.loads(kept)  # noqa: S301 - its own dump
            inside.quiet_band()
            before = state(inside)
            event = world.exchange.ticker(world.config.instrument.to_price(price_ticks))
            # the copy has no cached band after this, so the whole tick is decided
            inside.handle(Hold("x"))
            inside.handle(Release("x"))
            assert inside.on_event(event) == []
            assert state(inside) == before
            checked += 1
        for edge in (band.low_ticks - 1, band.high_ticks + 1):
            if not 1 < edge < UNBOUNDED:
                continue
            outside = pickle.loads(kept)  # noqa: S301 - its own dump
            before = state(outside)
            refused = dict(outside.admission.refused)
            event = world.exchange.ticker(world.config.instrument.to_price(edge))
            intents = outside.on_event(event)
            changed = state(outside) != before or dict(outside.admission.refused) != refused
            # with refused orders an edge only says where the set of wanted ones changes
            assert intents or changed or refused or "grid" in outside.trips
    assert checked > 50


@pytest.mark.parametrize("seed", range(20))
def test_skipping_quiet_tickers_changes_no_intent(seed: int) -> None:
    exact, skipping = worlds(seed), worlds(seed)
    skipped = 0

    newest: list[TickerEvent] = []  # the newest ticker that was skipped
    deliver = skipping.deliver

    def catch_up_and_deliver(event: Event) -> None:
        # every other event must find the last price that the exact world has seen
        if newest:
            assert skipping.strategy.on_event(newest.pop()) == []
        deliver(event)

    def move(price_ticks: int | None = None) -> None:
        nonlocal skipped
        assert price_ticks is None
        ticks = skipping.price_ticks + round(skipping.rng.gauss(0, skipping.volatility_ticks))
        event = skipping.exchange.ticker(skipping.config.instrument.to_price(ticks))
        orders = skipping.exchange.orders.values()
        price = event.last_price
        fills = any(price < o.price if o.side == "Buy" else price > o.price for o in orders)
        band = skipping.strategy.quiet_band()
        check_due = event.exchange_ts >= skipping.strategy.next_position_check
        if not fills and not check_due and skippable(band, event, ticks):
            skipping.price_ticks = ticks
            newest[:] = [event]
            skipped += 1
        else:
            World.move(skipping, ticks)

    skipping.move = move  # type: ignore[method-assign]
    skipping.deliver = catch_up_and_deliver  # type: ignore[method-assign]
    for world in (exact, skipping):
        for number in range(800):
            if number % 200 == 0:
                world.resync()
                world.strategy.reset_same_order()
            world.step()
    assert [repr(i) for i in exact.intents] == [repr(i) for i in skipping.intents]
    assert exact.exchange.wallet == skipping.exchange.wallet
    assert skipped > 20


def test_a_wallet_that_carries_nothing_is_quiet() -> None:
    strategy = GridStrategy(strategy_config(grid=GridConfig(4, 0.2)))
    strategy.on_event(full_account(money=wallet("100", "0")))
    strategy.adopt_orders([], ticker("1").exchange_ts)
    assert strategy.on_event(ticker("60000")) == []
    band = strategy.quiet_band()
    assert band is not None
    assert band.wallet_matters
    assert not band.check_matters  # with no leg to check, no multiplier will change


@pytest.mark.parametrize("side", ["long", "short"])
def test_loss_edges_are_exact(side: str) -> None:
    caps = SafetyCaps(session_loss_limit=Decimal(100))
    config = strategy_config(grid=GridConfig(4, 2), safety_caps=caps)
    strategy = GridStrategy(config)
    legs = {"long": leg(), "short": leg()} | {side: leg("0.3", "60000")}
    strategy.on_event(full_account(**legs, money=wallet("10000", "0")))
    strategy.adopt_orders([], ticker("1").exchange_ts)
    strategy.handle(Hold("nothing to place"))
    strategy.on_event(ticker("60000"))
    band = strategy.quiet_band()
    assert band is not None
    # 100 / 0.3 is 333.33...: the loss is reached at the first tick beyond it
    reached = 600_000 + (-3334 if side == "long" else 3334)
    assert (band.low_ticks - 1 if side == "long" else band.high_ticks + 1) == reached
    strategy.on_event(ticker(config.instrument.to_price(reached + (1 if side == "long" else -1))))
    assert "loss_breaker" not in strategy.trips
    strategy.on_event(ticker(config.instrument.to_price(reached)))
    assert "loss_breaker" in strategy.trips
