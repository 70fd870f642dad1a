/* Lock and RLock: who may release, how often, who is next, and that nothing is lost while waiters
 * give up. What they have in common with everything that blocks is in sync.c. */
#include "callers.h"

static gil_thread_lock lock;
static gil_rlock rlock;

static int in_a_thread(int (*call)(int64_t))
{
    caller c = {0};

    caller_start(&c, call, 0);
    caller_end(&c);
    return c.result == 0 ? 0 : c.error;
}

/* ---- Lock ---- */

START_TEST(zero_memory_is_a_free_lock)
{
    errno = ERRNO_KEPT;
    ck_assert(!gil_thread_lock_locked(&lock));
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, -1), 0);
    ck_assert(gil_thread_lock_locked(&lock));
    ck_assert_int_eq(gil_thread_lock_release(&lock), 0);
    ck_assert(!gil_thread_lock_locked(&lock));
    ck_assert_int_eq(errno, ERRNO_KEPT);
}
END_TEST

START_TEST(a_held_lock_is_not_taken_again)
{
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, -1), 0);
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, 5 * MS), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert(gil_thread_lock_locked(&lock));
    /* A waiter that has given up leaves it as it was. */
    ck_assert_int_eq(gil_thread_lock_release(&lock), 0);
    ck_assert(!gil_thread_lock_locked(&lock));
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, 0), 0);
}
END_TEST

static int release_lock(int64_t timeout_ns)
{
    (void)timeout_ns;
    return gil_thread_lock_release(&lock);
}

START_TEST(any_thread_may_release_a_lock)
{
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, -1), 0);
    ck_assert_int_eq(in_a_thread(release_lock), 0);
    ck_assert(!gil_thread_lock_locked(&lock));
}
END_TEST

START_TEST(a_lock_that_nobody_holds_is_not_released)
{
    ck_assert_int_eq(gil_thread_lock_release(&lock), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, 0), 0);
    ck_assert_int_eq(gil_thread_lock_release(&lock), 0);
    ck_assert_int_eq(gil_thread_lock_release(&lock), -1);
    ck_assert_int_eq(errno, EPERM);
}
END_TEST

static int uninterrupted_call(int64_t timeout_ns)
{
    return gil_thread_lock_acquire_uninterrupted(&lock, timeout_ns);
}

START_TEST(the_uninterrupted_form_leaves_interrupts_for_later)
{
    caller c = {.with_state = true, .interrupted = true};

    begin();
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, 0), 0);
    caller_start(&c, uninterrupted_call, -1);
    gil_interrupt(atomic_load(&c.ident));
    keep_busy(&c); /* it looks around once more */
    let_loose();
    WAIT_FOR(asleep(atomic_load(&c.tid)));
    ck_assert(!atomic_load(&c.done));
    ck_assert_int_eq(gil_thread_lock_release(&lock), 0);
    caller_expect(&c, 0);
    ck_assert_int_eq(c.next_wait, EINTR);
}
END_TEST

START_TEST(the_uninterrupted_form_waits_as_long_as_it_may)
{
    caller c = {.with_state = true, .interrupted = true};

    begin();
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, 0), 0);
    caller_start(&c, uninterrupted_call, 20 * MS);
    caller_expect(&c, ETIMEDOUT);
    ck_assert_int_ge(c.took_ns, 20 * MS);
    ck_assert_int_eq(c.next_wait, EINTR);
}
END_TEST

