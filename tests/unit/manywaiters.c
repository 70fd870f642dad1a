/* Where very many wait, whoever wakes them does not hold the interpreter lock meanwhile; and they do
 * not spend the processors on asking for a lock. */
#include "states.h"

#include <gil/stats.h>
#include <gil/sync.h>
#include <gil/thread.h>

enum { FEW = 10, MANY = 40, HUNDREDS = 400 };

/* ---- objects of sync.h ---- */

static gil_thread_event event;
static gil_rlock rlock;
static gil_condition condition;
static gil_semaphore semaphore;
static gil_barrier barrier;
static int waiting, gone_on; /* under the interpreter lock */
static bool action_held_the_lock;

static void wait_event(void)
{
    ck_assert_int_eq(gil_thread_event_wait(&event, -1), 0);
}

static void wait_condition(void)
{
    gil_rlock_acquire(&rlock, -1);
    ck_assert_int_eq(gil_condition_wait(&condition, -1), 0);
    gil_rlock_release(&rlock);
}

static void wait_semaphore(void)
{
    ck_assert_int_eq(gil_semaphore_acquire(&semaphore, -1), 0);
}

static void wait_barrier(void)
{
    ck_assert_int_ge(gil_barrier_wait(&barrier, -1), 0);
}

static void wait_barrier_abort(void)
{
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), -1);
    ck_assert_int_eq(errno, ECANCELED);
}

static void end_event(uint32_t n)
{
    (void)n;
    gil_thread_event_set(&event);
}

static void end_condition(uint32_t n)
{
    (void)n;
    ck_assert_int_eq(gil_condition_notify_all(&condition), 0);
}

static void end_semaphore(uint32_t n)
{
    ck_assert_int_eq(gil_semaphore_release(&semaphore, n), 0);
}

static void end_barrier(uint32_t n)
{
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), (int)n);
}

static void end_barrier_abort(uint32_t n)
{
    (void)n;
    gil_barrier_abort(&barrier);
}

static const struct {
    void (*wait)(void);
    void (*end)(uint32_t waiters);
} objects[] = {
    {wait_event, end_event},
    {wait_condition, end_condition},
    {wait_semaphore, end_semaphore},
    {wait_barrier, end_barrier},
    {wait_barrier_abort, end_barrier_abort},
};

enum { OBJECTS = sizeof objects / sizeof *objects };

static void waits(void *arg)
{
    waiting++;
    objects[*(int *)arg].wait();
    gone_on++;
}

static int note_action(void *arg)
{
    (void)arg;
    action_held_the_lock = gil_check();
    return 0;
}

static int suspended; /* how often the main thread has given the lock up */

static void note_suspended(gil_event what, gil_thread_state *ts, void *arg)
{
    (void)what, (void)ts, (void)arg;
    if (my_tid() == getpid())
        suspended++;
}

/* Lets the others run until so many wait, or have gone on. */
static void await(const int *count, int n)
{
    while (*count < n) {
        GIL_BEGIN_ALLOW_THREADS
        sleep_ns(MS);
        GIL_END_ALLOW_THREADS
    }
}

/* Starts n that wait, wakes them, and returns how often the lock was given up for it. */
static int wake(int object, int n)
{
    int before, hook;

    waiting = gone_on = 0;
    ck_assert_int_eq(gil_barrier_init(&barrier, (uint32_t)n + 1, note_action, NULL), 0);
    gil_thread_event_clear(&event);
    for (int i = 0; i < n; i++)
        ck_assert_uint_ne(gil_thread_start(NULL, NULL, waits, &object), GIL_NO_THREAD);
    await(&waiting, n); /* the lock is given up when the thread is queued */
    hook = gil_add_hook(GIL_THREAD_SUSPENDED, note_suspended, NULL);
    gil_rlock_acquire(&rlock, -1);
    before = suspended;
    objects[object].end((uint32_t)n);
    before = suspended - before;
    ck_assert(gil_check());
    gil_rlock_release(&rlock);
    gil_remove_hook(hook);
    await(&gone_on, n);
    return before;
}

START_TEST(few_are_woken_in_one_go_and_for_many_the_lock_is_given_up)
{
    begin_runtime();
    gil_condition_init(&condition, &rlock);
    ck_assert_int_eq(wake(_i, FEW), 0);
    ck_assert_int_ge(wake(_i, MANY), 1);
    if (objects[_i].end == end_barrier)
        ck_assert(action_held_the_lock);
    gil_finalize();
}
END_TEST

START_TEST(whoever_has_no_thread_state_just_wakes_them)
{
    int object = 0;

    begin_runtime();
    for (int i = 0; i < MANY; i++)
        ck_assert_uint_ne(gil_thread_start(NULL, NULL, waits, &object), GIL_NO_THREAD);
    await(&waiting, MANY);
    GIL_BEGIN_ALLOW_THREADS
    gil_thread_event_set(&event);
    GIL_END_ALLOW_THREADS
    await(&gone_on, MANY);
    gil_finalize();
}
END_TEST

/* ---- requests ---- */

static gil_lock lock = GIL_LOCK_INIT;
static atomic_int ready;
static atomic_bool go;

#define HOUR_NS (3600 * INT64_C(1000000000))

/* Has waited before, and given the lock up by itself: so it may ask for it at once. */
static void *sprinter_main(void *arg)
{
    struct node *mine = node_of(lock_of(&lock));

    (void)arg;
    mine->newcomer = false;
    mine->since_call = 0;
    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&go))
        sleep_ns(MS);
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    return NULL;
}

static uint64_t requests(void)
{
    static gil_thread_stats all[HUNDREDS + 2];
    size_t n = gil_lock_stats(&lock, all, HUNDREDS + 2);
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += all[i].requests;
    return sum;
}

/* Once each of them repeated its request every half a millisecond, and nobody got a processor for
 * anything else: 10 000 that were woken took 20 to 100 seconds. */
START_TEST(hundreds_that_wait_do_not_ask_all_the_time)
{
    static pthread_t threads[HUNDREDS];
    struct node *mine;
    uint64_t asked;

    for (int i = 0; i < HUNDREDS; i++)
        threads[i] = start(sprinter_main, NULL);
    WAIT_FOR(atomic_load(&ready) == HUNDREDS);
    gil_lock_acquire(&lock);
    mine = node_of(lock_of(&lock));
    relaxed_store(&mine->served, HOUR_NS); /* the caller has computed for long */
    mine->since_call = HOUR_NS;
    atomic_store(&go, true);
    sleep_ns(200 * MS);
    asked = requests();
    gil_lock_release(&lock);
    for (int i = 0; i < HUNDREDS; i++)
        join(threads[i]);
    /* After 1, 2, 4… times half a millisecond. */
    ck_assert_uint_le(asked, 14 * HUNDREDS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manywaiters");
    TCase *tc = tcase_create("manywaiters");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, few_are_woken_in_one_go_and_for_many_the_lock_is_given_up, 0, OBJECTS);
    tcase_add_test(tc, whoever_has_no_thread_state_just_wakes_them);
    tcase_add_test(tc, hundreds_that_wait_do_not_ask_all_the_time);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
