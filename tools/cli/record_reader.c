/* Reading a record file: see record_file.h.
 *
 * Invariant: nothing is visited that is not of a chunk whose checksum fits, and a chunk that does
 * not fit ends the reading. A checksum keeps accidents out, not malice: each number is compared with
 * what it may be, too, and the cursor never leaves the chunk. */
#define _GNU_SOURCE

#include "tools/cli/record_file.h"
#include "tools/cli/record_format.h"
#include "tools/cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct record_reader {
    int fd;
    uint64_t good, end_ns; /* bytes of the file; CLOCK_MONOTONIC */
    struct record_start start;
    const unsigned char *at, *end; /* what is left of the chunk */
    bool bad;                      /* a number or text of the record was not as it has to be */
    struct {
        uint64_t time_ns, lock, pid;
    } last; /* what the last event in this chunk had */
    char name[RECORD_TEXT_MAX + 1], file[RECORD_TEXT_MAX + 1];
    char path[128], why[320];
    unsigned char records[RECORD_CHUNK_MAX];
};

__attribute__((format(printf, 3, 4))) static int fail(struct record_reader *r, int error,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
    return error;
}

/* Reads size bytes, or as many as there are. Returns how many, or a negative errno. */
static ssize_t read_whole(struct record_reader *r, void *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t count = read(r->fd, (char *)bytes + done, size - done);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail(r, -errno, "cannot read %s: %s", r->path, strerror(errno));
        if (count == 0)
            break;
        done += (size_t)count;
    }
    return (ssize_t)done;
}

static int check_version(struct record_reader *r, const struct record_header *header)
{
    if (header->order == __builtin_bswap32(RECORD_ORDER))
        return fail(r, -EINVAL, "%s was recorded on a machine of another byte order: read it there",
                    r->path);
    if (header->order == RECORD_ORDER && header->version != RECORD_VERSION)
        return fail(r, -EINVAL,
                    "%s is of version %" PRIu32 ", and this gil reads version %u: use the gil that "
                    "recorded it",
                    r->path, header->version, RECORD_VERSION);
    return 0;
}

static int read_header(struct record_reader *r)
{
    struct record_header header = {.order = 0};
    ssize_t size = read_whole(r, &header, sizeof header);
    size_t magic = sizeof header.magic;
    int status;

    if (size < 0)
        return (int)size;
    if (size == 0)
        return fail(r, -EINVAL, "%s is empty: nothing was recorded", r->path);
    if (memcmp(header.magic, RECORD_MAGIC, (size_t)size < magic ? (size_t)size : magic) != 0)
        return fail(r, -EINVAL, "%s is not a file that gil record has written", r->path);
    status = check_version(r, &header);
    if (status != 0)
        return status;
    if ((size_t)size < sizeof header)
        return fail(r, -EINVAL,
                    "%s was cut off within its header: nothing is left of the recording", r->path);
    if (header.checksum != (uint32_t)record_checksum(RECORD_CHECKSUM, &header,
                                                     offsetof(struct record_header, checksum)) ||
        header.tier > TRACER_FULL)
        return fail(r, -EINVAL, "%s is damaged: its header does not fit its checksum", r->path);
    r->start = (struct record_start){
        .time_ns = header.start_ns, .wall_ns = header.wall_ns, .tier = header.tier};
    memcpy(r->start.machine, header.machine, sizeof header.machine - 1);
    text_clean(r->start.machine);
    r->good = sizeof header;
    return 0;
}

int record_reader_open(struct record_reader **to, const char *path)
{
    struct record_reader *r = *to = calloc(1, sizeof *r);
    bool standard_input = strcmp(path, "-") == 0;

    if (!r)
        return -ENOMEM;
    snprintf(r->path, sizeof r->path, "%s", standard_input ? "standard input" : path);
    r->fd =
        standard_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return fail(r, -errno, "cannot open %s: %s", r->path, strerror(errno));
    return read_header(r);
}

/* ---- Numbers and texts ---- */

