"""`python -m tests.fuzz`: send unexpected requests to every address of a running brokerage.

schemathesis fuzzes both APIs by their schema: no response may be a 5xx, or have a status or shape that the schema does
not describe. Then the pages and the back office (`tests.fuzz.pages`): no 5xx. Environment: FUZZ_EXAMPLES per phase and
operation (default 12), FUZZ_SECONDS at most for each of the two parts (default 240), FUZZ_SEED, FUZZ_ONLY (`api` or
`pages`). The exit code is 0 if nothing failed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import django

from local.harness import Brokerage

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="brokerage-test-"))
    try:
        with Brokerage(folder / "var") as brokerage:
            process = brokerage.manage(
                "create_customer", "fuzz@example.com", "--password", "correct horse", "--deposit", "1000000", "--json"
            )
            customer, part = json.loads(process.stdout), os.environ.get("FUZZ_ONLY")
            failures = 0 if part == "pages" else fuzz(brokerage.url, customer["token"])
            if part != "api":
                os.environ |= {"DATA_DIR": str(brokerage.data_dir), "DJANGO_SETTINGS_MODULE": "brokerage.settings"}
                django.setup()
                from tests.fuzz.pages import fuzz_pages

                seconds, seed = float(os.environ.get("FUZZ_SECONDS", "240")), int(os.environ.get("FUZZ_SEED", "0"))
                failures += fuzz_pages(brokerage.url, customer["customerId"], seconds, seed)
            return 1 if failures else 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fuzz(url: str, token: str) -> int:
    """Fuzz the APIs at this address as this customer; return the exit code."""
    program = str(Path(sys.executable).parent / "schemathesis")
    command = [
        program,
        "run",
        f"{url}/api/schema/",
        f"--header=Authorization:Bearer {token}",
        f"--checks={CHECKS}",
        f"--max-examples={os.environ.get('FUZZ_EXAMPLES', '12')}",
        f"--max-time={os.environ.get('FUZZ_SECONDS', '240')}",
        "--phases=examples,coverage,fuzzing",
        "--max-redirects=0",  # the event stream never ends
        "--continue-on-failure",
        "--suppress-health-check=all",
        "--no-shrink",
        "--warnings=off",
        "--output-sanitize=true",
        *([f"--seed={seed}"] if (seed := os.environ.get("FUZZ_SEED")) else []),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks"}
    return subprocess.run(command, check=False, env=os.environ | hooks).returncode


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) < 3 else fuzz(sys.argv[1], sys.argv[2]))
