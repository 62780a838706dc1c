"""Puts an exchange together: core, protocol, faults. The one place that knows all the parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.book.account import PaperAccount
from paper_exchange.exchange.driver import Driver
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.host.faults import FaultDesk
from paper_exchange.host.server import PaperServer
from paper_exchange.market.market import FeedEvent, Market
from paper_exchange.rest.rate_limits import RateLimits
from paper_exchange.rest.rest import RestApi
from paper_exchange.stream.streams import StreamHub


@dataclass(frozen=True, slots=True)
class Assembly:
    """The parts of one exchange without sockets."""

    exchange: PaperExchange
    rest: RestApi
    hub: StreamHub
    faults: FaultDesk


def assemble(
    markets: Iterable[Market],
    accounts: Iterable[PaperAccount],
    *,
    start_ms: int,
    settings: MatchingSettings | None = None,
    limits: RateLimits | None = None,
    seed: int = 1,
    epoch: int = 0,
    ack_delay_ms: int = 20,
) -> Assembly:
    """Return an exchange with its protocol; its time is what whoever drives it says."""
    exchange = PaperExchange(markets, accounts, settings, start_ms=start_ms, seed=seed, epoch=epoch)
    rest = RestApi(exchange, limits)
    hub = StreamHub(exchange, rest, ack_delay_ms)
    faults = FaultDesk(exchange, seed)
    hub.subscriptions.deliver = faults.deliver
    rest.meddler = faults
    return Assembly(exchange, rest, hub, faults)


def serve(
    parts: Assembly,
    events: Iterator[FeedEvent],
    *,
    speed: float = 1.0,
    host: str = "127.0.0.1",
    port: int = 0,
) -> PaperServer:
    """Return a server of an exchange, not yet started; its clock becomes the machine's."""
    driver = Driver(parts.exchange, events, speed)
    parts.rest.server_ms = driver.server_ms
    return PaperServer(parts.rest, parts.hub, driver, parts.faults, host=host, port=port)
