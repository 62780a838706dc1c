"""Every method of every tenant repository, asked for another tenant's things.

A probe asks with ids that belong to somebody else, and with ids that belong to nobody: both have to
answer alike, and nothing of the other tenant may change.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from grid_db import DatabaseFactory, TenantScope, logins
from grid_db.crypto import CredentialCipher, generate_key
from grid_db.enums import AccountEnvironment, AlertSeverity, GapStatus, RunStatus, RunType
from grid_db.errors import GridDbError
from grid_db.models import Base
from grid_db.records import AlertRecord, GridSnapshotRecord
from grid_db.testing import settings_for
from testkit.tenants import NOW, Tenant

LATER = NOW + timedelta(hours=1)
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Ids:
    """Ids to ask with, and records that carry them."""

    tenant: Tenant
    account: str
    strategy: str
    run: str
    alert: int
    gap: int

    def execution(self) -> Any:
        return self.tenant.execution("probe", account_id=self.account, run_id=self.run)

    def known_execution(self) -> Any:
        return self.tenant.execution("e1", account_id=self.account, run_id=self.run)

    def order(self) -> Any:
        return self.tenant.order(
            "Filled", account_id=self.account, run_id=self.run, exchange_ts=LATER
        )

    def position(self) -> Any:
        return replace(self.tenant.position(), account_id=self.account, size=Decimal(9))

    def wallet(self) -> Any:
        return replace(self.tenant.wallet(), account_id=self.account, wallet_balance=Decimal(9))

    def grid(self) -> Any:
        return GridSnapshotRecord(strategy_id=self.strategy, exchange_ts=NOW, snapshot_json="[9]")

    def alert_record(self) -> Any:
        return AlertRecord(
            account_id=self.account,
            severity=AlertSeverity.INFO,
            alert_key="probe",
            message="m",
            raised_at=NOW,
        )

    def gap_record(self) -> Any:
        return replace(self.tenant.gap(), account_id=self.account, gap_end=LATER)


CIPHER = CredentialCipher([generate_key()])

Probe = Callable[[TenantScope, Ids], Any]
PROBES: dict[str, Probe] = {
    "accounts.get_or_create": lambda s, i: (
        s.accounts.get_or_create("main", AccountEnvironment.TESTNET).name
    ),
    "accounts.get_by_id": lambda s, i: s.accounts.get_by_id(i.account),
    "accounts.get_by_name": lambda s, i: s.accounts.get_by_name("theirs"),
    "accounts.list_all": lambda s, i: [account.name for account in s.accounts.list_all()],
    "accounts.delete": lambda s, i: s.accounts.delete(i.account),
    "strategies.save": lambda s, i: s.strategies.save(i.account, "btc", "ETHUSDT", {}),
    "strategies.get_by_id": lambda s, i: s.strategies.get_by_id(i.strategy),
    "strategies.get_by_name": lambda s, i: s.strategies.get_by_name(i.account, "btc"),
    "strategies.list_by_account": lambda s, i: s.strategies.list_by_account(i.account),
    "strategies.delete": lambda s, i: s.strategies.delete(i.strategy),
    "runs.create": lambda s, i: s.runs.create(RunType.LIVE, NOW, account_id=i.account),
    "runs.get_by_id": lambda s, i: s.runs.get_by_id(i.run),
    "runs.get_by_user_id": lambda s, i: len(s.runs.get_by_user_id()),
    "runs.get_latest_by_type": lambda s, i: s.runs.get_latest_by_type(RunType.LIVE, i.strategy),
    "runs.get_running": lambda s, i: len(s.runs.get_running()),
    "runs.heartbeat": lambda s, i: s.runs.heartbeat(i.run, LATER),
    "runs.finish": lambda s, i: s.runs.finish(i.run, RunStatus.COMPLETED, LATER),
    "runs.close_stale_running_runs": lambda s, i: s.runs.close_stale_running_runs(
        LATER, i.strategy
    ),
    "executions.bulk_insert": lambda s, i: s.executions.bulk_insert([i.execution()]),
    "executions.bulk_replace": lambda s, i: s.executions.bulk_replace([i.known_execution()]),
    "executions.get_known": lambda s, i: s.executions.get_known(i.account, ["e1"]),
    "executions.exists_by_exec_id": lambda s, i: s.executions.exists_by_exec_id(i.account, "e1"),
    "executions.get_last_execution_ts": lambda s, i: s.executions.get_last_execution_ts(i.account),
    "executions.get_by_run_range": lambda s, i: s.executions.get_by_run_range(i.run),
    "executions.iterate_by_account": lambda s, i: list(s.executions.iterate_by_account(i.account)),
    "orders.bulk_upsert": lambda s, i: s.orders.bulk_upsert([i.order()]),
    "orders.bulk_replace": lambda s, i: s.orders.bulk_replace([i.order()]),
    "orders.get_latest": lambda s, i: s.orders.get_latest(i.account, "o1"),
    "orders.get_open_orders": lambda s, i: s.orders.get_open_orders(i.account),
    "orders.get_last_order_ts": lambda s, i: s.orders.get_last_order_ts(i.account),
    "orders.get_by_run_range": lambda s, i: s.orders.get_by_run_range(i.run),
    "positions.bulk_insert": lambda s, i: s.positions.bulk_insert([i.position()]),
    "positions.bulk_replace": lambda s, i: s.positions.bulk_replace([i.position()]),
    "positions.get_latest_by_account_symbol": lambda s, i: s.positions.get_latest_by_account_symbol(
        i.account, "BTCUSDT"
    ),
    "positions.get_by_account_range": lambda s, i: s.positions.get_by_account_range(
        i.account, "BTCUSDT"
    ),
    "wallets.bulk_insert": lambda s, i: s.wallets.bulk_insert([i.wallet()]),
    "wallets.bulk_replace": lambda s, i: s.wallets.bulk_replace([i.wallet()]),
    "wallets.get_latest_by_account_coin": lambda s, i: s.wallets.get_latest_by_account_coin(
        i.account, "USDT"
    ),
    "wallets.get_by_account_range": lambda s, i: s.wallets.get_by_account_range(i.account),
    "capture_gaps.save": lambda s, i: s.capture_gaps.save(i.gap_record()),
    "capture_gaps.find": lambda s, i: s.capture_gaps.find(i.account),
    "capture_gaps.attempted": lambda s, i: s.capture_gaps.attempted(
        i.gap, GapStatus.FILLED, "probe", LATER
    ),
    "grid_snapshots.bulk_upsert": lambda s, i: s.grid_snapshots.bulk_upsert([i.grid()]),
    "grid_snapshots.get_latest": lambda s, i: s.grid_snapshots.get_latest(i.strategy),
    "grid_snapshots.get_by_range": lambda s, i: s.grid_snapshots.get_by_range(i.strategy),
    "grid_snapshots.delete_before": lambda s, i: s.grid_snapshots.delete_before(i.strategy, LATER),
    "alerts.add": lambda s, i: s.alerts.add(i.alert_record()),
    "alerts.list_recent": lambda s, i: s.alerts.list_recent(),
    "alerts.get_undelivered": lambda s, i: s.alerts.get_undelivered(),
    "alerts.mark_delivered": lambda s, i: s.alerts.mark_delivered(i.alert, LATER),
    "credentials.store": lambda s, i: s.credentials(CIPHER).store(i.account, "k", "s"),
    "credentials.get": lambda s, i: s.credentials(CIPHER).get(i.account),
    "credentials.delete": lambda s, i: s.credentials(CIPHER).delete(i.account),
    "credentials.rotate": lambda s, i: s.credentials(CIPHER).rotate(),
}
WRITES_INTO_ANOTHERS = (
    "strategies.save",
    "runs.create",
    "executions.bulk_insert",
    "executions.bulk_replace",
    "orders.bulk_upsert",
    "orders.bulk_replace",
    "positions.bulk_insert",
    "positions.bulk_replace",
    "wallets.bulk_insert",
    "wallets.bulk_replace",
    "capture_gaps.save",
    "grid_snapshots.bulk_upsert",
    "alerts.add",
    "credentials.store",
)


class World:
    """Two tenants; the first has a row of everything. They ask by a trusted login or their own."""

    def __init__(self, database: DatabaseFactory) -> None:
        self.database = database
        self.alice, self.bob = Tenant(database, "alice"), Tenant(database, "bob")
        self.asked_by = {one.user_id: database for one in (self.alice, self.bob)}
        self.alice.fill(database)
        with database.get_session() as session:
            TenantScope(session, self.alice.user_id).accounts.get_or_create(
                "theirs", AccountEnvironment.TESTNET
            )
        alert, gap = self.alice.alert_id, self.alice.gap_id
        assert alert is not None
        assert gap is not None
        a = self.alice
        self.theirs = Ids(a, a.account.id, a.strategy.id, a.run.id, alert, gap)
        self.nobodys = Ids(a, NOBODY, NOBODY, NOBODY, 999_999, 999_999)

    def give_logins(self) -> None:
        """From now on each tenant asks by a login that serves nobody else."""
        url = self.database.engine.url
        for name, tenant in (("alice", self.alice), ("bob", self.bob)):
            login = f"{name}_{url.database}"
            with self.database.get_session() as session:
                password = SecretStr("a password that nobody asks for")
                logins.create(session, name, login, password, connections=5)
            own = DatabaseFactory(settings_for(url.set(username=login)))
            self.asked_by[tenant.user_id] = own

    def take_logins(self) -> None:
        """Drop what `give_logins` made."""
        for own in self.asked_by.values():
            if own is self.database:
                continue
            own.dispose()
            with self.database.get_session() as session:
                logins.drop(session, str(own.engine.url.username))

    def ask(self, user: Tenant, probe: Probe, ids: Ids) -> str:
        """Return the answer, or the refusal, as text in which no id shows."""
        try:
            with self.asked_by[user.user_id].get_session() as session:
                answer = repr(probe(TenantScope(session, user.user_id), ids))
        except GridDbError as refusal:
            answer = f"{type(refusal).__name__}: {refusal}"
        for known in (ids.account, ids.strategy, ids.run):
            answer = answer.replace(known, "ID")
        return answer

    def rows_of_alice(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return everything that is hers, below the library and below its policies."""
        found = {}
        with self.database.engine.connect() as connection:
            for table in Base.metadata.sorted_tables:
                if "user_id" in table.columns:
                    query = text(f"SELECT * FROM {table.name} WHERE user_id = :u ORDER BY 1")
                    rows = connection.execute(query, {"u": self.alice.user_id})
                    found[table.name] = [tuple(row) for row in rows]
        return found


