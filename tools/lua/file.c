/* gil.file.core: open files. gil/file.lua adds what is better said in Lua.
 *
 * What is read for lines is read ahead, by a chunk; what is written goes to the kernel at once. So
 * two threads that write a line each never mix them. Results are those of the standard library: nil,
 * a message and a number for errno. */
#include "tools/lua/file.h"

#include "tools/lua/input.h"
#include "tools/lua/universe.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <gil/io.h>

#define TYPE "gil.file"

enum { CHUNK = 64 * 1024 };

struct file {
    int fd; /* -1: closed, or not open yet */
    struct input in;
};

int *gil_lua_file_new(lua_State *L)
{
    struct file *f = lua_newuserdatauv(L, sizeof *f, 0);

    *f = (struct file){.fd = -1};
    luaL_setmetatable(L, TYPE);
    return &f->fd;
}

int gil_lua_file_fd(lua_State *L, int arg)
{
    const struct file *f = luaL_checkudata(L, arg, TYPE);

    if (f->fd < 0)
        luaL_argerror(L, arg, "the file is closed: open it again");
    return f->fd;
}

/* The file at index 1, which is open. */
static struct file *file(lua_State *L)
{
    gil_lua_self(L);
    gil_lua_file_fd(L, 1);
    return lua_touserdata(L, 1);
}

int gil_lua_file_fail(lua_State *L, const char *what)
{
    int error = errno;
    const char *message =
        error == EBADF ? "the file was closed, or is not open for this" : strerror(error);

    luaL_pushfail(L);
    if (what)
        lua_pushfstring(L, "%s: %s", what, message);
    else
        lua_pushstring(L, message);
    lua_pushinteger(L, error);
    return 3;
}

/* ---- Opening and closing ---- */

static int flags_of(lua_State *L, int arg)
{
    const char *mode = luaL_optstring(L, arg, "r"), *rest = mode + 1;
    int flags = 0, access;

    switch (*mode) {
    case 'r':
        access = O_RDONLY;
        break;
    case 'w':
        access = O_WRONLY;
        flags = O_CREAT | O_TRUNC;
        break;
    case 'a':
        access = O_WRONLY;
        flags = O_CREAT | O_APPEND;
        break;
    default:
        return luaL_argerror(L, arg,
                             "a mode is r, w or a, then + to read and write, x to make a"
                             " file that is not there yet");
    }
    for (; *rest; rest++) {
        if (*rest == '+')
            access = O_RDWR;
        else if (*rest == 'x')
            flags |= O_EXCL;
        else if (*rest != 'b')
            luaL_argerror(L, arg, "after r, w or a, a mode has +, x and b only");
    }
    return flags | access | O_CLOEXEC;
}

/* open(path[, mode[, permissions]]) */
static int file_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int flags = flags_of(L, 2);
    mode_t permissions = (mode_t)luaL_optinteger(L, 3, 0666);
    int *fd = gil_lua_file_new(L), got;

    gil_lua_self(L);
    do
        got = gil_open(path, flags, permissions);
    while (got < 0 && gil_lua_again(L));
    *fd = got;
    return got < 0 ? gil_lua_file_fail(L, path) : 1;
}

/* A finalizer may come when the library has been finalized, and nobody can wait any more. */
static int file_close(lua_State *L)
{
    struct file *f = luaL_checkudata(L, 1, TYPE);
    int fd = f->fd, result = 0;

    f->fd = -1;
    input_clear(&f->in);
    if (fd >= 0)
        result = gil_thread_state_get_unchecked() ? gil_close(fd) : close(fd);
    if (result < 0)
        return gil_lua_file_fail(L, NULL);
    lua_pushboolean(L, true);
    return 1;
}

/* Nobody else uses it: so the lock is kept. */
static int file_gc(lua_State *L)
{
    struct file *f = luaL_checkudata(L, 1, TYPE);

    gil_lua_closing(L);
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    input_clear(&f->in);
    return 0;
}

