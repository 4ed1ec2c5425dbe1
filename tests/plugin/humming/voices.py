import numpy as np

from tisdiss.data.in_memory import in_memory


def hums(*, sample_rate, cache, on_progress):
    seconds = np.arange(sample_rate) / sample_rate
    recordings = [
        (f"hummer{who}/{k}", 0.1 * np.sin(2 * np.pi * (100 + 30 * who + k) * seconds))
        for who in range(12)
        for k in range(3)
    ]
    return in_memory("hums", recordings, sample_rate=sample_rate, note="hums, no speech")
