/* Who gets the lock: priority for those that were away, arrival order, no starvation. Equal shares
 * are in shares.c.
 *
 * Where possible it is turns that are counted, not time: how often the lock went to somebody else
 * while a thread waited. */
#include "harness.h"

static gil_lock lock;
static team computing = {.lock = &lock};

/* ---- a thread that was away ---- */

/* It sleeps most of the time. Others compute, and their turns are long: it must not wait for them.
 */
START_TEST(one_that_was_away_is_next)
{
    enum { N = 3, VISITS = 10 };
    member members[N];
    int at_once = 0;

    gil_lock_set_interval(&lock, 20 * MS);
    team_start(&computing, members, N);
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    sleep_ns(250 * MS);
    for (int i = 0; i < VISITS; i++) {
        unsigned long turns = atomic_load(&computing.turns);
        int64_t from = now_ns();

        gil_lock_acquire(&lock);
        turns = atomic_load(&computing.turns) - turns;
        from = now_ns() - from;
        gil_lock_release(&lock);
        ck_assert_msg(turns <= 2, "%lu turns of others came first", turns);
        at_once += turns <= 1 && from < 8 * MS;
        sleep_ns(40 * MS);
    }
    team_end(&computing, members, N);
    ck_assert_msg(at_once >= VISITS * 7 / 10, "only %d of %d visits at once", at_once, VISITS);
}
END_TEST

/* It comes back at once each time and holds the lock long: then it is one among equals. */
START_TEST(one_that_keeps_coming_back_gets_its_share)
{
    enum { N = 3 };
    static team alone = {.lock = &lock};
    member members[N], visitor = {.team = &alone, .id = 1};
    int64_t until, sum = 0;

    gil_lock_set_interval(&lock, 4 * MS);
    team_start(&computing, members, N);
    until = now_ns() + 800 * MS;
    while (now_ns() < until) {
        int64_t from;

        gil_lock_acquire(&lock);
        from = now_ns();
        spin_ns(2 * MS);
        visitor.held_ns += now_ns() - from;
        computing.last = 0;
        gil_lock_release(&lock);
        sleep_ns(100 * US);
    }
    team_end(&computing, members, N);
    for (int i = 0; i < N; i++)
        sum += members[i].held_ns;
    sum += visitor.held_ns;
    ck_assert_msg(visitor.held_ns < sum * 45 / 100, "the visitor held it %ld of %ld ns",
                  (long)visitor.held_ns, (long)sum);
    for (int i = 0; i < N; i++)
        ck_assert_msg(members[i].held_ns > sum * 12 / 100, "thread %d held it %ld of %ld ns", i,
                      (long)members[i].held_ns, (long)sum);
}
END_TEST

/* ---- arrival order ---- */

typedef struct arrival {
    pthread_t thread;
    atomic_int tid;
    int place;
} arrival;

static int places;

static void *arrival_main(void *arg)
{
    arrival *a = arg;

    atomic_store(&a->tid, my_tid());
    gil_lock_acquire(&lock);
    a->place = places++;
    gil_lock_release(&lock);
    return NULL;
}

/* Also where the policy is set when they all wait already. */
START_TEST(fifo_is_arrival_order)
{
    enum { N = 16 };
    static arrival arrivals[N];

    ck_assert_int_eq(gil_lock_set_policy(&lock, _i ? GIL_FAIR : GIL_FIFO), 0);
    gil_lock_acquire(&lock);
    for (int i = 0; i < N; i++) {
        arrivals[i].thread = start(arrival_main, &arrivals[i]);
        WAIT_FOR(atomic_load(&arrivals[i].tid) && asleep(atomic_load(&arrivals[i].tid)));
    }
    ck_assert_int_eq(gil_lock_set_policy(&lock, GIL_FIFO), 0);
    gil_lock_release(&lock);
    for (int i = 0; i < N; i++)
        join(arrivals[i].thread);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(arrivals[i].place, i);
}
END_TEST

/* ---- starvation ---- */

/* Threads that live for one request each, more of them than there is time for. */
static struct {
    atomic_int alive;
    atomic_ulong served;
    atomic_bool stop;
} requests;

