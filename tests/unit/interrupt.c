/* System calls that another thread can end, at each instruction: a thread steps through one, and
 * after the Nth instruction a bit is set and the signal sent, whether plainly or from inside the
 * handler of another signal. The call, which would sleep, ends each time. */
#include "harness.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "kernel-helpers/interrupt.h"

static uint32_t word;
static int ends[2];

static long read_pipe(void)
{
    char c;

    return interruptible_syscall(&word, 1, SYS_read, (const long[6]){ends[0], (long)&c, 1});
}

static void begin(void)
{
    ck_assert_int_eq(pipe(ends), 0);
    interrupt_start();
}

START_TEST(a_bit_that_is_set_ends_it)
{
    begin();
    word = 1;
    ck_assert_int_eq(read_pipe(), -EINTR);
    ck_assert_int_eq(interruptible_syscall(&word, 2, SYS_getppid, (const long[6]){0}), getppid());
    ck_assert_int_eq(interruptible_syscall(&word, 2, SYS_close, (const long[6]){-1}), -EBADF);
}
END_TEST

/* ThreadSanitizer puts off handlers. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define STEPS

#define TRAP_FLAG 0x100

static atomic_int steps, limit;

enum { NO_LIMIT = -1 };

/* Steps from here on. */
static void step(void)
{
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq" ::: "memory", "cc");
}

static bool is_at_call(const ucontext_t *context)
{
    static const unsigned char instruction[] = {0x0f, 0x05};

    return memcmp((const void *)context->uc_mcontext.gregs[REG_RIP], instruction, 2) == 0 &&
           context->uc_mcontext.gregs[REG_RAX] == SYS_read &&
           context->uc_mcontext.gregs[REG_RDI] == ends[0];
}

static void interrupt_self(void)
{
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    interrupt_thread(my_tid());
}

/* limit: after so many steps; or, NO_LIMIT, when the thread is at the call, whose step it notes. */
static void on_trap(int signum, siginfo_t *info, void *arg)
{
    ucontext_t *context = arg;
    int at = atomic_fetch_add(&steps, 1);

    (void)signum;
    (void)info;
    if (atomic_load(&limit) == NO_LIMIT ? is_at_call(context) : at == atomic_load(&limit)) {
        context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        interrupt_self();
    }
}

/* masked: the signal has to wait until the end of the trap's handler. */
static void interrupt_at_each_step(bool masked)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    int last = NO_LIMIT;

    begin();
    if (masked)
        sigaddset(&action.sa_mask, INTERRUPT_SIGNAL);
    ck_assert_int_eq(sigaction(SIGTRAP, &action, NULL), 0);
    for (int at = NO_LIMIT; at <= last; at++) {
        word = 0;
        atomic_store(&steps, 0);
        atomic_store(&limit, at);
        step();
        ck_assert_int_eq(read_pipe(), -EINTR);
        interrupt_unblock();
        if (at == NO_LIMIT)
            last = atomic_load(&steps) - 1;
    }
    ck_assert_int_gt(last, 15);
}

START_TEST(the_signal_comes_at_each_instruction)
{
    interrupt_at_each_step(true);
}
END_TEST

START_TEST(the_signal_comes_inside_another_handler_at_each_instruction)
{
    interrupt_at_each_step(false);
}
END_TEST

#endif

static void *read_in_thread(void *arg)
{
    atomic_store((atomic_int *)arg, my_tid());
    ck_assert_int_eq(read_pipe(), -EINTR);
    return NULL;
}

START_TEST(the_signal_ends_a_call_that_sleeps)
{
    atomic_int tid = 0;
    pthread_t thread;

    begin();
    thread = start(read_in_thread, &tid);
    WAIT_FOR(atomic_load(&tid) && asleep(atomic_load(&tid)));
    interrupt_thread(atomic_load(&tid));
    join(thread);
}
END_TEST

START_TEST(a_deadline_ends_a_call)
{
    int64_t from = now_ns();
    timer_t timer;

    begin();
    ck_assert_int_eq(interrupt_at(&timer, from + 5 * MS), 0);
    ck_assert_int_eq(read_pipe(), -EINTR);
    ck_assert_int_eq(read_pipe(), -EINTR); /* it comes again */
    interrupt_at_end(timer);
    ck_assert_int_ge(now_ns() - from, 5 * MS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interrupt");
    TCase *tc = tcase_create("interrupt");

    tcase_add_test(tc, a_bit_that_is_set_ends_it);
#ifdef STEPS
    tcase_add_test(tc, the_signal_comes_at_each_instruction);
    tcase_add_test(tc, the_signal_comes_inside_another_handler_at_each_instruction);
#endif
    tcase_add_test(tc, the_signal_ends_a_call_that_sleeps);
    tcase_add_test(tc, a_deadline_ends_a_call);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
