"""`make cluster-fault FAULT="power db1 30"`: injects one fault into the cluster."""

from __future__ import annotations

from cluster.control import ask
from cluster.errors import UserError
from cluster.up import folder

USAGE = """name a fault and a node:
  kill NODE [SECONDS]       kill every process of the node; boot it after SECONDS
  power NODE [SECONDS]      the same, but peers don't see their connections close
  cut NODE [SECONDS]        cut the node off from all others; heal after SECONDS
  deaf NODE OTHER [SECONDS] drop all packets between these two nodes
  end NODE PROGRAM          kill one program; it is restarted at once
  freeze NODE PROGRAM [SECONDS]
                            suspend one program
  boot NODE, heal NODE      undo a fault now"""


def fault(arguments_given: list[str]) -> int:
    """Inject the fault that the words describe, and print what was done. Raises UserError."""
    kind, *arguments = arguments_given
    if not arguments:
        raise UserError(USAGE)
    request: dict[str, str] = {"do": kind, "node": arguments[0]}
    more = arguments[1:]
    if kind == "deaf" and more:
        request["to"], *more = more
    elif kind in {"end", "freeze", "restart"} and more:
        request["program"], *more = more
    if more:
        request["seconds"] = more[0]
    ask(folder(), **request)
    print(f"done: {' '.join(arguments_given)}")
    return 0
