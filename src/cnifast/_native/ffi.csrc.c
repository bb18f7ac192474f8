#include "cnifast.h"
#include "cnifast_dhcp.h"
