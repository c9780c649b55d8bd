// Products and sums of numbers: sums of 16-bit entries are floats, always.
#pragma once
#include "device.cuh"

// Where the batch of x stands: (features, n) or (n, features).
enum Layout { LAST, FIRST };

template <class T>
struct SumOf {
    using type = T;
};
template <>
struct SumOf<half16> {
    using type = float;
};
template <>
struct SumOf<bfloat16> {
    using type = float;
};
template <class T>
using Sum = typename SumOf<T>::type;

DEVICE float widen(float value) { return value; }
DEVICE double widen(double value) { return value; }
DEVICE float widen(bfloat16 value) { return from_bits(unsigned(value.bits) << 16); }
template <class R>
DEVICE Complex<R> widen(Complex<R> value) {
    return value;
}
template <class T>
DEVICE void narrow(T value, T& out) {
    out = value;
}
template <class T, class S>
DEVICE T narrowed(S value) {
    T out;
    narrow(value, out);
    return out;
}

template <class R>
DEVICE void add_product(R a, R b, R& sum) {
    sum = fused(a, b, sum);
}
template <class R>
DEVICE void add_product(Complex<R> a, Complex<R> b, Complex<R>& sum) {
    sum.re = fused(-a.im, b.im, fused(a.re, b.re, sum.re));
    sum.im = fused(a.im, b.re, fused(a.re, b.im, sum.im));
}
template <class T>
DEVICE T add(T a, T b) {
    return a + b;
}
template <class R>
DEVICE Complex<R> add(Complex<R> a, Complex<R> b) {
    return {a.re + b.re, a.im + b.im};
}

template <bool CONJUGATE, class T>
DEVICE T conjugate_if(T value) {
    return value;
}
template <bool CONJUGATE, class R>
DEVICE Complex<R> conjugate_if(Complex<R> value) {
    return {value.re, CONJUGATE ? -value.im : value.im};
}

template <class T>
DEVICE T shuffled(T value, int mask) {
    return shuffle_xor(value, mask);
}
template <class R>
DEVICE Complex<R> shuffled(Complex<R> value, int mask) {
    return {shuffle_xor(value.re, mask), shuffle_xor(value.im, mask)};
}

DEVICE int least(long long a, int b) { return a < b ? int(a) : b; }
DEVICE int tiles(long long size, int tile) { return int((size + tile - 1) / tile); }
