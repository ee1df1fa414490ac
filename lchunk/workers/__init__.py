"""Tasks handed out by a queue: sending them, working on them, and what becomes of those that fail."""
