/* The counters that a process on libgil keeps for others: finding and reading its page (see
 * include/gil/stats.h).
 *
 * Invariant: nothing in a page is believed before magic, version and size are checked, and numbers in
 * it that are used as an index are within their limits afterwards. Reading neither stops the process
 * nor makes its page larger. */
#ifndef GIL_CLI_STATSPAGE_H
#define GIL_CLI_STATSPAGE_H

#include <sys/types.h>

#include <gil/stats.h>

/* Calls found(fd, arg) with a descriptor of its own for each page that the process has; found keeps
 * or closes it. Returns how many there were, or a negative errno: -ESRCH no such process, -EACCES
 * not allowed to look, -ENODATA the process has a page but has closed its file (and this command may
 * not get at it in another way). 0: it has none. */
int statspage_find(pid_t pid, void (*found)(int fd, void *arg), void *arg);

/* Reads the page, all but the histograms. Returns 0, or a negative errno: -EPROTO it is of another
 * version, -EINVAL it is no page. */
int statspage_read(int fd, gil_stats_page *page);

/* Reads the histograms of those threads, and of locks, that have an entry. */
int statspage_read_histograms(int fd, gil_stats_page *page);

#endif