/* A release with a waiter leaves the lock to it, whoever else tries first. */
START_TEST(a_waiter_has_the_lock_before_anybody_who_comes_later)
{
    caller c = {0};

    form_lock = (gil_thread_lock){{0}};
    lock_block();
    caller_start(&c, lock_call, -1);
    keep_busy(&c);
    lock_satisfy();
    ck_assert(gil_thread_lock_locked(&form_lock));
    ck_assert_int_eq(gil_thread_lock_acquire(&form_lock, 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    let_loose();
    caller_expect(&c, 0);
}
END_TEST

/* ---- RLock ---- */

static int rlock_try(int64_t timeout_ns)
{
    return gil_rlock_acquire(&rlock, timeout_ns);
}

static int rlock_give_up(int64_t timeout_ns)
{
    (void)timeout_ns;
    return gil_rlock_release(&rlock);
}

START_TEST(an_owner_takes_it_as_often_as_it_likes)
{
    enum { DEPTH = 1000 };

    errno = ERRNO_KEPT;
    for (uint64_t i = 0; i < DEPTH; i++) {
        ck_assert_uint_eq(gil_rlock_depth(&rlock), i);
        ck_assert_int_eq(gil_rlock_acquire(&rlock, i % 3 ? -1 : 0), 0);
    }
    for (uint64_t i = DEPTH; i > 0; i--) {
        ck_assert_uint_eq(gil_rlock_depth(&rlock), i);
        ck_assert_int_eq(gil_rlock_release(&rlock), 0);
    }
    ck_assert_int_eq(errno, ERRNO_KEPT);
    ck_assert_int_eq(in_a_thread(rlock_try), 0);
}
END_TEST

START_TEST(others_do_not_get_it_before_the_last_release)
{
    ck_assert_int_eq(gil_rlock_acquire(&rlock, -1), 0);
    ck_assert_int_eq(gil_rlock_acquire(&rlock, -1), 0);
    ck_assert_int_eq(in_a_thread(rlock_try), ETIMEDOUT);
    ck_assert_int_eq(gil_rlock_release(&rlock), 0);
    ck_assert_int_eq(in_a_thread(rlock_try), ETIMEDOUT);
    ck_assert_int_eq(gil_rlock_release(&rlock), 0);
    ck_assert_int_eq(in_a_thread(rlock_try), 0);
}
END_TEST

START_TEST(only_its_owner_releases_it)
{
    ck_assert_int_eq(gil_rlock_release(&rlock), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(gil_rlock_acquire(&rlock, -1), 0);
    ck_assert_int_eq(in_a_thread(rlock_give_up), EPERM);
    ck_assert_uint_eq(gil_rlock_depth(&rlock), 1);
    ck_assert_int_eq(gil_rlock_release(&rlock), 0);
    ck_assert_int_eq(gil_rlock_release(&rlock), -1);
    ck_assert_int_eq(errno, EPERM);
}
END_TEST

static caller passers[6];
static atomic_int passed;
static int order[6];

static int pass_on(int64_t timeout_ns)
{
    int me = 0;

    if (gil_rlock_acquire(&rlock, timeout_ns) < 0)
        return -1;
    while (atomic_load(&passers[me].tid) != my_tid())
        me++;
    order[atomic_fetch_add(&passed, 1)] = me;
    return gil_rlock_release(&rlock);
}

START_TEST(each_owner_passes_it_to_the_next)
{
    ck_assert_int_eq(gil_rlock_acquire(&rlock, -1), 0);
    for (int i = 0; i < 6; i++)
        caller_start(&passers[i], pass_on, -1);
    ck_assert_int_eq(gil_rlock_release(&rlock), 0);
    for (int i = 0; i < 6; i++)
        caller_expect(&passers[i], 0);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(order[i], i);
}
END_TEST

/* ---- under load, with waiters that give up ---- */

static struct {
    long counter; /* plain on purpose: only the lock guards it */
    atomic_long got, gave_up;
    atomic_ulong idents[4];
    atomic_int at_work;
} load;

static int load_acquire(int64_t timeout_ns, bool recursive)
{
    return recursive ? gil_rlock_acquire(&rlock, timeout_ns)
                     : gil_thread_lock_acquire(&lock, timeout_ns);
}

static int load_release(bool recursive)
{
    return recursive ? gil_rlock_release(&rlock) : gil_thread_lock_release(&lock);
}

static atomic_bool recursive_load;

static void *load_main(void *arg)
{
    unsigned id = (unsigned)(uintptr_t)arg;
    bool recursive = atomic_load(&recursive_load);

    atomic_store(&load.idents[id], gil_thread_ident());
    atomic_fetch_add(&load.at_work, 1);
    for (unsigned i = 0; i < 4000; i++) {
        int64_t timeout_ns = i % 4 == 3 ? -1 : (int64_t)((i * 7 + id) % 40) * US;

        if (load_acquire(timeout_ns, recursive) < 0) {
            atomic_fetch_add(&load.gave_up, 1);
            continue;
        }
        load.counter++;
        atomic_fetch_add(&load.got, 1);
        if (i % 16 == 0)
            sched_yield();
        load_release(recursive);
    }
    atomic_fetch_sub(&load.at_work, 1);
    return NULL;
}

START_TEST(nothing_is_lost_while_waiters_give_up)
{
    pthread_t threads[4];

    atomic_store(&recursive_load, _i == 1);
    for (uintptr_t i = 0; i < 4; i++)
        threads[i] = start(load_main, (void *)i);
    WAIT_FOR(atomic_load(&load.idents[3]) != 0);
    for (unsigned i = 0; atomic_load(&load.at_work) > 0; i++) {
        unsigned long ident = atomic_load(&load.idents[i % 4]);

        if (ident)
            gil_interrupt(ident);
        sleep_ns(20 * US);
    }
    for (int i = 0; i < 4; i++)
        join(threads[i]);
    ck_assert_int_eq(load.counter, atomic_load(&load.got));
    ck_assert_int_eq(load.counter + atomic_load(&load.gave_up), 4 * 4000);
    ck_assert_int_gt(atomic_load(&load.gave_up), 0);
    ck_assert_int_eq(load_acquire(0, _i == 1), 0);
}
END_TEST

/* ---- a lock that is freed by whoever had it last ---- */

static gil_thread_lock *_Atomic passing;

static void *other_main(void *arg)
{
    for (int i = 0; i < 3000; i++) {
        gil_thread_lock *at;

        while (!(at = atomic_exchange(&passing, NULL)))
            sched_yield();
        while (gil_thread_lock_acquire(at, i % 2 ? -1 : 0) < 0)
            sched_yield();
        memset(at, 0xAA, sizeof *at);
        free(at);
    }
    return arg;
}

START_TEST(a_lock_that_is_freed_by_whoever_had_it_last)
{
    pthread_t other = start(other_main, NULL);

    for (int i = 0; i < 3000; i++) {
        gil_thread_lock *at = calloc(1, sizeof *at);

        ck_assert_int_eq(gil_thread_lock_acquire(at, 0), 0);
        ck_assert_int_eq(gil_thread_lock_acquire(at, 1), -1); /* its release looks for waiters */
        atomic_store(&passing, at);
        ck_assert_int_eq(gil_thread_lock_release(at), 0);
        while (atomic_load(&passing))
            sched_yield();
    }
    join(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync_lock");
    TCase *tc = tcase_create("sync_lock");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, zero_memory_is_a_free_lock);
    tcase_add_test(tc, a_held_lock_is_not_taken_again);
    tcase_add_test(tc, any_thread_may_release_a_lock);
    tcase_add_test(tc, a_lock_that_nobody_holds_is_not_released);
    tcase_add_test(tc, the_uninterrupted_form_leaves_interrupts_for_later);
    tcase_add_test(tc, the_uninterrupted_form_waits_as_long_as_it_may);
    tcase_add_test(tc, a_waiter_has_the_lock_before_anybody_who_comes_later);
    tcase_add_test(tc, an_owner_takes_it_as_often_as_it_likes);
    tcase_add_test(tc, others_do_not_get_it_before_the_last_release);
    tcase_add_test(tc, only_its_owner_releases_it);
    tcase_add_test(tc, each_owner_passes_it_to_the_next);
    tcase_add_test(tc, a_lock_that_is_freed_by_whoever_had_it_last);
    tcase_add_loop_test(tc, nothing_is_lost_while_waiters_give_up, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
