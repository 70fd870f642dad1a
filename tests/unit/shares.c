/* How much of the lock threads that compute get, and in which turn.
 *
 * Time is what the owner makes it: the clock that the lock reads goes on only while the owner
 * computes, and only when all others have queued; at the end of a slice it stands still until the
 * owner has been asked to drop the lock. So a busy machine changes nothing, and what is counted is
 * exact. */
#include "harness.h"

#include "lib/lock_impl.h"

static atomic_llong the_time = 1000 * MS;

static int64_t time_now(void)
{
    return atomic_load(&the_time);
}

/* One with a deadline looks at that clock again soon. */
static void some_wait(uint32_t *word, uint32_t value, int64_t deadline)
{
    futex_wait(word, value, deadline == FUTEX_FOREVER ? deadline : now_ns() + 100 * US);
}

#include "kernel-helpers/clock.h"
#define clock_now_ns time_now
#define futex_wait   some_wait

#include "lib/lock.c"
#include "lib/wait.c"

enum { MEMBERS_MAX = 4, FEW = 3 };

#define INTERVAL (5 * MS)
#define STEP_NS  (50 * US)

static gil_lock lock;

static struct lock *l = (struct lock *)&lock;

static struct worker {
    pthread_t thread;
    int64_t stays; /* for so long after it was asked to drop the lock */
    int64_t had, since;
} workers[MEMBERS_MAX];

static int count;
static atomic_bool stop;
static struct worker *last;
static atomic_uint turns;
static unsigned out_of_turn;
static unsigned odd_turns; /* not of the length of a slice */
static int64_t odd;        /* the last of these */

/* How many threads wait. Only the owner may ask. */
static int linked(void)
{
    int n = (int)l->queue.count;

    for (struct node *w = word_node(__atomic_load_n(&l->word, __ATOMIC_ACQUIRE)); w; w = w->next)
        n++;
    return n;
}

static void note_turn(struct worker *w)
{
    if (last) {
        int64_t length = last->had - last->since;

        out_of_turn += w != &workers[(last - workers + 1) % count];
        if (length < INTERVAL - EARLY_NS || length > INTERVAL + STEP_NS) {
            odd_turns++;
            odd = length;
        }
    }
    last = w;
    w->since = w->had;
    atomic_fetch_add(&turns, 1);
}

static void pass_time(struct worker *w)
{
    atomic_fetch_add(&the_time, STEP_NS);
    w->had += STEP_NS;
}

/* Computes until it is asked to drop the lock, and then for as long as it stays. */
static void take_turn(struct worker *w)
{
    int64_t stays = w->stays;

    if (last != w)
        note_turn(w);
    while (!atomic_load(&stop) && linked() < count - 1)
        sched_yield();
    while (!atomic_load(&stop) && !gil_lock_drop_requested(&lock))
        if (time_now() < l->slice_end)
            pass_time(w);
        else
            sched_yield();
    for (; stays > 0; stays -= STEP_NS)
        pass_time(w);
}

static void *worker_main(void *arg)
{
    gil_lock_acquire(&lock);
    while (!atomic_load(&stop)) {
        take_turn(arg);
        gil_lock_checkpoint(&lock);
    }
    gil_lock_release(&lock);
    return NULL;
}

/* Lets n threads compute for as many turns, the first ones starting in order. */
static void compute_together(int n, unsigned how_many)
{
    spinners_max = 0;
    gil_lock_set_interval(&lock, INTERVAL);
    gil_lock_acquire(&lock);
    count = n;
    for (int i = 0; i < n; i++) {
        workers[i].thread = start(worker_main, &workers[i]);
        WAIT_FOR(linked() == i + 1);
    }
    gil_lock_release(&lock);
    WAIT_FOR(atomic_load(&turns) >= how_many);
    atomic_store(&stop, true);
    for (int i = 0; i < n; i++)
        join(workers[i].thread);
}

START_TEST(computing_threads_get_equal_time)
{
    int64_t least = INT64_MAX, most = 0;
    int n = 2 + _i / 2;

    ck_assert_int_eq(gil_lock_set_policy(&lock, _i % 2 ? GIL_FIFO : GIL_FAIR), 0);
    compute_together(n, 100);
    for (int i = 0; i < n; i++) {
        least = workers[i].had < least ? workers[i].had : least;
        most = workers[i].had > most ? workers[i].had : most;
    }
    ck_assert_msg(most - least <= FEW * INTERVAL, "one had the lock for %ld us, another for %ld",
                  (long)(most / US), (long)(least / US));
}
END_TEST

/* Not less, whoever has used a little more than the others, and not more. What waiters read of a
 * slice that begins at this moment are hints: one may cut it short, seldom. */
START_TEST(a_slice_lasts_an_interval)
{
    ck_assert_int_eq(gil_lock_set_policy(&lock, _i % 2 ? GIL_FIFO : GIL_FAIR), 0);
    compute_together(2 + _i / 2, 60);
    ck_assert_msg(odd_turns <= FEW, "%u turns of 60 of another length, one of %ld us", odd_turns,
                  (long)(odd / US));
}
END_TEST

/* Though some stay for a part of an interval after each slice, as in a long byte code. */
START_TEST(fifo_turns_go_round)
{
    ck_assert_int_eq(gil_lock_set_policy(&lock, GIL_FIFO), 0);
    for (int i = 0; i < MEMBERS_MAX; i++)
        workers[i].stays = i * INTERVAL / MEMBERS_MAX;
    compute_together(MEMBERS_MAX, 60);
    ck_assert_uint_le(out_of_turn, FEW);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shares");
    TCase *tc = tcase_create("shares");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, computing_threads_get_equal_time, 0, 6);
    tcase_add_loop_test(tc, a_slice_lasts_an_interval, 0, 6);
    tcase_add_test(tc, fifo_turns_go_round);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
