"""Judging explanations of units that were recorded anywhere, without a pipeline."""
