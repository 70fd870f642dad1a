/* Does to a lock of its own what the tracer is then asked about. Waits for a line on standard input
 * before, so that somebody can attach:
 *
 *   known releases N    acquires and releases N times
 *   known waits N       has another thread wait for it for a millisecond, N times, and prints its own
 *                       thread's number
 *   known swaps         makes a second thread state current, and the first again, three times, and
 *                       prints the addresses of both
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gil.h>

static void releases(int count)
{
    static gil_lock lock = GIL_LOCK_INIT;

    for (int i = 0; i < count; i++) {
        gil_lock_acquire(&lock);
        gil_lock_release(&lock);
    }
}

static gil_lock held = GIL_LOCK_INIT;
static sem_t is_held, was_waited_for;

static void *waits_main(void *count)
{
    for (int i = *(int *)count; i > 0; i--) {
        sem_wait(&is_held);
        gil_lock_acquire(&held);
        gil_lock_release(&held);
        sem_post(&was_waited_for);
    }
    return NULL;
}

static void waits(int count)
{
    pthread_t other;

    pthread_create(&other, NULL, waits_main, &count);
    for (int i = count; i > 0; i--) {
        gil_lock_acquire(&held);
        sem_post(&is_held);
        usleep(1000);
        gil_lock_release(&held);
        sem_wait(&was_waited_for);
    }
    pthread_join(other, NULL);
    printf("%d\n", (int)getpid());
}

static int swaps(void)
{
    gil_thread_state *first, *second;

    if (gil_initialize(0) != 0)
        return 1;
    first = gil_thread_state_get();
    second = gil_thread_state_new(gil_thread_state_interpreter(first));
    for (int i = 0; i < 3; i++) {
        gil_thread_state_swap(second);
        gil_thread_state_swap(first);
    }
    printf("%p %p\n", (void *)first, (void *)second);
    return 0;
}

int main(int argc, char **argv)
{
    char line[8];

    if (!fgets(line, sizeof line, stdin))
        return 1;
    if (argc == 3 && strcmp(argv[1], "releases") == 0)
        releases(atoi(argv[2]));
    else if (argc == 3 && strcmp(argv[1], "waits") == 0)
        waits(atoi(argv[2]));
    else
        return swaps();
    return 0;
}
