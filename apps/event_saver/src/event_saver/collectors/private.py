"""Executions, orders, positions and wallet of one account."""

from __future__ import annotations

from collections.abc import Callable

from bybit_adapter import PrivateWebSocketClient, StreamKind, StreamTiming
from event_saver.accounts.contexts import AccountContext
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.collectors.stream import OnGap, StreamCollector
from event_saver.writers import WriterSet
from grid_db import CaptureStream

STATE_STREAMS = (CaptureStream.POSITIONS, CaptureStream.WALLET)
RUN_STREAMS = (CaptureStream.EXECUTIONS, CaptureStream.ORDERS)


class PrivateCollector(StreamCollector):
    """One account over one connection, its own keys and environment; other symbols are ignored.

    Without symbols none is ignored. An owner without a run keeps positions and wallet only.
    """

    def __init__(
        self,
        context: AccountContext,
        writers: WriterSet,
        progress: Progress,
        *,
        on_gap: OnGap,
        on_doubt: Callable[[], None],
        timing: StreamTiming | None = None,
    ) -> None:
        self._context = context
        self._timing = timing
        owner = context.owner
        kept = {StreamKind.POSITION: writers.positions, StreamKind.WALLET: writers.wallets}
        streams: tuple[CaptureStream, ...] = STATE_STREAMS
        if owner.run_id is not None:
            kept |= {StreamKind.EXECUTION: writers.executions, StreamKind.ORDER: writers.orders}
            streams = (*RUN_STREAMS, *STATE_STREAMS)
        super().__init__(
            f"account {owner.account_id}",
            [StreamKey(stream, account_id=owner.account_id) for stream in streams],
            kept,
            progress,
            owner=owner,
            symbols=context.symbols,
            on_gap=on_gap,
            on_doubt=on_doubt,
        )

    def _make_client(self) -> PrivateWebSocketClient:
        return PrivateWebSocketClient(
            self._context.api_key,
            self._context.api_secret,
            self._context.place,
            on_event=self._queue.put,
            on_disconnect=self._lost,
            on_reconnect=self._back,
            on_malformed=self._malformed,
            tags=None,  # rows are made of records
            timing=self._timing,
        )
