"""Sparse autoencoders and transcoders: reading what others trained, and their latents as units."""
