#include "rtnl/kind.h"

#include <string.h>

static const struct cnif_link_kind *const kinds[] = {
    &cnif_kind_bridge, &cnif_kind_ipvlan, &cnif_kind_macvlan, &cnif_kind_tun,
    &cnif_kind_veth,   &cnif_kind_vlan,   &cnif_kind_vrf,
};

const struct cnif_link_kind *cnif_link_kind_find(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    }
    return NULL;
}
