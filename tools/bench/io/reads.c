/* Reading blocks of 4 KiB of a file.
 *
 *   reads               16 threads, and the file is in memory
 *   direct-one          from the disk, one after another
 *   direct-waves        16 threads read a block each, and wait for each other before the next one
 *   direct-batch-waves  the same work in one thread: 16 reads at once, wait for all
 *   direct-flow         16 threads read on, each at its own pace
 *   direct-batch-flow   the same in one thread: wait for any of 16, and start the next read
 *
 * The file is made for the run, next to what was built, and gone at once. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <gil/batch.h>

#include "tools/bench/io/bench.h"

enum { BLOCK = 4096, THREADS = 16, CACHED_BLOCKS = 256, DISK_BLOCKS = 16384 };

static struct reader {
    uint64_t done, random;
    char *buffer;
} __attribute__((aligned(64))) readers[THREADS];

static int file;
static unsigned blocks;
static bool stop;
static pthread_barrier_t all_read;
static bool last_wave; /* decided between two waits for all_read by one of the readers */

/* ---- The file ---- */

static void *block_of_memory(void)
{
    void *memory;

    if (posix_memalign(&memory, BLOCK, BLOCK) != 0)
        fail("posix_memalign");
    return memory;
}

static void make_file(unsigned size, int flags)
{
    const char *build = getenv("BUILD");
    char name[4096];
    char *block = block_of_memory();

    snprintf(name, sizeof name, "%s/bench/io.%d", build ? build : "build", (int)getpid());
    file = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        fail(name);
    blocks = size;
    for (unsigned i = 0; i < BLOCK; i++)
        block[i] = (char)i;
    for (unsigned i = 0; i < size; i++)
        if (write(file, block, BLOCK) != BLOCK)
            fail("writing the file");
    free(block);
    if (fsync(file) != 0)
        fail("fsync");
    close(file);
    file = open(name, O_RDONLY | O_CLOEXEC | flags);
    unlink(name);
    if (file < 0)
        fail("open with O_DIRECT");
}

static off_t next_offset(struct reader *r)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (off_t)((r->random >> 33) % blocks) * BLOCK;
}

/* ---- Readers ---- */

static bool stopped(void)
{
    return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void count_one(struct reader *r)
{
    __atomic_store_n(&r->done, r->done + 1, __ATOMIC_RELAXED);
}

static void read_one(struct reader *r)
{
    if (way->pread(file, r->buffer, BLOCK, next_offset(r)) != BLOCK)
        fail("pread");
    count_one(r);
}

static void *flow(void *arg)
{
    way->interpreter->enter();
    while (!stopped())
        read_one(arg);
    way->interpreter->leave();
    return NULL;
}

static void *waves(void *arg)
{
    bool last;

    way->interpreter->enter();
    do {
        read_one(arg);
        way->interpreter->let_go();
        if (pthread_barrier_wait(&all_read) == PTHREAD_BARRIER_SERIAL_THREAD)
            last_wave = stopped();
        pthread_barrier_wait(&all_read);
        last = last_wave;
        way->interpreter->take_back();
    } while (!last);
    way->interpreter->leave();
    return NULL;
}

/* ---- A batch ---- */

static void add(gil_batch *batch, unsigned slot)
{
    struct reader *r = &readers[slot];

    gil_batch_pread(batch, file, r->buffer, BLOCK, next_offset(r));
}

static void check(gil_batch *batch, unsigned index)
{
    if (gil_batch_result(batch, index) != BLOCK)
        fail("gil_batch_pread");
}

static gil_batch *batch_of(unsigned bound)
{
    gil_batch *batch = gil_batch_create(bound);

    if (!batch)
        fail("gil_batch_create");
    return batch;
}

static void *batch_waves(void *arg)
{
    gil_batch *batch;

    (void)arg;
    way->interpreter->enter();
    batch = batch_of(THREADS);
    while (!stopped()) {
        gil_batch_clear(batch);
        for (unsigned i = 0; i < THREADS; i++)
            add(batch, i);
        if (gil_batch_wait_all(batch) != 0)
            fail("gil_batch_wait_all");
        for (unsigned i = 0; i < THREADS; i++) {
            check(batch, i);
            count_one(&readers[i]);
        }
    }
    gil_batch_destroy(batch);
    way->interpreter->leave();
    return NULL;
}

/* Until the batch is full, or time is up: what is under way then is waited for. */
static void fill(gil_batch *batch, unsigned slots[])
{
    unsigned added = 0;
    int index;

    gil_batch_clear(batch);
    for (unsigned i = 0; i < THREADS; i++) {
        add(batch, i);
        slots[added++] = i;
    }
    while ((index = gil_batch_wait_any(batch)) >= 0) {
        unsigned slot = slots[index];

        check(batch, (unsigned)index);
        count_one(&readers[slot]);
        if (added == GIL_BATCH_MAX || stopped())
            continue;
        add(batch, slot);
        slots[added++] = slot;
    }
}

static void *batch_flow(void *arg)
{
    static unsigned slots[GIL_BATCH_MAX]; /* whose buffer a request uses, by its index */
    gil_batch *batch;

    (void)arg;
    way->interpreter->enter();
    batch = batch_of(GIL_BATCH_MAX);
    while (!stopped())
        fill(batch, slots);
    gil_batch_destroy(batch);
    way->interpreter->leave();
    return NULL;
}

/* ---- The window ---- */

static uint64_t all_done(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < THREADS; i++)
        sum += __atomic_load_n(&readers[i].done, __ATOMIC_RELAXED);
    return sum;
}

static void measure(void *(*fn)(void *arg), int threads, int64_t ns)
{
    double rate;

    for (int i = 0; i < THREADS; i++)
        readers[i] = (struct reader){.random = (uint64_t)i, .buffer = block_of_memory()};
    way->interpreter->start();
    if (pthread_barrier_init(&all_read, NULL, THREADS) != 0)
        fail("pthread_barrier_init");
    for (int i = 0; i < threads; i++)
        start_thread(fn, &readers[i]);
    rate = rate_of(all_done, ns);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    join_threads();
    for (int i = 0; i < THREADS; i++)
        free(readers[i].buffer);
    printf("{\"ops\": %.1f}\n", rate);
}

void reads(int64_t ns)
{
    make_file(CACHED_BLOCKS, 0);
    measure(flow, THREADS, ns);
}

static void direct(void *(*fn)(void *arg), int threads, int64_t ns)
{
    make_file(DISK_BLOCKS, O_DIRECT);
    measure(fn, threads, ns);
}

void direct_one(int64_t ns)
{
    direct(flow, 1, ns);
}

void direct_waves(int64_t ns)
{
    direct(waves, THREADS, ns);
}

void direct_flow(int64_t ns)
{
    direct(flow, THREADS, ns);
}

void direct_batch_waves(int64_t ns)
{
    direct(batch_waves, 1, ns);
}

void direct_batch_flow(int64_t ns)
{
    direct(batch_flow, 1, ns);
}
