"""The bookkeeping of leases: who has which units, whose fault a death was, who is tried again.

Pure: no Ray, no clock. The Ray executor drives it with what happens, simulations with what might.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from mimic.types import WorkUnit
from pipelines.executors.base import NODE_LOST, Outcome, failure
from schemas import Failure, UnitReport

NODE_LOSSES_ALLOWED = 3
"""A unit may be on this many nodes as they are lost before it is suspected of killing them."""


@dataclass(eq=False, slots=True)
class Lease:
    """Units handed to one worker; ``units`` are those not yet reported, the first is in work."""

    units: deque[WorkUnit]


class LeaseBook:
    """Deals out leases and settles what comes back.

    A worker runs the units of its lease in order, so when it dies the first one that was not
    reported is the suspect: it is tried again alone, and the others are dealt out anew. The loss of
    a whole node is nobody's fault and is not counted, until the same unit has been on
    :data:`NODE_LOSSES_ALLOWED` lost nodes.
    """

    def __init__(self, units: Sequence[WorkUnit], lease_size: int, attempts: int) -> None:
        self._units = units
        self._next = 0
        self._lease_size = lease_size
        self._attempts = attempts
        self._returned: deque[WorkUnit] = deque()
        self._suspects: deque[WorkUnit] = deque()
        self._failures: dict[str, int] = {}
        self._node_losses: dict[str, int] = {}
        self._in_flight = 0

    @property
    def finished(self) -> bool:
        """Whether every unit is settled."""
        return self._in_flight == 0 and self._waiting() == 0

    def take(self, workers: int) -> Lease | None:
        """The next lease, or None when nothing waits.

        Near the end leases get smaller, so that no worker idles while another has a full one.
        """
        if self._suspects:
            return self._lease([self._suspects.popleft()])
        waiting = self._waiting()
        if waiting == 0:
            return None
        size = min(self._lease_size, max(1, waiting // (2 * max(1, workers))))
        first = self._pop()
        units = [first]
        while len(units) < size:
            following = self._peek()
            if following is None or following.resources != first.resources:
                break
            units.append(self._pop())
        return self._lease(units)

    def reported(self, lease: Lease, outcome: Outcome) -> Outcome:
        """The first unit of the lease ended so; what is to be said of it (final, or once more)."""
        unit = lease.units.popleft()
        self._in_flight -= 1
        if isinstance(outcome.result, UnitReport):
            return outcome
        return self._failed(unit, outcome.result, outcome)

    def broken(self, lease: Lease, blame: Failure, wall_s: float = 0.0) -> Outcome | None:
        """The worker died: ``blame`` is the failure of the first unit if it counts as one.

        None when every unit had been reported.
        """
        if not lease.units:
            return None
        unit = lease.units.popleft()
        self._in_flight -= 1
        self._return(lease)
        return self._failed(unit, blame, Outcome(blame, False, wall_s, 0.0))

    def lost(self, lease: Lease) -> Outcome | None:
        """The node died under the lease; no unit is to blame, unless it happens again and again.

        None when nothing is to be said.
        """
        if lease.units:
            unit = lease.units[0]
            losses = self._node_losses[unit.unit_id] = self._node_losses.get(unit.unit_id, 0) + 1
            if losses > NODE_LOSSES_ALLOWED:
                self._failures[unit.unit_id] = self._attempts
                return self.broken(lease, _node_failure(unit, losses))
        self._return(lease)
        return None

    def _failed(self, unit: WorkUnit, result: Failure, outcome: Outcome) -> Outcome:
        count = self._failures[unit.unit_id] = self._failures.get(unit.unit_id, 0) + 1
        result = dataclasses.replace(result, attempts=count)
        final = outcome.final or count >= self._attempts
        if not final:
            self._suspects.append(unit)
        return dataclasses.replace(outcome, result=result, final=final)

    def _return(self, lease: Lease) -> None:
        self._in_flight -= len(lease.units)
        self._returned.extend(lease.units)
        lease.units.clear()

    def _lease(self, units: list[WorkUnit]) -> Lease:
        self._in_flight += len(units)
        return Lease(deque(units))

    def _waiting(self) -> int:
        return len(self._suspects) + len(self._returned) + len(self._units) - self._next

    def _peek(self) -> WorkUnit | None:
        if self._returned:
            return self._returned[0]
        return self._units[self._next] if self._next < len(self._units) else None

    def _pop(self) -> WorkUnit:
        if self._returned:
            return self._returned.popleft()
        self._next += 1
        return self._units[self._next - 1]


def _node_failure(unit: WorkUnit, losses: int) -> Failure:
    return failure(
        unit,
        NODE_LOST,
        f"{unit.item.name}: {losses} nodes were lost while they mined it; if they were preempted, "
        "run `mimic retry --reason node_lost`",
    )
