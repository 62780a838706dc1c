"""What executions and account reports are worth: each is counted once, whoever tells it."""

from __future__ import annotations

from decimal import Decimal

from gridcore.account import AccountMirror
from gridcore.admission import Admission
from gridcore.events import AccountEvent, ExecutionEvent, ExecutionKind
from gridcore.strategy_state import SeenExecutions

ZERO = Decimal(0)


class Books:
    """Brings executions and reports to legs, wallet and the session's loss."""

    def __init__(self, account: AccountMirror, admission: Admission) -> None:
        self.account = account
        self.admission = admission
        self.executions = SeenExecutions()
        self.duplicates = 0

    def ignore(self, exec_id: str) -> bool:
        """Remember an execution that changes nothing; False when it was known."""
        if exec_id in self.executions:
            return False
        self.executions.add(exec_id)
        return True

    def book(self, event: ExecutionEvent, last_close: Decimal | None) -> Decimal | None:
        """Count an execution; return its realised profit in USDT before fees.

        None, with nothing changed, when it has been counted before. last_close is the market in
        USDT.
        """
        if event.exec_id in self.executions:
            self.duplicates += 1
            return None
        self.executions.add(event.exec_id)
        loss, fee = self.admission.loss, event.fee
        if loss.limit is not None and last_close is not None:
            # what happened after midnight belongs to the new day, whichever message is first
            loss.roll_over(self.account.unrealised_pnl(last_close), event.exchange_ts)
        if event.kind is ExecutionKind.FUNDING:
            loss.add_realised(ZERO, ZERO if fee is None else fee)
            return ZERO
        realised = self.account.fill(event)
        if fee is None:
            loss.assume_fee(event.price * event.qty)
        loss.add_realised(realised, ZERO if fee is None else fee)
        return realised

    def report(self, event: AccountEvent) -> bool:
        """Take over a report; True when a leg whose closing was stopped may close again.

        `account.corrected` has the profit that the report adds to that of earlier fills.
        """
        account, admission = self.account, self.admission
        if account.apply(event):
            admission.wallet_changed()
        if account.corrected:
            admission.loss.add_realised(account.corrected, ZERO)
        was_stopped = False
        for leg in account.confirmed:
            if admission.reduce_only[leg].is_tripped:
                admission.size_confirmed(leg, event.exchange_ts)
                was_stopped = True
        return was_stopped
