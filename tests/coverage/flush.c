/* Linked into the programs of a coverage build, behind the library: a process that aborts or calls
 * _exit, as the tests of misuse and of fork do on purpose, still writes down what it has run, and so
 * does a forked child before gcc's own fork forgets what the fork handlers have run. */
#include <gcov.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static void write_down(void)
{
    __gcov_dump();
    __gcov_reset();
}

static void aborted(int number)
{
    (void)number;
    __gcov_dump();
}

void _exit(int status)
{
    __gcov_dump();
    syscall(SYS_exit_group, status);
    __builtin_unreachable();
}

/* When the handler returns, abort() goes on to end the process. */
__attribute__((constructor)) static void start(void)
{
    signal(SIGABRT, aborted);
    pthread_atfork(NULL, NULL, write_down); /* after the library's */
}
