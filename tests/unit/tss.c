/* A value of its own for each thread: gil_tss_create() and so on, of gil/thread.h. */
#include "callers.h"

#include <limits.h>

static gil_tss key = GIL_TSS_INIT;

START_TEST(a_key_is_made_once_until_it_is_deleted)
{
    ck_assert(!gil_tss_is_created(&key));
    ck_assert_ptr_null(gil_tss_get(&key));
    ck_assert_int_eq(gil_tss_set(&key, &key), -1);
    ck_assert_int_eq(errno, EINVAL);
    gil_tss_delete(&key); /* does nothing */
    errno = ERRNO_KEPT;
    ck_assert_int_eq(gil_tss_create(&key), 0);
    ck_assert(gil_tss_is_created(&key));
    ck_assert_ptr_null(gil_tss_get(&key));
    ck_assert_int_eq(gil_tss_set(&key, &key), 0);
    ck_assert_int_eq(gil_tss_create(&key), 0); /* as it was */
    ck_assert_ptr_eq(gil_tss_get(&key), &key);
    gil_tss_delete(&key);
    ck_assert(!gil_tss_is_created(&key));
    ck_assert_int_eq(gil_tss_create(&key), 0);
    ck_assert_ptr_null(gil_tss_get(&key));
    ck_assert_int_eq(errno, ERRNO_KEPT);
}
END_TEST

static void *tss_main(void *arg)
{
    ck_assert_ptr_null(gil_tss_get(&key));
    ck_assert_int_eq(gil_tss_set(&key, arg), 0);
    sched_yield();
    ck_assert_ptr_eq(gil_tss_get(&key), arg);
    return gil_tss_get(&key);
}

START_TEST(each_thread_has_its_own_value)
{
    pthread_t threads[4];
    int values[4];

    ck_assert_int_eq(gil_tss_create(&key), 0);
    ck_assert_int_eq(gil_tss_set(&key, &key), 0);
    for (int i = 0; i < 4; i++)
        threads[i] = start(tss_main, &values[i]);
    for (int i = 0; i < 4; i++)
        join(threads
                 [i]); /* what they left is not touched: they are not pointers to anything freed */
    ck_assert_ptr_eq(gil_tss_get(&key), &key);
}
END_TEST

static pthread_barrier_t together;

static void *create_main(void *arg)
{
    pthread_barrier_wait(&together);
    ck_assert_int_eq(gil_tss_create(arg), 0);
    ck_assert_int_eq(gil_tss_set(arg, &together), 0);
    ck_assert_ptr_eq(gil_tss_get(arg), &together);
    return NULL;
}

/* There are 1024 keys at most: none is lost either. */
START_TEST(threads_that_create_it_at_a_time)
{
    ck_assert_int_eq(pthread_barrier_init(&together, NULL, 3), 0);
    for (int i = 0; i < 600; i++) {
        gil_tss fresh = GIL_TSS_INIT;
        pthread_t threads[3];

        for (int j = 0; j < 3; j++)
            threads[j] = start(create_main, &fresh);
        for (int j = 0; j < 3; j++)
            join(threads[j]);
        gil_tss_delete(&fresh);
    }
}
END_TEST

START_TEST(no_more_keys)
{
    static gil_tss keys[PTHREAD_KEYS_MAX + 1];
    int n = 0;

    while (n <= PTHREAD_KEYS_MAX && gil_tss_create(&keys[n]) == 0)
        n++;
    ck_assert_int_le(n, PTHREAD_KEYS_MAX);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert(!gil_tss_is_created(&keys[n]));
    gil_tss_delete(&keys[0]);
    ck_assert_int_eq(gil_tss_create(&keys[n]), 0);
}
END_TEST

START_TEST(a_key_on_the_heap)
{
    gil_tss *heap = gil_tss_alloc();

    ck_assert_ptr_nonnull(heap);
    ck_assert(!gil_tss_is_created(heap));
    ck_assert_int_eq(gil_tss_create(heap), 0);
    ck_assert_int_eq(gil_tss_set(heap, heap), 0);
    gil_tss_free(heap);
    gil_tss_free(gil_tss_alloc());
    gil_tss_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tss");
    TCase *tc = tcase_create("tss");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_key_is_made_once_until_it_is_deleted);
    tcase_add_test(tc, each_thread_has_its_own_value);
    tcase_add_test(tc, threads_that_create_it_at_a_time);
    tcase_add_test(tc, no_more_keys);
    tcase_add_test(tc, a_key_on_the_heap);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
