"""Other architectures, one file each behind TISDiSS's forward pass; SepReformer has its own."""
