/* Functions of gil.file about names rather than open files. */
#define _GNU_SOURCE
#include "tools/lua/file.h"

#include "tools/lua/universe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gil/io.h>

static int done(lua_State *L, int result, const char *path)
{
    if (result < 0)
        return gil_lua_file_fail(L, path);
    lua_pushboolean(L, true);
    return 1;
}

static const char *type_name(unsigned mode)
{
    return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "link" : "other";
}

/* stat(path): {type, size, mode, mtime}, of a link itself. */
int gil_lua_stat(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct statx about;
    int result;

    gil_lua_self(L);
    do
        result = gil_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &about);
    while (result < 0 && gil_lua_again(L));
    if (result < 0)
        return gil_lua_file_fail(L, path);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, type_name(about.stx_mode));
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, (lua_Integer)about.stx_size);
    lua_setfield(L, -2, "size");
    lua_pushinteger(L, about.stx_mode & 07777);
    lua_setfield(L, -2, "mode");
    lua_pushnumber(L, (lua_Number)about.stx_mtime.tv_sec + about.stx_mtime.tv_nsec / 1e9);
    lua_setfield(L, -2, "mtime");
    return 1;
}

/* ---- Listing ---- */

struct listing {
    const char *path;
    char *names; /* each ends with a zero */
    size_t length, size;
};

static bool add_name(struct listing *l, const char *name)
{
    size_t length = strlen(name) + 1;

    if (l->size - l->length < length) {
        size_t size = 2 * l->size + length + 1024;
        char *names = realloc(l->names, size);

        if (!names)
            return false;
        l->names = names;
        l->size = size;
    }
    memcpy(l->names + l->length, name, length);
    l->length += length;
    return true;
}

/* Without the lock. */
static long read_names(void *arg)
{
    struct listing *l = arg;
    DIR *directory = opendir(l->path);
    struct dirent *entry;
    int error;

    if (!directory)
        return -1;
    for (errno = 0; (entry = readdir(directory)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !add_name(l, entry->d_name))
            break;
    error = entry ? ENOMEM : errno;
    closedir(directory);
    errno = error;
    return error ? -1 : 0;
}

static int push_names(lua_State *L)
{
    const struct listing *l = lua_touserdata(L, 1);
    lua_Integer n = 0;

    lua_newtable(L);
    for (const char *name = l->names; name && name < l->names + l->length;
         name += strlen(name) + 1) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* list(directory): the names in it, in any order. */
int gil_lua_list(lua_State *L)
{
    struct listing l = {.path = luaL_checkstring(L, 1)};
    int status = LUA_OK;
    long result;

    gil_lua_self(L);
    result = gil_without(read_names, &l, NULL, NULL);
    if (result < 0) {
        int results = gil_lua_file_fail(L, l.path);

        free(l.names);
        return results;
    }
    lua_pushcfunction(L, push_names);
    lua_pushlightuserdata(L, &l);
    status = lua_pcall(L, 1, 1, 0);
    free(l.names);
    gil_lua_look(L);
    return status == LUA_OK ? 1 : lua_error(L);
}

/* ---- Changing ---- */

int gil_lua_mkdir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    mode_t permissions = (mode_t)luaL_optinteger(L, 2, 0777);
    int result;

    gil_lua_self(L);
    do
        result = gil_mkdirat(AT_FDCWD, path, permissions);
    while (result < 0 && gil_lua_again(L));
    return done(L, result, path);
}

/* A file or an empty directory. */
int gil_lua_remove(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int result, flags = 0;

    gil_lua_self(L);
    do {
        result = gil_unlinkat(AT_FDCWD, path, flags);
        if (result < 0 && errno == EISDIR && flags == 0) {
            flags = AT_REMOVEDIR;
            result = gil_unlinkat(AT_FDCWD, path, flags);
        }
    } while (result < 0 && gil_lua_again(L));
    return done(L, result, path);
}

int gil_lua_rename(lua_State *L)
{
    const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
    int result;

    gil_lua_self(L);
    do
        result = gil_renameat(AT_FDCWD, from, AT_FDCWD, to);
    while (result < 0 && gil_lua_again(L));
    return done(L, result, from);
}
