"""Cost of a model: parameters and multiply-adds by formula; time and memory measured."""
