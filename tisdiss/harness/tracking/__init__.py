"""Run folders as MLflow shows them: runs, reports, models. No training waits for MLflow."""
