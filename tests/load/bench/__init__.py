"""``make bench``: what the project promises about speed, measured on the whole of it.

``python -m tests.load.bench`` needs PostgreSQL and Redis named by the environment; it starts every
other process itself and stops it again. Each module measures one kind of thing.
"""
