/* The gradient of a bias: the sum over positions for each channel, a row of them for each part. */
#include "numbers.h"

enum { BLOCK = 4096 };

void bias_gradient(long positions, long channels, long parts, float *bias_grads, const void *grad,
                   Kind kind) {
    long step = BLOCK / channels, steps = (positions + step - 1) / step;
#pragma omp parallel for schedule(static)
    for (long part = 0; part < parts; part++) {
        float *restrict sums = bias_grads + part * channels;
        memset(sums, 0, channels * sizeof(float));
        for (long i = steps * part / parts; i < steps * (part + 1) / parts; i++) {
            long from = i * step;
            long count = positions - from < step ? positions - from : step;
            float d[BLOCK];
            load(d, grad, from * channels, count * channels, kind);
            for (long p = 0; p < count; p++)
                for (long c = 0; c < channels; c++) sums[c] += d[p * channels + c];
        }
    }
}
