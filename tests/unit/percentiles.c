/* Histograms of the gil command: what they add up, percentiles, and bars. */
#include <check.h>
#include <stdlib.h>

#include "tools/cli/histogram.h"

static struct histogram h;

START_TEST(an_empty_one_prints_nothing)
{
    char text[64] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    histogram_print(out, "waits", &h);
    fclose(out);
    ck_assert_str_eq(text, "");
    ck_assert_uint_eq(histogram_percentile(&h, 990), 0);
}
END_TEST

START_TEST(sum_and_maximum_are_exact)
{
    histogram_add(&h, 20000123);
    histogram_add(&h, 1);
    ck_assert_uint_eq(h.count, 2);
    ck_assert_uint_eq(h.sum_ns, 20000124);
    ck_assert_uint_eq(h.max_ns, 20000123);
}
END_TEST

START_TEST(percentiles_are_an_eighth_off_at_most)
{
    for (uint64_t us = 1; us <= 1000; us++)
        histogram_add(&h, us * 1000);
    for (unsigned int per_mille = 10; per_mille <= 1000; per_mille += 10) {
        uint64_t exact = per_mille * 1000, found = histogram_percentile(&h, per_mille);

        ck_assert_uint_ge(found, exact - exact / 8);
        ck_assert_uint_le(found, exact + exact / 8);
    }
}
END_TEST

START_TEST(one_in_a_thousand_is_beyond_the_99th_percentile)
{
    for (int i = 0; i < 999; i++)
        histogram_add(&h, 100);
    histogram_add(&h, 1000000);
    ck_assert_uint_lt(histogram_percentile(&h, 999), 120);
    ck_assert_uint_eq(histogram_percentile(&h, 1000), 1000000);
}
END_TEST

START_TEST(a_bar_for_each_power_of_two)
{
    char text[2000] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    for (int i = 0; i < 40; i++)
        histogram_add(&h, 20000000);
    for (int i = 0; i < 10; i++)
        histogram_add(&h, 70000000);
    histogram_print(out, "holds", &h);
    fclose(out);
    ck_assert_str_eq(text, "holds: p50 19.9 ms, p90 70.0 ms, p99 70.0 ms, max 70.0 ms\n"
                           "  16.8 ms ..  33.6 ms         40 "
                           "########################################\n"
                           "  33.6 ms ..  67.1 ms          0\n"
                           "  67.1 ms ..   134 ms         10 ##########\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("percentiles");
    TCase *tc = tcase_create("percentiles");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, an_empty_one_prints_nothing);
    tcase_add_test(tc, sum_and_maximum_are_exact);
    tcase_add_test(tc, percentiles_are_an_eighth_off_at_most);
    tcase_add_test(tc, one_in_a_thousand_is_beyond_the_99th_percentile);
    tcase_add_test(tc, a_bar_for_each_power_of_two);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
