"""Tell the time to whoever asks; where it listens stands in settings.json."""

import datetime
import http.server
import json
from pathlib import Path

settings = json.loads(Path(__file__).with_name("settings.json").read_text())


class Clock(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"It is {datetime.datetime.now():%H:%M:%S}.\n".encode())


place = (settings["address"], settings["port"])
print("Listening on {}, port {}.".format(*place), flush=True)
http.server.HTTPServer(place, Clock).serve_forever()
