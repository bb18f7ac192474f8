/*
 * What making and checking bandwidth limits agree on.
 */
#ifndef CNIF_RTNL_SHAPING_H
#define CNIF_RTNL_SHAPING_H

#include "cnifast.h"
#include "rtnl/qdisc.h"

#define CNIF_CLASS_FREE    1
#define CNIF_CLASS_LIMITED 0x30

#define CNIF_INGRESS TC_H_MAKE(TC_H_INGRESS, 0)

/* The class that the filters of the subnets lead to. */
static inline uint32_t cnif_shaping_filtered(const struct cnif_shaping *shaping)
{
    return CNIF_CLASS(shaping->only_subnets ? CNIF_CLASS_LIMITED : CNIF_CLASS_FREE);
}

/* The number of the class for all else. */
static inline uint32_t cnif_shaping_default(const struct cnif_shaping *shaping)
{
    return shaping->only_subnets ? CNIF_CLASS_FREE : CNIF_CLASS_LIMITED;
}

#endif
