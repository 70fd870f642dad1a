/* Checkpoints: how often they look around, and when the lock changes hands there. Counted, not
 * timed: a thread makes sure that the other one waits before it counts its instructions. */
#include "states.h"

/* ---- two threads that take turns ---- */

typedef struct turns {
    gil_interpreter_state *interp;
    struct domain *domain;
    atomic_int last;  /* whose turn it is */
    long in_turn;     /* checkpoints in this turn */
    long lengths[40]; /* of the turns that are over */
    int over, wanted;
} turns;

typedef struct player {
    turns *t;
    int id;
    pthread_t thread;
} player;

/* A checkpoint by a thread that runs; the first one of a turn waits until somebody else wants it.
 * */
static void play(player *p)
{
    turns *t = p->t;

    if (t->last != p->id) {
        if (t->last && t->over < 40)
            t->lengths[t->over++] = t->in_turn;
        t->in_turn = 0;
        t->last = p->id;
        if (t->over < t->wanted)
            WAIT_FOR(anybody_waits(t->domain));
    }
    t->in_turn++;
    gil_checkpoint();
}

static void *player_main(void *arg)
{
    player *p = arg;
    gil_thread_state *ts = gil_thread_state_new(p->t->interp);

    gil_acquire_thread(ts);
    while (p->t->over < p->t->wanted)
        play(p);
    gil_thread_state_delete_current();
    return NULL;
}

/* The players start while the caller holds the shared lock, and have ended on return. */
static void take_turns(turns *t, gil_interpreter_state *interp, int wanted)
{
    player players[2];

    memset(t, 0, sizeof *t);
    t->interp = interp;
    t->domain = interp->domain;
    t->wanted = wanted;
    for (int i = 0; i < 2; i++) {
        players[i] = (player){.t = t, .id = i + 1};
        players[i].thread = start(player_main, &players[i]);
    }
    GIL_BEGIN_ALLOW_THREADS
    for (int i = 0; i < 2; i++)
        join(players[i].thread);
    GIL_END_ALLOW_THREADS
}

static const struct {
    int set, every;
} intervals[] = {{100, 100}, {10, 10}, {1, 1}, {0, 1}, {-1, 1}};

START_TEST(every_so_many_instructions)
{
    turns t;

    begin_runtime();
    ck_assert_int_eq(gil_get_check_interval(), 100);
    gil_set_check_interval(intervals[_i].set);
    ck_assert_int_eq(gil_get_check_interval(), intervals[_i].every);
    take_turns(&t, gil_interpreter_state_main(), 20);
    /* The first look of a thread comes at once. */
    for (int i = 2; i < 20; i++)
        ck_assert_msg(t.lengths[i] == intervals[_i].every, "turn %d: %ld checkpoints", i,
                      t.lengths[i]);
    gil_finalize();
}
END_TEST

#define HOUR_NS (3600 * INT64_C(1000000000))

static void checkpoints(int n)
{
    while (n-- > 0)
        ck_assert_int_eq(gil_checkpoint(), 0);
}

static void end_outside(worker *w)
{
    GIL_BEGIN_ALLOW_THREADS
    worker_end(w);
    GIL_END_ALLOW_THREADS
}

/* Whoever waits runs, although nobody has asked for the lock yet. */
START_TEST(yield_lets_the_next_one_run)
{
    worker w;

    begin_runtime();
    gil_yield(); /* to nobody */
    gil_set_switch_interval(HOUR_NS);
    passer_start(&w, gil_interpreter_state_main());
    ck_assert(!atomic_load(&w.runs));
    gil_yield();
    ck_assert(atomic_load(&w.runs));
    ck_assert(gil_check());
    end_outside(&w);
    gil_finalize();
}
END_TEST

/* By default, and again when it has been set, the switch interval counts. It is long here, so
 * nothing happens. */
