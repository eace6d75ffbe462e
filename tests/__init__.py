"""Tests of copykit; a package so that ``python -m tests.faults`` means this one, whatever else is installed."""
