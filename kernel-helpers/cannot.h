/* The one way in which libgil ends a process whose kernel or libc refuses what it cannot do
 * without. */
#ifndef KERNEL_HELPERS_CANNOT_H
#define KERNEL_HELPERS_CANNOT_H

/* Prints "libgil: cannot WHAT: WHY" and aborts. Allocates nothing. */
_Noreturn void cannot(const char *what, const char *why);

#endif
