/* Threads that come and go, threads that use many locks, and what is kept for them.
 *
 * A thread may end while something of it is still linked in a queue; that must neither be used for
 * somebody else too early nor be lost. */
#include "harness.h"

#include <sys/mman.h>

static gil_lock lock;

/* Pages of memory that the process has mapped. */
static long mapped_pages(void)
{
    char buf[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, buf, sizeof buf - 1);

    close(fd);
    ck_assert_int_gt(n, 0);
    buf[n] = '\0';
    return strtol(buf, NULL, 10);
}

/* ---- many short lives ---- */

static long counter;

static void *short_life(void *arg)
{
    for (int i = 0; i < 3; i++) {
        gil_lock_acquire(&lock);
        counter++;
        gil_lock_checkpoint(&lock);
        gil_lock_release(&lock);
    }
    return arg;
}

static void live_and_die(int n)
{
    enum { AT_ONCE = 8 };
    pthread_t threads[AT_ONCE];

    for (int i = 0; i < n; i += AT_ONCE) {
        for (int j = 0; j < AT_ONCE; j++)
            threads[j] = start(short_life, NULL);
        for (int j = 0; j < AT_ONCE; j++)
            join(threads[j]);
    }
}

START_TEST(thousands_of_short_lives)
{
    enum { N = 4000 };
    gil_thread_stats ended;
    long pages;

    live_and_die(N / 2);
    pages = mapped_pages();
    live_and_die(N / 2);
    ck_assert_int_eq(counter, 3L * N);
    ended = stats_of(&lock, 0);
    ck_assert_uint_eq(ended.threads, N);
    ck_assert_uint_ge(ended.acquires, 3 * N);
    ck_assert_uint_eq(gil_lock_stats(&lock, NULL, 0), 1);
    ck_assert_msg(mapped_pages() - pages < 256, "%ld pages more after %d threads",
                  mapped_pages() - pages, N / 2);
    gil_lock_destroy(&lock);
}
END_TEST

START_TEST(counters_list_the_living_and_the_dead)
{
    gil_thread_stats all[4];
    waiter w;

    live_and_die(8);
    gil_lock_acquire(&lock);
    waiter_start(&w, &lock, -1);
    ck_assert_uint_eq(gil_lock_stats(&lock, all, 4), 3);
    ck_assert_int_eq(all[2].tid, 0);
    ck_assert_uint_eq(all[2].threads, 8);
    for (int i = 0; i < 2; i++) {
        ck_assert(all[i].tid == my_tid() || all[i].tid == w.tid);
        ck_assert_uint_eq(all[i].threads, 1);
    }
    ck_assert_int_ne(all[0].tid, all[1].tid);
    memset(all, 0xee, sizeof all);
    ck_assert_uint_eq(gil_lock_stats(&lock, all, 1), 3);
    ck_assert_uint_eq(all[1].acquires, UINT64_C(0xeeeeeeeeeeeeeeee));
    gil_lock_release(&lock);
    waiter_end(&w);
    ck_assert_uint_ge(stats_of(&lock, 0).contended, 1);
    ck_assert_uint_gt(stats_of(&lock, 0).wait_ns, 0);
    ck_assert_uint_ge(stats_of(&lock, 0).wait_ns, stats_of(&lock, 0).wait_max_ns);
}
END_TEST

/* ---- ended while linked ---- */

static void *gives_up(void *arg)
{
    return gil_lock_acquire_for(&lock, 500 * US) == -1 ? arg : NULL;
}

static void give_up_and_die(int n)
{
    enum { AT_ONCE = 8 };
    pthread_t threads[AT_ONCE];

    for (int i = 0; i < n; i += AT_ONCE) {
        for (int j = 0; j < AT_ONCE; j++)
            threads[j] = start(gives_up, &lock);
        for (int j = 0; j < AT_ONCE; j++) {
            void *result = NULL;

            ck_assert_int_eq(pthread_join(threads[j], &result), 0);
            ck_assert_ptr_nonnull(result);
        }
    }
}

