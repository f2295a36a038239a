"""Which images this machine can stand in for, and with what.

=============  ====================================================================
image          what the endpoint offers
=============  ====================================================================
``utility``    shell, python, git and editors as this machine has them, SSH
``webserver``  the same, and a static web server on each http port (8080 when none is
               declared) that serves ``~/www`` when it exists, else ``/antidote/www``
=============  ====================================================================
"""

from typing import NamedTuple


class Recipe(NamedTuple):
    """How to stand in for an image; ``web_port`` 0 means no web server."""

    web_port: int = 0


RECIPES: dict[str, Recipe] = {
    "utility": Recipe(),
    "webserver": Recipe(web_port=8080),
}
