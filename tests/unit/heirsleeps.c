/* A lock that is freed for an heir wakes it, whatever the heir is doing at that moment. With a slice
 * that never ends nobody else would.
 *
 * Once an heir could see the lock taken, and go to sleep for an interval, between being chosen and
 * the word being freed; it then slept beside a free lock. The lock is built here with its test
 * steps, which hold each thread until the other has done its part. */
#define LOCK_STEPS
#include "harness.h"

#include "lib/lock_impl.h"

/* An heir is never overdue: it would be granted the lock. */
#undef HEIR_NS
#define HEIR_NS INT64_MAX

#include "lib/lock.c"
#include "lib/wait.c"

#define FOR_EVER (1000 * 1000 * MS)

static gil_lock lock;
static struct node *owner; /* the main thread's */
static void (*on_step)(const char *tag, const struct node *by);
static atomic_bool drowsy, chosen; /* before_the_word_is_freed */
static atomic_bool barged, asks, freed;

static _Thread_local struct node *self;

void lock_step(const char *tag, const struct lock *l, const struct node *n)
{
    (void)n;
    if (!self)
        self = node_of((struct lock *)l);
    if (on_step)
        on_step(tag, self);
}

static bool is(const char *tag, const char *other)
{
    return strcmp(tag, other) == 0;
}

static bool sleeps(const struct node *n)
{
    return relaxed_load(&n->state) & NODE_SLEEPING;
}

static struct node *head(void)
{
    return relaxed_load(&lock_of(&lock)->head);
}

static struct node *stack_top(void)
{
    return word_node(relaxed_load(&lock_of(&lock)->word));
}

/* Starts a waiter while the main thread owns the lock. */
static void start_waiter(waiter *w, void (*step)(const char *tag, const struct node *by))
{
    atomic_store(&drowsy, false);
    atomic_store(&chosen, false);
    atomic_store(&barged, false);
    atomic_store(&asks, false);
    atomic_store(&freed, false);
    on_step = NULL;
    gil_lock_set_interval(&lock, FOR_EVER);
    gil_lock_acquire(&lock);
    owner = node_of(lock_of(&lock));
    on_step = step;
    waiter_start(w, &lock, -1);
}

static void end_waiter(waiter *w)
{
    WAIT_FOR(atomic_load(&w->got));
    atomic_store(&w->let_go, true);
    waiter_end(w);
    on_step = NULL;
    gil_lock_destroy(&lock);
}

/* The waiter is held when it is about to sleep, until the owner is about to free the word; and the
 * owner then, until the waiter sleeps. */
static void hold_both(const char *tag, const struct node *by)
{
    if (by != owner && is(tag, "T20")) {
        atomic_store(&drowsy, true);
        WAIT_FOR(atomic_load(&chosen));
    }
    if (by == owner && is(tag, "T7")) {
        atomic_store(&chosen, true);
        WAIT_FOR(sleeps(head()));
    }
}

START_TEST(before_the_word_is_freed)
{
    waiter w;

    start_waiter(&w, hold_both);
    WAIT_FOR(atomic_load(&drowsy));
    gil_lock_release(&lock);
    end_waiter(&w);
}
END_TEST

/* The heir is held before it takes the lock, until the owner has taken it again; and then, having
 * seen that, before it asks, until the owner has freed the lock once more. */
static void hold_heir(const char *tag, const struct node *by)
{
    if (by == owner)
        return;
    if (is(tag, "T2") && !atomic_load(&asks))
        WAIT_FOR(atomic_load(&barged));
    if (is(tag, "T18")) {
        atomic_store(&asks, true);
        WAIT_FOR(atomic_load(&freed));
    }
}

START_TEST(after_it_has_seen_the_lock_taken)
{
    waiter w;

    start_waiter(&w, hold_heir);
    WAIT_FOR(stack_top() && sleeps(stack_top()));
    gil_lock_release(&lock);
    gil_lock_acquire(&lock);
    atomic_store(&barged, true);
    WAIT_FOR(atomic_load(&asks));
    gil_lock_release(&lock);
    atomic_store(&freed, true);
    end_waiter(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heirsleeps");
    TCase *tcase = tcase_create("freed");

    tcase_add_test(tcase, before_the_word_is_freed);
    tcase_add_test(tcase, after_it_has_seen_the_lock_taken);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
