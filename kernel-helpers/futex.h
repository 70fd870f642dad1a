/* The futex system call, for words that are private to the process.
 *
 * A kernel that refuses either ends the process.
 *
 * Neither function touches errno, and neither is a cancellation point. Every caller tolerates
 * spurious wake-ups: a late wake may hit a word that has been put to another use. */
#ifndef KERNEL_HELPERS_FUTEX_H
#define KERNEL_HELPERS_FUTEX_H

#include <stdint.h>

#define FUTEX_FOREVER INT64_C(-1)

/* The deadline for a wait of at most timeout_ns: negative, FUTEX_FOREVER; 0, one that has passed. */
int64_t futex_deadline(int64_t timeout_ns);

/* Sleeps while *word == expected, until a wake, a signal or deadline_ns (CLOCK_MONOTONIC, or
 * FUTEX_FOREVER). */
void futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Wakes one sleeper on word, if there is one. */
void futex_wake(uint32_t *word);

#endif
