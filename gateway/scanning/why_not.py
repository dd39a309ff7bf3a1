"""Why a scan or a probe could not be done: said, and as an exit code."""

from typing import TextIO

from config.errors import ConfigError, LineError
from gateway.checking.check import print_problems
from gateway.exit_codes import Exit
from gateway.scanning.target import NoTargetError
from gateway.scanning.through_daemon import NoVisitError
from gateway.scanning.written import NotWrittenError

NotDone = ConfigError | NoTargetError | NoVisitError | NotWrittenError | LineError | ValueError
NOT_DONE = (ConfigError, NoTargetError, NoVisitError, NotWrittenError, LineError, ValueError)


def say_why(error: NotDone, err: TextIO) -> int:
    """Print it; gives the exit code."""
    if isinstance(error, ConfigError):
        print_problems(error, err)
        return Exit.CONFIG
    print(f"the daemon: {error}" if isinstance(error, NoVisitError) else error, file=err)
    if isinstance(error, NoVisitError):
        return Exit.UNAVAILABLE
    if isinstance(error, NotWrittenError):
        return Exit.DENIED if error.is_denied else Exit.DISK
    if isinstance(error, LineError):
        return Exit.DENIED if "may not be opened" in str(error) else Exit.UNAVAILABLE
    return Exit.USAGE

