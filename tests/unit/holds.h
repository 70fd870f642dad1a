/* Actors: threads that a test holds at a step of the protocol, and lets go on when the others have
 * done their part. For programs built with LOCK_STEPS; include it in one file of the program.
 *
 * An actor that is to be held at a step comes to it, and stays in front of it: it has not done it
 * yet. The main thread is not held, but may do something when it comes to a step. */
#ifndef TESTS_UNIT_HOLDS_H
#define TESTS_UNIT_HOLDS_H

#include "harness.h"

#include "lib/lock_impl.h"

/* An interval that does not end while a test runs. */
#define FOR_EVER (1000 * 1000 * MS)

typedef struct actor {
    gil_lock *lock;
    void (*act)(struct actor *a);
    pthread_t thread;
    struct node *node;
    atomic_int tid;
    const char *_Atomic hold_at; /* a tag; once */
    atomic_bool held;
    atomic_bool got, gave_up, may_go_on; /* what act() says, and waits for */
} actor;

static _Thread_local actor *self; /* NULL in the main thread */

static struct {
    const char *tag;
    void (*fn)(void);
} meanwhile; /* what the main thread does in front of that step, once */

void lock_step(const char *tag, const struct lock *l, const struct node *n)
{
    void (*fn)(void) = self ? NULL : meanwhile.fn;
    const char *at;

    (void)l, (void)n;
    if (self && (at = atomic_load(&self->hold_at)) && strcmp(at, tag) == 0) {
        atomic_store(&self->hold_at, NULL);
        atomic_store(&self->held, true);
        WAIT_FOR(!atomic_load(&self->held));
    } else if (!self && fn && strcmp(meanwhile.tag, tag) == 0) {
        meanwhile.fn = NULL;
        fn();
    }
}

HARNESS void *actor_main(void *arg)
{
    self = arg;
    self->node = node_of(lock_of(self->lock));
    atomic_store(&self->tid, my_tid());
    self->act(self);
    return NULL;
}

HARNESS void actor_start(actor *a, gil_lock *lock, void (*act)(actor *a))
{
    *a = (actor){.lock = lock, .act = act};
    a->thread = start(actor_main, a);
    WAIT_FOR(atomic_load(&a->tid));
}

HARNESS bool sleeps_as(const actor *a, uint32_t role)
{
    return relaxed_load(&a->node->state) == (role | NODE_SLEEPING);
}

/* Starts one that waits for a lock that is taken; on return it sleeps in the given role. */
HARNESS void actor_waits(actor *a, gil_lock *lock, void (*act)(actor *a), uint32_t role)
{
    actor_start(a, lock, act);
    WAIT_FOR(sleeps_as(a, role));
}

/* The next time that it comes to the step. If it is held at another one, it stays there. */
HARNESS void hold_at(actor *a, const char *tag)
{
    atomic_store(&a->hold_at, tag);
}

HARNESS void await_held(actor *a)
{
    WAIT_FOR(atomic_load(&a->held));
}

HARNESS void go_on(actor *a)
{
    atomic_store(&a->held, false);
}

HARNESS void on_to(actor *a, const char *tag)
{
    hold_at(a, tag);
    go_on(a);
    await_held(a);
}

/* The main thread does fn() when it comes to the step. */
HARNESS void do_at(const char *tag, void (*fn)(void))
{
    meanwhile.tag = tag;
    meanwhile.fn = fn;
}

HARNESS void actor_end(actor *a)
{
    go_on(a);
    atomic_store(&a->may_go_on, true);
    join(a->thread);
}

/* An act: gets the lock, and keeps it until it may go on. */
HARNESS void get_and_keep(actor *a)
{
    gil_lock_acquire(a->lock);
    atomic_store(&a->got, true);
    WAIT_FOR(atomic_load(&a->may_go_on));
    gil_lock_release(a->lock);
}

#endif
