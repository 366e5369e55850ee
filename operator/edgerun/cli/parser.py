"""Command lines that cannot be read: with what was probably meant, which argparse tells from Python 3.14 on."""

import argparse
import re
from typing import NoReturn

_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """Parsers of subcommands are of the same class."""

    def error(self, message: str) -> NoReturn:
        from ..api.structure import near

        found = _CHOICE.search(message)
        meant = near(found[1], re.findall(r"[\w-]+", found[2])) if found else ""
        super().error(f"{message}; did you mean {meant}?" if meant else message)
