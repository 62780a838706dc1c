"""`python -m grid_db.tenant_login`: database logins that serve one user each (PostgreSQL)."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from grid_db.command_line import add_command, open_database, parser, run


def command_line() -> argparse.ArgumentParser:
    """Return the command line."""
    made = parser(
        "grid_db.tenant_login",
        "Make, list and drop PostgreSQL logins that serve one user each. The database URL is an"
        " administrator's (a superuser, or a role with CREATEROLE that ran the migrations).",
        example=" create alice alice_bot --password-file alice.txt",
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    new = add_command(commands, "create", "make LOGIN the login of USER, both made if need be")
    new.add_argument("user", metavar="USER", help="name of the user, as in the bot's file")
    new.add_argument("login", metavar="LOGIN", help="name of the login; all logins can see it")
    new.add_argument(
        "--keep-password", action="store_true", help="for a LOGIN that is there already"
    )
    new.add_argument(
        "--connections", type=int, default=20, metavar="N",
        help="most connections at a time (default: %(default)s; -1: any number)",
    )  # fmt: skip
    add_command(commands, "list", "show the logins of tenants, and what is wrong with them")
    change = add_command(commands, "password", "give LOGIN another password")
    gone = add_command(commands, "drop", "drop LOGIN; the user's rows stay")
    for one in (change, gone):
        one.add_argument("login", metavar="LOGIN", help="name of the login")
    for one in (new, change):
        one.add_argument(
            "--password-file", type=Path, metavar="FILE",
            help="read the password from FILE, or make one there if FILE is not there; without it"
            " the password is asked for",
        )  # fmt: skip
    return made


def act(args: argparse.Namespace) -> str:
    """Do what the command line says and return a sentence about it. Raises GridDbError."""
    # imported when there is something to do, so that --help answers at once
    from grid_db import login_actions  # noqa: PLC0415

    with open_database(args.database_url) as database:
        match args.command:
            case "create":
                kept = args.keep_password
                password = None if kept else login_actions.password_of(args.password_file)
                return login_actions.create(
                    database, args.user, args.login, password, args.connections
                )
            case "password":
                return login_actions.change_password(
                    database, args.login, login_actions.password_of(args.password_file)
                )
            case "drop":
                return login_actions.drop(database, args.login)
            case _:
                return login_actions.listing(database)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run("tenant_login", lambda: command_line().parse_args(argv), act)


if __name__ == "__main__":
    sys.exit(main())
