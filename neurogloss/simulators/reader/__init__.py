"""A small network that reads sentences: which words are quoted, in which role they stand, and which tokens they fit."""
