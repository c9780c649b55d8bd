// One factor, y = K x, of pattern (a, b, c, d): a d independent products of b x c blocks.
//
// Block (i, j) reads rows (i c + q) d + j of x and writes rows (i b + p) d + j of y. A thread block
// makes an M x N tile (outputs x batch) for J neighbouring j, in steps of K inputs; STAGES steps
// are in flight at once. Blocks that share rows of x are neighbours in the grid, so that one of
// them reads from memory and the others from the cache.
//
// Layout LAST: x is (a c d, n); a row of x lies together, J = 1. Layout FIRST: x is (n, a c d);
// J neighbouring j fill a sector of 32 bytes, which no other block reads.
//
// Global bytes, es per entry: es (ceil(b / M) n a c d + ceil(n / N) a b c d + n a b d); from memory
// es (n a d (b + c) + a b c d), the floor. Flops: 2 n a b c d (8 n a b c d for complex numbers).
#pragma once
#include "tile.cuh"

// Which index of the weights (i, j, p, q) is contiguous: threads that are neighbours follow it.
enum Contiguous { ALONG_Q, ALONG_P, ALONG_J };

// XV, WV, YV: entries of x, W, y that are copied together; they divide what lies together.
template <class T, int ARITHMETIC, int LAYOUT, int J, int M, int N, int K, int PM, int PN,
          int STAGES, int XV, int WV, int YV, int WEIGHTS, bool CONJUGATE>
struct Factor {
    using Core = Tile<T, ARITHMETIC, M, N, K, PM, PN>;
    static constexpr int THREADS = J * Core::THREADS;
    static constexpr int SIXTEEN = 16 / sizeof(T);
    static constexpr int W_ROW = K + SIXTEEN, W_GROUP = M * W_ROW, W_SIZE = J * W_GROUP;
    static constexpr int X_ROW = LAYOUT == LAST ? N + 8 : K * J + SIXTEEN;
    static constexpr int X_SIZE = LAYOUT == LAST ? K * X_ROW : N * X_ROW;
    static constexpr int Y_ROW = LAYOUT == LAST ? N + 8 : M * J + SIXTEEN;
    static constexpr int Y_SIZE = LAYOUT == LAST ? M * Y_ROW : N * Y_ROW;
    static constexpr int STEP = W_SIZE + X_SIZE;
    static constexpr int SHARED = sizeof(T) * (STAGES * STEP > Y_SIZE ? STAGES * STEP : Y_SIZE);
    static_assert(LAYOUT == FIRST || J == 1, "batch last takes one j");
    static_assert(K % WV == 0 && (LAYOUT == LAST || (J == 1 ? K : J) % XV == 0), "whole vectors");

    int b, c, d, n;
    long long i;
    int j0, m0, n0;

    DEVICE void place(long long b_, long long c_, long long d_, long long n_) {
        b = int(b_), c = int(c_), d = int(d_), n = int(n_);
        const int along_m = tiles(b, M), along_n = tiles(n, N), along_j = tiles(d, J);
        unsigned rest = blockIdx.x;
        m0 = int(rest % along_m) * M;
        rest /= along_m;
        if (LAYOUT == LAST) {
            n0 = int(rest % along_n) * N;
            rest /= along_n;
            j0 = int(rest % along_j) * J;
            i = rest / along_j;
        } else {  // neighbouring j lie in the same lines of memory
            j0 = int(rest % along_j) * J;
            rest /= along_j;
            n0 = int(rest % along_n) * N;
            i = rest / along_n;
        }
    }

    DEVICE void copy_x(Shared<T> to, In<T> x, long long width, int q0) const {
        if constexpr (LAYOUT == LAST) {
            constexpr int ACROSS = N / XV;
#pragma unroll 2  // more would keep addresses, and spill
            for (int at = threadIdx.x; at < K * ACROSS; at += THREADS) {
                const int q = at / ACROSS, t = at % ACROSS * XV;
                const bool inside = q0 + q < c && n0 + t < n;
                copy_async<XV>(to, q * X_ROW + t, x, ((i * c + q0 + q) * d + j0) * n + n0 + t,
                               inside);
            }
        } else {
            constexpr int ACROSS = K * J / XV;
#pragma unroll 2  // more would keep addresses, and spill
            for (int at = threadIdx.x; at < N * ACROSS; at += THREADS) {
                const int t = at / ACROSS, q = at % ACROSS * XV / J, j = at % ACROSS * XV % J;
                const bool inside = q0 + q < c && j0 + j < d && n0 + t < n;
                copy_async<XV>(to, t * X_ROW + q * J + j, x,
                               (n0 + t) * width + (i * c + q0 + q) * d + j0 + j, inside);
            }
        }
    }

