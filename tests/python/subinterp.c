/* Sub-interpreters that come and go under load, for subinterp.test:
 *
 *     subinterp N    four C threads make, use and end N sub-interpreters each, while two Python
 *                    threads of the main interpreter work; prints how many ended
 *
 * Invariant: every thread gives the lock up again and again, since a stock interpreter asks only in
 * its own interpreter; so the program ends on stock, and must end on libgil. */
#include <Python.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static int rounds;
static atomic_int ended;
static PyInterpreterState *main_interp;

static const char *inside = "import time\n"
                            "for i in range(20):\n"
                            "    sum(range(2000))\n"
                            "    time.sleep(0.0002 * (i % 3))\n"
                            "import threading\n"
                            "t = threading.Thread(target=time.sleep, args=(0.001,))\n"
                            "t.start(); t.join()\n";

static const char *outside = "import threading, time\n"
                             "stop = False\n"
                             "def work():\n"
                             "    while not stop: sum(range(2000)); time.sleep(0)\n"
                             "ts = [threading.Thread(target=work) for i in range(2)]\n"
                             "for t in ts: t.start()\n";

static void run(const char *code)
{
    if (PyRun_SimpleString(code) != 0)
        exit(1);
}

static void *come_and_go(void *arg)
{
    PyThreadState *mine = PyThreadState_New(main_interp);

    (void)arg;
    PyEval_RestoreThread(mine);
    for (int i = 0; i < rounds; i++) {
        PyThreadState *sub = Py_NewInterpreter();

        if (!sub)
            exit(1);
        run(inside);
        Py_EndInterpreter(sub);
        PyThreadState_Swap(mine);
        atomic_fetch_add(&ended, 1);
        Py_BEGIN_ALLOW_THREADS;
        Py_END_ALLOW_THREADS;
    }
    PyThreadState_Clear(mine);
    PyThreadState_DeleteCurrent();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[4];
    PyThreadState *saved;

    rounds = argc > 1 ? atoi(argv[1]) : 1;
    Py_InitializeEx(0);
    main_interp = PyInterpreterState_Get();
    run(outside);
    saved = PyEval_SaveThread();
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, come_and_go, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    PyEval_RestoreThread(saved);
    run("stop = True\nfor t in ts: t.join()\n");
    printf("%d interpreters ended\n", atomic_load(&ended));
    return Py_FinalizeEx() != 0;
}
