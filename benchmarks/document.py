"""The generated parts of a page: what lies between two comments with a name."""

from __future__ import annotations

import re
from pathlib import Path


def fill(page: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- name -->`` and ``<!-- /name -->``, which must be there."""
    before, after = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(f"({re.escape(before)}\n).*?({re.escape(after)})", re.DOTALL)
    whole, count = pattern.subn(lambda m: f"{m[1]}\n{text.strip()}\n\n{m[2]}", page.read_text())
    if count != 1:
        raise SystemExit(f"{page}: wants {before} and {after} on lines of their own, once")
    page.write_text(whole)
