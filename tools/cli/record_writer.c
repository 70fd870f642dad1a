/* Writing a record file: see record_file.h.
 *
 * Invariant: `chunk` is the chunk that is being filled, and everything before it is in the file,
 * whole. A chunk is written by one call, so that a killed recorder leaves at most one that is not. */
#define _GNU_SOURCE

#include "tools/cli/record_file.h"
#include "tools/cli/record_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

/* No record is longer: a byte, six numbers of ten bytes each, two texts. */
#define RECORD_MAX (1 + 6 * 10 + 2 * (10 + RECORD_TEXT_MAX))

/* An event has at most twelve numbers. */
_Static_assert(1 + 12 * 10 <= RECORD_MAX, "an event fits where a record does");

struct record_writer {
    int fd, error;
    uint64_t written; /* bytes of the file that are whole chunks (or its header) */
    struct {
        uint64_t time_ns, lock, pid;
    } last; /* what the last event in this chunk had */
    size_t length;
    struct {
        struct record_chunk_header header;
        unsigned char records[RECORD_CHUNK_MAX];
    } chunk;
    char path[128], why[256];
};

/* Remembers an error, which ends the writing; returns it. */
static int fail(struct record_writer *w, int error, const char *what)
{
    w->error = error;
    snprintf(w->why, sizeof w->why, "%s %s: %s", what, w->path, strerror(-error));
    return error;
}

/* Writes it all, or takes back what has been written of it (which a pipe cannot). */
static int write_whole(struct record_writer *w, const void *bytes, size_t size)
{
    const char *at = bytes;
    size_t left = size;

    while (left > 0) {
        ssize_t count = write(w->fd, at, left);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            int error = -errno;

            if (ftruncate(w->fd, (off_t)w->written) == 0)
                lseek(w->fd, (off_t)w->written, SEEK_SET);
            return fail(w, error, "cannot write to");
        }
        at += count;
        left -= (size_t)count;
    }
    w->written += size;
    return 0;
}

static int write_header(struct record_writer *w, const struct record_start *start)
{
    struct record_header header = {.order = RECORD_ORDER,
                                   .version = RECORD_VERSION,
                                   .start_ns = start->time_ns,
                                   .wall_ns = start->wall_ns,
                                   .tier = start->tier};
    struct utsname name;

    memcpy(header.magic, RECORD_MAGIC, sizeof header.magic);
    if (uname(&name) == 0)
        snprintf(header.machine, sizeof header.machine, "%.*s", (int)sizeof header.machine - 1,
                 name.machine);
    header.checksum = (uint32_t)record_checksum(RECORD_CHECKSUM, &header,
                                                offsetof(struct record_header, checksum));
    return write_whole(w, &header, sizeof header);
}

