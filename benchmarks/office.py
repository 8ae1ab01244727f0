"""Measures how long the back office's pages take with big tables.

    python -m local with-services --no-fsync -- python -m benchmarks.office 1000000 100000

Fills an empty database with that many trades and customers directly by SQL, then opens each page a few times. Prints a
line for each page, and finally one JSON object. Exit code 1: a list has a median above 300 ms or makes more than 20
queries.
"""

import json
import os
import statistics
import sys
import time
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
django.setup()

from allauth.account.internal.flows.login import record_authentication  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from office.roles import Role, appoint  # noqa: E402
from trades.models import Trade  # noqa: E402

MS_MAX, QUERIES_MAX, ROUNDS = 300, 20, 5
LISTS = [
    "trades/trade/", "trades/trade/?status=open", "trades/trade/?status=REJECTED", "trades/trade/?ticker=T007",
    "trades/trade/?ticker=NONE", "trades/trade/?status=FILLED&ticker=T007", "trades/trade/?reason=ticker_halted",
    "trades/trade/?reason=insufficient_funds", "trades/trade/?lane=3", "trades/trade/?age=60",
    "trades/trade/?day=YESTERDAY", "trades/trade/?day=YESTERDAY&ticker=NONE", "trades/trade/?customer=77",
    "trades/trade/?after=MIDDLE&status=REJECTED", "trades/trade/?after=MIDDLE", "trades/trade/?q=c77@example.com",
    "trades/trade/?q=smith", "accounts/customer/", "accounts/customer/?after=50000", "accounts/customer/?q=c999",
    "accounts/customer/?q=smith", "accounts/customer/?q=smi+ann", "accounts/posting/", "accounts/posting/?customer=77",
    "accounts/posting/?ticker=NONE", "accounts/posting/?day=YESTERDAY", "trades/report/",
    "trades/report/?outcome=malformed",
    "exchange/call/", "office/case/", "office/auditentry/", "office/auditentry/?customer=77",
    "office/auditentry/?staff=nobody@example.com", "accounts/signin/", "accounts/signin/?customer=77",
    "accounts/signin/?kind=wrong_code", "accounts/adjustment/", "exchange/stock/", "find/?q=smith",
    "controls/",
]  # fmt: skip
OTHERS = ["", "desk/", "TRADE", "accounts/customer/77/change/"]

FILL = [
    """INSERT INTO accounts_customer (email, password, is_superuser, name, is_active, is_staff, theme, time_zone)
       SELECT 'c' || n || '@example.com', '!', false,
              (ARRAY['Ann','Bo','Cy','Di','Ed'])[1 + n %% 5] || ' '
                  || (ARRAY['Smith','Jones','Meyer','Rossi'])[1 + n %% 4] || n,
              true, false, 'system', '' FROM generate_series(1, %(customers)s) AS n""",
    "INSERT INTO accounts_balance (customer_id, amount, held) SELECT id, 1000, 0 FROM accounts_customer",
    # One trade every 100 ms until now, with a time-ordered id; the last 500 are open, and one in twenty is rejected.
    """INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, placed_at, status, reason_code,
           max_price, claimed_at, expires_at, ask_at, price, amount, settled_at)
       SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n %% 4096), 3, '0')
               || '8' || lpad(to_hex(n), 15, '0'))::uuid,
              1 + n %% %(customers)s, 1 + n / %(customers)s, 'T' || lpad((n %% 500)::text, 3, '0'), 'BUY', 1, at,
              CASE WHEN n > %(trades)s - 500 THEN 'PLACED' WHEN n %% 20 = 0 THEN 'REJECTED' ELSE 'FILLED' END,
              CASE WHEN n > %(trades)s - 500 OR n %% 20 <> 0 THEN '' ELSE 'insufficient_funds' END,
              CASE WHEN n > %(trades)s - 500 THEN NULL ELSE 100 END,
              CASE WHEN n > %(trades)s - 500 THEN NULL ELSE at END,
              CASE WHEN n > %(trades)s - 500 THEN NULL ELSE at END,
              CASE WHEN n > %(trades)s - 500 THEN NULL ELSE at END,
              CASE WHEN n > %(trades)s - 500 OR n %% 20 = 0 THEN NULL ELSE 10 END,
              CASE WHEN n > %(trades)s - 500 OR n %% 20 = 0 THEN NULL ELSE 10 END,
              CASE WHEN n > %(trades)s - 500 THEN NULL ELSE at END
       FROM (SELECT n, now() - (%(trades)s - n) * interval '100 ms' AS at FROM generate_series(1, %(trades)s) AS n) AS t
       ORDER BY n""",
    """INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, price, created_at)
       SELECT customer_id, CASE leg WHEN 1 THEN '' ELSE ticker END, 'buy', id, CASE leg WHEN 1 THEN -10 ELSE 1 END, 10,
              10, settled_at
       FROM trades_trade, generate_series(1, 2) AS leg WHERE status = 'FILLED' ORDER BY settled_at""",
    """INSERT INTO trades_report (trade_id, customer_id, digest, body, source, received_at, outcome, reason)
       SELECT id, customer_id, sha256(id::text::bytea), '{}', 'callback', settled_at, 'settled', ''
       FROM trades_trade WHERE status = 'FILLED' ORDER BY settled_at""",
    """INSERT INTO accounts_signin (customer_id, at, kind, address, device, second_factor, session)
       SELECT 1 + n %% %(customers)s, now() - (10 * %(customers)s - n) * interval '10 s', 'in', '192.0.2.1',
              repeat('x', 120), true, '0123456789ab' FROM generate_series(1, 10 * %(customers)s) AS n""",
    """INSERT INTO exchange_call (at, verb, trade_ids, outcome, answers, seen, took_ms)
       SELECT min(placed_at), 'execute', array_agg(id), 'answered', '{}', '', 3 FROM trades_trade
       WHERE status = 'FILLED' GROUP BY date_trunc('second', placed_at)""",
]


