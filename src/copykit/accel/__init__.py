"""What this machine offers: capabilities with a standard-library fallback each."""
