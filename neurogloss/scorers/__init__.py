"""Arithmetic on arrays: levels, correlation, calibration, bootstrap."""
