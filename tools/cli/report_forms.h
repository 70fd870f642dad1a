/* The forms in which `gil report` prints: each takes a report (report_model.h) and writes to a
 * stream, whose errors the caller looks at. They return false when memory is short. */
#ifndef GIL_CLI_REPORT_FORMS_H
#define GIL_CLI_REPORT_FORMS_H

#include <stdio.h>

#include "tools/cli/report_rows.h"

/* Tables of `rows` rows, under 80 columns. name: of the file. */
bool report_text(FILE *out, const struct report *report, const char *name, size_t rows);

/* A JSON object a line; each has a "type". Times are nanoseconds. */
bool report_json(FILE *out, const struct report *report);

/* A line "process;thread;function;line nanoseconds" for each cell, which flame graphs are made of.
 */
bool report_folded(FILE *out, const struct report *report, enum report_order order);

/* One SVG document with two flame graphs: time that the lock was held, and blame. */
bool report_svg(FILE *out, const struct report *report, const char *name);

/* Chrome's trace events, which Perfetto opens. A report has no events: they are written while it is
 * read. Returns as report_read() does. */
struct report *report_trace(FILE *out, struct record_reader *reader, int *status);

#endif
