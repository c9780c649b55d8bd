// What the kernels ask of the machine: memory, asynchronous copies, tensor cores, conversions.
//
// The kernels use nothing of CUDA but what stands here, threadIdx, blockIdx and __syncthreads, so
// that a second file of this name, under tests/, can run the same sources on a processor and watch
// them. No header of CUDA is needed: NVRTC compiles the text as it is. Compute capability 8.0 and up.
#pragma once

#define DEVICE __device__ __forceinline__

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

DEVICE float from_bits(unsigned bits) { return __uint_as_float(bits); }
DEVICE unsigned to_bits(float value) { return __float_as_uint(value); }

DEVICE float widen(half16 value) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
    return wide;
}
DEVICE void narrow(float value, half16& out) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out.bits) : "f"(value));
}
DEVICE void narrow(float value, bfloat16& out) {
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out.bits) : "f"(value));
}
// Nearest tf32 (10 bits after the point), ties away from zero.
DEVICE unsigned to_tf32(float value) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE double fused(double a, double b, double c) { return __fma_rn(a, b, c); }
DEVICE double root(double value) { return __dsqrt_rn(value); }

// ---- memory --------------------------------------------------------------------------------

template <class T>
using In = const T* __restrict__;
template <class T>
using Out = T* __restrict__;
template <class T, int V>
struct alignas(sizeof(T) * V) Vector {
    T at[V];
};

template <class T>
DEVICE T load(const T* array, long long i) {
    return array[i];
}
template <int V, class T>
DEVICE Vector<T, V> load(const T* array, long long i) {
    return *reinterpret_cast<const Vector<T, V>*>(array + i);
}
template <class T>
DEVICE void store(T* array, long long i, T value) {
    array[i] = value;
}
template <int V, class T>
DEVICE void store(T* array, long long i, Vector<T, V> value) {
    *reinterpret_cast<Vector<T, V>*>(array + i) = value;
}

// An array in the shared memory of the block.
template <class T>
struct Shared {
    T* data;
    DEVICE Shared operator+(int i) const { return {data + i}; }
};
// The array that starts so many bytes into the dynamic shared memory.
template <class T>
DEVICE Shared<T> shared_from(int bytes) {
    extern __shared__ __align__(16) unsigned char dynamic_shared[];
    return {reinterpret_cast<T*>(dynamic_shared + bytes)};
}
template <class T>
DEVICE T load(Shared<T> array, int i) {
    return array.data[i];
}
template <int V, class T>
DEVICE Vector<T, V> load(Shared<T> array, int i) {
    return *reinterpret_cast<const Vector<T, V>*>(array.data + i);
}
template <class T>
DEVICE void store(Shared<T> array, int i, T value) {
    array.data[i] = value;
}
template <int V, class T>
DEVICE void store(Shared<T> array, int i, Vector<T, V> value) {
    *reinterpret_cast<Vector<T, V>*>(array.data + i) = value;
}

// ---- asynchronous copies -------------------------------------------------------------------

// Copies V entries from global to shared memory, or writes zeros where `valid` is false, without
// waiting: seen by this thread after copies_arrived, by others after a barrier more. The hardware
// copies 4, 8 or 16 bytes; single entries of 2 bytes are copied at once.
template <int V, class T>
DEVICE void copy_async(Shared<T> to, int i, const T* from, long long j, bool valid) {
    constexpr int bytes = V * sizeof(T);
    if constexpr (bytes < 4) {
        T value = {};
        if (valid) value = from[j];
        to.data[i] = value;
    } else {
        const unsigned target = static_cast<unsigned>(__cvta_generic_to_shared(to.data + i));
        const T* source = valid ? from + j : from;
        const int count = valid ? bytes : 0;
        if constexpr (bytes == 16)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source),
                         "r"(count)
                         : "memory");
        else
            asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(target), "l"(source),
                         "n"(bytes), "r"(count)
                         : "memory");
    }
}
DEVICE void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most LATER groups of this thread's copies are still under way.
template <int LATER>
DEVICE void copies_arrived() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LATER) : "memory");
}

// ---- the warp ------------------------------------------------------------------------------

template <class T>
DEVICE T shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(0xffffffffu, value, mask);
}

// Tensor cores, with float sums: acc (16 x 8) += a (16 x 8 or 16) b (8 or 16 x 8), all in the
// fragments of mma.sync. Lane l holds rows l / 4 and l / 4 + 8 of acc, columns 2 (l % 4) and + 1.
DEVICE void mma_tf32(float (&acc)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_16(float (&acc)[4], const unsigned (&a)[4], const unsigned (&b)[2], half16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_16(float (&acc)[4], const unsigned (&a)[4], const unsigned (&b)[2], bfloat16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// Two transposed 8 x 8 matrices of 16-bit entries: lanes 0-7 name the rows of the first, 8-15 of
// the second (other lanes' places are ignored, but must be valid). The fragment b of mma_16.
template <class T>
DEVICE void load_transposed(unsigned (&b)[2], Shared<T> array, int i) {
    const unsigned source = static_cast<unsigned>(__cvta_generic_to_shared(array.data + i));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(b[0]), "=r"(b[1])
                 : "r"(source)
                 : "memory");
}
