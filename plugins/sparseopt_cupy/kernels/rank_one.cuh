// One level of the hierarchical factorization: best rank-one approximations u w of all blocks.
//
// The source has rows (j, t), j < b and t < d, and columns (g, k), g < groups and k < c, contiguous.
// Block (t, g) is the b x c matrix of entries (., t, g, .). u, of length 1, goes to
// left[(t groups + g) b + j], w = u^H B to row t of `rest`, (d, groups c): the source of the next
// level as it lies. The same closed form and the same power iteration as the compiled CPU engine.
//
// A team of threads takes a block; a thread holds the columns k = lane, lane + TEAM, .. of it.
// Global bytes: es b c d groups loaded once (if held), es (b + c) d groups stored: for b = 2 each
// level writes half of what it reads, so a whole factorization moves three times the target, and
// 5/3 times where two levels are taken at once.
#pragma once
#include "arithmetic.cuh"

template <class T>
struct RealOf {
    using type = T;
};
template <class R>
struct RealOf<Complex<R>> {
    using type = R;
};
template <class T>
using Real = typename RealOf<T>::type;

template <class R>
DEVICE R square(R z) {
    return z * z;
}
template <class R>
DEVICE R square(Complex<R> z) {
    return fused(z.re, z.re, z.im * z.im);
}
template <class R>
DEVICE R scaled(R z, R by) {
    return z * by;
}
template <class R>
DEVICE Complex<R> scaled(Complex<R> z, R by) {
    return {z.re * by, z.im * by};
}
template <class R>
DEVICE double wide_square(R z) {
    return double(z) * double(z);
}
template <class R>
DEVICE double wide_square(Complex<R> z) {
    return wide_square(z.re) + wide_square(z.im);
}
// z / by, divided in double precision.
template <class R>
DEVICE R divided(R z, double by) {
    return R(z / by);
}
template <class R>
DEVICE Complex<R> divided(Complex<R> z, double by) {
    return {R(z.re / by), R(z.im / by)};
}
template <class R>
DEVICE R real_as(R value, R) {
    return value;
}
template <class R>
DEVICE Complex<R> real_as(R value, Complex<R>) {
    return {value, R(0)};
}

// The sum over a team; all its threads get the same bits. `scratch` has one place for each warp.
template <int TEAM, class T>
DEVICE T team_sum(T value, Shared<T> scratch) {
#pragma unroll
    for (int mask = (TEAM < 32 ? TEAM : 32) / 2; mask > 0; mask /= 2)
        value = add(value, shuffled(value, mask));
    if constexpr (TEAM > 32) {  // the team is the thread block
        if (threadIdx.x % 32 == 0) store(scratch, threadIdx.x / 32, value);
        __syncthreads();
        T total = load(scratch, 0);
        for (int warp = 1; warp < TEAM / 32; warp++) total = add(total, load(scratch, warp));
        __syncthreads();  // the next sum takes the same places
        return total;
    }
    return value;
}

// Where a thread stands: its block, the first of its columns, whether there is such a block.
template <int TEAM, int THREADS>
struct Team {
    static_assert(TEAM <= 32 || TEAM == THREADS, "a larger team is the thread block");
    long long problem, t, g;
    int lane;
    bool alive;
    DEVICE Team(long long d, long long groups) {
        problem = (long long)blockIdx.x * (THREADS / TEAM) + threadIdx.x / TEAM;
        lane = threadIdx.x % TEAM;
        alive = problem < d * groups;
        t = problem / groups, g = problem % groups;
    }
};

// The top eigenvector of [[xx, conj yx], [yx, yy]], in double precision.
template <class T>
DEVICE void top(double xx, double yy, T yx, T& u0, T& u1) {
    using R = Real<T>;
    const double delta = 0.5 * (xx - yy), cross = wide_square(yx);
    const double big = root(delta * delta + cross) + (delta < 0 ? -delta : delta);
    const double length = root(big * big + cross);
    u0 = real_as(R(1), T()), u1 = real_as(R(0), T());
    if (length > 0) {
        const T along = divided(yx, length), across = real_as(R(big / length), T());
        u0 = delta < 0 ? conjugate_if<true>(along) : across;
        u1 = delta < 0 ? across : along;
    }
}

