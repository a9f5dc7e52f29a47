"""What the command line offers beside the stages; one module per command, nothing heavy imported at the top."""
