/*
 * Fault injection: every step that changes state asks cnif_fault() first, so
 * that a test can make the Nth such step of an operation fail, or die there.
 *
 *     code = cnif_fault("linkat");
 *     if (!code && linkat(...) < 0)
 *         code = errno;
 *
 * Not a mock: a step that is let through is the real one.  Compiled away
 * unless CNIF_FAULTS is defined.  The counter is one for the whole process,
 * counts every thread's steps, and is meant for tests that run one operation at a time.
 */
#ifndef CNIF_BASE_FAULT_H
#define CNIF_BASE_FAULT_H

#include "cnifast.h"

#ifdef CNIF_FAULTS
/* Count one step; 0 to go on, or the errno value (positive) to fail with. */
int cnif_fault(const char *step);
#else
static inline int cnif_fault(const char *step)
{
    (void)step;
    return 0;
}
#endif

#endif
