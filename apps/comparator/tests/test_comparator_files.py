"""Files of a backtest: what it exported comes back; what is wrong is named."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from backtest.report.export import export_session
from backtest.result.session import BacktestSession
from comparator.columns.errors import ComparatorError
from comparator.sides.backtest_file import read_equity, read_funding, read_trades
from comparator.sides.loader import BacktestTradeLoader
from gridcore import DirectionType

HEAD = "client_order_id,symbol,side,direction,price,qty,fee,realised_pnl,ts_us"
ROW = "a,X,Buy,long,100.5,0.1,0.01,0,1735689600000000"


@pytest.fixture
def exported(session_of_walk: BacktestSession, tmp_path: Path) -> Path:
    export_session(session_of_walk, tmp_path)
    return tmp_path / "BTCUSDT"


def written(tmp_path: Path, text: str, name: str = "trades.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_export_says_the_same_as_its_session(
    exported: Path, session_of_walk: BacktestSession, suffix: str
) -> None:
    loader = BacktestTradeLoader()
    from_file = loader.of_file(exported / f"trades.{suffix}")
    from_session = loader.of_session(session_of_walk)
    assert from_file.trades.trades() == from_session.trades.trades()
    assert len(from_file.trades) > 1000
    assert from_file.funding == from_session.funding
    assert len(from_file.funding) == len(session_of_walk.funding_payments) > 0
    assert from_file.warnings == []
    curve = read_equity(exported / f"equity.{suffix}")
    assert tuple(ts_us for ts_us, _ in curve) == session_of_walk.equity.ts_us
    assert tuple(equity for _, equity in curve) == session_of_walk.equity.equity


def test_the_session_loads_as_a_plain_loop_would(session_of_walk: BacktestSession) -> None:
    orders: dict[tuple[str, str], list] = {}
    for trade in session_of_walk.trades:
        orders.setdefault((trade.client_order_id, trade.order_id), []).append(trade)
    table = BacktestTradeLoader().of_session(session_of_walk).trades
    assert len(table) == len(orders)
    for one in table.trades():
        own = orders[one.client_order_id, one.order_id]
        assert one.qty == sum(trade.qty for trade in own)
        assert one.fee == sum(trade.fee for trade in own)
        assert one.realized_pnl == sum(trade.realised_pnl for trade in own)
        assert one.ts_us == max(trade.ts_us for trade in own)
        assert {trade.direction for trade in own} == {one.direction}


def test_without_funding_beside_it_is_taken_as_none_and_told(exported: Path) -> None:
    (exported / "funding.csv").unlink()
    side = BacktestTradeLoader().of_file(exported / "trades.csv")
    assert side.funding == []
    assert any("no funding file beside it" in text for text in side.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-01T00:00:00.000001+00:00",
        "2025-01-01T00:00:00.000001Z",
        "2025-01-01 00:00:00.000001",  # naive is UTC
        "2025-01-01T03:00:00.000001+03:00",
        "2025-01-01T05:30:00.000001+0530",
        "2024-12-31T19:00:00.000001-05:00",
        "2024-12-31T20:30:00.000001-0330",
    ],
)
@pytest.mark.parametrize("column", ["ts", "timestamp"])
def test_aware_naive_and_offset_times_are_one_moment(
    tmp_path: Path, text: str, column: str
) -> None:
    head = HEAD.replace("ts_us", column)
    row = ROW.replace("1735689600000000", text)
    whole = row.replace(".000001", "")
    frame, _ = read_trades(written(tmp_path, f"{head}\n{row}\n{whole}\n"))
    assert frame["ts_us"].to_list() == [1735689600000001, 1735689600000000]


def test_several_symbols_in_one_file_keep_apart(tmp_path: Path) -> None:
    rows = [ROW, ROW.replace(",X,", ",Y,").replace("a,", "b,"), ROW.replace("a,", "c,")]
    order = [f"{row},o1" for row in rows]  # a backtest numbers the orders of each symbol alike
    path = written(tmp_path, "\n".join([f"{HEAD},order_id", *order]))
    table = BacktestTradeLoader().of_file(path).trades
    assert table.symbols() == ["X", "Y"]
    assert len(table) == 3
    assert len(table.select(0, 2**60, ["Y"])) == 1


def test_rows_without_order_ids_are_trades_of_their_own(tmp_path: Path) -> None:
    table = BacktestTradeLoader().of_file(written(tmp_path, f"{HEAD}\n{ROW}\n{ROW}\n")).trades
    assert [trade.occurrence for trade in table.trades()] == [1, 2]


def test_the_end_of_an_account_is_no_order_of_the_strategy(tmp_path: Path) -> None:
    rows = [f"{ROW.replace('a,', ',', 1)},wind_down,w-{leg}" for leg in ("long", "short")]
    path = written(tmp_path, "\n".join([f"{HEAD},kind,order_id", *rows]))
    trades = BacktestTradeLoader().of_file(path).trades.trades()
    assert {trade.kind for trade in trades} == {"wind_down"}
    assert len({trade.client_order_id for trade in trades}) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "a,b\n1,2\n",
            "trades.csv: no trades of a backtest: without client_order_id, symbol,",
        ),
        (f"{HEAD.replace(',fee', '')}\n", "without fee; give the trades.csv"),
        (f"{HEAD.replace(',ts_us', '')}\n", "without ts_us"),
        (f"{HEAD}\n", "the file holds no trade"),
        ("", "the file is empty"),
        (f"{HEAD}\n{ROW.replace('100.5', 'cheap')}\n", "price of row 1 is 'cheap', no number"),
        (f"{HEAD}\n{ROW}\n{ROW.replace('100.5', '')}\n", "price of row 2 is empty"),
        (f"{HEAD}\n{ROW.replace('100.5', '-1')}\n", "price of row 1 is -1; it is above zero"),
        (f"{HEAD}\n{ROW.replace(',0.1,', ',0,')}\n", "qty of row 1 is 0; it is above zero"),
        (f"{HEAD}\n{ROW.replace('Buy', 'buy')}\n", "side of row 1 is 'buy'; it is Buy or Sell"),
        (f"{HEAD}\n{ROW.replace('long', 'up')}\n", "direction of row 1 is 'up'; it is long or"),
        (f"{HEAD}\n{ROW.replace('1735689600000000', 'noon')}\n", "ts_us of row 1 is 'noon', no"),
        (f"{HEAD}\n{ROW},too,many\n", "cannot be read"),
    ],
)
def test_a_wrong_file_is_named_in_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ComparatorError) as caught:
        read_trades(written(tmp_path, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.parquet"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ComparatorError, match="there is no such file"):
        read_trades(tmp_path / name)


def test_floats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    names = HEAD.split(",")
    values = dict(zip(names, ROW.split(","), strict=True))
    frame = pl.DataFrame({name: [value] for name, value in values.items()})
    frame.with_columns(pl.col("price").cast(pl.Float64)).write_parquet(path)
    with pytest.raises(ComparatorError, match="price holds Float64, which is not exact"):
        read_trades(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(ComparatorError, match=r"trades\.parquet: cannot be read"):
        read_trades(path)


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (read_equity, "a\n1\n", "it needs ts_us and equity"),
        (read_equity, "ts_us,equity\n1,\n", "equity of row 1 is empty"),
        (read_funding, "ts_us,paid\n1,2\n", "no funding of a backtest: without symbol"),
    ],
)
def test_wrong_files_beside_the_trades(
    tmp_path: Path, read: Callable[[Path], object], text: str, says: str
) -> None:
    path = written(tmp_path, text, "funding.csv")
    given = path.with_name("trades.csv") if read is read_funding else path
    with pytest.raises(ComparatorError, match=says):
        read(given)


def test_funding_of_a_file(tmp_path: Path) -> None:
    head = "ts_us,symbol,direction,mark_price,rate,paid"
    written(tmp_path, f"{head}\n5,X,short,100,0.01,-2\n", "funding.csv")
    (paid,) = read_funding(tmp_path / "trades.csv") or []
    assert paid == (5, "X", DirectionType.SHORT, Decimal(-2), Decimal(-1))
    written(tmp_path, f"{head}\n", "funding.csv")
    assert read_funding(tmp_path / "trades.csv") == []


def test_an_export_with_names_like_formulas_comes_back_as_it_was(
    session_of_walk: BacktestSession, tmp_path: Path
) -> None:
    trades = tuple(
        one._replace(strat_id="=1+1", order_id=f"-1+{number}")
        for number, one in enumerate(session_of_walk.strategies[0].trades)
    )
    strategy = replace(session_of_walk.strategies[0], trades=trades)
    session = replace(session_of_walk, strategies=(strategy,))
    export_session(session, tmp_path)
    path = tmp_path / session.symbol / "trades.csv"
    assert ",=1+1," not in path.read_text()
    loader = BacktestTradeLoader()
    assert loader.of_file(path).trades.trades() == loader.of_session(session).trades.trades()
