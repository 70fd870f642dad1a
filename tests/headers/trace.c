/* gil/trace.h alone, as C and as C++. */
#include <gil/trace.h>

int main(void)
{
    return gil_slot_from(gil_slot(1000)) > 1000 || GIL_RELEASED_FORCED == GIL_RELEASED_GRANTED;
}
