"""A command line's parser that says what is wrong with it in one line."""

import argparse
from typing import NoReturn

from ser_edge.errors import printable


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, without the usage before an error: eight lines of options hide the one that helps."""

    source = ""  # what an error begins with: where the arguments are, if not on the command line
    hint = ""  # what else is to be looked at

    def error(self, message: str) -> NoReturn:
        """Ends the process with exit code 2, and a line on standard error."""
        self.exit(2, f"{self.prog}: error: {self.source}{printable(message)} (see {self.prog} --help{self.hint})\n")
