/* Two threads count one variable up, each by reading it, adding one, and writing it. With the lock
 * around that the result is right. Without it, a barrier between reading and writing makes it
 * wrong every time: both read the same. */
#undef NDEBUG
#include <assert.h>
#include <sched.h>
#include <unistd.h>

#include <gil/python.h>

#define ROUNDS 1000

typedef struct barrier {
    PyThread_type_lock arrived[2];
} barrier;

typedef struct counting {
    int me; /* 0 or 1 */
    PyInterpreterState *interp;
    PyThread_type_lock ended;
} counting;

static volatile long counter;
static barrier before, between, after;

static PyThread_type_lock taken_lock(void)
{
    PyThread_type_lock lock = PyThread_allocate_lock();

    assert(PyThread_acquire_lock(lock, NOWAIT_LOCK) == 1);
    return lock;
}

/* For two threads, the one called 0 and the one called 1; without the interpreter lock. */
static void meet(barrier *at, int me)
{
    PyThread_release_lock(at->arrived[me]);
    PyThread_acquire_lock(at->arrived[!me], WAIT_LOCK);
}

static void count_with_lock(void *arg)
{
    counting *c = (counting *)arg;
    PyThreadState *tstate = PyThreadState_New(c->interp);

    for (int i = 0; i < ROUNDS; i++) {
        long seen;

        meet(&before, c->me);
        PyEval_AcquireThread(tstate);
        seen = counter;
        sched_yield(); /* the other thread is welcome, but it has to wait */
        counter = seen + 1;
        PyEval_ReleaseThread(tstate);
        meet(&after, c->me);
    }
    PyThreadState_Delete(tstate);
    PyThread_release_lock(c->ended);
}

static void count_without_lock(void *arg)
{
    counting *c = (counting *)arg;

    for (int i = 0; i < ROUNDS; i++) {
        long seen = counter;

        meet(&between, c->me);
        counter = seen + 1;
        meet(&after, c->me);
    }
    PyThread_release_lock(c->ended);
}

static long count(void (*how)(void *))
{
    counting c[2];

    counter = 0;
    for (int i = 0; i < 2; i++) {
        c[i].me = i;
        c[i].interp = PyThreadState_Get()->interp;
        c[i].ended = taken_lock();
        assert(PyThread_start_new_thread(how, &c[i]) != (unsigned long)-1);
    }
    for (int i = 0; i < 2; i++) {
        Py_BEGIN_ALLOW_THREADS PyThread_acquire_lock(c[i].ended, WAIT_LOCK);
        Py_END_ALLOW_THREADS PyThread_free_lock(c[i].ended);
    }
    return counter;
}

int main(void)
{
    barrier *barriers[] = {&before, &between, &after};

    PyEval_InitThreads();
    Py_Initialize();
    for (int i = 0; i < 3; i++)
        for (int side = 0; side < 2; side++)
            barriers[i]->arrived[side] = taken_lock();
    assert(count(count_with_lock) == 2 * ROUNDS);
    assert(count(count_without_lock) == ROUNDS);
    Py_Finalize();
    return 0;
}