static uint64_t get(struct record_reader *r)
{
    uint64_t number = 0;

    for (unsigned int shift = 0; r->at < r->end && shift < 64; shift += 7) {
        unsigned char byte = *r->at++;

        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
    r->bad = true;
    return 0;
}

static uint64_t at_most(struct record_reader *r, uint64_t number, uint64_t max)
{
    if (number <= max)
        return number;
    r->bad = true;
    return 0;
}

static uint64_t get_at_most(struct record_reader *r, uint64_t max)
{
    return at_most(r, get(r), max);
}

static int64_t get_signed(struct record_reader *r)
{
    uint64_t number = get(r);

    return (int64_t)(number >> 1 ^ -(number & 1));
}

/* A number that was written as the difference to another. */
static uint64_t get_after(struct record_reader *r, uint64_t before)
{
    return before + (uint64_t)get_signed(r);
}

static pid_t get_pid(struct record_reader *r)
{
    return (pid_t)get_at_most(r, INT32_MAX);
}

static const char *get_text(struct record_reader *r, char to[RECORD_TEXT_MAX + 1])
{
    uint64_t length = get_at_most(r, RECORD_TEXT_MAX);

    if (length > (size_t)(r->end - r->at)) {
        r->bad = true;
        length = 0;
    }
    memcpy(to, r->at, length);
    to[length] = 0;
    r->at += length;
    return text_clean(to);
}

static struct gil_place get_place(struct record_reader *r)
{
    struct gil_place place = {.function = (uint32_t)get_at_most(r, RECORD_FUNCTIONS_MAX - 1)};

    place.line = (uint32_t)get_at_most(r, UINT32_MAX);
    return place;
}

/* ---- Records: each reads all of one, and visits it if it was as it has to be ---- */

static int visit_process(struct record_reader *r, const struct record_visitor *v, void *arg)
{
    struct record_process process = {.pid = get_pid(r)};

    process.ns_pid = get_pid(r);
    process.name = get_text(r, r->name);
    return r->bad || !v->on_process ? 0 : v->on_process(&process, arg);
}

static int visit_thread(struct record_reader *r, const struct record_visitor *v, void *arg)
{
    struct record_thread thread = {.pid = get_pid(r)};

    thread.tid = get_pid(r);
    thread.ns_tid = get_pid(r);
    thread.name = get_text(r, r->name);
    return r->bad || !v->on_thread ? 0 : v->on_thread(&thread, arg);
}

static int visit_function(struct record_reader *r, const struct record_visitor *v, void *arg)
{
    uint32_t number = (uint32_t)get_at_most(r, RECORD_FUNCTIONS_MAX - 1);
    struct tracer_function function = {.language = get_at_most(r, TRACER_LUA)};

    function.pid = get_pid(r);
    function.line = (uint32_t)get_at_most(r, UINT32_MAX);
    function.name = get_text(r, r->name);
    function.file = get_text(r, r->file);
    if (number == 0)
        r->bad = true;
    return r->bad || !v->on_function ? 0 : v->on_function(number, &function, arg);
}

static int visit_loss(struct record_reader *r, const struct record_visitor *v, void *arg)
{
    unsigned int loss = (unsigned int)get_at_most(r, RECORD_LOSSES_MAX - 1);
    uint64_t count = get(r);
    const char *name = get_text(r, r->name);

    return r->bad || !v->on_loss ? 0 : v->on_loss(loss, name, count, arg);
}

/* What the kinds of events have in their union. */
static void get_union(struct record_reader *r, struct gil_event *event)
{
    switch (event->kind) {
    case GIL_EVENT_WAIT:
    case GIL_EVENT_BLAME:
        event->other_place = get_place(r);
        break;
    case GIL_EVENT_SWAP:
        event->swap.from = get(r);
        event->swap.to = get_after(r, event->swap.from);
        break;
    case GIL_EVENT_IO:
        event->io.op = (int32_t)get_signed(r);
        event->io.fd = (int32_t)get_signed(r);
        event->io.result = get_signed(r);
        break;
    case GIL_EVENT_HANDOFF:
        event->delay_ns = get(r);
        break;
    }
}

static int visit_event(struct record_reader *r, unsigned int kind, const struct record_visitor *v,
                       void *arg)
{
    struct gil_event event = {.kind = (uint16_t)kind};

    event.flags = (uint16_t)get_at_most(r, UINT16_MAX);
    r->last.time_ns = event.time_ns = get_after(r, r->last.time_ns);
    event.duration_ns = get(r);
    r->last.lock = event.lock = get_after(r, r->last.lock);
    r->last.pid = event.pid = (uint32_t)at_most(r, get_after(r, r->last.pid), INT32_MAX);
    event.tid = (uint32_t)at_most(r, get_after(r, event.pid), INT32_MAX);
    event.place = get_place(r);
    event.other = (uint32_t)at_most(r, get_after(r, event.tid), INT32_MAX);
    get_union(r, &event);
    return r->bad || !v->on_event ? 0 : v->on_event(&event, arg);
}

static int visit_record(struct record_reader *r, const struct record_visitor *v, void *arg)
{
    unsigned int kind = *r->at++;

    switch (kind) {
    case RECORD_PROCESS:
        return visit_process(r, v, arg);
    case RECORD_THREAD:
        return visit_thread(r, v, arg);
    case RECORD_FUNCTION:
        return visit_function(r, v, arg);
    case RECORD_LOSS:
        return visit_loss(r, v, arg);
    case RECORD_END:
        r->end_ns = get(r);
        return 0;
    }
    if (kind >= RECORD_EVENT && kind < RECORD_EVENT + GIL_EVENT_KINDS)
        return visit_event(r, kind - RECORD_EVENT, v, arg);
    r->bad = true;
    return 0;
}

/* ---- Chunks ---- */

static int damaged(struct record_reader *r)
{
    return fail(r, -EINVAL, "%s is damaged at byte %" PRIu64 ": what follows was not read", r->path,
                r->good);
}

/* 1: the next chunk is there. 0: the file ends, perhaps within a chunk that was not finished. */
static int read_chunk(struct record_reader *r)
{
    struct record_chunk_header header;
    ssize_t size = read_whole(r, &header, sizeof header);
    uint64_t sum = RECORD_CHECKSUM;

    if (size < (ssize_t)sizeof header)
        return size < 0 ? (int)size : 0;
    if (header.magic != RECORD_CHUNK_MAGIC || header.length == 0 ||
        header.length > RECORD_CHUNK_MAX)
        return damaged(r);
    size = read_whole(r, r->records, header.length);
    if (size < (ssize_t)header.length)
        return size < 0 ? (int)size : 0;
    sum = record_checksum(sum, &header, offsetof(struct record_chunk_header, checksum));
    if ((uint32_t)record_checksum(sum, r->records, header.length) != header.checksum)
        return damaged(r);
    r->at = r->records;
    r->end = r->records + header.length;
    memset(&r->last, 0, sizeof r->last);
    return 1;
}

int record_reader_visit(struct record_reader *r, const struct record_visitor *visitor, void *arg)
{
    int status = 0;

    while (r->end_ns == 0 && (status = read_chunk(r)) == 1) {
        while (r->at < r->end && r->end_ns == 0) {
            status = visit_record(r, visitor, arg);
            if (status != 0)
                return status;
            if (r->bad)
                return damaged(r);
        }
        r->good += sizeof(struct record_chunk_header) + (size_t)(r->end - r->records);
    }
    return r->end_ns != 0 ? 0 : status;
}

const struct record_start *record_reader_start(const struct record_reader *r)
{
    return &r->start;
}

uint64_t record_reader_end(const struct record_reader *r)
{
    return r->end_ns;
}

uint64_t record_reader_bytes(const struct record_reader *r)
{
    return r->good;
}

void record_reader_close(struct record_reader *r)
{
    if (r && r->fd >= 0)
        close(r->fd);
    free(r);
}

const char *record_reader_why(const struct record_reader *r)
{
    return r ? r->why : "out of memory";
}
