"""What tests need, for users' tests too: fakes, contract classes and the phrase-bank lint.

``accel`` and ``contracts`` hold pytest-style classes to inherit; they import without pytest.
"""

from copykit.testing.fakes import FakeClock, FakeProvider, RecordingHook, no_network

__all__ = ["FakeClock", "FakeProvider", "RecordingHook", "no_network"]
