"""Says that livelessons are in use, as the gateway does; a process inside a stack.

Each line of its input is a list of their ids, as JSON.
"""

import json
import sys

import django

if __name__ == "__main__":
    django.setup()
    from tests.load.bench.checked import wake

    for line in sys.stdin:
        wake(ids=json.loads(line))
