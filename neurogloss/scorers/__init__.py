"""Arithmetic on arrays: levels, correlation, calibration, intervals."""
