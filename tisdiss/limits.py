"""The ends of numbers that decide how much is computed or kept, for settings and options alike.

Far above what anybody needs, and far below what stops a machine. Plain numbers, without pydantic,
so that `--help` stays instant.
"""

MAX_SEED = 2**32 - 1
"""Generators keep 32 bits of a seed: a longer one would give the very weights of a shorter one."""

MAX_PASSES = 1000
"""Passes through a part of the network, in training and at inference."""
MAX_BLOCKS = 100
MAX_WIDTH = 16_384
MAX_KERNEL = 256
MAX_FFT = 65_536
MAX_PARAMETERS = 10**9

MIN_RATE, MAX_RATE = 1000, 48_000
"""Hz."""
MAX_SECONDS = 3600.0
"""Of one sound of a corpus."""
MAX_MEASURED = 60.0
"""Of a sound that a model takes at once, to be timed."""
MAX_SAMPLES = 2**30
"""Of one batch, and of the responses of all rooms: 4 GiB as they are computed with."""
MAX_BATCH = 4096
MAX_AVERAGED = 1000
MAX_ROOMS = 20_000
MAX_COUNT = 1_000_000
"""Mixtures, steps and epochs."""

MAX_FINITE = 1e30
"""Of rates and weights, which size nothing: a training says itself where they lead."""

MAX_NOISE = 100.0
"""dB, between trainings."""

MAX_SEEDS = 1000
MAX_LOOKS = 50
"""Seeds of a test that looks after each."""
MAX_CHOICES = 100
MAX_TRIALS = 10_000
MAX_JOBS = 256
"""Processes at a time."""
MAX_THREADS = 1024
MAX_ROUNDS = 1000
