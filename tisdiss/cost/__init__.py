"""What a model costs: parameters and multiply-adds by formula, time and memory measured."""
