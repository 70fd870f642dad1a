/* A program that embeds CPython through libpython3.11.so, for embed.test, finalize.test and
 * unrecognised.test:
 *
 *     embed reinit N    initialise, run threads, finalise: N times
 *     embed daemons K   K daemon threads of kind K (compute, sleep, read) when Py_FinalizeEx comes;
 *                       prints how many threads are left 100 ms later
 *     embed late        threads that come back from C, and new ones that want the lock, afterwards
 *     embed foreign     threads made by C that enter and leave with PyGILState
 *     embed run CODE    one program, such as python3 -c CODE
 *
 * Invariant: prints the same on stock and on libgil; the program never calls into Python after it
 * has finalised it, except where `late` says so. */
#include <Python.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int threads_left(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int n = 0;

    while (dir && (entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static void run(const char *code)
{
    if (PyRun_SimpleString(code) != 0)
        exit(1);
}

static const char *work = "import queue, threading, time, os\n"
                          "q = queue.Queue(2)\n"
                          "got = []\n"
                          "def take():\n"
                          "    while (x := q.get()) is not None: got.append(x); time.sleep(0)\n"
                          "ts = [threading.Thread(target=take) for i in range(3)]\n"
                          "for t in ts: t.start()\n"
                          "for i in range(300): q.put(i); sum(range(200))\n"
                          "for t in ts: q.put(None)\n"
                          "for t in ts: t.join()\n"
                          "r, w = os.pipe(); os.write(w, b'x'); os.read(r, 1)\n"
                          "os.close(r); os.close(w)\n"
                          "assert sorted(got) == list(range(300))\n";

static int reinit(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        Py_InitializeEx(0);
        run(work);
        if (Py_FinalizeEx() != 0)
            return 1;
    }
    for (int tries = 0; tries < 100 && threads_left() > 1; tries++)
        usleep(10000); /* a thread that was joined may still be on its way out */
    printf("%d rounds, %d thread\n", rounds, threads_left());
    return 0;
}

static int daemons(const char *kind)
{
    char code[1024];

    Py_InitializeEx(0);
    snprintf(code, sizeof(code),
             "import threading, time, os, socket\n"
             "def compute():\n"
             "    while True: sum(range(100))\n"
             "def sleep():\n"
             "    while True: time.sleep(0.0005)\n"
             "a, b = socket.socketpair()\n"
             "def read():\n"
             "    while True: a.send(b'x'); b.recv(1)\n"
             "for i in range(4): threading.Thread(target=%s, daemon=True).start()\n"
             "time.sleep(0.03)\n",
             kind);
    run(code);
    if (Py_FinalizeEx() != 0)
        return 1;
    usleep(100000);
    printf("%d left\n", threads_left());
    return 0;
}

/* Late arrivals: two daemon threads that come back from a read when Python is gone. They must end,
 * or stay quiet, as on stock. */
static int late(void)
{
    int fds[2];
    char code[512];

    if (pipe(fds) != 0)
        return 1;
    Py_InitializeEx(0);
    snprintf(code, sizeof(code),
             "import threading, time, os\n"
             "for i in range(2): threading.Thread(target=os.read, args=(%d, 1), "
             "daemon=True).start()\n"
             "threading.Thread(target=time.sleep, args=(0.15,), daemon=True).start()\n"
             "time.sleep(0.05)\n",
             fds[0]);
    run(code);
    if (Py_FinalizeEx() != 0)
        return 1;
    printf("%d wait\n", threads_left() - 1);
    if (write(fds[1], "xx", 2) != 2)
        return 1;
    usleep(300000);
    printf("%d left\n", threads_left());
    return 0;
}

static atomic_int entered;

static void *enter(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        PyGILState_STATE state = PyGILState_Ensure();

        run("count[0] += 1\nfor i in range(50): pass\n");
        if (i % 7 == 0) {
            Py_BEGIN_ALLOW_THREADS;
            usleep(50);
            Py_END_ALLOW_THREADS;
        }
        atomic_fetch_add(&entered, PyGILState_Check());
        PyGILState_Release(state);
    }
    return NULL;
}

static int foreign(void)
{
    pthread_t threads[4];
    PyThreadState *saved;

    Py_InitializeEx(0);
    run("import threading\n"
        "count, stop = [0], False\n"
        "def compute():\n"
        "    while not stop: sum(range(100))\n"
        "t = threading.Thread(target=compute); t.start()\n");
    saved = PyEval_SaveThread();
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, enter, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    PyEval_RestoreThread(saved);
    run("stop = True; t.join(); print(count[0], flush=True)\n");
    printf("%d\n", atomic_load(&entered));
    return Py_FinalizeEx() != 0;
}

static int run_program(const char *code)
{
    Py_InitializeEx(1);
    run(code);
    return Py_FinalizeEx() != 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (!strcmp(mode, "reinit") && argc > 2)
        return reinit(atoi(argv[2]));
    if (!strcmp(mode, "daemons") && argc > 2)
        return daemons(argv[2]);
    if (!strcmp(mode, "late"))
        return late();
    if (!strcmp(mode, "foreign"))
        return foreign();
    if (!strcmp(mode, "run") && argc > 2)
        return run_program(argv[2]);
    fprintf(stderr, "usage: embed reinit N | daemons KIND | late | foreign | run CODE\n");
    return 2;
}
