"""The README's table of operations: ``.venv/bin/python -m tests.contract.table`` rewrites it.

An operation is done in a form when its calls (``test_operations.py``) show what the reference
prints; ``test_readme.py`` compares the README with what they showed.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from api.wire.call import Format
from tests.contract.reference import ALL

README = Path(__file__).parents[2] / "README.md"
START, END = "<!-- operations: written by tests/contract/table.py -->\n", "<!-- end -->\n"


def table(failed: Collection[tuple[str, Format]] = ()) -> str:
    """The table's lines. ``failed``: operations whose answer in a form is not as printed."""
    lines = ["| operation | request | JSON | XML |\n", "|---|---|---|---|\n"]
    for operation in ALL:
        forms = ["not yet" if (operation.id, form) in failed else "done" for form in Format]
        path = operation.path.removeprefix("/v1.1/{tenant_id}")
        path += f" `{operation.action}`" if operation.action else ""
        lines.append(f"| {operation.title} | {operation.method} {path} | {' | '.join(forms)} |\n")
    return "".join(lines)


def parts() -> tuple[str, str, str]:
    """The README before, in, and behind the table. Raises ValueError without the markers."""
    text = README.read_text()
    start, end = text.index(START) + len(START), text.index(END)
    return text[:start], text[start:end], text[end:]


if __name__ == "__main__":
    before, _, behind = parts()
    README.write_text(before + table() + behind)
