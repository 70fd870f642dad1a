/* Names from elsewhere, on their way to a terminal, JSON, XML and columns. */
#include "harness.h"

#include "tools/cli/text.h"

static const struct {
    const char *from, *to;
} cases[] = {
    {"", ""},
    {"Server.handle", "Server.handle"},
    {"größe_µ_変数_𝛼", "größe_µ_変数_𝛼"},
    {"two\nlines\t\x1b[31m\x7f", "two?lines??[31m?"},
    {"\xc2\x9b"
     "31m",
     "?31m"}, /* a control character of two bytes */
    {"\xff\xfe"
     "a\xc3",
     "??a?"},                          /* no UTF-8 at all; cut off */
    {"\xc0\xaf\xe0\x80\xaf", "?????"}, /* longer than need be */
    {"\xed\xa0\x80", "?"},             /* half of a pair */
    {"\xef\xbf\xbf", "?"},             /* not allowed in XML */
    {"\xf4\x90\x80\x80", "????"},      /* beyond Unicode */
};

START_TEST(cleaning)
{
    char text[64];

    strcpy(text, cases[_i].from);
    ck_assert_str_eq(text_clean(text), cases[_i].to);
}
END_TEST

/* What write has written. */
static const char *written(void (*write)(FILE *, const char *), const char *text)
{
    static char result[128];
    FILE *out = fmemopen(result, sizeof result, "w");

    write(out, text);
    fclose(out);
    return result;
}

static void five_columns(FILE *out, const char *text)
{
    text_column(out, text, 5);
}

START_TEST(escaping)
{
    ck_assert_str_eq(written(text_json, "a\"b\\c/µ"), "\"a\\\"b\\\\c/µ\"");
    ck_assert_str_eq(written(text_xml, "<module> & \"µ\""), "&lt;module&gt; &amp; &quot;µ&quot;");
}
END_TEST

START_TEST(columns)
{
    ck_assert_str_eq(written(five_columns, ""), "     ");
    ck_assert_str_eq(written(five_columns, "µs"), "µs   ");
    ck_assert_str_eq(written(five_columns, "größe"), "größe");
    ck_assert_str_eq(written(five_columns, "größer"), "größ…");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tc = tcase_create("text");

    tcase_add_loop_test(tc, cleaning, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(tc, escaping);
    tcase_add_test(tc, columns);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
