"""Make `bbu_reference` mean the package, not the folder of the same name.

pytest's importlib mode names a test module after its path from the root, so this folder's
tests make it register the project folder as an empty package under the name that the real one
has. Names below the placeholder stay registered, which is all that pytest needs of it.
"""

import importlib
import sys

if getattr(sys.modules.get("bbu_reference"), "__file__", None) is None:
    sys.modules.pop("bbu_reference", None)
    importlib.import_module("bbu_reference")
