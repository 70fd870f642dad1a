/* How a thread that runs Lua is made to let others run: hooks, and which coroutine is running.
 *
 * A standing count hook would cost half the speed of Lua. So the hook is set only when somebody
 * wants the lock: whoever asks for it sends SIGURG to the thread that runs, and the handler sets
 * the hook. lua_sethook may be called asynchronously, but only from a signal handler: another
 * thread that walks the frames of a running coroutine would write into frames that are used anew
 * meanwhile, or given back. The hook is called at the next instruction, takes itself away, and
 * looks around. (Go's runtime uses SIGURG for the same: it is ignored unless somebody asks for it.)
 *
 * Invariants
 * 1. `holder` names the thread that runs, from a moment after it got the lock on; it may still name
 *    one that has given the lock up. `asked` is set before holder is read, and read after holder is
 *    written, both sequentially consistent: a request that came too early for the signal is found
 *    by the thread that gets the lock.
 * 2. A thread's `current` is a coroutine on its chain of coroutines that run or wait for one that
 *    they have resumed, and so it exists. The functions of the coroutine library are replaced by
 *    ones that keep it up to date (coroutine.c). Where a C module resumes a coroutine by itself,
 *    current is the one that called it: then the hook is only called when that goes on.
 * 3. The handler touches current only while its own thread runs: the library says so.
 * 4. A hook that was set and not called yet, because its coroutine yielded, say, does no harm: it is
 *    called some day and looks around in vain. The request is not lost: whoever is entered or left
 *    meanwhile gets the hook if `asked` is still set, and waiters ask again after each interval.
 * 5. What hook a coroutine has tells what to do with it; nothing needs to be remembered:
 *    none                  only_asked is set, with a count of 1 (or the check interval)
 *    debug.sethook's       forwarding (standing) if it counts, otherwise forwarding_asked, which
 *                          also counts, until it has been called
 *    another C module's    it is left alone; the thread is asked again when it blocks */
#define _GNU_SOURCE
#include "tools/lua/universe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lualib.h>

#include <gil/thread.h>

__thread struct lua_thread *gil_lua_thread;

/* Is the calling thread in a function that changes hooks? The handler keeps off. */
static __thread bool changing_hooks;

/* What debug.sethook sets: one function for all Lua states. */
static lua_Hook debug_hook;

