// The gradient of a factor's weights: dW(i, p, j, q) = sum over t of dy((i, p, j), t) conj x((i, q, j), t).
//
// The batch is split into S parts, each summed by thread blocks of its own into a partial result;
// SumPartials adds these in order. No atomics: the same numbers come out every time.
//
// Global bytes: es (ceil(c / N) n a b d + ceil(b / M) n a c d) and S a b c d sums stored (and loaded
// again where S > 1); the floor is es (n a d (b + c) + a b c d). Flops: 2 n a b c d.
#pragma once
#include "tile.cuh"

// An M x N tile (p x q) of J neighbouring j, in steps of K columns of the batch.
template <class T, int ARITHMETIC, int LAYOUT, int J, int M, int N, int K, int PM, int PN,
          int STAGES, int DV, int XV>
struct Weights {
    using Core = Tile<T, ARITHMETIC, M, N, K, PM, PN>;
    static constexpr int THREADS = J * Core::THREADS;
    static constexpr int SIXTEEN = 16 / sizeof(T);
    // Batch last: rows of a tile are features. Batch first: rows are columns of the batch.
    static constexpr int D_ROW = LAYOUT == LAST ? K + SIXTEEN : M * J + SIXTEEN;
    static constexpr int X_ROW = LAYOUT == LAST ? K + SIXTEEN : N * J + SIXTEEN;
    static constexpr int D_SIZE = LAYOUT == LAST ? M * D_ROW : K * D_ROW;
    static constexpr int X_SIZE = LAYOUT == LAST ? N * X_ROW : K * X_ROW;
    static constexpr int STEP = D_SIZE + X_SIZE;
    static constexpr int SHARED = sizeof(T) * STAGES * STEP;
    static_assert(LAYOUT == FIRST || J == 1, "batch last takes one j");

    // HEIGHT features from f0 on, of `size` in a block, for the columns t0 .. of the batch.
    template <int HEIGHT, int ROW, int V>
    static DEVICE void copy(Shared<T> to, In<T> from, long long i, int f0, int size, int j0, int d,
                            long long a, long long t0, long long n) {
        if constexpr (LAYOUT == LAST) {
            constexpr int ACROSS = K / V;
#pragma unroll 2  // more would keep addresses, and spill
            for (int at = threadIdx.x; at < HEIGHT * ACROSS; at += THREADS) {
                const int f = at / ACROSS, t = at % ACROSS * V;
                copy_async<V>(to, f * ROW + t, from, ((i * size + f0 + f) * d + j0) * n + t0 + t,
                              f0 + f < size && t0 + t < n);
            }
        } else {
            constexpr int ACROSS = HEIGHT * J / V;
#pragma unroll 2  // more would keep addresses, and spill
            for (int at = threadIdx.x; at < K * ACROSS; at += THREADS) {
                const int t = at / ACROSS, f = at % ACROSS * V / J, j = at % ACROSS * V % J;
                copy_async<V>(to, t * ROW + f * J + j, from,
                              (t0 + t) * (a * size * d) + (i * size + f0 + f) * d + j0 + j,
                              f0 + f < size && j0 + j < d && t0 + t < n);
            }
        }
    }

    // Part s of the batch is columns s share .. (s + 1) share; `share` is a multiple of K.
    static DEVICE void run(In<T> dy, In<T> x, Out<Sum<T>> partial, long long a, long long b,
                           long long c, long long d, long long n, long long share, long long si,
                           long long sj, long long sp, long long sq) {
        const int along_p = tiles(b, M), along_q = tiles(c, N), along_j = tiles(d, J);
        unsigned rest = blockIdx.x;
        const int p0 = int(rest % along_p) * M;
        rest /= along_p;
        const int q0 = int(rest % along_q) * N;
        rest /= along_q;
        const int j0 = int(rest % along_j) * J;
        rest /= along_j;
        const long long i = rest % a, part = rest / a;
        const long long begin = part * share, end = begin + share < n ? begin + share : n;
        const int steps = tiles(end - begin, K);
        const int group = threadIdx.x / Core::THREADS, worker = threadIdx.x % Core::THREADS;
        const Shared<T> memory = shared_from<T>(0);
        const auto fetch = [&](int step) {
            const Shared<T> stage = memory + step % STAGES * STEP;
            const long long t0 = begin + (long long)step * K;
            copy<M, D_ROW, DV>(stage, dy, i, p0, int(b), j0, int(d), a, t0, n);
            copy<N, X_ROW, XV>(stage + D_SIZE, x, i, q0, int(c), j0, int(d), a, t0, n);
        };
        Core core;
        core.clear();
        for (int ahead = 0; ahead < STAGES - 1; ahead++) {
            if (ahead < steps) fetch(ahead);
            end_group();
        }
        for (int step = 0; step < steps; step++) {
            copies_arrived<STAGES - 2>();
            __syncthreads();  // step is here, and all are done with the stage that is filled next
            if (step + STAGES - 1 < steps) fetch(step + STAGES - 1);
            end_group();
            const Shared<T> left = memory + step % STAGES * STEP, right = left + D_SIZE;
            if constexpr (LAYOUT == LAST)
                core.template step<D_ROW, 1, 1, X_ROW, false, true>(left, right, worker);
            else
                core.template step<J, D_ROW, X_ROW, J, false, true>(left + group, right + group,
                                                                    worker);
        }
        const int j = j0 + group;
        const long long to = part * (a * b * c * d) + i * si + j * sj;
        core.template each<LAYOUT == FIRST && J == 1>(worker, [&](int p, int q, Sum<T> sum) {
            if (p0 + p < b && q0 + q < c && j < d)
                store(partial, to + (p0 + p) * sp + (q0 + q) * sq, sum);
        });
    }
};