/* The holder does not look at the queue meanwhile, so that all of them stay in it. */
START_TEST(ended_after_giving_up)
{
    waiter w;

    gil_lock_acquire(&lock);
    give_up_and_die(400);
    waiter_start(&w, &lock, -1);
    give_up_and_die(400);
    gil_lock_release(&lock);
    WAIT_FOR(atomic_load(&w.got) == 1);
    waiter_end(&w);
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    ck_assert_uint_eq(stats_of(&lock, 0).threads, 801);
    gil_lock_destroy(&lock);
}
END_TEST

/* What the dead have left is used again once an owner has seen it. */
START_TEST(nodes_of_the_dead_are_used_again)
{
    long pages = 0;

    for (int i = 0; i < 20; i++) {
        if (i == 5)
            pages = mapped_pages();
        gil_lock_acquire(&lock);
        give_up_and_die(80);
        gil_lock_release(&lock);
        gil_lock_acquire(&lock);
        gil_lock_yield(&lock);
        gil_lock_release(&lock);
    }
    ck_assert_msg(mapped_pages() - pages < 64, "%ld pages more", mapped_pages() - pages);
}
END_TEST

static void *timed_visit(void *arg)
{
    gil_lock *l = arg;

    if (gil_lock_acquire_for(l, 100 * US) == 0)
        gil_lock_release(l);
    return NULL;
}

/* Beside a holder that does look, and beside waiters that stay. */
START_TEST(giving_up_beside_a_computing_holder)
{
    static team computing = {.lock = &lock};
    member members[2];

    gil_lock_set_interval(&lock, MS);
    team_start(&computing, members, 2);
    for (int i = 0; i < 300; i++) {
        pthread_t threads[4];

        for (int j = 0; j < 4; j++)
            threads[j] = start(timed_visit, &lock);
        for (int j = 0; j < 4; j++)
            join(threads[j]);
    }
    ck_assert_uint_gt(atomic_load(&computing.turns), 10);
    team_end(&computing, members, 2);
    gil_lock_destroy(&lock);
}
END_TEST

/* Nobody uses the lock any more, but its threads have yet to end when its memory goes. */
static atomic_int done;

static void *uses_it_once(void *arg)
{
    gil_lock_acquire(arg);
    gil_lock_release(arg);
    atomic_fetch_add(&done, 1);
    return NULL;
}

START_TEST(a_lock_destroyed_while_its_threads_end)
{
    enum { N = 3 };

    for (int i = 0; i < 1500; i++) {
        pthread_t threads[N];
        void *memory = mmap(NULL, sizeof(gil_lock), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        ck_assert_ptr_ne(memory, MAP_FAILED);
        atomic_store(&done, 0);
        for (int j = 0; j < N; j++)
            threads[j] = start(uses_it_once, memory);
        while (atomic_load(&done) < N)
            sched_yield();
        gil_lock_destroy(memory);
        ck_assert_int_eq(munmap(memory, sizeof(gil_lock)), 0);
        for (int j = 0; j < N; j++)
            join(threads[j]);
    }
}
END_TEST

/* ---- many locks ---- */

enum { LOCKS = 100 };

static gil_lock locks[LOCKS];

START_TEST(many_locks_held_at_once)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LOCKS; i++)
            gil_lock_acquire(&locks[i]);
        for (int i = 0; i < LOCKS; i++) {
            ck_assert(gil_lock_held(&locks[i]));
            gil_lock_checkpoint(&locks[i]);
        }
        for (int i = 0; i < LOCKS; i++)
            gil_lock_release(&locks[(i * 37) % LOCKS]);
    }
    for (int i = 0; i < LOCKS; i++) {
        ck_assert(!gil_lock_held(&locks[i]));
        ck_assert_uint_eq(stats_of(&locks[i], my_tid()).acquires, 3);
        gil_lock_destroy(&locks[i]);
    }
}
END_TEST

static long counters[LOCKS];

