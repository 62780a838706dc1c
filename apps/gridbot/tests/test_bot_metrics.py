"""One snapshot as figures that a monitoring reads, and whether the bot is alive."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from grid_service.endpoint import PortTakenError
from gridbot.views.metrics import BotMetrics
from gridbot.views.metrics_server import MetricsServer
from gridbot.words.snapshot import (
    Health,
)
from testkit.shown_bot import shown_bot


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


Labels = tuple[str, frozenset[str]]


def at(name: str, *labels: str) -> Labels:
    return name, frozenset(labels)


def samples(text: str) -> dict[Labels, float]:
    return {
        at(one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_metrics_show_what_a_trader_asks() -> None:
    metrics = BotMetrics()
    server = MetricsServer(metrics.registry, lambda: metrics.snapshot, port=0)
    server.start()
    try:
        assert get(server.port, "/healthz") == (503, '{"state": "starting"}\n')
        metrics.show(shown_bot(datetime.now(UTC)))
        metrics.rest_seconds.labels("place_order", "ok").observe(0.02)
        metrics.alerts.labels("stream_down").inc()
        metrics.exceptions.labels("stream").inc()
        metrics.refusals.labels("btc", "balance").inc()
        metrics.retries.labels("btc").inc()
        metrics.decision_seconds.labels("btc").observe(0.001)
        status, text = get(server.port, "/metrics")
        assert status == 200
        found = samples(text)
        btc = ("main", "btc", "BTCUSDT")
        assert found[at("gridbot_health", *btc, "blocked")] == 1
        assert found[at("gridbot_health", *btc, "healthy")] == 0
        assert found[at("gridbot_paused", *btc)] == 1
        assert found[at("gridbot_open_orders", *btc, "close")] == 1
        assert found[at("gridbot_open_orders", *btc, "open")] == 2
        assert found[at("gridbot_orders_total", *btc, "fills")] == 6
        assert found[at("gridbot_pnl_usdt", *btc, "net")] == 14.501
        assert at("gridbot_other_fees", *btc, "MNT") not in found
        assert found[at("gridbot_position_size", *btc, "long")] == 0.01
        assert found[at("gridbot_wallet_usdt", "main", "equity")] == 10015.501
        assert at("gridbot_wallet_usdt", "main", "available_balance") not in found
        assert at("gridbot_last_price_usdt", "main", "eth", "ETHUSDT") not in found
        one = shown_bot(datetime.now(UTC)).strategies[0]
        mnt = replace(one, pnl=replace(one.pnl, other_fees={"MNT": Decimal("0.0145")}))
        metrics.show(replace(shown_bot(datetime.now(UTC)), strategies=(mnt,)))
        found = samples(get(server.port, "/metrics")[1])
        assert found[at("gridbot_other_fees", *btc, "MNT")] == 0.0145
        assert found[at("gridbot_reconnects_total", "main")] == 2
        assert found[at("gridbot_rest_seconds_count", "place_order", "ok")] == 1
        assert found[at("gridbot_alerts_total", "stream_down")] == 1
        assert 2.9 < found[at("gridbot_tick_age_seconds", *btc)] < 30
        assert get(server.port, "/elsewhere")[0] == 404
    finally:
        server.close()
    server.close()
    assert server.port == 0


def test_health_follows_the_heartbeat() -> None:
    shown = [shown_bot(datetime.now(UTC))]
    server = MetricsServer(BotMetrics().registry, lambda: shown[0], port=0, stale_after_s=30)
    server.start()
    try:
        status, text = get(server.port, "/healthz")
        assert status == 200
        assert json.loads(text)["strategies"] == {"btc": "blocked", "eth": "healthy"}
        old = shown_bot(datetime.now(UTC) - timedelta(seconds=31))
        shown[0] = old
        status, text = get(server.port, "/healthz")
        assert (status, json.loads(text)["state"]) == (503, "stale")
        stopped = shown_bot(datetime.now(UTC))
        ended = tuple(replace(one, health=Health.STOPPED) for one in stopped.strategies)
        shown[0] = replace(stopped, strategies=ended)
        status, text = get(server.port, "/healthz")
        assert (status, json.loads(text)["state"]) == (503, "stopped")
    finally:
        server.close()


def test_readers_that_say_nothing_do_not_keep_others_out() -> None:
    metrics = BotMetrics()
    server = MetricsServer(metrics.registry, lambda: shown_bot(datetime.now(UTC)), port=0)
    server.start()
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    try:
        assert get(server.port, "/healthz")[0] == 200
        other = MetricsServer(metrics.registry, lambda: None, port=server.port)
        with pytest.raises(PortTakenError, match="set another metrics_port"):
            other.start()
    finally:
        for one in silent:
            one.close()
        server.close()
