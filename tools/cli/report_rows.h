/* The tables of a report: cells added up by thread or by place, the largest first; and what places
 * are called. */
#ifndef GIL_CLI_REPORT_ROWS_H
#define GIL_CLI_REPORT_ROWS_H

#include "tools/cli/report_model.h"

struct report_row {
    const struct report_thread *thread; /* by thread, else NULL */
    const struct report_place *place;   /* by place, else NULL */
    struct report_sum hold, wait, blame;
};

/* By what rows are ordered: the sum of nanoseconds. */
enum report_order { REPORT_BY_HOLD, REPORT_BY_WAIT, REPORT_BY_BLAME };

/* A row for each thread, or place, that a cell is of, in memory to be freed. NULL: memory is short.
 */
struct report_row *report_rows_by_thread(const struct report *report, size_t *count);
struct report_row *report_rows_by_place(const struct report *report, size_t *count);

/* The largest first; among equals, those that are more to blame, and then as they were first seen. */
void report_rows_sort(struct report_row *rows, size_t count, enum report_order order);

const struct report_sum *report_row_sum(const struct report_row *row, enum report_order order);

/* The function of a place; NULL if it is not known. */
const struct report_function *report_function(const struct report *report,
                                              const struct report_place *place);

/* The names of both; "?" if they are not known. */
const char *report_thread_name(const struct report_thread *thread);
const char *report_process_name(const struct report_process *process);

/* The line of a place, or else the first one of its function; 0 if neither is known. */
uint32_t report_line(const struct report *report, const struct report_place *place);

#define REPORT_LABEL_MAX (2 * RECORD_TEXT_MAX + 32) /* bytes */

/* "handle (/srv/server.py:12)": folders are left away from the left as need be to make it `width`
 * columns wide, of names and files nothing. */
void report_label(char label[REPORT_LABEL_MAX], const struct report *report,
                  const struct report_place *place, int width);

#endif
