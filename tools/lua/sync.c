/* The objects of include/gil/sync.h in Lua: lock, RLock, Condition, Semaphore, Event, Barrier.
 *
 * Each is a full userdata: its memory stays as long as a thread waits in it, because the object is
 * an argument of the function that waits. Nothing is to be done when it goes. A condition keeps its
 * lock alive, as its user value. */
#include "tools/lua/universe.h"

#include <errno.h>
#include <string.h>

#define LOCK      "gil.thread.lock"
#define RLOCK     "gil.thread.RLock"
#define CONDITION "gil.thread.Condition"
#define SEMAPHORE "gil.thread.Semaphore"
#define EVENT     "gil.thread.Event"
#define BARRIER   "gil.thread.Barrier"

/* ---- What all have in common ---- */

static void *make(lua_State *L, const char *type, size_t size, int user_values)
{
    void *object = lua_newuserdatauv(L, size, user_values);

    memset(object, 0, size);
    luaL_setmetatable(L, type);
    return object;
}

/* Says whether an object was got; `wait` waits for it for so many nanoseconds. */
static int wait_for(lua_State *L, void *object, int (*wait)(void *object, int64_t timeout_ns),
                    int64_t timeout_ns)
{
    int64_t deadline = -1;
    int result;

    gil_lua_self(L);
    if (timeout_ns > 0)
        deadline = gil_lua_deadline(timeout_ns);
    while ((result = wait(object, timeout_ns)) < 0 && errno == EINTR) {
        gil_lua_look(L);
        if (timeout_ns > 0)
            timeout_ns = gil_lua_left_of(deadline);
    }
    return result;
}

static int got(lua_State *L, int result)
{
    lua_pushboolean(L, result == 0);
    return 1;
}

/* The arguments (blocking, timeout) from index 2 on, as acquire has them. */
static int64_t patience(lua_State *L)
{
    bool blocking = true;

    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TBOOLEAN);
        blocking = lua_toboolean(L, 2);
    }
    if (!blocking && !lua_isnoneornil(L, 3))
        luaL_argerror(L, 3, "an acquire that does not block takes no timeout");
    return blocking ? gil_lua_timeout(L, 3) : 0;
}

static uint32_t count_argument(lua_State *L, int arg, lua_Integer least, lua_Integer most)
{
    lua_Integer n = luaL_checkinteger(L, arg);

    luaL_argcheck(L, n >= least && n <= most, arg, "the number is out of range");
    return (uint32_t)n;
}

/* ---- Lock ---- */

static int lock_wait(void *object, int64_t timeout_ns)
{
    return gil_thread_lock_acquire(object, timeout_ns);
}

static int lock_new(lua_State *L)
{
    make(L, LOCK, sizeof(gil_thread_lock), 0);
    return 1;
}

static int lock_acquire(lua_State *L)
{
    gil_thread_lock *lock = luaL_checkudata(L, 1, LOCK);

    return got(L, wait_for(L, lock, lock_wait, patience(L)));
}

static int lock_release(lua_State *L)
{
    if (gil_thread_lock_release(luaL_checkudata(L, 1, LOCK)) < 0)
        return luaL_error(L, "release of a lock that nobody holds: acquire it first");
    return 0;
}

static int lock_locked(lua_State *L)
{
    lua_pushboolean(L, gil_thread_lock_locked(luaL_checkudata(L, 1, LOCK)));
    return 1;
}

/* ---- RLock ---- */

static int rlock_wait(void *object, int64_t timeout_ns)
{
    return gil_rlock_acquire(object, timeout_ns);
}

static int rlock_new(lua_State *L)
{
    make(L, RLOCK, sizeof(gil_rlock), 0);
    return 1;
}

static int rlock_acquire(lua_State *L)
{
    gil_rlock *lock = luaL_checkudata(L, 1, RLOCK);

    return got(L, wait_for(L, lock, rlock_wait, patience(L)));
}

static int rlock_release(lua_State *L)
{
    if (gil_rlock_release(luaL_checkudata(L, 1, RLOCK)) < 0)
        return luaL_error(L,
                          "release of an RLock that this thread does not hold: acquire it first");
    return 0;
}

static int rlock_locked(lua_State *L)
{
    lua_pushboolean(L, gil_rlock_depth(luaL_checkudata(L, 1, RLOCK)) > 0);
    return 1;
}

/* ---- Condition ---- */

static int condition_wait_in(void *object, int64_t timeout_ns)
{
    return gil_condition_wait(object, timeout_ns);
}

