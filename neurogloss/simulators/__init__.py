"""Ways to simulate a neuron from its explanation."""
