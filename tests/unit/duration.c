/* Durations as the gil command prints them: three digits, the right unit, columns that line up. */
#include "harness.h"

#include "tools/cli/duration.h"

static const struct {
    uint64_t ns;
    const char *text;
} cases[] = {
    {0, "0 ns"},
    {1, "1 ns"},
    {999, "999 ns"},
    {1000, "1.00 µs"},
    {1234, "1.23 µs"},
    {9994, "9.99 µs"},
    {9996, "10.0 µs"},
    {12345, "12.3 µs"},
    {99960, "100 µs"},
    {734499, "734 µs"},
    {999499, "999 µs"},
    {999500, "1.00 ms"},
    {20000000, "20.0 ms"},
    {999499999, "999 ms"},
    {999500000, "1.00 s"},
    {59990000000, "60.0 s"},
    {1234567890123, "1235 s"},
    {UINT64_MAX, "18446744074 s"},
};

START_TEST(three_digits_and_a_unit)
{
    char text[DURATION_TEXT];

    ck_assert_str_eq(duration_format(text, cases[_i].ns, 0), cases[_i].text);
}
END_TEST

START_TEST(the_width_is_in_columns)
{
    char text[DURATION_TEXT];

    ck_assert_str_eq(duration_format(text, 5, 8), "    5 ns");
    ck_assert_str_eq(duration_format(text, 5000, 8), " 5.00 µs");
    ck_assert_str_eq(duration_format(text, 5000000, 8), " 5.00 ms");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("duration");
    TCase *tc = tcase_create("duration");

    tcase_add_loop_test(tc, three_digits_and_a_unit, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(tc, the_width_is_in_columns);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
