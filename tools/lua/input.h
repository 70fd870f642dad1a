/* What was read from a socket, file or pipe, and not asked for yet.
 *
 * Whoever reads does so into a buffer of its own, since the lock is given up meanwhile, and adds
 * what came here afterwards. So several threads may read lines from one file: each gets whole ones.
 * All functions are called with the lock held. */
#ifndef TOOLS_LUA_INPUT_H
#define TOOLS_LUA_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

struct input {
    char *data; /* NULL: it is empty */
    size_t first, end, size;
    size_t scanned; /* so many bytes from first on hold no end of a line */
};

static inline size_t input_length(const struct input *in)
{
    return in->end - in->first;
}

/* Adds bytes at the end; raises an error when there is no memory. */
void input_add(lua_State *L, struct input *in, const char *data, size_t size);

void input_clear(struct input *in);

/* What is asked for: a line, a number of bytes, or all until the end. */
struct wanted {
    enum { WANT_LINE, WANT_COUNT, WANT_ALL } kind;
    size_t count;
    /* Of a line: the newline goes unless it is kept, and so do all carriage returns if these are
     * not wanted, as in network protocols. */
    bool keep_newline, no_returns;
};

/* Is all of it there? */
bool input_has(struct input *in, const struct wanted *w);

/* Pushes what is wanted, or as much of it as there is, and takes it away. */
void input_take(lua_State *L, struct input *in, const struct wanted *w);

#endif
