/* The run queue by itself: who is first, who is oldest, and what is left, after every operation.
 * Batches of arrivals are so small that each is taken in at once; see backlog.c for others. */
#include "harness.h"

#include "lib/lock_impl.h"

enum { NODES = 200, BATCH = 40 };

static struct node nodes[NODES];
static struct runqueue queue;

/* Appends nodes[from] to nodes[to - 1], as they come off the arrival stack. */
static void append(int from, int to)
{
    for (int i = from; i < to; i++) {
        nodes[i].arrived = i;
        nodes[i].next = i > from ? &nodes[i - 1] : NULL;
    }
    runqueue_append(&queue, &nodes[to - 1]);
}

static void append_batches(void)
{
    for (int i = 0; i < NODES; i += BATCH)
        append(i, i + BATCH);
}

static bool all_settled(void)
{
    return !queue.turned && !queue.unturned && !queue.batches && !queue.of[CLASS_COMPUTING].fresh &&
           !queue.of[CLASS_SPRINTER].fresh;
}

static void settle_all(void)
{
    while (!all_settled())
        runqueue_settle(&queue);
}

static bool goes_before(const struct node *a, const struct node *b)
{
    return a->key != b->key ? a->key < b->key : a->arrived < b->arrived;
}

/* What the queue ought to say, from the nodes alone. */
static void check_queue(void)
{
    struct node *first[CLASSES] = {NULL}, *oldest = NULL;
    uint32_t count = 0;
    int64_t served = 0;

    for (int i = 0; i < NODES; i++) {
        struct node *n = &nodes[i], **best = &first[n->sprinter];

        if (!n->queued)
            continue;
        count++;
        served += n->served;
        oldest = oldest ? oldest : n;
        if (n->q.rank > 0 && (!*best || goes_before(n, *best)))
            *best = n;
    }
    ck_assert_uint_eq(queue.count, count);
    ck_assert_int_eq(queue.served, served);
    ck_assert_ptr_eq(runqueue_oldest(&queue), oldest);
    for (int class = 0; class < CLASSES; class ++)
        ck_assert_ptr_eq(queue.of[class].top, first[class]);
}

static void take_first(int *order, int n)
{
    for (int i = 0; i < n; i++) {
        struct node *top = queue.of[CLASS_COMPUTING].top;

        ck_assert_ptr_nonnull(top);
        order[i] = (int)(top - nodes);
        runqueue_remove(&queue, top);
        check_queue();
    }
}

START_TEST(the_least_key_is_first)
{
    static const int64_t keys[] = {5, 1, 4, 2, 3};
    int order[5];

    for (int i = 0; i < 5; i++)
        nodes[i].key = keys[i];
    append(0, 5);
    settle_all();
    take_first(order, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(keys[order[i]], i + 1);
}
END_TEST

START_TEST(among_equals_the_oldest_is_first)
{
    int order[NODES];

    append_batches();
    settle_all();
    take_first(order, NODES);
    for (int i = 0; i < NODES; i++)
        ck_assert_int_eq(order[i], i);
}
END_TEST

START_TEST(each_class_has_its_own_first)
{
    nodes[1].sprinter = nodes[3].sprinter = true;
    append(0, 4);
    settle_all();
    ck_assert_ptr_eq(queue.of[CLASS_COMPUTING].top, &nodes[0]);
    ck_assert_ptr_eq(queue.of[CLASS_SPRINTER].top, &nodes[1]);
}
END_TEST

START_TEST(many_arrivals_are_settled_a_few_at_a_time)
{
    int steps = 0;

    append_batches();
    for (uint32_t before = 0; !all_settled(); steps++) {
        uint32_t in = 0;

        runqueue_settle(&queue);
        for (int i = 0; i < NODES; i++)
            in += nodes[i].q.rank > 0;
        ck_assert_uint_gt(in, before);
        ck_assert_uint_le(in - before, NODES / 4);
        before = in;
        check_queue();
    }
    ck_assert_int_ge(steps, 4);
}
END_TEST

START_TEST(more_may_arrive_before_all_are_settled)
{
    append(0, BATCH);
    runqueue_settle(&queue);
    append(BATCH, 2 * BATCH);
    ck_assert_ptr_ne(queue.of[CLASS_COMPUTING].fresh, &nodes[BATCH]);
    settle_all();
    for (int i = 0; i < 2 * BATCH; i++)
        ck_assert(nodes[i].q.rank > 0);
    check_queue();
}
END_TEST

START_TEST(one_that_is_not_settled_can_leave)
{
    append(0, BATCH);
    runqueue_settle(&queue);
    runqueue_remove(&queue, queue.of[CLASS_COMPUTING].fresh);
    runqueue_remove(&queue, &nodes[BATCH - 1]);
    check_queue();
    settle_all();
    check_queue();
}
END_TEST

/* The loop's number seeds it. */
START_TEST(in_any_order)
{
    unsigned seed = (unsigned)_i;

    for (int round = 0; round < 20; round++) {
        int arrived = 0;

        memset(nodes, 0, sizeof nodes);
        for (int i = 0; i < NODES; i++) {
            nodes[i].served = rand_r(&seed) % 50;
            nodes[i].key = rand_r(&seed) % 10;
            nodes[i].sprinter = rand_r(&seed) % 3 == 0;
        }
        while (arrived < NODES || !runqueue_empty(&queue)) {
            int what = rand_r(&seed) % 4, some = 1 + rand_r(&seed) % BATCH;

            if (what == 0 && arrived < NODES) {
                some = some < NODES - arrived ? some : NODES - arrived;
                append(arrived, arrived + some);
                arrived += some;
            } else if (what == 1) {
                runqueue_settle(&queue);
            }
            for (int i = rand_r(&seed) % NODES; what >= 2 && i < NODES; i++) {
                if (nodes[i].queued) {
                    runqueue_remove(&queue, &nodes[i]);
                    break;
                }
            }
            check_queue();
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runqueue");
    TCase *tc = tcase_create("runqueue");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, the_least_key_is_first);
    tcase_add_test(tc, among_equals_the_oldest_is_first);
    tcase_add_test(tc, each_class_has_its_own_first);
    tcase_add_test(tc, many_arrivals_are_settled_a_few_at_a_time);
    tcase_add_test(tc, more_may_arrive_before_all_are_settled);
    tcase_add_test(tc, one_that_is_not_settled_can_leave);
    tcase_add_loop_test(tc, in_any_order, 1, 6);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
