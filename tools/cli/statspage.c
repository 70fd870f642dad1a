/* See statspage.h. */
#define _GNU_SOURCE
#include "tools/cli/statspage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK "/memfd:" GIL_STATS_NAME " (deleted)"

/* Opens what the link names, if it names a page. */
static int open_link(int folder, const char *name)
{
    char to[sizeof LINK + 1];
    ssize_t length = readlinkat(folder, name, to, sizeof to);

    if (length != sizeof LINK - 1 || memcmp(to, LINK, sizeof LINK - 1) != 0)
        return -1;
    return openat(folder, name, O_RDONLY | O_CLOEXEC);
}

/* A page whose file was closed is still mapped; who may do almost everything can open that. Returns
 * how many there are, or -ENODATA when they cannot be opened. */
static int find_mapped(pid_t pid, void (*found)(int fd, void *arg), void *arg)
{
    char path[64], line[PATH_MAX + 128], range[64];
    int count = 0;
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    maps = fopen(path, "re");
    if (!maps)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/map_files", pid);
    while (count >= 0 && fgets(line, sizeof line, maps)) {
        int folder, fd;

        if (!strstr(line, LINK) || sscanf(line, "%63s", range) != 1)
            continue;
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fd = folder < 0 ? -1 : open_link(folder, range);
        if (folder >= 0)
            close(folder);
        if (fd >= 0)
            found(fd, arg);
        count = fd < 0 ? -ENODATA : count + 1;
    }
    fclose(maps);
    return count;
}

int statspage_find(pid_t pid, void (*found)(int fd, void *arg), void *arg)
{
    char path[64];
    int count = 0;
    DIR *files;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    files = opendir(path);
    if (!files)
        return errno == ENOENT ? -ESRCH : -errno;
    for (struct dirent *entry; (entry = readdir(files));) {
        int fd = open_link(dirfd(files), entry->d_name);

        if (fd < 0)
            continue;
        found(fd, arg);
        count++;
    }
    closedir(files);
    return count ? count : find_mapped(pid, found, arg);
}

/* Reads the `size` bytes of the page that stand at `at`, to the same place of `page`. */
static int read_part(int fd, gil_stats_page *page, size_t at, size_t size)
{
    ssize_t got = pread(fd, (char *)page + at, size, (off_t)at);

    return got < 0 ? -errno : (size_t)got == size ? 0 : -EINVAL;
}

int statspage_read(int fd, gil_stats_page *page)
{
    const size_t locks = offsetof(gil_stats_page, lock_of);
    const size_t threads = offsetof(gil_stats_page, threads);
    int error = read_part(fd, page, 0, locks);

    if (error)
        return error;
    if (page->magic != GIL_STATS_MAGIC)
        return -EINVAL;
    if (page->version != GIL_STATS_VERSION)
        return -EPROTO;
    if (page->size != sizeof *page)
        return -EINVAL;
    if (page->used > GIL_STATS_THREADS)
        page->used = GIL_STATS_THREADS;
    error = read_part(fd, page, threads, page->used * sizeof page->threads[0]);
    return error ? error : read_part(fd, page, locks, threads - locks);
}

int statspage_read_histograms(int fd, gil_stats_page *page)
{
    const size_t each = sizeof page->thread_histograms[0];
    size_t count = page->used < GIL_STATS_HISTOGRAMS ? page->used : GIL_STATS_HISTOGRAMS;
    int error = read_part(fd, page, offsetof(gil_stats_page, thread_histograms), count * each);

    return error ? error
                 : read_part(fd, page, offsetof(gil_stats_page, lock_histograms),
                             sizeof page->lock_histograms);
}
