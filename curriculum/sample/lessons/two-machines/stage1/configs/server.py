"""Give the server a service whose settings keep the client out."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from endpoint import LESSON, write_files

STAGE = LESSON / "stage1"

write_files({name: (STAGE / name).read_text() for name in ("clock.py", "settings.json")})
