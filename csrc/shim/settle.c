/*
 * What both programs begin with: standard descriptors, the settings, where they
 * are themselves.
 */
#include "shim.h"

#define CONFIG_PATH    "/etc/cnifast/config.toml"
#define DEFAULT_SOCKET "/run/cnifast/cnifast.sock"

long shim_write(int fd, const char *data, size_t len)
{
    while (len) {
        long n = sys_write(fd, data, len);

        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? n : -EIO;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

void shim_write_all(int fd, const char *data, size_t len)
{
    if (shim_write(fd, data, len) < 0)
        sys_exit(1);
}

void shim_fill_stdio(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (sys_fcntl(fd, F_GETFD) == -EBADF)
            (void)sys_open("/dev/null", O_RDWR);
}

/* The file is optional; one that is there must be readable in one piece. */
static void read_config(struct shim_config *ret)
{
    static char room[8192];
    char name[24];
    long fd = sys_open(CONFIG_PATH, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    long n;

    shim_config_parse("", 0, ret);
    if (fd == -ENOENT || fd == -ENOTDIR)
        return;
    n = fd < 0 ? fd : sys_read((int)fd, room, sizeof(room));
    if (n < 0)
        SHIM_FAIL(SHIM_IO_FAILURE, "cannot read " CONFIG_PATH ": ", shim_errno_name(-n, name));
    if (n == sizeof(room))
        SHIM_FAIL(SHIM_IO_FAILURE, CONFIG_PATH " is larger than 8 KiB");
    shim_config_parse(room, (size_t)n, ret);
}

void shim_settle(struct shim_call *call)
{
    const char *mode = shim_env_get(call->envp, "CNIFAST_SERVICE");
    const char *socket = shim_env_get(call->envp, "CNIFAST_SOCKET");
    size_t socket_len = socket ? shim_strlen(socket) : 0;
    struct shim_buf b = {.data = call->socket, .size = sizeof(call->socket)};

    call->mode = shim_mode_parse(mode, mode ? shim_strlen(mode) : 0);
    if (call->mode == SHIM_MODE_INVALID)
        SHIM_FAIL(SHIM_INVALID_ENVIRONMENT,
                  "CNIFAST_SERVICE is neither auto, off nor required: ", mode);
    if (call->mode == SHIM_MODE_UNSET || !socket_len) {
        struct shim_config config;

        read_config(&config);
        if (call->mode == SHIM_MODE_UNSET)
            call->mode = config.mode;
        if (call->mode == SHIM_MODE_INVALID)
            SHIM_FAIL(SHIM_INTERNAL, CONFIG_PATH ": service is neither auto, off nor required");
        if (call->mode == SHIM_MODE_UNSET)
            call->mode = SHIM_MODE_AUTO;
        if (!socket_len) {
            socket = config.socket_len ? config.socket : DEFAULT_SOCKET;
            socket_len = config.socket_len ? config.socket_len : shim_strlen(DEFAULT_SOCKET);
        }
    }
    shim_put(&b, socket, socket_len);
    shim_put_string(&b, "");
    if (b.overflow || call->socket[0] != '/')
        SHIM_FAIL(SHIM_INVALID_ENVIRONMENT,
                  "the path of the service's socket is not absolute or too long");
}

bool shim_beside(const char *name, char *room, size_t size)
{
    struct shim_buf b = {.data = room, .size = size};
    long n = sys_call(__NR_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)room, (long)size, 0);

    if (n <= 0)
        return false;
    for (b.len = (size_t)n; b.len && room[b.len - 1] != '/';)
        b.len--;
    shim_put_string(&b, name);
    return !b.overflow;
}
