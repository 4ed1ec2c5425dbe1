"""Other architectures. SepReformer has its own forward pass, the others share that of TISDiSS."""
