#include "base/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#ifdef CNIF_FAULTS

static atomic_uint fault_steps;
static atomic_uint fault_at;
static atomic_int fault_code;
static _Atomic(const char *) fault_step;

int cnif_fault(const char *step)
{
    unsigned int n = atomic_fetch_add(&fault_steps, 1) + 1;
    int code;

    if (n != atomic_load(&fault_at))
        return 0;
    atomic_store(&fault_step, step);
    code = atomic_load(&fault_code);
    if (code == CNIF_FAULT_KILL)
        (void)kill(getpid(), SIGKILL);
    return code;
}

int cnif_fault_arm(unsigned int n, int code)
{
    atomic_store(&fault_at, 0);
    atomic_store(&fault_code, code);
    atomic_store(&fault_step, NULL);
    atomic_store(&fault_steps, 0);
    atomic_store(&fault_at, n);
    return 0;
}

unsigned int cnif_fault_count(void)
{
    return atomic_load(&fault_steps);
}

const char *cnif_fault_failed(void)
{
    return atomic_load(&fault_step);
}

#else

int cnif_fault_arm(unsigned int n, int code)
{
    (void)n;
    (void)code;
    return -EOPNOTSUPP;
}

unsigned int cnif_fault_count(void)
{
    return 0;
}

const char *cnif_fault_failed(void)
{
    return NULL;
}

#endif
