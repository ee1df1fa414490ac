"""Benchmarks against other programs: scripts/bench NAME."""
