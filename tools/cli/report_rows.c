/* See report_rows.h. */
#define _GNU_SOURCE

#include "tools/cli/report_rows.h"
#include "tools/cli/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Adds the cells up in a row each for the entries of a set, which index() says. */
static struct report_row *add_up(const struct report *report, const struct report_set *set,
                                 size_t (*index)(const struct report_cell *), size_t *count)
{
    struct report_row *rows = calloc(set->count + 1, sizeof *rows);

    for (size_t i = 0; rows && i < report->cells.count; i++) {
        const struct report_cell *cell = report->cells.entries[i];
        struct report_row *row = &rows[index(cell)];

        row->thread = cell->thread;
        row->place = cell->place;
        report_sum_add(&row->hold, &cell->hold);
        report_sum_add(&row->wait, &cell->wait);
        report_sum_add(&row->blame, &cell->blame);
    }
    *count = set->count;
    return rows;
}

static size_t thread_index(const struct report_cell *cell)
{
    return cell->thread->index;
}

static size_t place_index(const struct report_cell *cell)
{
    return cell->place->index;
}

struct report_row *report_rows_by_thread(const struct report *report, size_t *count)
{
    struct report_row *rows = add_up(report, &report->threads, thread_index, count);
    size_t seen = 0;

    /* Threads that only have a name are left out, one of which only hand-offs are known is not. */
    for (size_t i = 0; rows && i < *count; i++) {
        const struct report_thread *thread = report->threads.entries[i];

        if (!thread->seen)
            continue;
        rows[seen] = rows[i];
        rows[seen].thread = thread;
        rows[seen++].place = NULL;
    }
    *count = seen;
    return rows;
}

struct report_row *report_rows_by_place(const struct report *report, size_t *count)
{
    struct report_row *rows = add_up(report, &report->places, place_index, count);

    for (size_t i = 0; rows && i < *count; i++) {
        rows[i].thread = NULL;
        rows[i].place = report->places.entries[i];
    }
    return rows;
}

const struct report_sum *report_row_sum(const struct report_row *row, enum report_order order)
{
    return order == REPORT_BY_HOLD   ? &row->hold
           : order == REPORT_BY_WAIT ? &row->wait
                                     : &row->blame;
}

static int compare(const void *a, const void *b, void *order)
{
    const struct report_row *left = a, *right = b;
    uint64_t l = report_row_sum(left, *(enum report_order *)order)->sum_ns;
    uint64_t r = report_row_sum(right, *(enum report_order *)order)->sum_ns;
    size_t l_index = left->thread ? left->thread->index : left->place->index;
    size_t r_index = right->thread ? right->thread->index : right->place->index;

    if (l == r) {
        l = left->blame.sum_ns;
        r = right->blame.sum_ns;
    }
    if (l != r)
        return l < r ? 1 : -1;
    return (l_index > r_index) - (l_index < r_index);
}

void report_rows_sort(struct report_row *rows, size_t count, enum report_order order)
{
    qsort_r(rows, count, sizeof *rows, compare, &order);
}

/* ---- Names ---- */

const struct report_function *report_function(const struct report *report,
                                              const struct report_place *place)
{
    return report->functions[place->function];
}

const char *report_thread_name(const struct report_thread *thread)
{
    return thread->name && *thread->name ? thread->name : "?";
}

const char *report_process_name(const struct report_process *process)
{
    return process->name && *process->name ? process->name : "?";
}

uint32_t report_line(const struct report *report, const struct report_place *place)
{
    const struct report_function *function = report_function(report, place);

    return place->line ? place->line : function ? function->line : 0;
}

void report_label(char label[REPORT_LABEL_MAX], const struct report *report,
                  const struct report_place *place, int width)
{
    const struct report_function *function = report_function(report, place);
    const char *file = function ? function->file : "", *slash;
    uint32_t line = report_line(report, place);
    char number[16] = "";

    if (line)
        snprintf(number, sizeof number, ":%" PRIu32, line);
    if (!*file) {
        snprintf(label, REPORT_LABEL_MAX, "%s", function ? function->name : "(not known)");
        return;
    }
    while (text_width(function->name) + text_width(file) + (int)strlen(number) + 3 > width &&
           (slash = strchr(*file == '/' ? file + 1 : file, '/')) != NULL)
        file = slash + 1;
    snprintf(label, REPORT_LABEL_MAX, "%s (%s%s)", function->name, file, number);
}
