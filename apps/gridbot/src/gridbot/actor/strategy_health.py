"""How a strategy is: why it places nothing, what is doubted of it, and who was told of that."""

from __future__ import annotations

from gridbot.alerts.alerts import Alerts
from gridbot.alerts.block_watch import BlockWatch
from gridbot.ports import ExchangeClock
from gridbot.words.snapshot import Health
from gridcore import GridStrategy, Hold, Release

SHUTDOWN, PAUSED, CONTRACT, STARTING = "shutdown", "paused", "contract", "starting"
STREAM_LOST = "stream_lost"
UNKNOWN, NOT_COMPARED = "account_unknown", "not_compared"
# told by others, or wanted
UNTOLD_TRIPS = frozenset({SHUTDOWN, STARTING, PAUSED, STREAM_LOST})
HOLD_TEXTS = {
    PAUSED: "paused; /resume lets it trade",
    SHUTDOWN: "the bot is stopping",
    STARTING: "it is being started",
    STREAM_LOST: "the private stream is gone; it goes on when the stream is back and all is"
    " compared",
}
NO_TICKER_S = 60.0


class StrategyHealth:
    """Says how one strategy is, and tells people of what blocks it.

    `doubts` make it degraded, by kind. `ticker_at` is when the last ticker came, monotonic; its
    runner sets it. `stopped_because` is set once, for good.
    """

    def __init__(self, strategy: GridStrategy, clock: ExchangeClock, alerts: Alerts) -> None:
        self._strategy = strategy
        self._clock = clock
        self._watch = BlockWatch(strategy.config.strat_id, alerts, clock.monotonic, UNTOLD_TRIPS)
        self.doubts: dict[str, str] = {}
        self.ticker_at = clock.monotonic()
        self.stopped_because: str | None = None
        self._hold_reasons: dict[str, str] = {}  # of holds that are not the strategy's own

    # holds, and why

    def explain(self, name: str, reason: str) -> None:
        """Keep the reason of a hold that takes its turn in the inbox."""
        self._hold_reasons[name] = reason

    def forget(self, name: str) -> None:
        """Forget the reason of a hold that ends."""
        self._hold_reasons.pop(name, None)

    def explains(self, name: str) -> bool:
        """Tell whether a hold with a reason of its own is on, or on its way."""
        return name in self._hold_reasons

    def hold_now(self, name: str, reason: str) -> None:
        """Hold the strategy at once, before its next message."""
        self.explain(name, reason)
        self._strategy.handle(Hold(name))

    def release_now(self, name: str) -> None:
        """End a hold at once."""
        self.forget(name)
        self._strategy.handle(Release(name))

    # what is doubted

    def doubt(self, kind: str, text: str) -> None:
        """Count as degraded as long as a doubt of this kind has a text; "" ends it."""
        if text:
            self.doubts[kind] = text
        else:
            self.doubts.pop(kind, None)

    # how it is

    def blocks(self) -> dict[str, str]:
        """Return what keeps it from placing, by name, each with its reason and what ends it."""
        found = self._strategy.trips
        for name, reason in {**HOLD_TEXTS, **self._hold_reasons}.items():
            if name in found:
                found[name] = reason
        silent = self._clock.monotonic() - self.ticker_at
        # a contract that is not traded has no tickers either
        if silent >= NO_TICKER_S and not found.keys() & {STARTING, CONTRACT}:
            found["no_market_data"] = (
                f"no ticker of {self._strategy.config.symbol} for {silent:.0f} s"
            )
        return found

    def state(self) -> tuple[Health, tuple[str, ...]]:
        """Return how the strategy is, and why."""
        if self.stopped_because is not None:
            return Health.STOPPED, (self.stopped_because,)
        trips = self._strategy.trips
        if SHUTDOWN in trips:
            # what stopped it from placing before its end is worth knowing after it
            return Health.STOPPED, tuple(trips[one] for one in trips if one not in UNTOLD_TRIPS)
        blocks = self.blocks()
        if blocks:
            return Health.BLOCKED, tuple(blocks.values())
        doubts = {**self.doubts, **self._strategy.limits}
        if doubts:
            return Health.DEGRADED, tuple(doubts.values())
        return Health.HEALTHY, ()

    def tell(self) -> None:
        """Tell what blocks the strategy since the last time, and what does so no longer."""
        blocks = self.blocks()
        if self.stopped_because is not None or SHUTDOWN in blocks:
            return
        if NOT_COMPARED in self.doubts or STREAM_LOST in blocks:
            blocks.pop(UNKNOWN, None)  # an alert of its own tells why
        self._watch.look(blocks)
