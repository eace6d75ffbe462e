"""The process around the application: connections, workers, signals, the end."""
