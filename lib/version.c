/* gil_version(): see include/gil/version.h. */
#include <gil/version.h>

const char *gil_version(void)
{
    return GIL_VERSION_STRING;
}
