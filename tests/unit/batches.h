/* Shared by the tests of batches: a batch of N requests, each of which waits for a byte. */
#ifndef TESTS_UNIT_BATCHES_H
#define TESTS_UNIT_BATCHES_H

#include "blocking.h"

enum { N = 8 };

HARNESS int pairs[N][2];
HARNESS char bytes[N];
HARNESS gil_batch *batch;

/* The test's thread runs, with a batch of N. */
HARNESS void begin_batch(int backend)
{
    begin_io(backend);
    gil_restore_thread(test_state);
    batch = gil_batch_create(N);
    ck_assert_ptr_nonnull(batch);
}

/* Each waits for a byte from its pair. */
HARNESS void add_receives(void)
{
    for (unsigned i = 0; i < N; i++) {
        make_pair(pairs[i]);
        bytes[i] = '-';
        ck_assert_uint_eq(gil_batch_recv(batch, pairs[i][0], &bytes[i], 1, 0), i);
    }
}

HARNESS void answer(unsigned i)
{
    ck_assert_int_eq(send(pairs[i][1], "x", 1, 0), 1);
}

HARNESS void expect(unsigned i, long result)
{
    errno = 0;
    ck_assert_int_eq(gil_batch_result(batch, i), result < 0 ? -1 : result);
    if (result < 0)
        ck_assert_int_eq(errno, (int)-result);
}

#define FAILS(call, error)                                                                         \
    do {                                                                                           \
        ck_assert_int_eq(call, -1);                                                                \
        ck_assert_int_eq(errno, error);                                                            \
    } while (0)

HARNESS long wait_all_again(void *arg)
{
    gil_batch_clear(arg);
    add_receives();
    for (unsigned i = 0; i < N; i++)
        answer(i);
    return gil_batch_wait_all(arg);
}

HARNESS long wait_for_receives(void *arg)
{
    (void)arg;
    batch = gil_batch_create(N);
    add_receives();
    return gil_batch_wait_all(batch);
}

#endif
