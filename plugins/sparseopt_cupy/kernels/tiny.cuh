// One factor with blocks so small that memory sets the pace: registers only, nothing shared.
//
// Every entry of x is read once and every entry of y written once, by any layout. Global bytes:
// es n a d (b + c), the floor, and weights from the first cache. Flops: 2 n a b c d.
#pragma once
#include "arithmetic.cuh"

// Batch last. A thread holds V neighbouring columns of one block (i, j): either all outputs
// (b <= SMALL, HOLDS_OUTPUTS) while inputs stream by, or all inputs (c <= SMALL) while outputs do.
// Weights are asked for by every thread: es ceil(n / V) a b c d bytes, the same for a whole warp
// where n >= 32 V.
template <class T, int SMALL, bool HOLDS_OUTPUTS, int V, bool CONJUGATE>
struct TinyLast {
    static DEVICE void run(In<T> x, In<T> w, Out<T> y, long long a, long long b, long long c,
                           long long d, long long n, long long si, long long sj, long long sp,
                           long long sq) {
        const int along_n = tiles((n + V - 1) / V, blockDim.x);
        const long long t = ((long long)(blockIdx.x % along_n) * blockDim.x + threadIdx.x) * V;
        const long long group = (long long)(blockIdx.x / along_n) * blockDim.y + threadIdx.y;
        if (t >= n || group >= a * d) return;
        const long long i = group / d, j = group % d, weights = i * si + j * sj;
        const long long row = d * n, from = (i * c * d + j) * n + t, to = (i * b * d + j) * n + t;
        if constexpr (HOLDS_OUTPUTS) {
            Sum<T> sums[SMALL][V] = {};
// Unrolled further, weights that are loaded ahead take more registers than there are.
#pragma unroll(SMALL < 8 ? 4 : 1)
            for (long long q = 0; q < c; q++) {
                const Vector<T, V> column = load<V>(x, from + q * row);
#pragma unroll
                for (int p = 0; p < SMALL; p++) {
                    if (p >= b) break;
                    const Sum<T> weight =
                        conjugate_if<CONJUGATE>(widen(load(w, weights + p * sp + q * sq)));
                    for (int h = 0; h < V; h++)
                        add_product(weight, widen(column.at[h]), sums[p][h]);
                }
            }
#pragma unroll
            for (int p = 0; p < SMALL; p++) {
                if (p >= b) break;
                Vector<T, V> out;
                for (int h = 0; h < V; h++) out.at[h] = narrowed<T>(sums[p][h]);
                store<V>(y, to + p * row, out);
            }
        } else {
            Vector<T, V> columns[SMALL];
#pragma unroll
            for (int q = 0; q < SMALL; q++) {
                if (q >= c) break;
                columns[q] = load<V>(x, from + q * row);
            }
#pragma unroll(SMALL < 8 ? 2 : 1)
            for (long long p = 0; p < b; p++) {
                Sum<T> sums[V] = {};
#pragma unroll
                for (int q = 0; q < SMALL; q++) {
                    if (q >= c) break;
                    const Sum<T> weight =
                        conjugate_if<CONJUGATE>(widen(load(w, weights + p * sp + q * sq)));
                    for (int h = 0; h < V; h++)
                        add_product(weight, widen(columns[q].at[h]), sums[h]);
                }
                Vector<T, V> out;
                for (int h = 0; h < V; h++) out.at[h] = narrowed<T>(sums[h]);
                store<V>(y, to + p * row, out);
            }
        }
    }
};

// Batch first, b <= B and c <= C. A thread keeps the weights of one block (i, j) in registers and
// walks ROWS rows of x; neighbouring threads take neighbouring j, whose entries lie together.
// Weights: es ceil(n / ROWS) a b c d bytes.
template <class T, int B, int C, int ROWS, bool CONJUGATE>
struct TinyFirst {
    static DEVICE void run(In<T> x, In<T> w, Out<T> y, long long a, long long b, long long c,
                           long long d, long long n, long long si, long long sj, long long sp,
                           long long sq) {
        const int along_g = tiles(a * d, blockDim.x);
        const long long group = (long long)(blockIdx.x % along_g) * blockDim.x + threadIdx.x;
        const long long chunk = (long long)(blockIdx.x / along_g) * blockDim.y + threadIdx.y;
        if (group >= a * d || chunk * ROWS >= n) return;
        const long long i = group / d, j = group % d;
        Sum<T> weights[B][C];
#pragma unroll
        for (int p = 0; p < B; p++)
#pragma unroll
            for (int q = 0; q < C; q++) {
                weights[p][q] = {};
                if (p < b && q < c)
                    weights[p][q] = conjugate_if<CONJUGATE>(
                        widen(load(w, i * si + j * sj + p * sp + q * sq)));
            }
        const int rows = least(n - chunk * ROWS, ROWS);
#pragma unroll 4
        for (int h = 0; h < rows; h++) {
            const long long t = chunk * ROWS + h;
            Sum<T> entries[C];
#pragma unroll
            for (int q = 0; q < C; q++) {
                entries[q] = {};
                if (q < c) entries[q] = widen(load(x, t * a * c * d + (i * c + q) * d + j));
            }
#pragma unroll
            for (int p = 0; p < B; p++) {
                Sum<T> sum = {};
#pragma unroll
                for (int q = 0; q < C; q++) add_product(weights[p][q], entries[q], sum);
                if (p < b) store(y, t * a * b * d + (i * b + p) * d + j, narrowed<T>(sum));
            }
        }
    }
};
