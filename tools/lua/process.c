/* gil.process.core: starting a process and waiting for its end. gil/process.lua makes popen of it.
 *
 * Waiting leaves a process that has ended where it is. It is reaped with the lock held afterwards, by
 * the first thread that comes: so its number, which the kernel may use again then, is never used by
 * another thread that does not know yet. */
#define _GNU_SOURCE
#include "tools/lua/file.h"
#include "tools/lua/universe.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gil/io.h>

#define TYPE "gil.process"

extern char **environ;

struct process {
    pid_t pid;
    bool ended; /* and was reaped; or it was never started */
    int status; /* of waitpid, if it has ended */
};

static struct process *process(lua_State *L)
{
    return luaL_checkudata(L, 1, TYPE);
}

/* ---- Starting ---- */

struct start {
    char **argv;
    int pipe, as; /* the child's end of a pipe, and its number there; -1: there is none */
    pid_t pid;
};

/* Without the lock: it waits until the child has executed the program, or cannot. */
static long start(void *arg)
{
    struct start *s = arg;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    int error;

    posix_spawn_file_actions_init(&actions);
    if (s->pipe >= 0)
        posix_spawn_file_actions_adddup2(&actions, s->pipe, s->as);
    posix_spawnattr_init(&attributes);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    error = posix_spawnp(&s->pid, s->argv[0], &actions, &attributes, s->argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* The strings of the list at `arg`; they stay in place as long as the list does. */
static char **arguments(lua_State *L, int arg)
{
    lua_Integer n = luaL_len(L, arg);
    char **argv;

    luaL_argcheck(L, n > 0, arg, "the list has no program");
    argv = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *argv, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_geti(L, arg, i) != LUA_TSTRING)
            luaL_argerror(L, arg, "a program and its arguments are strings");
        argv[i - 1] = (char *)lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    argv[n] = NULL;
    return argv;
}

/* start(arguments[, mode]): the process, and a file to read ("r") what it prints, or to write ("w")
 * what it reads. The list of arguments is not changed meanwhile: it is popen's own. */
static int process_start(lua_State *L)
{
    static const char *const modes[] = {"", "r", "w", NULL};
    struct start s = {.argv = arguments(L, 1), .pipe = -1, .as = STDIN_FILENO};
    int mode = luaL_checkoption(L, 2, "", modes), ends[2] = {-1, -1};
    struct process *p = lua_newuserdatauv(L, sizeof *p, 0);
    int *fd, error;

    *p = (struct process){.ended = true};
    luaL_setmetatable(L, TYPE);
    fd = gil_lua_file_new(L);
    gil_lua_self(L);
    if (mode != 0 && pipe2(ends, O_CLOEXEC) < 0)
        return gil_lua_file_fail(L, "a pipe");
    if (mode == 1)
        s.as = STDOUT_FILENO;
    s.pipe = mode == 1 ? ends[1] : ends[0];
    *fd = mode == 1 ? ends[0] : ends[1];
    error = (int)gil_without(start, &s, NULL, NULL);
    if (s.pipe >= 0)
        close(s.pipe);
    errno = error;
    if (error)
        return gil_lua_file_fail(L, s.argv[0]);
    p->pid = s.pid;
    p->ended = false;
    gil_lua_look(L);
    if (mode == 0)
        lua_pop(L, 1);
    return mode == 0 ? 1 : 2;
}

/* ---- Waiting ---- */

static int push_status(lua_State *L, const struct process *p)
{
    bool exited = WIFEXITED(p->status);
    int code = exited ? WEXITSTATUS(p->status) : WTERMSIG(p->status);

    if (exited && code == 0)
        lua_pushboolean(L, true);
    else
        luaL_pushfail(L);
    lua_pushstring(L, exited ? "exit" : "signal");
    lua_pushinteger(L, code);
    return 3;
}

/* wait([timeout]): true or nil, "exit" or "signal", and a number, as os.execute; or nil, "timeout". */
static int process_wait(lua_State *L)
{
    struct process *p = process(L);
    int64_t deadline = gil_lua_deadline(gil_lua_timeout(L, 2));
    siginfo_t info;

    gil_lua_self(L);
    while (!p->ended) {
        if (gil_waitid_for(P_PID, (unsigned)p->pid, &info, WEXITED | WNOWAIT,
                           gil_lua_left_of(deadline)) == 0) {
            p->ended = p->ended || waitpid(p->pid, &p->status, WNOHANG) == p->pid;
        } else if (errno == ETIMEDOUT) {
            luaL_pushfail(L);
            lua_pushliteral(L, "timeout");
            return 2;
        } else if (!p->ended && !gil_lua_again(L)) {
            return gil_lua_file_fail(L, "wait");
        }
    }
    return push_status(L, p);
}

/* kill([signal]): 15 by default. */
static int process_kill(lua_State *L)
{
    struct process *p = process(L);
    int signum = (int)luaL_optinteger(L, 2, SIGTERM);

    if (p->ended)
        return luaL_error(L, "kill: the process has ended");
    if (kill(p->pid, signum) < 0)
        return gil_lua_file_fail(L, "kill");
    lua_pushboolean(L, true);
    return 1;
}

static int process_pid(lua_State *L)
{
    lua_pushinteger(L, process(L)->pid);
    return 1;
}

/* One that goes on is left alone. */
static int process_gc(lua_State *L)
{
    struct process *p = process(L);

    gil_lua_closing(L);
    if (!p->ended)
        waitpid(p->pid, &p->status, WNOHANG);
    p->ended = true;
    return 0;
}

GIL_LUA_MODULE int luaopen_gil_process_core(lua_State *L);
GIL_LUA_MODULE int luaopen_gil_process_core(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", process_start}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"wait", process_wait},
                                       {"kill", process_kill},
                                       {"pid", process_pid},
                                       {"__gc", process_gc},
                                       {NULL, NULL}};

    gil_lua_universe(L);
    luaL_newlib(L, functions);
    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    return 1;
}
