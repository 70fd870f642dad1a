/* shared_counter.c: a small interpreter with a lock: its threads share its data, and run in turn */
#include <gil.h>
#include <stdio.h>
#include <unistd.h>

enum { COUNT, SLEEP, REPEAT, END };

static const int program[] = {COUNT, SLEEP, REPEAT, END};

static long counter; /* data of the interpreter: whoever has the lock may touch it */

static void interpret(void *arg)
{
    int left = *(int *)arg;

    for (int at = 0;; at++) {
        gil_checkpoint(); /* between any two instructions, others may run */
        switch (program[at]) {
        case COUNT:
            counter++;
            break;
        case SLEEP: /* what may block is done without the lock */
            GIL_BEGIN_ALLOW_THREADS
            usleep(100);
            GIL_END_ALLOW_THREADS
            break;
        case REPEAT:
            if (--left > 0)
                at = -1;
            break;
        case END:
            return;
        }
    }
}

int main(void)
{
    int rounds = 1000;
    gil_thread *threads[4];

    if (gil_initialize(0) != 0)
        return 1;
    for (int i = 0; i < 4; i++)
        if (gil_thread_start(&threads[i], NULL, interpret, &rounds) == GIL_NO_THREAD)
            return 1;
    for (int i = 0; i < 4; i++)
        gil_thread_join(threads[i], -1); /* gives the lock up while it waits */
    printf("%ld\n", counter);
    gil_finalize();
    return 0;
}
