"""Give the server a page that it can offer."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from endpoint import write_files

write_files({"index.html": "Hello from the server!\n"})
