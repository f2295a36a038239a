"""Give the client a small program that asks a server for a page."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from endpoint import LESSON, write_files

write_files({"fetch.py": (LESSON / "fetch.py").read_text()})
