"""Where the database is. One object, from the environment or from keyword arguments."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from grid_db.errors import DatabaseConfigError
from grid_db.urls import checked_url, parse_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


class DatabaseType(StrEnum):
    """Databases that this library runs on."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class DatabaseSettings(BaseSettings):
    """Connection settings; environment variables carry the prefix GRIDBOT_.

    `database_url` wins over the parts. It is a secret because it may hold a password.

    - GRIDBOT_DATABASE_URL: sqlite:///file.db or postgresql://user:password@host:5432/name
    - GRIDBOT_DB_TYPE: sqlite (default) or postgresql
    - GRIDBOT_DB_NAME: file of SQLite or name of the database (default gridbot.db)
    - GRIDBOT_DB_HOST, GRIDBOT_DB_PORT, GRIDBOT_DB_USER, GRIDBOT_DB_PASSWORD: PostgreSQL only;
      the password is taken as it is, nothing needs encoding
    """

    model_config = SettingsConfigDict(
        env_prefix="GRIDBOT_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = None
    db_type: DatabaseType = DatabaseType.SQLITE
    db_name: str = "gridbot.db"
    db_host: str = "localhost"
    db_port: int = 5432
    db_user: str | None = None
    db_password: SecretStr | None = None

    def url(self) -> URL:
        """Return the URL to connect to. Raises DatabaseConfigError, without any secret."""
        # a configuration is declared without it
        from sqlalchemy.engine import URL  # noqa: PLC0415

        if self.database_url is not None:
            return parse_url(self.database_url.get_secret_value().strip())
        if not self.db_name:
            raise DatabaseConfigError("GRIDBOT_DB_NAME is empty; name a file or a database")
        if self.db_type is DatabaseType.SQLITE:
            return checked_url(URL.create("sqlite", database=self.db_name))
        if not self.db_user:
            raise DatabaseConfigError(
                "GRIDBOT_DB_TYPE is postgresql but there is no user; set GRIDBOT_DB_USER"
            )
        # a URL has no room for a path where the host is, so a socket's folder is a parameter
        is_socket = self.db_host.startswith("/")
        place = {"host": self.db_host, "port": str(self.db_port)}
        return checked_url(
            URL.create(
                "postgresql",
                username=self.db_user,
                password=self.db_password.get_secret_value() if self.db_password else None,
                host=None if is_socket else self.db_host,
                port=None if is_socket else self.db_port,
                database=self.db_name,
                query=place if is_socket else {},
            )
        )
