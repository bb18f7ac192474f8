/*
 * Taps: devices whose other end is a file that a virtual machine opens.
 *
 * There is no netlink request that makes one: a thread in the namespace opens
 * /dev/net/tun and tells what the device shall be.  It goes away with the file
 * until TUNSETPERSIST, the last step, makes it stay.  Nothing is kept open.
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "netns/netns.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#define CLONE_DEVICE "/dev/net/tun"

static int apply(int fd, unsigned long request, unsigned long argument)
{
    int code = cnif_fault("set up tap");

    if (code)
        return code;
    return ioctl(fd, request, argument) < 0 ? errno : 0;
}

static short flags(const struct cnif_tap *tap)
{
    unsigned wanted = IFF_TAP | IFF_TUN_EXCL;

    if (tap->multi_queue)
        wanted |= IFF_MULTI_QUEUE;
    if (tap->vnet_hdr)
        wanted |= IFF_VNET_HDR;
    if (!tap->packet_info)
        wanted |= IFF_NO_PI;
    return (short)wanted;
}

static int create_here(const char *name, const struct cnif_tap *tap, struct cnif_err *reterr)
{
    cnif_cleanup_close int fd = -1;
    struct ifreq request = {.ifr_flags = flags(tap)};
    int code;

    if (!*name || strlen(name) >= sizeof(request.ifr_name))
        return cnif_err_errno(reterr, EINVAL, "create tap %s", name);
    (void)strcpy(request.ifr_name, name);
    fd = open(CLONE_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return cnif_err_errno(reterr, errno, "create tap %s: open " CLONE_DEVICE, name);
    code = apply(fd, TUNSETIFF, (unsigned long)&request);
    if (code == EBUSY) /* what IFF_TUN_EXCL says of a name that is taken */
        code = EEXIST;
    if (!code && tap->owner >= 0)
        code = apply(fd, TUNSETOWNER, (unsigned long)tap->owner);
    if (!code && tap->group >= 0)
        code = apply(fd, TUNSETGROUP, (unsigned long)tap->group);
    if (!code)
        code = apply(fd, TUNSETPERSIST, 1);
    return code ? cnif_err_errno(reterr, code, "create tap %s", name) : 0;
}

int cnif_tap_create(int netns_fd, const char *name, const struct cnif_tap *tap,
                    struct cnif_err *reterr)
{
    struct cnif_netns_visit visit;
    int r = cnif_netns_enter(&visit, netns_fd, reterr);

    if (r < 0)
        return r;
    r = create_here(name, tap, reterr);
    cnif_netns_leave(&visit);
    return r;
}
