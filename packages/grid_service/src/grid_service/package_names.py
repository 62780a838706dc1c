"""Names of a package: loaded when they are used, and kept when their module moves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Former(MetaPathFinder, Loader):
    """Finds a module under a former path: it is the module itself, not a copy of it."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self.paths = dict(paths)
        self._own: dict[str, dict[str, object]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in self.paths else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.paths[spec.name])
        # the import machinery writes these over
        self._own[spec.name] = {
            name: getattr(module, name) for name in ("__spec__", "__loader__", "__package__")
        }
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            vars(module).update(self._own.pop(spec.name, {}))


def keep_former_paths(package: str, moved: Mapping[str, str]) -> None:
    """Let `package.<key>` import the module that a value names, as one and the same object."""
    sys.meta_path.append(_Former({f"{package}.{old}": new for old, new in moved.items()}))


def names_of(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package whose public names live in other modules.

    `homes` tells the module of each name; nothing of it is loaded before it is used.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return load
