// A tile of a product, C (M x N) += A (M x K) B (K x N): operands in shared memory, sums in registers.
//
// A is read at m AM + k AK and B at k BK + n BN. A worker holds a part PM x PN of C. By FMA a worker
// is a thread; on tensor cores it is a warp. Shared memory read per step of a tile, in entries:
// K (M N / PN + N M / PM); flops: 2 M N K (8 M N K for complex numbers, 6 M N K for tf32x3).
#pragma once
#include "arithmetic.cuh"

enum Arithmetic { IEEE, TF32, TF32X3, HALF };

template <class T, int M, int N, int K, int PM, int PN>
struct FmaTile {
    static constexpr int WORKERS = (M / PM) * (N / PN);
    static constexpr int THREADS = WORKERS;
    static constexpr int VECTOR = 16 / sizeof(T);
    static_assert(PN % VECTOR == 0 && K % VECTOR == 0, "whole vectors");
    Sum<T> sums[PM][PN];

    DEVICE void clear() {
        for (int r = 0; r < PM; r++)
            for (int s = 0; s < PN; s++) sums[r][s] = {};
    }
    // Column s of a worker: neighbours read neighbouring vectors, or neighbouring entries.
    template <bool VECTORS>
    static DEVICE int column(int worker, int s) {
        const int t = worker % (N / PN);
        if (VECTORS) return s / VECTOR * (VECTOR * (N / PN)) + t * VECTOR + s % VECTOR;
        return s * (N / PN) + t;
    }
    static DEVICE int row(int worker, int r) { return worker / (N / PN) * PM + r; }

    template <int AM, int AK, int BK, int BN, bool CONJUGATE_A, bool CONJUGATE_B>
    DEVICE void step(Shared<T> a, Shared<T> b, int worker) {
#pragma unroll
        for (int k = 0; k < K; k += VECTOR) {
            T left[PM][VECTOR];
#pragma unroll
            for (int r = 0; r < PM; r++) {
                if constexpr (AK == 1) {
                    const Vector<T, VECTOR> v = load<VECTOR>(a, row(worker, r) * AM + k);
                    for (int h = 0; h < VECTOR; h++) left[r][h] = v.at[h];
                } else {
                    for (int h = 0; h < VECTOR; h++)
                        left[r][h] = load(a, row(worker, r) * AM + (k + h) * AK);
                }
            }
#pragma unroll
            for (int h = 0; h < VECTOR; h++) {
                T right[PN];
#pragma unroll
                for (int s = 0; s < PN; s += VECTOR) {
                    if constexpr (BN == 1) {
                        const Vector<T, VECTOR> v =
                            load<VECTOR>(b, (k + h) * BK + column<true>(worker, s));
                        for (int g = 0; g < VECTOR; g++) right[s + g] = v.at[g];
                    } else {
                        for (int g = 0; g < VECTOR; g++)
                            right[s + g] =
                                load(b, (k + h) * BK + column<false>(worker, s + g) * BN);
                    }
                }
#pragma unroll
                for (int r = 0; r < PM; r++)
#pragma unroll
                    for (int s = 0; s < PN; s++)
                        add_product(conjugate_if<CONJUGATE_A>(left[r][h]),
                                    conjugate_if<CONJUGATE_B>(right[s]), sums[r][s]);
            }
        }
    }
    // Calls f(m, n, sum) for the entries that this worker holds. VECTORS as in step: BN == 1.
    template <bool VECTORS, class F>
    DEVICE void each(int worker, F f) const {
#pragma unroll
        for (int r = 0; r < PM; r++)
#pragma unroll
            for (int s = 0; s < PN; s++)
                f(row(worker, r), column<VECTORS>(worker, s), sums[r][s]);
    }
};

// Fragments of tensor cores. PACK entries along k share a register: 1 of tf32, 2 of 16 bits.
template <class T, int ARITHMETIC, int M, int N, int K, int PM, int PN>
struct MmaTile {
    static constexpr int WORKERS = (M / PM) * (N / PN);
    static constexpr int THREADS = 32 * WORKERS;
    static constexpr int ROWS = PM / 16, COLUMNS = PN / 8;
    static constexpr int PACK = ARITHMETIC == HALF ? 2 : 1;
    static constexpr int PARTS = ARITHMETIC == TF32X3 ? 2 : 1;
    static_assert(PM % 16 == 0 && PN % 8 == 0 && K % (8 * PACK) == 0, "whole fragments");
    float sums[ROWS][COLUMNS][4];

