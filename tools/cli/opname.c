/* See opname.h. */
#include "tools/cli/opname.h"

#include <linux/io_uring.h>
#include <stddef.h>

static const char *const names[] = {
    [IORING_OP_READV] = "readv",       [IORING_OP_WRITEV] = "writev",
    [IORING_OP_FSYNC] = "fsync",       [IORING_OP_POLL_ADD] = "poll",
    [IORING_OP_SENDMSG] = "sendmsg",   [IORING_OP_RECVMSG] = "recvmsg",
    [IORING_OP_TIMEOUT] = "sleep",     [IORING_OP_ACCEPT] = "accept",
    [IORING_OP_CONNECT] = "connect",   [IORING_OP_FALLOCATE] = "fallocate",
    [IORING_OP_OPENAT] = "openat",     [IORING_OP_CLOSE] = "close",
    [IORING_OP_STATX] = "statx",       [IORING_OP_READ] = "read",
    [IORING_OP_WRITE] = "write",       [IORING_OP_SEND] = "send",
    [IORING_OP_RECV] = "recv",         [IORING_OP_SPLICE] = "splice",
    [IORING_OP_TEE] = "tee",           [IORING_OP_SHUTDOWN] = "shutdown",
    [IORING_OP_RENAMEAT] = "renameat", [IORING_OP_UNLINKAT] = "unlinkat",
    [IORING_OP_MKDIRAT] = "mkdirat",   [IORING_OP_SYMLINKAT] = "symlinkat",
    [IORING_OP_LINKAT] = "linkat",
};

const char *op_name(int op)
{
    if (op < 0 || (size_t)op >= sizeof names / sizeof names[0] || !names[op])
        return "call";
    return names[op];
}
