"""Levels and correlation."""
