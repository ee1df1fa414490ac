"""Side by side with peers: scripts/bench NAME."""
