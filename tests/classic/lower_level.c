/* The block around sleep in the operations that it consists of: which thread state is current, and
 * who has the lock, are two things. */
#include "meanwhile.h"

static void nap(double secs)
{
    PyThreadState *_save;

    _save = PyThreadState_Swap(NULL);
    assert(_save && !PyGILState_Check()); /* the lock alone is not enough to run */
    PyEval_ReleaseLock();
    sleep((int)secs);
    errno = E2BIG; /* as a call that failed would leave it */
    PyEval_AcquireLock();
    assert(PyThreadState_Swap(_save) == NULL);
}

int main(void)
{
    assert_others_run_during(nap);
    return 0;
}
