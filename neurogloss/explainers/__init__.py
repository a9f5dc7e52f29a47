"""Ways to explain a neuron."""
