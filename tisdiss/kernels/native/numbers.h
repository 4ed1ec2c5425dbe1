/* Numbers of memory, float32 or bfloat16, and what is computed of them in float32. */
#pragma once
#include <stdint.h>
#include <math.h>
#include <string.h>

typedef enum { FLOAT32 = 0, BFLOAT16 = 1 } Kind;

static inline float of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* To nearest, ties to even; not-a-number stays one. */
static inline uint16_t rounded(float value) {
    uint32_t bits = bits_of(value);
    uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return value == value ? (uint16_t)nearest : 0x7fc0;
}

/* `count` numbers from number `first` on. */
static inline void load(float *restrict to, const void *from, long first, long count, Kind kind) {
    if (kind == FLOAT32) {
        memcpy(to, (const float *)from + first, count * sizeof(float));
        return;
    }
    const uint16_t *restrict narrow = (const uint16_t *)from + first;
    for (long i = 0; i < count; i++) to[i] = of_bits((uint32_t)narrow[i] << 16);
}

static inline void store(void *to, long first, const float *restrict from, long count, Kind kind) {
    if (kind == FLOAT32) {
        memcpy((float *)to + first, from, count * sizeof(float));
        return;
    }
    uint16_t *restrict narrow = (uint16_t *)to + first;
    for (long i = 0; i < count; i++) narrow[i] = rounded(from[i]);
}

/* e^x to a relative 2e-7, as 2^n e^r with |r| <= ln(2) / 2; x is held in [-87, 88]. */
static inline float exponential(float x) {
    float held = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float shifted = held * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: the sum holds a whole number */
    float n = shifted - 12582912.0f;
    float r = held - n * 0.693145752f - n * 1.42860677e-6f;
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    float value = p * of_bits((bits_of(shifted) + 127) << 23);
    return x < -87.0f ? 0.0f : x > 88.0f ? INFINITY : value;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }
