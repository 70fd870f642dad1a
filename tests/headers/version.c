/* gil/version.h alone, as C and as C++: the version at compile time and at run time are one. */
#include <gil/version.h>

#include <stdio.h>

int main(void)
{
    const char *version = gil_version();

    printf("%s\n", version);
    return GIL_VERSION_NUMBER == 0 || version[0] == '\0';
}
