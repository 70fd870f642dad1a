/* A program with the marks of an interpreter that libgil has no layout for, for unrecognised.test:
 * it exports the two names that a CPython exports, and a version of the future.
 *
 * Invariant: it runs as if nobody were there; libgil must say one line and touch nothing. */
#include <pthread.h>
#include <stdio.h>

extern char _PyRuntime[1 << 16];
extern const unsigned long Py_Version;

char _PyRuntime[1 << 16];
const unsigned long Py_Version = 0x030d00f0; /* 3.13.0 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *count(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&mutex);
        ++*(long *)arg;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[2];
    long total = 0, touched = 0;

    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, count, &total);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < sizeof _PyRuntime; i++)
        touched += _PyRuntime[i] != 0;
    printf("%ld %ld\n", total, touched);
    return 5;
}
