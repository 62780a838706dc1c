"""One log line for each decision of a strategy."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gridbot.words.texts import number
from gridcore import CancelIntent, Intent

log = logging.getLogger(__name__)


def describe(intent: Intent) -> str:
    """Return an intent in words: what, how much, where, why."""
    if isinstance(intent, CancelIntent):
        return f"cancel {intent.side} at {number(intent.price)}: {intent.reason}"
    does = "closes" if intent.reduce_only else "opens"
    return (
        f"place {intent.side} {number(intent.qty)} at {number(intent.price)}:"
        f" {does} {intent.direction}, level {intent.grid_level}"
    )


def log_decisions(strat_id: str, intents: Iterable[Intent], *, shadow: bool = False) -> None:
    """Write one line about each intent."""
    for intent in intents:
        log_decision(strat_id, intent, shadow=shadow)


def log_decision(strat_id: str, intent: Intent, *, shadow: bool = False) -> None:
    """Write one line about an intent, with its parts as fields of the JSON log."""
    fields: dict[str, object] = {
        "strat_id": strat_id,
        "symbol": intent.symbol,
        "client_order_id": intent.client_order_id,
        "side": intent.side,
        "price": intent.price,
    }
    if isinstance(intent, CancelIntent):
        fields |= {"decision": "cancel", "reason": intent.reason, "order_id": intent.order_id}
    else:
        fields |= {
            "decision": "place",
            "qty": intent.qty,
            "direction": intent.direction,
            "reduce_only": intent.reduce_only,
        }
    prefix = "shadow: " if shadow else ""
    log.info("%s: %s%s", strat_id, prefix, describe(intent), extra=fields)
