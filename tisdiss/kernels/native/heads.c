/* (rows, length, q | k | v) to q, k, v of (rows, heads, length, size), q and k turned; and back.

   `cosine` and `sine` are (length, size / 2). q is multiplied by `by`. */
#include "numbers.h"

enum { WIDEST = 4096 };

static inline void turn(const float *restrict in, float *restrict out, const float *restrict cosine,
                        const float *restrict sine, float sign, float by, long size) {
    for (long i = 0; i < size / 2; i++) {
        float re = in[2 * i], im = in[2 * i + 1], c = cosine[i] * by, s = sine[i] * by * sign;
        out[2 * i] = re * c - im * s;
        out[2 * i + 1] = re * s + im * c;
    }
}

void heads_apart(long rows, long length, long heads, long size, float by, const float *cosine,
                 const float *sine, const void *qkv, void *q, void *k, void *v, Kind kind) {
    long width = heads * size;
    void *parts[] = {q, k, v};
#pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; row++)
        for (long p = 0; p < length; p++) {
            float in[3 * WIDEST], out[WIDEST];
            load(in, qkv, (row * length + p) * 3 * width, 3 * width, kind);
            const float *c = cosine + p * size / 2, *s = sine + p * size / 2;
            for (long part = 0; part < 3; part++)
                for (long h = 0; h < heads; h++) {
                    const float *from = in + part * width + h * size;
                    if (part < 2) turn(from, out, c, s, 1, part ? 1 : by, size);
                    store(parts[part], ((row * heads + h) * length + p) * size,
                          part < 2 ? out : from, size, kind);
                }
        }
}

void heads_together(long rows, long length, long heads, long size, float by, const float *cosine,
                    const float *sine, const void *q, const void *k, const void *v, void *qkv,
                    Kind kind) {
    long width = heads * size;
    const void *parts[] = {q, k, v};
#pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; row++)
        for (long p = 0; p < length; p++) {
            float in[WIDEST], out[3 * WIDEST];
            const float *c = cosine + p * size / 2, *s = sine + p * size / 2;
            for (long part = 0; part < 3; part++)
                for (long h = 0; h < heads; h++) {
                    float *to = out + part * width + h * size;
                    float *from = part < 2 ? in : to;
                    load(from, parts[part], ((row * heads + h) * length + p) * size, size, kind);
                    if (part < 2) turn(in, to, c, s, -1, part ? 1 : by, size);
                }
            store(qkv, (row * length + p) * 3 * width, out, 3 * width, kind);
        }
}
