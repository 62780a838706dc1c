"""Who hears which topic. Listens to the exchange and tells whoever subscribed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from gridcore import DirectionType
from paper_exchange.basics.wire import Row
from paper_exchange.book.account import PaperAccount
from paper_exchange.book.orders import ExecType, PaperExecution, PaperOrder
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.market.listing import ContractStatus
from paper_exchange.market.market import Market, PublicTrade
from paper_exchange.rest.rows import (
    execution_frame_row,
    fast_execution_row,
    order_frame_row,
    position_frame_rows,
    wallet_row,
)
from paper_exchange.stream.public_topics import PublicTopic, make_topic
from paper_exchange.stream.session import Channel, StreamSession

PRIVATE_TOPICS = ("order", "execution", "execution.fast", "position", "wallet")
DCP_TOPIC = "dcp.future"
MOST_ARGS = 21_000  # characters of args per public connection


class TopicListeners:
    """All topics with their listeners."""

    def __init__(self, exchange: PaperExchange) -> None:
        self.exchange = exchange
        # how a frame goes to a connection; faults lose, double and reorder there
        self.deliver: Callable[[StreamSession, bytes], None] = StreamSession.send_if_open
        self.frames = 0
        self._public: dict[str, tuple[PublicTopic, dict[str, StreamSession]]] = {}
        self._of_market: dict[str, list[PublicTopic]] = {}
        self._private: dict[tuple[str, str], dict[str, dict[str, StreamSession]]] = {}
        exchange.listen(self)

    def check(self, session: StreamSession, args: list[str]) -> None:
        """Take note of topics that are asked for. Raises RefusalError for unknown ones."""
        if session.channel is Channel.PUBLIC:
            session.args_length += sum(len(arg) for arg in args)
            if session.args_length > MOST_ARGS:
                raise parameter_error(f"more than {MOST_ARGS} characters of topics")
            wrong = [arg for arg in args if not self._public_topic(arg)]
        else:
            if session.account is None:
                raise parameter_error("Request not authorized")
            wrong = [arg for arg in args if private_base(arg) is None and arg != DCP_TOPIC]
        if wrong:
            for arg in args:
                self._drop_if_unheard(arg)
            raise RefusalError(
                RetCode.PARAMETER_ERROR, f"error:handler not found,topic:{wrong[0][:100]}"
            )

    def begin(self, session: StreamSession, args: list[str]) -> None:
        """Tell a connection of topics from now on; public ones begin with a snapshot."""
        for arg in args:
            session.topics[arg] = None
            if session.channel is Channel.PUBLIC:
                # whoever else heard it may have left meanwhile, the contract may have closed
                if not self._public_topic(arg):
                    continue
                topic, listeners = self._public[arg]
                listeners[session.conn_id] = session
                for frame in topic.snapshot():
                    session.rows[arg] += 1
                    self.deliver(session, frame)
                topic.market_changed()
                continue
            base = private_base(arg)
            if base is not None and session.account is not None:
                names = self._private.setdefault((session.account.name, base), {})
                names.setdefault(arg, {})[session.conn_id] = session

    def _public_topic(self, name: str) -> bool:
        """Tell whether there is such a topic; it begins with the first look at it."""
        if name in self._public:
            market = self.exchange.markets[name.rpartition(".")[2]]
            return market.status != ContractStatus.CLOSED
        listeners: dict[str, StreamSession] = {}
        topic = make_topic(
            name, self.exchange, lambda frame, rows: self._push(listeners, name, frame, rows)
        )
        if topic is None:
            return False
        self._public[name] = topic, listeners
        self._of_market.setdefault(name.rpartition(".")[2], []).append(topic)
        return True

    def end(self, session: StreamSession, name: str) -> None:
        """Tell a connection nothing more of a topic."""
        if session.channel is Channel.PUBLIC:
            known = self._public.get(name)
            if known is not None:
                known[1].pop(session.conn_id, None)
                self._drop_if_unheard(name)
            return
        base = private_base(name)
        if base is not None and session.account is not None:
            names = self._private.get((session.account.name, base), {})
            names.get(name, {}).pop(session.conn_id, None)

    def _drop_if_unheard(self, name: str) -> None:
        """Forget a public topic that nobody hears; its next listener makes it start afresh."""
        known = self._public.get(name)
        if known is not None and not known[1]:
            del self._public[name]
            self._of_market[name.rpartition(".")[2]].remove(known[0])

    # what the exchange says

    def _push(
        self, listeners: Mapping[str, StreamSession], topic: str, frame: bytes, rows: int
    ) -> None:
        for session in tuple(listeners.values()):
            self.frames += 1
            session.rows[topic] += rows
            self.deliver(session, frame)

    def on_trade(self, market: Market, trade: PublicTrade) -> None:
        for topic in self._of_market.get(market.symbol, ()):
            topic.traded(trade)

    def on_market(self, market: Market) -> None:
        for topic in self._of_market.get(market.symbol, ()):
            topic.market_changed()

    def _tell(self, account: PaperAccount, base: str, rows: Callable[[], list[Row]]) -> None:
        names = self._private.get((account.name, base))
        if not names or not any(names.values()):
            return
        data = rows()
        for name, listeners in names.items():
            if not listeners:
                continue
            frame: Row = {"topic": name, "creationTime": self.exchange.now_ms, "data": data}
            if base != "execution.fast":
                frame = {"id": f"{account.uid}_{self.exchange.ids.number()}", **frame}
            self._push(listeners, name, orjson.dumps(frame), len(data))

    def on_order(self, account: PaperAccount, order: PaperOrder) -> None:
        listing = self.exchange.markets[order.symbol].listing
        self._tell(account, "order", lambda: [order_frame_row(order, listing)])

    def on_execution(self, account: PaperAccount, execution: PaperExecution) -> None:
        listing = self.exchange.markets[execution.symbol].listing
        self._tell(account, "execution", lambda: [execution_frame_row(execution, listing)])
        if execution.exec_type is ExecType.TRADE:
            self._tell(account, "execution.fast", lambda: [fast_execution_row(execution, listing)])

    def on_position(
        self, account: PaperAccount, symbol: str, legs: tuple[DirectionType, ...]
    ) -> None:
        market = self.exchange.markets[symbol]
        self._tell(account, "position", lambda: position_frame_rows(account, market, legs))

    def on_wallet(self, account: PaperAccount) -> None:
        self._tell(account, "wallet", lambda: [wallet_row(account)])


def private_base(name: str) -> str | None:
    """Return the private topic that a name means, None for an unknown one."""
    base = name.removesuffix(".linear")
    return base if base in PRIVATE_TOPICS else None
