"""python -m local run | reset | with-services [--no-fsync] -- COMMAND…"""

from __future__ import annotations

import argparse
import sys

from local.errors import UserError


def main() -> int:
    """Run the command that the arguments name; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Run the brokerage on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run the whole brokerage until SIGINT or SIGTERM")
    commands.add_parser("reset", help="remove the data of earlier runs, to start over")
    services = commands.add_parser("with-services", help="run a command with its own temporary PostgreSQL and Valkey")
    services.add_argument("--no-fsync", action="store_true", help="faster, for throwaway data")
    services.add_argument("rest", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run")
    arguments = parser.parse_args()
    try:
        if arguments.command == "run":
            from local.run import run

            return run()
        if arguments.command == "reset":
            from local.reset import reset

            return reset()
        from local.with_services import with_services

        command = arguments.rest[1:] if arguments.rest[:1] == ["--"] else arguments.rest
        if not command:
            parser.error("name the command to run after --")
        return with_services(command, fsync=not arguments.no_fsync)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # such as a full disk, which can surface anywhere
        print(f"error: {error.filename or 'the brokerage'}: {error.strerror or error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
