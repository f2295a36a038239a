"""Calling a function of this package inside a stack's own environment: its database, its keys."""

import json
from typing import Any

from tests.stack import Stack

_CALL = """
import importlib, json, sys
import django
django.setup()
module, name, arguments = json.loads({call!r})
function = getattr(importlib.import_module(module), name)
print(json.dumps(function(**arguments)))
"""


def inside(stack: Stack, module: str, name: str, *, seconds: float = 90, **arguments: Any) -> Any:
    """Call ``module.name(**arguments)`` in a process with the stack's settings.

    Arguments and answer travel as JSON.
    """
    call = json.dumps([f"tests.load.bench.{module}", name, arguments])
    printed = stack.python(_CALL.format(call=call), seconds=seconds)
    return json.loads(printed.splitlines()[-1])
