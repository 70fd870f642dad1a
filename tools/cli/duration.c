/* Reading durations: see duration.h. All in integers, so that "0.1s" is exactly 100000000 ns. */
#include "tools/cli/duration.h"

#include <stddef.h>
#include <string.h>

/* "µ" is two characters of Unicode that look the same: the micro sign and the Greek letter. */
static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},         {"us", NS_PER_US}, {"\u00b5s", NS_PER_US}, {"\u03bcs", NS_PER_US},
    {"ms", NS_PER_MS}, {"s", NS_PER_S},
};

static int64_t unit_of(const char *name)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(name, units[i].name) == 0)
            return units[i].ns;
    return 0;
}

static size_t count_digits(const char *text)
{
    return strspn(text, "0123456789");
}

int duration_parse(const char *text, int64_t *ns)
{
    size_t whole_digits = count_digits(text);
    const char *fraction = text + whole_digits;
    size_t fraction_digits = 0;
    int64_t unit, result = 0;

    if (*fraction == '.')
        fraction_digits = count_digits(++fraction);
    unit = unit_of(fraction + fraction_digits);
    if (whole_digits == 0 || unit == 0 || (fraction != text + whole_digits && !fraction_digits))
        return -1;

    for (size_t i = 0; i < whole_digits; i++)
        if (__builtin_mul_overflow(result, 10, &result) ||
            __builtin_add_overflow(result, text[i] - '0', &result))
            return -1;
    if (__builtin_mul_overflow(result, unit, &result))
        return -1;
    for (size_t i = 0; i < fraction_digits && unit > 1; i++) {
        unit /= 10;
        if (__builtin_add_overflow(result, (fraction[i] - '0') * unit, &result))
            return -1;
    }
    *ns = result;
    return 0;
}
