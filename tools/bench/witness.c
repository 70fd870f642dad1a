/* Reads the clock again and again on each processor, and notes each time it was not let run.
 *
 * A wait that a thread of the measured program sees may be the machine's doing: on a virtual
 * machine all threads of a CPU stand still now and then. A reading that comes late is such a hole.
 * A witness that ran all the time would take a processor away from the measured program, for whole
 * ticks that it would not see itself; so there is one for each processor, which sleeps between its
 * readings and runs before everybody else (where that is not allowed, like everybody else). Runs
 * until SIGTERM, then prints one JSON line with the ends of each hole (CLOCK_MONOTONIC, ns), those
 * of a processor in their order.
 *
 * Invariant: every hole longer than HOLE_NS is printed; if there are more than fit, it says so and
 * exits 1. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

enum { PERIOD_NS = 250000, HOLE_NS = 500000, ROOM = 65536, CPUS_MAX = 64 };

struct witness {
    pthread_t thread;
    int cpu;
    size_t count;
    uint64_t holes[ROOM][2];
};

static bool stop;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void *watch(void *arg)
{
    struct witness *w = arg;
    struct sched_param first = {.sched_priority = 1};
    struct timespec period = {.tv_nsec = PERIOD_NS};
    cpu_set_t cpu;

    CPU_ZERO(&cpu);
    CPU_SET(w->cpu, &cpu);
    pthread_setaffinity_np(pthread_self(), sizeof cpu, &cpu);
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
    for (uint64_t last = now_ns(), this; !__atomic_load_n(&stop, __ATOMIC_RELAXED); last = this) {
        nanosleep(&period, NULL);
        this = now_ns();
        if (this - last <= HOLE_NS)
            continue;
        if (w->count == ROOM) {
            fprintf(stderr, "witness: more than %d holes\n", ROOM);
            exit(1);
        }
        w->holes[w->count][0] = last;
        w->holes[w->count++][1] = this;
    }
    return NULL;
}

int main(void)
{
    struct witness *witnesses[CPUS_MAX];
    const char *comma = "";
    int count = 0, received;
    cpu_set_t usable;
    sigset_t term;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    sched_getaffinity(0, sizeof usable, &usable);
    for (int cpu = 0; cpu < CPU_SETSIZE && count < CPUS_MAX; cpu++) {
        struct witness *w;

        if (!CPU_ISSET(cpu, &usable))
            continue;
        w = calloc(1, sizeof *w);
        if (w)
            w->cpu = cpu;
        if (!w || pthread_create(&w->thread, NULL, watch, w) != 0) {
            fprintf(stderr, "witness: no memory for a thread\n");
            return 1;
        }
        witnesses[count++] = w;
    }
    puts("{\"ready\": true}");
    fflush(stdout);
    sigwait(&term, &received);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    fputs("{\"holes\": [", stdout);
    for (int i = 0; i < count; i++) {
        const struct witness *w = witnesses[i];

        pthread_join(w->thread, NULL);
        for (size_t k = 0; k < w->count; k++, comma = ", ")
            printf("%s[%llu, %llu]", comma, (unsigned long long)w->holes[k][0],
                   (unsigned long long)w->holes[k][1]);
    }
    puts("]}");
    return 0;
}
