"""The model under study: loading, neuron sites, corpus, streaming statistics."""
