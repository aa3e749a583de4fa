"""The generated parts of a page: what lies between two comments with a name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path


def fill(page: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- name -->`` and ``<!-- /name -->``, which must be there."""
    before, after = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(f"({re.escape(before)}\n).*?({re.escape(after)})", re.DOTALL)
    whole, count = pattern.subn(lambda m: f"{m[1]}\n{text.strip()}\n\n{m[2]}", page.read_text())
    if count != 1:
        raise SystemExit(f"{page}: wants {before} and {after} on lines of their own, once")
    page.write_text(whole)


def print_tables(purpose: str, name: str, tables: Callable[[Path], Iterable[str]]) -> None:
    """The main of a benchmark on real data: print its tables as they come; ``--into`` a page."""
    parser = argparse.ArgumentParser(description=purpose.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--into", type=Path, help=f"a page with the markers of {name}")
    arguments = parser.parse_args()
    lines = []
    for line in tables(arguments.data):
        print(line, flush=True)
        lines.append(line)
    if arguments.into:
        fill(arguments.into, name, "\n".join(lines))
