// cancel.c as C++: a frame with a destructor lies below each call that a thread is ended in, and the
// destructor must run once.
#include "cancel.c"