// b = 2, in closed form. PER columns to a thread, kept in registers; 0: any number, read twice.
template <class T, int TEAM, int PER, int THREADS>
struct RankOnePairs {
    static constexpr int SHARED = TEAM > 32 ? 32 * sizeof(T) : 0;
    static DEVICE void run(In<T> source, Out<T> left, Out<T> rest, long long d, long long groups,
                           long long c) {
        const Team<TEAM, THREADS> own(d, groups);
        const long long width = groups * c, from = own.t * width + own.g * c;
        const Shared<T> scratch = shared_from<T>(0);
        T one[PER > 0 ? PER : 1], two[PER > 0 ? PER : 1], cross = {};
        Real<T> xx = 0, yy = 0;
        const auto meet = [&](T x, T y) {
            xx += square(x), yy += square(y);
            add_product(conjugate_if<true>(x), y, cross);
        };
        if constexpr (PER > 0) {
#pragma unroll
            for (int s = 0; s < PER; s++) {
                const int k = own.lane + s * TEAM;
                one[s] = two[s] = {};
                if (own.alive && k < c) {
                    one[s] = load(source, from + k);
                    two[s] = load(source, from + d * width + k);
                }
                meet(one[s], two[s]);
            }
        } else if (own.alive) {
#pragma unroll 4
            for (long long k = own.lane; k < c; k += TEAM)
                meet(load(source, from + k), load(source, from + d * width + k));
        }
        xx = team_sum<TEAM>(xx, shared_from<Real<T>>(0));
        yy = team_sum<TEAM>(yy, shared_from<Real<T>>(0));
        cross = team_sum<TEAM>(cross, scratch);
        T u0, u1;
        top(xx, yy, cross, u0, u1);
        if (!own.alive) return;
        if (own.lane == 0) {
            store(left, 2 * own.problem, u0);
            store(left, 2 * own.problem + 1, u1);
        }
        const auto turned = [&](T x, T y) {
            T w = {};
            add_product(conjugate_if<true>(u0), x, w);
            add_product(conjugate_if<true>(u1), y, w);
            return w;
        };
        if constexpr (PER > 0) {
#pragma unroll
            for (int s = 0; s < PER; s++) {
                const int k = own.lane + s * TEAM;
                if (k < c) store(rest, from + k, turned(one[s], two[s]));
            }
        } else {
#pragma unroll 4
            for (long long k = own.lane; k < c; k += TEAM)
                store(rest, from + k,
                      turned(load(source, from + k), load(source, from + d * width + k)));
        }
    }
};

// Two levels of b = 2 at once: what the first would write for the second stays in registers. Rows
// x d / 2 + t, x < 2, of the first level's result are the two rows of group t of the second, whose
// blocks are the halves of the columns of a group g. Loads 4 c, stores c entries for each (t, g).
template <class T, int TEAM, int PER, int THREADS>
struct RankOneTwice {
    static constexpr int SHARED = TEAM > 32 ? 32 * sizeof(T) : 0;
    // The moments of two rows, summed over the team, then their top eigenvector.
    struct Moments {
        Real<T> xx = 0, yy = 0;
        T cross = {};
        DEVICE void meet(T x, T y) {
            xx += square(x), yy += square(y);
            add_product(conjugate_if<true>(x), y, cross);
        }
        DEVICE void direction(T& u0, T& u1) {
            xx = team_sum<TEAM>(xx, shared_from<Real<T>>(0));
            yy = team_sum<TEAM>(yy, shared_from<Real<T>>(0));
            cross = team_sum<TEAM>(cross, shared_from<T>(0));
            top(xx, yy, cross, u0, u1);
        }
    };
    static DEVICE T turned(T u0, T u1, T x, T y) {
        T w = {};
        add_product(conjugate_if<true>(u0), x, w);
        add_product(conjugate_if<true>(u1), y, w);
        return w;
    }
    static DEVICE void write(Out<T> left, long long problem, T u0, T u1) {
        store(left, 2 * problem, u0);
        store(left, 2 * problem + 1, u1);
    }
    // d, groups, c are those of the first level; d and c are even.
    static DEVICE void run(In<T> source, Out<T> left, Out<T> next, Out<T> rest, long long d,
                           long long groups, long long c) {
        const Team<TEAM, THREADS> own(d / 2, groups);
        const long long width = groups * c, from = own.t * width + own.g * c;
        T w[2][PER], u0, u1;
#pragma unroll
        for (int x = 0; x < 2; x++) {
            T lower[PER];
            Moments moments;
#pragma unroll
            for (int s = 0; s < PER; s++) {
                const int k = own.lane + s * TEAM;
                w[x][s] = lower[s] = {};
                if (own.alive && k < c) {
                    w[x][s] = load(source, from + x * (d / 2) * width + k);
                    lower[s] = load(source, from + (d + x * (d / 2)) * width + k);
                }
                moments.meet(w[x][s], lower[s]);
            }
            moments.direction(u0, u1);
#pragma unroll
            for (int s = 0; s < PER; s++) w[x][s] = turned(u0, u1, w[x][s], lower[s]);
            if (own.alive && own.lane == 0)
                write(left, (own.t + x * (d / 2)) * groups + own.g, u0, u1);
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            Moments moments;
#pragma unroll
            for (int s = 0; s < PER; s++) {
                const int k = own.lane + s * TEAM;
                if (k < c && (k >= c / 2) == half) moments.meet(w[0][s], w[1][s]);
            }
            moments.direction(u0, u1);
            if (!own.alive) continue;
            if (own.lane == 0) write(next, (own.t * groups + own.g) * 2 + half, u0, u1);
#pragma unroll
            for (int s = 0; s < PER; s++) {
                const int k = own.lane + s * TEAM;
                if (k < c && (k >= c / 2) == half)
                    store(rest, from + k, turned(u0, u1, w[0][s], w[1][s]));
            }
        }
    }
};

