/* x + (change + bias); and the gradients of change and bias. */
#include "numbers.h"

enum { BLOCK = 4096 };

void sum_forward(long positions, long channels, const float *x, const void *change,
                 const float *bias, float *out, Kind kind) {
    long step = BLOCK / channels;
#pragma omp parallel for schedule(static)
    for (long from = 0; from < positions; from += step) {
        long count = positions - from < step ? positions - from : step;
        float added[BLOCK];
        load(added, change, from * channels, count * channels, kind);
        for (long p = 0; p < count; p++) {
            const float *restrict a = x + (from + p) * channels, *restrict b = added + p * channels;
            float *restrict y = out + (from + p) * channels;
            for (long c = 0; c < channels; c++) y[c] = a[c] + (b[c] + bias[c]);
        }
    }
}

/* bias_grads holds a row of sums for each part. */
void sum_backward(long positions, long channels, long parts, const float *grad, void *change_grad,
                  float *bias_grads, Kind kind) {
    long step = BLOCK / channels, steps = (positions + step - 1) / step;
#pragma omp parallel for schedule(static)
    for (long part = 0; part < parts; part++) {
        float *restrict sums = bias_grads + part * channels;
        memset(sums, 0, channels * sizeof(float));
        for (long i = steps * part / parts; i < steps * (part + 1) / parts; i++) {
            long from = i * step;
            long count = positions - from < step ? positions - from : step;
            const float *restrict d = grad + from * channels;
            for (long p = 0; p < count; p++)
                for (long c = 0; c < channels; c++) sums[c] += d[p * channels + c];
            store(change_grad, from * channels, d, count * channels, kind);
        }
    }
}
