"""Plans a run before it starts: shapes of chunks, and what a run with them takes."""
