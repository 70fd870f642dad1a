/* The lock as a lock: exclusion, try, timed acquire, ownership, settings, errno, destruction.
 *
 * What the header promises to a program that wants no more than mutual exclusion. */
#include "harness.h"

static gil_lock lock;

/* ---- exclusion ---- */

static struct {
    long counter; /* plain on purpose: only the lock guards it */
    int inside;
    atomic_int overlaps;
    int rounds;
} shared;

static void enter_and_leave(int id)
{
    if (shared.inside != 0)
        atomic_fetch_add(&shared.overlaps, 1);
    shared.inside = id;
    shared.counter++;
    if (shared.inside != id)
        atomic_fetch_add(&shared.overlaps, 1);
    shared.inside = 0;
}

static void *excluder(void *arg)
{
    int id = (int)(intptr_t)arg;

    for (int i = 0; i < shared.rounds; i++) {
        gil_lock_acquire(&lock);
        enter_and_leave(id);
        if (i % 7 == 0) {
            gil_lock_checkpoint(&lock);
            enter_and_leave(id);
        }
        if (i % 64 == 0) {
            gil_lock_yield(&lock);
            enter_and_leave(id);
        }
        gil_lock_release(&lock);
    }
    return NULL;
}

START_TEST(exclusion_under_load)
{
    static const int sizes[] = {2, 3, 4, 8, 16};
    int n = sizes[_i / 2];
    pthread_t threads[16];
    long each;

    ck_assert_int_eq(gil_lock_set_policy(&lock, _i % 2 ? GIL_FIFO : GIL_FAIR), 0);
    gil_lock_set_interval(&lock, 200 * US);
    shared.rounds = 24000 / n;
    for (int i = 0; i < n; i++)
        threads[i] = start(excluder, (void *)(intptr_t)(i + 1));
    for (int i = 0; i < n; i++)
        join(threads[i]);
    ck_assert_int_eq(atomic_load(&shared.overlaps), 0);
    each = shared.rounds + (shared.rounds + 6) / 7 + (shared.rounds + 63) / 64;
    ck_assert_int_eq(shared.counter, n * each);
    ck_assert_uint_ge(stats_sum(&lock).acquires, (uint64_t)n * (uint64_t)shared.rounds);
    gil_lock_destroy(&lock);
}
END_TEST

/* ---- the forms of acquire ---- */

START_TEST(zero_memory_is_a_free_lock)
{
    gil_lock *heap = aligned_alloc(_Alignof(gil_lock), sizeof *heap);
    gil_lock init = GIL_LOCK_INIT;

    memset(heap, 0, sizeof *heap);
    ck_assert_int_eq(memcmp(heap, &init, sizeof init), 0);
    ck_assert(!gil_lock_held(heap));
    ck_assert_int_eq(gil_lock_get_interval(heap), GIL_INTERVAL_DEFAULT_NS);
    gil_lock_acquire(heap);
    ck_assert(gil_lock_held(heap));
    ck_assert(!gil_lock_held(&init));
    gil_lock_release(heap);
    ck_assert(!gil_lock_held(heap));
    gil_lock_destroy(heap);
    gil_lock_destroy(&init);
    free(heap);
}
END_TEST

START_TEST(uncontended_pairs_make_no_futex_call)
{
    gil_thread_stats s;

    for (int i = 0; i < 1000; i++) {
        gil_lock_acquire(&lock);
        gil_lock_checkpoint(&lock);
        gil_lock_release(&lock);
    }
    s = stats_of(&lock, my_tid());
    ck_assert_uint_eq(s.acquires, 1000);
    ck_assert_uint_eq(s.contended, 0);
    ck_assert_uint_eq(s.forced, 0);
    ck_assert_uint_eq(s.futex_waits, 0);
    ck_assert_uint_eq(s.futex_wakes, 0);
    ck_assert_uint_eq(s.wait_ns, 0);
}
END_TEST

static void *try_main(void *arg)
{
    int *err = arg;

    errno = 0;
    *err = gil_lock_try_acquire(&lock) == 0 ? 0 : errno;
    if (*err == 0)
        gil_lock_release(&lock);
    return NULL;
}

static int try_in_a_thread(void)
{
    int err = -1;

    join(start(try_main, &err));
    return err;
}