static int file_tostring(lua_State *L)
{
    const struct file *f = luaL_checkudata(L, 1, TYPE);

    if (f->fd < 0)
        lua_pushliteral(L, "file (closed)");
    else
        lua_pushfstring(L, "file (%d)", f->fd);
    return 1;
}

static int file_getfd(lua_State *L)
{
    lua_pushinteger(L, file(L)->fd);
    return 1;
}

/* ---- Reading ---- */

static struct wanted check_format(lua_State *L, int arg)
{
    struct wanted w = {.kind = WANT_LINE};
    const char *format;

    if (lua_type(L, arg) == LUA_TNUMBER) {
        lua_Integer count = luaL_checkinteger(L, arg);

        luaL_argcheck(L, count >= 0, arg, "a number of bytes is not negative");
        w.kind = WANT_COUNT;
        w.count = (size_t)count;
        return w;
    }
    format = luaL_optstring(L, arg, "l");
    format += *format == '*';
    if (strcmp(format, "L") == 0)
        w.keep_newline = true;
    else if (strcmp(format, "a") == 0)
        w.kind = WANT_ALL;
    else if (strcmp(format, "l") != 0)
        luaL_argerror(L, arg, "what to read is \"l\", \"L\", \"a\" or a number of bytes");
    return w;
}

/* Reads a chunk more; returns 1, 0 at the end, or -1 with errno. */
static int read_more(lua_State *L, struct file *f)
{
    char chunk[CHUNK];
    ssize_t got;

    do
        got = gil_read(f->fd, chunk, sizeof chunk);
    while (got < 0 && gil_lua_again(L));
    if (got > 0)
        input_add(L, &f->in, chunk, (size_t)got);
    return got < 0 ? -1 : got > 0;
}

/* Pushes what is wanted, nil if the file has ended before it begins, or what
 * gil_lua_file_fail() pushes. */
static int read_one(lua_State *L, struct file *f, struct wanted w)
{
    int more = 1;

    if (w.kind == WANT_COUNT && w.count == 0 && input_length(&f->in) == 0)
        more = read_more(L, f); /* "" is for a file that goes on */
    while (more > 0 && !input_has(&f->in, &w))
        more = read_more(L, f);
    if (more < 0)
        return gil_lua_file_fail(L, NULL);
    if (input_length(&f->in) == 0 && w.kind != WANT_ALL && more == 0)
        luaL_pushfail(L);
    else
        input_take(L, &f->in, &w);
    return 1;
}

/* read([format...]), as the standard library has it, without "n". */
static int file_read(lua_State *L)
{
    struct file *f = file(L);
    int last = lua_gettop(L), results = 0;

    luaL_checkstack(L, last + 3, "too many formats");
    for (int arg = 2; arg <= last || arg == 2; arg++) {
        int pushed = read_one(L, f, check_format(L, arg));

        if (pushed > 1)
            return pushed;
        results++;
        if (lua_isnil(L, -1))
            break;
    }
    return results;
}

/* pread(size, offset): so many bytes, fewer at the end of the file; nil if there are none. */
static int file_pread(lua_State *L)
{
    struct file *f = file(L);
    lua_Integer size = luaL_checkinteger(L, 2), offset = luaL_checkinteger(L, 3), got = 0;
    ssize_t n = 1;
    luaL_Buffer b;
    char *data;

    luaL_argcheck(L, size >= 0, 2, "a number of bytes is not negative");
    luaL_argcheck(L, offset >= 0, 3, "an offset is not negative");
    data = luaL_buffinitsize(L, &b, (size_t)size);
    while (got < size && n > 0) {
        n = gil_pread(f->fd, data + got, (size_t)(size - got), offset + got);
        if (n >= 0)
            got += n;
        else if (gil_lua_again(L))
            n = 1;
    }
    if (n < 0)
        return gil_lua_file_fail(L, NULL);
    luaL_pushresultsize(&b, (size_t)got);
    if (got == 0 && size > 0)
        luaL_pushfail(L);
    return 1;
}

