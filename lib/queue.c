/* The bounded queue. See include/gil/sync.h.
 *
 * Invariant: who waits in an empty queue wants an item, and is handed the next one; who waits in a
 * full one has an item to put, which is in its parker, and is put when a slot gets free. While it
 * is neither, nobody waits. */
#include <errno.h>

#include <gil/sync.h>

#include "lib/waiters.h"

struct queue {
    struct waiters waiters;
    void **slots;
    size_t capacity;
    size_t first; /* slot of the first item */
    size_t count; /* also read without the guard */
};

_Static_assert(sizeof(struct queue) <= sizeof(gil_queue), "gil_queue is large enough");

int gil_queue_init(gil_queue *queue, void **slots, size_t capacity)
{
    if (capacity == 0)
        return fails(EINVAL);
    *(struct queue *)queue = (struct queue){.slots = slots, .capacity = capacity};
    return 0;
}

static void set_count(struct queue *q, size_t count)
{
    __atomic_store_n(&q->count, count, __ATOMIC_RELAXED);
}

static void append(struct queue *q, void *item)
{
    size_t room = q->capacity - q->first; /* up to the end of the slots */

    q->slots[q->count < room ? q->first + q->count : q->count - room] = item;
    set_count(q, q->count + 1);
}

static void *remove_first(struct queue *q)
{
    void *item = q->slots[q->first];

    q->first = q->first + 1 < q->capacity ? q->first + 1 : 0;
    set_count(q, q->count - 1);
    return item;
}

int gil_queue_put(gil_queue *queue, void *item, int64_t timeout_ns)
{
    struct queue *q = (struct queue *)queue;
    struct parker *getter;

    waiters_enter(&q->waiters);
    if (q->count == q->capacity) {
        parker_self()->item = item;
        return waiters_wait(&q->waiters, timeout_ns, true);
    }
    getter = waiters_take(&q->waiters);
    if (getter)
        getter->item = item;
    else
        append(q, item);
    waiters_leave(&q->waiters);
    waiters_wake(getter);
    return 0;
}

int gil_queue_get(gil_queue *queue, void **item, int64_t timeout_ns)
{
    struct queue *q = (struct queue *)queue;
    struct parker *putter;

    waiters_enter(&q->waiters);
    if (q->count == 0) {
        if (waiters_wait(&q->waiters, timeout_ns, true) < 0)
            return -1;
        *item = parker_self()->item;
        return 0;
    }
    *item = remove_first(q);
    putter = waiters_take(&q->waiters);
    if (putter)
        append(q, putter->item);
    waiters_leave(&q->waiters);
    waiters_wake(putter);
    return 0;
}

size_t gil_queue_size(const gil_queue *queue)
{
    return __atomic_load_n(&((const struct queue *)queue)->count, __ATOMIC_RELAXED);
}
