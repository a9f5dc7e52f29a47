"""Choosing among candidate explanations."""
