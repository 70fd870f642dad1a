/* The histogram slots that BPF programs and user space share: in order, without gaps, narrow. */
#include <check.h>
#include <stdlib.h>

#include "bpf/shared.h"

START_TEST(small_values_have_slots_of_their_own)
{
    for (unsigned int ns = 0; ns < 8; ns++) {
        ck_assert_uint_eq(gil_slot(ns), ns);
        ck_assert_uint_eq(gil_slot_from(ns), ns);
    }
}
END_TEST

START_TEST(a_slot_begins_where_the_one_before_ends)
{
    for (unsigned int slot = 1; slot < GIL_SLOTS; slot++) {
        unsigned long long from = gil_slot_from(slot);

        ck_assert_uint_eq(gil_slot(from), slot);
        ck_assert_uint_eq(gil_slot(from - 1), slot - 1);
    }
}
END_TEST

START_TEST(a_slot_is_an_eighth_wide_at_most)
{
    for (unsigned int slot = 8; slot + 1 < GIL_SLOTS; slot++) {
        unsigned long long from = gil_slot_from(slot);

        ck_assert_uint_le((gil_slot_from(slot + 1) - from) * 8, from);
    }
}
END_TEST

START_TEST(the_last_slot_takes_everything_longer)
{
    ck_assert_uint_eq(gil_slot(~0ull), GIL_SLOTS - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tc = tcase_create("histogram");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, small_values_have_slots_of_their_own);
    tcase_add_test(tc, a_slot_begins_where_the_one_before_ends);
    tcase_add_test(tc, a_slot_is_an_eighth_wide_at_most);
    tcase_add_test(tc, the_last_slot_takes_everything_longer);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
