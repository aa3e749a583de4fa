"""docs/config.md is written from the config and must be current."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from mimic.config import Config
from pipelines.cli.config_doc import TARGET, document


def _keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _keys(annotation, f"{path}{name}.")
        else:
            yield path + name


def test_the_page_is_current() -> None:
    assert TARGET.read_text() == document(), "run: make docs"


@pytest.mark.parametrize("key", list(_keys(Config)))
def test_every_key_has_a_row(key: str) -> None:
    rows = [line for line in document().splitlines() if line.startswith(f"| `{key}` |")]
    assert len(rows) == 1


def test_rows_say_values_defaults_and_the_papers_constants() -> None:
    page = document()
    assert "| `image.size` | integer, >= 16 | `256` | `224` |" in page
    assert "| `sampling.sequence` | `search`, `retry` | `search` | `retry` |" in page
    assert "| `filters.cut` | true or false | `true` | `false` |" in page
