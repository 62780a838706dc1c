"""What answers of the exchange ask for that say more than that one order failed."""

from __future__ import annotations

from typing import Protocol

from bybit_adapter import BybitError
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.session.contract_pauses import ContractPauses
from gridbot.session.reconciler import Reconciler
from gridcore import DirectionType, Intent, PlaceLimitIntent


class KeyOwner(Protocol):
    """The account whose key the exchange may refuse."""

    def auth_failed(self, error: BybitError) -> None: ...


class OutcomeHandler:
    """Acts on the answers to one strategy's commands."""

    def __init__(
        self,
        runner: StrategyRunner,
        account: KeyOwner,
        reconciler: Reconciler,
        pauses: ContractPauses,
        alerts: Alerts,
    ) -> None:
        self._runner = runner
        self._account = account
        self._reconciler = reconciler
        self._pauses = pauses
        self._alerts = alerts

    def auth_failed(self, error: BybitError) -> None:
        """Stop the account."""
        self._account.auth_failed(error)

    def leg_in_doubt(self, direction: DirectionType) -> None:
        """Ask for the size of a leg before the next closing order."""
        self._reconciler.request(self._runner, f"the {direction} leg is in doubt")

    def wallet_in_doubt(self) -> None:
        """Ask for the wallet."""
        self._reconciler.wallet_in_doubt()
        self._reconciler.request(self._runner, "the balance is in doubt")

    def trading_paused(self, error: BybitError) -> None:
        """Hold the strategy of this contract."""
        self._pauses.begin(self._runner, error)

    def trading_goes_on(self) -> None:
        """An order was taken."""
        self._pauses.order_taken(self._runner.symbol)

    def order_refused(self, intent: Intent, error: BybitError) -> None:
        """Tell of an order that the exchange refuses, and look what is wrong."""
        if self._runner.occasions.is_new(f"refused: {error.code or error.message}"):
            code = "" if error.code is None else f" (code {error.code})"
            self._alert(
                AlertKey.ORDER_REJECTED,
                f"{intent.side.value} at {intent.price}: {error.message}{code}",
            )
        self.orders_in_doubt()

    def unresolved(self, intent: PlaceLimitIntent, seconds: float) -> None:
        """Tell of an order of which nobody knows whether it exists."""
        if self._runner.occasions.is_new("unresolved"):
            self._alert(
                AlertKey.AMBIGUOUS_UNRESOLVED,
                f"whether {intent.side.value} at {intent.price} exists is not known for"
                f" {seconds:.0f} s; its place stays taken until the exchange answers",
            )

    def orders_in_doubt(self) -> None:
        """Compare the orders."""
        self._reconciler.request(self._runner, "orders are in doubt")

    def failed(self, error: BaseException) -> None:
        """Stop the strategy: what became of an order is not known, a start finds out."""
        self._runner.stop(f"a command failed unexpectedly: {type(error).__name__}: {error}")

    def _alert(self, key: AlertKey, text: str) -> None:
        strat_id = self._runner.strat_id
        self._alerts.alert(key, f"{strat_id}: {text}", about=strat_id)
