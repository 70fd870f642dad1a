/* The bounded queue: order, room, and that every item arrives once. */
#include "callers.h"

static gil_queue queue;
static void *slots[3];
static int items[16]; /* their addresses are what is queued */

static void init(size_t capacity)
{
    ck_assert_int_eq(gil_queue_init(&queue, slots, capacity), 0);
}

static void put(int i)
{
    ck_assert_int_eq(gil_queue_put(&queue, &items[i], 0), 0);
}

static void get(int i)
{
    void *item = NULL;

    ck_assert_int_eq(gil_queue_get(&queue, &item, 0), 0);
    ck_assert_ptr_eq(item, &items[i]);
}

START_TEST(first_in_first_out)
{
    int in = 0, out = 0;

    init(3);
    errno = ERRNO_KEPT;
    for (int round = 0; round < 4; round++) { /* it goes round its slots */
        put(in++);
        put(in++);
        if (round == 0)
            put(in++);
        ck_assert_uint_eq(gil_queue_size(&queue), 3);
        get(out++);
        get(out++);
        ck_assert_uint_eq(gil_queue_size(&queue), 1);
    }
    get(out++);
    ck_assert_uint_eq(gil_queue_size(&queue), 0);
    ck_assert_int_eq(errno, ERRNO_KEPT);
}
END_TEST

START_TEST(full_and_empty)
{
    void *item = &items[7];

    for (size_t capacity = 1; capacity <= 3; capacity++) {
        init(capacity);
        ck_assert_int_eq(gil_queue_get(&queue, &item, 0), -1);
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_ptr_eq(item, &items[7]);
        for (size_t i = 0; i < capacity; i++)
            put((int)i);
        errno = 0;
        ck_assert_int_eq(gil_queue_put(&queue, &items[8], 0), -1);
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_uint_eq(gil_queue_size(&queue), capacity);
        for (size_t i = 0; i < capacity; i++)
            get((int)i);
    }
}
END_TEST

