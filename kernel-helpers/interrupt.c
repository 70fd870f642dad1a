/* See interrupt.h.
 *
 * interrupt_begin to interrupt_end are the look and the call. A signal that finds the thread there,
 * or that the kernel delivers there because it ends the call to restart it, sends it on to
 * interrupt_ended.
 *
 * When the signal arrives inside another signal's handler, which itself interrupted a thread between
 * look and call, the thread is not to be seen there. So the signal is sent once more, and stays
 * pending while that handler runs: it is added to the mask of the interrupted code, and the handler's
 * end restores the mask of the code below. If there was no such handler, it stays in the mask until
 * interrupt_unblock(). */
#define _GNU_SOURCE
#include "kernel-helpers/interrupt.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "kernel-helpers/cannot.h"

long interrupt_call(const uint32_t *word, uint32_t bits, long number, const long args[6]);
extern const char interrupt_begin[], interrupt_end[], interrupt_ended[];

#if defined(__x86_64__)

#define PC(context) ((context)->uc_mcontext.gregs[REG_RIP])

__asm__(".text\n"
        ".hidden interrupt_call, interrupt_begin, interrupt_end, interrupt_ended\n"
        ".globl interrupt_call, interrupt_begin, interrupt_end, interrupt_ended\n"
        ".type interrupt_call, @function\n"
        "interrupt_call:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    movq %rdi, %r11\n"
        "    movq %rdx, %rax\n"
        "    movq 0(%rcx), %rdi\n"
        "    movq 16(%rcx), %rdx\n"
        "    movq 24(%rcx), %r10\n"
        "    movq 32(%rcx), %r8\n"
        "    movq 40(%rcx), %r9\n"
        "    movq 8(%rcx), %rcx\n"
        "    xchgq %rcx, %rsi\n"
        "interrupt_begin:\n"
        "    testl %ecx, (%r11)\n"
        "    jnz interrupt_ended\n"
        "    syscall\n"
        "interrupt_end:\n"
        "    ret\n"
        "interrupt_ended:\n"
        "    movq $-4, %rax\n" /* -EINTR */
        "    ret\n"
        ".cfi_endproc\n"
        ".size interrupt_call, .-interrupt_call\n");

#elif defined(__aarch64__)

#define PC(context) ((context)->uc_mcontext.pc)

__asm__(".text\n"
        ".hidden interrupt_call, interrupt_begin, interrupt_end, interrupt_ended\n"
        ".globl interrupt_call, interrupt_begin, interrupt_end, interrupt_ended\n"
        ".type interrupt_call, %function\n"
        "interrupt_call:\n"
        ".cfi_startproc\n"
        "    hint #34\n"
        "    mov x9, x0\n"
        "    mov w10, w1\n"
        "    mov x8, x2\n"
        "    mov x11, x3\n"
        "    ldp x0, x1, [x11]\n"
        "    ldp x2, x3, [x11, #16]\n"
        "    ldp x4, x5, [x11, #32]\n"
        "interrupt_begin:\n"
        "    ldr w12, [x9]\n"
        "    tst w12, w10\n"
        "    b.ne interrupt_ended\n"
        "    svc #0\n"
        "interrupt_end:\n"
        "    ret\n"
        "interrupt_ended:\n"
        "    mov x0, #-4\n" /* -EINTR */
        "    ret\n"
        ".cfi_endproc\n"
        ".size interrupt_call, .-interrupt_call\n");

#else
#error "interrupt.c: no system call for this processor"
#endif

_Static_assert(EINTR == 4, "the number in the assembly");

/* What the thread is calling with, if it is. */
static _Thread_local struct {
    const uint32_t *word;
    uint32_t bits;
} calling;

static bool is_between(uintptr_t pc)
{
    return pc >= (uintptr_t)interrupt_begin && pc < (uintptr_t)interrupt_end;
}

static void handler(int signum, siginfo_t *info, void *arg)
{
    ucontext_t *context = arg;
    const uint32_t *word = __atomic_load_n(&calling.word, __ATOMIC_RELAXED);

    (void)info;
    if (is_between((uintptr_t)PC(context))) {
        PC(context) = (__typeof__(PC(context)))(uintptr_t)interrupt_ended;
    } else if (word && __atomic_load_n(word, __ATOMIC_RELAXED) & calling.bits) {
        sigaddset(&context->uc_sigmask, signum);
        interrupt_thread((int)syscall(SYS_gettid));
    }
}

void interrupt_start(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    if (sigaction(INTERRUPT_SIGNAL, &action, NULL) != 0)
        cannot("handle the signal that ends blocking calls", strerror(errno));
}

void interrupt_unblock(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, INTERRUPT_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

long interruptible_syscall(const uint32_t *word, uint32_t bits, long number, const long args[6])
{
    long result;

    calling.bits = bits;
    __atomic_store_n(&calling.word, word, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    result = interrupt_call(word, bits, number, args);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&calling.word, NULL, __ATOMIC_RELAXED);
    return result;
}

void interrupt_thread(int tid)
{
    int saved = errno;

    syscall(SYS_tgkill, getpid(), tid, INTERRUPT_SIGNAL);
    errno = saved;
}

int interrupt_at(timer_t *timer, int64_t deadline_ns)
{
    const int64_t second = INT64_C(1000000000);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = INTERRUPT_SIGNAL};
    struct itimerspec when = {
        .it_value = {.tv_sec = deadline_ns / second, .tv_nsec = deadline_ns % second},
        .it_interval = {.tv_nsec = 1000000},
    };

    event._sigev_un._tid = (int)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, timer) != 0)
        return -errno;
    timer_settime(*timer, TIMER_ABSTIME, &when, NULL);
    return 0;
}

void interrupt_at_end(timer_t timer)
{
    timer_delete(timer);
}
