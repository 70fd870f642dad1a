/* The pool of waiters' nodes.
 *
 * Invariant: a node's memory stays a node for as long as the process lives (the pool is never
 * unmapped), so that a late wake-up or a late look at a node that has changed hands does no harm. A
 * node belongs to one thread and one lock at a time. Getting a node takes no lock and allocates
 * with mmap only. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel-helpers/cannot.h"
#include "kernel-helpers/clock.h"
#include "lib/lock_impl.h"

enum { CHUNKS_MAX = 16384 };

_Thread_local struct node *thread_nodes;

static struct node *chunks[CHUNKS_MAX];
static uint32_t nodes_made;
static uint64_t free_list; /* index + 1 of the first free node; a change count above, against ABA */
static pthread_key_t exit_key;
static int start_error;  /* why node_start failed; reported when the first node is wanted */
static uint32_t exiting; /* threads that are in thread_exit */

static struct node *node_at(uint32_t index)
{
    struct node *chunk = __atomic_load_n(&chunks[index / CHUNK_NODES], __ATOMIC_ACQUIRE);
    return chunk ? &chunk[index % CHUNK_NODES] : NULL;
}

static _Noreturn void out_of_nodes(const char *why)
{
    cannot("make a lock node for another thread", why);
}

/* Makes sure that the chunk exists; two threads may try, and one of them wins. */
static void chunk_map(uint32_t chunk)
{
    size_t size = CHUNK_NODES * sizeof(struct node);
    struct node *none = NULL, *fresh;

    if (chunk >= CHUNKS_MAX)
        out_of_nodes("too many threads");
    if (__atomic_load_n(&chunks[chunk], __ATOMIC_ACQUIRE))
        return;
    fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
        out_of_nodes(strerror(errno));
    for (uint32_t i = 0; i < CHUNK_NODES; i++)
        fresh[i].index = chunk * CHUNK_NODES + i;
    if (!__atomic_compare_exchange_n(&chunks[chunk], &none, fresh, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        munmap(fresh, size);
}

static struct node *pool_pop(void)
{
    uint64_t head = __atomic_load_n(&free_list, __ATOMIC_ACQUIRE);

    while ((uint32_t)head) {
        struct node *n = node_at((uint32_t)head - 1);
        uint64_t rest = ((head >> 32) + 1) << 32 | relaxed_load(&n->pool_next);
        if (__atomic_compare_exchange_n(&free_list, &head, rest, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return n;
    }
    return NULL;
}

void node_recycle(struct node *n)
{
    uint64_t head = relaxed_load(&free_list), top;
    uint32_t self = n->index + 1;

    relaxed_store(&n->lock, NULL);
    do {
        relaxed_store(&n->pool_next, (uint32_t)head);
        top = ((head >> 32) + 1) << 32 | self;
    } while (!__atomic_compare_exchange_n(&free_list, &head, top, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
}

static struct node *node_make(void)
{
    struct node *n = pool_pop();
    uint32_t index;

    if (n)
        return n;
    index = __atomic_fetch_add(&nodes_made, 1, __ATOMIC_RELAXED);
    chunk_map(index / CHUNK_NODES);
    return node_at(index);
}

/* The calling thread has its first node: it gives its nodes back when it ends. */
static void call_at_exit(void)
{
    int error = start_error ? start_error : pthread_setspecific(exit_key, &thread_nodes);

    if (error)
        out_of_nodes(strerror(error));
}

/* A thread that has not used the lock yet. Others may still be reading what a waiter publishes. */
static void start(struct node *n, const struct lock *l)
{
    stats_start(n, l);
    n->tstate = NULL;
    relaxed_store(&n->served, 0);
    relaxed_store(&n->charged, 0);
    relaxed_store(&n->left, 0);
    relaxed_store(&n->sprinter, false);
    relaxed_store(&n->absence, 0);
    n->heir_since = 0;
    n->newcomer = true;
    n->queued = n->dropped = false;
    n->since_call = NEVER / 2; /* it has to make a call first */
    relaxed_store(&n->cpu, -1);
    relaxed_store(&n->state, NODE_IDLE);
}

struct node *node_find(struct lock *l)
{
    struct node **link = &thread_nodes, *n, **spare = NULL;

    for (; (n = *link); link = &n->sibling) {
        const struct lock *of = relaxed_load(&n->lock);

        if (of == l)
            break;
        if (!of) /* its lock was destroyed */
            spare = link;
    }
    if (!n && spare) {
        link = spare;
        n = *link;
    }
    if (n) {
        *link = n->sibling;
    } else {
        n = node_make();
        n->tid = (int32_t)syscall(SYS_gettid);
        if (!thread_nodes)
            call_at_exit();
    }
    if (relaxed_load(&n->lock) != l) {
        start(n, l);
        __atomic_store_n(&n->lock, l, __ATOMIC_RELEASE);
    }
    n->sibling = thread_nodes;
    thread_nodes = n;
    return n;
}

struct node *node_leave(struct node *n)
{
    struct node *fresh = node_make(), **link = &thread_nodes;

    fresh->tid = n->tid;
    start(fresh, n->lock);
    fresh->tstate = n->tstate;
    relaxed_store(&fresh->served, n->served);
    relaxed_store(&fresh->charged, __atomic_exchange_n(&n->charged, 0, __ATOMIC_RELAXED));
    relaxed_store(&fresh->sprinter, n->sprinter);
    relaxed_store(&fresh->absence, n->absence);
    fresh->since_call = n->since_call;
    fresh->newcomer = false; /* it has waited */
    stats_move(fresh, n);
    while (*link != n)
        link = &(*link)->sibling;
    fresh->sibling = n->sibling;
    *link = fresh;
    __atomic_store_n(&fresh->lock, relaxed_load(&n->lock), __ATOMIC_RELEASE);
    __atomic_store_n(&n->state, NODE_ORPHAN, __ATOMIC_RELEASE);
    return fresh;
}

/* Does the calling thread own a lock? */
static bool owns_any(void)
{
    for (const struct node *n = thread_nodes; n; n = n->sibling)
        if (relaxed_load(&n->state) == NODE_HELD)
            return true;
    return false;
}

/* Nobody could ever take the lock again. A host that gives locks up to ending threads says so. */
static void ends_as_owner(const struct lock *l)
{
    if (!relaxed_load(&l->owner_may_end))
        misuse("the end of a thread", l, "it owns the lock");
}

/* The thread ends: a node that is still linked in a queue stays there, for the owner to reap. */
static void thread_exit(void *arg)
{
    static _Thread_local int rounds;
    struct node *n = thread_nodes, *next;

    (void)arg;
    /* Another key's destructor may still release what the thread owns: it comes back last. */
    if (owns_any() && ++rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(exit_key, &thread_nodes);
        return;
    }
    thread_nodes = NULL;
    __atomic_fetch_add(&exiting, 1, __ATOMIC_SEQ_CST); /* before it looks at its locks */
    for (; n; n = next) {
        struct lock *l = __atomic_load_n(&n->lock, __ATOMIC_SEQ_CST);
        uint32_t state = NODE_ABANDONED;

        next = n->sibling;
        if (l && relaxed_load(&n->state) == NODE_DEFERRING)
            lock_complete(l, n);
        stats_end(n, l);
        STEP(T26, l, n);
        if (__atomic_compare_exchange_n(&n->state, &state, NODE_ORPHAN, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            continue;
        if (state == NODE_IDLE)
            node_recycle(n);
        else if (state == NODE_HELD)
            ends_as_owner(l); /* otherwise it keeps its node, and the lock stays taken */
    }
    __atomic_fetch_sub(&exiting, 1, __ATOMIC_SEQ_CST);
}

void node_await_exits(void)
{
    uint32_t some;

    /* The wait is no more than a pause: nobody wakes it. */
    while ((some = __atomic_load_n(&exiting, __ATOMIC_SEQ_CST)))
        futex_wait(&exiting, some, clock_now_ns() + 100000);
}

void node_each(void (*fn)(struct node *n, void *arg), void *arg)
{
    uint32_t made = __atomic_load_n(&nodes_made, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < made; i++) {
        struct node *n = node_at(i);
        if (n)
            fn(n, arg);
    }
}

static void forget_unless_mine(struct node *n, void *arg)
{
    (void)arg;
    for (struct node *mine = thread_nodes; mine; mine = mine->sibling)
        if (mine == n)
            return;
    relaxed_store(&n->state, NODE_IDLE);
    node_recycle(n);
}

void node_after_fork(void)
{
    free_list = 0;
    exiting = 0;
    node_each(forget_unless_mine, NULL);
    for (struct node *n = thread_nodes; n; n = n->sibling) {
        n->tid = (int32_t)syscall(SYS_gettid);
        if (n->lock)
            stats_start(n, n->lock);
    }
}

/* Before the first lock is used: later keys might need an allocation to be set. */
__attribute__((constructor)) static void node_start(void)
{
    start_error = pthread_key_create(&exit_key, thread_exit);
    if (!start_error)
        start_error = pthread_atfork(NULL, NULL, lock_after_fork);
}
