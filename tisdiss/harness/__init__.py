"""From a study file to finished runs: `study` -> `plan` -> `run` -> run folder -> `tracking`.

Nothing in the model package imports this one. Importing its modules is cheap: torch, MLflow and
pandas are imported by the functions that use them.
"""
