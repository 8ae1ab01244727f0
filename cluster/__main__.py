"""python -m cluster install | up | down | status [--once] | fault KIND NODE [SECONDS | PROGRAM | NODE]"""

from __future__ import annotations

import argparse
import os
import sys

from cluster import network
from cluster.errors import UserError


def main() -> int:
    """Run the command that the arguments name; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description="Run a highly available brokerage.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install the programs that the cluster runs (Debian)")
    commands.add_parser("up", help="run the cluster until SIGINT or SIGTERM")
    commands.add_parser("down", help="remove what a killed cluster left behind")
    status = commands.add_parser("status", help="show nodes, roles, lag and which nodes serve the lanes")
    status.add_argument("--once", action="store_true", help="print the status once and exit")
    fault = commands.add_parser("fault", help="break a node, or a program on it")
    fault.add_argument("words", nargs="+", metavar="KIND NODE [MORE]")
    arguments = parser.parse_args()
    try:
        if arguments.command == "install":
            from cluster.packages import install_programs

            install_programs(print)
            return 0
        if arguments.command == "up":
            from cluster.up import up

            return up()
        if arguments.command == "down":
            network.down()
            return 0
        if arguments.command == "status":
            from cluster.status import status as show

            return show(once=arguments.once)
        from cluster.fault import fault as make

        return make(arguments.words)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
