"""`make cluster-fault FAULT="power db1 30"`: breaks one thing, and says what it did."""

from __future__ import annotations

from cluster.control import ask
from cluster.errors import UserError
from cluster.up import folder

USAGE = """what to break:
  kill NODE [SECONDS]       kill every process of a node; boot it again after SECONDS
  power NODE [SECONDS]      the same, and no peer is told that connections are closed
  cut NODE [SECONDS]        cut the node off from all others; heal after SECONDS
  deaf NODE OTHER [SECONDS] no packet passes between these two
  end NODE PROGRAM          kill one program; it is started again at once
  freeze NODE PROGRAM [SECONDS]
  boot NODE, heal NODE      undo it now"""


def fault(words: list[str]) -> int:
    """Break what the words say. Raises UserError."""
    kind, *rest = words
    if not rest:
        raise UserError(USAGE)
    what: dict[str, str] = {"do": kind, "node": rest[0]}
    more = rest[1:]
    if kind == "deaf" and more:
        what["to"], *more = more
    elif kind in {"end", "freeze", "restart"} and more:
        what["program"], *more = more
    if more:
        what["seconds"] = more[0]
    ask(folder(), **what)
    print(f"done: {' '.join(words)}")
    return 0
