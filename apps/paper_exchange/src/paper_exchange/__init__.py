"""A local Bybit V5 exchange (REST and WebSocket) with simulated accounts and faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import keep_former_paths, names_of

if TYPE_CHECKING:
    from paper_exchange.config import PaperConfig
    from paper_exchange.exchange.exchange import PaperExchange
    from paper_exchange.host.server import PaperServer

__all__ = ["PaperConfig", "PaperExchange", "PaperServer"]

__getattr__ = names_of(
    __name__,
    {
        "PaperConfig": "paper_exchange.config",
        "PaperExchange": "paper_exchange.exchange.exchange",
        "PaperServer": "paper_exchange.host.server",
    },
)

keep_former_paths(
    __name__,
    {
        "control": "paper_exchange.host.control",
        "basics.ret_codes": "exchange_model.rules.codes",
        "order_desk": "paper_exchange.book.order_entry",
        "rest_market": "paper_exchange.rest.rest_market",
        "ret_codes": "exchange_model.rules.codes",
        "rows": "paper_exchange.rest.rows",
        "streams": "paper_exchange.stream.streams",
    },
)
