/* Channels between interpreters. See channel.h.
 *
 * A channel's queue may be used by threads that have no lock in common. */
#include "tools/lua/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lua/universe.h"

#define CHANNEL "gil.channel"

enum { CAPACITY = 64, CAPACITY_MAX = 1 << 20 };

struct channel {
    unsigned shared_by;
    gil_queue queue;
    void *slots[];
};

struct value {
    int type; /* of Lua; LUA_TUSERDATA: a channel */
    bool integer;
    union {
        bool boolean;
        lua_Integer integer;
        lua_Number number;
        struct channel *channel;
    } as;
    size_t length;
    char text[];
};

/* ---- Values ---- */

static void let_go(struct channel *c)
{
    void *item;

    if (__atomic_sub_fetch(&c->shared_by, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    while (gil_queue_get(&c->queue, &item, 0) == 0)
        gil_lua_value_free(item);
    free(c);
}

static struct channel *share(struct channel *c)
{
    __atomic_add_fetch(&c->shared_by, 1, __ATOMIC_RELAXED);
    return c;
}

static struct value *make(lua_State *L, int type, const char *text, size_t length)
{
    struct value *v = calloc(1, sizeof *v + length);

    if (!v)
        luaL_error(L, "not enough memory");
    v->type = type;
    v->length = length;
    if (length)
        memcpy(v->text, text, length);
    return v;
}

struct value *gil_lua_value_copy(lua_State *L, int index)
{
    int type = lua_type(L, index);
    struct channel **channel = luaL_testudata(L, index, CHANNEL);
    size_t length = 0;
    const char *text = type == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
    struct value *v;

    if (!channel && type != LUA_TNIL && type != LUA_TBOOLEAN && type != LUA_TNUMBER && !text)
        luaL_error(L,
                   "a %s cannot be passed to another interpreter: pass strings, numbers,"
                   " booleans, nil or channels",
                   luaL_typename(L, index));
    v = make(L, type, text, length);
    v->integer = lua_isinteger(L, index);
    if (channel)
        v->as.channel = share(*channel);
    else if (type == LUA_TBOOLEAN)
        v->as.boolean = lua_toboolean(L, index);
    else if (v->integer)
        v->as.integer = lua_tointeger(L, index);
    else if (type == LUA_TNUMBER)
        v->as.number = lua_tonumber(L, index);
    return v;
}

static struct channel **push_channel(lua_State *L)
{
    struct channel **channel = lua_newuserdatauv(L, sizeof *channel, 0);

    *channel = NULL;
    luaL_setmetatable(L, CHANNEL);
    return channel;
}

void gil_lua_value_push(lua_State *L, const struct value *v)
{
    switch (v->type) {
    case LUA_TBOOLEAN:
        lua_pushboolean(L, v->as.boolean);
        break;
    case LUA_TNUMBER:
        if (v->integer)
            lua_pushinteger(L, v->as.integer);
        else
            lua_pushnumber(L, v->as.number);
        break;
    case LUA_TSTRING:
        lua_pushlstring(L, v->text, v->length);
        break;
    case LUA_TUSERDATA:
        *push_channel(L) = share(v->as.channel);
        break;
    default:
        lua_pushnil(L);
    }
}

void gil_lua_value_free(struct value *v)
{
    if (v && v->type == LUA_TUSERDATA)
        let_go(v->as.channel);
    free(v);
}

/* ---- Channels ---- */

int gil_lua_channel(lua_State *L)
{
    lua_Integer capacity = luaL_optinteger(L, 1, CAPACITY);
    struct channel **channel = push_channel(L), *c;

    luaL_argcheck(L, capacity >= 1 && capacity <= CAPACITY_MAX, 1,
                  "a channel has room for 1 to 1048576 values");
    c = calloc(1, sizeof *c + (size_t)capacity * sizeof *c->slots);
    if (!c)
        return luaL_error(L, "not enough memory");
    c->shared_by = 1;
    gil_queue_init(&c->queue, c->slots, (size_t)capacity);
    *channel = c;
    return 1;
}

static struct channel *channel_argument(lua_State *L)
{
    return *(struct channel **)luaL_checkudata(L, 1, CHANNEL);
}

static int timed_out(lua_State *L)
{
    luaL_pushfail(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

/* send(value[, timeout]): true; or nil, "timeout". */
static int channel_send(lua_State *L)
{
    struct channel *c = channel_argument(L);
    int64_t deadline = gil_lua_deadline(gil_lua_timeout(L, 3));
    struct value *v;

    gil_lua_self(L);
    luaL_checkany(L, 2);
    v = gil_lua_value_copy(L, 2);
    while (gil_queue_put(&c->queue, v, gil_lua_left_of(deadline)) < 0) {
        if (errno == ETIMEDOUT) {
            gil_lua_value_free(v);
            return timed_out(L);
        }
        gil_lua_value_free(v); /* looking around may raise an error */
        gil_lua_look(L);
        v = gil_lua_value_copy(L, 2);
    }
    lua_pushboolean(L, true);
    return 1;
}

/* recv([timeout]): a value; or nil, "timeout". */
static int channel_recv(lua_State *L)
{
    struct channel *c = channel_argument(L);
    int64_t deadline = gil_lua_deadline(gil_lua_timeout(L, 2));
    void *item;

    gil_lua_self(L);
    while (gil_queue_get(&c->queue, &item, gil_lua_left_of(deadline)) < 0) {
        if (errno == ETIMEDOUT)
            return timed_out(L);
        gil_lua_look(L);
    }
    gil_lua_value_push(L, item);
    gil_lua_value_free(item);
    return 1;
}

static int channel_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)gil_queue_size(&channel_argument(L)->queue));
    return 1;
}

static int channel_gc(lua_State *L)
{
    struct channel **channel = luaL_checkudata(L, 1, CHANNEL);

    if (*channel)
        let_go(*channel);
    *channel = NULL;
    return 0;
}

void gil_lua_make_channels(lua_State *L)
{
    static const luaL_Reg methods[] = {{"send", channel_send},
                                       {"recv", channel_recv},
                                       {"__len", channel_len},
                                       {"__gc", channel_gc},
                                       {NULL, NULL}};

    luaL_newmetatable(L, CHANNEL);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
