"""Row-level security on PostgreSQL: tenants kept apart below the library.

Three roles without login, shared by all databases of a server:

- `grid_db_tenant` is for logins of one tenant each. Which tenant, `tenant_logins` says by the name
  of the login (`session_user`), which nothing that a tenant may run changes: neither SET ROLE nor
  set_config, neither a function nor a shadowing name.
- `grid_db_app` is for trusted logins, which serve many users: it reads and writes the rows of the
  user that the transaction names, `grid_db.user_id`. Every TenantScope of a trusted login takes
  this role on. It guards against mistakes; whoever runs SQL of their own there can name another
  user.
- `grid_db_admin` sees all rows. Whoever runs the migrations becomes a member.

FORCE makes the policies hold for the owner of the tables as well; only a superuser who takes on no
role, and a role with BYPASSRLS, are outside them.
"""

from collections.abc import Iterable, Iterator, Sequence

APP_ROLE = "grid_db_app"
ADMIN_ROLE = "grid_db_admin"
TENANT_ROLE = "grid_db_tenant"
# PostgreSQL's alone, so it is none of the models. With its schema, for a temporary table of that
# name would be found first.
LOGINS_TABLE = "tenant_logins"
LOGINS = f"public.{LOGINS_TABLE}"
USER_SETTING = "grid_db.user_id"

# What set_config has not set reads as NULL, and after a transaction that did as ''; both match none
_CURRENT_USER = f"current_setting('{USER_SETTING}', true)"
# A query of its own, so that it is asked once a statement and not once a row
_LOGIN_USER = f"(SELECT user_id FROM {LOGINS} WHERE login = session_user::text)"  # noqa: S608 - a name of our own

# What a tenant's login may delete itself; everything else goes with its account or its strategy.
# Who may delete from a table may also lock it, so these are as few as the repositories need.
DELETED_BY_TENANTS = ("bybit_accounts", "api_credentials", "strategies", "grid_snapshots")


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


def create_tenant_role() -> str:
    """Return the statement that makes the role of tenants' logins, harmless where it exists."""
    return (
        "DO $$ BEGIN"
        f" IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{TENANT_ROLE}') THEN"
        f" CREATE ROLE {TENANT_ROLE} NOLOGIN; END IF;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;"
        " WHEN insufficient_privilege THEN RAISE EXCEPTION"
        f" 'the role {TENANT_ROLE} is missing and % may not create roles; let an administrator of"
        f" the server run CREATE ROLE {TENANT_ROLE} NOLOGIN first', session_user;"
        " END $$"
    )


def know_logins() -> Iterator[str]:
    """Yield the statements by which a login learns whose it is, and administrators decide it."""
    # the name is kept as well: a tenant may not look names up in the table of users
    yield (
        f"CREATE TABLE {LOGINS} ("
        " login varchar(63) NOT NULL, user_id varchar(36) NOT NULL,"
        " user_name varchar(100) NOT NULL, created_at timestamptz NOT NULL,"
        f" CONSTRAINT pk_{LOGINS_TABLE} PRIMARY KEY (login),"
        f" CONSTRAINT fk_{LOGINS_TABLE}_user_id FOREIGN KEY (user_id)"
        " REFERENCES public.users (id) ON DELETE CASCADE)"
    )
    yield f"GRANT USAGE ON SCHEMA public TO {TENANT_ROLE}"
    yield f"GRANT SELECT ON {LOGINS} TO {TENANT_ROLE}, {APP_ROLE}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {LOGINS} TO {ADMIN_ROLE}"
    yield f"ALTER TABLE {LOGINS} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {LOGINS} FORCE ROW LEVEL SECURITY"
    yield (
        f"CREATE POLICY login ON {LOGINS} FOR SELECT TO {TENANT_ROLE}, {APP_ROLE}"
        " USING (login = session_user::text)"
    )
    yield f"CREATE POLICY administrator ON {LOGINS} TO {ADMIN_ROLE} USING (true) WITH CHECK (true)"


def know_user(table: str = "users") -> Iterator[str]:
    """Yield what a login sees of its user.

    Not the name: its index would tell, by the plan of a search, whether there is a user so named.
    """
    yield f"GRANT SELECT (id, created_at) ON {table} TO {TENANT_ROLE}"
    yield f"CREATE POLICY login ON {table} FOR SELECT TO {TENANT_ROLE} USING (id = {_LOGIN_USER})"


def give_to_logins(table: str, columns: Sequence[str], *, numbered: bool) -> Iterator[str]:
    """Yield the statements that give each row of `table` to the login of its user.

    `columns` are all of the table. Where the database numbers the rows, no number can be given: one
    that is taken, or will be, is another's business.
    """
    inserted = ", ".join(name for name in columns if not (numbered and name == "id"))
    updated = ", ".join(name for name in columns if name not in ("id", "user_id"))
    yield f"GRANT SELECT, INSERT ({inserted}), UPDATE ({updated}) ON {table} TO {TENANT_ROLE}"
    if table in DELETED_BY_TENANTS:
        yield f"GRANT DELETE ON {table} TO {TENANT_ROLE}"
    mine = f"user_id = {_LOGIN_USER}"
    yield f"CREATE POLICY login ON {table} TO {TENANT_ROLE} USING ({mine}) WITH CHECK ({mine})"


def show_to_logins(tables: Iterable[str]) -> Iterator[str]:
    """Yield the grants by which tenants' logins read what all share, and change none of it."""
    for table in tables:
        yield f"GRANT SELECT ON {table} TO {TENANT_ROLE}"


def show_unowned(table: str) -> str:
    """Return the policy by which tenants' logins read the rows of `table` that nobody owns."""
    return f"CREATE POLICY shared ON {table} FOR SELECT TO {TENANT_ROLE} USING (user_id IS NULL)"


def forget_logins(tables: Iterable[str]) -> Iterator[str]:
    """Yield the statements that take back all that tenants' logins may do with `tables`.

    The role stays, and so do the logins: they belong to the server.
    """
    for table in tables:
        yield f"DROP POLICY IF EXISTS login ON {table}"
        yield f"DROP POLICY IF EXISTS shared ON {table}"
    yield f"DROP TABLE {LOGINS}"
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {TENANT_ROLE}"
    yield f"REVOKE USAGE ON SCHEMA public FROM {TENANT_ROLE}"
