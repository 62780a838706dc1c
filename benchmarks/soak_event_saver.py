"""The capture daemon for an hour as people run it, and then the books of both sides compared.

    uv run python benchmarks/soak_event_saver.py --minutes 60 --events-per-second 1000

A local exchange and the daemon run in processes of their own, started by their commands, the
daemon with environment variables: one account by its keys, one by a name in the database. Two
accounts place, amend, fill and cancel orders in three markets all the time. Once a minute a line
tells memory and lag. At the end trading stops, the daemon gets SIGTERM, and what the exchange says
it sent, the daemon's closing line and the database are compared to the row.

Lag is the age of the newest trade in the database, looked at once a second. Columns: rows of the
exchange's streams, those with a key of their own, rows that the daemon's writers took, how many of
them REST gave (at the start, and when it asks again every ten minutes), new ones and known ones,
and what the database has. Exit code 0: nothing differs; 1: something does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import psutil
import requests
import yaml
from cryptography.fernet import Fernet
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from soak_outcome import TABLES, Outcome, _sent
from soak_traffic import SYMBOLS, Trader, Witness
from sqlalchemy import text

from bybit_adapter import BybitRestClient, Environment
from grid_db import (
    CredentialCipher,
    DatabaseFactory,
    DatabaseSettings,
    PublicTradeRepository,
    TenantScope,
    UserRepository,
)
from grid_db import Environment as StoredEnvironment
from grid_db.testing import EmbeddedPostgres
from gridcore import DirectionType

ACCOUNTS = ("alice", "bob")


OTHER_ROWS_PER_S = 70.0  # tickers, and what the actions of both accounts lead to


DAY = timedelta(days=1)


console = Console(highlight=False, width=100)


@dataclass
class Samples:
    """What was measured, minute by minute."""

    memory_mb: list[float] = field(default_factory=list)  # of the daemon
    lags_s: list[list[float]] = field(default_factory=list)
    loop_late_s: list[float] = field(default_factory=list)  # the worst of each minute


class Soak:
    """The exchange, the daemon and the traders, from start to end."""

    def __init__(self, folder: Path, database_url: str, events_per_s: float) -> None:
        self.folder = folder
        self.samples = Samples()
        self._url = database_url
        self._events_per_s = events_per_s
        self._database = DatabaseFactory(DatabaseSettings(database_url=SecretStr(database_url)))
        self._port, self._metrics_port = _free_port(), _free_port()
        self._address = f"http://127.0.0.1:{self._port}"
        self._prices: dict[str, Decimal] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self.witnesses: dict[str, Witness] = {}
        self._traders: list[Trader] = []
        self._strangers: set[str] = set()  # connections that are not the daemon's

    # processes

    def begin(self) -> None:
        """Start everything; return once the daemon is connected and the accounts trade."""
        self._exchange = self._start("paper_exchange.main", {}, "--config", str(self._settings()))
        _until(self._is_priced, "the exchange has no prices")
        self.witnesses = {
            name: Witness(self._address.replace("http", "ws"), name) for name in ACCOUNTS
        }
        self._strangers = set(self.status()["connections"])
        self._saver = self._start("event_saver.main", self._environment())
        _until(lambda: len(self._own(self.status())) == 1 + len(ACCOUNTS), "the daemon is away")
        place = Environment.local(self._port)
        for seed, name in enumerate(ACCOUNTS):
            client = BybitRestClient(f"{name}-key", f"{name}-secret", place)
            self._traders.append(Trader(client, self._prices, seed))
            self._traders[-1].start()

    def _settings(self) -> Path:
        per_s = (self._events_per_s - OTHER_ROWS_PER_S) / len(SYMBOLS)
        content = {
            "port": self._port,
            "control": True,
            "symbols": [
                {
                    "symbol": symbol,
                    "feed": {"kind": "synthetic", "start_price": price, "trades_per_s": per_s},
                }
                for symbol, (price, _) in SYMBOLS.items()
            ],
            "accounts": [{"name": name, "deposit": 1_000_000} for name in ACCOUNTS],
        }
        path = self.folder / "exchange.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def _environment(self) -> dict[str, str]:
        """Return the daemon's settings; the second account is put into the database first."""
        first, second = ACCOUNTS
        key = Fernet.generate_key().decode()
        self._database.create_tables()
        with self._database.get_session() as session:
            user = UserRepository(session).get_or_create(second)
        with self._database.get_session() as session:
            scope = TenantScope(session, user.id)
            account = scope.accounts.get_or_create("main", StoredEnvironment.PAPER)
            pair = (f"{second}-key", f"{second}-secret")
            scope.credentials(CredentialCipher([key])).store(account.id, *pair)
        settings = {
            "SYMBOLS": ",".join(SYMBOLS), "ENVIRONMENT": self._address, "DATABASE_URL": self._url,
            "SPOOL_DIR": str(self.folder / "spool"), "METRICS_PORT": str(self._metrics_port),
            "USER": first, "API_KEY": f"{first}-key", "API_SECRET": f"{first}-secret",
            "ACCOUNTS": f"{second}/main",
        }  # fmt: skip
        named = {f"EVENTSAVER_{name}": value for name, value in settings.items()}
        return {**named, "GRIDBOT_SECRET_KEY": key}

    def _start(self, module: str, more: dict[str, str], *options: str) -> subprocess.Popen[bytes]:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("EVENTSAVER_", "GRIDBOT_"))
        }
        with (self.folder / f"{module}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - the commands of this project
                [sys.executable, "-m", module, *options],
                env={**clean, **more}, stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def kill(self) -> None:
        """End what still runs."""
        for trader in self._traders:
            trader.stopping.set()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._database.dispose()

    # looking on

    def status(self) -> dict[str, Any]:
        """Return what the exchange says of itself."""
        content: dict[str, Any] = requests.get(f"{self._address}/control/status", timeout=30).json()
        for symbol, market in content["markets"].items():
            if market["last"] is not None:
                self._prices[symbol] = Decimal(market["last"])
        return content

    def _do(self, **action: Any) -> None:
        requests.post(f"{self._address}/control/action", json=action, timeout=30).raise_for_status()

    def _is_priced(self) -> bool:
        try:
            self.status()
        except OSError:
            return False
        return len(self._prices) == len(SYMBOLS)

    def _own(self, status: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the connections of the daemon that have heard something."""
        return [
            one for conn_id, one in status["connections"].items() if conn_id not in self._strangers
        ]

    def watch(self, minutes: float) -> None:
        """Measure once a second, and print a line a minute."""
        saver = psutil.Process(self._saver.pid)
        end = time.monotonic() + 60 * minutes
        sent = 0
        for minute in range(1, 1 + int(minutes + 0.999)):
            lags: list[float] = []
            stop = min(end, time.monotonic() + 60)
            while time.monotonic() < stop:
                time.sleep(1.0)
                if self._saver.poll() is not None:
                    raise SystemExit(f"the daemon has ended: see {self.folder}")
                self.status()
                lags.append(self._lag_s())
            before, sent = sent, sum(_sent(self._own(self.status())).values())
            late = self._metric("event_saver_loop_lag_seconds")
            self.samples.memory_mb.append(saver.memory_info().rss / 1e6)
            self.samples.lags_s.append(sorted(lags))
            self.samples.loop_late_s.append(late)
            console.print(
                f"minute {minute}: {sent:,} rows sent ({(sent - before) / 60:,.0f}/s), memory"
                f" {self.samples.memory_mb[-1]:.1f} MB, lag 50 % {_percent(lags, 0.5):.2f} s, worst"
                f" {max(lags):.2f} s, loop late {1000 * late:.0f} ms,"
                f" spool {self._metric('event_saver_spool_bytes'):.0f} bytes",
                soft_wrap=True,
            )

    def _lag_s(self) -> float:
        with self._database.get_session() as session:
            trades = PublicTradeRepository(session)
            newest = [trades.get_last_trade_ts(symbol) for symbol in SYMBOLS]
        known = [moment for moment in newest if moment is not None]
        return (datetime.now(UTC) - max(known)).total_seconds() if known else float("nan")

    def _metric(self, name: str) -> float:
        page = requests.get(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=30).text
        for line in page.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return float("nan")

    # the end

    def finish(self) -> Outcome:
        """Stop trading and the daemon; return what all sides say."""
        for trader in self._traders:
            trader.stopping.set()
        for trader in self._traders:
            trader.join()
        console.print(f"orders: {dict(sum((one.done for one in self._traders), Counter()))}")
        for symbol in SYMBOLS:
            self._do(do="halt", symbol=symbol)
        last = self.status()
        while True:
            time.sleep(2.0)
            now = self.status()
            if _sent(self._own(now)) == _sent(self._own(last)):
                break
            last = now
        begun = time.monotonic()
        self._saver.send_signal(signal.SIGTERM)
        code = self._saver.wait(30)
        console.print(
            f"the daemon ended {time.monotonic() - begun:.1f} s after SIGTERM, code {code}"
        )
        for witness in self.witnesses.values():
            witness.close()
            witness.join()
        stored = {kind: self._count(table) for kind, table in TABLES.items()}
        outcome = Outcome(
            code, now, self._own(now), self._closing_line(), stored, self._stored_keys()
        )
        outcome.gaps = self._count("capture_gaps")
        outcome.said = {
            kind: {(name, *key) for name in ACCOUNTS for key in self.witnesses[name].keys[kind]}
            for kind in outcome.keys
        }
        self._exchange.send_signal(signal.SIGTERM)
        self._exchange.wait(30)
        return outcome

    def _closing_line(self) -> dict[str, Any]:
        for line in reversed((self.folder / "event_saver.main.log").read_bytes().splitlines()):
            with suppress(ValueError):
                content: dict[str, Any] = orjson.loads(line)
                if str(content.get("event", "")).startswith("stopped"):
                    return content
        return {}

    def _count(self, table: str) -> int:
        with self._database.engine.connect() as connection:
            return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)

    def _stored_keys(self) -> dict[str, set[tuple[Any, ...]]]:
        keys: dict[str, set[tuple[Any, ...]]] = {}
        for name in ACCOUNTS:
            with self._database.get_session() as session:
                user = UserRepository(session).get_by_name(name)
                assert user is not None
                for kind, key in _rows_of(TenantScope(session, user.id)):
                    keys.setdefault(kind, set()).add((name, *key))
        return keys


def _rows_of(scope: TenantScope) -> Iterator[tuple[str, tuple[Any, ...]]]:
    account = scope.accounts.get_by_name("main")
    assert account is not None
    legs = {DirectionType.LONG: 1, DirectionType.SHORT: 2}
    for one in scope.executions.iterate_by_account(account.id):
        yield "executions", (one.exec_id,)
    for run in scope.runs.get_by_user_id():
        for order in scope.orders.get_by_run_range(run.id):
            yield "orders", (order.order_id, _ms(order.exchange_ts))
    for symbol in SYMBOLS:
        for leg in scope.positions.get_by_account_range(account.id, symbol):
            yield "positions", (leg.symbol, legs[leg.direction], _ms(leg.exchange_ts))
    for wallet in scope.wallets.get_by_account_range(account.id):
        yield "wallet", (_ms(wallet.exchange_ts),)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _percent(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def _until(condition: Callable[[], bool], complaint: str, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(complaint)
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def print_samples(samples: Samples) -> None:
    """Print memory and lag for every ten minutes, and lags of the whole."""
    table = Table(title="memory and lag", title_justify="left")
    for name in ("minutes", "memory MB", "lag s 50 %", "95 %", "99 %", "worst", "loop late ms"):
        table.add_column(name, justify="right")
    count = len(samples.memory_mb)
    spans = [(first, min(first + 10, count)) for first in range(0, count, 10)] + [(0, count)]
    for first, last in spans:
        lags = [lag for minute in samples.lags_s[first:last] for lag in minute]
        table.add_row(
            f"{first}-{last}", f"{samples.memory_mb[last - 1]:.1f}",
            *(f"{_percent(lags, share):.2f}" for share in (0.5, 0.95, 0.99, 1.0)),
            f"{1000 * max(samples.loop_late_s[first:last]):.0f}",
        )  # fmt: skip
    console.print(table)


def run(minutes: float, events_per_s: float, database_url: str, folder: Path) -> int:
    """Run it and print what came out; return the exit code."""
    soak = Soak(folder, database_url, events_per_s)
    try:
        soak.begin()
        soak.watch(minutes)
        outcome = soak.finish()
    finally:
        soak.kill()
    print_samples(soak.samples)
    table, wrong = outcome.table()
    console.print(table)
    for sentence in wrong:
        console.print(f"  {sentence}")
    console.print(f"VERDICT: {'they differ' if wrong else 'exchange, daemon and database agree'}")
    return 1 if wrong else 0


def main() -> int:
    """Parse, run, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--events-per-second", type=float, default=1000.0, help="rows of all kinds")
    parser.add_argument("--database-url", help="empty one; default an SQLite file")
    parser.add_argument("--postgres", action="store_true", help="a server that is brought along")
    parser.add_argument("--folder", type=Path, help="for files and logs, kept; default temporary")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="soak-event-saver-"))
    folder.mkdir(parents=True, exist_ok=True)
    server = EmbeddedPostgres() if arguments.postgres else None
    url = arguments.database_url or f"sqlite:///{folder / 'soak.db'}"
    code = 1
    try:
        if server is not None:
            location = server.create_database(with_tables=False)
            url = location.render_as_string(hide_password=False)
        code = run(arguments.minutes, arguments.events_per_second, url, folder)
    finally:
        if server is not None:
            server.stop()
        if arguments.folder is None and code == 0:
            shutil.rmtree(folder, ignore_errors=True)
        elif code:
            console.print(f"logs: {folder}")
    return code


if __name__ == "__main__":
    sys.exit(main())