def fill(trades: int, customers: int) -> None:
    """Insert rows directly: about as many as a few years bring."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET transaction_timeout = 0")
        for statement in FILL:
            table = statement.split()[2]
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(statement, {"trades": trades, "customers": customers})
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SET statement_timeout = '5s'")


def signed_in() -> Client:
    """Return a client that is signed in as staff with access to every page."""
    staff = appoint("bench@example.com", Role.COMPLIANCE)
    client = Client()
    client.force_login(staff)
    request = HttpRequest()
    request.session, request.user = client.session, staff
    record_authentication(request, staff, "mfa", type="totp")
    request.session.save()
    return client


def main(trades: int, customers: int) -> int:
    """Fill the database, measure every page, and return 1 if a list is too slow."""
    storage = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": storage}
    settings.ALLOWED_HOSTS = ["*"]
    call_command("migrate", verbosity=0)
    fill(trades, customers)
    browser = signed_in()
    ids = list(Trade.objects.order_by("id").values_list("id", flat=True)[trades // 2 : trades // 2 + 1])
    placeholders = {
        "MIDDLE": str(ids[0]),
        "YESTERDAY": f"{timezone.now() - timedelta(hours=20):%Y-%m-%d}",
        "TRADE": f"trades/trade/{ids[0]}/change/",
    }
    figures: dict[str, Any] = {}
    for page in [*LISTS, *OTHERS]:
        path = page
        for placeholder, value in placeholders.items():
            path = path.replace(placeholder, value)
        durations = []
        for _ in range(ROUNDS):
            with CaptureQueriesContext(connection) as captured:
                began = time.perf_counter()
                answer = browser.get(f"/admin/{path}")
                durations.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200:
                print(f"{page}: {answer.status_code} {answer.get('Location', '')}")
        slowest = max(captured.captured_queries, key=lambda query: float(query["time"]))
        figures[page] = {
            "ms": round(statistics.median(durations)),
            "msMax": round(max(durations)),
            "queries": len(captured),
        }
        database = sum(float(query["time"]) for query in captured.captured_queries) * 1000
        figures[page]["databaseMs"] = round(database)
        print(
            f"{figures[page]['ms']:5} ms  (most {figures[page]['msMax']:5}; database {database:4.0f})  "
            f"{len(captured):3} queries  {page}"
        )
        if statistics.median(durations) > MS_MAX:
            print("      slowest:", slowest["time"], slowest["sql"][:400])
    slow = [page for page in LISTS if figures[page]["ms"] > MS_MAX or figures[page]["queries"] > QUERIES_MAX]
    print(json.dumps({"trades": trades, "customers": customers, "tooSlow": slow, "pages": figures}))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
