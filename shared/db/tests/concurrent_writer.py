"""A process that writes trades, executions and orders; test_db_concurrency.py starts several.

Reads a job as one line of JSON, says "ready", waits for another line, works, and says how many
rows it inserted into each table.
"""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import cycle

from pydantic import SecretStr

from grid_db import DatabaseFactory, DatabaseSettings, PublicTradeRepository, TenantScope
from grid_db.testing_rows import execution, order, trade


def batches(job: dict) -> Iterator[list[int]]:
    numbers = list(range(job["first"], job["first"] + job["rows"]))
    if job["backwards"]:
        numbers.reverse()
    sizes = cycle(job["batches"])
    while numbers:
        size = next(sizes)
        yield numbers[:size]
        numbers = numbers[size:]


def work(database: DatabaseFactory, job: dict) -> dict[str, int]:
    inserted = {"trades": 0, "executions": 0, "orders": 0}
    mine = job["account_id"], job["run_id"]
    filled = {"cum_exec_qty": Decimal(job["filled"])}
    for numbers in batches(job):
        with database.get_session() as session:
            trades = [trade(number) for number in numbers]
            inserted["trades"] += PublicTradeRepository(session).bulk_insert(trades)
        with database.get_session() as session:
            scope = TenantScope(session, job["user_id"])
            executions = [execution(*mine, exec_id=f"e{number}") for number in numbers]
            inserted["executions"] += scope.executions.bulk_insert(executions)
        with database.get_session() as session:
            scope = TenantScope(session, job["user_id"])
            orders = [order(*mine, order_id=f"o{number}", **filled) for number in numbers]
            inserted["orders"] += scope.orders.bulk_upsert(orders)
    return inserted


def main() -> None:
    job = json.loads(sys.stdin.readline())
    settings = DatabaseSettings(database_url=SecretStr(job["url"]))
    with DatabaseFactory(settings) as database:
        database.check_schema()
        print("ready", flush=True)  # noqa: T201
        sys.stdin.readline()
        print(json.dumps(work(database, job)), flush=True)  # noqa: T201


main()
