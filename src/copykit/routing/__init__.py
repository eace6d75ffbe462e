"""Which target is asked, and what happens when it fails."""
