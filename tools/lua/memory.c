/* Memory for Lua's small blocks, from a pool that needs no lock.
 *
 * glibc's malloc takes a lock from the second thread of a process on, which costs Lua about 5 %.
 * But whoever allocates for a Lua state holds the interpreter lock already. So blocks of up to
 * SMALL_MAX bytes come from a range of addresses of the universe's own: each size class has a list
 * of free blocks, and what has never been used lies above `used`. A block's address says whether it
 * is the pool's; Lua says how large it is. Everything else, and all that the pool has no room for,
 * is the business of the allocator that the state had before.
 *
 * The range is only reserved at first, and made accessible in steps: this works without overcommit,
 * too. A block whose size class shrinks goes to the list of the smaller class when it is given back;
 * it is never given back to the system. */
#include "tools/lua/universe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* For debugging: with it, every block is malloc's own (valgrind and AddressSanitizer see it). */
#define NO_POOL "GIL_LUA_MALLOC"

enum { GRAIN = 16, SMALL_MAX = 1024, STEP = 1 << 20 };

#define RANGE (INT64_C(16) << 30)

struct block {
    struct block *next;
};

struct pool {
    char *start;
    size_t used, accessible; /* bytes from the start on */
    struct block *free[SMALL_MAX / GRAIN];
    lua_Alloc alloc; /* for everything else */
    void *ud;
};

/* ---- Blocks ---- */

static bool is_small(size_t size)
{
    return size > 0 && size <= SMALL_MAX;
}

static size_t class_of(size_t size)
{
    return (size - 1) / GRAIN;
}

static bool is_ours(const struct pool *p, const void *block)
{
    return (size_t)((const char *)block - p->start) < p->used;
}

static bool extend(struct pool *p)
{
    if (p->accessible + STEP > RANGE ||
        mprotect(p->start + p->accessible, STEP, PROT_READ | PROT_WRITE) < 0)
        return false;
    p->accessible += STEP;
    return true;
}

static void *take(struct pool *p, size_t size)
{
    size_t class = class_of(size), bytes = (class + 1) * GRAIN;
    struct block *block = p->free[class];

    if (block) {
        p->free[class] = block->next;
        return block;
    }
    if (p->used + bytes > p->accessible && !extend(p))
        return NULL;
    p->used += bytes;
    return p->start + p->used - bytes;
}

static void give_back(struct pool *p, void *block, size_t size)
{
    struct block *freed = block;

    freed->next = p->free[class_of(size)];
    p->free[class_of(size)] = freed;
}

static void *get(struct pool *p, size_t size)
{
    void *block = is_small(size) ? take(p, size) : NULL;

    return block ? block : p->alloc(p->ud, NULL, 0, size);
}

static void drop(struct pool *p, void *block, size_t size)
{
    if (is_ours(p, block))
        give_back(p, block, size);
    else
        p->alloc(p->ud, block, size, 0);
}

/* The allocator of Lua: realloc, with the old size. A block that shrinks is always had. */
static void *pool_alloc(void *ud, void *block, size_t old, size_t wanted)
{
    struct pool *p = ud;
    void *moved;

    if (!block)
        return wanted ? get(p, wanted) : NULL;
    if (!wanted) {
        drop(p, block, old);
        return NULL;
    }
    if (!is_ours(p, block) && !is_small(wanted))
        return p->alloc(p->ud, block, old, wanted);
    if (is_ours(p, block) && is_small(wanted) && class_of(old) == class_of(wanted))
        return block;
    moved = get(p, wanted);
    if (!moved)
        return wanted <= old ? block : NULL;
    memcpy(moved, block, old < wanted ? old : wanted);
    drop(p, block, old);
    return moved;
}

/* ---- Pools ---- */

/* Does the state use the allocator that luaL_newstate gives it? A host's own one is left alone. */
static bool has_usual_allocator(lua_State *L)
{
    lua_State *usual = luaL_newstate();
    void *ud;
    bool same = usual && lua_getallocf(usual, &ud) == lua_getallocf(L, &ud);

    if (usual)
        lua_close(usual);
    return same;
}

static struct pool *make_pool(lua_State *L)
{
    struct pool *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->start = mmap(NULL, RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->start == MAP_FAILED) {
        free(p);
        return NULL;
    }
    p->alloc = lua_getallocf(L, &p->ud);
    return p;
}

void gil_lua_use_pool(struct universe *u, lua_State *L)
{
    if (getenv(NO_POOL) || !has_usual_allocator(L))
        return;
    if (!u->pool)
        u->pool = make_pool(L);
    if (u->pool)
        lua_setallocf(L, pool_alloc, u->pool);
}

void gil_lua_end_pool(struct universe *u)
{
    if (!u->pool)
        return;
    munmap(u->pool->start, RANGE);
    free(u->pool);
    u->pool = NULL;
}
