/* The run queue's backlog: thousands have begun to wait, or have given up, while one owner had the
 * lock. What is counted here is what a step does, in nodes; no clock is read but where real threads
 * take part, at the end. */
#include "harness.h"

#include <sys/wait.h>

#include "lib/lock_impl.h"

#define INTERVAL (5 * MS)

enum { NODES = 12 * TAKE_IN_MAX, OLD = 20, CROWD = 3 * TAKE_IN_MAX / 2, UNTOUCHED = 77 };

static gil_lock lock;
static struct lock *const l = (struct lock *)&lock;
static struct node nodes[NODES], owner;

static void set_up(gil_policy policy)
{
    l->word = WORD_LOCKED;
    l->owner = &owner;
    gil_lock_set_interval(&lock, 1000 * INTERVAL); /* nobody gets too old */
    gil_lock_set_policy(&lock, policy);
    for (int i = 0; i < NODES; i++) {
        nodes[i] = (struct node){.state = NODE_WAITING, .arrived = i + 1, .lock = l};
        nodes[i].q.rank = UNTOUCHED;
    }
}

/* The batch of nodes[from] to nodes[to - 1], as it comes off the arrival stack. */
static void append(int from, int to)
{
    for (int i = from; i < to; i++)
        nodes[i].next = i > from ? &nodes[i - 1] : NULL;
    runqueue_append(&l->queue, &nodes[to - 1]);
}

/* Serves them all; returns the order in which that was. */
static void serve(int *order, int count)
{
    for (int i = 0; i < count; i++) {
        struct node *n = policy_next(l, NODES);

        ck_assert_ptr_nonnull(n);
        order[i] = (int)(n - nodes);
        runqueue_remove(&l->queue, n);
    }
    ck_assert_ptr_null(policy_next(l, NODES));
    ck_assert(runqueue_empty(&l->queue));
}

/* How many of order[from] to order[to - 1] are served before one that is older. */
static int too_early(const int *order, int from, int to)
{
    int least = NODES, found = 0;

    for (int i = to - 1; i >= from; i--) {
        found += order[i] > least;
        least = order[i] < least ? order[i] : least;
    }
    return found;
}

START_TEST(a_step_takes_in_a_bounded_number)
{
    uint32_t before = 0;
    int steps = 0;

    set_up(GIL_FAIR);
    append(0, NODES);
    for (; before < NODES; steps++) {
        ck_assert_int_le(runqueue_settle(&l->queue), TAKE_IN_MAX);
        ck_assert_uint_gt(l->queue.count, 0);
        ck_assert_uint_le(l->queue.count - before, TAKE_IN_MAX);
        ck_assert(before == NODES || !runqueue_empty(&l->queue));
        before = l->queue.count;
        ck_assert_int_le(steps, 3 * NODES / TAKE_IN_MAX);
    }
}
END_TEST

/* A few are, and only while their batch is being turned round. */
START_TEST(hardly_any_is_served_before_one_of_its_batch_that_is_older)
{
    static int order[NODES];

    set_up(_i ? GIL_FIFO : GIL_FAIR);
    append(0, NODES);
    serve(order, NODES);
    ck_assert_int_le(too_early(order, 0, NODES), NODES / TAKE_IN_MAX);
    ck_assert_int_eq(too_early(order, NODES / TAKE_IN_MAX, NODES), 0);
}
END_TEST

START_TEST(a_small_batch_is_served_in_order)
{
    static int order[NODES];

    set_up(_i ? GIL_FIFO : GIL_FAIR);
    append(0, TAKE_IN_MAX / 2);
    serve(order, TAKE_IN_MAX / 2);
    ck_assert_int_eq(too_early(order, 0, TAKE_IN_MAX / 2), 0);
}
END_TEST

/* The older ones are served in the meantime. */
START_TEST(none_is_too_early_where_others_wait_already)
{
    static int order[NODES];

    set_up(_i ? GIL_FIFO : GIL_FAIR);
    append(0, OLD);
    append(OLD, NODES);
    serve(order, NODES);
    ck_assert_int_eq(too_early(order, 0, NODES), 0);
}
END_TEST

