"""Who writes: the embedded phrase bank, and models behind one port."""
