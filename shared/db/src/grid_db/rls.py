"""Row-level security on PostgreSQL: tenants kept apart below the library.

Two roles without login, shared by all databases of a server:

- `grid_db_app` reads and writes the rows of the current user, `grid_db.user_id`, and market data.
  Every transaction of a TenantScope takes this role on, whoever logged in.
- `grid_db_admin` sees all rows. Whoever runs the migrations becomes a member.

FORCE makes the policies hold for the owner of the tables as well; only a superuser who takes on no
role, and a role with BYPASSRLS, are outside them.
"""

from collections.abc import Iterable, Iterator

APP_ROLE = "grid_db_app"
ADMIN_ROLE = "grid_db_admin"
USER_SETTING = "grid_db.user_id"

# What set_config has not set reads as NULL, and after a transaction that did as ''; both match none
_CURRENT_USER = f"current_setting('{USER_SETTING}', true)"


def create_roles() -> Iterator[str]:
    """Yield the statements that make both roles, harmless where they exist."""
    for role in (APP_ROLE, ADMIN_ROLE):
        yield (
            "DO $$ BEGIN"
            f" IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN"
            f" CREATE ROLE {role} NOLOGIN; END IF;"
            " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;"
            " END $$"
        )
        # a superuser is a member of everything; any other needs the grant to take the role on
        yield (
            "DO $$ BEGIN"  # noqa: S608 - names of our own roles
            " IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
            f" AND NOT pg_has_role(current_user, '{role}', 'USAGE') THEN"
            f" EXECUTE format('GRANT {role} TO %I', current_user); END IF; END $$"
        )
    yield f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}, {ADMIN_ROLE}"


def share_tables(tables: Iterable[str]) -> Iterator[str]:
    """Yield the grants on market data, which every tenant reads and writes."""
    for table in tables:
        yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE}, {ADMIN_ROLE}"


def protect_table(table: str, owner_column: str) -> Iterator[str]:
    """Yield the statements that give each row of `table` to the user in `owner_column`."""
    yield from share_tables([table])
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    mine = f"{owner_column} = {_CURRENT_USER}"
    yield f"CREATE POLICY tenant ON {table} TO {APP_ROLE} USING ({mine}) WITH CHECK ({mine})"
    yield f"CREATE POLICY administrator ON {table} TO {ADMIN_ROLE} USING (true) WITH CHECK (true)"


def share_unowned(table: str, owner_column: str) -> str:
    """Return the policy that lets every tenant read and write the rows that nobody owns."""
    nobody = f"{owner_column} IS NULL"
    return f"CREATE POLICY market ON {table} TO {APP_ROLE} USING ({nobody}) WITH CHECK ({nobody})"


def read_only(tables: Iterable[str]) -> Iterator[str]:
    """Yield what keeps a tenant from changing `tables`; administrators do that."""
    for table in tables:
        yield f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {APP_ROLE}"


def share_sequences() -> str:
    """Return the grant that lets both roles draw row numbers."""
    return f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {APP_ROLE}, {ADMIN_ROLE}"


def unprotect_table(table: str, *policies: str) -> Iterator[str]:
    """Yield the statements that undo `protect_table` and the other policies named."""
    for policy in ("tenant", "administrator", *policies):
        yield f"DROP POLICY {policy} ON {table}"
    yield f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"


def withdraw_grants() -> Iterator[str]:
    """Yield the statements that take this database's grants back.

    The roles stay: they belong to the server, where other databases may use them.
    """
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {APP_ROLE}, {ADMIN_ROLE}"
    yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {APP_ROLE}, {ADMIN_ROLE}"
    yield f"REVOKE USAGE ON SCHEMA public FROM {APP_ROLE}, {ADMIN_ROLE}"
