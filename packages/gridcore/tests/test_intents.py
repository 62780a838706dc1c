"""Identity of orders: what names one, what does not, and what comes back from the wire."""

from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import (
    CancelReason,
    DirectionType,
    GridcoreError,
    PlaceLimitIntent,
    SideType,
    client_order_id_for,
    extract_client_order_prefix,
)

LAWS = settings(max_examples=200, deadline=None, derandomize=True)
IDENTITIES = st.tuples(
    st.sampled_from(["BTCUSDT", "ETHUSDT", "1000PEPEUSDT"]),
    st.sampled_from(list(SideType)),
    st.integers(1, 50).map(lambda ticks: Decimal(ticks).scaleb(-2)),
    st.sampled_from(list(DirectionType)),
    st.sampled_from([None, "a", "b", "grid-1"]),
)


def create(**changes: Any) -> PlaceLimitIntent:
    parts: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": SideType.BUY,
        "price": Decimal(60_000),
        "qty": Decimal("0.001"),
        "grid_level": 10,
        "direction": DirectionType.LONG,
    }
    return PlaceLimitIntent.create(**(parts | changes))


def test_the_id_is_the_start_of_a_digest_over_the_identity() -> None:
    digest = sha256(b"BTCUSDT|Buy|60000|long").hexdigest()
    assert create().client_order_id == digest[:16]
    salted = sha256(b"BTCUSDT|Buy|60000|long|grid-1").hexdigest()
    assert create(strat_id="grid-1").client_order_id == salted[:16]


@pytest.mark.parametrize("text", ["60000", "60000.0", "60000.00", "6E+4", "0.6E5"])
def test_the_notation_of_the_price_does_not_matter(text: str) -> None:
    assert create(price=Decimal(text)).client_order_id == create().client_order_id


@LAWS
@given(st.integers(1, 10**9), st.integers(-8, 3), st.integers(0, 6))
def test_trailing_zeros_never_matter(digits: int, exponent: int, zeros: int) -> None:
    price = Decimal(digits).scaleb(exponent)
    other = (price * 10**zeros).scaleb(-zeros)
    ids = {create(price=p).client_order_id for p in (price, other, price.normalize())}
    assert len(ids) == 1


@LAWS
@given(IDENTITIES, IDENTITIES)
def test_two_identities_share_an_id_only_when_equal(
    one: tuple[Any, ...], two: tuple[Any, ...]
) -> None:
    first, second = client_order_id_for(*one), client_order_id_for(*two)
    assert (first == second) == (one == two)


@pytest.mark.parametrize(
    "change", [{"qty": Decimal(5)}, {"reduce_only": True}, {"grid_level": 11}, {"post_only": True}]
)
def test_quantity_reduce_only_and_level_are_no_identity(change: dict[str, Any]) -> None:
    assert create(**change).client_order_id == create().client_order_id


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "ETHUSDT"},
        {"side": SideType.SELL},
        {"price": Decimal("60000.1")},
        {"direction": DirectionType.SHORT},
        {"strat_id": "x"},
    ],
)
def test_everything_else_is_identity(change: dict[str, Any]) -> None:
    assert create(**change).client_order_id != create().client_order_id


@LAWS
@given(IDENTITIES, st.from_regex(r"[A-Za-z0-9_-]{0,19}", fullmatch=True))
def test_the_prefix_comes_back_from_the_link_id(identity: tuple[Any, ...], suffix: str) -> None:
    client_order_id = client_order_id_for(*identity)
    assert extract_client_order_prefix(client_order_id) == client_order_id
    assert extract_client_order_prefix(f"{client_order_id}-{suffix}") == client_order_id


@pytest.mark.parametrize(
    "link",
    [
        None,
        "",
        "0123456789abcde",  # 15
        "0123456789abcdef0",  # 17
        "0123456789ABCDEF",  # somebody else's
        "0123456789abcdeg",
        "0123456789abcdef-a b",
        "0123456789abcdef\n",
        "x-0123456789abcdef",
        "-",
        "manual order",
    ],
)
def test_other_link_ids_are_somebody_elses(link: str | None) -> None:
    assert extract_client_order_prefix(link) is None


@pytest.mark.parametrize(
    "change",
    [
        {"price": 60_000.0},
        {"price": 60_000},
        {"price": Decimal(0)},
        {"price": Decimal(-1)},
        {"price": Decimal("NaN")},
        {"price": Decimal("Infinity")},
        {"qty": 0.001},
        {"qty": Decimal(-1)},
        {"qty": Decimal("NaN")},
    ],
)
def test_wrong_prices_and_quantities_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(GridcoreError, match=next(iter(change))):
        create(**change)


@pytest.mark.parametrize("change", [{"side": "buy"}, {"direction": "up"}])
def test_unknown_sides_and_directions_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        create(**change)


def test_an_intent_carries_what_it_was_given() -> None:
    intent = create(side="Sell", reduce_only=True, post_only=True)
    assert intent.side is SideType.SELL
    assert (intent.reduce_only, intent.post_only, intent.grid_level) == (True, True, 10)
    assert intent == create(side=SideType.SELL, reduce_only=True, post_only=True)
    with pytest.raises(AttributeError):
        intent.qty = Decimal(1)  # type: ignore[misc]


def test_a_quantity_of_zero_is_decided_later() -> None:
    assert create(qty=Decimal(0)).qty == 0


def test_reasons_of_cancels() -> None:
    assert set(CancelReason) == {
        "side_mismatch", "outside_grid", "rebuild", "duplicate", "shutdown", "loss_breaker",
    }  # fmt: skip