START_TEST(by_time_unless_set)
{
    worker w;

    begin_runtime();
    if (_i)
        gil_set_check_interval(10);
    gil_set_switch_interval(HOUR_NS);
    passer_start(&w, gil_interpreter_state_main());
    checkpoints(1000);
    ck_assert(!atomic_load(&w.runs));
    end_outside(&w);
    gil_finalize();
}
END_TEST

START_TEST(whatever_the_switch_interval)
{
    worker w;

    begin_runtime();
    gil_set_switch_interval(HOUR_NS);
    checkpoints(100);
    gil_set_check_interval(50);
    while (gil_thread_state_get()->ticker_ != 50) /* the last one looked around */
        gil_checkpoint();
    passer_start(&w, gil_interpreter_state_main());
    checkpoints(49);
    ck_assert(!atomic_load(&w.runs));
    checkpoints(1);
    ck_assert(atomic_load(&w.runs));
    end_outside(&w);
    gil_finalize();
}
END_TEST

/* Whoever waits asks, and the next look hands over. */
START_TEST(when_asked)
{
    worker w;

    begin_runtime();
    gil_set_switch_interval(HOUR_NS);
    passer_start(&w, gil_interpreter_state_main());
    checkpoints(200);
    ck_assert(!atomic_load(&w.runs));
    relaxed_store(&lock_of(&shared.lock)->drop, 1);
    checkpoints(100);
    ck_assert(atomic_load(&w.runs));
    end_outside(&w);
    gil_finalize();
}
END_TEST

/* With a short switch interval both threads get on, whoever asks. */
START_TEST(the_switch_interval)
{
    turns t;

    begin_runtime();
    ck_assert_int_eq(gil_get_switch_interval(), GIL_INTERVAL_DEFAULT_NS);
    gil_set_switch_interval(1);
    ck_assert_int_eq(gil_get_switch_interval(), 1000);
    gil_set_switch_interval(100 * US);
    take_turns(&t, gil_interpreter_state_main(), 20);
    for (int i = 2; i < 20; i++)
        ck_assert_int_eq(t.lengths[i] % 100, 0); /* looked at every 100 checkpoints */
    gil_finalize();
}
END_TEST

START_TEST(settings_are_those_of_the_lock)
{
    gil_thread_state *mine = begin_runtime(), *ts;
    gil_interpreter_state *other = gil_interpreter_state_new(GIL_OWN_LOCK);

    gil_set_check_interval(7);
    ts = gil_thread_state_new(other);
    gil_release_thread(mine);
    ck_assert_int_eq(gil_get_check_interval(), 7); /* of the shared one */
    gil_acquire_thread(ts);
    ck_assert_int_eq(gil_get_check_interval(), 100);
    gil_set_check_interval(9);
    gil_set_switch_interval(MS);
    gil_release_thread(ts);
    gil_acquire_thread(mine);
    ck_assert_int_eq(gil_get_check_interval(), 7);
    ck_assert_int_eq(gil_get_switch_interval(), GIL_INTERVAL_DEFAULT_NS);
    gil_thread_state_delete(ts);
    gil_interpreter_state_delete(other);
    gil_finalize();
}
END_TEST

/* A lock of its own has turns of its own, while the main thread keeps the shared one. */
START_TEST(turns_under_a_lock_of_its_own)
{
    gil_thread_state *mine = begin_runtime(), *ts;
    gil_interpreter_state *other = gil_interpreter_state_new(GIL_OWN_LOCK);
    turns t;

    ts = gil_thread_state_new(other);
    gil_release_thread(mine);
    gil_acquire_thread(ts);
    gil_set_check_interval(10);
    take_turns(&t, other, 10);
    for (int i = 2; i < 10; i++)
        ck_assert_int_eq(t.lengths[i], 10);
    gil_thread_state_delete_current();
    gil_acquire_thread(mine);
    gil_interpreter_state_delete(other);
    gil_finalize();
}
END_TEST

/* ---- one that is slow to queue ---- */

