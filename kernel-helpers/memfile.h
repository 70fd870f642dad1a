/* Memory files: memory of this process that others can find and read.
 *
 * Neither function allocates, touches errno or is a cancellation point. */
#ifndef KERNEL_HELPERS_MEMFILE_H
#define KERNEL_HELPERS_MEMFILE_H

#include <stddef.h>
#include <stdint.h>

/* An open memory file, and how to recognise it again. */
struct memfile {
    int fd; /* -1: none */
    uint64_t inode;
};

/* Makes a memory file of that size, all zero, which nobody can make shorter or longer. It is closed
 * on exec. Its number is 512 or above, out of the way of programs that expect the lowest ones, and
 * beyond the limit of open files, which is raised for that moment; unless that is too far or not
 * allowed. Returns whether it could be made; otherwise fd is -1. */
int memfile_make(struct memfile *file, const char *name, size_t size);

/* Closes it, unless the program has closed it and uses the number for something else. */
void memfile_close(struct memfile *file);

/* Sends it to whoever listens at the abstract address (SOCK_SEQPACKET, without the leading 0), if
 * anybody does and has room for it right now. */
void memfile_send(const struct memfile *file, const char *address);

#endif
