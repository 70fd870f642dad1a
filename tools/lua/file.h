/* Files of gil.file, for the other modules. */
#ifndef TOOLS_LUA_FILE_H
#define TOOLS_LUA_FILE_H

#include <lua.h>

/* Pushes a new file object without a number; it closes what is put into *fd. */
int *gil_lua_file_new(lua_State *L);

/* The number of the file at that index; raises an error if it is closed. */
int gil_lua_file_fd(lua_State *L, int arg);

/* Returns nil, a message for errno, which `what` (or NULL) precedes, and errno, as the standard
 * library does. */
int gil_lua_file_fail(lua_State *L, const char *what);

/* Functions of gil.file about names: file_system.c. */
int gil_lua_stat(lua_State *L);
int gil_lua_list(lua_State *L);
int gil_lua_mkdir(lua_State *L);
int gil_lua_remove(lua_State *L);
int gil_lua_rename(lua_State *L);

#endif
