/* A thread's rings: one for the calls that it waits in, and one for the requests of its batches
 * (batch_wait.c). Each is made when it is first wanted, and goes with its thread. */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <errno.h>

/* For one call and its cancellation; and for as many requests as a batch starts at a time. */
static const uint32_t entries[IO_RINGS] = {[IO_RING_OF_CALLS] = 2, [IO_RING_OF_BATCHES] = 64};

/* Kernel threads for what a ring cannot do otherwise: they are the thread's, not the ring's. */
enum { WORKERS = 2 };

/* A thread that could not have a ring tries again after so many calls. */
enum { CALLS_WITHOUT = 64 };

static _Thread_local struct {
    bool ready; /* the thread has made such a call */
    bool exits; /* and thread_exit() is called when it ends */
    struct own_ring {
        bool made;      /* in this process */
        int calls_left; /* without a ring */
        uint32_t generation;
        struct ring ring;
    } rings[IO_RINGS];
} mine;

static pthread_key_t exit_key;
static bool have_key;

/* In a forked child a ring is its parent's. */
static bool is_there(const struct own_ring *own)
{
    return own->made && own->generation == fork_generation;
}

static void thread_exit(void *arg)
{
    (void)arg;
    batch_thread_exit();
    for (int use = 0; use < IO_RINGS; use++) {
        if (is_there(&mine.rings[use]))
            ring_free(&mine.rings[use].ring);
        mine.rings[use].made = false;
    }
    mine.ready =
        false; /* another key's destructor may make such a call, and then this comes back */
}

/* A process that makes no such call has neither the handler nor the key. */
static void start_process(void)
{
    interrupt_start();
    have_key = pthread_key_create(&exit_key, thread_exit) == 0;
}

static void start_thread(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start_process);
    interrupt_unblock();
    mine.exits = have_key && pthread_setspecific(exit_key, &mine) == 0;
    mine.ready = true;
}

void io_start_thread(void)
{
    if (unlikely(!mine.ready))
        start_thread();
}

int io_make_ring(enum io_ring_use use)
{
    struct own_ring *own = &mine.rings[use];
    int error;

    if (is_there(own))
        return 0;
    io_start_thread();
    if (!mine.exits)
        return -ENOMEM;
    error = ring_make(&own->ring, entries[use], WORKERS);
    own->generation = fork_generation;
    own->made = !error;
    return error;
}

struct ring *io_ring(enum io_ring_use use)
{
    struct own_ring *own = &mine.rings[use];

    if (is_there(own))
        return &own->ring;
    if (own->calls_left > 0) {
        own->calls_left--;
        return NULL;
    }
    if (io_uses_rings() && io_make_ring(use) == 0)
        return &own->ring;
    own->calls_left = CALLS_WITHOUT;
    return NULL;
}

void io_lose_ring(enum io_ring_use use)
{
    struct own_ring *own = &mine.rings[use];

    ring_take_back(&own->ring);
    ring_free(&own->ring);
    own->made = false;
    own->calls_left = CALLS_WITHOUT;
}
