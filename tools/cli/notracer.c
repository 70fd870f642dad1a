/* Stands in for the tracer where its BPF programs could not be built: it says so. */
#include "tools/cli/tracer.h"

#include <errno.h>

#include "tools/cli/cli.h"

int tracer_open(struct tracer **t, const struct tracer_options *options)
{
    (void)options;
    *t = NULL;
    return -EOPNOTSUPP;
}

const char *tracer_why(const struct tracer *t)
{
    (void)t;
    return "built without tracing: clang, bpftool or libbpf was missing (make deps installs them)";
}

int tracer_status(int error)
{
    return error ? EXIT_MISSING : EXIT_OK;
}

void tracer_close(struct tracer *t)
{
    (void)t;
}

/* Nothing else is called without a tracer. */
int tracer_attach(struct tracer *t)
{
    (void)t;
    return -EOPNOTSUPP;
}

int tracer_poll(struct tracer *t, int timeout_ms)
{
    (void)t, (void)timeout_ms;
    return -EOPNOTSUPP;
}

void tracer_processes(struct tracer *t, void (*fn)(const struct tracer_process *, void *),
                      void *arg)
{
    (void)t, (void)fn, (void)arg;
}

void tracer_threads(struct tracer *t, void (*fn)(const struct gil_thread *, void *), void *arg)
{
    (void)t, (void)fn, (void)arg;
}

void tracer_places(struct tracer *t, void (*fn)(const struct tracer_place *, void *), void *arg)
{
    (void)t, (void)fn, (void)arg;
}

const struct tracer_function *tracer_function(const struct tracer *t, uint32_t function)
{
    (void)t, (void)function;
    return NULL;
}

uint64_t tracer_loss(struct tracer *t, enum gil_loss loss)
{
    (void)t, (void)loss;
    return 0;
}

const char *tracer_loss_name(enum gil_loss loss)
{
    (void)loss;
    return "";
}

struct gil_sum tracer_cost(struct tracer *t)
{
    (void)t;
    return (struct gil_sum){0};
}

int tracer_child_status(const struct tracer *t)
{
    (void)t;
    return -1;
}

int tracer_detach(struct tracer *t)
{
    (void)t;
    return 0;
}
