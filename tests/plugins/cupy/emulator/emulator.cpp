// Runs the blocks of a grid one after the other, the threads of a block as fibres.
#include <setjmp.h>
#include <stdlib.h>
#include <ucontext.h>

#include <vector>

#include "device.cuh"

Dim threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

Counts counts;
Cell* cells;
unsigned char* shared;
int shared_bytes, me;
long long epoch, self;
long long* owners[ARRAYS];
unsigned char* seen[ARRAYS];

namespace {

enum { STACK = 64 * 1024, LANES = 32 };

struct Copy {
    int at, bytes, group;
    unsigned char data[16];
};
struct Fibre {
    ucontext_t start;
    jmp_buf place;
    bool begun, ended;
    std::vector<Copy> copies;
    int group;
};
struct Warp {
    void* slots[LANES];
    int here;
    long long round;
};

std::vector<Fibre> fibres;
std::vector<Warp> warps;
std::vector<unsigned char> stacks;
ucontext_t home;
jmp_buf scheduler;
void (*body)(const void*);
const void* body_state;
int waiting;
long long rounds, progress;
bool giving_up;

void land(const Copy& copy) {
    write_shared(copy.at, copy.bytes);
    memcpy(shared + copy.at, copy.data, copy.bytes);
}

void begin() {
    Fibre& own = fibres[me];
    body(body_state);
    own.ended = true;
    progress++;
    _longjmp(scheduler, 1);
}

void resume(int thread) {
    me = thread;
    self = 1 + thread +
           (blockIdx.x + (long long)gridDim.x * (blockIdx.y + (long long)gridDim.y * blockIdx.z)) *
               blockDim.x * blockDim.y * blockDim.z;
    threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y,
                 thread / (blockDim.x * blockDim.y)};
    if (_setjmp(scheduler)) return;
    Fibre& next = fibres[thread];
    if (next.begun) _longjmp(next.place, 1);
    next.begun = true;
    setcontext(&next.start);
}

void run_block(int threads) {
    for (int t = 0; t < threads; t++) {
        Fibre& fibre = fibres[t];
        fibre.begun = fibre.ended = false;
        fibre.copies.clear();
        fibre.group = 0;
        getcontext(&fibre.start);
        fibre.start.uc_stack.ss_sp = &stacks[size_t(t) * STACK];
        fibre.start.uc_stack.ss_size = STACK;
        fibre.start.uc_link = &home;
        makecontext(&fibre.start, begin, 0);
    }
    for (Warp& warp : warps) warp = {};
    epoch++;
    waiting = 0;
    memset(shared, 0xff, shared_bytes);
    for (volatile bool alive = true; alive;) {
        volatile long long before = progress;
        alive = false;
        for (volatile int t = 0; t < threads; t++) {
            if (fibres[t].ended) continue;
            resume(t);
            alive = alive || !fibres[t].ended;
        }
        if (alive && progress == before) {  // a barrier that some never reach, or a torn warp
            counts.stuck++;
            return;
        }
    }
    counts.stuck += waiting != 0;
}

}  // namespace

void pause() {
    if (!_setjmp(fibres[me].place)) _longjmp(scheduler, 1);
}

void barrier() {
    const long long round = rounds;
    if (++waiting == int(blockDim.x * blockDim.y * blockDim.z)) {
        waiting = 0;
        rounds++;
        epoch++;
        progress++;
    }
    while (round == rounds) pause();
}

void copy_later(int at, const void* data, int bytes) {
    Copy copy = {at, bytes, fibres[me].group, {}};
    memcpy(copy.data, data, bytes);
    fibres[me].copies.push_back(copy);
}
void end_group() { fibres[me].group++; }
void copies_arrived(int later) {
    Fibre& own = fibres[me];
    size_t done = 0;
    while (done < own.copies.size() && own.copies[done].group < own.group - later)
        land(own.copies[done++]);
    own.copies.erase(own.copies.begin(), own.copies.begin() + done);
}

void together(void* slot, void (*act)(void**)) {
    Warp& warp = warps[me / LANES];
    const long long round = warp.round;
    warp.slots[me % LANES] = slot;
    if (++warp.here == LANES) {
        act(warp.slots);
        warp.here = 0;
        warp.round++;
        progress++;
    }
    while (round == warp.round) pause();
}

void run(void (*thread)(const void*), const void* state, const Given* given, int count,
         const Dim* grid, const Dim* block, int dynamic_bytes, Counts* out) {
    body = thread;
    body_state = state;
    gridDim = *grid;
    blockDim = *block;
    counts = {};
    const int threads = block->x * block->y * block->z;
    if (int(fibres.size()) < threads) {
        fibres = std::vector<Fibre>(threads);
        stacks = std::vector<unsigned char>(size_t(threads) * STACK);
    }
    warps.assign((threads + LANES - 1) / LANES, Warp{});
    std::vector<unsigned char> memory(dynamic_bytes + 16);
    std::vector<Cell> tracked(dynamic_bytes / 2 + 8, Cell{-1, -1, 0, 0});
    shared = memory.data();
    shared_bytes = dynamic_bytes;
    cells = tracked.data();
    std::vector<std::vector<long long>> owner(count);
    std::vector<std::vector<unsigned char>> touched(count);
    for (int i = 0; i < count; i++) {
        if (given[i].bytes <= 0) continue;
        owner[i].resize(given[i].bytes / 2 + 1);
        touched[i].resize(given[i].bytes / 2 + 1);
        owners[i] = owner[i].data();
        seen[i] = touched[i].data();
    }
    for (blockIdx.z = 0; blockIdx.z < grid->z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid->y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid->x; blockIdx.x++) run_block(threads);
    *out = counts;
}

}  // namespace emulator
