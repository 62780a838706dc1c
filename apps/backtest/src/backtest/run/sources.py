"""From the data settings to a provider of ticks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from backtest.settings.config import DataSettings, SyntheticDataSettings
from market_data.basics.data_errors import DataError, NoDataError
from market_data.basics.paths import Paths, paths_of
from market_data.columns.ticks import TickColumns
from market_data.files.file_kind import FileKind, file_kind
from market_data.providers.data_provider import HistoricalDataProvider, InMemoryDataProvider
from market_data.providers.file_provider import file_provider
from market_data.providers.store_provider import StoreDataProvider
from market_data.providers.synthetic import RandomWalk

if TYPE_CHECKING:
    from grid_db import DatabaseFactory


def provider_of(
    settings: DataSettings,
    *,
    db: DatabaseFactory | None = None,
    default_store: str | Path | None = None,
    symbol: str | None = None,
    strict: bool = False,
) -> HistoricalDataProvider:
    """Return the source of ticks that the settings name, else the database, else the store.

    `symbol` names that of files which do not say theirs. Raises DataError for files that cannot be
    used together, NoDataError when there is no source at all.
    """
    if settings.files:
        files = market_files(settings.files)
        # rules do not decide how data is read: they may be newer than the data
        rules = {path for paths in rules_among(files) for path in paths}
        return file_provider(
            [path for path in files if path not in rules], symbol=symbol, strict=strict
        )
    if settings.synthetic:
        return InMemoryDataProvider(*(_walk(one) for one in settings.synthetic))
    if settings.database_url is not None or db is not None:
        return _database(settings.database_url, db, strict=strict)
    store = settings.store or default_store
    if store is not None and Path(store).is_dir():
        return StoreDataProvider(store, strict=strict)
    raise NoDataError(
        "no market data: name files with --data, or fetch some with"
        " 'python -m backtest.data fetch', or set data.synthetic in the configuration"
        + (f"; the store {store} does not exist" if store is not None else "")
    )


def market_files(paths: Paths) -> list[Path]:
    """Return the files that the paths name; of a folder all files in it, hidden ones left out.

    Raises DataError for a path that does not exist and for a folder without files.
    """
    found: list[Path] = []
    for path in paths_of(paths):
        if path.is_dir():
            inside = sorted(
                p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")
            )
            if not inside:
                raise DataError(f"{path}: the folder holds no file")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"{path}: there is no such file or folder")
    return found


def rules_among(paths: Paths) -> tuple[list[Path], list[Path]]:
    """Return those of the files that hold instruments and those that hold risk limits."""
    files = [path for path in paths_of(paths) if path.suffix in (".json", ".gz")]
    kinds = [(path, file_kind(path)) for path in files]
    return (
        [path for path, kind in kinds if kind is FileKind.INSTRUMENTS],
        [path for path, kind in kinds if kind is FileKind.RISK_LIMITS],
    )


def _database(
    url: str | None, db: DatabaseFactory | None, *, strict: bool
) -> HistoricalDataProvider:
    # SQLAlchemy takes half of the start-up time, and most runs read files
    from grid_db import DatabaseFactory, DatabaseSettings  # noqa: PLC0415
    from market_data.providers.database_provider import DatabaseDataProvider  # noqa: PLC0415

    if db is None:
        db = DatabaseFactory(DatabaseSettings(database_url=SecretStr(url or "")))
    return DatabaseDataProvider(db, strict=strict)


def _walk(settings: SyntheticDataSettings) -> TickColumns:
    walk = RandomWalk(
        symbol=settings.symbol,
        start_price=settings.start_price,
        tick_size=settings.tick_size,
        size_step=settings.size_step,
        volatility=settings.volatility,
        trades_per_s=settings.trades_per_s,
    )
    return walk.generate(settings.rows, settings.seed)
