/* The softmax of each row in place, and its gradient. */
#include "numbers.h"

enum { BLOCK = 4096, LANES = 16 };
/* A row is gone through in whole vectors: what lies past its end is masked, or written again. */

void softmax_forward(long rows, long length, void *scores, Kind kind) {
    long step = BLOCK / length;
#pragma omp parallel for schedule(static)
    for (long from = 0; from < rows; from += step) {
        long count = rows - from < step ? rows - from : step;
        float in[BLOCK + LANES], out[BLOCK + LANES], row[BLOCK + LANES];
        load(in, scores, from * length, count * length, kind);
        for (long r = 0; r < count; r++) {
            const float *restrict x = in + r * length;
            float *restrict y = out + r * length;
            float high[LANES], sums[LANES] = {0}, most, sum = 0;
            for (int i = 0; i < LANES; i++) high[i] = -INFINITY;
            for (long j = 0; j < length; j += LANES)
                for (int i = 0; i < LANES; i++) {
                    row[j + i] = j + i < length ? x[j + i] : -INFINITY;
                    high[i] = row[j + i] > high[i] ? row[j + i] : high[i];
                }
            most = high[0];
            for (int i = 1; i < LANES; i++) most = high[i] > most ? high[i] : most;
            for (long j = 0; j < length; j += LANES)
                for (int i = 0; i < LANES; i++) {
                    row[j + i] = exponential(row[j + i] - most);
                    sums[i] += row[j + i];
                }
            for (int i = 0; i < LANES; i++) sum += sums[i];
            float inverse = 1.0f / sum;
            for (long j = 0; j < length; j += LANES)
                for (int i = 0; i < LANES; i++) y[j + i] = row[j + i] * inverse;
        }
        store(scores, from * length, out, count * length, kind);
    }
}

/* Of the gradient of the shares p it makes that of the scores, p * (grad - sum(p * grad)). */
void softmax_backward(long rows, long length, const void *shares, void *grad, Kind kind) {
    long step = BLOCK / length;
#pragma omp parallel for schedule(static)
    for (long from = 0; from < rows; from += step) {
        long count = rows - from < step ? rows - from : step;
        float p[BLOCK], d[BLOCK];
        load(p, shares, from * length, count * length, kind);
        load(d, grad, from * length, count * length, kind);
        for (long r = 0; r < count; r++) {
            const float *restrict a = p + r * length;
            float *restrict b = d + r * length, mean = 0;
#pragma omp simd reduction(+ : mean)
            for (long i = 0; i < length; i++) mean += a[i] * b[i];
            for (long i = 0; i < length; i++) b[i] = a[i] * (b[i] - mean);
        }
        store(grad, from * length, d, count * length, kind);
    }
}
