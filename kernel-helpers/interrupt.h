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

#endif