// Small blocks, b <= B and c <= C: sums in registers. Batch last: a warp to a block (i, j), lanes
// along the batch. Batch first: a thread to a block, neighbours along j. Every entry of dy and x is
// read once.
template <class T, int LAYOUT, int B, int C, int V>
struct TinyWeights {
    static DEVICE void run(In<T> dy, In<T> x, Out<Sum<T>> partial, long long a, long long b,
                           long long c, long long d, long long n, long long share, long long si,
                           long long sj, long long sp, long long sq) {
        constexpr int LANES = LAYOUT == LAST ? 32 : 1;
        const int lane = LAYOUT == LAST ? threadIdx.x % LANES : 0, own = threadIdx.x / LANES;
        const long long along = tiles(a * d, blockDim.x / LANES);
        const long long group = (long long)(blockIdx.x % along) * (blockDim.x / LANES) + own;
        const long long part = blockIdx.x / along, begin = part * share;
        const long long end = begin + share < n ? begin + share : n;
        if (group >= a * d) return;  // a whole warp, batch last
        const long long i = group / d, j = group % d;
        Sum<T> sums[B][C] = {};
        for (long long t = begin + lane * V; t < end; t += LANES * V) {
            Vector<T, V> left[B], right[C];
#pragma unroll
            for (int p = 0; p < B; p++) left[p] = fetch(dy, i, p, j, b, d, a, t, n);
#pragma unroll
            for (int q = 0; q < C; q++) right[q] = fetch(x, i, q, j, c, d, a, t, n);
#pragma unroll
            for (int h = 0; h < V; h++)
#pragma unroll
                for (int p = 0; p < B; p++)
#pragma unroll
                    for (int q = 0; q < C; q++)
                        add_product(widen(left[p].at[h]),
                                    conjugate_if<true>(widen(right[q].at[h])), sums[p][q]);
        }
        const long long to = part * (a * b * c * d) + i * si + j * sj;
#pragma unroll
        for (int p = 0; p < B; p++)
#pragma unroll
            for (int q = 0; q < C; q++) {
                Sum<T> sum = sums[p][q];
#pragma unroll
                for (int mask = LANES / 2; mask > 0; mask /= 2)
                    sum = add(sum, shuffled(sum, mask));
                if (lane == 0 && p < b && q < c) store(partial, to + p * sp + q * sq, sum);
            }
    }
    static DEVICE Vector<T, V> fetch(In<T> from, long long i, int f, long long j, long long size,
                                     long long d, long long a, long long t, long long n) {
        const long long line = (i * size + f) * d + j;
        Vector<T, V> value = {};
        if (f < size) value = load<V>(from, LAYOUT == LAST ? line * n + t : t * (a * size * d) + line);
        return value;
    }
};

// dW = the sum of S partial results, in order.
template <class T>
struct SumPartials {
    static DEVICE void run(In<Sum<T>> partial, Out<T> dw, long long size, long long parts) {
        const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
        if (at >= size) return;
        Sum<T> sum = load(partial, at);
#pragma unroll 4
        for (long long part = 1; part < parts; part++)
            sum = add(sum, load(partial, part * size + at));
        store(dw, at, narrowed<T>(sum));
    }
};
