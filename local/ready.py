"""Check whether a process is ready, and tell the user how to begin."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from typing import Any

from local.ports import LOOPBACK


def answers(port: int, path: str | None, host: str = LOOPBACK) -> bool:
    """Return whether a local server answers this path with 200, or, without a path, accepts connections."""
    try:
        if path is None:
            socket.create_connection((host, port), 1).close()
            return True
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def ready_text(url: str, demo: dict[str, Any]) -> str:
    """Return the text that is printed once the brokerage is up: its address, sign-ins, and a curl example."""
    lines = [f"Ready: {url}"]
    customer, staff = demo.get("customer", {}), demo.get("staff", {})
    if customer:
        lines += [
            f"  customer  {customer.get('email')}  password {customer.get('password')}",
            f"  staff     {staff.get('email')}  password {staff.get('password')}",
            f"            second factor {staff.get('secondFactor')}; or .venv/bin/python manage.py demo_code",
            f"  token     {customer.get('token')}",
            "  place a trade:",
            f"  curl -X POST {url}/api/v1/trades -H 'Authorization: Bearer {customer.get('token')}' "
            "-H 'Content-Type: application/json' "
            """-d '{"stockTicker":"AAPL","type":"BUY","quantity":3}'""",
        ]
    return "\n".join(lines)