/* ---- Writing ---- */

/* What was read ahead is not read: the position is where the caller thinks that it is. */
static void go_back(struct file *f)
{
    if (input_length(&f->in) && lseek(f->fd, -(off_t)input_length(&f->in), SEEK_CUR) >= 0)
        input_clear(&f->in);
}

/* Writes all, at an offset or, if that is -1, at the file's position. false: errno says why not. */
static bool write_all(lua_State *L, struct file *f, const char *data, size_t size, off_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = offset < 0 ? gil_write(f->fd, data + done, size - done)
                               : gil_pwrite(f->fd, data + done, size - done, offset + (off_t)done);

        if (n >= 0)
            done += (size_t)n;
        else if (!gil_lua_again(L))
            return false;
    }
    return true;
}

/* write(string...): the file. */
static int file_write(lua_State *L)
{
    struct file *f = file(L);
    int last = lua_gettop(L);

    go_back(f);
    for (int arg = 2; arg <= last; arg++) {
        size_t size;
        const char *data = luaL_checklstring(L, arg, &size);

        if (!write_all(L, f, data, size, -1))
            return gil_lua_file_fail(L, NULL);
    }
    lua_settop(L, 1);
    return 1;
}

/* pwrite(string, offset): the file. */
static int file_pwrite(lua_State *L)
{
    struct file *f = file(L);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    lua_Integer offset = luaL_checkinteger(L, 3);

    luaL_argcheck(L, offset >= 0, 3, "an offset is not negative");
    if (!write_all(L, f, data, size, offset))
        return gil_lua_file_fail(L, NULL);
    lua_settop(L, 1);
    return 1;
}

static int sync_with(lua_State *L, int (*sync)(int fd))
{
    struct file *f = file(L);
    int result;

    do
        result = sync(f->fd);
    while (result < 0 && gil_lua_again(L));
    if (result < 0)
        return gil_lua_file_fail(L, NULL);
    lua_settop(L, 1);
    return 1;
}

/* sync([true]): all is on the disk, or without the times and the like. */
static int file_sync(lua_State *L)
{
    return sync_with(L, lua_toboolean(L, 2) ? gil_fdatasync : gil_fsync);
}

/* seek([whence[, offset]]), as the standard library has it. */
static int file_seek(lua_State *L)
{
    static const char *const names[] = {"set", "cur", "end", NULL};
    static const int whence[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    struct file *f = file(L);
    int which = luaL_checkoption(L, 2, "cur", names);
    off_t offset = luaL_optinteger(L, 3, 0), at;

    go_back(f);
    at = lseek(f->fd, offset, whence[which]);
    if (at < 0)
        return gil_lua_file_fail(L, NULL);
    lua_pushinteger(L, at);
    return 1;
}

/* ---- The module ---- */

static const luaL_Reg methods[] = {
    {"close", file_close}, {"read", file_read},           {"pread", file_pread},
    {"write", file_write}, {"pwrite", file_pwrite},       {"sync", file_sync},
    {"seek", file_seek},   {"getfd", file_getfd},         {"__close", file_close},
    {"__gc", file_gc},     {"__tostring", file_tostring}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"open", file_open},
    {"stat", gil_lua_stat},
    {"list", gil_lua_list},
    {"mkdir", gil_lua_mkdir},
    {"remove", gil_lua_remove},
    {"rename", gil_lua_rename},
    {NULL, NULL},
};

/* The table of methods is a field of the module: gil/file.lua adds to it. */
GIL_LUA_MODULE int luaopen_gil_file_core(lua_State *L);
GIL_LUA_MODULE int luaopen_gil_file_core(lua_State *L)
{
    gil_lua_universe(L);
    luaL_newlib(L, functions);
    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_setfield(L, -2, "methods");
    return 1;
}