    DEVICE void clear() {
        for (int r = 0; r < ROWS; r++)
            for (int s = 0; s < COLUMNS; s++)
                for (int e = 0; e < 4; e++) sums[r][s][e] = 0;
    }
    // The register of the entries at i and, of 16 bits, at i + STRIDE; of tf32x3 also what it lost.
    template <int STRIDE>
    static DEVICE void fetch(Shared<T> from, int i, unsigned (&parts)[PARTS]) {
        if constexpr (PACK == 2) {
            T low, high;
            if constexpr (STRIDE == 1) {
                const Vector<T, 2> both = load<2>(from, i);
                low = both.at[0], high = both.at[1];
            } else {
                low = load(from, i), high = load(from, i + STRIDE);
            }
            parts[0] = low.bits | unsigned(high.bits) << 16;
        } else {
            const float value = load(from, i);
            parts[0] = to_tf32(value);
            if constexpr (PARTS == 2) parts[1] = to_tf32(value - from_bits(parts[0]));
        }
    }
    static DEVICE void multiply(float (&sum)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
        if constexpr (PACK == 2)
            mma_16(sum, a, b, T());
        else
            mma_tf32(sum, a, b);
    }

    template <int AM, int AK, int BK, int BN, bool CONJUGATE_A, bool CONJUGATE_B>
    DEVICE void step(Shared<T> a, Shared<T> b, int thread) {
        const int worker = thread / 32, lane = thread % 32;
        const int m = worker / (N / PN) * PM + lane / 4, n = worker % (N / PN) * PN;
#pragma unroll
        for (int k = 0; k < K; k += 8 * PACK) {
            unsigned left[PARTS][ROWS][4], right[PARTS][COLUMNS][2];
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    unsigned parts[PARTS];
                    fetch<AK>(a,
                              (m + r * 16 + e % 2 * 8) * AM +
                                  (k + PACK * (lane % 4 + e / 2 * 4)) * AK,
                              parts);
                    for (int p = 0; p < PARTS; p++) left[p][r][e] = parts[p];
                }
#pragma unroll
            for (int s = 0; s < COLUMNS; s++) {
                if constexpr (PACK == 2 && BN == 1) {
                    load_transposed(right[0][s], b, (k + lane % 16) * BK + n + s * 8);
                } else {
#pragma unroll
                    for (int e = 0; e < 2; e++) {
                        unsigned parts[PARTS];
                        fetch<BK>(b,
                                  (k + PACK * (lane % 4 + e * 4)) * BK + (n + s * 8 + lane / 4) * BN,
                                  parts);
                        for (int p = 0; p < PARTS; p++) right[p][s][e] = parts[p];
                    }
                }
            }
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int s = 0; s < COLUMNS; s++) {
                    if constexpr (PARTS == 2) {  // the small products first
                        multiply(sums[r][s], left[1][r], right[0][s]);
                        multiply(sums[r][s], left[0][r], right[1][s]);
                    }
                    multiply(sums[r][s], left[0][r], right[0][s]);
                }
        }
    }
    template <bool VECTORS, class F>
    DEVICE void each(int thread, F f) const {
        const int worker = thread / 32, lane = thread % 32;
        const int m = worker / (N / PN) * PM + lane / 4;
        const int n = worker % (N / PN) * PN + lane % 4 * 2;
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int s = 0; s < COLUMNS; s++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    f(m + r * 16 + e / 2 * 8, n + s * 8 + e % 2, sums[r][s][e]);
    }
};

template <class T, int ARITHMETIC, int M, int N, int K, int PM, int PN>
struct TileOf {
    using type = MmaTile<T, ARITHMETIC, M, N, K, PM, PN>;
};
template <class T, int M, int N, int K, int PM, int PN>
struct TileOf<T, IEEE, M, N, K, PM, PN> {
    using type = FmaTile<T, M, N, K, PM, PN>;
};
template <class T, int ARITHMETIC, int M, int N, int K, int PM, int PN>
using Tile = typename TileOf<T, ARITHMETIC, M, N, K, PM, PN>::type;
