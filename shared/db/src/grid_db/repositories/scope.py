"""The tenant scope: the door to one user's rows."""

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
    """Repositories of one user on one session.

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
        self.accounts = BybitAccountRepository(session, self.user_id)
        self.strategies = StrategyRepository(session, self.user_id)
        self.runs = RunRepository(session, self.user_id)
        self.executions = PrivateExecutionRepository(session, self.user_id)
        self.orders = OrderRepository(session, self.user_id)
        self.positions = PositionSnapshotRepository(session, self.user_id)
        self.wallets = WalletSnapshotRepository(session, self.user_id)
        self.capture_gaps = CaptureGapRepository(session, self.user_id)
        self.grid_snapshots = GridSnapshotRepository(session, self.user_id)
        self.alerts = AlertRepository(session, self.user_id)

    def __repr__(self) -> str:
        return f"TenantScope(user {self.user_id})"

    def credentials(self, cipher: CredentialCipher) -> ApiCredentialRepository:
        """Return the user's credentials, to be read and written with the keys of `cipher`."""
        return ApiCredentialRepository(self._session, self.user_id, cipher)
