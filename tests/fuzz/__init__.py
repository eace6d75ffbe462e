"""Readers of what comes from outside, fed with a million damaged inputs each: only declared errors come out, and soon.

    python -m tests.fuzz run openai-answer --runs 1000000
    python -m tests.fuzz table --runs 1000000
    python -m tests.fuzz replay tests/fuzz/found/openai-answer/crash-…

Inputs that once broke something stay in ``found`` and are read again by every test run.
"""
