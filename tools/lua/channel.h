/* Values on their way from one Lua state to another, and channels that carry them.
 *
 * A value is copied out of one state and into another: nil, booleans, numbers, strings and channels
 * can be. Channels are shared by the states; whoever has one counts. None of this needs a lock. */
#ifndef TOOLS_LUA_CHANNEL_H
#define TOOLS_LUA_CHANNEL_H

#include <lua.h>

struct value;

/* Copies the value at index; raises an error if it cannot be passed. The copy is given back with
 * gil_lua_value_free(). */
struct value *gil_lua_value_copy(lua_State *L, int index);
void gil_lua_value_push(lua_State *L, const struct value *value);
void gil_lua_value_free(struct value *value);

/* Channel([capacity]). */
int gil_lua_channel(lua_State *L);

/* Makes the metatable of channels. */
void gil_lua_make_channels(lua_State *L);

#endif
