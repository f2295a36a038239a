"""Which Syringe this is."""

from importlib.metadata import version

VERSION = version("syringe")
