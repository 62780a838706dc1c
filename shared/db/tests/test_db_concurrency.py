"""Several writers and readers at once: no lost row, nothing counted twice, nobody locked out."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from time import sleep

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from grid_db import DatabaseFactory, PublicTradeRepository, TenantScope, revision_actions
from grid_db.errors import DatabaseUnavailableError
from grid_db.schema import head_revision
from grid_db.testing import settings_for
from grid_db.testing_rows import SYMBOL, Tenant, after, trade

WRITER = Path(__file__).with_name("concurrent_writer.py")


class Writer:
    """One process of concurrent_writer.py."""

    def __init__(self, database: DatabaseFactory, tenant: Tenant, **job: object) -> None:
        job |= {
            "url": database.engine.url.render_as_string(hide_password=False),
            "user_id": tenant.user_id,
            "account_id": tenant.account.id,
            "run_id": tenant.run.id,
        }
        self.process = subprocess.Popen(
            [sys.executable, WRITER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.tell(json.dumps(job))

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line == "ready", self.process.communicate()[1]

    def inserted(self) -> dict[str, int]:
        out, errors = self.process.communicate(timeout=60)
        assert (self.process.returncode, errors) == (0, "")
        return dict(json.loads(out))


@contextmanager
def quick_deadlock_checks(database: DatabaseFactory) -> Iterator[None]:
    """Have PostgreSQL look for deadlocks at once, so that a test need not wait its second."""
    if database.dialect == "postgresql":
        with database.transaction() as connection:
            name = connection.engine.url.database
            connection.execute(text(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'"))
        database.dispose()  # the setting is for connections made from now on
    yield


# PostgreSQL takes 250 rows as arrays and 1,000 through COPY
BATCHES = [250, 1_000]


def test_two_processes_write_the_same_rows(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    with quick_deadlock_checks(database):
        job = {"rows": 2_500, "batches": BATCHES}
        forwards = Writer(database, tenant, first=0, backwards=False, filled="1", **job)
        backwards = Writer(database, tenant, first=500, backwards=True, filled="2", **job)
        writers = [forwards, backwards]
        for writer in writers:
            writer.wait_until_ready()
        for writer in writers:
            writer.tell("go")
        counts = [writer.inserted() for writer in writers]
    for kind in ("trades", "executions", "orders"):
        assert sum(count[kind] for count in counts) == 3_000, kind
    with database.get_session() as session:
        assert PublicTradeRepository(session).count(SYMBOL) == 3_000
        scope = TenantScope(session, tenant.user_id)
        executions = scope.executions.get_by_run_range(tenant.run.id)
        assert {row.exec_id for row in executions} == {f"e{n}" for n in range(3_000)}
        orders = scope.orders.get_by_run_range(tenant.run.id)
        # whoever came last, the state that is more filled stays
        filled = {row.order_id: row.cum_exec_qty for row in orders}
        assert filled == {f"o{n}": 1 if n < 500 else 2 for n in range(3_000)}


def together(*actions: Callable[[], int]) -> list[int]:
    """Run the actions at the same moment, each in a thread, and return what they return."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], int]) -> int:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def insert(database: DatabaseFactory, numbers: list[int]) -> int:
    with database.get_session() as session:
        trades = [trade(number) for number in numbers]
        return PublicTradeRepository(session).bulk_insert(trades)


@pytest.mark.parametrize("padding", [0, 1_000])
def test_rows_in_opposite_order_are_no_deadlock(database: DatabaseFactory, padding: int) -> None:
    """Each statement has inserted its first row and waits for the other's when both want more."""
    if database.dialect == "postgresql":
        with database.transaction() as connection:
            connection.execute(
                text(
                    "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS"
                    " $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$"
                )
            )
            connection.execute(
                text(
                    "CREATE TRIGGER pause BEFORE INSERT ON public_trades FOR EACH ROW"
                    " WHEN (NEW.trade_id IN ('t5', 't6')) EXECUTE FUNCTION pause()"
                )
            )
    more = list(range(100, 100 + padding))
    with quick_deadlock_checks(database):
        counts = together(
            lambda: insert(database, [1, 5, 2, *more]),
            lambda: insert(database, [2, 6, 1, *more]),
        )
    assert sum(counts) == 4 + padding
    with database.get_session() as session:
        assert PublicTradeRepository(session).count(SYMBOL) == 4 + padding


def test_a_deadlock_between_transactions_ends_one_of_them_to_be_tried_again(
    database: DatabaseFactory,
) -> None:
    """Rows of earlier batches are held until the commit, so one transaction has to give way."""
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time, so no two wait for each other")
    both_began = threading.Barrier(2)

    def write(first: int, second: int) -> int:
        with database.get_session() as session:
            repository = PublicTradeRepository(session)
            count = repository.bulk_insert([trade(first)])
            both_began.wait()
            return count + repository.bulk_insert([trade(second)])

    errors: list[str] = []

    def write_twice_if_need_be(first: int, second: int) -> int:
        try:
            return write(first, second)
        except DatabaseUnavailableError as error:
            errors.append(str(error))
            return insert(database, [first, second])

    with quick_deadlock_checks(database):
        counts = together(
            lambda: write_twice_if_need_be(1, 2), lambda: write_twice_if_need_be(2, 1)
        )
    assert sum(counts) == 2
    assert len(errors) == 1
    assert "another writer holds the same rows; try again" in errors[0]
    with database.get_session() as session:
        assert PublicTradeRepository(session).count(SYMBOL) == 2


