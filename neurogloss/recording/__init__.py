"""One streaming pass over the corpus: strongest and random excerpts, moments, token means."""
