/* A waiter gives up in the very moment in which the lock is being passed to it, step by step: built
 * with LOCK_STEPS, the test stops the waiter between two steps (T21, T22), lets another thread go
 * on to the step where that matters, and then the waiter. Whichever way it goes, nothing is lost: the
 * waiter has given up or has the lock, and the next one gets it. */
#include "harness.h"

#include "lib/lock_impl.h"

static gil_lock lock;

static struct lock *l = (struct lock *)&lock;

static _Thread_local bool is_waiter; /* the thread that gives up */
static atomic_bool stopped;          /* it is about to */
static atomic_bool may_give_up, may_go_on;
static const struct node *its_node;
static const char *_Atomic meet_at; /* the other's step at which it does */
static uint32_t wanted;             /* what its node says when the other goes on from there */
static atomic_int met;

static void wait_for(atomic_bool *flag)
{
    while (!atomic_load(flag))
        sleep_ns(20 * US);
}

void lock_step(const char *tag, const struct lock *of, const struct node *n)
{
    const char *at;

    (void)of;
    if (is_waiter && strcmp(tag, "T21") == 0) {
        its_node = n;
        atomic_store(&stopped, true);
        wait_for(&may_give_up);
    } else if (is_waiter && strcmp(tag, "T22") == 0) {
        wait_for(&may_go_on);
    } else if (!is_waiter && (at = atomic_load(&meet_at)) && strcmp(tag, at) == 0) {
        atomic_store(&meet_at, NULL);
        atomic_store(&may_give_up, true);
        while (relaxed_load(&its_node->state) != wanted)
            sleep_ns(20 * US);
        atomic_fetch_add(&met, 1);
    }
}

typedef struct leaver {
    pthread_t thread;
    atomic_int tid;
    int got;
} leaver;

static void *leaver_main(void *arg)
{
    leaver *g = arg;

    is_waiter = true;
    atomic_store(&g->tid, my_tid());
    g->got = gil_lock_acquire_for(&lock, 3 * MS) == 0;
    if (g->got)
        gil_lock_release(&lock);
    return NULL;
}

/* On return the caller owns the lock, and a waiter is about to give up. Before that, a release was
 * asked to be deferred: the waiter watches. */
static void begin(leaver *g)
{
    waiter first;

    gil_lock_acquire(&lock);
    waiter_start(&first, &lock, -1);
    gil_lock_release_deferred(&lock);
    gil_lock_release_complete(&lock);
    waiter_end(&first);
    gil_lock_acquire(&lock);
    *g = (leaver){0};
    g->thread = start(leaver_main, g);
    wait_for(&stopped);
    relaxed_store(&l->drop, 0);
}

static void end(leaver *g)
{
    atomic_store(&may_give_up, true);
    atomic_store(&may_go_on, true);
    join(g->thread);
    ck_assert_int_eq(gil_lock_try_acquire(&lock), 0);
    ck_assert_int_eq(gil_lock_stats(&lock, NULL, 0), 2);
    gil_lock_release(&lock);
}

static void meet(const char *tag, uint32_t state)
{
    wanted = state;
    atomic_store(&meet_at, tag);
}

static void release_and_grant(void)
{
    lock_release_slow(l, node_of(l), RELEASE_GRANT);
}

static void release(void)
{
    gil_lock_release(&lock);
}

static void defer(void)
{
    gil_lock_release_deferred(&lock);
    gil_lock_release_complete(&lock);
}

static const struct {
    const char *tag;
    void (*fn)(void);
} passings[] = {
    {"T6", release_and_grant}, /* before it is granted the lock */
    {"T7", release},           /* before the lock is freed for it */
    {"T8", defer},             /* before the lock is left for it to watch */
    {"T9", defer},             /* before it is told that nobody comes back */
};

START_TEST(one_that_gives_up_while_the_lock_is_passed_to_it)
{
    leaver g;

    begin(&g);
    meet(passings[_i].tag, NODE_ABANDONED);
    passings[_i].fn();
    ck_assert_int_eq(met, 1);
    ck_assert(!gil_lock_held(&lock));
    end(&g);
    ck_assert(!g.got);
}
END_TEST

/* The same with a second waiter: it gets the lock, though the first one does nothing about it. */
START_TEST(the_next_one_gets_the_lock)
{
    waiter next;
    leaver g;

    begin(&g);
    waiter_start(&next, &lock, -1);
    meet(passings[_i].tag, NODE_ABANDONED);
    passings[_i].fn();
    ck_assert_int_eq(met, 1);
    WAIT_FOR(atomic_load(&next.got) == 1);
    waiter_end(&next);
    end(&g);
    ck_assert(!g.got);
}
END_TEST

START_TEST(one_whose_thread_has_ended_is_not_granted_the_lock)
{
    leaver g;

    begin(&g);
    atomic_store(&may_go_on, true);
    meet("T6", NODE_ORPHAN);
    release_and_grant();
    ck_assert_int_eq(met, 1);
    end(&g);
}
END_TEST

START_TEST(one_that_was_granted_the_lock_while_it_gave_up_has_it)
{
    leaver g;

    begin(&g);
    release_and_grant();
    ck_assert_int_ne(gil_lock_try_acquire(&lock), 0);
    end(&g);
    ck_assert(g.got);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("races");
    TCase *tc = tcase_create("races");
    int count = sizeof passings / sizeof *passings;

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, one_that_gives_up_while_the_lock_is_passed_to_it, 0, count);
    tcase_add_loop_test(tc, the_next_one_gets_the_lock, 0, count);
    tcase_add_test(tc, one_whose_thread_has_ended_is_not_granted_the_lock);
    tcase_add_test(tc, one_that_was_granted_the_lock_while_it_gave_up_has_it);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
