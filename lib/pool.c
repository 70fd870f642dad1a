/* See pool.h. */
#include "lib/pool.h"

#include <sys/mman.h>

static char **link_of(const struct pool *pool, char *item)
{
    return (char **)(void *)(item + pool->link);
}

void *pool_take(struct pool *pool)
{
    char *item;

    if (pool->given_back > pool->spare) {
        item = pool->oldest;
        pool->oldest = *link_of(pool, item);
        pool->given_back--;
        return item;
    }
    if (!pool->fresh_left) {
        void *chunk = mmap(NULL, pool->chunk * pool->size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED)
            return NULL;
        pool->fresh = chunk;
        pool->fresh_left = pool->chunk;
    }
    item = pool->fresh;
    pool->fresh += pool->size;
    pool->fresh_left--;
    return item;
}

void pool_give(struct pool *pool, void *item)
{
    *link_of(pool, item) = NULL;
    if (pool->given_back++)
        *link_of(pool, pool->newest) = item;
    else
        pool->oldest = item;
    pool->newest = item;
}
