"""TISDiSS: one speech-separation model whose depth, N_re, is chosen at inference."""

__version__ = "0.1.0"
