"""Give the learner a page to begin with."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from endpoint import ensure_page

PAGE = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>My page</title>
  </head>
  <body>
    <h1>Hello!</h1>
    <p>This page is mine to change.</p>
  </body>
</html>
"""

ensure_page(PAGE)
