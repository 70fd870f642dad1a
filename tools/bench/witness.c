/* Reads the clock in a loop and notes each time it was not let run.
 *
 * A wait that a thread of the measured program sees may be the machine's doing: on a virtual
 * machine all threads of a CPU stand still now and then. A gap between two readings here is such a
 * hole. Runs until SIGTERM, then prints one JSON line with the ends of each hole (CLOCK_MONOTONIC,
 * ns).
 *
 * Invariant: every hole longer than HOLE_NS is printed; if there are more than fit, it says so and
 * exits 1. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

enum { HOLE_NS = 500000, ROOM = 65536 };

static volatile sig_atomic_t stop;
static uint64_t holes[ROOM][2];

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int main(void)
{
    size_t count = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* whoever killed the driver did not stop this loop */
    signal(SIGTERM, on_term);
    puts("{\"ready\": true}");
    fflush(stdout);
    for (uint64_t last = now_ns(), this; !stop; last = this) {
        this = now_ns();
        if (this - last <= HOLE_NS)
            continue;
        if (count == ROOM) {
            fprintf(stderr, "witness: more than %d holes\n", ROOM);
            return 1;
        }
        holes[count][0] = last;
        holes[count++][1] = this;
    }
    fputs("{\"holes\": [", stdout);
    for (size_t i = 0; i < count; i++)
        printf("%s[%llu, %llu]", i ? ", " : "", (unsigned long long)holes[i][0],
               (unsigned long long)holes[i][1]);
    puts("]}");
    return 0;
}
