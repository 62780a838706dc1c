"""Paths and names by which scripts know parts of this package from before it had rooms.

`bybit_adapter.rest_market` is `bybit_adapter.rest.market`: the same module under two names. `NAMES`
are those of the package itself that were also names of something else in another package.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

HOMES = {
    "async_client": "rest.async_client",
    "environment": "basics.environment",
    "errors": "basics.errors",
    "link_id": "basics.link_id",
    "normalizer": "records.normalizer",
    "rate_limiter": "http.rate_limiter",
    "rest_client": "rest.client",
    "rest_market": "rest.market",
    "ws_client": "streams.ws_client",
}
NAMES = {
    "Execution": "ExecutionRecord",
    "ExecutionKind": "ExecutionType",
    "FeeRates": "SymbolFeeRates",
    "Listing": "PagedRows",
    "Position": "PositionRecord",
    "RIGHT_OF_WAY": "ORDERS_FIRST",
}
_PACKAGE = __name__.rpartition(".")[0]


class _FormerPaths:
    """A finder and loader of modules that lie elsewhere now."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a former path leads, None for any other."""
        package, _, module = name.rpartition(".")
        if package != _PACKAGE or module not in HOMES:
            return None
        return ModuleSpec(name, self)  # type: ignore[arg-type]  # it does what a loader does

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module itself, whose own spec it keeps."""
        home = import_module(f"{_PACKAGE}.{HOMES[spec.name.rpartition('.')[2]]}")
        spec.loader_state = home.__spec__
        return home

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing more: it has run."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Let the former paths be imported."""
    if not any(isinstance(one, _FormerPaths) for one in sys.meta_path):
        sys.meta_path.append(_FormerPaths())
