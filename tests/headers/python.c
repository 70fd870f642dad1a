/* The program of gil/python.h is one of those in classic spellings. */
#include "../classic/names.c"