START_TEST(try_takes_only_a_free_lock)
{
    ck_assert_int_eq(try_in_a_thread(), 0);
    gil_lock_acquire(&lock);
    ck_assert_int_eq(try_in_a_thread(), EBUSY);
    gil_lock_release(&lock);
    ck_assert_int_eq(gil_lock_try_acquire(&lock), 0);
    ck_assert(gil_lock_held(&lock));
    ck_assert_int_eq(try_in_a_thread(), EBUSY);
    gil_lock_release(&lock);
    ck_assert_int_eq(try_in_a_thread(), 0);
}
END_TEST

typedef struct timed {
    int64_t timeout_ns;
    int64_t took_ns;
    int err;
} timed;

static void *timed_main(void *arg)
{
    timed *t = arg;
    int64_t from = now_ns();

    errno = 0;
    t->err = gil_lock_acquire_for(&lock, t->timeout_ns) == 0 ? 0 : errno;
    t->took_ns = now_ns() - from;
    ck_assert_int_eq(gil_lock_held(&lock), t->err == 0);
    if (t->err == 0)
        gil_lock_release(&lock);
    return NULL;
}

START_TEST(timed_acquire_gives_up)
{
    static const int64_t timeouts[] = {0, 1, 100 * US, 20 * MS};

    gil_lock_acquire(&lock);
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        timed t = {.timeout_ns = timeouts[i]};

        join(start(timed_main, &t));
        ck_assert_int_eq(t.err, ETIMEDOUT);
        ck_assert_int_ge(t.took_ns, timeouts[i]);
        ck_assert_int_lt(t.took_ns, timeouts[i] + 1000 * MS);
    }
    gil_lock_release(&lock);
    ck_assert_int_eq(try_in_a_thread(), 0);
}
END_TEST

START_TEST(timed_acquire_takes_a_free_lock)
{
    static const int64_t timeouts[] = {-1, 0, 1, 1000 * MS};

    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        ck_assert_int_eq(gil_lock_acquire_for(&lock, timeouts[i]), 0);
        ck_assert(gil_lock_held(&lock));
        gil_lock_release(&lock);
    }
}
END_TEST

START_TEST(timed_acquire_gets_its_turn)
{
    timed t[2] = {{.timeout_ns = LONG_NS}, {.timeout_ns = -1}};
    pthread_t threads[2];
    int64_t until;

    gil_lock_acquire(&lock);
    for (int i = 0; i < 2; i++)
        threads[i] = start(timed_main, &t[i]);
    until = now_ns() + 200 * MS;
    while (now_ns() < until)
        gil_lock_checkpoint(&lock);
    gil_lock_release(&lock);
    for (int i = 0; i < 2; i++) {
        join(threads[i]);
        ck_assert_int_eq(t[i].err, 0);
    }
}
END_TEST

/* Gives up many times beside a holder that never looks, then really waits. */
START_TEST(one_that_gave_up_can_wait_again)
{
    waiter holder;

    ck_assert_int_eq(gil_lock_try_acquire(&lock), 0);
    gil_lock_release(&lock);
    waiter_start(&holder, &lock, -1);
    WAIT_FOR(atomic_load(&holder.got));
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(gil_lock_acquire_for(&lock, 50 * US), -1);
    atomic_store(&holder.let_go, true);
    ck_assert_int_eq(gil_lock_acquire_for(&lock, LONG_NS), 0);
    ck_assert(gil_lock_held(&lock));
    gil_lock_release(&lock);
    waiter_end(&holder);
    gil_lock_destroy(&lock);
}
END_TEST

static void *not_mine(void *arg)
{
    *(bool *)arg = gil_lock_held(&lock);
    return NULL;
}

START_TEST(held_is_true_for_the_owner_only)
{
    bool other = true;

    ck_assert(!gil_lock_held(&lock));
    gil_lock_acquire(&lock);
    ck_assert(gil_lock_held(&lock));
    join(start(not_mine, &other));
    ck_assert(!other);
    gil_lock_yield(&lock);
    ck_assert(gil_lock_held(&lock));
    gil_lock_checkpoint(&lock);
    ck_assert(gil_lock_held(&lock));
    gil_lock_release(&lock);
    ck_assert(!gil_lock_held(&lock));
    gil_lock_acquire(&lock);
    gil_lock_release_deferred(&lock);
    ck_assert(!gil_lock_held(&lock));
}
END_TEST

