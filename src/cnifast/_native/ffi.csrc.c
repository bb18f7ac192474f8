#include "cnifast.h"
#include "cnifast_routing.h"