def test_a_writer_waits_for_the_other_instead_of_failing(database: DatabaseFactory) -> None:
    def slowly() -> int:
        with database.get_session() as session:
            count = PublicTradeRepository(session).bulk_insert([trade(1), trade(2)])
            sleep(0.5)
            return count

    assert sum(together(slowly, slowly, lambda: insert(database, [2, 3]))) == 3


def test_a_writer_that_has_read_before_waits_as_well(database: DatabaseFactory) -> None:
    """A transaction that reads first and writes later must not find its reading out of date."""
    insert(database, [0])
    has_read = threading.Event()
    has_written = threading.Event()

    def read_then_write() -> int:
        with database.get_session() as session:
            repository = PublicTradeRepository(session)
            assert repository.count(SYMBOL) == 1
            has_read.set()
            assert has_written.wait(10)
            return repository.bulk_insert([trade(1), trade(2)])

    def write_in_between() -> int:
        assert has_read.wait(10)
        count = insert(database, [1])
        has_written.set()
        return count

    assert together(read_then_write, write_in_between) == [1, 1]


def test_a_reader_streams_what_was_there_when_it_began(database: DatabaseFactory) -> None:
    insert(database, list(range(12_000)))
    with database.get_session() as session:
        rows = PublicTradeRepository(session).iterate(SYMBOL)
        chunks = PublicTradeRepository(session).iterate_columns(SYMBOL, chunk_rows=1)
        seen = [next(rows)]
        counted = len(next(chunks))
        # neither waits for the reader, nor shows the reader half of it
        assert insert(database, list(range(12_000, 13_000))) == 1_000
        seen += rows
        counted += sum(len(chunk) for chunk in chunks)
    # rows that come later and lie behind the reader may be among them: SQLite is read in pages
    assert len(seen) in (12_000, 13_000)
    assert [row.trade_id for row in seen] == [f"t{n}" for n in range(len(seen))]
    assert counted in (12_000, 13_000)
    with database.get_session() as session:
        assert PublicTradeRepository(session).count(SYMBOL) == 13_000


@pytest.mark.slow
def test_readers_see_whole_transactions_while_a_process_writes(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    job = {"rows": 6_000, "batches": [500], "filled": "1"}
    writer = Writer(database, tenant, first=0, backwards=False, **job)
    writer.wait_until_ready()
    writer.tell("go")
    counts = []
    while not counts or counts[-1] < 6_000:
        with database.get_session() as session:
            columns = PublicTradeRepository(session).read_columns(SYMBOL)
            counts.append(len(columns))
            assert list(columns.exchange_ts_us) == sorted(columns.exchange_ts_us)
        assert writer.process.poll() is None or counts[-1] == 6_000
    assert writer.inserted()["trades"] == 6_000
    assert counts == sorted(counts)
    assert all(count % 500 == 0 for count in counts)


def test_looking_at_the_schema_does_not_wait_for_a_writer(database: DatabaseFactory) -> None:
    """A bot starts while an import writes for an hour."""
    with database.get_session() as session:
        PublicTradeRepository(session).bulk_insert([trade()])
        with ThreadPoolExecutor(1) as pool:
            looked = pool.submit(
                lambda: (database.check_schema(), revision_actions.status(database))
            )
            assert f"-> {head_revision()}" in looked.result(timeout=10)[1]


def test_one_factory_serves_several_threads(database: DatabaseFactory) -> None:
    tenants = [Tenant(database, name) for name in ("alice", "bob", "carol")]

    def work(tenant: Tenant) -> int:
        inserted = 0
        for number in range(20):
            with database.get_session() as session:
                executions = TenantScope(session, tenant.user_id).executions
                new = tenant.execution(f"e{number}", exchange_ts=after(number))
                inserted += executions.bulk_insert([new])
                last = executions.get_last_execution_ts(tenant.account.id)
                assert last == after(number)
        return inserted

    assert together(*[lambda tenant=tenant: work(tenant) for tenant in tenants]) == [20, 20, 20]


def test_tables_are_created_once_whoever_comes_first(empty_database: DatabaseFactory) -> None:
    settings = settings_for(empty_database.engine.url)

    def create() -> int:
        with DatabaseFactory(settings) as another:
            made = another.create_tables()
            another.check_schema()
            return len(made.tables)

    assert sorted(together(create, create, create, create)) == [0, 0, 0, 18]


def test_opening_a_file_waits_for_who_is_writing_to_it(tmp_path: Path) -> None:
    """SQLite itself does not wait where a file is to be switched to WAL."""
    file = tmp_path / "new.db"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE theirs (x INTEGER)")

        def end_soon() -> int:
            sleep(0.2)
            other.execute("COMMIT")
            return 0

        def open_it() -> int:
            settings = settings_for(URL.create("sqlite", database=str(file)))
            with DatabaseFactory(settings) as database:
                return len(database.create_tables().tables)

        assert together(end_soon, open_it) == [0, 18]
