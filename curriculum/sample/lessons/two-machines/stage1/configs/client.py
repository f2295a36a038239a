"""Give the client a small program that asks a server for a page."""

import sys
from pathlib import Path

LESSON = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(LESSON))

from endpoint import write_files

write_files({"fetch.py": (LESSON / "fetch.py").read_text()})