static void *walker(void *arg)
{
    unsigned at = (unsigned)(intptr_t)arg;

    for (int i = 0; i < 5000; i++) {
        at = (at * 29 + 17) % LOCKS;
        gil_lock_acquire(&locks[at]);
        counters[at]++;
        if (i % 16 == 0)
            gil_lock_yield(&locks[at]);
        gil_lock_release(&locks[at]);
    }
    return NULL;
}

START_TEST(many_locks_used_by_all)
{
    enum { N = 6 };
    pthread_t threads[N];
    long sum = 0;

    for (int i = 0; i < N; i++)
        threads[i] = start(walker, (void *)(intptr_t)i);
    for (int i = 0; i < N; i++)
        join(threads[i]);
    for (int i = 0; i < LOCKS; i++) {
        sum += counters[i];
        gil_lock_destroy(&locks[i]);
    }
    ck_assert_int_eq(sum, N * 5000L);
}
END_TEST

/* Holds one lock and waits for the next one: others wait for what it holds. */
START_TEST(waiting_for_one_lock_while_holding_another)
{
    waiter holder, waits_for_first;

    waiter_start(&holder, &locks[1], -1);
    WAIT_FOR(atomic_load(&holder.got) == 1);
    gil_lock_acquire(&locks[0]);
    visitor_start(&waits_for_first, &locks[0], -1);
    ck_assert_int_eq(gil_lock_acquire_for(&locks[1], 10 * MS), -1);
    atomic_store(&holder.let_go, true);
    gil_lock_acquire(&locks[1]);
    ck_assert(gil_lock_held(&locks[0]) && gil_lock_held(&locks[1]));
    ck_assert_int_eq(atomic_load(&waits_for_first.got), 0);
    gil_lock_yield(&locks[0]);
    ck_assert_int_eq(atomic_load(&waits_for_first.got), 1);
    gil_lock_release(&locks[0]);
    gil_lock_release(&locks[1]);
    waiter_end(&holder);
    waiter_end(&waits_for_first);
}
END_TEST

/* It has given up on one lock, in whose queue it is still linked, and waits for others. */
START_TEST(linked_in_one_lock_and_waiting_for_another)
{
    enum { N = 4 };
    waiter holders[N];

    for (int i = 0; i < N; i++) {
        waiter_start(&holders[i], &locks[i], -1);
        WAIT_FOR(atomic_load(&holders[i].got) == 1);
    }
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(gil_lock_acquire_for(&locks[i], 200 * US), -1);
    }
    for (int i = N - 1; i >= 0; i--) {
        atomic_store(&holders[i].let_go, true);
        ck_assert_int_eq(gil_lock_acquire_for(&locks[i], LONG_NS), 0);
        for (int j = 0; j < i; j++)
            ck_assert_int_eq(gil_lock_acquire_for(&locks[j], 200 * US), -1);
        gil_lock_release(&locks[i]);
    }
    for (int i = 0; i < N; i++) {
        waiter_end(&holders[i]);
        gil_lock_acquire(&locks[i]);
        gil_lock_release(&locks[i]);
        gil_lock_destroy(&locks[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tc = tcase_create("threads"), *memory = tcase_create("memory");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, counters_list_the_living_and_the_dead);
    tcase_add_test(tc, ended_after_giving_up);
    tcase_add_test(tc, giving_up_beside_a_computing_holder);
    tcase_add_test(tc, a_lock_destroyed_while_its_threads_end);
    tcase_add_test(tc, many_locks_held_at_once);
    tcase_add_test(tc, many_locks_used_by_all);
    tcase_add_test(tc, waiting_for_one_lock_while_holding_another);
    tcase_add_test(tc, linked_in_one_lock_and_waiting_for_another);
    suite_add_tcase(suite, tc);
    /* They measure the process as a whole, an emulator included. */
    tcase_set_timeout(memory, 30);
    tcase_set_tags(memory, "native");
    tcase_add_test(memory, thousands_of_short_lives);
    tcase_add_test(memory, nodes_of_the_dead_are_used_again);
    suite_add_tcase(suite, memory);
    return run_suite(suite);
}
