#include "cnifast.h"