static void *request_main(void *arg)
{
    int64_t until;

    (void)arg;
    gil_lock_acquire(&lock);
    until = now_ns() + MS;
    while (now_ns() < until)
        gil_lock_checkpoint(&lock);
    atomic_fetch_add(&requests.served, 1);
    gil_lock_release(&lock);
    atomic_fetch_sub(&requests.alive, 1);
    return NULL;
}

enum { ALIVE_MAX = 16 };

static void *requests_main(void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    while (!atomic_load(&requests.stop)) {
        if (atomic_load(&requests.alive) < ALIVE_MAX) {
            atomic_fetch_add(&requests.alive, 1);
            if (pthread_create(&thread, &attr, request_main, NULL) != 0)
                ck_abort_msg("cannot start a thread");
        }
        sleep_ns(300 * US);
    }
    return arg;
}

START_TEST(a_thread_per_request_starves_nobody)
{
    enum { N = 2 };
    member members[N];
    pthread_t spawner;

    ck_assert_int_eq(gil_lock_set_policy(&lock, _i ? GIL_FIFO : GIL_FAIR), 0);
    gil_lock_set_interval(&lock, 2 * MS);
    team_start(&computing, members, N);
    spawner = start(requests_main, NULL);
    sleep_ns(1500 * MS);
    team_end(&computing, members, N);
    atomic_store(&requests.stop, true);
    join(spawner);
    WAIT_FOR(atomic_load(&requests.alive) == 0);
    ck_assert_uint_ge(atomic_load(&requests.served), 100);
    for (int i = 0; i < N; i++)
        ck_assert_msg(members[i].turns >= 8, "thread %d had %lu turns, %lu requests were served", i,
                      members[i].turns, atomic_load(&requests.served));
}
END_TEST

/* Visitors hold the lock shortly and sleep between, so that each has used little; together they
 * want more time than there is. */
static atomic_bool visits_stop;
static atomic_ulong visits;

static void *visits_main(void *arg)
{
    while (!atomic_load(&visits_stop)) {
        gil_lock_acquire(&lock);
        spin_ns(500 * US);
        atomic_fetch_add(&visits, 1);
        gil_lock_release(&lock);
        sleep_ns(2 * MS);
    }
    return arg;
}

START_TEST(a_long_waiter_gets_its_turn_among_visitors)
{
    enum { VISITORS = 10, INTERVAL_MS = 5 };
    pthread_t visitors[VISITORS];
    unsigned long worst = 0;

    ck_assert_int_eq(gil_lock_set_policy(&lock, _i ? GIL_FIFO : GIL_FAIR), 0);
    gil_lock_set_interval(&lock, INTERVAL_MS * MS);
    for (int i = 0; i < VISITORS; i++)
        visitors[i] = start(visits_main, NULL);
    gil_lock_acquire(&lock);
    for (int i = 0; i < 10; i++) {
        int64_t until = now_ns() + 30 * MS;
        unsigned long before;

        while (now_ns() < until)
            gil_lock_checkpoint(&lock);
        before = atomic_load(&visits);
        gil_lock_yield(&lock);
        before = atomic_load(&visits) - before;
        worst = before > worst ? before : worst;
    }
    gil_lock_release(&lock);
    atomic_store(&visits_stop, true);
    for (int i = 0; i < VISITORS; i++)
        join(visitors[i]);
    /* (N + 1) intervals of visits of half a millisecond, twice. */
    ck_assert_msg(worst <= 2 * (VISITORS + 1) * INTERVAL_MS * 2, "%lu visits came first", worst);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fairness");
    TCase *tc = tcase_create("fairness");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, one_that_was_away_is_next);
    tcase_add_test(tc, one_that_keeps_coming_back_gets_its_share);
    tcase_add_loop_test(tc, fifo_is_arrival_order, 0, 2);
    tcase_add_loop_test(tc, a_thread_per_request_starves_nobody, 0, 2);
    tcase_add_loop_test(tc, a_long_waiter_gets_its_turn_among_visitors, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
