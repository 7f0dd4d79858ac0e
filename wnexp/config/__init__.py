"""What can be set, and how a command line becomes a checked configuration."""
