"""Writes into crds/originrevisions.yaml the fields of a template, as crds/originservices.yaml has them.

They are copied as text, with aliases and all, so that whoever reads the one file knows the other. The words around them
are each file's own.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CRDS = ROOT / "crds"
REVISIONS = CRDS / "originrevisions.yaml"
# The field `template` of `spec`, up to its own `properties`; and these, which end where something is less indented.
_FIELDS = re.compile(
    r"(?<=\n) {14}template:\n(?: {16,}(?!properties:).*\n)*"
    r"(?P<fields> {16}properties:.*\n(?: {17,}.*\n)*)",
)


def main() -> None:
    REVISIONS.write_text(revisions())


def revisions() -> str:
    """What the file is to be."""
    text = REVISIONS.read_text()
    fields = _found((CRDS / "originservices.yaml").read_text())["fields"]
    there = _found(text)
    return text[: there.start("fields")] + fields + text[there.end("fields") :]


def _found(text: str) -> re.Match[str]:
    found = _FIELDS.search(text)
    if found is None:
        raise SystemExit("no field `template` stands where it stood; tools/crds.py has to learn where it is")
    return found


if __name__ == "__main__":
    main()
