/* What else the classic names offer: pending calls, threads that were created outside, values of a
 * thread's own, thread locks, intervals, exceptions from another thread, fork, starting over. */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gil/python.h>

static long long now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static PyThread_type_lock taken_lock(void)
{
    PyThread_type_lock lock = PyThread_allocate_lock();

    assert(PyThread_acquire_lock(lock, NOWAIT_LOCK) == 1);
    return lock;
}

/* ---- Pending calls ---- */

static int called[3];
static int number_of_calls;

static int note_call(void *arg)
{
    called[number_of_calls++] = *(int *)arg;
    return *(int *)arg == 2 ? -1 : 0;
}

static void test_pending_calls(void)
{
    int numbers[] = {1, 2, 3};

    for (int i = 0; i < 3; i++)
        assert(Py_AddPendingCall(note_call, &numbers[i]) == 0);
    assert(number_of_calls == 0);
    assert(Py_MakePendingCalls() == -1);
    assert(number_of_calls == 2);
    assert(Py_MakePendingCalls() == 0);
    assert(number_of_calls == 3 && called[0] == 1 && called[1] == 2 && called[2] == 3);
}

/* ---- Threads that were created outside ---- */

static void *outside(void *arg)
{
    PyGILState_STATE outer, inner;
    PyThreadState *tstate;

    assert(!PyGILState_Check() && PyGILState_GetThisThreadState() == NULL);
    outer = PyGILState_Ensure();
    assert(outer == PyGILState_UNLOCKED && PyGILState_Check());
    tstate = PyGILState_GetThisThreadState();
    assert(tstate && tstate == PyThreadState_Get());
    inner = PyGILState_STATE_Ensure();
    assert(inner == PyGILState_LOCKED && PyThreadState_Get() == tstate);
    PyGILState_STATE_Release(inner);
    assert(PyGILState_Check());
    PyGILState_Release(outer);
    assert(!PyGILState_Check() && PyGILState_GetThisThreadState() == NULL);
    return arg;
}

static void test_ensure(void)
{
    pthread_t thread;

    assert(pthread_create(&thread, NULL, outside, NULL) == 0);
    Py_BEGIN_ALLOW_THREADS pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS assert(PyGILState_Check());
}

/* ---- Threads ---- */

static Py_tss_t key = Py_tss_NEEDS_INIT;
static PyThread_type_lock thread_ended;
static unsigned long ident_inside, native_id_inside;

static void of_a_thread(void *arg)
{
    PyThreadState *tstate = PyThreadState_New((PyInterpreterState *)arg);

    ident_inside = PyThread_get_thread_ident();
    native_id_inside = PyThread_get_thread_native_id();
    assert(native_id_inside == (unsigned long)syscall(SYS_gettid));
    assert(PyThread_tss_get(&key) == NULL);
    assert(PyThread_tss_set(&key, arg) == 0 && PyThread_tss_get(&key) == arg);

    PyEval_RestoreThread(tstate);
    assert(PyThreadState_GetDict() == NULL);
    PyThreadState_Clear(tstate);
    PyThreadState_DeleteCurrent();
    assert(!PyGILState_Check());

    PyThread_release_lock(thread_ended);
    PyThread_exit_thread();
}

static void test_threads(void)
{
    PyInterpreterState *interp = PyThreadState_Get()->interp;
    unsigned long ident;
    int mine = 1;

    assert(!PyThread_tss_is_created(&key));
    assert(PyThread_tss_create(&key) == 0 && PyThread_tss_is_created(&key));
    assert(PyThread_tss_set(&key, &mine) == 0);
    thread_ended = taken_lock();
    ident = PyThread_start_new_thread(of_a_thread, interp);
    assert(ident != PYTHREAD_INVALID_THREAD_ID && PyEval_ThreadsInitialized());
    Py_BEGIN_ALLOW_THREADS PyThread_acquire_lock(thread_ended, WAIT_LOCK);
    Py_END_ALLOW_THREADS assert(ident == ident_inside && ident != PyThread_get_thread_ident());
    assert(native_id_inside != PyThread_get_thread_native_id());
    assert(PyThread_tss_get(&key) == &mine);
    PyThread_tss_delete(&key);
    assert(!PyThread_tss_is_created(&key));
    PyThread_free_lock(thread_ended);
}

static void test_dict(void)
{
    int dict;

    assert(PyThreadState_GetDict() == NULL);
    gil_thread_state_set_dict(&dict);
    assert(PyThreadState_GetDict() == &dict);
    PyThreadState_Clear(PyThreadState_Get());
    assert(PyThreadState_GetDict() == NULL);
}

