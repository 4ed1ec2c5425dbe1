/* value * silu(gate), where (value | gate) lie side by side at each position; and its gradient. */
#include "numbers.h"

enum { BLOCK = 8192 };

void gate_forward(long positions, long width, const void *both, const float *bias, void *out,
                  Kind kind) {
    long step = BLOCK / (2 * width);
#pragma omp parallel for schedule(static)
    for (long from = 0; from < positions; from += step) {
        long count = positions - from < step ? positions - from : step;
        float in[BLOCK], y[BLOCK / 2];
        load(in, both, from * 2 * width, count * 2 * width, kind);
        for (long p = 0; p < count; p++) {
            const float *restrict value = in + p * 2 * width, *restrict gate = value + width;
            float *restrict to = y + p * width;
            for (long c = 0; c < width; c++) {
                float v = value[c] + bias[c], g = gate[c] + bias[width + c];
                to[c] = v * g * sigmoid(g);
            }
        }
        store(out, from * width, y, count * width, kind);
    }
}

/* bias_grads holds a row of sums for each part. */
void gate_backward(long positions, long width, long parts, const void *both, const float *bias,
                   const void *grad, void *both_grad, float *bias_grads, Kind kind) {
    long step = BLOCK / (2 * width), steps = (positions + step - 1) / step;
#pragma omp parallel for schedule(static)
    for (long part = 0; part < parts; part++) {
        float *restrict sums = bias_grads + part * 2 * width;
        memset(sums, 0, 2 * width * sizeof(float));
        for (long i = steps * part / parts; i < steps * (part + 1) / parts; i++) {
            long from = i * step;
            long count = positions - from < step ? positions - from : step;
            float in[BLOCK], dy[BLOCK / 2];
            load(in, both, from * 2 * width, count * 2 * width, kind);
            load(dy, grad, from * width, count * width, kind);
            for (long p = 0; p < count; p++) {
                float *restrict value = in + p * 2 * width, *restrict gate = value + width;
                const float *restrict d = dy + p * width;
                for (long c = 0; c < width; c++) {
                    float v = value[c] + bias[c], g = gate[c] + bias[width + c];
                    float s = sigmoid(g), active = g * s;
                    value[c] = d[c] * active;
                    gate[c] = d[c] * v * (s + active * (1.0f - s));
                    sums[c] += value[c];
                    sums[width + c] += gate[c];
                }
            }
            store(both_grad, from * 2 * width, in, count * 2 * width, kind);
        }
    }
}
