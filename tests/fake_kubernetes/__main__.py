"""Serve a fake cluster to other processes until SIGTERM."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from tests.fake_kubernetes.cluster import FakeCluster
from tests.fake_kubernetes.controllers.behaviour import Behaviour
from tests.fake_kubernetes.faults import Fault


def main() -> None:
    """Run from the command line; the kubeconfig is there once the cluster answers."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_kubernetes", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="file to write")
    parser.add_argument("--version", default="", help="such as 1.29; the newest known by default")
    parser.add_argument("--latency", type=float, default=0.035, help="seconds until a pod is Ready")
    parser.add_argument("--spread", type=float, default=0, help="times more that a pod may take")
    parser.add_argument("--job-latency", type=float, default=0, help="seconds from pod to job")
    parser.add_argument("--call-latency", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--listen", action="store_true", help="let pods answer on their ports")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    quarter = arguments.latency / 4
    behaviour = Behaviour(
        schedule=quarter,
        pull=quarter,
        init=quarter,
        start=quarter,
        spread=arguments.spread,
    )
    with FakeCluster(
        port=arguments.port,
        version=arguments.version,
        behaviour=behaviour,
        listen=arguments.listen,
        job_seconds=arguments.job_latency,
    ) as cluster:
        if arguments.call_latency:
            cluster.faults.add(Fault(delay=arguments.call_latency, times=None))
        cluster.kubeconfig(arguments.kubeconfig)
        print(cluster.url, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
