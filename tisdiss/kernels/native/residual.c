/* x + change, where change may be bfloat16. */
#include "numbers.h"

enum { BLOCK = 4096 };

void sum_forward(long numbers, const float *x, const void *change, float *out, Kind kind) {
#pragma omp parallel for schedule(static)
    for (long from = 0; from < numbers; from += BLOCK) {
        long count = numbers - from < BLOCK ? numbers - from : BLOCK;
        float added[BLOCK];
        load(added, change, from, count, kind);
        for (long i = 0; i < count; i++) out[from + i] = x[from + i] + added[i];
    }
}
