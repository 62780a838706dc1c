"""Accounts that outlive the exchange, and sessions that repeat themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import SideType
from paper_exchange.feeds import SyntheticFeed, SyntheticSettings
from paper_exchange.host.faults import FaultKind, FaultRule
from paper_exchange.host.state_file import StateFileError, read_state, restore, write_state
from paper_exchange.stream.session import Channel
from testkit.paper import PaperWorld, order_params, paper_account, paper_listing, paper_market


def lived() -> PaperWorld:
    world = PaperWorld()
    world.trade("60000.0", SideType.BUY)
    world.place(price=None, qty="0.05", orderLinkId="first")
    world.place(side="Sell", price="61000", qty="0.02", orderLinkId="closing")
    world.place(price="59000", qty="0.01", orderLinkId="opening")
    world.place(side="Sell", leg=2, price=None, qty="0.03")
    world.place(price="58000", settle=False, orderLinkId="on its way".replace(" ", "-"))
    return world


def again(path: Path) -> PaperWorld:
    state = read_state(path)
    assert state is not None
    world = PaperWorld(start_ms=state.saved_ms + 60_000, seed=1)
    restore(world.exchange, state)
    world.trade("60000.0", SideType.BUY)
    return world


PAGES: list[Callable[[PaperWorld], object]] = [
    lambda world: world.get("/v5/position/list", symbol="BTCUSDT")["list"],
    lambda world: world.get("/v5/account/wallet-balance", accountType="UNIFIED")["list"],
    lambda world: world.get("/v5/execution/list")["list"],
    lambda world: world.get("/v5/account/transaction-log")["list"],
    lambda world: world.get("/v5/order/history")["list"],
]


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    before = lived()
    path = tmp_path / "deep" / "state.json"
    write_state(path, before.exchange, epoch=0)
    after = again(path)
    before.advance(5)
    for page in PAGES:
        assert page(after) == page(before)
    links = [row["orderLinkId"] for row in open_rows(after)]
    assert links == [row["orderLinkId"] for row in open_rows(before)]
    assert after.account.money.available() == before.account.money.available()
    # the restored orders live: they fill, and their link ids are taken
    assert after.code("POST", "/v5/order/create", order_params(orderLinkId="first")) == 110072
    after.trade("61000.1")
    assert after.position(1)["size"] == "0.030"


def open_rows(world: PaperWorld) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = world.get("/v5/order/realtime", symbol="BTCUSDT")["list"]
    return rows


def test_ids_of_a_later_start_are_new(tmp_path: Path) -> None:
    before = lived()
    path = tmp_path / "state.json"
    write_state(path, before.exchange, epoch=0)
    after = again(path)
    old = {row["orderId"] for row in before.get("/v5/order/history")["list"]}
    old |= set(before.account.open_orders)
    assert after.place(price="57000") not in old
    assert after.exchange.ids.last > before.exchange.ids.last


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 1}', b"[]"])
def test_a_file_that_is_no_state_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(StateFileError, match=r"state\.json.*begin afresh"):
        read_state(path)
    assert path.read_bytes() == content
    assert read_state(tmp_path / "none.json") is None


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_state(path, lived().exchange, epoch=0)
    content = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({**content, "version": 99}))
    with pytest.raises(StateFileError, match="version 99"):
        read_state(path)


def test_legs_in_a_symbol_that_is_gone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_state(path, lived().exchange, epoch=0)
    state = read_state(path)
    assert state is not None
    other = PaperWorld([paper_market("ETHUSDT")])
    with pytest.raises(StateFileError, match="BTCUSDT"):
        restore(other.exchange, state)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_saved_exchange_goes_on_as_if_it_had_not_stopped(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = Random(seed)
    world = PaperWorld()
    world.trade("60000.0")
    for _ in range(30):
        price = str(60_000 + chance.randrange(-300, 300))
        side, leg = chance.choice(["Buy", "Sell"]), chance.choice([1, 2])
        world.reply("POST", "/v5/order/create", order_params(side, price, "0.01", leg))
        world.advance(3)
        world.trade(60_000 + chance.randrange(-300, 300))
    path = tmp_path_factory.mktemp("state") / "state.json"
    write_state(path, world.exchange, epoch=0)
    state = read_state(path)
    assert state is not None
    copy = PaperWorld(start_ms=world.exchange.now_ms)
    restore(copy.exchange, state)
    prices = [60_000 + chance.randrange(-400, 400) for _ in range(30)]
    copy.trade(world.exchange.market("BTCUSDT").last_ticks / Decimal(10))
    world.trade(world.exchange.market("BTCUSDT").last_ticks / Decimal(10))
    for price in prices:
        copy.trade(price)
        world.trade(price)
    assert copy.account.money.wallet == world.account.money.wallet
    assert set(copy.account.open_orders) == set(world.account.open_orders)
    assert copy.account.money.equity() == world.account.money.equity()


# determinism


def session_hash(seed: int) -> str:
    """Return a digest of every frame and answer of five minutes with faults."""
    listing = paper_listing()
    feed = SyntheticFeed(
        listing.instrument,
        SyntheticSettings(start_price=Decimal(60_000), trades_per_s=1.0, seed=seed, volatility=2.0),
    )
    world = PaperWorld(accounts=[paper_account(), paper_account("two", key="k2", uid=1002)],
                       seed=seed)  # fmt: skip
    digest = hashlib.sha256()
    for kind in (FaultKind.LOSE, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.DELAY):
        world.parts.faults.add(FaultRule(kind=kind, probability=0.05, delay_ms=700))
    streams = [
        world.stream(Channel.PRIVATE, "order", "execution", "position", "wallet"),
        world.stream(Channel.PUBLIC, "tickers.BTCUSDT", "publicTrade.BTCUSDT",
                     "orderbook.50.BTCUSDT"),
    ]  # fmt: skip
    chance = Random(seed)
    end = world.exchange.now_ms + 300_000
    for event in feed.events(world.exchange.now_ms):
        if event.ts_ms > end:
            break
        world.exchange.feed(event)
        if chance.random() < 0.3:
            last = world.exchange.market("BTCUSDT").last_ticks
            assert last is not None
            price = str(Decimal(last + chance.randrange(-200, 200)) / 10)
            side, leg = chance.choice(["Buy", "Sell"]), chance.choice([1, 2])
            reply = world.reply("POST", "/v5/order/create", order_params(side, price, "0.01", leg))
            digest.update(reply.body())
    for stream in streams:
        for frame in stream.frames:
            digest.update(orjson.dumps(frame))
    assert sum(len(stream.frames) for stream in streams) > 1_000
    return digest.hexdigest()


@pytest.mark.untraced
def test_the_same_seed_gives_the_same_session_to_the_last_byte() -> None:
    first = session_hash(5)
    assert session_hash(5) == first
    assert session_hash(6) != first
