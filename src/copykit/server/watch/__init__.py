"""What a server tells of itself: figures, log lines, traces, health."""
