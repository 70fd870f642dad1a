/* See report_flame.h; and gil report --folded. */
#define _GNU_SOURCE

#include "tools/cli/report_flame.h"
#include "tools/cli/report_forms.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A frame, in which no ';' may be, since that is between frames. NULL: memory is short. */
__attribute__((format(printf, 1, 2))) static char *frame(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    for (char *at = text; at && (at = strchr(at, ';')) != NULL;)
        *at = ':';
    return text;
}

static bool make_leaf(struct flame_leaf *leaf, const struct report *report,
                      const struct report_cell *cell)
{
    const struct report_thread *thread = cell->thread;
    const struct report_function *function = report_function(report, cell->place);
    uint32_t line = report_line(report, cell->place);

    leaf->frames[0] =
        frame("%s %d", report_process_name(thread->process), (int)thread->process->pid);
    leaf->frames[1] = frame("%s %d", report_thread_name(thread), (int)thread->tid);
    if (!function)
        leaf->frames[2] = frame("(not known)");
    else if (*function->file)
        leaf->frames[2] = frame("%s (%s)", function->name, function->file);
    else
        leaf->frames[2] = frame("%s", function->name);
    if (line)
        leaf->frames[3] = frame("line %" PRIu32, line);
    return leaf->frames[0] && leaf->frames[1] && leaf->frames[2] && (!line || leaf->frames[3]);
}

static int compare_leaves(const void *a, const void *b)
{
    const struct flame_leaf *left = a, *right = b;
    int result = 0;

    for (int i = 0; i < FLAME_DEPTH && result == 0; i++)
        result = strverscmp(left->frames[i] ? left->frames[i] : "",
                            right->frames[i] ? right->frames[i] : "");
    return result;
}

static const struct report_sum *cell_sum(const struct report_cell *cell, enum report_order order)
{
    return order == REPORT_BY_HOLD   ? &cell->hold
           : order == REPORT_BY_WAIT ? &cell->wait
                                     : &cell->blame;
}

bool flame_make(struct flame *flame, const struct report *report, enum report_order order)
{
    bool done;

    *flame = (struct flame){.leaves = calloc(report->cells.count + 1, sizeof *flame->leaves)};
    done = flame->leaves;
    for (size_t i = 0; i < report->cells.count && done; i++) {
        const struct report_cell *cell = report->cells.entries[i];
        uint64_t ns = cell_sum(cell, order)->sum_ns;

        if (ns == 0)
            continue;
        flame->ns += ns;
        flame->leaves[flame->count].ns = ns;
        done = make_leaf(&flame->leaves[flame->count++], report, cell);
    }
    if (done)
        qsort(flame->leaves, flame->count, sizeof *flame->leaves, compare_leaves);
    return done;
}

void flame_free(struct flame *flame)
{
    for (size_t i = 0; i < flame->count; i++)
        for (int j = 0; j < FLAME_DEPTH; j++)
            free(flame->leaves[i].frames[j]);
    free(flame->leaves);
}

bool report_folded(FILE *out, const struct report *report, enum report_order order)
{
    struct flame flame;
    bool done = flame_make(&flame, report, order);

    for (size_t i = 0; done && i < flame.count; i++) {
        const struct flame_leaf *leaf = &flame.leaves[i];

        fprintf(out, "%s;%s;%s", leaf->frames[0], leaf->frames[1], leaf->frames[2]);
        if (leaf->frames[3])
            fprintf(out, ";%s", leaf->frames[3]);
        fprintf(out, " %" PRIu64 "\n", leaf->ns);
    }
    flame_free(&flame);
    return done;
}
