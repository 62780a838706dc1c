"""What people are told of the facts of one strategy, whichever channel told them first."""

from __future__ import annotations

import logging

from bybit_adapter import ExecutionRecord, Order
from gridbot.actor.strategy_health import StrategyHealth
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.alerts.occasions import Occasions
from gridcore import BookedFill, Decision, GridStrategy, PlaceResultEvent, RejectReason

log = logging.getLogger(__name__)
# cancelled by the holder, or as the leg shrinks: what happens every day
ORDINARY_CANCELS = frozenset({None, "UNKNOWN", "CancelByUser", "CancelByReduceOnly", "CancelBySmp"})


class FactAlerts:
    """Logs facts, and alerts those that nobody here asked for, once for an occasion."""

    def __init__(
        self, strategy: GridStrategy, health: StrategyHealth, alerts: Alerts, occasions: Occasions
    ) -> None:
        self._strategy = strategy
        self._strat_id = strategy.config.strat_id
        self._symbol = strategy.config.symbol
        self._health = health
        self._alerts = alerts
        self._occasions = occasions
        self._foreign: frozenset[str] = frozenset()

    def filled(self, fill: BookedFill) -> None:
        """Tell of a fill."""
        log.info(
            "%s: filled %s %s at %s (%s)", self._strat_id, fill.side.value, fill.qty, fill.price,
            fill.direction,
        )  # fmt: skip
        if not fill.client_order_id and self._occasions.is_new(f"filled: {fill.order_id}"):
            self._alert(
                AlertKey.POSITION_MISMATCH,
                f"{fill.side.value} {fill.qty} at {fill.price} filled on the {fill.direction} leg"
                " by an order that is not the bot's",
            )

    def closed_by_force(self, record: ExecutionRecord) -> None:
        """Tell of a liquidation, or of what is like it."""
        self._alert(
            AlertKey.LIQUIDATION_OR_ADL,
            f"{record.cause} of {record.qty} {self._symbol} at {record.price}, at"
            f" {record.time:%Y-%m-%d %H:%M:%S} UTC",
        )

    def ended(self, order: Order) -> None:
        """Tell, once for all orders of one occasion, that the exchange cancelled them by itself."""
        if order.cancel_type in ORDINARY_CANCELS:
            return
        how = str(order.cancel_type)
        if self._occasions.is_new(f"cancelled: {how}"):
            self._alert(AlertKey.ORDERS_CANCELLED, f"the exchange cancelled orders: {how}")

    def refused(self, event: PlaceResultEvent) -> None:
        """Tell of an order that was not taken."""
        log.warning(
            "%s: %s %s: %s", self._strat_id, event.client_order_id, event.outcome.value,
            event.message,
        )  # fmt: skip
        is_short = event.reject_reason is RejectReason.INSUFFICIENT_BALANCE
        if is_short and self._occasions.is_new("balance"):
            self._alert(
                AlertKey.BALANCE_INSUFFICIENT,
                f"the balance does not carry further opening orders: {event.message}",
            )

    def foreign_orders(self) -> None:
        """Tell of orders that are not of this strategy, when there are others than before."""
        foreign = self._strategy.foreign_orders
        known, self._foreign = self._foreign, frozenset(foreign)
        text = (
            f"{len(foreign)} orders on {self._symbol} are not of this strategy" if foreign else ""
        )
        self._health.doubt("foreign_orders", text)
        if not self._foreign <= known and self._occasions.is_new("foreign orders"):
            self._alert(AlertKey.FOREIGN_ORDERS, text)

    def differences(self, compared: Decision, gone: int) -> None:
        """Tell of orders that a comparison brought to light."""
        if compared.ended or compared.adopted or gone:
            self._alert(
                AlertKey.RECONCILE_DIFFERENCE,
                f"{len(compared.ended) + gone} orders were gone and {len(compared.adopted)} unknown"
                " ones were there",
            )

    def _alert(self, key: AlertKey, text: str) -> None:
        self._alerts.alert(key, f"{self._strat_id}: {text}", about=self._strat_id)