static atomic_bool processor_given_away;

/* The library's, too. */
int sched_yield(void)
{
    if (atomic_exchange(&processor_given_away, true))
        return 0;
    WAIT_FOR(anybody_waits(&shared));
    return 0;
}

/* The main thread has handed over, and gets no processor until the other one gives its own away. */
static void preempted(gil_event event, gil_thread_state *ts, void *arg)
{
    (void)event, (void)ts, (void)arg;
    if (my_tid() == getpid())
        WAIT_FOR(atomic_load(&processor_given_away));
}

static void *takes_at_most_1000(void *arg)
{
    gil_thread_state *ts = gil_thread_state_new(gil_interpreter_state_main());
    atomic_int *taken = arg;

    gil_acquire_thread(ts);
    while (!atomic_load(&processor_given_away) && atomic_load(taken) < 1000) {
        atomic_fetch_add(taken, 1);
        gil_checkpoint();
    }
    atomic_store(&processor_given_away, true);
    gil_thread_state_delete_current();
    return NULL;
}

START_TEST(who_is_preempted_before_it_queues_gets_its_turn)
{
    atomic_int taken = 0;
    pthread_t other;
    int hook;

    begin_runtime();
    gil_set_check_interval(10);
    hook = gil_add_hook(GIL_THREAD_SUSPENDED, preempted, NULL);
    other = start(takes_at_most_1000, &taken);
    WAIT_FOR(anybody_waits(&shared));
    gil_yield();
    ck_assert_int_le(taken, 10);
    GIL_BEGIN_ALLOW_THREADS
    join(other);
    GIL_END_ALLOW_THREADS
    gil_remove_hook(hook);
    gil_finalize();
}
END_TEST

/* ---- the drop-request callback ---- */

static atomic_int asked_by;
static atomic_int asked_times;

static void note_asked(void *arg)
{
    atomic_store((atomic_int *)arg, my_tid());
    atomic_fetch_add(&asked_times, 1);
}

START_TEST(a_waiter_that_asks_says_so)
{
    gil_interpreter_state *interp;
    worker w;

    begin_runtime();
    interp = gil_interpreter_state_main();
    gil_set_switch_interval(MS);
    gil_on_drop_request(_i ? interp : NULL, note_asked, &asked_by);
    worker_start(&w, interp);
    WAIT_FOR(atomic_load(&asked_times) > 0);
    ck_assert_int_eq(asked_by, w.tid); /* in the waiter's thread */
    ck_assert(!atomic_load(&w.runs));
    atomic_store(&w.let_go, true);
    for (int i = 0; i < 100; i++)
        gil_checkpoint();
    ck_assert(atomic_load(&w.runs));
    GIL_BEGIN_ALLOW_THREADS
    worker_end(&w);
    GIL_END_ALLOW_THREADS

    gil_on_drop_request(NULL, NULL, NULL);
    asked_times = 0;
    worker_start(&w, interp);
    WAIT_FOR(gil_lock_drop_requested(&shared.lock));
    ck_assert_int_eq(asked_times, 0);
    GIL_BEGIN_ALLOW_THREADS
    worker_end(&w);
    GIL_END_ALLOW_THREADS
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tc = tcase_create("checkpoint");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, every_so_many_instructions, 0, 5);
    tcase_add_loop_test(tc, by_time_unless_set, 0, 2);
    tcase_add_test(tc, yield_lets_the_next_one_run);
    tcase_add_test(tc, whatever_the_switch_interval);
    tcase_add_test(tc, when_asked);
    tcase_add_test(tc, the_switch_interval);
    tcase_add_test(tc, settings_are_those_of_the_lock);
    tcase_add_test(tc, turns_under_a_lock_of_its_own);
    tcase_add_test(tc, who_is_preempted_before_it_queues_gets_its_turn);
    tcase_add_loop_test(tc, a_waiter_that_asks_says_so, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
