// A run of P butterfly factors in one pass, y = K_1 .. K_P x: blocks 2 x 2, patterns
// (a 2^l, 2, 2, d 2^(P - 1 - l)) for l = 0 .. P - 1. The last is applied first.
//
// Such a run never leaves a set of R = 2^P rows, {(i R + r) d + j}, i < a, j < d. A thread block keeps
// one set (J neighbouring j, batch first) of N columns in shared memory; up to three factors are
// applied in registers between two exchanges, 8 rows of HELD columns to a thread (16 rows would
// spill).
//
// Weights: the factors one after the other, each as (a, d, 2, 2), so that a block is one vector.
// Global bytes: 2 es n a R d, once in and once out, the floor; weights from the cache, as asked for
// by every thread: 2 es a R d P ceil(n / HELD). Flops: 4 P n a R d (16 P n a R d for complex numbers).
#pragma once
#include "arithmetic.cuh"

template <class T, int P, int LAYOUT, int J, int N, int XV, int THREADS>
struct FusedPairs {
    static constexpr int ROWS = 1 << P, COLUMNS = J * N, HELD = 16 / sizeof(Sum<T>);
    // Batch first and d = 1: rows lie together, in memory and here.
    static constexpr bool ALONG = LAYOUT == FIRST && J == 1;
    // Rows 8 apart would share their banks.
    static constexpr int PAD = COLUMNS * sizeof(T) < 128 ? COLUMNS : 0;
    static constexpr int LINE = ROWS + ROWS / 8 + 1;
    static constexpr int SHARED =
        sizeof(T) * (ALONG ? COLUMNS * LINE : ROWS * COLUMNS + (ROWS / 8 + 1) * PAD);
    static constexpr int EXCHANGES = (P + 2) / 3;
    static_assert(N % HELD == 0, "a thread's columns share their weights");

    static DEVICE int place(int row, int column) {
        if (ALONG) return column * LINE + row + row / 8;
        return row * COLUMNS + row / 8 * PAD + column;
    }

    int n, d, j0;
    long long a, i, n0;

    DEVICE long long global(int row, long long t, int j) const {
        const long long line = (i * ROWS + row) * d + j0 + j;
        return LAYOUT == LAST ? line * n + t : t * (a * ROWS * d) + line;
    }
    // Calls f(place here, place in memory) for what is inside, threads along what lies together.
    // Columns outside hold anything: they meet no other, and are not stored.
    template <class F>
    DEVICE void each(F f) const {
#pragma unroll 4
        for (int at = threadIdx.x; at < ROWS * COLUMNS / XV; at += THREADS) {
            int row, t, j = 0;
            if constexpr (LAYOUT == LAST)
                t = at % (N / XV) * XV, row = at / (N / XV);
            else if constexpr (ALONG)
                row = at % ROWS, t = at / ROWS;
            else
                j = at % J, t = at / J % N, row = at / J / N;
            if (n0 + t < n && j0 + j < d)
                f(place(row, j * N + t), global(row, n0 + t, j));
        }
    }

