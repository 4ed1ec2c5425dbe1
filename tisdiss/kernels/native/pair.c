/* Attention of two positions: the softmax is a sigmoid of the scores' difference.

   (rows, 2, q | k | v) to (rows, 2, v). q and k of the second position are turned by `cosine` and
   `sine` (size / 2); the first one's angle is zero. */
#include "numbers.h"

enum { WIDEST = 4096 };

static inline void turn(float *restrict x, const float *restrict cosine, const float *restrict sine,
                        float sign, long heads, long size) {
    for (long h = 0; h < heads; h++, x += size)
        for (long i = 0; i < size / 2; i++) {
            float re = x[2 * i], im = x[2 * i + 1], c = cosine[i], s = sine[i] * sign;
            x[2 * i] = re * c - im * s;
            x[2 * i + 1] = re * s + im * c;
        }
}

static inline float dot(const float *restrict a, const float *restrict b, long n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (long i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

void pair_forward(long rows, long heads, long size, float by, const float *cosine,
                  const float *sine, const void *qkv, void *out, Kind kind) {
    long width = heads * size;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; row++) {
        float in[6 * WIDEST], y[2 * WIDEST];
        load(in, qkv, row * 6 * width, 6 * width, kind);
        turn(in + 3 * width, cosine, sine, 1, heads, size);
        turn(in + 4 * width, cosine, sine, 1, heads, size);
        float *restrict v0 = in + 2 * width, *restrict v1 = in + 5 * width;
        float *restrict k0 = in + width, *restrict k1 = in + 4 * width;
        for (long i = 0; i < width; i++) k0[i] = (k0[i] - k1[i]) * by, v0[i] -= v1[i];
        for (long h = 0; h < heads; h++)
            for (long p = 0; p < 2; p++) {
                float first = sigmoid(dot(in + p * 3 * width + h * size, k0 + h * size, size));
                float *restrict to = y + p * width;
                for (long i = h * size; i < (h + 1) * size; i++) to[i] = v1[i] + first * v0[i];
            }
        store(out, row * 2 * width, y, 2 * width, kind);
    }
}

void pair_backward(long rows, long heads, long size, float by, const float *cosine,
                   const float *sine, const void *qkv, const void *grad, void *qkv_grad,
                   Kind kind) {
    long width = heads * size;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; row++) {
        float in[6 * WIDEST], d[6 * WIDEST], dy[2 * WIDEST];
        load(in, qkv, row * 6 * width, 6 * width, kind);
        load(dy, grad, row * 2 * width, 2 * width, kind);
        turn(in + 3 * width, cosine, sine, 1, heads, size);
        turn(in + 4 * width, cosine, sine, 1, heads, size);
        float *restrict v0 = in + 2 * width, *restrict v1 = in + 5 * width;
        float *restrict k0 = in + width, *restrict k1 = in + 4 * width;
        for (long i = 0; i < width; i++) k0[i] = (k0[i] - k1[i]) * by, v0[i] -= v1[i];
        for (long h = 0; h < heads; h++) {
            long at = h * size;
            const float *restrict q0 = in + at, *restrict q1 = in + 3 * width + at;
            const float *restrict k = k0 + at, *restrict dy0 = dy + at, *restrict dy1 = dy0 + width;
            float first0 = sigmoid(dot(q0, k, size)), first1 = sigmoid(dot(q1, k, size));
            float ds0 = dot(dy0, v0 + at, size) * first0 * (1 - first0);
            float ds1 = dot(dy1, v0 + at, size) * first1 * (1 - first1);
            float *restrict to = d + at;
            for (long i = 0; i < size; i++) {
                float dk = (ds0 * q0[i] + ds1 * q1[i]) * by;
                float dv = first0 * dy0[i] + first1 * dy1[i];
                to[i] = ds0 * k[i];
                to[width + i] = dk;
                to[2 * width + i] = dv;
                to[3 * width + i] = ds1 * k[i];
                to[4 * width + i] = -dk;
                to[5 * width + i] = dy0[i] + dy1[i] - dv;
            }
        }
        turn(d + 3 * width, cosine, sine, -1, heads, size);
        turn(d + 4 * width, cosine, sine, -1, heads, size);
        store(qkv_grad, row * 6 * width, d, 6 * width, kind);
    }
}
