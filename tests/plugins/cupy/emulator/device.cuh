// The kernels' machine on a processor: it stands in for the plugin's device.cuh of the same name.
//
// Every CUDA thread is a fibre; fibres change places at barriers and where a warp acts as one.
// Global arrays know their size, who wrote each entry, and count the bytes asked for; shared memory
// starts as NaN and remembers for every two bytes who read and wrote them since the last barrier.
// What the hardware would leave to chance is counted as a fault here, always in the same way.
//
// Every kernel is compiled with it: what g++ has built in stands for headers that take long to read.
#pragma once
#include <string.h>

#define DEVICE inline
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct Dim {
    unsigned x, y, z;
};
extern Dim threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

enum { ARRAYS = 16 };
struct Counts {
    long long races, out_of_bounds, misaligned, stuck;
    long long loaded[ARRAYS], stored[ARRAYS], touched[ARRAYS];
};
struct Given {  // one argument: an array (bytes >= 0) or a number
    void* pointer;
    long long bytes, integer;
    double real;
};
struct Cell {  // two bytes of shared memory
    int writer, reader;
    long long written, read;
};
extern Counts counts;
extern Cell* cells;
extern unsigned char* shared;
extern int shared_bytes, me;      // the running thread, counted in its block
extern long long epoch, self;     // the interval between barriers; the thread, counted from 1 in the grid
extern long long* owners[ARRAYS];  // who wrote an entry, 0 for nobody
extern unsigned char* seen[ARRAYS];
enum { MANY = -2 };

void pause();    // lets the others run
void barrier();  // __syncthreads
void copy_later(int shared_at, const void* data, int bytes);
void end_group();
void copies_arrived(int later);
// Waits for the whole warp; the last lane to come runs `act` on all the slots, 32 in a row.
void together(void* slot, void (*act)(void** slots));

inline void read_shared(int at, int bytes) {
    bool raced = false;
    for (int i = at / 2; i < (at + bytes + 1) / 2; i++) {
        Cell& cell = cells[i];
        raced |= cell.written == epoch && cell.writer != me;
        cell.reader = cell.read == epoch && cell.reader != me ? int(MANY) : me;
        cell.read = epoch;
    }
    counts.races += raced;
}
inline void write_shared(int at, int bytes) {
    bool raced = false;
    for (int i = at / 2; i < (at + bytes + 1) / 2; i++) {
        Cell& cell = cells[i];
        raced |= cell.written == epoch && cell.writer != me;
        raced |= cell.read == epoch && cell.reader != me;
        cell.writer = me;
        cell.written = epoch;
    }
    counts.races += raced;
}
inline bool shared_fits(int at, int bytes) {
    if (at < 0 || at + bytes > shared_bytes) {
        counts.out_of_bounds++;
        return false;
    }
    counts.misaligned += at % bytes != 0;
    return true;
}

template <class T>
struct Array {
    T* data;
    long long size;
    int slot;
    bool fits(long long i, int entries) const {
        if (i < 0 || i + entries > size) {
            counts.out_of_bounds++;
            return false;
        }
        counts.misaligned += reinterpret_cast<unsigned long long>(data + i) % (entries * sizeof(T)) != 0;
        return true;
    }
    bool mark_read(long long i, int entries) const {
        if (!fits(i, entries)) return false;
        counts.loaded[slot] += entries * sizeof(T);
        for (long long k = i; k < i + entries; k++) {
            counts.touched[slot] += seen[slot][k] ? 0 : sizeof(T);
            seen[slot][k] = 1;
        }
        return true;
    }
    bool mark_written(long long i, int entries) const {
        if (!fits(i, entries)) return false;
        counts.stored[slot] += entries * sizeof(T);
        for (long long k = i; k < i + entries; k++) {
            counts.races += owners[slot][k] != 0 && owners[slot][k] != self;
            owners[slot][k] = self;
            counts.touched[slot] += seen[slot][k] ? 0 : sizeof(T);
            seen[slot][k] = 1;
        }
        return true;
    }
};

}  // namespace emulator

inline void __syncthreads() { emulator::barrier(); }

// ---- numbers -------------------------------------------------------------------------------

struct half16 {
    unsigned short bits;
};
struct bfloat16 {
    unsigned short bits;
};
template <class R>
struct alignas(2 * sizeof(R)) Complex {
    R re, im;
};