/* ---- Thread locks ---- */

static void test_thread_locks(void)
{
    PyThread_type_lock lock = taken_lock();
    long long start = now_us();

    assert(PyThread_acquire_lock(lock, NOWAIT_LOCK) == 0);
    assert(PyThread_acquire_lock_timed(lock, 0, 0) == PY_LOCK_FAILURE);
    assert(PyThread_acquire_lock_timed(lock, 20000, 1) == PY_LOCK_FAILURE);
    assert(now_us() - start >= 20000);

    /* An interrupt ends a wait only where that is asked for, and is there until then. */
    gil_interrupt(PyThread_get_thread_ident());
    assert(PyThread_acquire_lock_timed(lock, 1000, 0) == PY_LOCK_FAILURE);
    assert(PyThread_acquire_lock_timed(lock, -1, 1) == PY_LOCK_INTR);
    assert(PyThread_acquire_lock_timed(lock, 1000, 1) == PY_LOCK_FAILURE);

    PyThread_release_lock(lock);
    assert(PyThread_acquire_lock_timed(lock, PY_TIMEOUT_MAX, 1) == PY_LOCK_ACQUIRED);
    PyThread_release_lock(lock);
    assert(PyThread_acquire_lock_timed(lock, PY_TIMEOUT_MAX + 1, 0) == PY_LOCK_ACQUIRED);
    PyThread_free_lock(lock);
}

/* ---- The module sys ---- */

static void test_intervals(void)
{
    assert(sys_getcheckinterval() == 100);
    sys_setcheckinterval(10);
    assert(sys_getcheckinterval() == 10);

    assert(fabs(sys_getswitchinterval() - 0.005) < 1e-9);
    assert(sys_setswitchinterval(0.25) == 0);
    assert(fabs(sys_getswitchinterval() - 0.25) < 1e-9);
    assert(sys_setswitchinterval(0) == -1 && errno == EINVAL);
    assert(sys_setswitchinterval(-1) == -1 && errno == EINVAL);
    assert(sys_setswitchinterval(NAN) == -1 && errno == EINVAL);
    assert(sys_setswitchinterval(INFINITY) == -1 && errno == EINVAL);
    assert(fabs(sys_getswitchinterval() - 0.25) < 1e-9);
}

static void test_exceptions(void)
{
    int exception;

    assert(sys_exc_info().type == NULL);
    assert(PyThreadState_SetAsyncExc(PYTHREAD_INVALID_THREAD_ID, &exception) == 0);
    assert(PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), &exception) == 1);
    while (gil_checkpoint() == 0)
        ;
    assert(sys_exc_info().type == &exception);
    PyThreadState_Clear(PyThreadState_Get());
    assert(sys_exc_info().type == NULL);
}

/* ---- The process ---- */

static void test_fork(void)
{
    int status;
    pid_t child;

    PyOS_BeforeFork();
    child = fork();
    if (child == 0) {
        PyOS_AfterFork_Child();
        assert(PyGILState_Check());
        Py_BEGIN_ALLOW_THREADS Py_END_ALLOW_THREADS _exit(7);
    }
    PyOS_AfterFork_Parent();
    assert(PyGILState_Check());
    assert(waitpid(child, &status, 0) == child);
    assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* ---- What has no way to return an error ---- */

static void initialize_without_memory(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_AS, &none);
    Py_Initialize();
}

static void release_a_free_lock(void)
{
    PyThread_release_lock(PyThread_allocate_lock());
}

/* It is fatal, and says so in a line that begins like that. */
static void assert_fatal(void (*does)(void), const char *line)
{
    char said[200] = "";
    int ends[2], status;
    pid_t child;

    assert(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        does();
        _exit(0);
    }
    close(ends[1]);
    assert(read(ends[0], said, sizeof said - 1) > 0);
    assert(strncmp(said, line, strlen(line)) == 0);
    close(ends[0]);
    assert(waitpid(child, &status, 0) == child);
    assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    assert_fatal(initialize_without_memory, "libgil: Py_Initialize: ");
    assert_fatal(release_a_free_lock, "libgil: PyThread_release_lock: ");
    for (int round = 0; round < 2; round++) {
        assert(!Py_IsInitialized());
        Py_Initialize();
        Py_Initialize();
        assert(Py_IsInitialized());
        number_of_calls = 0;
        test_pending_calls();
        test_threads();
        test_ensure();
        test_dict();
        test_thread_locks();
        test_exceptions();
        test_fork();
        if (round == 0)
            test_intervals();
        Py_Finalize();
        Py_Finalize();
    }
    return 0;
}
