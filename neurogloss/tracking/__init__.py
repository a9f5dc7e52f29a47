"""The results of the pipeline as runs in MLflow: a projection of dvc.lock, which stays the only truth."""
