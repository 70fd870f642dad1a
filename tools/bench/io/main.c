/* Runs one workload in one way: see bench.h. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gil/io.h>

#include "tools/bench/io/bench.h"

static const struct {
    const char *name;
    void (*run)(int64_t ns);
} workloads[] = {
    {"recv-alone", recv_alone},
    {"recv-contended", recv_contended},
    {"echo-16", echo_16},
    {"echo-64", echo_64},
    {"reads", reads},
    {"direct-one", direct_one},
    {"direct-waves", direct_waves},
    {"direct-flow", direct_flow},
    {"direct-batch-waves", direct_batch_waves},
    {"direct-batch-flow", direct_batch_flow},
    {"crowd-10", crowd_10},
    {"crowd-10000", crowd_10000},
};

/* The way's backend, or the end: figures of another one would pass for its own. */
static void choose_backend(void)
{
    if (!way->backend)
        return;
    setenv("GIL_IO", way->backend, 1);
    if (strcmp(way->backend, "uring") != 0 || gil_io_status() == GIL_IO_URING)
        return;
    printf("{\"missing\": \"no io_uring: %s\"}\n", gil_io_reason_text(gil_io_status()));
    exit(0);
}

int main(int argc, char **argv)
{
    double seconds = argc == 4 ? atof(argv[3]) : 0;

    way = argc == 4 ? way_of(argv[1]) : NULL;
    for (size_t i = 0; way && seconds > 0 && i < sizeof workloads / sizeof *workloads; i++) {
        if (strcmp(argv[2], workloads[i].name) != 0)
            continue;
        signal(SIGPIPE, SIG_IGN);
        choose_backend();
        workloads[i].run((int64_t)(seconds * 1e9));
        return 0;
    }
    fprintf(stderr, "usage: %s ring|syscall|try|plain|cpython WORKLOAD SECONDS, WORKLOAD one of\n",
            argv[0]);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        fprintf(stderr, "    %s\n", workloads[i].name);
    return 2;
}
