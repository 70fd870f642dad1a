/* Where does deferring a release pay?
 *
 * Deferring saves a hand-over when the call that follows does not block, and costs the other
 * threads time when what follows is a long computation in C. Which of the two it is depends on the
 * place in the program that drops the GIL (the *site*), so each site learns from what became of its
 * deferrals. A table of small counters, shared by all threads; lost updates do no harm. */
#ifndef GIL_PYTHON_PREDICTOR_H
#define GIL_PYTHON_PREDICTOR_H

#include <stdbool.h>
#include <stdint.h>

enum site_outcome {
    SITE_DONE,      /* a call was tried and did not block: the deferral paid */
    SITE_BLOCKED,   /* a call was tried and blocked: nothing gained, little lost */
    SITE_UNTRIABLE, /* there was a call that cannot be tried */
    SITE_NO_CALL,   /* the GIL was taken back without any call that we know */
};

/* Should a contended release at this site be deferred? */
bool site_defers(uintptr_t site);

/* What became of a deferral at this site. */
void site_learn(uintptr_t site, enum site_outcome outcome);

#endif