START_TEST(no_room_at_all)
{
    ck_assert_int_eq(gil_queue_init(&queue, slots, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(null_is_an_item)
{
    void *item = &items[0];

    init(1);
    ck_assert_int_eq(gil_queue_put(&queue, NULL, 0), 0);
    ck_assert_int_eq(gil_queue_get(&queue, &item, 0), 0);
    ck_assert_ptr_null(item);
}
END_TEST

/* ---- with waiters ---- */

static caller cs[4];
static int got[4]; /* which item the i-th caller got */

static int my_number(void)
{
    int me = 0;

    while (atomic_load(&cs[me].tid) != my_tid())
        me++;
    return me;
}

static int get_mine(int64_t timeout_ns)
{
    void *item;

    if (gil_queue_get(&queue, &item, timeout_ns) < 0)
        return -1;
    got[my_number()] = (int)((int *)item - items);
    return 0;
}

static int put_mine(int64_t timeout_ns)
{
    return gil_queue_put(&queue, &items[my_number() + 1], timeout_ns);
}

START_TEST(items_go_to_getters_in_their_order)
{
    init(3);
    for (int i = 0; i < 4; i++)
        caller_start(&cs[i], get_mine, -1);
    for (int i = 0; i < 4; i++)
        put(i);
    ck_assert_uint_eq(gil_queue_size(&queue), 0);
    for (int i = 0; i < 4; i++)
        caller_expect(&cs[i], 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(got[i], i);
}
END_TEST

START_TEST(putters_items_follow_in_their_order)
{
    init(1);
    put(0);
    for (int i = 0; i < 4; i++)
        caller_start(&cs[i], put_mine, -1);
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(gil_queue_size(&queue), 1);
        get(i);
    }
    ck_assert_uint_eq(gil_queue_size(&queue), 0);
    for (int i = 0; i < 4; i++)
        caller_expect(&cs[i], 0);
}
END_TEST

START_TEST(a_getter_has_its_item_before_anybody_who_comes_later)
{
    void *item;

    init(3);
    caller_start(&cs[0], get_mine, -1);
    keep_busy(&cs[0]);
    put(5);
    ck_assert_int_eq(gil_queue_get(&queue, &item, 0), -1);
    put(6);
    get(6);
    let_loose();
    caller_expect(&cs[0], 0);
    ck_assert_int_eq(got[0], 5);
}
END_TEST

START_TEST(what_a_putter_gave_up_putting_does_not_arrive)
{
    init(1);
    put(0);
    for (int i = 0; i < 3; i++)
        caller_start(&cs[i], put_mine, -1);
    gil_interrupt(atomic_load(&cs[1].ident));
    caller_expect(&cs[1], EINTR);
    get(0);
    get(1);
    get(3);
    ck_assert_uint_eq(gil_queue_size(&queue), 0);
    caller_expect(&cs[0], 0);
    caller_expect(&cs[2], 0);
}
END_TEST

/* ---- under load ---- */

enum { SIDE = 2, ROUNDS = 3000 };

static uint8_t seen[SIDE][ROUNDS]; /* how often each item has arrived; guarded by seen_lock */
static gil_thread_lock seen_lock;
static int last_of[SIDE][SIDE]; /* the getter's last item of each putter */
static atomic_int out_of_order, at_work;
static atomic_ulong idents[2 * SIDE];

static void *putter_main(void *arg)
{
    intptr_t id = (intptr_t)arg;

    atomic_store(&idents[id], gil_thread_ident());
    for (intptr_t i = 0; i < ROUNDS; i++) {
        void *item = (void *)(id * ROUNDS + i + 1);

        while (gil_queue_put(&queue, item, (int64_t)(i % 30) * US) < 0)
            ;
    }
    atomic_fetch_sub(&at_work, 1);
    return NULL;
}

static void *getter_main(void *arg)
{
    intptr_t id = (intptr_t)arg;

    atomic_store(&idents[SIDE + id], gil_thread_ident());
    for (int i = 0; i < ROUNDS; i++) {
        void *item;
        int n, from;

        while (gil_queue_get(&queue, &item, (int64_t)(i % 30) * US) < 0)
            ;
        n = (int)((intptr_t)item - 1);
        from = n / ROUNDS;
        n %= ROUNDS;
        while (gil_thread_lock_acquire(&seen_lock, -1) < 0)
            ;
        seen[from][n]++;
        gil_thread_lock_release(&seen_lock);
        if (n < last_of[id][from])
            atomic_fetch_add(&out_of_order, 1);
        last_of[id][from] = n;
    }
    atomic_fetch_sub(&at_work, 1);
    return NULL;
}

START_TEST(every_item_arrives_once_while_waiters_give_up)
{
    pthread_t threads[2 * SIDE];

    init(_i ? 3 : 1);
    atomic_store(&at_work, 2 * SIDE);
    for (intptr_t i = 0; i < 2 * SIDE; i++)
        threads[i] = start(i < SIDE ? putter_main : getter_main, (void *)(i % SIDE));
    for (unsigned i = 0; atomic_load(&at_work) > 0; i++) {
        unsigned long ident = atomic_load(&idents[i % (2 * SIDE)]);

        if (ident)
            gil_interrupt(ident);
        sleep_ns(20 * US);
    }
    for (int i = 0; i < 2 * SIDE; i++)
        join(threads[i]);
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < ROUNDS; j++)
            ck_assert_int_eq(seen[i][j], 1);
    ck_assert_uint_eq(gil_queue_size(&queue), 0);
    ck_assert_int_eq(atomic_load(&out_of_order), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tc = tcase_create("queue");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, first_in_first_out);
    tcase_add_test(tc, full_and_empty);
    tcase_add_test(tc, no_room_at_all);
    tcase_add_test(tc, null_is_an_item);
    tcase_add_test(tc, items_go_to_getters_in_their_order);
    tcase_add_test(tc, putters_items_follow_in_their_order);
    tcase_add_test(tc, a_getter_has_its_item_before_anybody_who_comes_later);
    tcase_add_test(tc, what_a_putter_gave_up_putting_does_not_arrive);
    tcase_add_loop_test(tc, every_item_arrives_once_while_waiters_give_up, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
