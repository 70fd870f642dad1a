/* Reading and writing durations: see duration.h. All in integers, so that "0.1s" is exactly
 * 100000000 ns. */
#include "tools/cli/duration.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
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

/* Three digits: as many behind the point as the part before it leaves. */
static void three_digits(char *text, size_t size, uint64_t ns, uint64_t unit)
{
    int decimals = ns < 10 * unit ? 2 : ns < 100 * unit ? 1 : 0;
    uint64_t scale = decimals == 2 ? 100 : decimals == 1 ? 10 : 1;
    uint64_t value = ns / unit * scale + (ns % unit * scale + unit / 2) / unit;

    /* 9.996 is rounded to 10.0, and not to 10.00. */
    if (value == 1000 && decimals > 0) {
        value /= 10;
        scale /= 10;
        decimals--;
    }
    if (decimals == 0)
        snprintf(text, size, "%" PRIu64, value);
    else
        snprintf(text, size, "%" PRIu64 ".%0*" PRIu64, value / scale, decimals, value % scale);
}

char *duration_format(char text[DURATION_TEXT], uint64_t ns, int width)
{
    /* What would be rounded to 1000 of a unit is 1.00 of the next. */
    bool is_s = ns >= 999500000, is_ms = ns >= 999500, is_us = ns >= 1000;
    uint64_t unit = is_s ? NS_PER_S : is_ms ? NS_PER_MS : is_us ? NS_PER_US : 1;
    const char *name = is_s ? "s" : is_ms ? "ms" : is_us ? "\u00b5s" : "ns";
    char number[DURATION_TEXT / 2];
    /* The micro sign is two bytes wide, but one column. */
    int name_width = width + (is_us && !is_ms);

    if (is_us)
        three_digits(number, sizeof number, ns, unit);
    else
        snprintf(number, sizeof number, "%" PRIu64, ns);
    snprintf(text, DURATION_TEXT, "%*s", name_width, strcat(strcat(number, " "), name));
    return text;
}
