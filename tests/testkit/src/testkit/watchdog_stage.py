"""A stage for the watchdog: an exchange with orders, and the heartbeat of a bot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bybit_adapter import (
    BybitRestClient,
    Environment,
    PlaceRequest,
    make_order_link_id,
)
from grid_db import RunType
from gridbot.alerts.alerts import AlertKey
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_file import load_gridbot_config
from gridbot.views.status import StatusFile
from gridbot.watchdog.watchdog import Watchdog
from gridbot.words.snapshot import (
    BotSnapshot,
    Health,
    LegStatus,
    RunState,
    StrategySnapshot,
)
from gridcore import DirectionType, SideType
from testkit.paper import KEY, SECRET, PaperHost, paper_market
from testkit.waiting import eventually

OURS = "0123456789abcdef"
TEXT = f"""accounts:
  - {{name: main, environment: paper, paper_port: PORT, api_key: {KEY}, api_secret: {SECRET}}}
strategies:
  - {{strat_id: btc, account: main, symbol: BTCUSDT}}
  - {{strat_id: shadow, account: main, symbol: ETHUSDT, shadow_mode: true}}
status_path: STATUS
status_interval: 0.1
watchdog: {{stale_after: 0.5, check_interval: 0.05, repeat_interval: 0.2}}
"""


def grid(
    strat_id: str,
    health: Health = Health.HEALTHY,
    reasons: tuple[str, ...] = (),
    account: str = "main",
    symbol: str = "BTCUSDT",
) -> StrategySnapshot:
    """Return a strategy as a heartbeat lists it."""
    return StrategySnapshot(
        strat_id=strat_id,
        account=account,
        symbol=symbol,
        run_type=RunType.PAPER,
        health=health,
        reasons=reasons,
        long=LegStatus(direction=DirectionType.LONG, size=Decimal(0)),
        short=LegStatus(direction=DirectionType.SHORT, size=Decimal(0)),
    )


class Heard:
    """Keeps alerts."""

    def __init__(self) -> None:
        self.alerts: list[tuple[AlertKey, str]] = []

    def alert(self, key: AlertKey, text: str, *, about: str = "") -> None:
        """Keep an alert."""
        self.alerts.append((key, text))

    @property
    def keys(self) -> list[AlertKey]:
        """What was told, in order."""
        return [key for key, _ in self.alerts]


@dataclass
class Stage:
    """An exchange with orders, a configuration that points at it, and a status file."""

    host: PaperHost
    rest: BybitRestClient
    path: Path
    status: StatusFile

    @property
    def config(self) -> GridbotConfig:
        """The configuration, read anew."""
        return load_gridbot_config(self.path, {})

    def place(
        self,
        price: int,
        side: SideType = SideType.BUY,
        *,
        closing: bool = False,
        link_id: str | None = None,
        symbol: str = "BTCUSDT",
    ) -> str:
        """Let an order rest; return its id."""
        is_long = (side is SideType.BUY) is not closing
        request = PlaceRequest(
            symbol=symbol,
            direction=DirectionType.LONG if is_long else DirectionType.SHORT,
            side=side,
            qty=Decimal("0.01"),
            price=Decimal(price),
            order_link_id=link_id or make_order_link_id(OURS, datetime.now(UTC)),
            reduce_only=closing,
        )
        return self.rest.place_order(request).order_id

    def open_orders(self, symbol: str = "BTCUSDT") -> set[str]:
        """Return the ids of what rests on the exchange."""
        return {order.order_id for order in self.rest.get_open_orders(symbol)}

    def beat(
        self,
        age_s: float = 0.0,
        *,
        state: RunState = RunState.RUNNING,
        strategies: tuple[StrategySnapshot, ...] | None = None,
        pid: int = 4711,
        **more: Any,
    ) -> None:
        """Write a heartbeat of so long ago."""
        at = datetime.now(UTC) - timedelta(seconds=age_s)
        health = Health.HEALTHY if state is RunState.RUNNING else Health.STOPPED
        listed = (grid("btc", health),) if strategies is None else strategies
        self.status.write(
            BotSnapshot(taken_at=at, started_at=at, pid=pid, state=state, strategies=listed, **more)
        )


@contextmanager
def watchdog_stage(folder: Path) -> Iterator[Stage]:
    """Provide a stage whose files are in a folder."""
    with PaperHost([paper_market(), paper_market("ETHUSDT")]) as host:
        host.trade("60000")
        host.trade("3000", symbol="ETHUSDT")
        port = host.server.port
        status = StatusFile(folder / "status.json")
        path = folder / "g.yaml"
        path.write_text(TEXT.replace("PORT", str(port)).replace("STATUS", str(status.path)))
        with BybitRestClient(KEY, SECRET, Environment.local(port)) as rest:
            yield Stage(host, rest, path, status)


def run_until(dog: Watchdog, condition: Callable[[], bool]) -> None:
    """Let a watchdog run on a thread until a condition holds."""
    stop = threading.Event()
    thread = threading.Thread(target=dog.run, args=(stop,))
    thread.start()
    try:
        eventually(condition)
    finally:
        stop.set()
        thread.join(30)
        dog.close()


def fill_book(stage: Stage) -> tuple[set[str], set[str]]:
    """Return (orders to be taken away, orders to be left)."""
    stage.place(59990)
    stage.host.trade("59900")  # the long leg holds 0.01
    eventually(lambda: any(row.size for row in stage.rest.get_positions("BTCUSDT")))
    opening = {
        stage.place(59000),
        stage.place(58000),
        stage.place(61000, SideType.SELL),
        stage.place(57000, link_id=f"{OURS}"),
    }
    kept = {
        stage.place(62000, SideType.SELL, closing=True),
        stage.place(56000, link_id="by-hand"),
        stage.place(55000, link_id=f"{OURS}extra"),
    }
    stage.place(2900, symbol="ETHUSDT")
    eventually(lambda: stage.open_orders() == opening | kept)
    return opening, kept


def steps(dog: Watchdog, seconds: float, beat: Callable[[], None]) -> None:
    """Let the bot beat and the watchdog look for some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        beat()
        dog.step()
        time.sleep(0.05)
    dog.close()
