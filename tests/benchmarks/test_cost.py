"""The cost of a million trades a day follows from what the stages measured."""

import pytest

from benchmarks.cost import cost_of_a_day, cost_rows, disk_rows

SETTLED = {
    "cpuMs": {"web": 1.0, "postgres": 0.5, "generator": 0.3, "benchmark": 0.1, "total": 1.9},
    "memory": {"web": {"allMb": 300.0}, "postgres": {"allMb": 700.0}, "generator": {"allMb": 900.0}},
    "each": {"walBytes": 7000},
}
DISK = {
    "trades_trade": {"trades_trade": 200.0, "trades_trade_pkey": 30.0},
    "accounts_posting": {"accounts_posting": 770.0},
    "accounts_customer": {"accounts_customer": 5000.0},
}


def test_a_million_trades_a_day() -> None:
    cost = cost_of_a_day({"settled": SETTLED, "proof": {"bytesATrade": DISK}})
    assert cost["coresAtThePeak"] == pytest.approx(1_000_000 / 23_400 * 12 * 1.5 / 1000, abs=0.01)
    assert cost["coresToHave"] == pytest.approx(2 * cost["coresAtThePeak"], abs=0.1)
    assert (cost["memoryGb"], cost["walGbADay"]) == (1.0, 7.0)
    assert (cost["bytesATrade"], cost["diskGbAYear"]) == (1000, 252)


def test_the_big_tables_count_before_others_and_nothing_is_made_up() -> None:
    results = {"big": {"bytesATrade": {"accounts_lot": {"accounts_lot": 10.0}}}, "proof": {"bytesATrade": DISK}}
    assert cost_of_a_day(results) == {"bytesATrade": 10, "diskGbAYear": 3}
    assert cost_of_a_day({}) == {}
    assert list(cost_rows({})) == list(disk_rows({})) == []


def test_both_tables_are_markdown() -> None:
    result = {"settled": SETTLED, "proof": {"bytesATrade": DISK}}
    assert "| disk | 1,000 bytes a trade, 252 GB a year |" in list(cost_rows(result))
    assert "| trades_trade 230 | 200 | trades_trade_pkey 30 |" in list(disk_rows(result))
    assert not any("accounts_customer" in row for row in disk_rows(result))
