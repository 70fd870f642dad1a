/* Each blocking call is like the plain call of the same name. */
#include "iocases.h"

#define OURS(name) .name = gil_##name,

static const struct calls ours = {CALLS(OURS)};

START_TEST(calls_are_like_the_plain_ones)
{
    compare(_i / BACKENDS, _i % BACKENDS, &ours);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iocalls");
    TCase *tc = tcase_create("iocalls");

    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, calls_are_like_the_plain_ones, 0, CASES * BACKENDS);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
