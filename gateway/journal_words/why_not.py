"""Why a word of the command could not look into the journal: said, and as an exit code."""

import sys

from config.errors import ConfigError
from gateway.checking.check import print_problems
from gateway.exit_codes import Exit
from gateway.journal.reading import NoJournal, NoRight
from gateway.journal.writer import JournalError

NoLook = ConfigError | NoJournal | NoRight | JournalError
NO_LOOK = (ConfigError, NoJournal, NoRight, JournalError)


def say_why(error: NoLook) -> int:
    """Print it; gives the exit code."""
    if isinstance(error, ConfigError):
        print_problems(error, sys.stderr)
        return Exit.CONFIG
    print(error, file=sys.stderr)
    return Exit.UNAVAILABLE if isinstance(error, NoJournal) else Exit.DENIED if isinstance(error, NoRight) else Exit.DISK
