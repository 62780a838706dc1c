"""What the next funding takes from the legs of a strategy, or gives them, where that is much."""

from __future__ import annotations

from decimal import Decimal

from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey, Alerts
from gridcore import StrategyView, TickerEvent

FUNDING = "funding"


class FundingWatch:
    """Tells of a funding rate beyond `limit`, to either side, while a strategy holds a leg.

    `limit` is the part of the position value that one settlement moves; 0 tells of nothing.
    """

    def __init__(self, alerts: Alerts, limit: Decimal) -> None:
        self._alerts = alerts
        self._limit = limit

    def look(self, runner: StrategyRunner) -> None:
        """Compare the rate that the last ticker announces; call it every second or so.

        A strategy counts as degraded meanwhile. What is not known changes nothing.
        """
        ticker = runner.last_ticker
        if not self._limit or ticker is None or runner.stopped_because is not None:
            return
        rate = ticker.funding_rate
        if rate is None:
            return
        if abs(rate) <= self._limit:
            runner.health.doubt(FUNDING, "")
            return
        view = runner.strategy.view
        if not view.is_known:
            return
        if not view.long.size and not view.short.size:
            runner.health.doubt(FUNDING, "")
            return
        text = self._text(view, ticker, rate)
        runner.health.doubt(FUNDING, text)
        # the other side pays now: that is another occasion
        if runner.occasions.is_new(f"{FUNDING} {rate > 0}"):
            self._alerts.alert(
                AlertKey.FUNDING_RATE_HIGH, f"{runner.strat_id}: {text}", about=runner.strat_id
            )

    def _text(self, view: StrategyView, ticker: TickerEvent, rate: Decimal) -> str:
        payer, receiver = ("long", "short") if rate > 0 else ("short", "long")
        price = ticker.mark_price or ticker.last_price
        # docs/exchange.md "Funding": longs pay size x mark x rate, shorts receive it
        paid = ((view.long.size - view.short.size) * price * rate).quantize(Decimal("0.01"))
        outcome = f"{'pay' if paid > 0 else 'receive'} about {abs(paid)} USDT"
        if not paid:
            outcome = "come to about nothing, together,"
        return (
            f"the next funding rate of {view.symbol} is {_percent(rate)}, beyond"
            f" {_percent(self._limit)}: {payer} pays {receiver}; the held legs"
            f" ({view.long.size:f} long, {view.short.size:f} short) {outcome} at the settlement"
        )


def _percent(ratio: Decimal) -> str:
    """Return a ratio as a percentage, without superfluous zeros."""
    return f"{(100 * ratio).normalize():f} %"