START_TEST(an_older_batch_goes_first)
{
    static int order[NODES];
    static const int from[] = {0, NODES / 2, NODES / 2 + 1, NODES - OLD, NODES};
    int place[NODES];

    set_up(_i ? GIL_FIFO : GIL_FAIR);
    append(from[0], from[1]);
    ck_assert_ptr_nonnull(policy_next(l, NODES));
    for (int b = 1; b < 4; b++)
        append(from[b], from[b + 1]);
    serve(order, NODES);
    for (int i = 0; i < NODES; i++)
        place[order[i]] = i;
    for (int b = 0; b < 4; b++)
        for (int i = from[b]; i < from[b + 1]; i++)
            ck_assert(place[i] >= from[b] && place[i] < from[b + 1]);
}
END_TEST

static int let_go(int count)
{
    int found = 0;

    for (int i = 0; i < count; i++)
        found += nodes[i].state == NODE_IDLE;
    return found;
}

/* Every third's thread has ended; every 200th is live. A step lets a bounded number go, and hardly
 * any of them has been put where it might have been next. */
START_TEST(those_that_have_given_up_are_let_go_on_the_way)
{
    int gone = 0, served = 0, taken_in = 0;
    struct node *n;

    set_up(_i ? GIL_FIFO : GIL_FAIR);
    for (int i = 0; i < NODES; i++)
        if (i % 200)
            nodes[i].state = i % 3 ? NODE_ABANDONED : NODE_ORPHAN;
    append(0, NODES);
    for (int step = 0; (n = policy_next(l, NODES)); step++) {
        int now = let_go(NODES);

        ck_assert_int_le(now - gone, 2 * TAKE_IN_MAX);
        ck_assert_int_le(step, 4 * NODES / TAKE_IN_MAX);
        gone = now;
        if (n->state == NODE_WAITING) {
            served++;
            runqueue_remove(&l->queue, n);
            n->state = NODE_HELD;
        }
    }
    ck_assert(runqueue_empty(&l->queue));
    ck_assert_int_eq(served, (NODES + 199) / 200);
    ck_assert_int_eq(let_go(NODES), NODES - served);
    for (int i = 0; i < NODES; i++) {
        ck_assert_msg((nodes[i].lock == NULL) == (i % 200 && i % 3 == 0),
                      "an orphan, and nothing else, goes back into the pool: %d", i);
        taken_in += i % 200 && nodes[i].q.rank != UNTOUCHED;
    }
    ck_assert_int_le(taken_in, 2 * NODES / TAKE_IN_MAX);
}
END_TEST

/* They were in the heaps when they gave up. */
START_TEST(those_that_give_up_later_are_let_go_a_few_at_a_time)
{
    int gone = 0, steps = 0;

    set_up(_i ? GIL_FIFO : GIL_FAIR);
    append(0, NODES);
    for (int i = 0; i < NODES; i++)
        runqueue_settle(&l->queue);
    for (int i = 0; i < NODES; i++)
        nodes[i].state = NODE_ABANDONED;
    for (; policy_next(l, NODES); steps++) {
        int now = let_go(NODES);

        ck_assert_int_le(now - gone, TAKE_IN_MAX);
        ck_assert_int_gt(now, gone);
        gone = now;
    }
    ck_assert_int_eq(let_go(NODES), NODES);
}
END_TEST

/* Its node is among hundreds that have not been looked at yet; it takes the lock while that is free
 * for another. */
START_TEST(one_that_takes_the_lock_leaves_its_place)
{
    struct node *mine, *other;

    set_up(_i ? GIL_FIFO : GIL_FAIR);
    mine = node_of(l);
    mine->state = NODE_ABANDONED;
    mine->arrived = 1;
    mine->served = 12345;
    mine->stats->acquires = 678;
    append(0, NODES);
    mine->next = nodes[5].next;
    nodes[5].next = mine;
    ck_assert_ptr_nonnull(policy_next(l, NODES));
    ck_assert(!mine->queued);
    l->word = WORD_HASQ;
    ck_assert_int_eq(gil_lock_try_acquire(&lock), 0);

    ck_assert(gil_lock_held(&lock));
    other = node_of(l);
    ck_assert_ptr_ne(other, mine);
    ck_assert_int_eq(other->served, 12345);
    ck_assert_int_eq(stats_of(&lock, my_tid()).acquires, 679);
    ck_assert_uint_eq(gil_lock_stats(&lock, NULL, 0), 1);
    ck_assert_int_eq(mine->state, NODE_ORPHAN);
    for (int served = 0; served < NODES; served++) {
        struct node *n = policy_next(l, NODES);

        ck_assert_ptr_nonnull(n);
        ck_assert_ptr_ne(n, mine);
        runqueue_remove(&l->queue, n);
    }
    ck_assert_ptr_null(policy_next(l, NODES));
    ck_assert_ptr_null(mine->lock);
    gil_lock_release(&lock);
    ck_assert(!gil_lock_held(&lock));
}
END_TEST