inline float from_bits(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
inline unsigned to_bits(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    return bits;
}
inline float widen(half16 value) {
    const unsigned sign = (value.bits & 0x8000u) << 16, rest = value.bits & 0x7fffu;
    if (rest >= 0x7c00u) return from_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    const float magnitude = from_bits(rest << 13) * 0x1p112f;  // also right where it is subnormal
    return from_bits(sign | to_bits(magnitude));
}
inline void narrow(float value, half16& out) {
    const unsigned bits = to_bits(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    unsigned short found;
    if (rest > 0x7f800000u)
        found = 0x7fff;
    else if (rest >= 0x477ff000u)
        found = 0x7c00;
    else if (rest < 0x38800000u)  // subnormal: the adder rounds to a multiple of 2^-24
        found = to_bits(from_bits(rest) + 0.5f) - to_bits(0.5f);
    else
        found = (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1)) >> 13;
    out.bits = sign | found;
}
inline void narrow(float value, bfloat16& out) {
    const unsigned bits = to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        out.bits = 0x7fff;
    else
        out.bits = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}
inline unsigned to_tf32(float value) {
    const unsigned bits = to_bits(value);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}
inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline double root(double value) { return __builtin_sqrt(value); }

// ---- memory --------------------------------------------------------------------------------

template <class T>
struct In : emulator::Array<const T> {};
template <class T>
struct Out : emulator::Array<T> {};
template <class T, int V>
struct alignas(sizeof(T) * V) Vector {
    T at[V];
};
template <class T>
void spoil(T& value) {
    memset(static_cast<void*>(&value), 0xff, sizeof(T));
}

template <int V, class T>
Vector<T, V> load(In<T> array, long long i) {
    Vector<T, V> value;
    spoil(value);
    if (array.mark_read(i, V)) memcpy(static_cast<void*>(&value), array.data + i, sizeof value);
    return value;
}
template <class T>
T load(In<T> array, long long i) {
    return load<1>(array, i).at[0];
}
template <int V, class T>
void store(Out<T> array, long long i, Vector<T, V> value) {
    if (array.mark_written(i, V)) memcpy(static_cast<void*>(array.data + i), &value, sizeof value);
}
template <class T>
void store(Out<T> array, long long i, T value) {
    store<1>(array, i, Vector<T, 1>{{value}});
}

template <class T>
struct Shared {
    int start;  // in bytes
    Shared operator+(int i) const { return {start + i * int(sizeof(T))}; }
};
template <class T>
Shared<T> shared_from(int bytes) {
    return {bytes};
}
template <int V, class T>
Vector<T, V> load(Shared<T> array, int i) {
    Vector<T, V> value;
    spoil(value);
    const int at = array.start + i * int(sizeof(T));
    if (emulator::shared_fits(at, sizeof value)) {
        emulator::read_shared(at, sizeof value);
        memcpy(static_cast<void*>(&value), emulator::shared + at, sizeof value);
    }
    return value;
}
template <class T>
T load(Shared<T> array, int i) {
    return load<1>(array, i).at[0];
}
template <int V, class T>
void store(Shared<T> array, int i, Vector<T, V> value) {
    const int at = array.start + i * int(sizeof(T));
    if (!emulator::shared_fits(at, sizeof value)) return;
    emulator::write_shared(at, sizeof value);
    memcpy(emulator::shared + at, &value, sizeof value);
}
template <class T>
void store(Shared<T> array, int i, T value) {
    store<1>(array, i, Vector<T, 1>{{value}});
}

// ---- asynchronous copies: NaN until they are waited for ---------------------------------------

template <int V, class T>
void copy_async(Shared<T> to, int i, In<T> from, long long j, bool valid) {
    Vector<T, V> value = {};
    if (valid) value = load<V>(from, j);
    if (sizeof value < 4) return store<V>(to, i, value);
    const int at = to.start + i * int(sizeof(T));
    if (!emulator::shared_fits(at, sizeof value)) return;
    emulator::write_shared(at, sizeof value);
    memset(emulator::shared + at, 0xff, sizeof value);
    emulator::copy_later(at, &value, sizeof value);
}
inline void end_group() { emulator::end_group(); }
template <int LATER>
void copies_arrived() {
    emulator::copies_arrived(LATER);
}

// ---- the warp ------------------------------------------------------------------------------

template <class T>
T shuffle_xor(T value, int mask) {
    struct Slot {
        T mine, theirs;
        int mask;
    } slot = {value, value, mask};
    emulator::together(&slot, [](void** slots) {
        for (int lane = 0; lane < 32; lane++) {
            Slot* own = static_cast<Slot*>(slots[lane]);
            own->theirs = static_cast<Slot*>(slots[lane ^ own->mask])->mine;
        }
    });
    return slot.theirs;
}

namespace emulator {
struct Fragments {
    float* acc;
    const unsigned *a, *b;
};
inline float entry(unsigned bits, int, float) { return from_bits(bits & ~0x1fffu); }
inline float entry(unsigned bits, int half, half16) {
    return widen(half16{static_cast<unsigned short>(bits >> 16 * half)});
}
inline float entry(unsigned bits, int half, bfloat16) { return from_bits(bits >> 16 * half << 16); }

// PTX ISA, "Matrix fragments for mma.m16n8k8" and "m16n8k16": a register holds PACK entries along
// k; register r of a has rows l / 4 + 8 (r % 2) and columns PACK (l % 4 + 4 (r / 2)) and following.
template <class T, int PACK>
void multiply(void** slots) {
    enum { K = 8 * PACK };
    float a[16][K], b[K][8];
    for (int lane = 0; lane < 32; lane++) {
        const Fragments& own = *static_cast<Fragments*>(slots[lane]);
        for (int r = 0; r < 4; r++)
            for (int h = 0; h < PACK; h++)
                a[lane / 4 + r % 2 * 8][PACK * (lane % 4 + r / 2 * 4) + h] = entry(own.a[r], h, T());
        for (int r = 0; r < 2; r++)
            for (int h = 0; h < PACK; h++)
                b[PACK * (lane % 4 + r * 4) + h][lane / 4] = entry(own.b[r], h, T());
    }
    for (int lane = 0; lane < 32; lane++) {
        const Fragments& own = *static_cast<Fragments*>(slots[lane]);
        for (int r = 0; r < 4; r++) {
            const int row = lane / 4 + r / 2 * 8, column = lane % 4 * 2 + r % 2;
            double sum = own.acc[r];
            for (int k = 0; k < K; k++) sum += double(a[row][k]) * b[k][column];
            own.acc[r] = float(sum);
        }
    }
}
}  // namespace emulator

inline void mma_tf32(float (&acc)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    emulator::Fragments slot = {acc, a, b};
    emulator::together(&slot, emulator::multiply<float, 1>);
}
template <class T>
void mma_16(float (&acc)[4], const unsigned (&a)[4], const unsigned (&b)[2], T) {
    emulator::Fragments slot = {acc, a, b};
    emulator::together(&slot, emulator::multiply<T, 2>);
}
template <class T>
void load_transposed(unsigned (&b)[2], Shared<T> array, int i) {
    struct Slot {
        int at;
        unsigned* b;
    } slot = {array.start + i * 2, b};
    const int lane = emulator::me % 32;
    if (lane < 16 && emulator::shared_fits(slot.at, 16)) emulator::read_shared(slot.at, 16);
    emulator::together(&slot, [](void** slots) {
        for (int lane = 0; lane < 32; lane++)
            for (int r = 0; r < 2; r++) {
                unsigned short pair[2];
                for (int h = 0; h < 2; h++) {
                    const int row = static_cast<Slot*>(slots[8 * r + lane % 4 * 2 + h])->at;
                    const int from = row + lane / 4 * 2;
                    pair[h] = 0x7fff;
                    if (row >= 0 && from + 2 <= emulator::shared_bytes)
                        memcpy(&pair[h], emulator::shared + from, 2);
                }
                static_cast<Slot*>(slots[lane])->b[r] = pair[0] | unsigned(pair[1]) << 16;
            }
    });
}

// ---- launching ------------------------------------------------------------------------------

namespace emulator {

template <class A>
struct Argument;
template <>
struct Argument<long long> {
    static bool is(const Given& given) { return given.bytes == -1; }
    static long long from(const Given& given, int) { return given.integer; }
};
template <>
struct Argument<double> {
    static bool is(const Given& given) { return given.bytes == -2; }
    static double from(const Given& given, int) { return given.real; }
};
template <class T>
struct Argument<In<T>> {
    static bool is(const Given& given) { return given.bytes >= 0; }
    static In<T> from(const Given& given, int slot) {
        return {{static_cast<const T*>(given.pointer), given.bytes / (long long)sizeof(T), slot}};
    }
};
template <class T>
struct Argument<Out<T>> {
    static bool is(const Given& given) { return given.bytes >= 0; }
    static Out<T> from(const Given& given, int slot) {
        return {{static_cast<T*>(given.pointer), given.bytes / (long long)sizeof(T), slot}};
    }
};

void run(void (*thread)(const void*), const void* state, const Given* given, int count,
         const Dim* grid, const Dim* block, int dynamic_bytes, Counts* out);

template <int...>
struct Slots {};
template <class... A>
struct Call {
    void (*kernel)(A...);
    const Given* given;
    template <int... I>
    void operator()(Slots<I...>) const {
        kernel(Argument<A>::from(given[I], I)...);
    }
    static void thread(const void* state) {
        (*static_cast<const Call*>(state))(Slots<__integer_pack(int(sizeof...(A)))...>());
    }
};

// 0 if it ran, 1 if the arguments are not those of the kernel.
template <class... A>
int launch(void (*kernel)(A...), const Given* given, int count, const Dim* grid, const Dim* block,
           int dynamic_bytes, Counts* out) {
    if (count != int(sizeof...(A))) return 1;
    int i = 0;
    if (!(Argument<A>::is(given[i++]) && ...)) return 1;
    const Call<A...> call = {kernel, given};
    run(&Call<A...>::thread, &call, given, count, grid, block, dynamic_bytes, out);
    return 0;
}

}  // namespace emulator
