"""What every command line has in common: how it looks, and how it ends.

A command is two modules. The one that is run knows arguments, help and exit codes and imports
nothing else, so that `--help` answers at once; what the command does is in another one, which is
imported when it is to be done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typer

DONE, INTERRUPTED = 0, 130
# nobody reads any more: whether all was done, nobody can be told either
UNREAD = 1

ExitCodes = Mapping[type[Exception], int]


def typer_app(**settings: Any) -> typer.Typer:
    """Return an empty command line; `settings` are those of typer.Typer.

    Help is plain text: boxes and Markdown would cost as much processor time as all the rest.
    """
    import typer  # noqa: PLC0415 - commands that read their arguments by argparse do without

    return typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, **settings
    )


def run_command(
    name: str,
    work: Callable[[], object],
    codes: Callable[[], ExitCodes],
    *,
    wrong_usage: int = 1,
) -> int:
    """Parse and do the work; return the exit code.

    `codes` has the errors that are expected, and the exit code of each; the first that fits counts.
    It is asked for after an error only, as it may import what the command does. Such an error is
    told on stderr, every line with the name of the command before it; one without a text has told
    all by its exit code. Any other error is a fault of the program and is raised.

    `wrong_usage` is the exit code for arguments that cannot be used, which the parser has told. An
    interrupt ends with 130. One who reads no further (`| head`) ends the command without a word.
    """
    try:
        try:
            work()
        except SystemExit as stopped:  # also where all went well
            code = _of_parser(stopped.code, wrong_usage)
        else:
            code = DONE
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # what the buffer still holds would be tried again when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = UNREAD
    except Exception as error:
        expected = [code for kind, code in codes().items() if isinstance(error, kind)]
        if not expected:
            raise
        for line in str(error).splitlines():
            print(f"{name}: {line}", file=sys.stderr)  # noqa: T201 - a command says why it ends
        code = expected[0]
    return code


def _of_parser(code: object, wrong_usage: int) -> int:
    if code is None:
        return DONE
    # parsers complain about arguments with 2, which may mean something else here
    return code if isinstance(code, int) and code in (DONE, INTERRUPTED) else wrong_usage