int record_writer_open(struct record_writer **to, const char *path,
                       const struct record_start *start)
{
    struct record_writer *w = *to = calloc(1, sizeof *w);
    int status;

    if (!w)
        return -ENOMEM;
    snprintf(w->path, sizeof w->path, "%s", path);
    if (strcmp(path, "-") == 0) {
        snprintf(w->path, sizeof w->path, "standard output");
        w->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    } else {
        w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (w->fd < 0 && errno == EEXIST) {
        fail(w, -EEXIST, "cannot create");
        snprintf(w->why, sizeof w->why, "%s is there already: remove it, or name another file",
                 w->path);
        return w->error;
    }
    if (w->fd < 0)
        return fail(w, -errno, "cannot create");
    status = write_header(w, start);
    if (status != 0 && strcmp(path, "-") != 0)
        unlink(path);
    return status;
}

/* ---- Records ---- */

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static void put_byte(struct record_writer *w, unsigned int byte)
{
    w->chunk.records[w->length++] = (unsigned char)byte;
}

static void put(struct record_writer *w, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        put_byte(w, (unsigned int)(number & 0x7f) | 0x80);
    put_byte(w, (unsigned int)number);
}

/* The difference, however large. */
static void put_difference(struct record_writer *w, uint64_t value, uint64_t before)
{
    put(w, zigzag((int64_t)(value - before)));
}

static void put_text(struct record_writer *w, const char *text)
{
    size_t length = text ? strnlen(text, RECORD_TEXT_MAX) : 0;

    put(w, length);
    memcpy(w->chunk.records + w->length, text ? text : "", length);
    w->length += length;
}

/* Begins a record, in a new chunk if there might not be room for it. */
static int begin(struct record_writer *w, unsigned int kind)
{
    if (w->length + RECORD_MAX > sizeof w->chunk.records)
        record_writer_flush(w);
    if (w->error == 0)
        put_byte(w, kind);
    return w->error;
}

int record_write_process(struct record_writer *w, const struct record_process *process)
{
    if (begin(w, RECORD_PROCESS) != 0)
        return w->error;
    put(w, (uint32_t)process->pid);
    put(w, (uint32_t)process->ns_pid);
    put_text(w, process->name);
    return 0;
}

int record_write_thread(struct record_writer *w, const struct record_thread *thread)
{
    if (begin(w, RECORD_THREAD) != 0)
        return w->error;
    put(w, (uint32_t)thread->pid);
    put(w, (uint32_t)thread->tid);
    put(w, (uint32_t)thread->ns_tid);
    put_text(w, thread->name);
    return 0;
}

int record_write_function(struct record_writer *w, uint32_t number,
                          const struct tracer_function *function)
{
    /* The reader would take it for damage. Its events are of a function that is not known. */
    if (number == 0 || number >= RECORD_FUNCTIONS_MAX)
        return 0;
    if (begin(w, RECORD_FUNCTION) != 0)
        return w->error;
    put(w, number);
    put(w, function->language);
    put(w, (uint32_t)function->pid);
    put(w, function->line);
    put_text(w, function->name);
    put_text(w, function->file);
    return 0;
}

int record_write_loss(struct record_writer *w, unsigned int loss, const char *name, uint64_t count)
{
    if (begin(w, RECORD_LOSS) != 0)
        return w->error;
    put(w, loss);
    put(w, count);
    put_text(w, name);
    return 0;
}

static void put_place(struct record_writer *w, const struct gil_place *place)
{
    bool known = place->function < RECORD_FUNCTIONS_MAX;

    put(w, known ? place->function : 0);
    put(w, known ? place->line : 0);
}

int record_write_event(struct record_writer *w, const struct gil_event *event)
{
    if (begin(w, RECORD_EVENT + event->kind) != 0)
        return w->error;
    put(w, event->flags);
    put_difference(w, event->time_ns, w->last.time_ns);
    put(w, event->duration_ns);
    put_difference(w, event->lock, w->last.lock);
    put_difference(w, event->pid, w->last.pid);
    put_difference(w, event->tid, event->pid);
    put_place(w, &event->place);
    put_difference(w, event->other, event->tid);
    switch (event->kind) {
    case GIL_EVENT_WAIT:
    case GIL_EVENT_BLAME:
        put_place(w, &event->other_place);
        break;
    case GIL_EVENT_SWAP:
        put(w, event->swap.from);
        put_difference(w, event->swap.to, event->swap.from);
        break;
    case GIL_EVENT_IO:
        put(w, zigzag(event->io.op));
        put(w, zigzag(event->io.fd));
        put(w, zigzag(event->io.result));
        break;
    case GIL_EVENT_HANDOFF:
        put(w, event->delay_ns);
        break;
    }
    w->last.time_ns = event->time_ns;
    w->last.lock = event->lock;
    w->last.pid = event->pid;
    return 0;
}

/* ---- Chunks ---- */

int record_writer_flush(struct record_writer *w)
{
    struct record_chunk_header *header = &w->chunk.header;
    uint64_t sum = RECORD_CHECKSUM;

    if (w->error != 0 || w->length == 0)
        return w->error;
    *header =
        (struct record_chunk_header){.magic = RECORD_CHUNK_MAGIC, .length = (uint32_t)w->length};
    sum = record_checksum(sum, header, offsetof(struct record_chunk_header, checksum));
    header->checksum = (uint32_t)record_checksum(sum, w->chunk.records, w->length);
    if (write_whole(w, &w->chunk, sizeof *header + w->length) != 0)
        return w->error;
    w->length = 0;
    memset(&w->last, 0, sizeof w->last);
    return 0;
}

uint64_t record_writer_bytes(const struct record_writer *w)
{
    return w->written + (w->length ? sizeof w->chunk.header + w->length : 0);
}

int record_writer_finish(struct record_writer *w, uint64_t end_ns)
{
    if (begin(w, RECORD_END) != 0)
        return w->error;
    put(w, end_ns);
    return record_writer_flush(w);
}

void record_writer_close(struct record_writer *w)
{
    if (w && w->fd >= 0)
        close(w->fd);
    free(w);
}

const char *record_writer_why(const struct record_writer *w)
{
    return w ? w->why : "out of memory";
}
