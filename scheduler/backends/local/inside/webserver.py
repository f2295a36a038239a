"""The static web server of the ``webserver`` recipe."""

import functools
import http.server
import os
import sys
import threading

_LESSON_FOLDER = "/antidote/www"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve the learner's own folder once it exists, until then the lesson's."""

    def __init__(self, *arguments: object, home: str, **options: object) -> None:
        own = f"{home}/www"
        folder = own if os.path.isdir(own) else _LESSON_FOLDER  # noqa: PTH112 (per request)
        super().__init__(*arguments, directory=folder, **options)  # type: ignore[arg-type]

    def end_headers(self) -> None:
        # Learners change these files and want to see what they changed.
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Print nothing: the endpoint's log is for its operators."""


def main() -> None:
    """Serve; the arguments are the home folder and the ports."""
    home, *ports = sys.argv[1:]
    handler = functools.partial(Handler, home=home)
    servers = [http.server.ThreadingHTTPServer(("", int(port)), handler) for port in ports]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()
