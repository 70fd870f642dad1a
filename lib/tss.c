/* A value of its own for each thread: pthread keys without destructors, which are made when they
 * are first wanted. See include/gil/thread.h. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <gil/thread.h>

/* The key that the C library gave, plus 1; or 0. */
static uint32_t load(const gil_tss *key)
{
    return __atomic_load_n(&key->key_, __ATOMIC_ACQUIRE);
}

gil_tss *gil_tss_alloc(void)
{
    return calloc(1, sizeof(gil_tss));
}

void gil_tss_free(gil_tss *key)
{
    if (key)
        gil_tss_delete(key);
    free(key);
}

int gil_tss_create(gil_tss *key)
{
    pthread_key_t made;
    uint32_t none = 0;

    if (load(key))
        return 0;
    if (pthread_key_create(&made, NULL) != 0) {
        errno = EAGAIN;
        return -1;
    }
    if (!__atomic_compare_exchange_n(&key->key_, &none, made + 1, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        pthread_key_delete(made); /* another thread was faster */
    return 0;
}

void gil_tss_delete(gil_tss *key)
{
    uint32_t made = load(key);

    if (!made)
        return;
    pthread_key_delete(made - 1);
    __atomic_store_n(&key->key_, 0, __ATOMIC_RELEASE);
}

bool gil_tss_is_created(const gil_tss *key)
{
    return load(key) != 0;
}

int gil_tss_set(gil_tss *key, void *value)
{
    uint32_t made = load(key);
    int error = made ? pthread_setspecific(made - 1, value) : EINVAL;

    if (!error)
        return 0;
    errno = error;
    return -1;
}

void *gil_tss_get(const gil_tss *key)
{
    uint32_t made = load(key);

    return made ? pthread_getspecific(made - 1) : NULL;
}
