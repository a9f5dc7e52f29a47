"""The model under study: loading, tokenizer, units, running it with a unit changed."""
