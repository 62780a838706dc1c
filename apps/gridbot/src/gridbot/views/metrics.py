"""Figures of the bot for Prometheus: gauges of the last snapshot, counters and latencies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gridbot.words.snapshot import (
    AccountSnapshot,
    BotSnapshot,
    Health,
    LegStatus,
    StrategySnapshot,
)

LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STRATEGY = ("account", "strat_id", "symbol")
LEG = (*STRATEGY, "leg")


class BotMetrics:
    """All figures of one bot. Observing is cheap and thread-safe; nothing here does I/O."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rest_seconds = Histogram(
            "gridbot_rest_seconds", "REST calls to the exchange", ("call", "outcome"),
            buckets=LATENCY_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.decision_seconds = Histogram(
            "gridbot_decision_seconds", "From a ticker's arrival to its intents", ("strat_id",),
            buckets=LATENCY_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.alerts = Counter(
            "gridbot_alerts", "Alerts raised, sent or not", ("key",), registry=self.registry
        )
        self.exceptions = Counter(
            "gridbot_exceptions", "Exceptions caught at a border", ("where",),
            registry=self.registry,
        )  # fmt: skip
        self.refusals = Counter(
            "gridbot_order_refusals", "Orders that the exchange refused, by reason",
            ("strat_id", "reason"), registry=self.registry,
        )  # fmt: skip
        self.retries = Counter(
            "gridbot_retries", "Commands tried again", ("strat_id",), registry=self.registry
        )
        self._shown = _SnapshotCollector()
        self.registry.register(self._shown)

    def show(self, snapshot: BotSnapshot) -> None:
        """Let the gauges follow this snapshot from now on."""
        self._shown.snapshot = snapshot

    @property
    def snapshot(self) -> BotSnapshot | None:
        """The snapshot that the gauges show."""
        return self._shown.snapshot


class _SnapshotCollector(Collector):
    """Turns the newest snapshot into figures when somebody asks; what is unknown is left out."""

    def __init__(self) -> None:
        self.snapshot: BotSnapshot | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        snapshot = self.snapshot
        if snapshot is None:
            return
        now = datetime.now(UTC)
        yield GaugeMetricFamily(
            "gridbot_heartbeat_age_seconds", "Since the event loop last made a snapshot",
            value=(now - snapshot.taken_at).total_seconds(),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "gridbot_start_time_seconds", "Start of the bot, Unix time",
            value=snapshot.started_at.timestamp(),
        )  # fmt: skip
        yield from _account_figures(snapshot.accounts)
        yield from _strategy_figures(snapshot.strategies, now)
        yield from _leg_figures(snapshot.strategies)


def _account_figures(accounts: tuple[AccountSnapshot, ...]) -> Iterator[Metric]:
    connected = GaugeMetricFamily(
        "gridbot_connected", "1 while all streams live", labels=["account"]
    )
    reconnects = CounterMetricFamily("gridbot_reconnects", "Of streams", labels=["account"])
    drift = GaugeMetricFamily(
        "gridbot_clock_drift_seconds", "Of this clock against the exchange's", labels=["account"]
    )
    money = GaugeMetricFamily(
        "gridbot_wallet_usdt", "Of the account, by kind", labels=["account", "kind"]
    )
    for one in accounts:
        connected.add_metric([one.name], float(one.is_connected))
        reconnects.add_metric([one.name], one.reconnects)
        if one.clock_drift_s is not None:
            drift.add_metric([one.name], one.clock_drift_s)
        for kind in ("wallet_balance", "available_balance", "equity"):
            _add(money, [one.name, kind], getattr(one, kind))
    yield from (connected, reconnects, drift, money)


def _strategy_figures(strategies: tuple[StrategySnapshot, ...], now: datetime) -> Iterator[Metric]:
    health = GaugeMetricFamily("gridbot_health", "1 for how it is", labels=[*STRATEGY, "health"])
    paused = GaugeMetricFamily("gridbot_paused", "1 while paused by hand", labels=STRATEGY)
    tick_age = GaugeMetricFamily("gridbot_tick_age_seconds", "Since the last", labels=STRATEGY)
    price = GaugeMetricFamily("gridbot_last_price_usdt", "Of the market", labels=STRATEGY)
    orders = GaugeMetricFamily("gridbot_open_orders", "Own orders", labels=[*STRATEGY, "does"])
    queued = GaugeMetricFamily("gridbot_queued_events", "Waiting for the actor", labels=STRATEGY)
    pnl = GaugeMetricFamily("gridbot_pnl_usdt", "Since the start", labels=[*STRATEGY, "kind"])
    other_fees = GaugeMetricFamily(
        "gridbot_other_fees", "Paid in coins whose price is not known", labels=[*STRATEGY, "coin"]
    )
    counts = CounterMetricFamily(
        "gridbot_orders", "By what became of them", labels=[*STRATEGY, "what"]
    )
    for one in strategies:
        labels = [one.account, one.strat_id, one.symbol]
        for kind in Health:
            health.add_metric([*labels, kind.value], float(one.health is kind))
        paused.add_metric(labels, float(one.is_paused))
        queued.add_metric(labels, one.queued_events)
        age = one.tick_age_s(now)
        if age is not None:
            tick_age.add_metric(labels, age)
        _add(price, labels, one.last_price)
        closing = sum(order.reduce_only for order in one.orders)
        orders.add_metric([*labels, "close"], closing)
        orders.add_metric([*labels, "open"], len(one.orders) - closing)
        for name in ("realised", "unrealised", "fees", "funding", "net"):
            _add(pnl, [*labels, name], getattr(one.pnl, name))
        for coin, paid in one.pnl.other_fees.items():
            _add(other_fees, [*labels, coin], paid)
        for name in ("placed", "cancelled", "rejected", "fills"):
            counts.add_metric([*labels, name], getattr(one.counts, name))
    yield from (health, paused, tick_age, price, orders, queued, pnl, other_fees, counts)


def _leg_figures(strategies: tuple[StrategySnapshot, ...]) -> Iterator[Metric]:
    size = GaugeMetricFamily("gridbot_position_size", "Of a leg, base coin", labels=LEG)
    entry = GaugeMetricFamily("gridbot_entry_price_usdt", "Of a leg", labels=LEG)
    liquidation = GaugeMetricFamily("gridbot_liquidation_price_usdt", "Of a leg", labels=LEG)
    ratio = GaugeMetricFamily("gridbot_margin_ratio", "Position value / wallet", labels=LEG)
    for one in strategies:
        for leg in (one.long, one.short):
            labels = _leg_labels(one, leg)
            _add(size, labels, leg.size)
            _add(entry, labels, leg.entry_price)
            _add(liquidation, labels, leg.liquidation_price)
            _add(ratio, labels, leg.margin_ratio)
    yield from (size, entry, liquidation, ratio)


def _leg_labels(one: StrategySnapshot, leg: LegStatus) -> list[str]:
    return [one.account, one.strat_id, one.symbol, leg.direction.value]


def _add(family: GaugeMetricFamily, labels: list[str], value: Decimal | None) -> None:
    if value is not None:
        family.add_metric(labels, float(value))
