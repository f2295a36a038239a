"""Errors reach Sentry, and what frames and requests hold stays here."""

import http.server
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator

import pytest

from tests.waiting import PATIENCE, wait_until

PROGRAM = """
import django
django.setup()

def check_in(told):
    raise LookupError("nobody of this name")

check_in("hunter2-of-a-frame")
"""


class Receiver(http.server.BaseHTTPRequestHandler):
    received: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        self.received.append(body.decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def received() -> Iterator[tuple[str, list[str]]]:
    """Return the DSN of a server in Sentry's place, and what it was sent."""
    received: list[str] = []
    handler = type("Handler", (Receiver,), {"received": received})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://key@127.0.0.1:{server.server_address[1]}/1", received
        server.shutdown()
        thread.join()


def run(program: str, **settings: str) -> str:
    """Run a program of Syringe's and return all that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "syringe_project.settings", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    return done.stdout


def test_an_error_is_reported_without_what_frames_hold(received):
    dsn, envelopes = received

    printed = run(PROGRAM, SYRINGE_SENTRY_DSN=dsn, SYRINGE_TIER="ptr", SYRINGE_INSTANCE="reported")

    assert "LookupError: nobody of this name" in printed
    wait_until(lambda: envelopes, what="a report")
    text = "\n".join(envelopes)
    assert "LookupError" in text
    assert "nobody of this name" in text
    assert '"environment":"ptr"' in text
    assert '"server_name":"reported"' in text
    assert "hunter2" not in text
    assert os.environ["SYRINGE_SECRET_KEY"] not in text


def test_without_an_address_its_client_is_not_even_loaded():
    printed = run("import sys, django; django.setup(); print('sentry_sdk' in sys.modules)")

    assert printed == "False\n"
