"""One snapshot, seen through the status file, the texts and the live view."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from gridbot.views.live_view import LiveView, render, summary_text
from gridbot.views.status import StatusError, StatusFile
from gridbot.words.snapshot import (
    BotSnapshot,
    RunState,
)
from gridbot.words.texts import (
    age,
    number,
    orders_text,
    pnl_text,
    positions_text,
    status_text,
    usdt,
)
from gridcore import SideType
from testkit.shown_bot import NOW, shown_bot, shown_order

# the status file


def test_the_status_file_says_what_the_bot_does(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "new" / "status.json")
    file.write(shown_bot())
    found = file.read()
    assert found["version"] == 1
    assert found["state"] == "running"
    first = found["strategies"][0]
    assert (first["health"], first["reasons"]) == ("blocked", ["held by pause"])
    assert first["long"]["size"] == "0.010"
    assert first["open_orders"] == 3
    assert first["last_tick_age_s"] == 3
    assert first["pnl"]["net"] == "14.501"
    assert found["strategies"][1]["last_tick_age_s"] is None
    beat = file.heartbeat()
    assert beat.at == NOW
    assert beat.pid == 77
    assert beat.state is RunState.RUNNING
    assert beat.attended == {("main", "BTCUSDT"), ("main", "ETHUSDT")}
    assert beat.age_s(NOW + timedelta(seconds=9)) == 9
    file.write(replace(shown_bot(), state=RunState.STOPPED))
    assert file.heartbeat().state is RunState.STOPPED
    assert [path.name for path in file.path.parent.iterdir()] == ["status.json"]
    (file.path.parent / ".status.json.new").write_text("what a killed process left")
    file.write(shown_bot())
    assert [path.name for path in file.path.parent.iterdir()] == ["status.json"]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.json")
    file.write(shown_bot())
    is_done = threading.Event()
    faults: list[Exception] = []

    def look() -> None:
        while not is_done.is_set():
            try:
                file.heartbeat()
            except StatusError as error:
                faults.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    for step in range(200):
        file.write(shown_bot(NOW + timedelta(seconds=step)))
    is_done.set()
    reader.join()
    assert faults == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "does not exist; has the bot ever run"),
        ("{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        ("[]", "of version None, this program reads 1"),
        ('{"version": 2}', "of version 2, this program reads 1"),
        ('{"version": 1}', "no usable heartbeat"),
        (
            '{"version": 1, "heartbeat_at": "2026-01-01T00:00:00", "started_at": 1, "pid": 1}',
            "no time zone",
        ),
    ],
)
def test_what_is_no_status_is_told(tmp_path: Path, content: str | bytes | None, fault: str) -> None:
    path = tmp_path / "status.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StatusError, match=fault):
        StatusFile(path).heartbeat()


def test_a_status_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.json")
    file.write(shown_bot())
    before = file.path.read_text()
    broken = replace(shown_bot(), pid=b"no JSON")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        file.write(broken)
    assert file.path.read_text() == before
    with pytest.raises(OSError, match="Not a directory"):
        StatusFile(file.path / "below" / "s.json").write(shown_bot())


# words


def test_amounts_read_well() -> None:
    assert usdt(Decimal("1234567.891")) == "1,234,567.89"
    assert usdt(Decimal("-0.001"), signed=True) == "+0.00"
    assert usdt(None) == "–"
    assert number(Decimal("60000.10")) == "60000.1"
    assert number(Decimal("1E+2")) == "100"
    assert number(None) == "–"
    assert [age(s) for s in (None, -1, 5, 600, 8_000, 864_000)] == [
        "never", "0 s", "5 s", "10 min", "2.2 h", "10.0 d",
    ]  # fmt: skip


def test_the_texts_of_the_commands() -> None:
    told = status_text(shown_bot(), NOW)
    assert "running for 3.0 h" in told
    assert "main (paper), connected: wallet 10,005.50, available –, equity 10,015.50 USDT" in told
    assert "• btc BTCUSDT (live): BLOCKED, paused: held by pause" in told
    assert "60000.1 USDT, tick 3 s ago, 3 orders, 6 fills, net +14.50 USDT" in told
    assert "• eth ETHUSDT (live): healthy" in told
    assert "tick never ago" in told
    legs = positions_text(shown_bot())
    assert "long: 0.01 at 59000, PnL +10.00 USDT, liquidation 30000, value/wallet 0.06" in legs
    assert "short: nothing" in legs
    orders = orders_text(shown_bot()).splitlines()
    assert orders[0] == "btc BTCUSDT: 3 orders"
    assert orders[1] == "  60200 Sell 0.001 of 0.002 closes L"
    assert orders[2] == "  60100 Sell 0.001 of 0.002 opens S"
    profit = pnl_text(shown_bot())
    assert "btc BTCUSDT: net +14.50 USDT (realised +5.50, unrealised +10.00, fees 1.25" in profit
    assert profit.endswith("all: net +13.50 USDT")
    many = replace(shown_bot().strategies[0], orders=(shown_order(5, SideType.BUY),) * 100)
    assert "and 40 more" in orders_text(replace(shown_bot(), strategies=(many,)))
    empty = replace(shown_bot(), strategies=(), state=RunState.STOPPING)
    assert orders_text(empty) == positions_text(empty) == pnl_text(empty) == "no strategies"
    assert "stopping" in status_text(empty, NOW)


def test_fees_in_other_coins_stand_beside_and_the_net_says_what_it_lacks() -> None:
    one = shown_bot().strategies[0]
    mnt = replace(one.pnl, other_fees={"MNT": Decimal("0.0145")})
    told = replace(shown_bot(), strategies=(replace(one, pnl=mnt), shown_bot().strategies[1]))
    profit = pnl_text(told)
    assert "btc BTCUSDT: net +14.50 USDT without fees in MNT (realised +5.50" in profit
    assert "fees 1.25 and 0.0145 MNT, funding -0.25" in profit
    assert profit.endswith("all: net +13.50 USDT without fees in MNT")
    assert "net +14.50 USDT without fees in MNT" in status_text(told, NOW)
    assert "net of all: +13.50 USDT without fees in MNT" in summary_text(told, NOW)
    shown = "\n".join(drawn(told, width=120))
    assert "1.25 and 0.0145 MNT" in shown
    assert "+14.50 without MNT" in shown


def drawn(shown: BotSnapshot, width: int = 80, height: int = 60) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(render(shown, NOW, height))
    return console.export_text().splitlines()


def of_levels(lines: list[str]) -> list[str]:
    return [line for line in lines if re.search(r"│ +60[0-9]00 ", line)]


def test_the_live_view_shows_the_grid_around_the_price() -> None:
    lines = drawn(shown_bot())
    assert [re.findall(r"60\d00", line)[0] for line in of_levels(lines)] == [
        "60500", "60400", "60300", "60200", "60100", "60000",
    ]  # fmt: skip
    market = next(index for index, line in enumerate(lines) if "▶ 60000.1" in line)
    assert "0.001 open" in lines[market - 1]
    assert "0.001 close" in lines[market - 2]
    assert "Wait" in lines[market + 1]
    text = "\n".join(lines)
    assert "blocked (paused)" in text
    assert "held by pause" in text
    assert "+14.50" in text
    assert "0.01 at 59000" in text


def test_the_live_view_fits_a_small_terminal_without_breaking_lines() -> None:
    shown = shown_bot()
    long = replace(
        shown.strategies[0].long,
        size=Decimal("0.016"), entry_price=Decimal("64922.15714286"),
        unrealised_pnl=Decimal("-12.25"),
    )  # fmt: skip
    orders = tuple(shown_order(60100, SideType.SELL, closing=closing) for closing in (True, False))
    first, second = shown.strategies
    busy = replace(
        shown,
        strategies=(replace(first, long=long, orders=orders), replace(second, long=long)),
    )
    lines = drawn(busy, height=24)
    assert any("0.001 close 0.001 open" in line for line in lines)
    assert len(lines) <= 23  # the last line of a terminal is the cursor's
    assert len(of_levels(lines)) == 4
    assert sum("0.016 at 64922.16" in line and "-12.25" in line for line in lines) == 2
    assert all(len(line) <= 80 for line in lines)


def test_many_strategies_have_a_line_each() -> None:
    shown = shown_bot()
    many = tuple(replace(shown.strategies[0], strat_id=f"s{n}") for n in range(10))
    lines = drawn(replace(shown, strategies=many), height=24)
    assert len(lines) <= 23
    rows = [line.split() for line in lines if line.strip().startswith("s")]
    assert rows[1:] == [
        [f"s{n}", "60000.1", "3", "s", "blocked", "0.01", "0", "3", "6", "+14.50"]
        for n in range(10)
    ]


def test_an_order_that_is_not_what_its_level_wants_shows_its_side() -> None:
    odd = replace(shown_bot().strategies[0], orders=(shown_order(60100, SideType.BUY),))
    lines = drawn(replace(shown_bot(), strategies=(odd,)))
    assert "Buy 0.001 open" in next(line for line in lines if " 60100 " in line)


def test_the_live_view_draws_over_itself() -> None:
    out = io.StringIO()
    with LiveView(Console(file=out, force_terminal=True, width=120, height=60)) as view:
        view.show(shown_bot(), NOW)
        view.show(replace(shown_bot(), accounts=()), NOW)
    assert "BTCUSDT" in out.getvalue()
    away = replace(shown_bot().accounts[0], is_connected=False)
    shown = drawn(replace(shown_bot(), accounts=(away,), strategies=()))
    assert shown[0].startswith("main (paper) NOT CONNECTED")


def test_the_summary_ties_to_the_figures() -> None:
    text = summary_text(shown_bot(), NOW)
    assert "ran for 3.0 h" in text
    assert "orders 12 placed, 3 cancelled, 1 rejected, 3 resting; 6 fills" in text
    assert "realised +5.50, unrealised +10.00, fees 1.25, funding -0.25, net +14.50 USDT" in text
    assert "main: wallet 10,005.50, equity 10,015.50 USDT" in text
    assert "net of all: +13.50 USDT" in text