    // Factors of strides 2^LOW .. 2^(LOW + G - 1), in registers.
    template <int LOW, int G>
    DEVICE void apply(Shared<T> rows, In<T> w) const {
        constexpr int RADIX = 1 << G, STRIDE = 1 << LOW, ACROSS = COLUMNS / HELD;
        constexpr int SETS = ROWS / RADIX;
        for (int at = threadIdx.x; at < SETS * ACROSS; at += THREADS) {
            const int column = (ALONG ? at / SETS : at % ACROSS) * HELD;
            const int set = ALONG ? at % SETS : at / ACROSS;
            const int base = set / STRIDE * (RADIX * STRIDE) + set % STRIDE, j = j0 + column / N;
            if (n0 + column % N >= n || j >= d) continue;
            Sum<T> held[RADIX][HELD];
#pragma unroll
            for (int r = 0; r < RADIX; r++) move<true>(rows, base + r * STRIDE, column, held[r]);
#pragma unroll
            for (int g = 0; g < G; g++) {
                const int span = STRIDE << g, level = P - 1 - LOW - g;
#pragma unroll
                for (int r = 0; r < RADIX; r++) {
                    if (r >> g & 1) continue;
                    const int row = base + r * STRIDE;
                    const long long block =
                        (((i << level) + row / (2 * span)) * span + row % span) * d + j;
                    turn(w, 4 * (level * (a * ROWS / 2 * d) + block), held[r], held[r | 1 << g]);
                }
            }
#pragma unroll
            for (int r = 0; r < RADIX; r++) move<false>(rows, base + r * STRIDE, column, held[r]);
        }
        __syncthreads();
    }
    // Reads HELD columns of a row, or writes them.
    template <bool READS>
    static DEVICE void move(Shared<T> rows, int row, int column, Sum<T> (&held)[HELD]) {
        if constexpr (ALONG) {
#pragma unroll
            for (int h = 0; h < HELD; h++) {
                if constexpr (READS)
                    held[h] = widen(load(rows, place(row, column + h)));
                else
                    store(rows, place(row, column + h), narrowed<T>(held[h]));
            }
        } else {
            Vector<T, HELD> line;
            if constexpr (READS) line = load<HELD>(rows, place(row, column));
#pragma unroll
            for (int h = 0; h < HELD; h++) {
                if constexpr (READS)
                    held[h] = widen(line.at[h]);
                else
                    line.at[h] = narrowed<T>(held[h]);
            }
            if constexpr (!READS) store<HELD>(rows, place(row, column), line);
        }
    }
    // (one, two) becomes the 2 x 2 block at `from` times (one, two).
    static DEVICE void turn(In<T> w, long long from, Sum<T> (&one)[HELD], Sum<T> (&two)[HELD]) {
        constexpr int TOGETHER = sizeof(T) * 4 <= 16 ? 4 : 16 / sizeof(T);
        Sum<T> block[4];
#pragma unroll
        for (int k = 0; k < 4; k += TOGETHER) {
            const Vector<T, TOGETHER> part = load<TOGETHER>(w, from + k);
            for (int h = 0; h < TOGETHER; h++) block[k + h] = widen(part.at[h]);
        }
#pragma unroll
        for (int h = 0; h < HELD; h++) {
            Sum<T> up = {}, down = {};
            add_product(block[0], one[h], up);
            add_product(block[1], two[h], up);
            add_product(block[2], one[h], down);
            add_product(block[3], two[h], down);
            one[h] = up, two[h] = down;
        }
    }
    template <int LOW, int LEFT>
    DEVICE void apply_all(Shared<T> rows, In<T> w) const {
        if constexpr (LEFT > 0) {
            constexpr int G = (P - LOW + LEFT - 1) / LEFT;
            apply<LOW, G>(rows, w);
            apply_all<LOW + G, LEFT - 1>(rows, w);
        }
    }

    static DEVICE void run(In<T> x, In<T> w, Out<T> y, long long a, long long d, long long n) {
        FusedPairs own;
        own.a = a, own.n = int(n), own.d = int(d);
        const int along_n = tiles(n, N), along_j = tiles(d, J);
        unsigned rest = blockIdx.x;
        if (LAYOUT == LAST) {
            own.n0 = (long long)(rest % along_n) * N;
            rest /= along_n;
            own.j0 = int(rest % along_j) * J;
            own.i = rest / along_j;
        } else {
            own.j0 = int(rest % along_j) * J;
            rest /= along_j;
            own.i = rest % a;
            own.n0 = (long long)(rest / a) * N;
        }
        const Shared<T> rows = shared_from<T>(0);
        own.each([&](int here, long long there) { copy_async<XV>(rows, here, x, there, true); });
        end_group();
        copies_arrived<0>();
        __syncthreads();
        own.template apply_all<0, EXCHANGES>(rows, w);
        own.each([&](int here, long long there) { store<XV>(y, there, load<XV>(rows, here)); });
    }
};
