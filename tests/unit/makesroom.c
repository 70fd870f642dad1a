/* The head makes room for a thread that is away (makes_room in lib/wait.c): it asks the owner to
 * drop the lock, in the middle of a slice, when a thread that gave the lock up by itself stays away
 * for longer than it typically does. It does so once for each absence, and only where that can
 * help.
 *
 * The lock is built here with its test steps, and each thread says on which processor it is. */
#define LOCK_STEPS
#include "holds.h"

static _Thread_local int my_cpu;
#define sched_getcpu() my_cpu

#include "lib/lock.c"
#include "lib/wait.c"

static gil_lock lock;

/* ---- with threads ---- */

static void compute_elsewhere(actor *a)
{
    my_cpu = 1;
    a->node->newcomer = false; /* as one that has waited before, and has computed since */
    get_and_keep(a);
}

static unsigned long requests_of(const actor *a)
{
    return stats_of(&lock, a->tid).requests;
}

static unsigned long sleeps(const actor *a)
{
    return stats_of(&lock, a->tid).futex_waits;
}

START_TEST(the_head_asks_once_for_an_absence)
{
    actor owner, head;
    unsigned long slept;

    spinners_max = 1;
    gil_lock_set_interval(&lock, FOR_EVER);
    gil_lock_acquire(&lock);
    actor_waits(&owner, &lock, compute_elsewhere, NODE_HEAD);
    actor_waits(&head, &lock, get_and_keep, NODE_WAITING);
    ck_assert(!gil_lock_release_deferred(&lock)); /* the first one tells the heads to watch */
    WAIT_FOR(requests_of(&head) > 0);
    ck_assert(gil_lock_drop_requested(&lock));
    slept = sleeps(&head);
    WAIT_FOR(sleeps(&head) > slept + 20);
    ck_assert_uint_eq(requests_of(&head), 1);
    actor_end(&owner);
    actor_end(&head);
}
END_TEST

/* ---- when it does ---- */

#define LEFT (1000 * MS)

static struct lock l;
static struct node owner, absent;

/* A computing owner on processor 1, and a thread that left at LEFT and is away for 1 ms mostly; the
 * head, on processor 0, is the caller. */
static void set_up(void)
{
    spinners_max = 1;
    memset(&l, 0, sizeof l);
    owner = (struct node){.state = NODE_HELD, .cpu = 1};
    absent = (struct node){.state = NODE_IDLE, .left = LEFT, .absence = MS};
    l.owner = &owner;
    l.absent = &absent;
}

START_TEST(when_it_is_late)
{
    set_up();
    ck_assert(!makes_room(&l, LEFT + MS + LATE_NS - 1));
    ck_assert(makes_room(&l, LEFT + MS + LATE_NS));
    ck_assert(!makes_room(&l, LEFT + 2 * MS + LATE_NS));
    absent.left = LEFT + 10 * MS;
    ck_assert(makes_room(&l, LEFT + 20 * MS));
}
END_TEST

static void nobody_is_absent(void)
{
    l.absent = NULL;
}

static void it_is_back(void)
{
    absent.state = NODE_WAITING;
}

static void it_was_back(void)
{
    absent.left = 0;
}

static void the_owner_is_soon_gone(void)
{
    owner.sprinter = true;
}

static void the_owner_is_here(void)
{
    owner.cpu = 0;
}

static void there_is_one_processor(void)
{
    spinners_max = 0;
}

static void (*const no_use[])(void) = {
    nobody_is_absent,       it_is_back,        it_was_back,
    the_owner_is_soon_gone, the_owner_is_here, there_is_one_processor,
};

START_TEST(not_where_it_is_of_no_use)
{
    set_up();
    no_use[_i]();
    ck_assert(!makes_room(&l, LEFT + 10 * MS));
}
END_TEST

/* What is typical follows what it does; one long absence changes little. */
START_TEST(how_long_one_is_typically_away)
{
    set_up();
    absent.absence = 0;
    for (int i = 0; i < 100; i++) {
        absent.left = LEFT;
        came_back(&absent, LEFT + 2 * MS);
    }
    ck_assert_int_ge(absent.absence, 19 * MS / 10);
    ck_assert_int_le(absent.absence, 2 * MS);
    absent.left = LEFT;
    came_back(&absent, LEFT + 10000 * MS);
    ck_assert_int_le(absent.absence, 3 * MS);
    ck_assert_int_eq(absent.left, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("makesroom");
    TCase *tc = tcase_create("makesroom");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, the_head_asks_once_for_an_absence);
    tcase_add_test(tc, when_it_is_late);
    tcase_add_loop_test(tc, not_where_it_is_of_no_use, 0, sizeof no_use / sizeof *no_use);
    tcase_add_test(tc, how_long_one_is_typically_away);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
