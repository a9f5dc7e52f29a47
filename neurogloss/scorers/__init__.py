"""Correlation with calibration, baseline, control and intervals; detection and fuzzing, which ask a language model; ablation."""
