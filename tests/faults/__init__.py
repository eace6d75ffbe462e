"""Faults on purpose: what goes wrong at providers, in briefs and in answers, through the real engine over real sockets.

``python -m tests.faults table`` runs all of them, ``python -m tests.faults run P10 --seed 7`` replays one and prints
what happened. The identifiers are those of the project's catalogue of faults.
"""
