/* A tally as text and as JSON: see tally.h. */
#include "tools/cli/duration.h"
#include "tools/cli/tally.h"
#include "tools/cli/text.h"

#include <inttypes.h>
#include <string.h>

enum { NAME_COLUMNS = 10 };

/* A number in 8 columns at most. */
static const char *count_format(char text[32], uint64_t count)
{
    if (count < 100000000)
        snprintf(text, 32, "%" PRIu64, count);
    else if (count < 100000000000)
        snprintf(text, 32, "%" PRIu64 "M", count / 1000000);
    else
        snprintf(text, 32, "%" PRIu64 "G", count / 1000000000);
    return text;
}

void tally_print_titles(FILE *out)
{
    fprintf(out, "%7s %-*s %8s %7s %6s %8s %8s %8s %8s\n", "TID", NAME_COLUMNS, "NAME", "ACQUIRED",
            "WAITED", "FORCED", "WAIT", "LONGEST", "HOLD", "LONGEST");
}

/* A blank, and the duration in 8 columns, or a dash for one that is not known. */
static void print_duration(FILE *out, bool known, uint64_t ns)
{
    char text[DURATION_TEXT];

    fprintf(out, " %*s", known ? 0 : 8, known ? duration_format(text, ns, 8) : "-");
}

void tally_print_row(FILE *out, const struct tally_row *row)
{
    const gil_thread_stats *s = &row->stats;
    char acquires[32], contended[32], forced[32];

    if (row->tid)
        fprintf(out, "%7d ", row->tid);
    else
        fprintf(out, "%7s ", "-");
    text_column(out, row->name[0] ? row->name : row->tid ? "-" : "(ended)", NAME_COLUMNS);
    fprintf(out, " %8s %7s %6s", count_format(acquires, s->acquires),
            count_format(contended, s->contended), count_format(forced, s->forced));
    print_duration(out, true, s->wait_ns);
    print_duration(out, row->max_known[TALLY_WAIT], s->wait_max_ns);
    print_duration(out, s->holds > 0, s->hold_ns);
    print_duration(out, s->holds > 0 && row->max_known[TALLY_HOLD], s->hold_max_ns);
    putc('\n', out);
}

/* ---- JSON ---- */

static void json_number(FILE *out, const char *name, bool known, uint64_t value)
{
    if (known)
        fprintf(out, ",\"%s\":%" PRIu64, name, value);
    else
        fprintf(out, ",\"%s\":null", name);
}

void tally_print_json(FILE *out, const struct tally_row *row)
{
    const gil_thread_stats *s = &row->stats;
    const bool *known = row->max_known;

    fprintf(out, "{\"pid\":%d,\"tid\":%d,\"ns_pid\":%d,\"ns_tid\":%d,\"name\":", row->pid, row->tid,
            row->ns_pid, row->ns_tid);
    if (row->name[0])
        text_json(out, row->name);
    else
        fputs("null", out);
    json_number(out, "threads", true, s->threads);
    json_number(out, "acquires", true, s->acquires);
    json_number(out, "contended", true, s->contended);
    json_number(out, "forced", true, s->forced);
    json_number(out, "voluntary", true, gil_stats_voluntary(s));
    json_number(out, "handovers", true, s->handovers);
    json_number(out, "deferred", true, s->deferred);
    json_number(out, "deferred_back", true, s->deferred_back);
    json_number(out, "deferred_taken", true, s->deferred_taken);
    json_number(out, "deferred_ended", true, s->deferred_ended);
    json_number(out, "requests", true, s->requests);
    json_number(out, "wait_ns", true, s->wait_ns);
    json_number(out, "wait_max_ns", known[TALLY_WAIT], s->wait_max_ns);
    json_number(out, "handoffs", true, s->handoffs);
    json_number(out, "handoff_ns", true, s->handoff_ns);
    json_number(out, "handoff_max_ns", known[TALLY_HANDOFF], s->handoff_max_ns);
    json_number(out, "holds", true, s->holds);
    json_number(out, "hold_ns", s->holds > 0, s->hold_ns);
    json_number(out, "hold_max_ns", s->holds > 0 && known[TALLY_HOLD], s->hold_max_ns);
    json_number(out, "holds_partial", true, s->holds_partial);
    json_number(out, "io_inline", true, s->io_inline);
    json_number(out, "io_blocked", true, s->io_blocked);
    json_number(out, "io_interrupted", true, s->io_interrupted);
    fputs("}\n", out);
}