static uint32_t load(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void store(uint32_t *p, uint32_t value)
{
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

/* Where turns go by count, one who wants the lock may not be waiting yet when the holder looks
 * around: it looks again after as many instructions. */
static bool wanted(const struct turns *turns)
{
    return load(&turns->asked) || load(&turns->wanting);
}

/* ---- The hooks ---- */

static void look_if_asked(lua_State *L)
{
    struct lua_thread *t = gil_lua_thread;

    if (t && (wanted(t->turns) || t->poked))
        gil_lua_look(L);
}

/* Where turns go by count, it stays as long as somebody waits: setting it takes time for each frame
 * of the coroutine. */
static void only_asked(lua_State *L, lua_Debug *ar)
{
    const struct lua_thread *t = gil_lua_thread;
    bool stays = t && t->turns->by_count && t->turns->interval == lua_gethookcount(L);

    (void)ar;
    if (!stays)
        lua_sethook(L, NULL, 0, 0);
    look_if_asked(L);
    if (stays && !wanted(t->turns)) {
        lua_sethook(L, NULL, 0, 0);
        if (wanted(t->turns)) /* since a moment ago: the handler saw a hook, and left it there */
            lua_sethook(L, only_asked, LUA_MASKCOUNT, t->turns->interval);
    }
}

static void forwarding(lua_State *L, lua_Debug *ar)
{
    debug_hook(L, ar);
    if (ar->event == LUA_HOOKCOUNT)
        look_if_asked(L);
}

static void forwarding_asked(lua_State *L, lua_Debug *ar)
{
    if (ar->event != LUA_HOOKCOUNT) {
        debug_hook(L, ar);
        return;
    }
    lua_sethook(L, debug_hook, lua_gethookmask(L) & ~LUA_MASKCOUNT, 0);
    look_if_asked(L);
}

/* A signal handler may do this, in the thread in which L runs. If it comes just when Lua has seen
 * that there is no hook, Lua does not look for the new one again before the function calls or
 * returns: a later request sets it once more. */
static void set_hook(const struct turns *turns, lua_State *L)
{
    int count = turns->by_count ? turns->interval : 1;
    int mask = lua_gethookmask(L);
    lua_Hook hook = lua_gethook(L);

    if (!hook || (hook == only_asked && !turns->by_count))
        lua_sethook(L, only_asked, LUA_MASKCOUNT, count);
    else if (hook == debug_hook && mask & LUA_MASKCOUNT)
        lua_sethook(L, forwarding, mask, lua_gethookcount(L));
    else if (hook == debug_hook)
        lua_sethook(L, forwarding_asked, mask | LUA_MASKCOUNT, count);
}

/* Leaves L with the hook that it would have without us. */
static void take_hook_away(lua_State *L)
{
    lua_Hook hook = lua_gethook(L);
    int mask = lua_gethookmask(L);

    if (hook == only_asked)
        lua_sethook(L, NULL, 0, 0);
    else if (hook == forwarding)
        lua_sethook(L, debug_hook, mask, lua_gethookcount(L));
    else if (hook == forwarding_asked)
        lua_sethook(L, debug_hook, mask & ~LUA_MASKCOUNT, 0);
}

/* ---- Asking ---- */

static void hook_if_asked(struct lua_thread *t)
{
    if (!changing_hooks && t->current && (wanted(t->turns) || t->poked))
        set_hook(t->turns, t->current);
}

static void on_signal(int signum)
{
    struct lua_thread *t = gil_lua_thread;

    (void)signum;
    if (t && gil_thread_state_get_unchecked())
        hook_if_asked(t);
}

/* The drop-request callback: called in a thread that waits for the lock. */
static void ask(void *arg)
{
    struct turns *turns = arg;
    int saved = errno;
    pid_t holder;

    store(&turns->asked, 1);
    holder = __atomic_load_n(&turns->holder, __ATOMIC_SEQ_CST);
    if (holder && (!gil_lua_thread || holder != gil_lua_thread->tid))
        syscall(SYS_tgkill, getpid(), holder, SIGURG);
    errno = saved;
}

void gil_lua_runs(struct lua_thread *t)
{
    if (!t && gil_lua_thread)
        __atomic_store_n(&gil_lua_thread->turns->holder, 0, __ATOMIC_SEQ_CST);
    gil_lua_thread = t;
    if (!t)
        return;
    __atomic_store_n(&t->turns->holder, t->tid, __ATOMIC_SEQ_CST);
    hook_if_asked(t);
}

void gil_lua_poke(struct lua_thread *t)
{
    t->poked = true;
    if (t == gil_lua_thread)
        hook_if_asked(t);
}

/* ---- Who wants the lock, where turns go by count ---- */

static void want(struct lua_thread *t)
{
    if (!t->wants)
        __atomic_add_fetch(&t->turns->wanting, 1, __ATOMIC_SEQ_CST);
    t->wants = true;
}

static void want_no_more(struct lua_thread *t)
{
    if (t->wants)
        __atomic_sub_fetch(&t->turns->wanting, 1, __ATOMIC_SEQ_CST);
    t->wants = false;
}

/* ---- What the library tells ---- */

static void on_resumed(gil_event event, gil_thread_state *ts, void *arg)
{
    struct lua_thread *t = gil_lua_thread;

    (void)event, (void)ts, (void)arg;
    if (!t)
        return;
    want_no_more(t);
    gil_lua_runs(t);
}

/* Whoever wants the lock asks for it at once where turns go by count. */
static void on_ready(gil_event event, gil_thread_state *ts, void *arg)
{
    struct lua_thread *t = gil_lua_thread;

    (void)event, (void)ts, (void)arg;
    if (!t || !t->turns->by_count)
        return;
    want(t);
    ask(t->turns);
}

static void tell_once(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};

    sigfillset(&action.sa_mask);
    sigaction(SIGURG, &action, NULL);
    gil_add_hook(GIL_THREAD_RESUMED, on_resumed, NULL);
    gil_add_hook(GIL_THREAD_READY, on_ready, NULL);
}

void gil_lua_turns_begin(struct turns *turns, gil_interpreter_state *interp)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, tell_once);
    if (!turns->interval)
        turns->interval = GIL_CHECK_INTERVAL_DEFAULT;
    gil_on_drop_request(interp, ask, turns);
    gil_set_check_interval(1); /* the hook is only called when there is a reason to look around */
    gil_set_switch_interval(gil_get_switch_interval());
}

