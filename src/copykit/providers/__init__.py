"""Who writes: the embedded phrase bank now, models behind the same port later."""
