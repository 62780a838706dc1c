"""Configurations as they may be stored: with no secret in them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from grid_db.urls import redact_db_url

HIDDEN = "***"
_SECRET_NAME = re.compile(r"secret|passw|token|api_?key|private_?key|credential", re.IGNORECASE)


def redact_config(value: Any) -> Any:
    """Return a copy of a configuration whose secrets are ***.

    A secret is a SecretStr, a value under a name like api_key, secret, password or token, or the
    password inside a URL.
    """
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN
            if _SECRET_NAME.search(str(key)) and inner is not None
            else redact_config(inner)
            for key, inner in value.items()
        }
    if isinstance(value, str):
        return redact_db_url(value) if "://" in value else value
    if isinstance(value, Sequence):
        return [redact_config(inner) for inner in value]
    return value


def config_json(config: Mapping[str, Any]) -> str:
    """Return a configuration as JSON, secrets hidden, keys sorted, Decimals as text."""
    return json.dumps(redact_config(config), default=str, sort_keys=True)