void gil_lua_turns_end(struct turns *turns, gil_interpreter_state *interp)
{
    gil_on_drop_request(interp, NULL, NULL);
    *turns = (struct turns){.holder = 0};
}

void gil_lua_by_count(struct turns *turns, int instructions)
{
    turns->interval = instructions < 1 ? 1 : instructions;
    turns->by_count = true;
    gil_set_check_interval(1);
    if (gil_lua_thread)
        gil_lua_poke(gil_lua_thread); /* who waits already asks the next time that it wants it */
}

void gil_lua_by_time(struct turns *turns, int64_t interval_ns)
{
    turns->by_count = false;
    gil_set_switch_interval(interval_ns);
}

/* ---- Which coroutine runs ---- */

lua_State *gil_lua_entered(lua_State *co)
{
    struct lua_thread *t = gil_lua_thread;
    lua_State *before;

    if (!t)
        return NULL;
    before = t->current;
    __atomic_store_n(&t->current, co, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    hook_if_asked(t);
    return before;
}

void gil_lua_left(lua_State *before)
{
    struct lua_thread *t = gil_lua_thread;

    if (!t)
        return;
    __atomic_store_n(&t->current, before, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    hook_if_asked(t);
}

/* ---- Looking around ---- */

void gil_lua_look(lua_State *L)
{
    struct lua_thread *t = gil_lua_thread;
    bool interrupted;

    t->poked = false;
    store(&t->turns->asked, 0);
    if (t->turns->by_count) /* whoever runs then shall know, even if this thread is slow to queue */
        want(t);
    interrupted = gil_checkpoint() < 0;
    want_no_more(t);
    if (t->universe->closing && t->daemon)
        gil_thread_exit();
    if (!interrupted && !t->interrupted)
        return;
    t->interrupted = false;
    luaL_error(L, "interrupted!");
}

/* ---- The debug library ---- */

/* debug.sethook or gethook, the first upvalue, sees the hook that it knows. */
static int with_own_hook(lua_State *L)
{
    lua_State *target = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    int status;

    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    changing_hooks = true;
    take_hook_away(target);
    status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    changing_hooks = false;
    if (gil_lua_thread)
        hook_if_asked(gil_lua_thread);
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static void wrap(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, with_own_hook, 1);
    lua_setfield(L, -2, name);
}

void gil_lua_share_hooks(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_DBLIBNAME) == LUA_TTABLE) {
        lua_State *co = lua_newthread(L);

        lua_getfield(L, -2, "sethook");
        lua_pushvalue(L, -2);
        lua_getfield(L, -4, "gethook"); /* some function: it is never called */
        lua_pushliteral(L, "c");
        lua_call(L, 3, 0);
        debug_hook = lua_gethook(co);
        lua_sethook(co, NULL, 0, 0);
        lua_pop(L, 1);
        wrap(L, "sethook");
        wrap(L, "gethook");
    }
    lua_pop(L, 2);
}
