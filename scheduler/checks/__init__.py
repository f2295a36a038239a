"""Checking objectives: the service behind the Celery queue ``objectives``.

A process takes what is due (``livelessons.services.objectives``) and has it checked on its one
asyncio loop. Everything is bounded, and nothing is remembered that the database does not have:
what a killed process held is due again when its claims expire.
"""
