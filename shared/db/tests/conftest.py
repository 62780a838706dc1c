"""Both databases for every test here."""

from grid_db.testing import database, empty_database, postgres_server, sqlite_template

__all__ = ["database", "empty_database", "postgres_server", "sqlite_template"]
