"""Tasks handed out by a queue: who sends them, who works them off, and what becomes of those that fail."""