// Any b, by power iteration from the row of largest norm (exact for a block of rank one). It ends
// when |w|^2, which never falls, grows by less than 4 eps; blocks that need more than STEPS steps
// are named in `slow`, for a dense eigensolver, with what they have come to.
// PER columns to a thread; HELD: the block is kept in shared memory, where a thread reads what it
// wrote itself. Flops: 4 b c for each step.
template <class T, int TEAM, int PER, bool HELD, int STEPS, int THREADS>
struct RankOneLines {
    static DEVICE void run(In<T> source, Out<T> left, Out<T> rest, Out<int> slow, long long d,
                           long long groups, long long b_, long long c_, double eps) {
        using R = Real<T>;
        const int b = int(b_), c = int(c_);
        const Team<TEAM, THREADS> own(d, groups);
        const long long width = groups * c, from = own.t * width + own.g * c;
        const Shared<T> scratch = shared_from<T>(0);
        const Shared<R> sums = shared_from<R>(0);
        const Shared<T> held = shared_from<T>(TEAM > 32 ? 32 * sizeof(T) : 0) +
                               (HELD ? threadIdx.x / TEAM * b * c : 0);
        const auto entry = [&](int j, int k) {
            if (!own.alive || k >= c) return T{};
            if constexpr (HELD) return load(held, j * c + k);
            return load(source, from + j * d * width + k);
        };
        R best = 0;
        int pivot = 0;
        for (int j = 0; j < b; j++) {
            R norm = 0;
#pragma unroll
            for (int s = 0; s < PER; s++) {
                const int k = own.lane + s * TEAM;
                T value = {};
                if (own.alive && k < c) {
                    value = load(source, from + j * d * width + k);
                    if constexpr (HELD) store(held, j * c + k, value);
                }
                norm += square(value);
            }
            norm = team_sum<TEAM>(norm, sums);
            if (norm > best) best = norm, pivot = j;
        }
        T w[PER], next[PER];
#pragma unroll
        for (int s = 0; s < PER; s++) w[s] = entry(pivot, own.lane + s * TEAM);
        // u_j = B_j . conj w, not normalized; the same for all threads of the team.
        const auto image = [&](int j) {
            T value = {};
#pragma unroll
            for (int s = 0; s < PER; s++)
                add_product(entry(j, own.lane + s * TEAM), conjugate_if<true>(w[s]), value);
            return team_sum<TEAM>(value, scratch);
        };
        double value = 0;
        bool done = false, zero = false;
        R scale = 0;
        for (int step = 0; step < STEPS; step++) {
            R norm = 0;
            T sum[PER];
#pragma unroll
            for (int s = 0; s < PER; s++) sum[s] = {};
            for (int j = 0; j < b; j++) {
                const T u = image(j);
                norm += square(u);
#pragma unroll
                for (int s = 0; s < PER; s++)
                    add_product(conjugate_if<true>(u), entry(j, own.lane + s * TEAM), sum[s]);
            }
            const R factor = norm > 0 ? R(1 / root(norm)) : R(0);
            R grown = 0;
#pragma unroll
            for (int s = 0; s < PER; s++) {
                sum[s] = scaled(sum[s], factor);
                grown += square(sum[s]);
            }
            grown = team_sum<TEAM>(grown, sums);
            if (!done) {
                zero = norm == 0;
                done = zero || double(grown) - value <= 4 * eps * double(grown);
                value = grown, scale = factor;
#pragma unroll
                for (int s = 0; s < PER; s++) next[s] = sum[s];
            }
            // Teams of one warp end together: they exchange values until the last is done.
            const float open = team_sum<(TEAM < 32 ? 32 : TEAM)>(
                done || !own.alive ? 0.0f : 1.0f, shared_from<float>(0));
            if (open == 0 || step == STEPS - 1) break;
            if (!done) {
#pragma unroll
                for (int s = 0; s < PER; s++) w[s] = next[s];
            }
        }
        for (int j = 0; j < b; j++) {
            T u = scaled(image(j), scale);
            if (zero) u = real_as(R(j == pivot), T());
            if (own.alive && own.lane == 0) store(left, own.problem * b + j, u);
        }
        if (!own.alive) return;
        if (own.lane == 0) store(slow, own.problem, done ? 0 : 1);
#pragma unroll
        for (int s = 0; s < PER; s++) {
            const int k = own.lane + s * TEAM;
            if (k < c) store(rest, from + k, zero ? entry(pivot, k) : next[s]);
        }
    }
};
