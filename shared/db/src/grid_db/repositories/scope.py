"""The tenant scope: the door to one user's rows."""

from functools import cached_property
from uuid import UUID

from sqlalchemy.orm import Session

from grid_db.crypto import CredentialCipher
from grid_db.repositories.accounts import BybitAccountRepository
from grid_db.repositories.credentials import ApiCredentialRepository
from grid_db.repositories.executions import PrivateExecutionRepository
from grid_db.repositories.gaps import CaptureGapRepository
from grid_db.repositories.journal import AlertRepository, GridSnapshotRepository
from grid_db.repositories.orders import OrderRepository
from grid_db.repositories.runs import RunRepository
from grid_db.repositories.snapshots import PositionSnapshotRepository, WalletSnapshotRepository
from grid_db.repositories.strategies import StrategyRepository
from grid_db.tenancy import bind_session


class TenantScope:
    """Repositories of one user on one session, each made when it is first asked for.

        with database.get_session() as session:
            scope = TenantScope(session, user_id)
            scope.executions.bulk_insert(records)

    The session serves that user until it is closed; raises TenantError if it already serves
    another. On PostgreSQL its transactions run as the application role under row-level security.
    An unknown user has no rows, and none can be written for it.
    """

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        self.user_id = bind_session(session, user_id)
        self._session = session

    def __repr__(self) -> str:
        return f"TenantScope(user {self.user_id})"

    @cached_property
    def accounts(self) -> BybitAccountRepository:
        """Exchange accounts."""
        return BybitAccountRepository(self._session, self.user_id)

    @cached_property
    def strategies(self) -> StrategyRepository:
        """Strategies of the accounts."""
        return StrategyRepository(self._session, self.user_id)

    @cached_property
    def runs(self) -> RunRepository:
        """Starts of strategies and recordings."""
        return RunRepository(self._session, self.user_id)

    @cached_property
    def executions(self) -> PrivateExecutionRepository:
        """Executions."""
        return PrivateExecutionRepository(self._session, self.user_id)

    @cached_property
    def orders(self) -> OrderRepository:
        """States of orders."""
        return OrderRepository(self._session, self.user_id)

    @cached_property
    def positions(self) -> PositionSnapshotRepository:
        """Positions, moment by moment."""
        return PositionSnapshotRepository(self._session, self.user_id)

    @cached_property
    def wallets(self) -> WalletSnapshotRepository:
        """Wallets, moment by moment."""
        return WalletSnapshotRepository(self._session, self.user_id)

    @cached_property
    def capture_gaps(self) -> CaptureGapRepository:
        """What private streams missed."""
        return CaptureGapRepository(self._session, self.user_id)

    @cached_property
    def grid_snapshots(self) -> GridSnapshotRepository:
        """States of grids."""
        return GridSnapshotRepository(self._session, self.user_id)

    @cached_property
    def alerts(self) -> AlertRepository:
        """What somebody was told."""
        return AlertRepository(self._session, self.user_id)

    def credentials(self, cipher: CredentialCipher) -> ApiCredentialRepository:
        """Return the user's credentials, to be read and written with the keys of `cipher`."""
        return ApiCredentialRepository(self._session, self.user_id, cipher)
