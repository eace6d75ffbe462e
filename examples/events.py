"""Watch what happens inside: every step is an event."""

from copykit import PerformanceTracker, sync

with PerformanceTracker() as tracker:
    tracker.enable_debug_mode()
    for _ in range(2):
        sync.generate(product_description="Ceramic mug, 350 ml", target_platform="threads")
    snapshot = tracker.snapshot()
print(snapshot["requests"], snapshot["cache"])
for line in snapshot["events"]:
    print(line)
