/* System calls that another thread can end.
 *
 * A signal ends a system call that sleeps, but is lost when it arrives just before the call. Here it
 * is not: the last thing before the call is a look at a word of the caller's, and the signal's
 * handler moves a thread that is between that look and the call past the call. So whoever sets a bit
 * in the word first and sends the signal then ends the call, whenever that happens. */
#ifndef KERNEL_HELPERS_INTERRUPT_H
#define KERNEL_HELPERS_INTERRUPT_H

#include <signal.h>
#include <stdint.h>
#include <time.h>

/* Linux never sends it, and hardly any program uses it. It is none of the real-time signals: these
 * are refused when too many are queued. */
#define INTERRUPT_SIGNAL SIGSTKFLT

/* Installs the handler. Once a process. Never fails. */
void interrupt_start(void);

/* Lets the signal through in the calling thread: before its first call below, and after it has
 * cleared a bit in its word. */
void interrupt_unblock(void);

/* Makes a system call, unless one of `bits` is set in *word. Returns its result, or -errno; -EINTR
 * may also mean that it was not made. */
long interruptible_syscall(const uint32_t *word, uint32_t bits, long number, const long args[6]);

/* Sends the signal to a thread of this process, whose word has a bit set already. Signal handlers
 * may call it. Keeps errno. */
void interrupt_thread(int tid);

/* Sends it to the calling thread at deadline_ns (CLOCK_MONOTONIC), and again each millisecond, for
 * the case that the thread is not in its call yet; until interrupt_at_end(). Returns 0 or -EAGAIN:
 * the user has too many timers. */
int interrupt_at(timer_t *timer, int64_t deadline_ns);
void interrupt_at_end(timer_t timer);

#endif
