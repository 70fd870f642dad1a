/* Durations on the command line, "5ms", "0.5ms", "250us", "1s", and in what is printed: "5.00 ms".
 *
 * Invariant: a duration always names its unit, so that no command has to say which one it means. */
#ifndef GIL_CLI_DURATION_H
#define GIL_CLI_DURATION_H

#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* Reads a decimal number followed by ns, us, µs, ms or s and nothing else; parts of a nanosecond
 * are cut off. Returns 0 and sets *ns (0 or more), or -1 when text is anything else or too large.
 */
int duration_parse(const char *text, int64_t *ns);

#define DURATION_TEXT 64 /* bytes */

/* Writes a duration with three digits ("734 ns", "5.40 ms", "12.3 s"; from 1000 s on with all of
 * them), after as many blanks as make it `width` columns wide (32 at most). Returns text. */
char *duration_format(char text[DURATION_TEXT], uint64_t ns, int width);

#endif