/* ---- With threads. ---- */

static atomic_int children;

/* Starts them; they have all begun to wait when this returns. */
static void crowd_starts(pthread_t *threads, void *(*main)(void *))
{
    gil_lock_acquire(&lock);
    for (int i = 0; i < CROWD; i++)
        threads[i] = start(main, NULL);
}

static int on_stack(void)
{
    int n = 0;

    for (struct node *w = word_node(__atomic_load_n(&l->word, __ATOMIC_ACQUIRE)); w; w = w->next)
        n++;
    return n;
}

static void crowd_ends(pthread_t *threads)
{
    for (int i = 0; i < CROWD; i++)
        join(threads[i]);
}

/* The first to get the lock, while most of the others are in the backlog, forks. */
static void *forks_once(void *arg)
{
    gil_lock_acquire(&lock);
    if (atomic_fetch_add(&children, 1) == 0) {
        pid_t pid;
        int status;

        ck_assert(l->queue.turned || l->queue.unturned);
        pid = fork();
        if (pid == 0) {
            bool right = gil_lock_held(&lock) && runqueue_empty(&l->queue);

            alarm(10);
            gil_lock_yield(&lock);
            gil_lock_release(&lock);
            gil_lock_acquire(&lock);
            gil_lock_release(&lock);
            gil_lock_destroy(&lock);
            _exit(right ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
    }
    gil_lock_release(&lock);
    return arg;
}

START_TEST(a_child_knows_of_no_backlog)
{
    pthread_t threads[CROWD];

    crowd_starts(threads, forks_once);
    WAIT_FOR(on_stack() == CROWD);
    gil_lock_yield(&lock);
    ck_assert_int_ge(atomic_load(&children), 1);
    gil_lock_release(&lock);
    crowd_ends(threads);
    ck_assert_int_eq(atomic_load(&children), CROWD);
    gil_lock_destroy(&lock);
}
END_TEST

static void *gives_up(void *arg)
{
    ck_assert_int_ne(gil_lock_acquire_for(&lock, MS), 0);
    return arg;
}

/* They have given up, and ended; their nodes are used again. */
START_TEST(nothing_is_left_of_a_crowd_that_gave_up)
{
    pthread_t threads[CROWD];

    for (int round = 0; round < 3; round++) {
        crowd_starts(threads, gives_up);
        crowd_ends(threads);
        ck_assert_int_eq(on_stack(), CROWD);
        gil_lock_release(&lock);
        ck_assert_uint_eq(l->word, 0);
        ck_assert(runqueue_empty(&l->queue));
    }
    gil_lock_destroy(&lock);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backlog");
    TCase *tc = tcase_create("backlog");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_step_takes_in_a_bounded_number);
    tcase_add_loop_test(tc, hardly_any_is_served_before_one_of_its_batch_that_is_older, 0, 2);
    tcase_add_loop_test(tc, a_small_batch_is_served_in_order, 0, 2);
    tcase_add_loop_test(tc, none_is_too_early_where_others_wait_already, 0, 2);
    tcase_add_loop_test(tc, an_older_batch_goes_first, 0, 2);
    tcase_add_loop_test(tc, those_that_have_given_up_are_let_go_on_the_way, 0, 2);
    tcase_add_loop_test(tc, those_that_give_up_later_are_let_go_a_few_at_a_time, 0, 2);
    tcase_add_loop_test(tc, one_that_takes_the_lock_leaves_its_place, 0, 2);
    tcase_add_test(tc, a_child_knows_of_no_backlog);
    tcase_add_test(tc, nothing_is_left_of_a_crowd_that_gave_up);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