@pytest.fixture(params=["trusted login", "own logins"])
def world(request: pytest.FixtureRequest, database: DatabaseFactory) -> Iterator[World]:
    made = World(database)
    if request.param == "own logins":
        if database.dialect == "sqlite":
            pytest.skip("SQLite has no logins")
        made.give_logins()
    yield made
    made.take_logins()


def test_no_method_is_forgotten(world: World) -> None:
    public = set()
    with world.database.get_session() as session:
        scope = TenantScope(session, world.bob.user_id)
        names = [name for name in dir(scope) if name[0] != "_" and name != "credentials"]
        repositories = {name: getattr(scope, name) for name in names}
        repositories["credentials"] = scope.credentials(CIPHER)
        for name, repository in repositories.items():
            for method, _ in inspect.getmembers(repository, inspect.ismethod):
                if not method.startswith("_"):
                    public.add(f"{name}.{method}")
    assert public == set(PROBES)


def test_what_is_anothers_answers_like_what_is_not_there(world: World) -> None:
    before = world.rows_of_alice()
    assert all(before[name] for name in before)
    differing = {}
    for name, probe in PROBES.items():
        theirs = world.ask(world.bob, probe, world.theirs)
        nobodys = world.ask(world.bob, probe, world.nobodys)
        if theirs != nobodys:
            differing[name] = (theirs, nobodys)
        if name in WRITES_INTO_ANOTHERS and not theirs.startswith("ConstraintError"):
            differing[name] = (theirs, "a refusal")
    assert differing == {}
    assert world.rows_of_alice() == before