/* Condition([lock]): a lock or an RLock; its own RLock if there is none. */
static int condition_new(lua_State *L)
{
    gil_condition *condition;

    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        rlock_new(L);
    }
    if (!luaL_testudata(L, 1, LOCK))
        luaL_checkudata(L, 1, RLOCK);
    condition = make(L, CONDITION, sizeof *condition, 1);
    if (luaL_testudata(L, 1, LOCK))
        gil_condition_init_lock(condition, lua_touserdata(L, 1));
    else
        gil_condition_init(condition, lua_touserdata(L, 1));
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

/* Calls the method of the condition's lock. */
static int with_its_lock(lua_State *L, lua_CFunction of_lock, lua_CFunction of_rlock)
{
    luaL_checkudata(L, 1, CONDITION);
    lua_getiuservalue(L, 1, 1);
    lua_replace(L, 1);
    return luaL_testudata(L, 1, LOCK) ? of_lock(L) : of_rlock(L);
}

static int condition_acquire(lua_State *L)
{
    return with_its_lock(L, lock_acquire, rlock_acquire);
}

static int condition_release(lua_State *L)
{
    return with_its_lock(L, lock_release, rlock_release);
}

static int not_acquired(lua_State *L, const char *method)
{
    return luaL_error(L, "%s: acquire the condition's lock first", method);
}

static int condition_wait(lua_State *L)
{
    gil_condition *condition = luaL_checkudata(L, 1, CONDITION);
    int result = wait_for(L, condition, condition_wait_in, gil_lua_timeout(L, 2));

    if (result < 0 && errno == EPERM)
        return not_acquired(L, "wait");
    return got(L, result);
}

/* wait_for(predicate[, timeout]): until predicate() is true; returns what it returned last. */
static int condition_wait_for(lua_State *L)
{
    gil_condition *condition = luaL_checkudata(L, 1, CONDITION);
    int64_t deadline = gil_lua_deadline(gil_lua_timeout(L, 3));

    luaL_checktype(L, 2, LUA_TFUNCTION);
    for (;;) {
        int64_t left = gil_lua_left_of(deadline);

        lua_settop(L, 3);
        lua_pushvalue(L, 2);
        lua_call(L, 0, 1);
        if (lua_toboolean(L, -1) || left == 0)
            return 1;
        if (wait_for(L, condition, condition_wait_in, left) < 0 && errno == EPERM)
            return not_acquired(L, "wait_for");
    }
}

static int condition_notify(lua_State *L)
{
    gil_condition *condition = luaL_checkudata(L, 1, CONDITION);
    uint32_t n = lua_isnoneornil(L, 2) ? 1 : count_argument(L, 2, 0, UINT32_MAX);

    return gil_condition_notify(condition, n) < 0 ? not_acquired(L, "notify") : 0;
}

static int condition_notify_all(lua_State *L)
{
    gil_condition *condition = luaL_checkudata(L, 1, CONDITION);

    return gil_condition_notify_all(condition) < 0 ? not_acquired(L, "notify_all") : 0;
}

/* ---- Semaphore, BoundedSemaphore ---- */

static int semaphore_wait(void *object, int64_t timeout_ns)
{
    return gil_semaphore_acquire(object, timeout_ns);
}

static int semaphore_new(lua_State *L, void (*init)(gil_semaphore *semaphore, uint32_t value))
{
    uint32_t value = lua_isnoneornil(L, 1) ? 1 : count_argument(L, 1, 0, UINT32_MAX);

    init(make(L, SEMAPHORE, sizeof(gil_semaphore), 0), value);
    return 1;
}

static int plain_semaphore_new(lua_State *L)
{
    return semaphore_new(L, gil_semaphore_init);
}

static int bounded_semaphore_new(lua_State *L)
{
    return semaphore_new(L, gil_bounded_semaphore_init);
}

static int semaphore_acquire(lua_State *L)
{
    gil_semaphore *semaphore = luaL_checkudata(L, 1, SEMAPHORE);

    return got(L, wait_for(L, semaphore, semaphore_wait, patience(L)));
}

static int semaphore_release(lua_State *L)
{
    gil_semaphore *semaphore = luaL_checkudata(L, 1, SEMAPHORE);
    uint32_t n = lua_isnoneornil(L, 2) ? 1 : count_argument(L, 2, 1, UINT32_MAX);

    if (gil_semaphore_release(semaphore, n) < 0)
        return luaL_error(L, "the semaphore was released more often than it may be");
    return 0;
}

static int semaphore_value(lua_State *L)
{
    lua_pushinteger(L, gil_semaphore_value(luaL_checkudata(L, 1, SEMAPHORE)));
    return 1;
}

/* ---- Event ---- */

static int event_wait_for(void *object, int64_t timeout_ns)
{
    return gil_thread_event_wait(object, timeout_ns);
}

static int event_new(lua_State *L)
{
    make(L, EVENT, sizeof(gil_thread_event), 0);
    return 1;
}

