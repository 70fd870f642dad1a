/* gil/export.h alone, as C and as C++: C linkage, and visibility. */
#include <gil/export.h>

GIL_BEGIN_DECLS
GIL_API int marked(void);
GIL_END_DECLS

int marked(void)
{
    return 0;
}

int main(void)
{
    return marked();
}
