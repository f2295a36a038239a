"""The README's two commands: makes the environment, starts every process, stops them all.

Everything but ``prepare``, ``teardown`` and ``demo`` uses the standard library only, because it
runs before the environment exists.
"""
