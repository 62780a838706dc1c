"""Private rows read anew from their raw JSON, after a mistake in reading them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy.orm import Session

from bybit_adapter import (
    BybitNormalizer,
    MalformedFrame,
    StreamKind,
    StreamUpdate,
)
from event_saver.basics.owner import Owner
from event_saver.settings.config import ConfigError
from event_saver.writers.records import (
    execution_records,
    order_records,
    position_records,
    wallet_records,
)
from grid_db import (
    DatabaseFactory,
    DatabaseSettings,
    GridDbError,
    RunRecord,
    SnapshotSource,
    TenantScope,
    UserRepository,
)
from grid_service.command import ExitCodes

DAY = timedelta(days=1)
EXIT_CODES: ExitCodes = dict.fromkeys((ConfigError, GridDbError), 1)


@dataclass(slots=True)
class Outcome:
    """What became of the rows of one kind."""

    read: int = 0
    changed: int = 0
    without_raw: int = 0
    unreadable: int = 0
    moved: int = 0  # the key would be another one


@dataclass(frozen=True, slots=True)
class _Kind:
    stream: StreamKind
    records: Callable[[Iterable[StreamUpdate], Owner], Sequence[Any]]
    key: tuple[str, ...]


_KINDS = {
    "executions": _Kind(StreamKind.EXECUTION, execution_records, ("exec_id",)),
    "orders": _Kind(StreamKind.ORDER, order_records, ("order_id", "exchange_ts")),
    "positions": _Kind(
        StreamKind.POSITION, position_records, ("symbol", "direction", "exchange_ts")
    ),
    "wallet": _Kind(StreamKind.WALLET, wallet_records, ("coin", "exchange_ts")),
}
# What REST leaves out of its rows is not a mistake of reading.
_KEPT_IF_ABSENT = ("closed_pnl",)


def read_anew(kind: _Kind, row: Any) -> Any | None:
    """Return the record that the raw JSON of a row makes today, None if it makes none.

    Raises MalformedFrame.
    """
    content = json.loads(row.raw_json)
    if kind.stream is StreamKind.POSITION and "entryPrice" not in content:
        # a row of REST: another name for the entry, and true at the time of the answer
        content = {**content, "entryPrice": content.get("avgPrice"), "updatedTime": ""}
    frame = {
        "topic": kind.stream.value,
        "creationTime": round(row.exchange_ts.timestamp() * 1000),
        "data": [{**content, "category": "linear"}],
    }
    source = getattr(row, "source", SnapshotSource.LIVE)
    owner = Owner(user_id="", account_id=row.account_id, run_id=row.run_id, source=source)
    updates = BybitNormalizer().normalize(frame, row.local_ts)
    key = [getattr(row, name) for name in kind.key]
    for record in kind.records(updates, owner):
        if [getattr(record, name) for name in kind.key] == key:
            return record
    return None


def _merged(row: Any, fresh: Any) -> Any:
    values = {field.name: getattr(fresh, field.name) for field in fields(fresh)}
    values["raw_json"] = row.raw_json
    for name in _KEPT_IF_ABSENT:
        if name in values and values[name] is None:
            values[name] = getattr(row, name)
    # no coin, in rows of before it was kept, says USDT as well
    if values.get("fee_currency") == "USDT" and row.fee_currency is None:
        values["fee_currency"] = None
    return type(row)(**values)


def repair(kind_name: str, rows: Iterable[Any], outcome: Outcome) -> list[Any]:
    """Return the rows that read differently today, as they are to be stored."""
    kind = _KINDS[kind_name]
    changed = []
    for row in rows:
        outcome.read += 1
        if not row.raw_json:
            outcome.without_raw += 1
            continue
        try:
            fresh = read_anew(kind, row)
        except (MalformedFrame, ValueError):
            outcome.unreadable += 1
            continue
        if fresh is None:
            outcome.moved += 1
            continue
        fresh = _merged(row, fresh)
        if fresh != row:
            outcome.changed += 1
            changed.append(fresh)
    return changed


def _runs(scope: TenantScope) -> list[RunRecord]:
    return scope.runs.get_by_user_id(limit=1_000_000)


def _days(first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    while first <= last:
        yield first, first + DAY
        first += DAY


def _blocks(
    scope: TenantScope, kind: str, symbols: Sequence[str], since: datetime, until: datetime
) -> Iterator[list[Any]]:
    """Yield the rows of one kind a day at a time, so that memory stays bounded."""
    for start, end in _days(since, until):
        if kind in ("executions", "orders"):
            repository = scope.executions if kind == "executions" else scope.orders
            for run in _runs(scope):
                yield list(repository.get_by_run_range(run.id, start, end))
            continue
        for account in scope.accounts.list_all():
            if kind == "wallet":
                yield list(scope.wallets.get_by_account_range(account.id, start, end))
                continue
            for symbol in symbols:
                yield list(scope.positions.get_by_account_range(account.id, symbol, start, end))


def renormalize_user(
    database: DatabaseFactory,
    user_id: str,
    kinds: Sequence[str],
    symbols: Sequence[str],
    since: datetime,
    until: datetime,
    *,
    dry_run: bool,
) -> dict[str, Outcome]:
    """Read the rows of one user anew and store those that differ; return what was done."""
    outcomes = {}
    for kind in kinds:
        outcome = outcomes[kind] = Outcome()
        with database.get_session() as session:
            scope = TenantScope(session, user_id)
            for rows in _blocks(scope, kind, symbols, since, until):
                changed = repair(kind, rows, outcome)
                if changed and not dry_run:
                    _replace(session, user_id, kind, changed)
    return outcomes


def _replace(session: Session, user_id: str, kind: str, rows: Sequence[Any]) -> None:
    scope = TenantScope(session, user_id)
    repository: Any = {
        "executions": scope.executions,
        "orders": scope.orders,
        "positions": scope.positions,
        "wallet": scope.wallets,
    }[kind]
    repository.bulk_replace(rows)


def _moment(text: str | None, default: datetime) -> datetime:
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time; write 2026-01-31 or 2026-01-31T12:00:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_rows_anew(
    database_url: str,
    user: str,
    *,
    kinds: Sequence[str] | None,
    symbols: Sequence[str],
    since: str | None,
    until: str | None,
    dry_run: bool,
) -> None:
    """Read the rows of a user and store what reads differently; print what was done.

    Without `kinds` all are read; times are ISO texts. Raises the errors of EXIT_CODES.
    """
    now = datetime.now(UTC)
    wanted = list(kinds or _KINDS)
    for name in wanted:
        if name not in _KINDS:
            raise ConfigError(f"--kind {name!r} is unknown; take one of {', '.join(_KINDS)}")
    if "positions" in wanted and not symbols:
        if kinds:
            raise ConfigError("positions are read by symbol; name them with --symbol")
        wanted.remove("positions")
        print("positions: left out; name their symbols with --symbol", file=sys.stderr)  # noqa: T201
    settings = DatabaseSettings(database_url=SecretStr(database_url))
    with DatabaseFactory(settings) as database:
        database.check_schema()
        with database.get_session() as session:
            found = UserRepository(session).get_by_name(user)
        if found is None:
            raise ConfigError(f"there is no user {user!r}")
        outcomes = renormalize_user(
            database,
            found.id,
            wanted,
            symbols,
            _moment(since, now - 30 * DAY),
            _moment(until, now),
            dry_run=dry_run,
        )
    for name, outcome in outcomes.items():
        print(  # noqa: T201 - a command says what it did
            f"{name}: {outcome.read} read, {outcome.changed}"
            f" {'would change' if dry_run else 'changed'}, {outcome.unreadable} unreadable,"
            f" {outcome.without_raw} without raw JSON, {outcome.moved} left: another key"
        )
