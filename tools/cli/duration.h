/* Durations on the command line: "5ms", "0.5ms", "250us", "1s".
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

#endif
