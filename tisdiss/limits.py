"""Limits of the settings and options that determine how much is computed or kept.

They are far above practical use and far below what stops a machine. No pydantic here, so that
`--help` stays instant.
"""

MAX_SEED = 2**32 - 1
"""Generators keep 32 bits of a seed: a larger one would give the same weights as a smaller one."""

MAX_PASSES = 1000
"""Passes through a part of the network, in training and at inference."""
MAX_BLOCKS = 100
MAX_CHANNELS = 1024
"""Channels of a sound file, as in libsndfile."""
MAX_WIDTH = 16_384
MAX_KERNEL = 256
MAX_POWER = 16.0
"""Exponent of the features of linear attention, whose powers must stay finite in float32."""
MAX_FFT = 65_536
MAX_PARAMETERS = 10**9

MIN_RATE, MAX_RATE = 1000, 48_000
"""Hz."""
MAX_SECONDS = 3600.0
"""Length of one recording of a corpus."""
MAX_MEASURED = 60.0
"""Seconds of audio that a model is timed on."""
MAX_SAMPLES = 2**30
"""Samples of one batch, or of all room responses: 4 GiB in float32."""
MAX_BATCH = 4096
MAX_AVERAGED = 1000
MAX_ROOMS = 20_000
MAX_COUNT = 1_000_000
"""Mixtures, steps and epochs."""

MAX_FINITE = 1e30
"""Limit of rates and weights, which affect no size; the training reports if they are too large."""

MAX_NOISE = 100.0
"""Standard deviation between trainings, in dB."""

MAX_SEEDS = 1000
MAX_LOOKS = 50
"""Seeds of a sequential test, which looks at the claim after each."""
MAX_CHOICES = 100
MAX_TRIALS = 10_000
MAX_JOBS = 256
"""Processes at a time."""
MAX_THREADS = 1024
MAX_ROUNDS = 1000
