"""Language models: requests, replies, cache, providers."""
