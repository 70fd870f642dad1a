/* See input.h. The memory goes as soon as all was taken: most connections of a server are idle. */
#include "tools/lua/input.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MIN = 512 };

void input_clear(struct input *in)
{
    free(in->data);
    *in = (struct input){0};
}

static void make_room(lua_State *L, struct input *in, size_t more)
{
    size_t length = input_length(in), size = in->size ? in->size : SIZE_MIN;
    char *data;

    if (in->size - in->end >= more)
        return;
    while (size - length < more)
        size *= 2;
    data = malloc(size);
    if (!data)
        luaL_error(L, "not enough memory");
    if (length)
        memcpy(data, in->data + in->first, length);
    free(in->data);
    *in = (struct input){.data = data, .end = length, .size = size, .scanned = in->scanned};
}

void input_add(lua_State *L, struct input *in, const char *data, size_t size)
{
    if (size == 0)
        return;
    make_room(L, in, size);
    memcpy(in->data + in->end, data, size);
    in->end += size;
}

/* How long the first line is, with its end; 0: it is not all there. */
static size_t line_length(struct input *in)
{
    const char *from, *newline;

    if (in->scanned == input_length(in))
        return 0;
    from = in->data + in->first;
    newline = memchr(from + in->scanned, '\n', input_length(in) - in->scanned);
    if (newline)
        return (size_t)(newline - from) + 1;
    in->scanned = input_length(in);
    return 0;
}

bool input_has(struct input *in, const struct wanted *w)
{
    if (w->kind == WANT_LINE)
        return line_length(in) > 0;
    return w->kind == WANT_COUNT && input_length(in) >= w->count;
}

static void push_without_returns(lua_State *L, const char *line, size_t size)
{
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, size);
    size_t kept = 0;

    for (size_t i = 0; i < size; i++)
        if (line[i] != '\r')
            to[kept++] = line[i];
    luaL_pushresultsize(&b, kept);
}

static void push_line(lua_State *L, const struct wanted *w, const char *line, size_t size)
{
    if (size && line[size - 1] == '\n' && !w->keep_newline)
        size--;
    if (w->no_returns && memchr(line, '\r', size))
        push_without_returns(L, line, size);
    else
        lua_pushlstring(L, line, size);
}

void input_take(lua_State *L, struct input *in, const struct wanted *w)
{
    size_t size = input_length(in), line = w->kind == WANT_LINE ? line_length(in) : 0;
    const char *data = size ? in->data + in->first : "";

    if (line)
        size = line;
    else if (w->kind == WANT_COUNT && size > w->count)
        size = w->count;
    if (w->kind == WANT_LINE)
        push_line(L, w, data, size);
    else
        lua_pushlstring(L, data, size);
    in->first += size;
    in->scanned = 0;
    if (in->first == in->end)
        input_clear(in);
}
