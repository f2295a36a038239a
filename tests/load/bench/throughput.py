"""Requests a second, side by side with a bare view: the machine's speed cancels out."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.load.bench.figures import median
from tests.load.bench.inside import inside
from tests.load.bench.parts import Bench
from tests.load.bench.requests import BARE, EXISTING, LESSONS, ONE, Ask, Kind, asks
from tests.load.bench.results import Result
from tests.load.bench.webs import Web, filled_web

KINDS = (BARE, *ONE, *LESSONS, *EXISTING)
_THREADS, _CONNECTIONS = 2, 20
_KNOWN = 200
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_BAD = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")

_SCRIPT = """
local asks = {%s}
local turn = 0
request = function()
  turn = turn %% #asks + 1
  return asks[turn]
end
init = function()
  for i, ask in ipairs(asks) do
    asks[i] = wrk.format(ask[1], ask[2], ask[3], ask[4])
  end
end
"""


class WrkMissing(Exception):
    """wrk is not installed."""


def measure(bench: Bench) -> Sequence[Result]:
    """Return each kind's share of the bare view's requests a second, and its queries."""
    if shutil.which("wrk") is None:
        raise WrkMissing("wrk is missing on this machine: run `sudo apt-get install wrk`")
    scale = bench.scale
    with filled_web(scale.many, known=_KNOWN) as (web, known):
        requests = {kind: asks(kind, known) for kind in KINDS}
        bench.say("counting queries")
        counts = inside(
            web, "queries", "count_queries", requests=[requests[k][0].as_json() for k in KINDS]
        )
        rates = _rates(bench, web, requests)
    bare = median(rates[BARE])
    results = [Result(BARE.name, bare, "requests/s")]
    for kind, queries in zip(KINDS, counts, strict=True):
        if kind is BARE:
            continue
        # Of the same round each, so that what else the machine does meets both.
        share = median([a / b for a, b in zip(rates[kind], rates[BARE], strict=True)])
        results += [
            Result(kind.name, median(rates[kind]), "requests/s"),
            Result(f"{kind.name}, of the bare view", share, "", kind.share, at_least=True),
            Result(f"{kind.name}, queries", queries, "", kind.queries),
        ]
    return results


def _rates(
    bench: Bench, web: Web, requests: Mapping[Kind, Sequence[Ask]]
) -> dict[Kind, list[float]]:
    rates: dict[Kind, list[float]] = {kind: [] for kind in requests}
    with tempfile.TemporaryDirectory() as folder:
        scripts = {}
        for number, (kind, wanted) in enumerate(requests.items()):
            scripts[kind] = Path(folder) / f"{number}.lua"
            scripts[kind].write_text(_SCRIPT % ",\n".join(map(_lua, wanted)))
            # A single round only shows that the measuring works.
            if bench.scale.wrk_rounds > 1:
                _wrk(web, scripts[kind], 1)
        for turn in range(bench.scale.wrk_rounds):
            bench.say(f"round {turn + 1} of {bench.scale.wrk_rounds}")
            for kind, script in scripts.items():
                rates[kind].append(_wrk(web, script, bench.scale.wrk_seconds))
    return rates


def _wrk(web: Web, script: Path, seconds: int) -> float:
    done = subprocess.run(
        ["wrk", f"-t{_THREADS}", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-s", str(script),
         f"http://localhost:{web.web_port}"],
        capture_output=True, text=True, timeout=seconds + 20, check=True,
    )  # fmt: skip
    rate = _RATE.search(done.stdout)
    if rate is None or _BAD.search(done.stdout):
        raise AssertionError(f"wrk was not answered as it should be:\n{done.stdout}{done.stderr}")
    return float(rate[1])


def _lua(ask: Ask) -> str:
    headers = {"Authorization": f"Bearer {ask.secret}"} if ask.secret else {}
    body = "nil"
    if ask.body is not None:
        headers["Content-Type"] = "application/json"
        body = _lua_text(json.dumps(ask.body))
    fields = ", ".join(f"[{_lua_text(k)}] = {_lua_text(v)}" for k, v in headers.items())
    return f"{{{_lua_text(ask.method)}, {_lua_text(ask.path)}, {{{fields}}}, {body}}}"


def _lua_text(text: str) -> str:
    # What JSON escapes in ASCII without control characters, Lua escapes alike.
    return json.dumps(text)
