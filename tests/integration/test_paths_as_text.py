"""Whoever takes a path takes it as text too: `read_trades("trades.csv")`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pydantic
import pytest

from backtest import BacktestConfig, BacktestEngine, BacktestReporter
from backtest.report.export import read_trades
from backtest.run.sources import market_files
from market_data.files.archive import read_archives
from market_data.providers.data_provider import ArchiveDataProvider
from market_data.providers.file_provider import file_provider
from market_data.providers.store_provider import StoreDataProvider
from market_data.store.store import TradeStore
from market_data.store.store_import import Importer

PACKAGES = [
    "gridcore", "bybit_adapter", "grid_db", "grid_config", "exchange_model", "market_data",
    "backtest", "comparator", "paper_exchange", "gridbot",
]  # fmt: skip
# what a command's own parser calls, which makes the paths itself, and parts of the running bot
SKIPPED = re.compile(
    r"(.*\.)?(main|__main__|migrations\..*|testing(_rows)?)"
    r"|backtest\.data|grid_db\.tenant_login|gridbot\.(prove|credentials)"
    r"|gridbot\.watchdog\.command|gridbot\.(actor|session|records)(\..*)?|gridbot\.orchestrator"
)
# values that are handed out, and made by nobody outside of their module
RETURNED = {
    "market_data.download.download.Download",
    "market_data.files.column_folder.ColumnFolder",
}


def modules(package: str) -> Iterator[ModuleType]:
    top = importlib.import_module(package)
    yield top
    for found in pkgutil.walk_packages(top.__path__, f"{package}."):
        if not SKIPPED.fullmatch(found.name):
            yield importlib.import_module(found.name)


def callables(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield public functions, constructors and public methods that a module defines."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if isinstance(thing, FunctionType):
            yield f"{module.__name__}.{name}", thing
        elif f"{module.__name__}.{name}" in RETURNED:
            continue
        elif inspect.isclass(thing) and not issubclass(thing, pydantic.BaseModel):
            for own, member in vars(thing).items():
                if own.startswith("_") and own != "__init__":
                    continue
                plain = getattr(member, "__func__", member)
                if isinstance(plain, FunctionType):
                    yield f"{module.__name__}.{name}.{own}", plain


def strict_parameters(call: Any) -> list[str]:
    """Return the parameters that want a Path and do not say that text will do."""
    found = []
    for name, parameter in inspect.signature(call).parameters.items():
        said = parameter.annotation
        words = re.findall(r"\w+", said if isinstance(said, str) else str(said))
        if "Path" in words and not {"str", "PathLike"} & set(words):
            found.append(name)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_whoever_takes_a_path_takes_text(package: str) -> None:
    strict = [
        f"{where}({name}) wants a Path; annotate it `str | Path` and make a Path of it"
        for module in modules(package)
        for where, call in callables(module)
        for name in strict_parameters(call)
    ]
    assert not strict, "\n".join(strict)


def test_a_parameter_that_is_strict_is_found() -> None:
    def strict(path: Path, folder: Path | None, files: list[Path], text: str) -> Path:
        raise NotImplementedError

    @dataclass
    class Record:
        path: Path

    def kind(path: str | Path, files: list[str | Path]) -> None: ...

    assert strict_parameters(strict) == ["path", "folder", "files"]
    assert strict_parameters(Record.__init__) == ["path"]
    assert strict_parameters(kind) == []


def archive_of(folder: Path) -> Path:
    file = folder / "BTCUSDT2025-01-01.csv"
    file.write_text(
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
        "foreignNotional\n"
        "1735689600.5,BTCUSDT,Buy,0.01,93000.1,PlusTick,one,0,0.01,930\n"
        "1735689601.5,BTCUSDT,Sell,0.01,93000.2,PlusTick,two,0,0.01,930\n"
    )
    return file


def test_files_are_read_from_text_alone_or_in_a_list(tmp_path: Path) -> None:
    file = str(archive_of(tmp_path))
    for paths in (file, [file], Path(file), [Path(file)]):
        assert len(ArchiveDataProvider(paths).load("BTCUSDT")) == 2
        assert len(file_provider(paths).load("BTCUSDT")) == 2
        assert market_files(paths) == [Path(file)]
        assert [len(rows) for rows in read_archives(paths)] == [2]
    root = str(tmp_path / "store")
    (imported,) = Importer(root).add_all(file)
    assert not imported.error
    assert TradeStore(root).symbols() == ["BTCUSDT"]
    assert len(StoreDataProvider(root).load("BTCUSDT")) == 2


def test_reports_are_written_where_text_says(tmp_path: Path) -> None:
    config = BacktestConfig.model_validate({"strategies": [{"grid_step": 0.3, "amount": "x0.01"}]})
    provider = ArchiveDataProvider(str(archive_of(tmp_path)))
    session = BacktestEngine(config).run("BTCUSDT", data_provider=provider)
    reporter = BacktestReporter({"BTCUSDT": session})
    written = reporter.export(str(tmp_path / "export"))
    assert written
    reporter.html(str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").is_file()
    trades = str(tmp_path / "export" / "BTCUSDT" / "trades.csv")
    assert read_trades(trades) == list(session.trades)
