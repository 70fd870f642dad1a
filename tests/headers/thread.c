/* gil/thread.h alone, as C and as C++: threads with and without a state, and a value of their
 * own. */
#include <gil/thread.h>

#include <gil/eval.h>
#include <sched.h>
#include <unistd.h>

static gil_tss key = GIL_TSS_INIT;
static int noted;

static void note(void *arg)
{
    if (!gil_tss_get(&key) && gil_tss_set(&key, arg) == 0 && gil_tss_get(&key) == arg)
        __atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void note_and_exit(void *arg)
{
    note(arg);
    gil_thread_exit();
}

static int start_threads(void)
{
    gil_thread_options options = {"a noting thread", 1 << 18};
    gil_thread *thread;

    if (gil_thread_start(&thread, &options, note, &noted) == GIL_NO_THREAD ||
        gil_thread_join(thread, -1) != 0)
        return 1;
    if (gil_thread_start(&thread, NULL, note_and_exit, &noted) == GIL_NO_THREAD)
        return 1;
    gil_thread_detach(thread);
    return gil_start_new_thread(note, &noted) == GIL_NO_THREAD;
}

int main(void)
{
    gil_tss *heap = gil_tss_alloc();
    int failed = !heap || gil_tss_is_created(heap) || gil_tss_create(heap) != 0;

    gil_tss_free(heap);
    failed |= gil_tss_create(&key) != 0;
    failed |= gil_initialize(0) != 0 || start_threads();
    failed |= gil_thread_ident() == GIL_NO_THREAD;
    failed |= gil_thread_native_id() != (unsigned long)getpid();
    GIL_BEGIN_ALLOW_THREADS
    while (__atomic_load_n(&noted, __ATOMIC_SEQ_CST) < 3)
        sched_yield();
    GIL_END_ALLOW_THREADS
    gil_tss_delete(&key);
    gil_finalize();
    return failed;
}