/* ---- errno ---- */

#define KEEPS_ERRNO(call)                                                                          \
    do {                                                                                           \
        errno = 4242;                                                                              \
        (void)(call);                                                                              \
        if (errno != 4242)                                                                         \
            ck_abort_msg("%s set errno to %d", #call, errno);                                      \
    } while (0)

static void use_everything(void)
{
    gil_thread_stats stats;

    KEEPS_ERRNO(gil_lock_acquire(&lock));
    KEEPS_ERRNO(gil_lock_checkpoint(&lock));
    KEEPS_ERRNO(gil_lock_drop_requested(&lock));
    KEEPS_ERRNO(gil_lock_held(&lock));
    KEEPS_ERRNO(gil_lock_yield(&lock));
    KEEPS_ERRNO(gil_lock_release(&lock));
    KEEPS_ERRNO(gil_lock_acquire(&lock));
    KEEPS_ERRNO(gil_lock_release_deferred(&lock));
    KEEPS_ERRNO(gil_lock_release_complete(&lock));
    KEEPS_ERRNO(gil_lock_acquire(&lock));
    KEEPS_ERRNO(gil_lock_release_deferred(&lock));
    KEEPS_ERRNO(gil_lock_acquire(&lock));
    KEEPS_ERRNO(gil_lock_release(&lock));
    errno = 4242;
    if (gil_lock_acquire_for(&lock, LONG_NS) == 0) {
        ck_assert_int_eq(errno, 4242);
        KEEPS_ERRNO(gil_lock_release(&lock));
    }
    errno = 4242;
    if (gil_lock_try_acquire(&lock) == 0) {
        ck_assert_int_eq(errno, 4242);
        KEEPS_ERRNO(gil_lock_release(&lock));
    }
    KEEPS_ERRNO(gil_lock_stats(&lock, &stats, 1));
    KEEPS_ERRNO(gil_lock_get_interval(&lock));
    KEEPS_ERRNO(gil_lock_set_interval(&lock, 100 * US));
}

START_TEST(errno_is_kept_uncontended)
{
    KEEPS_ERRNO(gil_lock_set_policy(&lock, GIL_FAIR));
    KEEPS_ERRNO(gil_lock_on_drop_request(&lock, NULL, NULL));
    use_everything();
    KEEPS_ERRNO(gil_lock_destroy(&lock));
}
END_TEST

START_TEST(errno_is_kept_contended)
{
    static team t = {.lock = &lock};
    member members[2];

    gil_lock_set_interval(&lock, 100 * US);
    team_start(&t, members, 2);
    for (int i = 0; i < 200; i++)
        use_everything();
    team_end(&t, members, 2);
}
END_TEST

/* ---- settings ---- */

START_TEST(an_unknown_policy_is_refused)
{
    errno = 0;
    ck_assert_int_eq(gil_lock_set_policy(&lock, (gil_policy)2), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(gil_lock_set_policy(&lock, (gil_policy)-1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(gil_lock_set_policy(&lock, GIL_FIFO), 0);
    ck_assert_int_eq(gil_lock_set_policy(&lock, GIL_FAIR), 0);
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
}
END_TEST

START_TEST(the_interval_is_at_least_a_microsecond)
{
    static const int64_t given[][2] = {
        {MS, MS},   {1, 1000},         {0, 1000},
        {-5, 1000}, {INT64_MIN, 1000}, {INT64_C(3600000000000), INT64_C(3600000000000)},
    };

    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        gil_lock_set_interval(&lock, given[i][0]);
        ck_assert_int_eq(gil_lock_get_interval(&lock), given[i][1]);
    }
}
END_TEST

/* A waiter beside an hour's interval must not wait an hour once the interval is short: the new
 * value counts from the next slice on, and a yield begins one. */
START_TEST(the_interval_counts_from_the_next_slice)
{
    static team t = {.lock = &lock};
    member members[2];

    gil_lock_set_interval(&lock, INT64_C(3600000000000));
    gil_lock_acquire(&lock);
    gil_lock_set_interval(&lock, MS);
    gil_lock_release(&lock);
    team_start(&t, members, 2);
    WAIT_FOR(atomic_load(&t.turns) > 20);
    team_end(&t, members, 2);
}
END_TEST

/* The longest interval there is, in sums with the clock, must not wrap round. */
START_TEST(the_longest_interval_does_not_overflow)
{
    waiter w;

    gil_lock_set_interval(&lock, INT64_MAX);
    gil_lock_acquire(&lock);
    visitor_start(&w, &lock, -1);
    sleep_ns(20 * MS);
    ck_assert(!gil_lock_drop_requested(&lock));
    gil_lock_release(&lock);
    waiter_end(&w);
    ck_assert_int_eq(w.got, 1);
}
END_TEST

/* So must the longest time to wait. */
START_TEST(the_longest_timeout_does_not_overflow)
{
    waiter w;

    gil_lock_acquire(&lock);
    visitor_start(&w, &lock, INT64_MAX);
    sleep_ns(20 * MS);
    ck_assert_int_eq(atomic_load(&w.got), 0);
    gil_lock_release(&lock);
    waiter_end(&w);
    ck_assert_int_eq(w.got, 1);
}
END_TEST

/* ---- the end of a lock ---- */

static struct {
    pthread_barrier_t barrier;
    int rounds;
} reuse;

static void *reuser(void *arg)
{
    (void)arg;
    for (int i = 0; i < reuse.rounds; i++) {
        pthread_barrier_wait(&reuse.barrier);
        for (int j = 0; j < 20; j++) {
            gil_lock_acquire(&lock);
            shared.counter++;
            gil_lock_release(&lock);
        }
        pthread_barrier_wait(&reuse.barrier);
    }
    return NULL;
}

/* Two threads outlive the lock, again and again at one address. */
START_TEST(destroy_and_use_again)
{
    pthread_t threads[2];

    reuse.rounds = 200;
    pthread_barrier_init(&reuse.barrier, NULL, 3);
    for (int i = 0; i < 2; i++)
        threads[i] = start(reuser, NULL);
    for (int i = 0; i < reuse.rounds; i++) {
        pthread_barrier_wait(&reuse.barrier);
        pthread_barrier_wait(&reuse.barrier);
        ck_assert_uint_ge(stats_sum(&lock).acquires, 40);
        if (i < reuse.rounds - 1) /* in the last round they are ending, and may be counted twice */
            ck_assert_uint_eq(stats_sum(&lock).acquires, 40);
        gil_lock_destroy(&lock);
        memset(&lock, 0, sizeof lock);
    }
    for (int i = 0; i < 2; i++)
        join(threads[i]);
    ck_assert_int_eq(shared.counter, 40L * reuse.rounds);
}
END_TEST

START_TEST(a_lock_that_was_never_used_can_be_destroyed)
{
    gil_lock_destroy(&lock);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lock");
    TCase *tc = tcase_create("lock");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, exclusion_under_load, 0, 10);
    tcase_add_test(tc, zero_memory_is_a_free_lock);
    tcase_add_test(tc, uncontended_pairs_make_no_futex_call);
    tcase_add_test(tc, try_takes_only_a_free_lock);
    tcase_add_test(tc, timed_acquire_gives_up);
    tcase_add_test(tc, timed_acquire_takes_a_free_lock);
    tcase_add_test(tc, timed_acquire_gets_its_turn);
    tcase_add_test(tc, one_that_gave_up_can_wait_again);
    tcase_add_test(tc, held_is_true_for_the_owner_only);
    tcase_add_test(tc, errno_is_kept_uncontended);
    tcase_add_test(tc, errno_is_kept_contended);
    tcase_add_test(tc, an_unknown_policy_is_refused);
    tcase_add_test(tc, the_interval_is_at_least_a_microsecond);
    tcase_add_test(tc, the_interval_counts_from_the_next_slice);
    tcase_add_test(tc, the_longest_interval_does_not_overflow);
    tcase_add_test(tc, the_longest_timeout_does_not_overflow);
    tcase_add_test(tc, destroy_and_use_again);
    tcase_add_test(tc, a_lock_that_was_never_used_can_be_destroyed);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
