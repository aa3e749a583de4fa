"""The page of training's config is written by the config."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from mimic.layered import flattened
from train.config import load_train_config
from train.config_doc import TARGET, document


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text() == document(), "run: make docs"


def test_every_value_of_a_run_is_on_the_page() -> None:
    config = load_train_config("croco", None, {"data": {"sets": [{"url": "shards/"}]}})
    values = config.model_dump(mode="json", exclude={"options": True, "data": {"sets": True}})
    assert all(f"| `{key}` |" in document() for key in flattened(values))
    assert all(f"| `{key}` |" in document() for key in ("options.mask_ratio", "data.sets[].url"))


def test_every_value_is_explained() -> None:
    rows = [line for line in document().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert not [row for row in rows if row.endswith("|  |")]
