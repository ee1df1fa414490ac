"""Messages about a run, for a webhook and a command: which event is sent, by which process, and how."""
