"""``python -m tests.load.bench [--quick] [--only PART] [--no-fail]``."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from rich.console import Console

from tests.load.bench import (
    crowd,
    growth,
    imports,
    kubernetes,
    objectives,
    sandboxes,
    starts,
    throughput,
)
from tests.load.bench.parts import Part, RealCluster, run_parts
from tests.load.bench.results import results_table, results_write
from tests.load.bench.scale import FULL, QUICK
from tests.stack import ROOT

RESULTS = ROOT / ".bench" / "results.json"
PARTS = (
    Part("starts", "POST to READY without latency, one by one and at once", 240, starts.measure),
    # Before the parts whose thousands of rows keep PostgreSQL busy long after them.
    Part("sandboxes", "real sandboxes and their terminals", 240, sandboxes.measure),
    Part("objectives", "from a deed to its page, and who goes short", 500, objectives.measure),
    Part("kubernetes", "what is added to a cluster's own time", 260, kubernetes.measure),
    Part("growth", "the same requests with few and with many livelessons", 240, growth.measure),
    Part("throughput", "requests a second beside a bare view", 240, throughput.measure),
    Part("imports", "curricula into the database", 240, imports.measure),
    Part("crowd", "thousands of livelessons booting at once", 700, crowd.measure),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=[part.name for part in PARTS], help="Repeatable."
    )
    parser.add_argument("--quick", action="store_true", help="Little of everything.")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        help="Of a real cluster, for kubernetes. This machine needs a route to its pods.",
    )
    parser.add_argument(
        "--bundle-url",
        default="",
        help="With --kubeconfig: http://ADDRESS:PORT of this machine, as the cluster's pods reach "
        "it. The bundle service listens on this port, on all addresses, while it is measured.",
    )
    parser.add_argument("--no-fail", action="store_true", help="Exit 0 whatever was missed.")
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser


def _cluster(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> RealCluster | None:
    if arguments.kubeconfig is None:
        return None
    try:
        address = urlsplit(arguments.bundle_url)
        is_usable = address.scheme == "http" and bool(address.hostname and address.port)
    except ValueError:
        is_usable = False
    if not is_usable:
        parser.error(
            "a real cluster's pods fetch lessons' folders from this machine: say at which address "
            "they reach it, such as --bundle-url http://192.0.2.10:8002 (make: BUNDLE_URL=...)"
        )
    return RealCluster(arguments.kubeconfig, arguments.bundle_url)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(words: Sequence[str]) -> int:
    """Measure, print, write; return the exit status."""
    parser = _parser()
    arguments = parser.parse_args(words)
    cluster = _cluster(parser, arguments)
    console = Console(width=None if sys.stdout.isatty() else 110)
    missing = [n for n in ("SYRINGE_DATABASE_URL", "SYRINGE_REDIS_URL") if n not in os.environ]
    if missing:
        console.print(f"{' and '.join(missing)} not set: run this with `make bench`.")
        return 2
    chosen = [part for part in PARTS if not arguments.only or part.name in arguments.only]
    results = run_parts(chosen, QUICK if arguments.quick else FULL, console, cluster)
    results_write(results, arguments.output)
    console.print(results_table(results))
    console.print(f"Written to {arguments.output}", highlight=False)
    return 0 if arguments.no_fail or all(result.ok for result in results) else 1


if __name__ == "__main__":
    # What was started is stopped on the way out.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    sys.exit(main(sys.argv[1:]))