    DEVICE void copy_w(Shared<T> to, In<T> w, long long si, long long sj, long long sp,
                       long long sq, int q0) const {
        constexpr int ACROSS = K / WV;
#pragma unroll 2  // more would keep addresses, and spill
        for (int at = threadIdx.x; at < J * M * ACROSS; at += THREADS) {
            int j, p, q;
            if constexpr (WEIGHTS == ALONG_Q)
                q = at % ACROSS * WV, p = at / ACROSS % M, j = at / ACROSS / M;
            else if constexpr (WEIGHTS == ALONG_P)
                p = at % M, q = at / M % K, j = at / M / K;
            else
                j = at % J, q = at / J % K, p = at / J / K;
            const bool inside = j0 + j < d && m0 + p < b && q0 + q < c;
            copy_async<WV>(to, j * W_GROUP + p * W_ROW + q, w,
                           i * si + (j0 + j) * sj + (m0 + p) * sp + (q0 + q) * sq, inside);
        }
    }

    DEVICE void write_y(Shared<T> from, Out<T> y, long long width) const {
        if constexpr (LAYOUT == LAST) {
            constexpr int ACROSS = N / YV;
            for (int at = threadIdx.x; at < M * ACROSS; at += THREADS) {
                const int p = at / ACROSS, t = at % ACROSS * YV;
                if (m0 + p < b && n0 + t < n)
                    store<YV>(y, ((i * b + m0 + p) * d + j0) * n + n0 + t,
                              load<YV>(from, p * Y_ROW + t));
            }
        } else {
            constexpr int ACROSS = M * J / YV;
            for (int at = threadIdx.x; at < N * ACROSS; at += THREADS) {
                const int t = at / ACROSS, p = at % ACROSS * YV / J, j = at % ACROSS * YV % J;
                if (m0 + p < b && j0 + j < d && n0 + t < n)
                    store<YV>(y, (n0 + t) * width + (i * b + m0 + p) * d + j0 + j,
                              load<YV>(from, t * Y_ROW + p * J + j));
            }
        }
    }

    // w has entry (i, j, p, q) at i si + j sj + p sp + q sq.
    static DEVICE void run(In<T> x, In<T> w, Out<T> y, long long a, long long b, long long c,
                           long long d, long long n, long long si, long long sj, long long sp,
                           long long sq) {
        Factor own;
        own.place(b, c, d, n);
        const int group = threadIdx.x / Core::THREADS, worker = threadIdx.x % Core::THREADS;
        const int steps = tiles(c, K);
        const Shared<T> memory = shared_from<T>(0);
        Core core;
        core.clear();
        for (int ahead = 0; ahead < STAGES - 1; ahead++) {
            if (ahead < steps) {
                own.copy_w(memory + ahead * STEP, w, si, sj, sp, sq, ahead * K);
                own.copy_x(memory + ahead * STEP + W_SIZE, x, a * c * d, ahead * K);
            }
            end_group();
        }
        for (int step = 0; step < steps; step++) {
            copies_arrived<STAGES - 2>();
            __syncthreads();  // step is here, and all are done with the stage that is filled next
            const int ahead = step + STAGES - 1;
            if (ahead < steps) {
                const Shared<T> stage = memory + ahead % STAGES * STEP;
                own.copy_w(stage, w, si, sj, sp, sq, ahead * K);
                own.copy_x(stage + W_SIZE, x, a * c * d, ahead * K);
            }
            end_group();
            const Shared<T> left = memory + step % STAGES * STEP + group * W_GROUP;
            const Shared<T> right = memory + step % STAGES * STEP + W_SIZE;
            if constexpr (LAYOUT == LAST)
                core.template step<W_ROW, 1, X_ROW, 1, CONJUGATE, false>(left, right, worker);
            else
                core.template step<W_ROW, 1, J, X_ROW, CONJUGATE, false>(left, right + group,
                                                                         worker);
        }
        __syncthreads();  // the tile of y takes the place of the stages
        core.template each<LAYOUT == LAST>(worker, [&](int p, int t, Sum<T> sum) {
            const int at = LAYOUT == LAST ? p * Y_ROW + t : t * Y_ROW + p * J + group;
            store(memory, at, narrowed<T>(sum));
        });
        __syncthreads();
        own.write_y(memory, y, a * b * d);
    }
};
