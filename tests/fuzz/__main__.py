"""`python -m tests.fuzz`: everything that a brokerage that runs can be asked, with what it does not expect.

Both APIs by schemathesis, over the whole schema: no 5xx, no status and no shape that the schema does not know. Then the
pages and the back office (`tests.fuzz.pages`): no 5xx. FUZZ_EXAMPLES a phase and operation (default 12), FUZZ_SECONDS
for each of the two at most (default 240), FUZZ_SEED, FUZZ_ONLY (`api` or `pages`). Exits with 0 where nothing failed.
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
            made = brokerage.manage(
                "create_customer", "fuzz@example.com", "--password", "correct horse", "--deposit", "1000000", "--json"
            )
            customer, only = json.loads(made.stdout), os.environ.get("FUZZ_ONLY")
            failed = 0 if only == "pages" else fuzz(brokerage.url, customer["token"])
            if only != "api":
                os.environ |= {"DATA_DIR": str(brokerage.data_dir), "DJANGO_SETTINGS_MODULE": "brokerage.settings"}
                django.setup()
                from tests.fuzz.pages import fuzz_pages

                seconds, seed = float(os.environ.get("FUZZ_SECONDS", "240")), int(os.environ.get("FUZZ_SEED", "0"))
                failed += fuzz_pages(brokerage.url, customer["customerId"], seconds, seed)
            return 1 if failed else 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fuzz(url: str, token: str) -> int:
    """Fuzz what runs at this address as this customer."""
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
        "--max-redirects=0",  # the stream of events is without end
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
