// A run of factors of any blocks in one pass, y = K_1 .. K_P x: what fused_pairs.cuh does for 2 x 2.
//
// The merged pattern of the run is (a, ., ., d); restricted to one i < a and j < d, factor l is
// Step<A, B, C, D>: A D blocks B x C, of pattern (a A, B, C, d D) in the whole. A thread block keeps
// the rows of one i (and J neighbouring j, batch first) of N columns in shared memory, twice: a
// factor reads one copy and writes the other. A thread computes PART outputs of HELD columns.
//
// Weights: the factors one after the other, each as (a, d, b, c).
// Global bytes: es n a d (rows in + rows out), the floor; weights from the cache, as asked for by
// every thread: es ceil(n / HELD) sum a_l b_l c_l d_l. Flops: 2 n sum a_l b_l c_l d_l.
#pragma once
#include "arithmetic.cuh"

template <int A_, int B_, int C_, int D_>
struct Step {
    static constexpr int A = A_, B = B_, C = C_, D = D_;
};

DEVICE constexpr int most_of(int value) { return value; }
template <class... Rest>
DEVICE constexpr int most_of(int value, Rest... rest) {
    const int other = most_of(rest...);
    return value > other ? value : other;
}

template <class T, int LAYOUT, int J, int N, int XV, int THREADS, class First, class... Others>
struct FusedChain {
    static constexpr int COLUMNS = J * N, HELD = 16 / sizeof(Sum<T>), PART = 4;
    // Batch first and d = 1: threads run along rows, which would share banks.
    static constexpr int LINE = COLUMNS + (LAYOUT == FIRST && J == 1 ? HELD : 0);
    static constexpr int ROWS = most_of(First::A * First::B * First::D,
                                        First::A * First::C * First::D,
                                        Others::A * Others::C * Others::D...);
    static constexpr int SHARED = 2 * ROWS * LINE * sizeof(T);
    static_assert(N % HELD == 0, "a thread's columns share their weights");

    int n, d, j0;
    long long a, i, n0;

    template <int COUNT, class F>
    DEVICE void each(F f) const {
#pragma unroll 4
        for (int at = threadIdx.x; at < COUNT * COLUMNS / XV; at += THREADS) {
            int row, t, j = 0;
            if constexpr (LAYOUT == LAST)
                t = at % (N / XV) * XV, row = at / (N / XV);
            else if constexpr (J == 1)
                row = at % COUNT, t = at / COUNT;
            else
                j = at % J, t = at / J % N, row = at / J / N;
            if (n0 + t >= n || j0 + j >= d) continue;
            const long long line = (i * COUNT + row) * d + j0 + j;
            f(row * LINE + j * N + t,
              LAYOUT == LAST ? line * n + n0 + t : (n0 + t) * (a * COUNT * d) + line);
        }
    }

    template <class S>
    DEVICE void apply(Shared<T> from, Shared<T> to, In<T> w, long long start) const {
        constexpr int ACROSS = COLUMNS / HELD, PARTS = (S::B + PART - 1) / PART;
        for (int at = threadIdx.x; at < S::A * S::D * PARTS * ACROSS; at += THREADS) {
            const int column = at % ACROSS * HELD, p0 = at / ACROSS % PARTS * PART;
            const int block = at / ACROSS / PARTS, outer = block / S::D, inner = block % S::D;
            const int j = j0 + column / N;
            if (n0 + column % N >= n || j >= d) continue;
            const long long weights =
                start + (((i * S::A + outer) * S::D + inner) * d + j) * (S::B * S::C) + p0 * S::C;
            Sum<T> sums[PART][HELD] = {};
#pragma unroll 4
            for (int q = 0; q < S::C; q++) {
                const Vector<T, HELD> line =
                    load<HELD>(from, (outer * (S::C * S::D) + q * S::D + inner) * LINE + column);
#pragma unroll
                for (int p = 0; p < PART; p++) {
                    if (p0 + p >= S::B) break;
                    const Sum<T> weight = widen(load(w, weights + p * S::C + q));
#pragma unroll
                    for (int h = 0; h < HELD; h++)
                        add_product(weight, widen(line.at[h]), sums[p][h]);
                }
            }
#pragma unroll
            for (int p = 0; p < PART; p++) {
                if (p0 + p >= S::B) break;
                Vector<T, HELD> line;
#pragma unroll
                for (int h = 0; h < HELD; h++) line.at[h] = narrowed<T>(sums[p][h]);
                store<HELD>(
                    to, (outer * (S::B * S::D) + (p0 + p) * S::D + inner) * LINE + column, line);
            }
        }
        __syncthreads();  // the next factor reads what others wrote
    }
    // Applies the others, then this one; `start` is where its weights begin.
    template <class S, class... After>
    DEVICE void apply_all(Shared<T> rows, In<T> w, long long start) const {
        constexpr int DONE = sizeof...(After), SIZE = ROWS * LINE;
        if constexpr (DONE > 0)
            apply_all<After...>(rows, w, start + a * d * (S::A * S::B * S::C * S::D));
        apply<S>(rows + DONE % 2 * SIZE, rows + (DONE + 1) % 2 * SIZE, w, start);
    }

    template <class S>
    static DEVICE constexpr int rows_in() {
        return S::A * S::C * S::D;
    }
    template <class S, class Next, class... After>
    static DEVICE constexpr int rows_in() {
        return rows_in<Next, After...>();
    }

    static DEVICE void run(In<T> x, In<T> w, Out<T> y, long long a, long long d, long long n) {
        FusedChain own;
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
        own.template each<rows_in<First, Others...>()>([&](int here, long long there) {
            copy_async<XV>(rows, here, x, there, true);
        });
        end_group();
        copies_arrived<0>();
        __syncthreads();
        own.template apply_all<First, Others...>(rows, w, 0);
        const Shared<T> last = rows + (1 + sizeof...(Others)) % 2 * (ROWS * LINE);
        own.template each<First::A * First::B * First::D>(
            [&](int here, long long there) { store<XV>(y, there, load<XV>(last, here)); });
    }
};
