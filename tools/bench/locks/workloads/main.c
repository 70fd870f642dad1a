/* Runs one workload on the one lock that is linked in: see ../bench.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/locks/bench.h"

void print_end(void)
{
    if (peer.print_counters)
        peer.print_counters();
    puts("}");
}

static const struct {
    const char *name;
    void (*run)(int64_t ns);
} workloads[] = {
    {"pair", pair},
    {"checkpoint", checkpoint},
    {"spin", handover_spin},
    {"apart", handover_apart},
    {"together", handover_together},
    {"io", io},
};

int main(int argc, char **argv)
{
    double seconds = argc == 3 ? atof(argv[2]) : 0;

    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (seconds <= 0 || strcmp(argv[1], workloads[i].name) != 0)
            continue;
        if (peer.init)
            peer.init();
        workloads[i].run((int64_t)(seconds * 1e9));
        return 0;
    }
    fprintf(stderr, "usage: %s pair|checkpoint|spin|apart|together|io SECONDS\n", argv[0]);
    return 2;
}
