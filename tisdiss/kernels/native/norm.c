/* y = scale * x / (r + eps), r the root mean square of a channel's group; and its gradient. */
#include <math.h>
#include "numbers.h"

enum { BLOCK = 4096 };

static inline float dot(const float *restrict a, const float *restrict b, long n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (long i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

void norm_forward(long positions, long channels, long groups, float eps, const float *x,
                  const float *scale, void *out, Kind kind) {
    long size = channels / groups, step = BLOCK / channels;
#pragma omp parallel for schedule(static)
    for (long from = 0; from < positions; from += step) {
        long count = positions - from < step ? positions - from : step;
        float y[BLOCK];
        const float *in = x + from * channels;
        for (long p = 0; p < count; p++)
            for (long g = 0; g < groups; g++) {
                const float *restrict a = in + p * channels + g * size;
                const float *restrict s = scale + g * size;
                float *restrict b = y + p * channels + g * size;
                float inverse = 1.0f / (sqrtf(dot(a, a, size) / size) + eps);
                for (long c = 0; c < size; c++) b[c] = a[c] * s[c] * inverse;
            }
        store(out, from * channels, y, count * channels, kind);
    }
}

/* x_grad = kept_grad + the norm's own; scale_grads holds a row of sums for each part. */
void norm_backward(long positions, long channels, long groups, float eps, long parts,
                   const float *x, const float *scale, const float *kept_grad, float *x_grad,
                   float *scale_grads, const void *grad, Kind kind) {
    long size = channels / groups, step = BLOCK / channels;
    long steps = (positions + step - 1) / step;
#pragma omp parallel for schedule(static)
    for (long part = 0; part < parts; part++) {
        float *restrict sums = scale_grads + part * channels;
        memset(sums, 0, channels * sizeof(float));
        for (long i = steps * part / parts; i < steps * (part + 1) / parts; i++) {
            long from = i * step;
            long count = positions - from < step ? positions - from : step;
            float dy[BLOCK];
            load(dy, grad, from * channels, count * channels, kind);
            for (long p = 0; p < count; p++)
                for (long g = 0; g < groups; g++) {
                    long at = (from + p) * channels + g * size;
                    const float *restrict a = x + at, *restrict k = kept_grad + at;
                    const float *restrict s = scale + g * size;
                    const float *restrict d = dy + p * channels + g * size;
                    float *restrict out = x_grad + at, *restrict sum = sums + g * size;
                    float square = 0, along = 0;
#pragma omp simd reduction(+ : square, along)
                    for (long c = 0; c < size; c++) {
                        square += a[c] * a[c];
                        along += a[c] * d[c] * s[c];
                    }
                    float root = sqrtf(square / size), inverse = 1.0f / (root + eps);
                    float tiny = root * size > 1e-38f ? root * size : 1e-38f;
                    along = along * inverse * inverse / tiny; /* 0 of silence */
                    for (long c = 0; c < size; c++) {
                        sum[c] += d[c] * a[c] * inverse;
                        out[c] = k[c] + d[c] * s[c] * inverse - a[c] * along;
                    }
                }
        }
    }
}