static int event_set(lua_State *L)
{
    gil_thread_event_set(luaL_checkudata(L, 1, EVENT));
    return 0;
}

static int event_clear(lua_State *L)
{
    gil_thread_event_clear(luaL_checkudata(L, 1, EVENT));
    return 0;
}

static int event_is_set(lua_State *L)
{
    lua_pushboolean(L, gil_thread_event_is_set(luaL_checkudata(L, 1, EVENT)));
    return 1;
}

static int event_wait(lua_State *L)
{
    gil_thread_event *event = luaL_checkudata(L, 1, EVENT);

    return got(L, wait_for(L, event, event_wait_for, gil_lua_timeout(L, 2)));
}

/* ---- Barrier ---- */

struct arrival {
    gil_barrier *barrier;
    int number;
};

static int barrier_wait_in(void *object, int64_t timeout_ns)
{
    struct arrival *a = object;

    a->number = gil_barrier_wait(a->barrier, timeout_ns);
    return a->number < 0 ? -1 : 0;
}

static int barrier_new(lua_State *L)
{
    uint32_t parties = count_argument(L, 1, 1, INT32_MAX);

    gil_barrier_init(make(L, BARRIER, sizeof(gil_barrier), 0), parties, NULL, NULL);
    return 1;
}

/* The number of the caller among the parties, from 1 on; or nil and why the barrier is broken. */
static int barrier_wait(lua_State *L)
{
    struct arrival a = {luaL_checkudata(L, 1, BARRIER), 0};

    if (wait_for(L, &a, barrier_wait_in, gil_lua_timeout(L, 2)) == 0) {
        lua_pushinteger(L, a.number + 1);
        return 1;
    }
    luaL_pushfail(L);
    lua_pushstring(L, errno == ETIMEDOUT ? "timeout" : "broken");
    return 2;
}

static int barrier_abort(lua_State *L)
{
    gil_barrier_abort(luaL_checkudata(L, 1, BARRIER));
    return 0;
}

static int barrier_reset(lua_State *L)
{
    gil_barrier_reset(luaL_checkudata(L, 1, BARRIER));
    return 0;
}

static int barrier_parties(lua_State *L)
{
    lua_pushinteger(L, gil_barrier_parties(luaL_checkudata(L, 1, BARRIER)));
    return 1;
}

static int barrier_waiting(lua_State *L)
{
    lua_pushinteger(L, gil_barrier_waiting(luaL_checkudata(L, 1, BARRIER)));
    return 1;
}

static int barrier_broken(lua_State *L)
{
    lua_pushboolean(L, gil_barrier_broken(luaL_checkudata(L, 1, BARRIER)));
    return 1;
}

/* ---- The module ---- */

/* __close is for `lock:acquire(); local held <close> = lock`: what is acquired is released where the
 * scope ends. */
static const struct type {
    const char *name;
    luaL_Reg methods[8];
} types[] = {
    {LOCK,
     {{"acquire", lock_acquire},
      {"release", lock_release},
      {"locked", lock_locked},
      {"__close", lock_release}}},
    {RLOCK,
     {{"acquire", rlock_acquire},
      {"release", rlock_release},
      {"locked", rlock_locked},
      {"__close", rlock_release}}},
    {CONDITION,
     {{"acquire", condition_acquire},
      {"release", condition_release},
      {"wait", condition_wait},
      {"wait_for", condition_wait_for},
      {"notify", condition_notify},
      {"notify_all", condition_notify_all},
      {"__close", condition_release}}},
    {SEMAPHORE,
     {{"acquire", semaphore_acquire}, {"release", semaphore_release}, {"value", semaphore_value}}},
    {EVENT,
     {{"set", event_set}, {"clear", event_clear}, {"is_set", event_is_set}, {"wait", event_wait}}},
    {BARRIER,
     {{"wait", barrier_wait},
      {"abort", barrier_abort},
      {"reset", barrier_reset},
      {"parties", barrier_parties},
      {"n_waiting", barrier_waiting},
      {"broken", barrier_broken}}},
};

void gil_lua_add_sync(lua_State *L)
{
    static const luaL_Reg functions[] = {{"allocate_lock", lock_new},
                                         {"allocate_rlock", rlock_new},
                                         {"allocate_condition", condition_new},
                                         {"allocate_semaphore", plain_semaphore_new},
                                         {"allocate_bounded_semaphore", bounded_semaphore_new},
                                         {"allocate_event", event_new},
                                         {"allocate_barrier", barrier_new},
                                         {NULL, NULL}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        luaL_newmetatable(L, types[i].name);
        luaL_setfuncs(L, types[i].methods, 0);
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
        lua_pop(L, 1);
    }
    luaL_setfuncs(L, functions, 0);
}
