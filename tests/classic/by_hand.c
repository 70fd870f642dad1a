/* The block around sleep, expanded by hand. */
#include "meanwhile.h"

static void nap(double secs)
{
    PyThreadState *_save;

    _save = PyEval_SaveThread();
    assert(_save && !PyGILState_Check());
    sleep((int)secs);
    errno = E2BIG; /* as a call that failed would leave it */
    PyEval_RestoreThread(_save);
}

int main(void)
{
    assert_others_run_during(nap);
    return 0;
}
