/* What the parts of the tracer share (tracer.h):
 *
 *   tracer.c            opening, polling, closing        tracer_file.c   files that have probe sites
 *   tracer_process.c    processes, attaching to them     tracer_name.c   functions and their lines
 *
 * Invariant: a file's descriptor stays open, and its entry where it is, for as long as the tracer
 * lives: probes are attached by it, and the cookies of its sites are indexes into the BPF side's
 * map. */
#ifndef GIL_CLI_TRACER_IMPL_H
#define GIL_CLI_TRACER_IMPL_H

#include <stdarg.h>

#include "tools/cli/tracer.h"

enum {
    TRACER_FILES = 64,   /* that have sites, or were found to have none: more are not looked at */
    TRACER_SITES = 64,   /* of one file */
    TRACER_TIMERS = 256, /* processors that are sampled */
};

/* A file that a process has mapped, or will. */
struct traced_file {
    uint64_t device, inode;
    int fd;
    enum { FILE_OTHER, FILE_LIBGIL, FILE_DROPIN, FILE_PYTHON } kind;
    size_t site_count;
    uint64_t offsets[TRACER_SITES], semaphores[TRACER_SITES], cookies[TRACER_SITES];
    uint64_t gil; /* FILE_PYTHON: where the interpreter's lock is, counted from the file's start */
};

/* The probes of one file in one process. */
struct attached {
    size_t file;
    int link;
};

struct traced_process {
    pid_t pid, ns_pid;
    int pidfd; /* -1: it has ended */
    char name[32];
    bool recognised;
    uint64_t next_scan_ns, scan_interval_ns; /* of what it has mapped */
    struct attached *attached;
    size_t attached_count;
};

struct traced_function {
    struct tracer_function names;
    struct gil_function *raw; /* as it came: has the first part of the table of lines */
    uint8_t *table;           /* all of that, if it is longer */
    size_t table_size;
};

struct tracer {
    struct tracer_options options;
    struct tracer_bpf *bpf;
    struct ring_buffer *ring;
    const struct gil_thread *threads;       /* the map, in our memory too */
    struct bpf_link *timers[TRACER_TIMERS]; /* links of the sampler */
    size_t timer_count;
    bool attached, has_detached;

    struct traced_file files[TRACER_FILES];
    size_t file_count;
    uint32_t site_count; /* of all files */
    struct traced_process *processes;
    size_t process_count;
    struct traced_function *functions; /* by number */
    size_t function_count;
    uint64_t losses[GIL_LOSSES]; /* those that the tracer itself finds out about */

    pid_t command;    /* the process of the command that was started; 0: none */
    int command_go;   /* it waits until something is written here */
    int command_said; /* and writes its errno here if it could not execute the command */
    int command_status;

    char why[256];
};

/* Says why, and returns -error. */
int tracer_fails(struct tracer *t, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The index in t->files of the open file, which is looked at if it is new; it takes the descriptor.
 * `path` is its name. Returns a negative errno if there is no room. */
int tracer_file(struct tracer *t, int fd, const char *path);
void tracer_files_close(struct tracer *t);

/* Traces one more process. Returns its index, or a negative errno. */
int tracer_process_add(struct tracer *t, pid_t pid);
/* Attaches to a file before the process has mapped it. */
int tracer_process_attach(struct tracer *t, size_t process, size_t file);
/* Looks at what it has mapped, and attaches to what is new. Returns 0 or a negative errno. */
int tracer_process_scan(struct tracer *t, size_t process);
/* Scans those that are due. */
void tracer_processes_follow(struct tracer *t);
/* Waits for so long, or until a process ends; forgets those that have. False: all of them have. */
bool tracer_processes_wait(struct tracer *t, int timeout_ms);
void tracer_process_forked(struct tracer *t, pid_t child);
void tracer_process_executed(struct tracer *t, pid_t pid);
void tracer_processes_detach(struct tracer *t);
void tracer_processes_close(struct tracer *t);

/* A function record has come. */
void tracer_function_came(struct tracer *t, const struct gil_function *raw);
/* The line of a place that has the byte of the function's code instead; 0, and a loss, if unknown. */
uint32_t tracer_line(struct tracer *t, uint32_t function, uint32_t offset);
void tracer_functions_close(struct tracer *t);

#endif
