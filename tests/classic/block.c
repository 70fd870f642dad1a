/* A block around sleep: the way in which a call that blocks lets other threads run. */
#include "meanwhile.h"

static void nap(double secs)
{
    Py_BEGIN_ALLOW_THREADS sleep((int)secs);
    Py_BLOCK_THREADS assert(
        PyGILState_Check()); /* in the middle of the block, the lock for a moment */
    Py_UNBLOCK_THREADS assert(!PyGILState_Check());
    errno = E2BIG; /* as a call that failed would leave it */
    Py_END_ALLOW_THREADS
}

int main(void)
{
    assert_others_run_during(nap);
    return 0;
}
