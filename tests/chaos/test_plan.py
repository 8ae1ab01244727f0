"""A seed and a pace determine the plan, and a long plan contains every fault."""

from chaos.plan import EXCHANGE_FAULTS, KILLS, LINK_FAULTS, LINKS, PAUSES, RINGS, SLOW, SPLIT_AFTER, STAFF, plan


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(7, 300) == plan(7, 300)
    assert plan(7, 300) != plan(8, 300)


def test_a_slow_machine_gets_fewer_faults() -> None:
    usual, slow = (len(plan(7, 300, pace)["kill"]) for pace in (1.0, 3.0))
    assert usual / 4 < slow < usual / 2


def test_half_an_hour_includes_every_fault() -> None:
    faults = [fault for faults in plan(1, 1800).values() for fault in faults]
    kinds_and_targets = {(fault.kind, fault.target) for fault in faults}
    assert {("kill", target) for target in KILLS} <= kinds_and_targets
    assert {("pause", target) for target in PAUSES} <= kinds_and_targets
    assert {("rings", target) for target in RINGS} <= kinds_and_targets
    assert {("exchange", ", ".join(values)) for values in EXCHANGE_FAULTS} <= kinds_and_targets
    assert {kind for kind, target in kinds_and_targets if target in LINKS} == set(LINK_FAULTS)
    assert {target for kind, target in kinds_and_targets if kind in LINK_FAULTS} == set(LINKS)
    assert set(SLOW) - {"database clock"} <= {kind for kind, _ in kinds_and_targets}
    assert ("clock", "postgres") in kinds_and_targets
    assert {action["does"] for action in STAFF} == {
        target.split()[0] for kind, target in kinds_and_targets if kind == "staff"
    }
    assert [(fault.kind, fault.at) for fault in faults if fault.kind == "split"] == [("split", 1800 * SPLIT_AFTER)]
    assert sum(fault.kind == "kill" for fault in faults) > 800
    assert sum(fault.kind not in {"kill", "staff"} for fault in faults) > 300
