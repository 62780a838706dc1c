"""Why a pair differs beyond a tolerance, in words, from what was recorded of its order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import polars as pl

from backtest.report.figures import price_text
from comparator.causes.evidence import Evidence
from comparator.columns.order_lives import OrderLife
from comparator.columns.trades import NormalizedTrade
from comparator.match.matcher import MatchedTrade, MatchResult
from comparator.money.metrics import Breach, BreachKind, ValidationMetrics
from gridcore import SideType

MOST_NOTES: Final = 10_000


def breach_notes(
    result: MatchResult, metrics: ValidationMetrics, evidence: Evidence
) -> dict[Breach, str]:
    """Return one sentence per pair in breach, at most 10,000 of them."""
    kinds: dict[Breach, list[BreachKind]] = {}
    for kind, breaches in metrics.breach_kinds.items():
        for breach in breaches:
            kinds.setdefault(breach, []).append(kind)
    wanted = metrics.breaches[:MOST_NOTES]
    pairs = _pairs(result, wanted)
    return {
        breach: "; ".join(_note(kind, pairs[breach], evidence) for kind in kinds[breach])
        for breach in wanted
    }


def _pairs(result: MatchResult, wanted: Iterable[Breach]) -> dict[Breach, MatchedTrade]:
    keys = pl.DataFrame(
        list(wanted), schema={"client_order_id": pl.String, "occurrence": pl.Int64}, orient="row"
    )
    pairs = result.live.frame[result.live_rows].select(keys.columns).with_row_index("pair")
    found = pairs.join(keys, on=keys.columns, how="semi")["pair"]
    at = found.cast(pl.Int64).to_numpy().astype(np.int64)
    live = result.live.take(result.live_rows[at]).trades()
    backtest = result.backtest.take(result.backtest_rows[at]).trades()
    return {
        Breach(one.client_order_id, one.occurrence): MatchedTrade(one, other)
        for one, other in zip(live, backtest, strict=True)
    }


def _note(kind: BreachKind, pair: MatchedTrade, evidence: Evidence) -> str:
    life = evidence.by_order_id.get(pair.live.order_id)
    match kind:
        case BreachKind.PRICE:
            return _price_note(pair, life)
        case BreachKind.QUANTITY:
            return _quantity_note(pair, life)
        case BreachKind.FEE:
            return _fee_note(pair)


def _price_note(pair: MatchedTrade, life: OrderLife | None) -> str:
    live, backtest = pair
    text = f"price: live {price_text(live.price)}, backtest {price_text(backtest.price)}"
    if life is None or not life.price or life.price == live.price:
        return text
    is_better = (live.price < life.price) is (live.side is SideType.BUY)
    meaning = (
        "filled better than its limit"
        if is_better
        else "the recorded price is beyond the order's limit, so the record is doubtful"
    )
    return f"{text}; limit {price_text(life.price)}: {meaning}"


def _quantity_note(pair: MatchedTrade, life: OrderLife | None) -> str:
    live, backtest = pair
    text = f"quantity: live {price_text(live.qty)}, backtest {price_text(backtest.qty)}"
    if life is None or life.executed is None or life.executed == live.qty:
        return text
    meaning = (
        "an execution is not recorded"
        if life.executed > live.qty
        else "more executions are recorded than the order had"
    )
    return f"{text}; the order executed {price_text(life.executed)}: {meaning}"


def _fee_note(pair: MatchedTrade) -> str:
    return f"fee: live {_fee_text(pair.live)}, backtest {_fee_text(pair.backtest)}"


def _fee_text(trade: NormalizedTrade) -> str:
    if trade.fee is None:
        return "not recorded" if trade.fee_coin == "USDT" else f"paid in {trade.fee_coin}"
    rate = trade.fee / (trade.price * trade.qty) * 100
    return f"{price_text(trade.fee)} USDT ({rate:.4f} %)"
