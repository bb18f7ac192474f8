/*
 * The buffer that the installer fills.  A file of its own, so that no compiler
 * sees the empty paths where they are used and takes them for what they stay.
 */
#include "shim.h"

const struct shim_place shim_place = {
    .mark = {'c', 'n', 'i', 'f', 'a', 's', 't', '-', 's', 'h', 'i', 'm', '-', 'v', '1', '\n'},
    .build = CNIF_BUILD,
};
