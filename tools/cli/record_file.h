/* The file that `gil record` writes and `gil report` reads.
 *
 * It is a header and then chunks, each with its length and a checksum, so that a file that was cut
 * off (the recorder was killed, the disk was full) is good up to the last flush. What is in it:
 * processes, threads, functions, events (bpf/shared.h), how much was lost of what, and, if the
 * recording came to its end, when that was. record_format.h has the layout.
 *
 * Invariants
 * 1. A file that exists is never written to.
 * 2. The writer keeps at most RECORD_CHUNK_MAX bytes in memory, and the reader too. Both take time in
 *    proportion to what they write and read.
 * 3. Nothing in a file is believed. Numbers, lengths and texts that the reader passes on are within
 *    the limits below; texts are terminated and have no control characters.
 * 4. Functions return 0 or a negative errno, and …_why() then says in one line what was wrong and
 *    what to do. After an error of the writer each further call returns it.
 *
 * A writer or reader belongs to one thread. Nothing here prints. */
#ifndef GIL_CLI_RECORD_FILE_H
#define GIL_CLI_RECORD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/shared.h"
#include "tools/cli/tracer.h"

#define RECORD_FILE_NAME     "gil.record" /* the default of both commands */
#define RECORD_CHUNK_MAX     65536        /* bytes */
#define RECORD_TEXT_MAX      1024         /* bytes of a name; longer ones are cut */
#define RECORD_FUNCTIONS_MAX (1u << 20)   /* functions are numbered below this */
#define RECORD_LOSSES_MAX    32           /* classes are numbered below this */

/* How a recording began. */
struct record_start {
    uint64_t time_ns;      /* CLOCK_MONOTONIC, as the times of events are */
    uint64_t wall_ns;      /* CLOCK_REALTIME of the same moment */
    enum tracer_tier tier; /* how much was looked at */
    char machine[16];      /* what uname -m says; the writer fills it in */
};

struct record_process {
    pid_t pid, ns_pid; /* as the first pid namespace numbers it, and as its own does */
    const char *name;
};

struct record_thread {
    pid_t pid, tid, ns_tid;
    const char *name;
};

/* A process, thread, function or loss that is written again replaces what was known of it. */

/* ---- Writing ---- */

struct record_writer;

/* Creates the file (mode 0600; -EEXIST if there is one) and writes its header. "-" is standard
 * output; the caller ignores SIGPIPE then. *w is set in any case, unless memory is short (NULL, and
 * -ENOMEM). */
int record_writer_open(struct record_writer **w, const char *path,
                       const struct record_start *start);

int record_write_process(struct record_writer *w, const struct record_process *process);
int record_write_thread(struct record_writer *w, const struct record_thread *thread);

/* To be written before the first event that names it. */
int record_write_function(struct record_writer *w, uint32_t number,
                          const struct tracer_function *function);

int record_write_event(struct record_writer *w, const struct gil_event *event);

/* count is how many were lost so far in all; name is the end of "lost: 17 …". */
int record_write_loss(struct record_writer *w, unsigned int loss, const char *name, uint64_t count);

/* Hands everything to the kernel. Called at intervals, so that what a killed recorder leaves behind
 * is not old; does nothing when there is nothing new. */
int record_writer_flush(struct record_writer *w);

/* Bytes written so far, what is not flushed included. */
uint64_t record_writer_bytes(const struct record_writer *w);

/* Writes the end (CLOCK_MONOTONIC) and flushes. After it, or after an error, which leaves a file that
 * ends with its last whole chunk, only close is left to do. */
int record_writer_finish(struct record_writer *w, uint64_t end_ns);

/* Closes the file and frees the writer; takes NULL. Without finish before, the file says that the
 * recording was cut off, and what was not flushed is not in it. */
void record_writer_close(struct record_writer *w);

const char *record_writer_why(const struct record_writer *w);

/* ---- Reading ---- */

/* What is done with each thing in the file, in the order in which it was written. Each may be NULL.
 * What the pointers point to is valid during the call only. One that returns non-zero ends the
 * reading, with that result. */
struct record_visitor {
    int (*on_process)(const struct record_process *process, void *arg);
    int (*on_thread)(const struct record_thread *thread, void *arg);
    int (*on_function)(uint32_t number, const struct tracer_function *function, void *arg);
    int (*on_event)(const struct gil_event *event, void *arg);
    int (*on_loss)(unsigned int loss, const char *name, uint64_t count, void *arg);
};

struct record_reader;

/* Opens a file and checks its header: -EINVAL when it is no record, empty, cut within its header,
 * or of a version or byte order that is not understood. "-" is standard input. *r as above. */
int record_reader_open(struct record_reader **r, const char *path);

/* As it was given to the writer. */
const struct record_start *record_reader_start(const struct record_reader *r);

/* Reads all of it, once. -EINVAL when it is damaged: what was visited before is good. */
int record_reader_visit(struct record_reader *r, const struct record_visitor *visitor, void *arg);

/* After visit: when the recording ended; 0 if the file does not say. It was cut off then. */
uint64_t record_reader_end(const struct record_reader *r);

/* After visit: how many bytes of the file were good. */
uint64_t record_reader_bytes(const struct record_reader *r);

void record_reader_close(struct record_reader *r);
const char *record_reader_why(const struct record_reader *r);

#endif
