/* What the operations of blocking calls are called: they are numbered as those of io_uring are. */
#ifndef GIL_CLI_OPNAME_H
#define GIL_CLI_OPNAME_H

/* "recv", or "call" for an operation that is not known. */
const char *op_name(int op);

#endif
