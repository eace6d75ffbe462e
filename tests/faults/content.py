"""Group C: answers without the copy that was asked for."""
