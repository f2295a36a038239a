"""Pass when the server's settings let the clock listen at every address."""

import ipaddress
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from endpoint import read_file

text = read_file("settings.json")
if text is None:
    sys.exit("settings.json is gone. Go to the stage again to get it back.")
try:
    address = ipaddress.ip_address(json.loads(text)["address"])
except (ValueError, KeyError, TypeError):
    sys.exit("settings.json is no longer JSON with an address in it. Look at quotes and commas.")
if not address.is_unspecified:
    sys.exit(f"It still listens at {address} only.")
print("Every address it is.")
