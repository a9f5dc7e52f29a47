"""What the command line prints: one neuron, and the table of a whole result."""
