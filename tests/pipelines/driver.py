"""``mine`` in a process of its own, to be killed: ``driver.py <json>``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fake_work import Mine, PowerLost

from mimic.config import load_config
from pipelines.ledger import MineUnit
from pipelines.mine import Slice, mine


def main() -> int:
    order = json.loads(sys.argv[1])
    config = load_config(overrides=order["config"])
    part = Slice.parse(order["slice"]) if order.get("slice") else None
    work: MineUnit = Mine(**order.get("mine", {}))
    if point := order.get("power_lost_at"):
        work = PowerLost(os.getpid(), point)
    result = mine(order["source"], order["out"], config, slice=part, mine_unit=work)
    Path(order["out"], ".mimic", "log.jsonl").touch()
    print(result.message)
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
