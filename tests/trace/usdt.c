/* Hits each probe of the lock a known number of times. Waits on standard input before, so that
 * somebody can attach:
 *
 *   usdt uncontended N      acquires and releases N times
 *   usdt handed             one thread has the lock for 20 ms while another waits for it, and asks
 *   usdt swaps              makes a second thread state current, and the first again, three times
 *   usdt read               a thread blocks in gil_read() until there is a byte, 20 ms later
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gil.h>

static gil_lock lock = GIL_LOCK_INIT;

static void uncontended(int count)
{
    for (int i = 0; i < count; i++) {
        gil_lock_acquire(&lock);
        gil_lock_release(&lock);
    }
}

static void *wait_once(void *arg)
{
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    return arg;
}

static void handed(void)
{
    struct timespec hold = {.tv_nsec = 20000000};
    pthread_t waiter;

    gil_lock_acquire(&lock);
    pthread_create(&waiter, NULL, wait_once, NULL);
    nanosleep(&hold, NULL);
    while (!gil_lock_drop_requested(&lock))
        ;
    gil_lock_release(&lock);
    pthread_join(waiter, NULL);
}

static void swaps(void)
{
    gil_thread_state *first = gil_thread_state_get(), *second;

    second = gil_thread_state_new(gil_thread_state_interpreter(first));
    for (int i = 0; i < 3; i++) {
        gil_thread_state_swap(second);
        gil_thread_state_swap(first);
    }
    printf("%p %p\n", (void *)first, (void *)second);
    gil_thread_state_clear(second);
    gil_thread_state_delete(second);
}

static int ends[2];

static void *write_late(void *arg)
{
    struct timespec pause = {.tv_nsec = 20000000};

    nanosleep(&pause, NULL);
    if (write(ends[1], "x", 1) != 1)
        abort();
    return arg;
}

static void read_one(void)
{
    pthread_t writer;
    char c;

    gil_init_threads();
    if (pipe(ends) != 0)
        abort();
    pthread_create(&writer, NULL, write_late, NULL);
    if (gil_read(ends[0], &c, 1) != 1)
        abort();
    pthread_join(writer, NULL);
    printf("%p %d\n", (void *)gil_thread_state_get(), ends[0]);
}

int main(int argc, char **argv)
{
    char line[8];

    if (argc == 2 && gil_initialize(0) != 0)
        return 1;
    printf("%d %p\n", getpid(), (void *)&lock);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 1;
    if (argc == 3 && strcmp(argv[1], "uncontended") == 0)
        uncontended(atoi(argv[2]));
    else if (argc == 2 && strcmp(argv[1], "handed") == 0)
        handed();
    else if (argc == 2 && strcmp(argv[1], "swaps") == 0)
        swaps();
    else if (argc == 2 && strcmp(argv[1], "read") == 0)
        read_one();
    else
        return 2;
    return 0;
}