def test_the_probes_find_what_is_ones_own(world: World) -> None:
    """A probe that never finds anything would prove nothing."""
    found = {}
    reads = [name for name in PROBES if name not in WRITES_INTO_ANOTHERS]
    empty = ("None", "[]", "{}", "False", "0")
    ending = [
        "runs.finish",
        "grid_snapshots.delete_before",
        "strategies.delete",
        "accounts.delete",
    ]
    for name in [*(n for n in reads if n not in ending), *ending]:
        if name.startswith("credentials."):
            continue  # encrypted with the tenant's own key; below
        if name == "runs.close_stale_running_runs":
            continue  # the run has a heartbeat by then
        found[name] = world.ask(world.alice, PROBES[name], world.theirs)
    assert {name: answer for name, answer in found.items() if answer in empty} == {}
    with world.database.get_session() as session:
        assert (
            TenantScope(session, world.alice.user_id).accounts.get_by_id(world.alice.account.id)
            is None
        )


def test_ones_own_credentials_rotate_and_go(world: World) -> None:
    account = world.alice.account.id
    with world.database.get_session() as session:
        own = TenantScope(session, world.alice.user_id).credentials(world.alice.cipher)
        pair = own.get(account)
        assert pair is not None
        assert pair.api_secret.get_secret_value() == "secret"
        assert "secret" not in repr(pair) + str(pair) + repr(own)
        assert own.rotate() == 1
        assert own.delete(account)
        assert not own.delete(account)
        assert own.get(account) is None
