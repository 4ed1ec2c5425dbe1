"""From run folders to tables and figures: frames -> stats -> tables, figures -> report.

Only `frames` reads runs and only `report` writes files; everything between takes frames and
returns objects, so each step can be called alone in a notebook. Nothing here imports torch.
"""
